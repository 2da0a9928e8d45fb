"""Kernels at the ends of the range of numbers: the right value, or one sentence; never a silent NaN or infinity."""

from fractions import Fraction
from math import exp, isqrt, sqrt

import numpy as np
import pytest
import torch
from mpmath import mpf

from solvable.errors import InputError
from solvable.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    ConvNNGP,
    ConvNTK,
    Gaussian,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
)
from solvable.kernels.gram import finite_gram
from solvable.regression import KernelClassifier, KernelRegressor

X = np.random.default_rng(0).normal(size=(6, 3))
HALVES = (torch.float16, torch.bfloat16)
OF_DISTANCE = (Gaussian, Laplace, lambda length: Matern(1.5, length), lambda length: Matern(2.5, length))


def exact_distances(points):
    """Return distances from exact rational arithmetic."""
    rows = [[Fraction(float(one)) for one in row] for row in np.asarray(points)]

    def distance(x, z):
        square = sum((a - b) ** 2 for a, b in zip(x, z, strict=True))
        shift = 10**400  # digits of the root
        return isqrt(square.numerator * shift**2 // square.denominator) / shift

    return np.array([[float(distance(x, z)) for z in rows] for x in rows])


def test_close_pairs_beside_an_outlier():
    points = np.array([[0.0], [1e-9], [1e9]])
    assert Laplace(1e-9)(points)[0, 1] == pytest.approx(exp(-1), rel=1e-12)
    assert Laplace(1e-9)(points[:2], points)[0, 1] == pytest.approx(exp(-1), rel=1e-12)
    assert next(Laplace(1e-9).rows(points))[1][0, 1] == pytest.approx(exp(-1), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 1.0, 1e5])
@pytest.mark.parametrize("outliers", [(), (1e3,), (1e9, -3e12), (1e15,)])
def test_clusters_at_all_scales_beside_outliers(scale, outliers):
    generator = np.random.default_rng(1)
    cluster = 1.0 + scale * generator.normal(size=(8, 2))
    points = np.vstack([cluster, cluster + 1e-9 * scale, *([[far, 1.0]] for far in outliers)])
    r = exact_distances(points)
    K = Laplace(scale)(points)
    # Where r is at most a few length scales, an error of K is one of r.
    near = r < 10 * scale
    np.testing.assert_allclose(K[near], np.exp(-r[near] / scale), rtol=1e-9)


def test_single_precision_beside_an_outlier():
    points = np.random.default_rng(2).normal(size=(300, 20))
    points[7] = 1e6
    single = torch.tensor(points).float()
    K = Laplace(5.0)(single).double().numpy()
    exact = single.double().numpy()
    r = np.sqrt(((exact[:, None] - exact[None]) ** 2).sum(axis=-1))
    near = r < 1e3
    assert near.sum() == 299**2 + 1
    np.testing.assert_allclose(K[near], np.exp(-r[near] / 5), rtol=1e-6)


@pytest.mark.parametrize("make", OF_DISTANCE)
@pytest.mark.parametrize("dtype", [None, torch.float32, *HALVES])
def test_length_scales_far_below_and_above_the_distances(make, dtype):
    points = X if dtype is None else torch.tensor(X).to(dtype)
    for length, expected in (
        (1e-160, np.eye(6)),
        (1e-170, np.eye(6)),
        (1e-300, np.eye(6)),
        (1e160, np.ones((6, 6))),
    ):
        K = make(length)(points)
        np.testing.assert_allclose(K if dtype is None else K.float().numpy(), expected, atol=1e-30)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("alpha", [0.01, 0.3])
@pytest.mark.parametrize("length", [1e-300, 1e-170, 1e-30, 1e-18, 1e18, 1e160, 1e300])
def test_a_power_of_the_distance_at_any_length_scale(dtype, alpha, length):
    K = RationalQuadratic(alpha, length)(torch.tensor(X).to(dtype))
    r = np.sqrt(((X[:, None] - X[None]) ** 2).sum(axis=-1))
    # For r = 0 the logarithm is that of 1.
    square = [[(mpf(one) / mpf(length)) ** 2 / (2 * mpf(alpha)) for one in row] for row in r]
    exact = [[float((1 + one) ** -mpf(alpha)) for one in row] for row in square]
    np.testing.assert_allclose(
        K.double().numpy(), exact, rtol=1e-12 if dtype == torch.float64 else 2e-4, atol=1e-44
    )


