"""The trichotomy against the coefficients of whole spectra, and its warnings in low dimension."""

import warnings

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.kernels.names import KERNEL_NAMES
from solvable.overfitting.asymptotics import (
    KERNEL_SMOOTHNESS,
    LowDimensionWarning,
    effective_dimension,
    exponential_asymptotics,
    kernel_asymptotics,
    log_corrected_asymptotics,
    log_normal_asymptotics,
    low_dimension_caveat,
    matern_asymptotics,
    power_law_asymptotics,
    power_law_coefficient,
)
from solvable.overfitting.theory import overfitting_coefficient
from solvable.spectra import Eigensystem, hypersphere, log_effective_ridge, power_law


def off(law, task, n, ridge=0.0):
    """Return the largest relative error of a law's formula over sizes."""
    return float(np.abs(law.coefficient(n) / overfitting_coefficient(task, n, ridge) - 1.0).max())


@pytest.mark.parametrize(
    ("alpha", "n", "error"),
    [(1.5, [100, 1e5], 3e-6), (1.5, [10], 8e-4), (1.05, [10], 0.025), (2.0, [30, 300], 1e-12)],
)
def test_power_law(alpha, n, error):
    law = power_law_asymptotics(alpha)
    assert (law.regime, law.limit) == ("tempered", alpha)
    assert off(law, power_law(alpha), n) < error
    assert law.coefficient(np.inf) == alpha


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("alpha", [1.1, 1.6, 3.0])
def test_power_law_with_a_ridge(alpha, ridge):
    law, task = power_law_asymptotics(alpha, ridge), power_law(alpha)
    assert (law.regime, law.limit, law.coefficient(np.inf)) == ("benign", 1.0, 1.0)
    assert off(law, task, [100], ridge) < 3e-4
    assert off(law, task, [1000, 1e6], ridge) < 3e-6
    # The same through the ratio of train to test error.
    n = 1000.0
    tau = ridge / (n * np.exp(log_effective_ridge(task, n, ridge=ridge)))
    expected = overfitting_coefficient(task, n, ridge)
    np.testing.assert_allclose(power_law_coefficient(alpha, n, tau), expected, rtol=1e-5)
    np.testing.assert_allclose(power_law_coefficient(alpha, train_to_test=tau), expected, rtol=1e-3)


def test_the_rate_under_a_ridge_is_the_leading_term():
    rate = power_law_asymptotics(1.6, 1.0).rate
    prefactor, exponent = rate.removeprefix("E0 - 1 ~ ").split(" n^")
    n = 1e9
    exact = float(overfitting_coefficient(power_law(1.6), n, 1.0)) - 1.0
    assert float(prefactor) * n ** float(exponent) == pytest.approx(exact, rel=0.01)


def log_corrected(end=1e60):
    """Return 1/(i ln²(i+1)): modes one by one, then in bins a hundredth wide, then the trace beyond, 1/ln."""
    edges = np.concatenate(
        [np.arange(0.5, 20_000), np.exp(np.arange(np.log(19_999.5), np.log(end), 0.01))[1:]]
    )
    i = np.where(edges[1:] < 20_000, (edges[1:] + edges[:-1]) / 2, np.sqrt(edges[1:]) * np.sqrt(edges[:-1]))
    return Eigensystem.from_log_eigenvalues(
        -np.log(i) - 2 * np.log(np.log(i + 1)),
        multiplicities=np.diff(edges),
        tail_trace=1 / np.log(edges[-1]),
    )


def test_log_corrected_is_benign_and_does_not_look_it():
    n = np.array([1e2, 1e3, 1e4, 1e5])
    exact = overfitting_coefficient(log_corrected(), n)
    np.testing.assert_allclose(exact, [1.2745, 1.1794, 1.1305, 1.1020], atol=1e-4)
    law = log_corrected_asymptotics(2)
    assert (law.regime, law.limit) == ("benign", 1.0)
    np.testing.assert_allclose(law.coefficient(n), [1.217, 1.145, 1.109, 1.087], atol=5e-4)
    assert off(law, log_corrected(), [1e2]) < 0.046
    assert off(law, log_corrected(), [1e5]) < 0.014
    assert overfitting_coefficient(log_corrected(1e250), 1e200) == pytest.approx(
        float(law.coefficient(1e200)), abs=1e-4
    )


def test_exponential():
    def task(rate, power=1.0, modes=5000):
        return Eigensystem(log_eigenvalues=-rate * np.arange(1.0, modes) ** power)

    law = exponential_asymptotics(0.5)
    assert (law.regime, law.limit) == ("catastrophic", np.inf)
    assert off(law, task(0.5), [101, 1000]) < 1e-8
    for rate, factor in ((2, 1.002), (5, 1.415), (10, 7.52)):
        exact = overfitting_coefficient(task(rate), 400)
        assert exact / exponential_asymptotics(rate).coefficient(400) == pytest.approx(factor, rel=1e-3)
    assert off(exponential_asymptotics(3, 0.5), task(3, 0.5, 30_000), [100]) < 1e-3
    assert off(exponential_asymptotics(3, 0.2), task(3, 0.2, 1_000_000), [1e5]) < 0.008
    assert exponential_asymptotics(3, 0.1).coefficient(1e5) == 1.0  # never below 1


