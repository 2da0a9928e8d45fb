"""Many norms from few: interpolated means against those computed one by one."""

import numpy as np
import pytest

from cases import name, representative
from solvable.kernels import NNGP, NTK
from solvable.kernels.duals.expansion import across

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("spread", representative([0.02, 0.5, 5.0], fast=[0.5]))
@pytest.mark.parametrize(
    "activation", representative([np.tanh, "silu", "elu", "hardtanh"], fast=["silu", "elu"]), ids=name
)
@pytest.mark.parametrize("kind", representative([NNGP, NTK], fast=[NTK]))
def test_a_kernel_of_many_norms_is_that_of_each_pair(kind, activation, spread):
    X = RNG.standard_normal((400, 6)) * np.exp(spread * RNG.uniform(-1, 0.2, (400, 1)))
    kernel = kind(2, activation, b_std=0.1)
    K, some = kernel(X), np.arange(0, 400, 23)
    # So few points have each its own quadrature.
    few = kernel(X[some])
    np.testing.assert_allclose(K[np.ix_(some, some)], few, rtol=1e-6, atol=1e-7 * few.max())
    np.testing.assert_allclose(kernel.diag(X)[some], kernel.diag(X[some]), rtol=1e-6)


def test_smooth_functions_are_interpolated_to_rounding():
    asked = []

    def function(a):
        asked.append(len(a))
        return np.sqrt(1 + a), np.stack([1 / (1 + a), np.exp(-a)], axis=1)

    a = np.sort(RNG.uniform(0.2, 6.0, 1000))
    for found, exact in zip(across(function, a), function(a), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-14)
    assert max(asked[:-1]) < 100


@pytest.mark.parametrize("function", [lambda a: (np.abs(a - 1),), lambda a: (np.sin(200 * a),)])
def test_what_is_not_smooth_is_computed(function):
    a = np.sort(RNG.uniform(0.2, 6.0, 1000))
    np.testing.assert_array_equal(across(function, a)[0], function(a)[0])


def test_equal_variances_and_few_of_them():
    for a in (np.ones(500), np.array([2.0]), np.array([1.0, 3.0])):
        np.testing.assert_array_equal(across(lambda a: (a**2,), a)[0], a**2)
