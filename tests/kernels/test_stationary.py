"""Kernels of the distance against SciPy and scikit-learn, near and far from the origin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn.gaussian_process import kernels as scikit

from solvable.errors import InputError
from solvable.kernels import Gaussian, Laplace, Matern, RationalQuadratic, median_distance

LENGTH = 1.7
KERNELS = {
    "gaussian": (Gaussian(LENGTH), lambda r: np.exp(-(r**2) / (2 * LENGTH**2))),
    "laplace": (Laplace(LENGTH), lambda r: np.exp(-r / LENGTH)),
    "matern12": (
        Matern(0.5, LENGTH),
        lambda r: scikit.Matern(LENGTH, nu=0.5)(np.zeros((1, 1)), r[..., None]),
    ),
    "matern32": (
        Matern(1.5, LENGTH),
        lambda r: scikit.Matern(LENGTH, nu=1.5)(np.zeros((1, 1)), r[..., None]),
    ),
    "matern52": (
        Matern(2.5, LENGTH),
        lambda r: scikit.Matern(LENGTH, nu=2.5)(np.zeros((1, 1)), r[..., None]),
    ),
    "rational quadratic": (RationalQuadratic(0.8, LENGTH), lambda r: (1 + r**2 / (1.6 * LENGTH**2)) ** -0.8),
}
BY_NAME = pytest.mark.parametrize(("kernel", "of_distance"), KERNELS.values(), ids=list(KERNELS))


def of_pairs(of_distance, X, Z):
    r = cdist(X, Z)
    return np.reshape(of_distance(r.ravel()), r.shape)


@BY_NAME
def test_equals_the_formula_on_exact_distances(kernel, of_distance):
    rng = np.random.default_rng(0)
    # Several tiles in both directions, none of them full.
    X, Z = rng.standard_normal((300, 7)), rng.standard_normal((270, 7)) * 2
    np.testing.assert_allclose(kernel(X, Z), of_pairs(of_distance, X, Z), rtol=1e-12, atol=1e-15)
    K = kernel(X)
    np.testing.assert_allclose(K, of_pairs(of_distance, X, X), rtol=1e-12, atol=1e-15)
    assert (K == K.T).all()
    assert (np.diagonal(K) == 1).all()
    assert (kernel.diag(X) == 1).all()
    assert np.linalg.eigvalsh(K)[0] > -1e-12 * len(X)


@BY_NAME
def test_close_points_keep_their_digits(kernel, of_distance):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 784))
    for separation in 10.0 ** -np.arange(0, 13, 2):
        Z = X + separation * rng.standard_normal(X.shape) / 28
        K, exact = kernel(X, Z), of_pairs(of_distance, X, Z)
        np.testing.assert_allclose(K, exact, rtol=0, atol=3e-12)
        if separation < 0.1:
            # These pairs are closer than a thousandth of the spread: computed from the difference itself.
            np.testing.assert_allclose(np.diagonal(K), np.diagonal(exact), rtol=0, atol=1e-15)


@BY_NAME
def test_does_not_move_with_the_data(kernel, of_distance):
    rng = np.random.default_rng(2)
    X, Z = rng.standard_normal((50, 5)) + 1e6, rng.standard_normal((30, 5)) + 1e6
    np.testing.assert_allclose(kernel(X, Z), of_pairs(of_distance, X, Z), rtol=1e-12)
    np.testing.assert_allclose(kernel(X), of_pairs(of_distance, X, X), rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(list(KERNELS)))
def test_duplicates_have_kernel_one(seed, d, name):
    kernel, _ = KERNELS[name]
    X = np.random.default_rng(seed).standard_normal((6, d)) * 10.0 ** np.arange(-3, 3)[:, None]
    assert (np.diagonal(kernel(X, X.copy())) == 1).all()
    assert (kernel(np.vstack([X, X])).reshape(2, 6, 2, 6)[0, range(6), 1, range(6)] == 1).all()


def test_median_distance_is_that_of_all_pairs():
    X = np.random.default_rng(3).standard_normal((301, 9)) + 100
    assert median_distance(X) == pytest.approx(np.median(pdist(X)), rel=1e-12)
    assert Laplace().for_data(X).length_scale == median_distance(X)
    assert Matern(2.5).for_data(X) == Matern(2.5, median_distance(X))
    assert RationalQuadratic(3.0).for_data(X) == RationalQuadratic(3.0, median_distance(X))


def test_median_distance_of_many_points_strides_evenly():
    X = np.random.default_rng(4).standard_normal((4100, 2))
    assert median_distance(X) == pytest.approx(np.median(pdist(X[::3])), rel=1e-12)


def test_unresolved_kernel_takes_its_length_from_one_set_and_refuses_two():
    X = np.random.default_rng(5).standard_normal((30, 3))
    kernel = Gaussian()
    assert not kernel.resolved
    resolved = kernel.for_data(X)
    assert resolved.resolved
    assert resolved.for_data(10 * X) is resolved
    np.testing.assert_array_equal(kernel(X), resolved(X))
    np.testing.assert_array_equal(kernel(X, X), resolved(X))
    with pytest.raises(InputError, match=r"two sets the median heuristic is ambiguous.*for_data\(X_train\)"):
        kernel(X, X.copy())
    with pytest.raises(InputError, match="length_scale"):
        kernel.features(10)


def test_no_median_without_distances():
    with pytest.raises(InputError, match="distances have no median"):
        Laplace()(np.full((5, 2), 0.1))
    with pytest.raises(InputError, match="one point"):
        Laplace().for_data(np.ones((1, 2)))
    # Two values of one rare flag: most rows are equal, and the others tell the scale.
    assert Laplace().for_data(np.array([[0.0]] * 9 + [[1.0]])).length_scale == 1.0


def test_kernels_are_values():
    assert repr(Laplace(9.63)) == "Laplace(length_scale=9.63)"
    assert repr(Matern()) == "Matern(nu=1.5, length_scale=None)"
    assert repr(Gaussian(np.float64(2))) == "Gaussian(length_scale=2.0)"
    assert Laplace(2) == Laplace(2.0)
    assert Laplace(2) != Gaussian(2)
    assert len({Laplace(2), Laplace(2.0), Matern(0.5, 2), Matern(1.5, 2)}) == 3


@pytest.mark.parametrize("length_scale", [0, -1.0, np.inf, np.nan, "long", True])
def test_bad_length_scale(length_scale):
    with pytest.raises(InputError, match="length_scale must be"):
        Laplace(length_scale)


def test_bad_shape_parameters():
    with pytest.raises(InputError, match=r"nu is 2; expected 0.5, 1.5 or 2.5"):
        Matern(2)
    with pytest.raises(InputError, match=r"alpha must be .*; got 0"):
        RationalQuadratic(0)