def test_log_normal():
    law = log_normal_asymptotics()
    assert (law.regime, law.limit) == ("catastrophic", np.inf)
    assert off(law, Eigensystem(log_eigenvalues=-(np.log(np.arange(1.0, 10_000)) ** 2)), [100, 1000]) < 2e-3


def test_kernels_on_spheres():
    laplace = hypersphere(lambda t: np.exp(-np.sqrt(2 - 2 * t)), 6, n_levels=80)
    assert off(kernel_asymptotics("laplace", 5), laplace, [100, 400, 1600]) < 0.015
    matern = hypersphere(
        lambda t: (1 + np.sqrt(6 - 6 * t)) * np.exp(-np.sqrt(6 - 6 * t)), 6, n_levels=80, n_quadrature=2000
    )
    assert off(kernel_asymptotics("matern32", 5), matern, [100, 400, 1600]) < 0.04


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("laplace", 1.2),
        ("relu ntk", 1.2),
        ("matern32", 1.6),
        ("relu nngp", 1.6),
        ("matern52", 2.0),
        ("gaussian", np.inf),
    ],
)
def test_kernels_by_name(name, limit):
    law = kernel_asymptotics(name, dimension=5)
    assert law.limit == pytest.approx(limit)
    assert law.regime == ("tempered" if np.isfinite(limit) else "catastrophic")
    assert kernel_asymptotics(name, dimension=1, ridge=0.1).regime == "benign"  # and no warning
    if np.isfinite(limit):
        assert effective_dimension(law.limit, KERNEL_SMOOTHNESS[name]) == pytest.approx(5)
    assert name in KERNEL_NAMES


@pytest.mark.parametrize(
    ("smoothness", "dimension", "infinite"),
    [
        (0.5, 1, False),
        (0.74, 1, False),
        (0.75, 1, True),
        (1.5, 1, True),
        (0.5, 2, False),
        (0.99, 2, False),
        (1.0, 2, True),
        (np.inf, 2, True),
        (np.inf, 3, False),
        (2.5, 3, False),
    ],
)
def test_low_dimension(smoothness, dimension, infinite):
    caveat = low_dimension_caveat(smoothness, dimension)
    assert caveat is not None
    assert ("infinite" in caveat) == infinite
    if infinite:
        with pytest.warns(LowDimensionWarning, match="infinite .* report medians"):
            law = matern_asymptotics(smoothness, dimension)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            law = matern_asymptotics(smoothness, dimension)
    assert law.caveat == caveat


def test_no_caveat_where_the_theory_holds():
    assert low_dimension_caveat(1.5, 4) is None
    assert matern_asymptotics(1.5, 5).caveat is None
    assert "15 to 50 %" in str(kernel_asymptotics("gaussian", 5).caveat)


def test_effective_dimension_of_no_overfitting_is_infinite():
    assert effective_dimension([1.0, 1.5], 0.5).tolist() == [np.inf, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_law_asymptotics(1.0), "alpha must be above 1; got 1"),
        (lambda: power_law_asymptotics(2.0, -1.0), "ridge must be at least 0; got -1"),
        (lambda: power_law_asymptotics(2.0).coefficient(1), "n_train must be above 1; got 1"),
        (
            lambda: power_law_coefficient(2.0, 10, 1.5),
            "train_to_test must be at least 0 and at most 1; got 1.5",
        ),
        (lambda: log_corrected_asymptotics(1), "log_power must be above 1; got 1"),
        (lambda: exponential_asymptotics(0), "rate must be above 0; got 0"),
        (lambda: exponential_asymptotics(1, -2), "power must be above 0; got -2"),
        (lambda: matern_asymptotics(0, 3), "smoothness must be above 0; got 0"),
        (lambda: matern_asymptotics(0.5, 0.5), "dimension must be at least 1; got 0.5"),
        (lambda: matern_asymptotics([0.5, 1.5], 3), "smoothness must be one number; got 2"),
        (
            lambda: kernel_asymptotics("matern 32", 3),
            "unknown kernel 'matern 32'; .* did you mean 'matern32'",
        ),
        (
            lambda: kernel_asymptotics("gaussian", 5).coefficient(100),
            "no formula .* n = 100, only E0 ~ n",
        ),
        (
            lambda: matern_asymptotics(0.5, 5, 0.1).coefficient(100),
            "give the spectrum to overfitting_coefficient",
        ),
        (lambda: effective_dimension(0.9, 0.5), "coefficient must be at least 1; got 0.9"),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