def test_close_pairs_beside_a_point_that_is_as_far_away_as_can_be():
    for far in (1e10, 1e100, 1e165, 1e250, 1e290):
        for kernel in (Laplace(1.0), Gaussian(1.0), RationalQuadratic(1.0, 1.0)):
            K = kernel([[0.0], [1.0], [-far]])
            assert K[0, 1] == pytest.approx(kernel([[0.0], [1.0]])[0, 1], rel=1e-12)
    for far in (1e10, 1e25, 1e30):
        K = Laplace(1.0)(torch.tensor([[0.0], [1.0], [far]]))
        assert K[0, 1] == pytest.approx(np.exp(-1), rel=1e-6)
    for X, dtype in (
        ([[0.0], [1.0], [1e308]], "float64"),
        (torch.tensor([[0.0], [1.0], [-3.4e38]]), "float32"),
    ):
        with pytest.raises(InputError, match=f"the distances between others are lost in .*{dtype}"):
            Laplace(1.0)(X)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e160, 1e300])
def test_angles_of_points_of_any_size(size):
    points = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, 3.0]])
    np.testing.assert_allclose(ArcCosine(0)(size * points), ArcCosine(0)(points), rtol=1e-12)
    np.testing.assert_allclose(ArcCosine(0).diag(size * points), 0.5, rtol=1e-12)
    single = ArcCosine(0)(1e-25 * torch.tensor(points).float())
    np.testing.assert_allclose(single, ArcCosine(0)(points), rtol=1e-6)
    other = size * points[::-1].copy()
    np.testing.assert_allclose(
        ArcCosine(0)(size * points, other), ArcCosine(0)(points, points[::-1]), rtol=1e-12
    )


def test_two_sets_of_different_size():
    K = Laplace(1e160)(X, 1e160 * X)
    r = np.sqrt(((X[:, None] / 1e160 - X[None]) ** 2).sum(axis=-1))
    np.testing.assert_allclose(K, np.exp(-r), rtol=1e-12)


@pytest.mark.parametrize("length", [1e-37, 1e-30, 1e-25, 1e-19])
def test_short_length_scales_in_single_precision(length):
    K = Matern(2.5, length_scale=length)(torch.tensor(X).float())
    np.testing.assert_array_equal(K, np.eye(len(X)))


@pytest.mark.parametrize("make", [*OF_DISTANCE, lambda length: RationalQuadratic(0.5, length)])
@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300])
def test_data_whose_squares_leave_the_range(make, unit):
    np.testing.assert_allclose(make(1.3 * unit)(X * unit), make(1.3)(X), rtol=1e-12)
    np.testing.assert_allclose(make(1.3 * unit)(X * unit, X[:2] * unit), make(1.3)(X, X[:2]), rtol=1e-12)
    resolved = make(None).for_data(X * unit)
    assert resolved.length_scale == pytest.approx(make(None).for_data(X).length_scale * unit, rel=1e-12)


