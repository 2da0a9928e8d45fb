"""Label-free metrics, against known answers, loops written out from the papers' equations, and laws."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from solvable.errors import InputError
from solvable.stepwise.metrics import (
    alpha_req,
    alpha_req_of,
    effective_rank,
    effective_rank_of,
    lidar,
    lidar_of,
    participation_ratio,
    rankme,
    rankme_of,
)


def embeddings(singular_values, n: int, seed: int = 0) -> np.ndarray:
    """Return an (n, d) matrix with these singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    d = len(singular_values)
    U, V = (np.linalg.qr(rng.normal(size=(m, d)))[0] for m in (n, d))
    return U @ np.diag(singular_values) @ V.T


@pytest.mark.parametrize("k", [1, 2, 7])
def test_equal_singular_values_count_as_so_many(k) -> None:
    values = np.r_[np.full(k, 3.0), np.zeros(8 - k)]
    A = embeddings(values, 30)
    assert effective_rank(A) == pytest.approx(k, rel=1e-12)
    assert rankme(A, eps=0.0) == pytest.approx(k, rel=1e-12)
    assert participation_ratio(values) == pytest.approx(k, rel=1e-14)


def test_values_that_are_known() -> None:
    # One learned direction beside 63 dormant ones: 1 % and 0.1 % of its amplitude.
    assert rankme(embeddings([1.0] + 63 * [1e-2], 200)) == pytest.approx(9.7, abs=0.05)
    assert rankme_of([1.0] + 63 * [1e-3]) == pytest.approx(1.6, abs=0.05)
    assert effective_rank(np.diag([1.0] + 63 * [1e-4])) == pytest.approx(1.07, abs=0.005)
    # p = (2/3, 1/3): exp(-sum p ln p) = 3 / 2^(2/3).
    assert effective_rank_of([2.0, 1.0]) == pytest.approx(3 / 2 ** (2 / 3), rel=1e-14)
    assert participation_ratio([2.0, 1.0]) == pytest.approx(9 / 5, rel=1e-14)


def test_rankme_is_the_papers_equation_without_centring() -> None:
    Z = np.random.default_rng(1).normal(size=(40, 6)) + 5.0
    for Z_or_wide in (Z, Z.T):
        eigenvalues = np.linalg.eigvalsh(Z.T @ Z)
        sigma = [math.sqrt(value) for value in eigenvalues]
        for eps in (1e-7, 1e-2):
            entropy = 0.0
            for value in sigma:
                p = value / sum(sigma) + eps
                entropy -= p * math.log(p)
            assert rankme(Z_or_wide, eps) == pytest.approx(math.exp(entropy), rel=1e-10)
    # A large mean is a direction like any other, so RankMe is far below that of centred embeddings.
    assert rankme(Z) < 0.7 * rankme(Z - Z.mean(axis=0))


def test_rankme_counts_min_n_d_singular_values_with_eps_each() -> None:
    # With a large eps the number of terms shows: a (3, 20) matrix has 3.
    Z = np.zeros((3, 20))
    Z[0, 0] = 1.0
    eps = 0.1
    expected = math.exp(-(1 + eps) * math.log(1 + eps) - 2 * eps * math.log(eps))
    assert rankme(Z, eps) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.3])
def test_alpha_req_is_the_exponent_of_a_power_law(alpha) -> None:
    values = np.arange(1, 201.0) ** -alpha
    assert alpha_req_of(np.random.default_rng(0).permutation(values)) == pytest.approx(alpha, rel=1e-10)
    # Each axis with two opposite points: a mean of 0 and a covariance of these eigenvalues.
    axes = np.diag(np.sqrt(values))
    assert alpha_req(np.concatenate([axes, -axes]) + 7.0) == pytest.approx(alpha, rel=1e-9)


def test_alpha_req_fits_its_range_by_least_squares_on_the_centred_covariance() -> None:
    Z = np.random.default_rng(2).normal(size=(300, 40)) * np.linspace(3, 0.1, 40) + 4.0
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(Z.T)))[::-1]
    for fit_range, (first, last) in ((None, (3, 20)), ((2, 31), (2, 31))):
        i = np.arange(first, last + 1)
        design = np.stack([np.log(i), np.ones(len(i))], axis=1)
        slope = np.linalg.lstsq(design, np.log(eigenvalues[i - 1]), rcond=None)[0][0]
        assert alpha_req(Z, fit_range) == pytest.approx(-slope, rel=1e-9)
    # Beyond 200 dimensions the default range ends at 100.
    bent = np.r_[np.arange(1, 101.0) ** -1, np.full(200, 1e-9)]
    assert alpha_req_of(bent) == pytest.approx(1, rel=1e-10)


