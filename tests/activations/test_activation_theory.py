"""Series of kernels and activations, against integrals, simulated networks and kernels that are known otherwise."""

import numpy as np
import pytest
from scipy.integrate import quad

from solvable.activations import hermite_series, kernel_series
from solvable.activations.formula import Formula
from solvable.activations.theory import relu_coefficients, relu_ntk_tail, series_curve
from solvable.errors import InputError
from solvable.kernels import NNGP, NTK

C = np.linspace(-1, 1, 21)


def by_quadrature(phi, k: int) -> float:
    """E[phi(z) h_k(z)], with He_k from its own recursion."""
    basis = np.polynomial.hermite_e.HermiteE.basis(k)
    norm = np.prod(np.arange(1, k + 1), dtype=float) ** 0.5

    def integrand(z: float) -> float:
        return float(phi(z) * basis(z) / norm * np.exp(-z * z / 2) / np.sqrt(2 * np.pi))

    return quad(integrand, -12, 12, limit=400, points=(-1.3, 0.0, 0.7), epsabs=1e-12)[0]


def test_relu_coefficients_are_the_integrals() -> None:
    expected = [by_quadrature(lambda z: max(z, 0.0), k) for k in range(9)]
    np.testing.assert_allclose(relu_coefficients(8), expected, atol=1e-9)
    assert [len(relu_coefficients(degree)) for degree in range(4)] == [1, 2, 3, 4]


def test_the_coefficients_of_a_formula_are_the_integrals() -> None:
    formula = Formula((0.3, -0.7, 0.2), ((1.5, 0.7), (-0.4, -1.3)), (0.8, 2.5, 0.4))
    expected = [by_quadrature(lambda z: float(formula(z)), k) for k in range(7)]
    np.testing.assert_allclose(formula.coefficients(6), expected, atol=1e-8)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_all_four_variances(kind) -> None:
    variances = {"w_std": 1.3, "b_std": 0.4, "readout_w_std": 0.8, "readout_b_std": 0.3}
    s = np.hypot(1.3, 0.4)
    b = hermite_coefficients_of_erf(s, 60)
    kernel = {"ntk": NTK, "nngp": NNGP}[kind](1, "erf", **variances)
    np.testing.assert_allclose(
        series_curve(kernel_series(b, kind, **variances), C), kernel.curve(C), atol=1e-8
    )


def hermite_coefficients_of_erf(s: float, degree: int) -> np.ndarray:
    from scipy.special import erf

    z, w = np.polynomial.hermite_e.hermegauss(180)
    h, before = np.ones_like(z), np.zeros_like(z)
    found = []
    for k in range(degree + 1):
        found.append(np.sum(w * erf(s * z) * h) / np.sqrt(2 * np.pi))
        before, h = h, (z * h - np.sqrt(k) * before) / np.sqrt(k + 1)
    return np.array(found)


@pytest.mark.parametrize("kind", ["ntk", "nngp", "first layer"])
def test_there_and_back(kind) -> None:
    b = np.array([0.0 if kind == "first layer" else 0.5, 1.0, -0.2, 0.3])
    for variances in ({}, {"w_std": 1.4, "b_std": 0.3, "readout_w_std": 0.7, "readout_b_std": 0.2}):
        if kind == "first layer" and variances:
            variances = {"readout_w_std": 0.7}
        series = kernel_series(b, kind, **variances)
        np.testing.assert_allclose(hermite_series(series, kind, np.sign(b), **variances), b, atol=1e-7)


def test_signs_of_hermite_series() -> None:
    assert hermite_series([1.0, 2.0], signs=-1).tolist() == [-1.0, -1.0]
    assert hermite_series([1.0, 2.0], signs=[1, -1]).tolist() == [1.0, -1.0]
    for signs in (5, 0, [1, 1, 1], [1], [[1, 1]], [1, 2]):
        with pytest.raises(InputError, match="expected 2 numbers 1 or -1"):
            hermite_series([1.0, 2.0], signs=signs)


def test_a_hidden_bias_shrinks_what_is_reachable() -> None:
    with pytest.raises(ValueError, match="a_0"):
        hermite_series([0.0, 1.0], b_std=0.5)


def test_three_activations_share_the_gaussian_kernel() -> None:
    s = 1.3
    expected = np.exp(-(s**2) * (1 - C))
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    functions = (
        lambda z: np.exp(s * z - s * s),
        lambda z: np.cos(s * z) + np.sin(s * z),
        lambda z: np.cos(s * z) - np.sin(s * z),
    )
    signs = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, -1, 1))
    for phi, pattern in zip(functions, signs, strict=True):
        h, before, b = np.ones_like(z), np.zeros_like(z), []
        for k in range(30):
            b.append(float(w @ (phi(z) * h)))
            before, h = h, (z * h - np.sqrt(k) * before) / np.sqrt(k + 1)
        np.testing.assert_allclose(series_curve(kernel_series(b, "nngp"), C), expected, atol=1e-12)
        assert tuple(np.sign(b[:4]).astype(int)) == pattern


def test_the_tail_of_relu_kernels() -> None:
    for depth in (1, 2, 4):
        kernel = NTK(depth, readout_w_std=2**0.5)
        series = kernel.power_series(2001)
        k = np.arange(1900, 2001)
        # The kernel of one layer has coefficients at every other power only; means of neighbours do not see that.
        law = relu_ntk_tail(depth, k).mean()
        assert series[1900:2001].mean() == pytest.approx(law, rel=0.02)


def test_wide_networks_have_the_kernel() -> None:
    """The empirical NTK of 40 networks, written out, against the series."""
    rng = np.random.default_rng(0)
    b = np.array([0.4, 0.8, -0.3, -0.2])
    phi = Formula(tuple(b))
    d, width = 5, 4000
    c = 0.6
    x = np.sqrt(d) * np.eye(d)[0]
    y = np.sqrt(d) * (c * np.eye(d)[0] + np.sqrt(1 - c * c) * np.eye(d)[1])
    found = []
    for _ in range(40):
        W, v = rng.standard_normal((width, d)), rng.standard_normal(width)
        u, t = W @ x / np.sqrt(d), W @ y / np.sqrt(d)
        found.append(np.mean(phi(u) * phi(t) + (x @ y / d) * v**2 * phi.derivative(u) * phi.derivative(t)))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - series_curve(kernel_series(b), c)) < 4 * error
    assert error < 0.02
