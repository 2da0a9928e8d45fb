"""Hermite functions, closed-form coefficients, and Hermite series as activations."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import eval_hermitenorm, factorial

from solvable.errors import InputError
from solvable.kernels.duals.closed_forms import ABReLU, Sine
from solvable.kernels.duals.hermite import (
    cosine_coefficients,
    hermite_coefficients,
    hermite_functions,
    shifted_power_coefficients,
    shifted_relu_coefficients,
)
from solvable.kernels.duals.hermite_series import HermiteSeries
from solvable.kernels.duals.mehler import AnyActivation


def test_hermite_functions():
    z = np.linspace(-6, 6, 13)
    psi = hermite_functions(z, 20)
    weight = np.exp(-z * z / 4) / (2 * np.pi) ** 0.25
    for k in range(21):
        np.testing.assert_allclose(
            psi[k], weight * eval_hermitenorm(k, z) / np.sqrt(factorial(k)), atol=1e-13
        )
    assert np.abs(hermite_functions(np.linspace(-100, 100, 2001), 3000)).max() < 1
    assert hermite_functions(np.array(0.3), 3).shape == (4,)


@pytest.mark.parametrize("shift", [0.0, 1.06, -2.3, 7.0])
def test_shifted_relu_coefficients(shift):
    by_quadrature = hermite_coefficients(lambda z: np.maximum(z - shift, 0), 300, kinks=(shift,))
    np.testing.assert_allclose(shifted_relu_coefficients(shift, 300), by_quadrature, atol=1e-13)
    for power in (0, 2, 3, 4):
        by_quadrature = hermite_coefficients(
            lambda z, p=power: (z > shift) * (z - shift) ** p, 40, kinks=(shift,)
        )
        closed = shifted_power_coefficients(np.array([shift, 0.0]), power, 40)
        np.testing.assert_allclose(closed[0], by_quadrature, rtol=1e-11, atol=1e-11)


def test_shifted_relu_coefficients_of_high_degree():
    b = shifted_relu_coefficients(1.06, 5000)
    assert np.isfinite(b).all()
    # Parseval: what is missing falls as degree^(-3/2).
    square = float(mpmath.quad(lambda z: (z - 1.06) ** 2 * mpmath.npdf(z), [1.06, 4, 12]))
    assert 0 < square - np.sum(b**2) < 1e-6
    np.testing.assert_array_equal(shifted_relu_coefficients(0.5, 0), shifted_relu_coefficients(0.5, 9)[:1])


@pytest.mark.parametrize(("frequency", "phase"), [(1.0, 0.0), (-3.0, 0.7), (11.81, 0.934), (0.0, 0.3)])
def test_cosine_coefficients(frequency, phase):
    by_quadrature = hermite_coefficients(lambda z: np.cos(frequency * z + phase), 300, kinks=())
    np.testing.assert_allclose(cosine_coefficients(frequency, phase, 300), by_quadrature, atol=1e-13)
    assert np.isfinite(cosine_coefficients(60.0, phase, 5000)).all()


def test_hermite_coefficients_find_kinks():
    np.testing.assert_allclose(
        ABReLU().hermite_coefficients(50), shifted_relu_coefficients(0, 50), atol=1e-14
    )
    alpha = Sine(frequency=2.0).hermite_coefficients(30, variance=2.0)
    np.testing.assert_allclose(alpha, cosine_coefficients(8**0.5, -np.pi / 2, 30), atol=1e-13)
    with pytest.raises(InputError, match="diverges"):
        hermite_coefficients(lambda z: np.exp(z * z), 3)
    with pytest.raises(InputError, match=r"degree must be .*; got -1"):
        hermite_coefficients(np.tanh, -1)


def test_hermite_series_function():
    b = (0.3, -1.0, 0.0, 0.5, 0.2)
    phi = HermiteSeries(b, scale=1.5)
    z = np.linspace(-4, 4, 9)
    truth = sum(c * eval_hermitenorm(k, z / 1.5) / np.sqrt(factorial(k)) for k, c in enumerate(b))
    np.testing.assert_allclose(phi(z), truth, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(phi(torch.as_tensor(z)).numpy(), truth, rtol=1e-13, atol=1e-13)
    high = HermiteSeries(np.eye(401)[400])
    assert high(np.array([1.0]))[0] * np.exp(-0.25) / (2 * np.pi) ** 0.25 == pytest.approx(
        hermite_functions(np.array([1.0]), 400)[400, 0], abs=1e-12
    )


def test_hermite_series_dual():
    b = np.array([0.3, -1.0, 0.0, 0.5, 0.2])
    phi = HermiteSeries(b)
    k, rho = np.arange(5), np.array([-1, -0.4, 0.0, 0.9, 1.0])
    value, slope = phi.dual(1.0, 1.0, rho)
    np.testing.assert_allclose(value, (b**2 * rho[:, None] ** k).sum(1), atol=1e-14)
    np.testing.assert_allclose(slope, (k[1:] * b[1:] ** 2 * rho[:, None] ** k[:-1]).sum(1), atol=1e-14)
    # Other variances: Gauss-Hermite is exact on polynomials.
    x, w = np.polynomial.hermite_e.hermegauss(20)
    w = w / w.sum()
    a, v, r = 0.4, 2.5, 0.6
    U, V = np.sqrt(a) * x[:, None] + 0 * x, np.sqrt(v) * (r * x[:, None] + np.sqrt(1 - r * r) * x)
    value, slope = phi.dual(a, v, r * np.sqrt(a * v))
    assert value == pytest.approx(w @ (phi(U) * phi(V)) @ w, rel=1e-12)
    step = 1e-5
    up, down = (phi.dual(a, v, r * np.sqrt(a * v) + s)[0] for s in (step, -step))
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-8)
    moments = phi.moments(np, np.array([1.0, 2.5]), True)
    np.testing.assert_allclose(moments[0], [np.sum(b**2), w @ phi(np.sqrt(v) * x) ** 2], rtol=1e-12)
    np.testing.assert_allclose(phi.hermite_coefficients(6), [*b, 0, 0], atol=1e-15)
    by_quadrature = hermite_coefficients(lambda z: phi(z), 4, 2.5, kinks=())
    np.testing.assert_allclose(phi.hermite_coefficients(4, 2.5), by_quadrature, atol=1e-12)


def test_hermite_series_agrees_with_mehler_and_takes_complex_covariances():
    phi = HermiteSeries((0.5, 1.0, -0.3), scale=1.2)
    ours, general = phi.dual(1.0, 2.0, 0.7), AnyActivation(phi).dual(1.0, 2.0, 0.7)
    np.testing.assert_allclose(ours, general, rtol=1e-6)
    one = phi.prepare(np, np.full(3, 1.44))
    rho = np.array([1j, -1, 0.5j])
    value, slope = phi.pair(np, one, one, 1.44 * rho, True)
    np.testing.assert_allclose(value, 0.25 + rho + 0.09 * rho**2, atol=1e-14)
    np.testing.assert_allclose(slope * 1.44, 1 + 0.18 * rho, atol=1e-14)


@pytest.mark.parametrize(
    ("coefficients", "says"), [([], "empty"), ([0.0], "all coefficients are 0"), ([np.inf], "infinite")]
)
def test_bad_series(coefficients, says):
    with pytest.raises(InputError, match=says):
        HermiteSeries(coefficients)


def test_series_that_overflows():
    with pytest.raises(InputError, match="second moment of a Hermite series of degree 1500"):
        HermiteSeries(np.ones(1501)).moments(np, np.array([100.0]), False)
