"""Resources of the process: free memory, checked before large allocations, and BLAS threads."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from solvable import machine
from solvable.errors import InputError
from solvable.machine import blas_threads, cores, free_memory, limited_blas_threads, need_memory
from solvable.regression import LearningSurface


def test_free_memory_is_a_number_of_bytes() -> None:
    free = free_memory()
    assert free is not None
    assert 2**20 < free < 2**50


def test_free_memory_agrees_with_the_system() -> None:
    psutil = pytest.importorskip("psutil")
    free = free_memory()
    assert free is not None
    assert free <= 1.2 * psutil.virtual_memory().available


def test_unknown_memory_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", nothing)
    monkeypatch.setattr(machine.os, "sysconf_names", {})
    assert free_memory() is None
    need_memory(1e30, "it", "remedy it")


def _patch_files(monkeypatch: pytest.MonkeyPatch, texts: dict[str, str]) -> None:
    """Let only these files exist."""

    def read(path: Path, **_: object) -> str:
        if str(path) not in texts:
            raise OSError
        return texts[str(path)]

    monkeypatch.setattr(Path, "read_text", read)


@pytest.mark.parametrize("limit", ["max\n", "not a number"])
def test_a_container_without_a_limit(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    meminfo = "MemTotal: 9 kB\nMemAvailable:    2000 kB\n"
    _patch_files(monkeypatch, {"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": limit})
    assert free_memory() == 2000 * 1024


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    folder = "/sys/fs/cgroup/memory"
    limit, usage = {
        1: (f"{folder}/memory.limit_in_bytes", f"{folder}/memory.usage_in_bytes"),
        2: (f"{folder}.max", f"{folder}.current"),
    }[version]
    meminfo = "MemAvailable:    2000 kB\n"
    _patch_files(monkeypatch, {"/proc/meminfo": meminfo, limit: "1000000\n", usage: "400000\n"})
    assert free_memory() == 600_000


def test_too_little_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 3 * 10**9)
    need_memory(3e9, "a test", "take less")
    with pytest.raises(InputError) as caught:
        need_memory(12.34e9, "a test", "take less")
    assert str(caught.value) == "a test needs about 12.3 GB of memory and 3.0 GB are free; take less"


@pytest.mark.parametrize("constructor", ["from_kernel", "from_features", "from_kernel with a callable"])
def test_a_million_rows_are_refused_before_they_are_multiplied(constructor: str) -> None:
    X = np.zeros((10**6, 2))
    y = np.zeros(10**6)
    calls = []

    def kernel(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        calls.append(A.shape)
        return A @ B.T

    constructors = {
        "from_kernel": lambda: LearningSurface.from_kernel("laplace", X, y),
        "from_features": lambda: LearningSurface.from_features(X, y),
        "from_kernel with a callable": lambda: LearningSurface.from_kernel(kernel, X, y),
    }
    tracemalloc.start()
    try:
        message = r"a learning surface of 1000000 samples needs about 49600\.0 GB"
        with pytest.raises(InputError, match=message) as caught:
            constructors[constructor]()
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert not calls
    assert "drawn at random" in str(caught.value)


def test_a_large_sample_is_refused_where_little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    monkeypatch.setattr(machine, "free_memory", lambda: 10**5)
    with pytest.raises(InputError, match="a learning surface of 100 samples"):
        LearningSurface.from_kernel("laplace", X, X[:, 0])
    monkeypatch.setattr(machine, "free_memory", lambda: 10**6)
    assert LearningSurface.from_kernel("laplace", X, X[:, 0]).n_samples == 100


def threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_limits_of_linear_algebra_may_overlap() -> None:
    with threadpool_limits(4, "blas"):
        before = threads()
        one, other = limited_blas_threads(2), limited_blas_threads(1)
        one.__enter__()
        assert threads() == {2}
        other.__enter__()
        assert threads() == {1}
        # The first block ends first: the limit of the other remains, then the original numbers return.
        one.__exit__(None, None, None)
        assert threads() == {1}
        with limited_blas_threads(3):
            assert threads() == {1}
        other.__exit__(None, None, None)
        assert threads() == before == {4}


def test_limits_of_linear_algebra_in_many_threads() -> None:
    def limited(most: int) -> bool:
        for _ in range(50):
            with limited_blas_threads(most):
                if max(threads()) > most:
                    return False
        return True

    with threadpool_limits(4, "blas"):
        before = threads()
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(limited, [1, 2, 3, 1]))
        assert threads() == before
        assert blas_threads() == min(4, cores())
