"""Plateaus of the Barlow Twins loss against numerical minima, and readings of losses that were simulated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from cases import representative
from solvable.errors import InputError
from solvable.stepwise.theory import directions_from_loss, plateau_loss

SHEET = [(12, 0.05), (12, 1.0), (20, 0.005), (9, 0.3), (6, 2.0)]
MINIMA = [(d, lam, k) for d, lam in SHEET for k in (1, 2, 3, 5, 8) if k <= d]


@pytest.mark.parametrize(
    ("d", "lam", "k"), representative(MINIMA, fast=[(12, 0.05, 2), (20, 0.005, 3), (9, 0.3, 5), (6, 2.0, 1)])
)
def test_plateaus_are_the_least_loss_of_a_rank(d, lam, k) -> None:
    """Over positive semidefinite C = A A^T with k columns in A, by L-BFGS from several starts."""

    def loss(a: np.ndarray) -> tuple[float, np.ndarray]:
        A = a.reshape(d, k)
        C = A @ A.T
        weights = np.where(np.eye(d), 1.0, lam)
        M = weights * (C - np.eye(d))
        return float((M * (C - np.eye(d))).sum()), (4 * M @ A).ravel()

    rng = np.random.default_rng(0)
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    runs = [
        minimize(loss, rng.normal(size=d * k), jac=True, method="L-BFGS-B", options=options) for _ in range(6)
    ]
    assert min(run.fun for run in runs) == pytest.approx(plateau_loss(k, d, lam), rel=1e-6)


def test_heights_of_the_original_setting() -> None:
    # The values that people post: d = 8192 and 0.0051.
    assert plateau_loss(1, 8192, 0.0051) == pytest.approx(8000, rel=1e-3)
    assert directions_from_loss(4000, 8192, 0.0051).directions == pytest.approx(44, abs=0.5)
    assert directions_from_loss(4000, 8192, 0.0051).high == pytest.approx(85, abs=0.5)
    assert plateau_loss(np.arange(5), 4, 1).tolist() == [4, 3, 2, 1, 0]
    assert directions_from_loss(8000.5, 8192, 0.0051).directions < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.floats(1e-3, 3.0), st.floats(0, 1), st.sampled_from([None, 10**9]))
def test_readings_are_the_inverse(d, lam, share, batch_size) -> None:
    k = share * d
    height = plateau_loss(k, d, lam)
    for normalize in (True, False):
        reading = directions_from_loss(height, d, lam, batch_size, normalize=normalize)
        assert reading.directions == pytest.approx(k, rel=1e-3, abs=1e-3)
        assert reading.low == pytest.approx(k, rel=1e-3, abs=1e-3)
        assert reading.low <= reading.high <= d
    if k >= 1:  # equal views leave the correlations of k directions in d dimensions
        reading = directions_from_loss(lam * d * (d - k) / k, d, lam, batch_size)
        assert reading.high == pytest.approx(k, rel=1e-3) or reading.high == reading.low


def frame(k: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return d unit vectors that share k dimensions equally (d, k); k divides d."""
    return np.concatenate([np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(d // k)])


def measured(z: np.ndarray, lam: float, normalize: bool, z_b: np.ndarray | None = None) -> float:
    a, b = ((x - x.mean(axis=0)) / x.std(axis=0) if normalize else x for x in (z, z if z_b is None else z_b))
    C = (a.T @ b + b.T @ a) / (2 * len(a))
    diagonal = np.diagonal(C)
    return float(np.square(diagonal - 1).sum() + lam * (np.square(C).sum() - np.square(diagonal).sum()))


BATCHES = [(256, 128, 0.05, 64), (512, 128, 0.0051, 32), (512, 256, 0.0051, 512)]


@pytest.mark.parametrize(("d", "batch_size", "lam", "k"), BATCHES)
def test_finite_batches_of_equal_views(d, batch_size, lam, k) -> None:
    rng = np.random.default_rng(1)
    loss = measured(rng.normal(size=(batch_size, k)) @ frame(k, d, rng).T, lam, normalize=True)
    reading = directions_from_loss(loss, d, lam, batch_size)
    assert reading.high == pytest.approx(k, rel=0.05)
    assert reading.low <= reading.high
    assert directions_from_loss(loss, d, lam).high < 0.95 * k


@pytest.mark.parametrize(("d", "batch_size", "lam", "k"), [(64, 256, 1.0, 16), *BATCHES])
def test_finite_batches_without_normalisation(d, batch_size, lam, k) -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(batch_size, k)) @ frame(k, d, rng).T
    z *= np.sqrt(k / (k + lam * (d - k)))  # the size at which the loss is least
    loss = measured(z, lam, normalize=False)
    reading = directions_from_loss(loss, d, lam, batch_size, normalize=False)
    assert reading.directions == pytest.approx(k, rel=0.06)
    assert reading.low <= reading.directions <= reading.high
    assert directions_from_loss(loss, d, lam).low < reading.low - 0.03 * k


def test_finite_batches_of_views_that_agree_in_part() -> None:
    # The least loss of 16 directions, with normalisation: views agree as much as is best, and differ by noise.
    d, B, lam, k = 256, 1024, 0.02, 16
    rng = np.random.default_rng(2)
    agreement = k / (k + lam * (d - k))
    shared = np.sqrt(agreement) * rng.normal(size=(B, k)) @ frame(k, d, rng).T
    a, b = (shared + np.sqrt(1 - agreement) * rng.normal(size=(B, d)) for _ in range(2))
    reading = directions_from_loss(measured(a, lam, True, b), d, lam, B)
    assert reading.directions == pytest.approx(k, rel=0.05)


def test_all_of_2048_dimensions_in_a_batch_of_512() -> None:
    z = np.random.default_rng(0).normal(size=(512, 2048))
    loss = measured(z, 0.0051, normalize=True)
    assert loss == pytest.approx(41.9, abs=0.2)
    for value in (loss, 41.9):
        reading = directions_from_loss(value, 2048, 0.0051, batch_size=512)
        assert reading.low >= 1900
        assert reading.floor == pytest.approx(41.8, abs=0.2)
    # Taken as the loss of infinitely many samples it would be read as a fifth of them.
    assert directions_from_loss(loss, 2048, 0.0051).directions == pytest.approx(402, abs=5)


def test_batches_too_small_to_tell_few_directions_from_all() -> None:
    # 16 samples in 256 dimensions: all directions learned have a larger loss than none.
    d, B, lam = 256, 16, 0.1
    loss = measured(np.random.default_rng(0).normal(size=(B, d)), lam, normalize=True)
    assert loss > d
    reading = directions_from_loss(loss, d, lam, B)
    assert reading.low < 20
    assert reading.high > 100
    # A loss just below that of nothing learned is no proof of more than a part of one direction.
    assert directions_from_loss(d - 0.5, d, lam, B).low < 1


@pytest.mark.parametrize("loss", [5.0, 7.0, 1e6])
def test_nothing_learned(loss) -> None:
    for options in ({}, {"batch_size": 1000}, {"batch_size": 1000, "normalize": False}):
        reading = directions_from_loss(loss, 5, 0.1, **options)
        assert (reading.low, reading.directions, reading.high, reading.floor) == (0, 0, 0, 0)
        assert str(reading) == "no direction is learned"


def test_readings_in_words() -> None:
    assert str(directions_from_loss(1.0, 4, 1)) == "3 to 3.2 learned directions"
    assert "of the loss is due to the finite batch" in str(directions_from_loss(41.9, 2048, 0.0051, 512))
    assert directions_from_loss(0.0, 7, 0.3).directions == 7
    assert directions_from_loss(0.5, 1, 1).directions == pytest.approx(0.5)


BAD = [
    (lambda: directions_from_loss(-1, 4, 1), "loss must be at least 0"),
    (lambda: directions_from_loss(float("nan"), 4, 1), "loss must be at least 0"),
    (lambda: directions_from_loss(float("inf"), 4, 1), "loss must be finite"),
    (lambda: directions_from_loss(1, 0, 1), "dim must be a whole number"),
    (lambda: directions_from_loss(1, 4, 0.0), "off_diagonal_weight must be above 0"),
    (lambda: directions_from_loss(1, 4, 1.0, 1), "batch_size is 1; expected at least 2"),
    (lambda: directions_from_loss(1, 4, 1.0, 0), "batch_size must be a whole number"),
    (lambda: plateau_loss(5, 4, 1), "k must be at least 0 and at most 4"),
    (lambda: plateau_loss(-1, 4, 1), "k must be at least 0 and at most 4"),
    (lambda: plateau_loss(1, 2.5, 1), "dim must be a whole number"),  # pyright: ignore
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_input_is_one_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call()


def test_the_share_of_the_batch_is_exact_on_average() -> None:
    # All of 64 dimensions are learned, in batches of 16: with 1/B in the place of 1/(B - 1) it would read 44.
    d, B, lam = 64, 16, 0.0051
    rng = np.random.default_rng(0)
    loss = float(np.mean([measured(rng.normal(size=(B, d)), lam, normalize=True) for _ in range(200)]))
    assert directions_from_loss(loss, d, lam, B).directions > 60


def test_a_loss_below_the_share_of_the_batch_is_refused() -> None:
    with pytest.raises(InputError, match="correlations of a batch of 256 alone make"):
        directions_from_loss(1000, 8192, 0.0051, 256)
