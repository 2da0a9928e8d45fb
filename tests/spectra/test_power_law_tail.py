"""The endless end of a power law, against closed forms, zeta values and four million explicit modes."""

import numpy as np
import pytest
from scipy.special import zeta

from solvable.errors import InputError
from solvable.spectra import PowerLawTail, effective_ridge, power_law


def test_inverse_squares_in_closed_form():
    # Σ a²/(a² + i²) = (πa coth πa - 1)/2, and with v² = i^-2 the other sums follow from it.
    task = power_law(2.0, 2.0)
    log_kappa = np.linspace(-80.0, 5.0, 35)
    a = np.exp(-log_kappa / 2)
    kappa = np.exp(log_kappa)
    coth = 1 / np.tanh(np.pi * a)
    z = (np.pi * a * coth - 1) / 2
    g = np.pi * a / 4 * (coth - np.pi * a * 4 * np.exp(-2 * np.pi * a) / (-np.expm1(-2 * np.pi * a)) ** 2)
    series = a < 0.3  # where these differences cancel: Σ a²i^-2 - a⁴i^-4 + ...
    powers = np.arange(1, 60)[:, None]
    terms = (-1.0) ** (powers + 1) * a[series] ** (2 * powers) * zeta(2.0 * powers)
    z[series], g[series] = terms.sum(axis=0), (powers * terms).sum(axis=0)
    learned, partly, linear, squared = task.sums(log_kappa)
    np.testing.assert_allclose(learned, z, rtol=1e-12)
    np.testing.assert_allclose(partly, g, rtol=1e-12)
    np.testing.assert_allclose(linear, kappa * z, rtol=1e-12)
    np.testing.assert_allclose(squared, kappa * g, rtol=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(1.05, 1.02), (1.5, 2.0), (2.0, 4.5), (4.0, 1.3)])
def test_against_four_million_modes(alpha, beta):
    few, many = 2000, 4_000_000
    scale, target_scale = 2.5, 0.3
    i = np.arange(few + 1.0, many + 1)
    logs, power = scale - alpha * np.log(i), target_scale * i**-beta
    start, rest = (
        PowerLawTail(alpha, beta, n, log_eigenvalue_scale=scale, target_scale=target_scale)
        for n in (few, many)
    )
    assert start.trace - rest.trace == pytest.approx(np.exp(logs).sum(), rel=1e-11)
    assert start.target_power - rest.target_power == pytest.approx(power.sum(), rel=1e-11)
    for log_kappa in (scale - alpha * np.log(m) for m in (1e2, 2e3, 1e5, 1e8)):
        learned = 1 / (1 + np.exp(log_kappa - logs))
        unlearned = 1 / (1 + np.exp(logs - log_kappa))
        explicit = [
            learned.sum(),
            (learned * unlearned).sum(),
            unlearned @ power,
            np.square(unlearned) @ power,
        ]
        whole, later = np.array(start.sums(log_kappa)), np.array(rest.sums(log_kappa))
        assert (np.abs(whole - later - explicit) <= 1e-11 * np.abs(explicit) + 1e-13 * whole).all()


@pytest.mark.parametrize(("alpha", "beta"), [(1.01, 1.01), (1.5, 2.0), (3.0, 1.2), (6.0, 6.0)])
def test_totals_are_zeta_values(alpha, beta):
    task = power_law(alpha, beta)
    assert task.trace == pytest.approx(zeta(alpha), rel=1e-12)
    assert task.total_target_power == pytest.approx(zeta(beta), rel=1e-12)


def test_effective_ridge_of_many_samples():
    # Σ λ/(λ+κ) → κ^{-1/α} (π/α)/sin(π/α).
    alpha, n = 1.7, 1e8
    kappa = (np.pi / alpha / np.sin(np.pi / alpha) / n) ** alpha
    assert float(effective_ridge(power_law(alpha, 2.0), n)) == pytest.approx(kappa, rel=1e-7)


def test_limits():
    task = power_law(1.5, 2.0, noise=0.25)
    z, g, linear, squared = (float(s) for s in task.sums(-np.inf))
    assert (z, g, linear, squared) == (np.inf, np.inf, 0.25, 0.25)
    z, g, linear, squared = (float(s) for s in task.sums(600.0))
    assert z == pytest.approx(zeta(1.5) * np.exp(-600.0), rel=1e-12)
    assert linear == pytest.approx(zeta(2.0) + 0.25, rel=1e-12)


def test_an_end_and_no_end():
    finite = power_law(1.5, 2.0, n_modes=3000)
    assert finite.rank == 3000
    assert finite.tail is None
    # A finite spectrum may be flat or rising in power.
    assert power_law(0.5, 0.0, n_modes=10).total_target_power == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0), "alpha > 1 and beta > 1"),
        ((2.0, 1.0), "alpha > 1 and beta > 1"),
        ((np.nan, 2.0), "alpha > 1"),
        ((2.0, 2.0, -1.0), "noise must be at least 0"),
        ((2.0, 2.0, 0.0, np.nan), "n_modes must be at least 1; got nan"),
        ((2.0, 2.0, 0.0, 0.5), "n_modes must be at least 1; got 0.5"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        power_law(*arguments)
