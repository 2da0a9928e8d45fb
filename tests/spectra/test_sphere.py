"""Kernels with a kink where points meet, and high dimensions, against mpmath's own quadrature; tails that underflow."""

import mpmath
import numpy as np
import pytest

from solvable.errors import InputError
from solvable.spectra import UnresolvedTail, gaussian_data, hypersphere


def laplace(t):
    return np.exp(-np.sqrt(np.maximum(2 - 2 * t, 0.0)))


def by_mpmath(kernel, dimension, degree):
    """Return one eigenvalue from the power series of the Gegenbauer polynomial, in 30 digits."""
    with mpmath.workdps(30):
        index = mpmath.mpf(dimension) / 2 - 1
        half_width = min(mpmath.pi / 2, 30 / mpmath.sqrt(dimension))
        panels = mpmath.linspace(-half_width, half_width, 12)
        series = [mpmath.mpf(0)] * (degree + 1)
        for j in range(degree // 2 + 1):
            term = mpmath.rf(index, degree - j) / mpmath.factorial(j) / mpmath.factorial(degree - 2 * j)
            series[2 * j] = (-1) ** j * term * 2 ** (degree - 2 * j)
        at_one = mpmath.polyval(series, 1)

        def weight(latitude):
            return mpmath.cos(latitude) ** (dimension - 2)

        def integrand(latitude):
            t = mpmath.sin(latitude)
            return kernel(t) * mpmath.polyval(series, t) / at_one * weight(latitude)

        return float(mpmath.quad(integrand, panels) / mpmath.quad(weight, panels))


@pytest.mark.parametrize(
    ("dimension", "degrees"), [(6, [0, 1, 2, 5, 20]), (3, [0, 3, 11]), (1000, [0, 1]), (100_000, [0, 1])]
)
def test_laplace_by_mpmath(dimension, degrees):
    levels = hypersphere(laplace, dimension, n_levels=max(degrees) + 2).eigenvalues
    exact = [by_mpmath(lambda t: mpmath.exp(-mpmath.sqrt(2 - 2 * t)), dimension, k) for k in degrees]
    np.testing.assert_allclose(levels[degrees], exact, rtol=1e-10)


def test_network_kernel_by_mpmath():
    # The first-order arc-cosine kernel has kinks at both ends; its odd degrees above 1 are zero.
    task = hypersphere(lambda t: (t * (np.pi - np.arccos(t)) + np.sqrt(1 - t * t)) / np.pi, 5, n_levels=12)
    exact = [
        by_mpmath(lambda t: (t * (mpmath.pi - mpmath.acos(t)) + mpmath.sqrt(1 - t * t)) / mpmath.pi, 5, k)
        for k in (0, 1, 2, 4, 10)
    ]
    np.testing.assert_allclose(task.eigenvalues[[0, 1, 2, 3, 6]], exact, rtol=1e-10)
    assert (task.eigenvalues == 0.0).sum() == 5


def test_many_levels_need_no_more_nodes_than_the_default():
    few = hypersphere(laplace, 4, n_levels=400)
    many = hypersphere(laplace, 4, n_levels=400, n_quadrature=6000)
    np.testing.assert_allclose(few.eigenvalues, many.eigenvalues, rtol=1e-5, atol=1e-16)
    # λ_k falls as k^-d.
    assert few.eigenvalues[300] / few.eigenvalues[150] == pytest.approx(2.0**-4, rel=0.02)


def test_a_rest_far_below_the_least_double_is_known():
    task = gaussian_data(1.0, n_levels=3000)
    assert isinstance(task.tail, UnresolvedTail)
    step = task.log_eigenvalues[1] - task.log_eigenvalues[0]
    expected = task.log_eigenvalues[-1] + step - np.log1p(-np.exp(step))
    assert task.tail.log_trace == pytest.approx(expected, rel=1e-13)
    assert "e^-28" in str(task)
    for dimension, n_levels in ((2, 900), (5, 1200)):
        longer = gaussian_data(1.0, dimension=dimension, n_levels=n_levels + 300)
        rest = np.logaddexp.reduce((longer.log_eigenvalues + np.log(longer.multiplicities))[n_levels:])
        tail = gaussian_data(1.0, dimension=dimension, n_levels=n_levels).tail
        assert isinstance(tail, UnresolvedTail)
        # The geometric sum takes the first ratio for all.
        assert tail.log_trace == pytest.approx(rest, abs=2e-3)
    with pytest.raises(InputError, match="finite log_trace; got -inf"):
        UnresolvedTail(log_trace=-np.inf)
