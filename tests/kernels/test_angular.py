"""Curves and power series of kernels of the angle against images of data, 30-digit Taylor series and known laws."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import factorial, gamma

from solvable.errors import InputError
from solvable.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    Gaussian,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    PowerSeries,
    RationalQuadratic,
)

COSINES = np.linspace(-1, 1, 41)
NETWORKS = [
    NTK(4, b_std=0.1),
    NNGP(2, "erf", w_std=1.5, b_std=0.3),
    NTK(2, "gelu", readout_b_std=0.2),
    NTK(2, ["sin", "relu"], w_std=[1.0, 1.3], b_std=[0.0, 0.2]),
    NNGP(3, "abs"),
    NTK(1, np.tanh, w_std=1.2),
]
EVERY = [
    *NETWORKS,
    ArcCosine(0),
    ArcCosine(1),
    ArcCosine(3),
    Polynomial(3, 0.5),
    PowerSeries([0.5, 0.0, 2.0]),
]
OF_DISTANCE = [Gaussian(1.3), Laplace(2.0), Matern(1.5, 1.0), Matern(2.5, 0.8), RationalQuadratic(0.7, 1.1)]


def pairs_at(cosines, norm):
    """Points at these angles to the first of them, in three dimensions."""
    X = np.stack([cosines, np.sqrt(1 - cosines**2), 0 * cosines], axis=1) * norm
    return np.array([[norm, 0.0, 0.0]]), X


@pytest.mark.parametrize("kernel", EVERY, ids=str)
def test_the_curve_is_the_kernel_at_inputs_of_norm_root_d(kernel):
    x, X = pairs_at(COSINES, np.sqrt(3))
    expected = kernel(x, X)[0]
    np.testing.assert_allclose(kernel.curve(COSINES), expected, rtol=1e-7, atol=1e-7 * expected.max())
    assert kernel.curve(COSINES.reshape(1, 41, 1)).shape == (1, 41, 1)
    same = kernel.curve(torch.as_tensor(COSINES))
    np.testing.assert_allclose(same.numpy(), kernel.curve(COSINES), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [*OF_DISTANCE, Linear()], ids=str)
def test_the_curve_of_kernels_of_the_distance_is_at_norm_one(kernel):
    x, X = pairs_at(COSINES, 1.0)
    np.testing.assert_allclose(kernel.curve(COSINES), kernel(x, X)[0], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kernel", [*EVERY, *OF_DISTANCE, Linear()], ids=str)
def test_the_power_series_sums_to_the_curve(kernel):
    cosines = COSINES[np.abs(COSINES) <= 0.8]
    a = kernel.power_series(150)
    scale = float(kernel.curve(1.0))
    assert a.shape == (151,)
    assert a.min() > -1e-13 * scale
    np.testing.assert_allclose(
        np.polynomial.polynomial.polyval(cosines, a), kernel.curve(cosines), atol=3e-13 * scale
    )


def test_the_authors_deep_relu_kernel():
    a = NTK(4, b_std=0.1, readout_w_std=2**0.5, readout_b_std=0.1).power_series(5)
    np.testing.assert_allclose(a, [2.95946, 1.77226, 1.37509, 0.75133, 0.50563, 0.31790], atol=6e-6)


def test_against_a_taylor_series_in_thirty_digits():
    def curve(c):
        theta = ntk = c = mpmath.mpmathify(c)
        for _ in range(3):
            theta = mpmath.acos(c)
            ntk = ntk * (mpmath.pi - theta) / mpmath.pi
            c = (mpmath.sin(theta) + (mpmath.pi - theta) * c) / mpmath.pi
            ntk += c
        return ntk

    with mpmath.workdps(60):
        exact = [float(a) for a in mpmath.taylor(curve, 0, 12)]
    kernel = NTK(3, readout_w_std=2**0.5)
    # Each K is twice the mean of a rectifier's square, 2 / 2 = 1 at c = 1.
    np.testing.assert_allclose(kernel.power_series(12), 2 * np.array(exact), rtol=1e-12)


def test_known_series():
    s = 0.8
    k = np.arange(31)
    np.testing.assert_allclose(
        Gaussian(1 / s).power_series(30), np.exp(-(s**2)) * s ** (2 * k) / factorial(k), atol=1e-15
    )
    np.testing.assert_allclose(Polynomial(2, 1.0).power_series(4), [1, 2, 1, 0, 0], atol=1e-15)
    # The rectifier: b_0^2 = 1 / 2 pi, b_1^2 = 1/4, and of even k the formula, here by gamma functions.
    a = NNGP(1, w_std=1.0).power_series(20)
    even = np.arange(2, 21, 2)
    double = 2 ** ((even - 2) / 2) * gamma((even - 1) / 2) / np.sqrt(np.pi)  # (k - 3)!!
    np.testing.assert_allclose(a[even], double**2 / (2 * np.pi * factorial(even)), rtol=1e-12, atol=1e-17)
    np.testing.assert_allclose(a[:2], [1 / (2 * np.pi), 0.25], rtol=1e-13)
    assert np.abs(a[3::2]).max() < 1e-15


@pytest.mark.parametrize(("depth", "constant"), [(1, 0.254), (2, 0.766), (4, 2.553)])
def test_the_tail_of_deep_relu_kernels(depth, constant):
    degree = 20_000
    a = NTK(depth, readout_w_std=2**0.5).power_series(degree)
    k = np.arange(degree - 200, degree)
    # Of one hidden layer the odd coefficients vanish at high order, so that pairs are averaged.
    assert np.mean(a[k] * k**1.5) == pytest.approx(constant, rel=0.02)


def test_bad_input():
    with pytest.raises(InputError, match=r"a cosine has magnitude 1\.5"):
        NTK(1).curve(1.5)
    with pytest.raises(InputError, match=r"degree must be .*; got -1"):
        NTK(1).power_series(-1)
    with pytest.raises(InputError, match=r"length_scale of .* is not set"):
        Gaussian().curve(0.5)
    with pytest.raises(InputError, match="no function of the cosine alone"):
        NTK(1, parametrization="standard", widths=10).power_series(3)
