"""Reference profiles against enumeration and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.stats import binom

from solvable.errors import InputError
from solvable.overfitting.label_noise import (
    chance_error,
    clean_to_noisy,
    compose_noise,
    noisy_to_clean,
    resampled_noise,
)
from solvable.overfitting.reference import (
    bayes_profile,
    knn_excess,
    knn_profile,
    linear_smoother_flip_error,
    nearest_neighbor_torus_mse,
    sampler_profile,
)


def flipped(labels, rate, n_classes, random):
    """Return labels of which each is replaced by another class with a given probability."""
    other = (labels + random.integers(1, n_classes, size=labels.shape)) % n_classes
    return np.where(random.random(labels.shape) < rate, other, labels)


class TestVotes:
    @pytest.mark.parametrize(
        ("k", "n_classes"), [(1, 3), (2, 3), (4, 3), (6, 3), (5, 4), (6, 4), (4, 5), (4, 2)]
    )
    def test_enumeration(self, k, n_classes):
        rates = np.array([0.0, 0.1, 0.35, chance_error(n_classes)])
        expected = np.zeros(rates.shape)
        for votes in product(range(n_classes), repeat=k):
            count = np.bincount(votes, minlength=n_classes)
            probability = (1 - rates) ** count[0] * (rates / (n_classes - 1)) ** (k - count[0])
            wins = (count[0] == count.max()) / (count == count.max()).sum()
            expected += probability * (1 - wins)
        np.testing.assert_allclose(knn_profile(k, rates, n_classes).clean, expected, rtol=1e-10, atol=1e-14)

    def test_binary_is_a_binomial_tail(self):
        rates = np.array([0.01, 0.2, 0.4, 0.5])
        for k in (1, 3, 11, 101, 301):
            tail = binom.sf(k // 2, k, rates)
            np.testing.assert_allclose(knn_profile(k, rates).clean, tail, rtol=1e-9)
            if k > 1:  # a vote more, and half the tie: the same
                np.testing.assert_allclose(knn_profile(k + 1, rates).clean, tail, rtol=1e-9)

    def test_drawn_votes(self):
        random = np.random.default_rng(0)
        for k, n_classes, rate in ((3, 10, 0.2), (7, 10, 0.6), (20, 5, 0.7)):
            draws = 400_000 // k
            votes = flipped(np.zeros((draws, k), int), rate, n_classes, random)
            counts = np.stack([(votes == one).sum(axis=1) for one in range(n_classes)], axis=1)
            wins = (counts[:, 0] == counts.max(axis=1)) / (counts == counts.max(axis=1)[:, None]).sum(axis=1)
            error = np.std(wins) / np.sqrt(draws)
            assert abs(knn_profile(k, rate, n_classes).clean - (1 - wins.mean())) < 4 * error

    def test_the_published_values(self):
        for k, rate, n_classes, error, tolerance in (
            (1, 0.2, 10, 0.2, 1e-12),
            (3, 0.2, 10, 0.0757, 3e-4),  # 400 000 draws
            (5, 0.2, 10, 0.0144, 3e-4),
            (3, 0.2, 2, 0.1040, 5e-5),
            (5, 0.2, 2, 0.0579, 5e-5),
            (11, 0.2, 2, 0.01165, 5e-6),
            (5, 0.4, 2, 0.3174, 5e-5),
        ):
            assert knn_profile(k, rate, n_classes).clean == pytest.approx(error, abs=tolerance)

    def test_many_votes(self):
        for k, n_classes in ((300, 10), (501, 3), (200, 1000)):
            profile = knn_profile(k, np.linspace(0.0, chance_error(n_classes), 9), n_classes)
            assert profile.clean[0] == 0.0
            assert (np.diff(profile.clean) >= -1e-13).all()
            assert profile.clean[-1] == pytest.approx(chance_error(n_classes), rel=1e-10)
            assert profile.clean[4] < 1e-6

    def test_one_vote_is_the_sampler(self):
        rates = np.linspace(0, 0.75, 4).reshape(2, 2)
        for ours, theirs in zip(knn_profile(1, rates, 4), sampler_profile(rates, 4), strict=True):
            assert ours.shape == (2, 2)
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


class TestRates:
    def test_sampler_and_bayes(self):
        p, K = 0.3, 4
        assert sampler_profile(p, K).noisy == pytest.approx(1 - (1 - p) ** 2 - p**2 / (K - 1))
        assert sampler_profile(p).noisy == pytest.approx(2 * p * (1 - p))
        bayes = bayes_profile([0.0, p, 0.75], K)
        np.testing.assert_allclose(bayes.clean, [0.0, 0.0, 0.75])
        np.testing.assert_allclose(bayes.noisy, [0.0, p, 0.75])

    def test_noisy_test_labels(self):
        random = np.random.default_rng(0)
        n, K, p, e = 1_000_000, 5, 0.3, 0.2
        truth = random.integers(0, K, n)
        answers = flipped(truth, e, K, random)
        seen = (answers != flipped(truth, p, K, random)).mean()
        assert clean_to_noisy(e, p, K) == pytest.approx(seen, abs=2e-3)
        assert clean_to_noisy(e, p, 2) == pytest.approx(p + e * (1 - 2 * p))

    def test_there_and_back(self):
        error, rate = np.linspace(0, 0.9, 7), np.linspace(0, 0.8, 5)[:, None]
        there = clean_to_noisy(error, rate, 10)
        assert there.shape == (5, 7)
        np.testing.assert_allclose(
            noisy_to_clean(there, rate, 10), np.broadcast_to(error, (5, 7)), atol=1e-14
        )

    def test_two_channels(self):
        random = np.random.default_rng(0)
        labels = np.zeros(1_000_000, int)
        twice = flipped(flipped(labels, 0.2, 4, random), 0.3, 4, random)
        assert compose_noise(0.2, 0.3, 4) == pytest.approx((twice != 0).mean(), abs=2e-3)
        assert compose_noise(0.0, 1e-9) == 1e-9
        assert compose_noise(0.5, 0.2) == pytest.approx(0.5)
        redrawn = np.where(random.random(labels.size) < 0.4, random.integers(0, 4, labels.size), labels)
        assert resampled_noise(0.4, 4) == pytest.approx((redrawn != 0).mean(), abs=2e-3)
        assert resampled_noise(1.0, 4) == chance_error(4)

    @pytest.mark.parametrize("profile", [bayes_profile, sampler_profile, lambda *rest: knn_profile(3, *rest)])
    def test_what_is_refused(self, profile):
        for rate, n_classes, match in (
            (0.6, 2, "point away from the truth"),
            (-0.1, 2, "at least 0"),
            (np.nan, 2, "numbers|at least"),
            (0.1, 1, "n_classes"),
            (0.1, 2.5, "whole number"),
        ):
            with pytest.raises(InputError, match=match):
                profile(rate, n_classes)

    def test_what_else_is_refused(self):
        for match, call in (
            ("k (is|must be)", lambda: knn_profile(0, 0.1)),
            ("whole number", lambda: knn_profile(2.5, 0.1)),  # pyright: ignore[reportArgumentType]
            ("k (is|must be)", lambda: knn_excess(0)),
            ("no information", lambda: noisy_to_clean(0.5, 0.5)),
            ("divide percentages", lambda: resampled_noise(20, 10)),
            ("divide percentages", lambda: clean_to_noisy(0.1, 20)),
            ("second", lambda: compose_noise(0.1, 0.6)),
            ("value for each test point", lambda: linear_smoother_flip_error(0.1, [1.0, 2.0], [1.0])),
            ("each mode", lambda: nearest_neighbor_torus_mse([1.0], [1.0, 2.0], 10, 1)),
            ("dimension", lambda: nearest_neighbor_torus_mse([1.0], [1.0], 10, 0)),
        ):
            with pytest.raises(InputError, match=match):
                call()


class TestRegression:
    def test_neighbours(self):
        random = np.random.default_rng(0)
        X, tests, y = random.random((400, 2)), random.random((2000, 2)), random.standard_normal((400, 200))
        for k in (1, 5):
            near = KDTree(X).query(tests, k=[*range(1, k + 1)])[1]  # pyright: ignore[reportArgumentType]
            assert (y[near].mean(axis=1) ** 2).mean() == pytest.approx(float(knn_excess(k)), rel=0.03)

    def test_linear_smoother(self):
        """Labels drawn and multiplied by weights that many of them share."""
        random = np.random.default_rng(0)
        y = random.choice([-1.0, 1.0], 400)
        W = np.abs(random.standard_normal((50, 400))) * np.exp(0.3 * y)
        W /= W.sum(axis=1, keepdims=True)
        rates = np.array([0.3, 0.4, 0.45])
        formula = linear_smoother_flip_error(rates, W @ y, np.linalg.norm(W, axis=1))
        for rate, expected in zip(rates, formula, strict=True):
            noisy = np.where(random.random((4000, 400)) < rate, -y, y)
            assert (noisy @ W.T < 0).mean() == pytest.approx(expected, abs=0.01)

    def test_linear_smoother_at_its_ends(self):
        margin, norm = [1.0, -1.0, 0.0, 0.5], [0.5, 0.5, 0.0, 0.0]
        found = linear_smoother_flip_error([0.0, 0.5], margin, norm)
        np.testing.assert_allclose(found, [0.375, 0.5])
        assert linear_smoother_flip_error(0.2, margin, norm).shape == ()

    @pytest.mark.parametrize(
        ("dimension", "n", "k"),
        [(1, 50, (3,)), (2, 60, (2, 0)), (3, 80, (1, 0, 0)), (3, 80, (2, 0, 0)), (4, 300, (1, 1, 0, 0))],
    )
    def test_torus(self, dimension, n, k):
        random = np.random.default_rng(0)
        frequency = np.array(k, float)
        errors = []
        for _ in range(200):
            X, tests = random.random((n, dimension)), random.random((400, dimension))
            near = KDTree(X, boxsize=1.0).query(tests)[1]
            difference = np.exp(2j * np.pi * (tests @ frequency)) - np.exp(2j * np.pi * (X[near] @ frequency))
            errors.append((np.abs(difference) ** 2).mean())
        predicted = nearest_neighbor_torus_mse([np.linalg.norm(frequency)], [1.0], n, dimension).item()
        # Neighbours of n points are not a Poisson process, by about 1/n; the rest is the simulation's own error.
        assert predicted == pytest.approx(
            np.mean(errors), rel=0.01 + 1.5 / n + 2 * np.std(errors) / 14 / np.mean(errors)
        )

    def test_torus_closed_forms(self):
        k, n = np.array([0.0, 0.5, 3.0, 20.0]), np.array([[10.0, 100.0]])
        power = np.array([1.0, 0.3, 0.2, 0.1])
        one = nearest_neighbor_torus_mse(k, power, n, 1, noise=0.5)
        k2 = (np.pi * k) ** 2
        np.testing.assert_allclose(one, (power * 2 * k2 / (k2 + n[..., None] ** 2)).sum(-1) + 1.0)
        two = nearest_neighbor_torus_mse(k, power, n, 2)
        np.testing.assert_allclose(two, (power * (2 - 2 * np.exp(-np.pi * k**2 / n[..., None]))).sum(-1))

    def test_torus_quadrature_meets_the_closed_form(self):
        from solvable.overfitting.reference import _lost

        q = np.array([1e-6, 1e-3, 0.5, 3.0, 10.0, 100.0, 1e6])
        # In the plane, n pi r^2 is exponential: phi = exp(-q^2 / 4) in these units.
        np.testing.assert_allclose(_lost(q, 2), -np.expm1(-(q**2) / 4), rtol=1e-9)

    def test_torus_in_many_dimensions(self):
        n = np.array([10.0, 1e3, 1e6])
        for dimension in (5, 12, 50):
            mse = nearest_neighbor_torus_mse([1.0, 1e4], [0.5, 0.0], n, dimension)
            assert (np.diff(mse) < 0).all()
            assert ((mse > 0) & (mse < 1.01)).all()