def test_alpha_req_leaves_out_what_is_zero() -> None:
    values = np.r_[np.arange(1, 11.0) ** -1.5, np.zeros(30)]
    assert alpha_req_of(values, fit_range=(1, 40)) == pytest.approx(1.5, rel=1e-10)
    assert math.isnan(alpha_req_of(np.r_[1.0, np.zeros(30)]))
    assert math.isnan(alpha_req(np.random.default_rng(0).normal(size=(50, 4))))


def views(n=30, q=5, d=6, seed=3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(n, 1, d)) * np.linspace(2, 0.3, d)
    return samples + 0.5 * rng.normal(size=(n, q, d)) @ rng.normal(size=(d, d)) + 3.0


def lidar_loop(Z: np.ndarray, delta: float, eps: float) -> float:
    """The paper's matrices sample by sample, and its inverse root."""
    n, q, d = Z.shape
    between, within = np.zeros((d, d)), np.zeros((d, d))
    grand = sum(Z[i].mean(axis=0) for i in range(n)) / n
    for i in range(n):
        mean = Z[i].mean(axis=0)
        between += np.outer(mean - grand, mean - grand) / (n - 1)
        for j in range(q):
            within += np.outer(Z[i, j] - mean, Z[i, j] - mean) / (n * (q - 1))
    root = np.linalg.inv(scipy.linalg.sqrtm(within + delta * np.eye(d)))
    eigenvalues = np.linalg.eigvals(root @ between @ root).real
    p = eigenvalues / eigenvalues.sum() + eps
    return math.exp(-sum(x * math.log(x) for x in p))


@pytest.mark.parametrize(("delta", "eps"), [(1e-6, 1e-7), (0.3, 1e-3)])
def test_lidar_is_the_papers_equation(delta, eps) -> None:
    Z = views()
    assert lidar(Z, delta, eps) == pytest.approx(lidar_loop(Z, delta, eps), rel=1e-9)


def test_lidar_is_the_effective_rank_of_the_ratio_of_the_covariances() -> None:
    rng = np.random.default_rng(4)
    B, W = (x @ x.T for x in rng.normal(size=(2, 5, 9)))
    ratios = scipy.linalg.eigh(B, W, eigvals_only=True)
    assert lidar_of(B, W, delta=1e-13, eps=0.0) == pytest.approx(effective_rank_of(ratios), rel=1e-9)
    # Only the ratio matters: an invertible map of the embeddings changes nothing.
    A = rng.normal(size=(5, 5))
    assert lidar_of(A @ B @ A.T, A @ W @ A.T, delta=1e-13, eps=0.0) == pytest.approx(
        lidar_of(B, W, delta=1e-13, eps=0.0), rel=1e-8
    )


def test_lidar_counts_what_views_share_and_rankme_counts_all() -> None:
    rng = np.random.default_rng(5)
    n, q, d, k = 200, 20, 24, 4
    Z = rng.normal(size=(n, 1, d)) * np.r_[np.full(k, 30.0), np.zeros(d - k)] + rng.normal(size=(n, q, d))
    assert lidar(Z) == pytest.approx(k, rel=0.05)
    noise = rng.normal(size=(n, q, d))
    # Means of q views of pure noise differ alike in all directions.
    assert lidar(noise) > 0.9 * d
    noise[..., k:] *= 0.0
    assert lidar(noise) < k + 0.1


def test_identical_views_and_fewer_samples_than_dimensions() -> None:
    Z = np.repeat(np.random.default_rng(0).normal(size=(4, 1, 10)), 3, axis=1)
    assert 1 < lidar(Z) < 3.001  # four means span three directions, and within is delta alone


metrics = pytest.mark.parametrize(
    "metric", [effective_rank, rankme, lambda Z: alpha_req(Z), lambda Z: lidar(Z.reshape(10, 4, -1))]
)


