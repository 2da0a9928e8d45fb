"""Eigenvectors in place against NumPy's, for every layout, and without the interpreter's lock."""

import threading
import time

import numpy as np
import pytest

from solvable import eigh
from solvable.eigh import eigh_in_place


def _symmetric(n: int, order: str = "C") -> np.ndarray:
    A = np.random.default_rng(n).standard_normal((n, n))
    return np.asarray(A + A.T, order=order)


def _check(A: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> None:
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A), atol=1e-12 * len(A))
    np.testing.assert_allclose(vectors * values @ vectors.T, A, atol=1e-12 * len(A))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(A)), atol=1e-12 * len(A))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [1, 2, 3, 50, 200])
def test_every_layout(n, order):
    A = _symmetric(n, order)
    given = A.copy(order="K")
    values, vectors = eigh_in_place(given)
    _check(A, values, vectors)
    assert np.shares_memory(vectors, given)


def test_what_must_not_be_overwritten_is_copied():
    A = _symmetric(20)
    A.flags.writeable = False
    wide = np.zeros((20, 40))
    wide[:, ::2] = A
    for given in (A, wide[:, ::2], A.astype(">f8"), np.broadcast_to(2.0, (1, 1))):
        before = given.copy()
        values, vectors = eigh_in_place(given)
        np.testing.assert_array_equal(given, before)
        _check(np.asarray(before, float), values, vectors)
    with pytest.raises(np.linalg.LinAlgError):
        eigh_in_place(np.zeros((3, 2)))


def test_only_one_half_is_read():
    A = _symmetric(30)
    upper, lower = (
        np.triu(A) + np.tril(np.full_like(A, 9.0), -1),
        np.tril(A) + np.triu(np.full_like(A, 9.0), 1),
    )
    _check(A, *eigh_in_place(upper.copy()))
    _check(A, *eigh_in_place(np.asfortranarray(lower)))


@pytest.mark.parametrize("why", ["large", "no routine"])
def test_numpy_is_the_way_out(monkeypatch, why):
    if why == "large":
        monkeypatch.setattr(eigh, "_LARGEST", 10)
    else:
        monkeypatch.setattr(eigh, "_dsyevd", lambda: None)
    A = _symmetric(20)
    _check(A, *eigh_in_place(A.copy()))


def test_other_threads_go_on():
    A, ticks, done = _symmetric(700), [0], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    before = ticks[0]
    eigh_in_place(A)
    during = ticks[0] - before
    done.set()
    thread.join()
    # With the lock held there would be none, or the few at the beginning and the end.
    assert during > 20
