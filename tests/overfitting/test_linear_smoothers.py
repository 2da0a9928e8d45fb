"""What noise costs linear smoothers: against deletion, refits, other formulas and other code."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from kernel_machine import DIGIT, DIGITS, EVEN, sphere, weights_of
from scipy.stats import binom

from solvable.errors import InputError
from solvable.kernels import Gaussian, Laplace, Linear
from solvable.overfitting.linear_smoothers import answers, class_columns, linear_smoother_profile
from solvable.overfitting.noise_weights import (
    HeavyTailWarning,
    loo_noise_costs,
    loo_overfitting_coefficient,
    noise_sensitivity,
)

# The leave-one-out coefficient


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_leaving_each_point_out_by_hand(ridge: float) -> None:
    gram = Laplace(1.0)(sphere(40, 3, 0))
    by_hand = []
    for i in range(len(gram)):
        rest = np.delete(np.arange(len(gram)), i)
        weights = np.linalg.solve(gram[np.ix_(rest, rest)] + ridge * np.eye(len(rest)), gram[rest, i])
        by_hand.append(1.0 + weights @ weights)
    costs = loo_noise_costs(gram, ridge)
    np.testing.assert_allclose(costs, by_hand, rtol=1e-12)
    assert loo_overfitting_coefficient(gram, ridge) == pytest.approx(np.mean(by_hand), rel=1e-12)


def test_an_array_of_ridges_is_each_of_them_and_the_unit_does_not_matter() -> None:
    gram, ridges = Laplace(1.0)(sphere(60, 2, 1)), np.array([[0.0, 0.01], [0.3, 2.0]])
    together = loo_overfitting_coefficient(gram, ridges)
    assert together.shape == (2, 2)
    each = [[loo_overfitting_coefficient(gram, float(ridge)) for ridge in row] for row in ridges]
    np.testing.assert_allclose(together, each, rtol=1e-11)
    for unit in (1e-200, 1e200):
        np.testing.assert_allclose(
            loo_overfitting_coefficient(unit * gram, unit * 0.3), each[1][0], rtol=1e-11
        )
        np.testing.assert_allclose(loo_overfitting_coefficient(unit * gram, unit * ridges), each, rtol=1e-11)


def test_it_is_the_cost_at_new_points() -> None:
    kernel, left_out, fresh = Laplace(1.0), [], []
    for seed in range(4):
        X = sphere(400, 5, seed)
        left_out.append(loo_overfitting_coefficient(kernel(X)))
        fresh.append(1.0 + noise_sensitivity(kernel(X), kernel(sphere(600, 5, 100 + seed), X)).mean())
    assert np.mean(left_out) == pytest.approx(np.mean(fresh), rel=0.01)
    assert np.mean(fresh) == pytest.approx(1.203, rel=0.005)


@pytest.mark.parametrize(("n", "n_features"), [(60, 200), (30, 90)])
def test_isotropic_features(n: int, n_features: int) -> None:
    costs = []
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(n + 200, n_features))
        gram = Linear()(X)
        costs.append(noise_sensitivity(gram[:n, :n], gram[n:, :n]).mean())
    assert np.mean(costs) == pytest.approx(n / (n_features - n - 1), rel=0.03)
    # Points that say nothing about one another are each predicted as zero.
    assert loo_overfitting_coefficient(3.0 * np.eye(5)) == 1.0


def test_a_heavy_tail_is_told() -> None:
    angle = np.random.default_rng(1).uniform(0, 2 * np.pi, 80)
    apart = np.abs(angle[:, None] - angle) % (2 * np.pi)
    # sum_k cos(k t) / k^4: smooth, on a circle, so that the mean does not exist.
    gram = np.pi**4 / 90 - np.pi**2 * apart**2 / 12 + np.pi * apart**3 / 12 - apart**4 / 48
    with pytest.warns(HeavyTailWarning, match="report the median of loo_noise_costs"):
        mean = loo_overfitting_coefficient(gram)
    assert mean > 3 * np.median(loo_noise_costs(gram))
    with pytest.warns(HeavyTailWarning):
        loo_overfitting_coefficient(gram, [0.0, 10.0])


def test_a_number_that_round_off_would_make_is_refused() -> None:
    X = sphere(30, 2, 0)
    twice = Laplace(1.0)(np.vstack([X, X[:1]]))
    smooth = Gaussian(1.0)(np.linspace(0, 1, 50)[:, None])
    for gram in (twice, smooth):
        for call in (
            loo_overfitting_coefficient,
            loo_noise_costs,
            partial(noise_sensitivity, gram_test=gram),
        ):
            with pytest.raises(InputError, match=r"numerically singular .* would act as a ridge and hide"):
                call(gram)
        with pytest.raises(InputError, match="with ridge 0 is numerically singular"):
            loo_noise_costs(gram, [1.0, 0.0])
        assert loo_overfitting_coefficient(gram, 0.1) > 1.0
    with pytest.raises(InputError, match="has the eigenvalue -1"):
        loo_overfitting_coefficient([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(InputError, match="has the eigenvalue -1"):
        loo_overfitting_coefficient([[1.0, 2.0], [2.0, 1.0]], [0.0, 1.0])


def test_one_ridge_and_an_array_of_it_are_refused_alike() -> None:
    refused = []
    for seed in range(4):
        gram = Gaussian(1.0)(np.random.default_rng(seed).normal(size=(80, 1)))
        for ridge in np.geomspace(3e-13, 3e-11, 15):
            said: list[Any] = []
            for given in (float(ridge), [float(ridge)]):
                try:
                    said.append(loo_noise_costs(gram, given).mean())
                except InputError as problem:
                    said.append(str(problem).split(" (")[0])
            refused.append(isinstance(said[0], str))
            assert said[0] == (said[1] if refused[-1] else pytest.approx(said[1], rel=0.02))
    assert 10 < sum(refused) < 50


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: loo_noise_costs([[1.0]]), "1 point, and leaving it out leaves none"),
        (lambda: loo_noise_costs(np.ones((2, 3))), "expected a square one"),
        (lambda: loo_noise_costs([[1.0, np.nan], [0.0, 1.0]]), "NaN or infinite"),
        (lambda: loo_noise_costs([[1.0, 0.5], [0.1, 1.0]]), "not symmetric"),
        (lambda: loo_noise_costs(np.eye(3), -1.0), "ridge must be at least 0"),
        (lambda: loo_noise_costs(np.eye(3), [1.0, np.inf]), "ridge must be finite"),
        (lambda: noise_sensitivity(np.eye(3), np.ones((3, 2))), r"expected \(m, 3\).*kernel\(X_test, X\)"),
        (lambda: noise_sensitivity(np.eye(3), [["a"]]), "no real numbers"),
        (
            lambda: noise_sensitivity(np.eye(3), np.full((1, 3), np.nan)),
            "gram_test has 3 values that are NaN",
        ),
        (lambda: noise_sensitivity(np.eye(3), np.ones((1, 3)), [0.0, 1.0]), "ridge must be one number"),
    ],
)
def test_what_cannot_be_used(call: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()


def test_two_points_and_single_precision() -> None:
    assert loo_noise_costs(np.array([[1.0, 0.5], [0.5, 1.0]])) == pytest.approx([1.25, 1.25])
    gram = Laplace(1.0)(sphere(50, 4, 0))
    assert loo_overfitting_coefficient(gram.astype(np.float32)) == pytest.approx(
        loo_overfitting_coefficient(gram), rel=1e-5
    )


def test_sensitivity_is_the_square_of_the_weights() -> None:
    kernel, X, X_test = Laplace(1.0), sphere(50, 3, 0), sphere(700, 3, 1)
    weights = weights_of(kernel, X, X_test, 0.2)
    found = noise_sensitivity(kernel(X), kernel(X_test, X), 0.2)
    np.testing.assert_allclose(found, np.square(weights).sum(axis=1), rtol=1e-10)


# A profile from weights


def test_one_neighbour_passes_on_each_label() -> None:
    y = np.repeat([-1.0, 1.0], 100)
    found = linear_smoother_profile(np.eye(200), y, y, [0.1, 0.25, 0.5], n_draws=5)
    np.testing.assert_allclose(found.test_error, [0.0, 0.1, 0.25, 0.5], atol=1e-12)
    np.testing.assert_allclose(found.standard_error, 0.0, atol=1e-12)
    ten = np.repeat(list("abcdefghij"), 20)
    found = linear_smoother_profile(np.eye(200), ten, ten, [0.3], n_draws=3)
    np.testing.assert_allclose(found.test_error, [0.0, 0.3], atol=1e-12)
    with pytest.raises(InputError, match=r"are on 1 labels or fewer.*method='draws'"):
        linear_smoother_profile(np.eye(200), y, y, [0.1], method="gaussian")


def test_three_and_four_neighbours() -> None:
    y = np.repeat([0, 1], 900)
    three = np.kron(np.eye(600), np.full(3, 1 / 3))
    found = linear_smoother_profile(three, y, y[::3], [0.2], n_draws=200)
    assert abs(found.test_error[1].item() - binom.sf(1, 3, 0.2)) < 4 * found.standard_error[1].item()
    # Two votes against two: the class that sorts first, as in scikit-learn, also where rounding says otherwise.
    tied = linear_smoother_profile([[0.1, 0.2, 0.3, 0.0]] * 3, [2, 2, 1, 0], [2, 1, 0], [0.1], n_draws=2)
    assert tied.test_error[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [EVEN, DIGIT], ids=["two classes", "ten classes"])
def test_draws_are_label_vectors_one_by_one(labels: np.ndarray) -> None:
    kernel, levels, K = Laplace(30.0), np.array([0.1, 0.3]), len(np.unique(labels))
    weights = weights_of(kernel, DIGITS[:300], DIGITS[300:600])
    found = linear_smoother_profile(
        weights, labels[:300], labels[300:600], levels, n_draws=300, random_state=1
    )
    # Independent flips, one at a time, all columns.
    rng, wrong = np.random.default_rng(0), np.zeros((2, 300))
    for i, level in enumerate(levels):
        for j in range(300):
            shift = np.where(rng.random(300) < level, rng.integers(1, K, 300), 0)
            one_hot = np.eye(K)[(labels[:300] + shift) % K]
            wrong[i, j] = ((weights @ one_hot).argmax(axis=1) != labels[300:600]).mean()
    error = np.hypot(wrong.std(axis=1) / np.sqrt(300), found.standard_error[1:])
    assert (np.abs(found.test_error[1:] - wrong.mean(axis=1)) < 4 * error).all()


def test_the_gaussian_formula_is_as_good_as_the_sheet_says() -> None:
    levels = [0.1, 0.2, 0.3, 0.4]
    for kernel, within in ((Laplace(30.0), 0.08), (Gaussian(20.0), 0.08)):
        weights = weights_of(kernel, DIGITS[:500], DIGITS[500:1300])
        profile = partial(linear_smoother_profile, weights, EVEN[:500], EVEN[500:1300], levels)
        drawn, formula = profile(n_draws=400), profile(method="gaussian")
        np.testing.assert_allclose(formula.test_error, drawn.test_error, rtol=within)
        assert (formula.standard_error == 0).all()


def test_few_draws_at_a_time_are_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(Laplace(30.0), DIGITS[:100], DIGITS[100:200])
    profile = partial(linear_smoother_profile, weights, DIGIT[:100], DIGIT[100:200], n_draws=7)
    at_once = profile()
    monkeypatch.setattr("solvable.overfitting.linear_smoothers._AT_ONCE", 1)
    assert at_once.equals(profile())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": np.ones(3)}, r"weights has shape \(3,\)"),
        ({"weights": [["a", "b"]]}, "without real numbers"),
        ({"weights": [[1.0, np.nan, 0.0]] * 2}, "weights has 2 values that are NaN"),
        ({"y": [0, 1]}, "one label for each column of the weights"),
        ({"y": [0, 0, 0]}, "one class only"),
        ({"y": [0.5, 1, 0]}, "0.5, which is no class"),
        ({"y_test": [0]}, "one label for each row of the weights"),
        ({"y_test": [0, 7]}, "y_test holds 7, which is no class of y"),
        ({"noise_levels": [0.6]}, "noise level 0.6 is too high"),
        ({"n_draws": 1}, "n_draws must be .*; got 1"),
        ({"method": "gauss"}, "did you mean 'gaussian'"),
        ({"method": "gaussian", "channel": [[0, 1], [1, 0]]}, "needs the symmetric channel"),
        ({"method": "gaussian", "y": [0, 1, 2]}, "needs two classes; got 3"),
    ],
)
def test_a_profile_that_cannot_be(change: dict[str, Any], sentence: str) -> None:
    given = {"weights": np.ones((2, 3)), "y": [0, 1, 1], "y_test": [0, 1], "noise_levels": [0.1]}
    with pytest.raises(InputError, match=sentence):
        linear_smoother_profile(**(given | change))


def test_one_column_of_two_classes_is_both() -> None:
    codes = np.random.default_rng(0).integers(0, 2, (5, 60))
    weights = np.random.default_rng(1).normal(size=(40, 60))
    one = answers(weights @ class_columns(codes, 2), 2)
    both = np.stack([(weights @ np.eye(2)[row]).argmax(axis=1) for row in codes], axis=1)
    np.testing.assert_array_equal(one, both)
