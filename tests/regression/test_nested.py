"""One factorisation for all sizes: against a direct solve at each size and ridge."""

import numpy as np
import pytest

from solvable.regression.nested import nested_dual_coefficients


def gram_and_targets(n_points=60, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_points, rank or 2 * n_points))
    return factors @ factors.T / n_points, rng.standard_normal((n_points, 3))


def collect(gram, targets, sizes, ridges):
    found = {}
    for r, alpha in nested_dual_coefficients(gram, targets, np.array(sizes), np.array(ridges, dtype=float)):
        assert alpha.shape == (max(sizes), len(sizes), targets.shape[1])
        for i, n in enumerate(sizes):
            assert (i, r) not in found
            assert (alpha[n:, i] == 0.0).all()
            found[i, r] = alpha[:n, i].copy()
    assert len(found) == len(sizes) * len(ridges)
    return found


FEW_RIDGES = [0.0, 0.3]
MANY_RIDGES = [0.0, *np.logspace(-4, 2, 60)]  # eigenvectors are cheaper then


@pytest.mark.parametrize("ridges", [FEW_RIDGES, MANY_RIDGES], ids=["cholesky", "eigenvectors"])
@pytest.mark.parametrize("sizes", [[60], [5, 23, 60], [60, 1, 17]], ids=str)
def test_against_a_direct_solve(sizes, ridges):
    gram, targets = gram_and_targets()
    before = gram.copy()
    for (i, r), alpha in collect(gram, targets, sizes, ridges).items():
        n = sizes[i]
        direct = np.linalg.solve(gram[:n, :n] + ridges[r] * np.eye(n), targets[:n])
        np.testing.assert_allclose(alpha, direct, rtol=1e-9, atol=1e-10 * np.abs(direct).max())
    np.testing.assert_array_equal(gram, before)


def test_both_routes_agree(monkeypatch):
    # The route is chosen by its cost: make each the cheaper one.
    gram, targets = gram_and_targets(seed=1)
    sizes, ridges = [10, 35, 60], [0.0, 1e-3, 1.0]
    routes = {"eigh": 0, "cholesky": 0}
    from solvable.regression import nested

    for name, function in (("eigh", nested.eigh_in_place), ("cholesky", nested.cholesky_in_place)):

        def counted(*args, name=name, function=function, **options):
            routes[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(nested, "eigh_in_place" if name == "eigh" else "cholesky_in_place", counted)
    monkeypatch.setattr(nested, "_EIGH_COST", 0.0)
    by_eigh = collect(gram, targets, sizes, ridges)
    assert routes == {"eigh": 3, "cholesky": 0}
    monkeypatch.setattr(nested, "_EIGH_COST", 1e9)
    by_cholesky = collect(gram, targets, sizes, ridges)
    assert routes == {"eigh": 3, "cholesky": 3}  # one factorisation for each ridge, none for each size
    for key, alpha in by_eigh.items():
        np.testing.assert_allclose(alpha, by_cholesky[key], rtol=1e-9, atol=1e-10 * np.abs(alpha).max())


@pytest.mark.parametrize("ridges", [FEW_RIDGES, MANY_RIDGES], ids=["cholesky", "eigenvectors"])
def test_singular_matrix_gives_the_pseudo_inverse(ridges):
    gram, targets = gram_and_targets(rank=20)
    sizes = [10, 40, 60]
    found = collect(gram, targets, sizes, ridges)
    for i, n in enumerate(sizes):
        least_norm = np.linalg.pinv(gram[:n, :n], rcond=1e-10, hermitian=True) @ targets[:n]
        np.testing.assert_allclose(found[i, 0], least_norm, atol=1e-8 * np.abs(least_norm).max())
        direct = np.linalg.solve(gram[:n, :n] + ridges[-1] * np.eye(n), targets[:n])
        np.testing.assert_allclose(found[i, len(ridges) - 1], direct, atol=1e-10 * np.abs(direct).max())


@pytest.mark.parametrize("seed", range(12))
def test_last_pivot_of_rounding(seed):
    # One rank short: whether the last pivot comes out below zero or a little above is chance.
    gram, targets = gram_and_targets(20, rank=19, seed=seed)
    alpha = collect(gram, targets, [20], [0.0])[0, 0]
    least_norm = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ targets
    np.testing.assert_allclose(alpha, least_norm, atol=1e-8 * np.abs(least_norm).max())


def test_repeated_points():
    # Two rows alike: an exact zero pivot, up to rounding.
    gram = np.array([[1.0, 1.0, 0.2], [1.0, 1.0, 0.2], [0.2, 0.2, 1.0]])
    targets = np.array([[1.0], [3.0], [0.0]])
    alpha = collect(gram, targets, [2, 3], [0.0])
    np.testing.assert_allclose(alpha[0, 0], [[1.0], [1.0]], rtol=1e-12)
    np.testing.assert_allclose(gram @ alpha[1, 0], [[2.0], [2.0], [0.0]], atol=1e-12)


def test_nothing_in_the_matrix():
    alpha = collect(np.zeros((4, 4)), np.ones((4, 1)), [3, 4], [0.0, 2.0])
    assert (alpha[1, 0] == 0).all()
    np.testing.assert_allclose(alpha[0, 1], 0.5)
