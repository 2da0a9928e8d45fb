"""Kernels of the inner product against scikit-learn and the sum written out."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from solvable.errors import InputError
from solvable.kernels import Linear, Polynomial, PowerSeries

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((300, 6)), RNG.standard_normal((280, 6))


def test_linear_is_the_inner_product():
    np.testing.assert_allclose(Linear()(X, Z), X @ Z.T, atol=1e-14)


@pytest.mark.parametrize("degree", range(1, 8))
@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_polynomial_equals_scikit_learn(degree, offset):
    expected = polynomial_kernel(X, Z, degree=degree, coef0=offset)
    np.testing.assert_allclose(Polynomial(degree, offset)(X, Z), expected, rtol=1e-12, atol=1e-14)


def test_power_series_is_the_sum():
    a = [0.3, 0.0, 1.2, 0.5]
    expected = sum(a_k * (X @ Z.T / 6) ** k for k, a_k in enumerate(a))
    np.testing.assert_allclose(PowerSeries(a)(X, Z), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(PowerSeries([2.0])(X, Z), 2.0)


@pytest.mark.parametrize(
    "kernel", [Linear(), Polynomial(3), Polynomial(4, 0), PowerSeries([0.1, 0.2, 0.3])], ids=str
)
def test_symmetric_with_its_own_diagonal_and_curve(kernel):
    K = kernel(X)
    assert (K == K.T).all()
    assert (np.diagonal(K) == kernel.diag(X)).all()
    np.testing.assert_allclose(np.diagonal(kernel(X, X.copy())), kernel.diag(X), rtol=1e-13)
    assert np.linalg.eigvalsh(K)[0] > -1e-12 * np.abs(K).max() * len(X)
    cosine = np.linspace(-1, 1, 7)
    norm = 1 if isinstance(kernel, Linear) else np.sqrt(2)
    on_circle = norm * np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
    expected = kernel(norm * np.array([[1.0, 0.0]]), on_circle)[0]
    np.testing.assert_allclose(kernel.curve(cosine), expected, rtol=1e-12, atol=1e-15)


def test_cosines_are_cosines():
    with pytest.raises(InputError, match=r"magnitude 1\.5"):
        Polynomial(2).curve([0.0, 1.5])
    assert Polynomial(2, 1.0).curve(1.0) == 4


def test_a_negative_coefficient_is_named():
    with pytest.raises(InputError, match=r"coefficient a_2 is -0\.1;"):
        PowerSeries([1.0, 0.0, -0.1, -5])
    with pytest.raises(InputError, match=r"degree must be .*; got 0"):
        Polynomial(0)
    with pytest.raises(InputError, match=r"offset must be .*; got -1"):
        Polynomial(2, -1)


def test_power_series_are_values():
    assert PowerSeries([1, 2]) == PowerSeries(np.array([1.0, 2.0]))
    assert hash(PowerSeries([1, 2])) == hash(PowerSeries((1.0, 2.0)))
    assert repr(PowerSeries([1, 2])) == "PowerSeries(coefficients=(1.0, 2.0))"