def test_half_precision_of_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 784))
    r2 = ((pixels[:, None] - pixels[None]) ** 2).sum(axis=-1)
    K = Gaussian(1000.0)(torch.tensor(pixels).half())
    assert K.dtype == torch.float16
    np.testing.assert_allclose(K.float().numpy(), np.exp(-r2 / 2e6), rtol=1e-3)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "kernel",
    [
        *(Gaussian(0.5), Laplace(0.01), Matern(2.5, 0.01), RationalQuadratic(1.0, 1.0)),
        *(Linear(), Polynomial(3), ArcCosine(1), NTK(2), NNGP(3)),
    ],
    ids=lambda kernel: type(kernel).__name__,
)
def test_half_precision_in_and_out(kernel, dtype):
    points = torch.tensor(X).to(dtype).requires_grad_()
    wide = points.detach().double()
    rounding = {torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    for here, there in ((kernel(points), kernel(wide)), (kernel(points, points[:2]), kernel(wide, wide[:2]))):
        assert here.dtype == dtype
        assert not here.requires_grad
        np.testing.assert_allclose(here.double(), there, rtol=2 * rounding, atol=1e-4)
    assert kernel.diag(points).dtype == dtype
    assert [K.dtype for _, K in kernel.rows(points, batch=4)] == [dtype, dtype]
    for other in (X, wide):
        with pytest.raises(InputError, match=r"expected (both NumPy or both torch|the same)"):
            list(kernel.rows(points, other))
    out = torch.empty((6, 6), dtype=dtype)
    assert kernel(points, out=out) is out
    np.testing.assert_array_equal(out.float(), kernel(points).float())


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("kernel", [ConvNTK(2), ConvNNGP(2, readout="global_average")])
def test_half_precision_of_images(kernel, dtype):
    images = torch.tensor(np.random.default_rng(0).normal(size=(4, 5, 5, 2))).to(dtype).requires_grad_()
    K, wide = kernel(images), kernel(images.detach().double())
    assert K.dtype == dtype
    assert kernel.diag(images).dtype == dtype
    assert kernel(images, images[:2]).shape == (4, 2)
    np.testing.assert_allclose(K.double(), wide, rtol=2**-7)


@pytest.mark.parametrize("call", ["call", "pair", "rows", "diag"])
@pytest.mark.parametrize(
    ("kernel", "points"),
    [
        (NTK(400, w_std=10.0), X),
        (NNGP(400, w_std=10.0), X),
        (Linear(), 1e200 * X),
        (Polynomial(200), 1e10 * X),
        (Linear(), torch.tensor(1e30 * X).float()),
        (NTK(20, w_std=4.0), torch.tensor(X).half()),
    ],
    ids=["NTK", "NNGP", "Linear", "Polynomial", "single", "half"],
)
def test_values_beyond_the_range_are_refused(kernel, points, call):
    calls = {
        "call": lambda: kernel(points),
        "pair": lambda: kernel(points, points[:2]),
        "rows": lambda: list(kernel.rows(points)),
        "diag": lambda: kernel.diag(points),
    }
    with pytest.raises(
        InputError, match=r"is beyond the range of float(64|32|16), .*; expected smaller values"
    ):
        calls[call]()


def test_a_deep_convolutional_network_is_refused():
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(InputError, match="beyond the range of float64"),
    ):
        ConvNTK(400, w_std=10.0)(images)


def test_estimators_check_the_matrix():
    y = np.arange(6) % 2
    with pytest.raises(InputError, match="beyond the range"):
        KernelClassifier(NTK(400, w_std=10.0)).fit(X, y)
    with pytest.raises(InputError, match="has 36 values that are NaN or infinite"):
        KernelRegressor(lambda X, Z: np.full((len(X), len(Z)), np.nan)).fit(X, y)
    with pytest.raises(InputError, match="is 0, so that nothing can be learned"):
        KernelRegressor(NTK(400, w_std=0.01)).fit(X, y)
    finite_gram(np.eye(3), "a kernel")


def test_one_point_and_equal_points():
    for kernel in (Gaussian(1e-170), Laplace(1e-9), Matern(2.5, 1e-160)):
        assert kernel([[3.0]]).tolist() == [[1.0]]
        assert kernel(np.full((3, 2), 7.0)).tolist() == np.ones((3, 3)).tolist()
        assert kernel(np.zeros((2, 2))).tolist() == np.ones((2, 2)).tolist()


def test_lengths_that_are_within_reach_of_extreme_scales():
    points = [[0.0], [1e-170]]
    assert Gaussian(1e-170)(points)[0, 1] == pytest.approx(exp(-0.5), rel=1e-12)
    assert Matern(1.5, 1e-170)(points)[0, 1] == pytest.approx((1 + sqrt(3)) * exp(-sqrt(3)), rel=1e-12)


@pytest.mark.parametrize(
    ("dtype", "length"),
    [
        (torch.float32, 1e-30),
        (torch.float32, 1e-22),
        *((torch.float64, one) for one in (1e-250, 1e-170, 1e-155)),
    ],
)
def test_distances_whose_squares_are_lost_beside_ordinary_ones(dtype, length):
    for kernel in (Gaussian(length), Laplace(length), Matern(2.5, length), RationalQuadratic(1.0, length)):
        K = kernel(torch.tensor([[0.0], [length], [1.0]], dtype=dtype))
        alone = kernel([[0.0], [length]])
        assert float(K[0, 1]) == pytest.approx(alone[0, 1], rel=1e-6 if dtype == torch.float32 else 1e-12)
    # In units of another length they are nothing.
    assert Laplace(1.0)(torch.tensor([[0.0], [1e-300], [1.0]], dtype=torch.float64))[0, 1] == 1