@metrics
def test_lists_and_tensors_of_any_precision_are_arrays(metric) -> None:
    Z = np.random.default_rng(6).normal(size=(40, 20)) * np.linspace(3, 1, 20)
    expected = metric(Z)
    assert metric(torch.tensor(Z, requires_grad=True)) == expected
    assert metric(torch.tensor(Z).float()) == pytest.approx(expected, rel=1e-5)
    assert metric(torch.tensor(Z).bfloat16()) == pytest.approx(expected, rel=0.02)
    assert metric(Z.astype(np.float16)) == pytest.approx(expected, rel=0.01)
    assert metric(np.round(100 * Z).astype(int)) == pytest.approx(expected, rel=0.01)


def test_lists_are_arrays() -> None:
    Z = np.random.default_rng(7).normal(size=(9, 3))
    assert effective_rank(Z.tolist()) == effective_rank(Z)
    assert rankme(Z.tolist()) == rankme(Z)
    assert lidar(Z.reshape(3, 3, 3).tolist()) == lidar(Z.reshape(3, 3, 3))


def test_integer_tensors_are_numbers() -> None:
    assert effective_rank(torch.eye(3, dtype=torch.int64)) == pytest.approx(3)


def test_collapsed_embeddings_have_no_rank() -> None:
    zeros = np.zeros((12, 8))
    assert effective_rank(zeros) == rankme(zeros) == participation_ratio(np.zeros(8)) == 0
    assert lidar(np.ones((4, 3, 8))) == 0
    # Equal embeddings that are not 0 have one direction, their mean.
    assert rankme(np.ones((12, 8))) == pytest.approx(1, abs=1e-4)


def test_eigenvalues_that_are_negative_by_rounding_are_zero() -> None:
    assert participation_ratio([1.0, 1.0, -1e-8]) == pytest.approx(2, rel=1e-12)
    assert effective_rank_of([1.0, 1.0, -1e-8]) == pytest.approx(2, rel=1e-12)


positive = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(positive, st.floats(1e-100, 1e100))
def test_ranks_lie_between_one_and_the_number_of_values_and_have_no_unit(values, unit) -> None:
    scaled = unit * np.array(values)
    for rank in (effective_rank_of, participation_ratio, lambda x: rankme_of(x, eps=0.0)):
        assert 1 - 1e-12 <= rank(values) <= len(values) * (1 + 1e-12)
        assert rank(scaled) == pytest.approx(rank(values), rel=1e-9)
    # The Renyi entropy falls with its order: 1 for the effective rank, 2 for the participation ratio.
    assert participation_ratio(values) <= effective_rank_of(values) * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(positive)
def test_covariances_have_a_smaller_rank_than_amplitudes(values) -> None:
    assert effective_rank_of(np.square(values)) <= effective_rank_of(values) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: effective_rank(np.ones(4)), r"A has shape \(4,\); expected \(m, n\)"),
        (lambda: rankme(np.ones((2, 3, 4))), r"Z has shape \(2, 3, 4\); expected \(N, d\)"),
        (lambda: rankme(np.full((3, 3), np.inf)), "NaN or infinite"),
        (lambda: rankme(torch.full((3, 3), torch.nan)), "Z must be numbers; got nan"),
        (lambda: rankme(np.ones((3, 3)), eps=-1), "eps must be at least 0; got -1"),
        (lambda: rankme(np.empty((0, 3))), "Z is empty"),
        (lambda: rankme([["a"]]), "Z must be numbers"),
        (lambda: effective_rank_of([1.0, -0.1]), "-0.1; expected numbers of at least 0"),
        (lambda: participation_ratio([-1.0]), "-1; expected numbers of at least 0"),
        (lambda: alpha_req(np.ones((1, 3))), "one row; expected two"),
        (lambda: alpha_req(np.eye(30), fit_range=(0, 5)), r"fit_range\[0\] must be a whole number"),
        (lambda: alpha_req(np.eye(30), fit_range=(5, 5)), r"\(5, 5\); expected first < last"),
        (lambda: alpha_req(np.eye(30), fit_range=(2, 31)), "from 1 to 29, the number of eigenvalues"),
        (lambda: alpha_req(np.eye(30), fit_range=3), "fit_range is 3; expected two numbers"),  # pyright: ignore
        (lambda: lidar(np.ones((4, 3))), r"expected \(n_sources, n_views, d\)"),
        (lambda: lidar(np.ones((4, 1, 3))), "4 sources and 1 views"),
        (lambda: lidar(np.ones((4, 2, 3)), delta=0), "delta must be above 0"),
        (lambda: lidar_of(np.eye(3), np.eye(2)), r"between has shape \(3, 3\) and within \(2, 2\)"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)
