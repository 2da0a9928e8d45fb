"""The loop over tiles: threads, results written elsewhere, rows at a time."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from solvable.errors import InputError
from solvable.kernels import NTK, CallableKernel, Gaussian, Laplace, PowerSeries, tiles
from solvable.machine import blas_threads

RNG = np.random.default_rng(0)
KERNELS = pytest.mark.parametrize(
    "kernel", [Laplace(2.0), NTK(2, b_std=0.1), NTK(1, "tanh"), PowerSeries([1.0, 2.0])], ids=str
)


@KERNELS
def test_threads_do_not_change_a_bit(kernel, monkeypatch):
    X, Z = RNG.standard_normal((900, 20)), RNG.standard_normal((700, 20))
    one, cross = kernel(X), kernel(X, Z)
    monkeypatch.setattr(tiles, "blas_threads", lambda: 3)
    for _ in range(3):
        np.testing.assert_array_equal(kernel(X), one)
        np.testing.assert_array_equal(kernel(X, Z), cross)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(tiles, "blas_threads", lambda: 2)

    def tile(rows, columns):
        raise FloatingPointError("broken")

    with pytest.raises(FloatingPointError, match="broken"):
        tiles.rectangular(np, tile, RNG.standard_normal((900, 2)), RNG.standard_normal((900, 2)))


def test_as_many_threads_as_linear_algebra_may_use():
    with threadpool_limits(limits=1):
        assert blas_threads() == 1


@KERNELS
def test_written_to_a_memory_map(kernel, tmp_path):
    X, Z = RNG.standard_normal((200, 5)), RNG.standard_normal((150, 5))
    for other in (None, Z):
        shape = (200, 200 if other is None else 150)
        out = np.memmap(tmp_path / "K.dat", dtype=np.float64, mode="w+", shape=shape)
        assert kernel(X, other, out=out) is out
        np.testing.assert_array_equal(out, kernel(X, other))


def test_out_that_does_not_fit():
    X = RNG.standard_normal((5, 3))
    for out in (np.empty((5, 4)), np.empty((5, 5), dtype=np.float32), torch.empty(5, 5), [1.0]):
        with pytest.raises(InputError, match=r"out is .*; expected an array of shape \(5, 5\)"):
            Gaussian(1.0)(X, out=out)


def test_rows_cover_the_matrix(monkeypatch):
    X, Z = RNG.standard_normal((50, 4)), RNG.standard_normal((30, 4))
    for kernel in (NTK(2), CallableKernel(lambda X, Z: X @ Z.T)):
        for other in (None, Z):
            parts = list(kernel.rows(X, other, batch=7))
            assert [rows.start for rows, _ in parts] == list(range(0, 50, 7))
            expected = kernel(X, other)
            np.testing.assert_allclose(
                np.concatenate([K for _, K in parts]), expected, rtol=1e-12, atol=1e-13
            )
    X, batch = RNG.standard_normal((700, 3)), 150
    kernel, whole = NTK(1, "tanh"), NTK(1, "tanh")(X, X.copy())
    monkeypatch.setattr(tiles, "blas_threads", lambda: 2)
    np.testing.assert_array_equal(np.concatenate([K for _, K in kernel.rows(X, batch=batch)]), whole)
    with pytest.raises(InputError, match=r"batch must be .*; got 0"):
        next(NTK(2).rows(X, batch=0))


def test_bands_are_whole_tiles():
    for columns in (1, 100, 4000, 10**6):
        bands = list(tiles.bands(1000, columns))
        assert [band.start for band in bands] == [0, *(band.stop for band in bands)][:-1]
        assert bands[-1].stop == 1000
        assert all(band.start % tiles._CPU_TILE == 0 for band in bands)
