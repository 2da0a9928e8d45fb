"""Spectra known exactly, against Gram matrices, explicit eigenfunctions and other formulas for the same numbers."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from solvable.errors import InputError
from solvable.regression import predict
from solvable.spectra import (
    Eigensystem,
    UnresolvedTail,
    circle,
    gaussian_data,
    hypercube,
    hypersphere,
    plug_in_eigensystem,
)


@pytest.mark.parametrize("dimension", [3, 4, 10, 40, 300])
def test_sphere_of_the_exponential_by_funk_and_hecke(dimension):
    # ∫ e^t Y_k = Γ(d/2) 2^{d/2-1} I_{d/2-1+k}(1).
    task = hypersphere(np.exp, dimension, n_levels=8, n_quadrature=100)
    index = mpmath.mpf(dimension) / 2 - 1
    exact = [float(mpmath.gamma(index + 1) * 2**index * mpmath.besseli(index + k, 1)) for k in range(8)]
    # Rounding in the quadrature is relative to the largest value.
    np.testing.assert_allclose(task.eigenvalues, exact, rtol=1e-12, atol=1e-13 * exact[0])


def test_sphere_numbers_of_the_sheet():
    task = hypersphere(np.exp, dimension=10)
    sheet = np.array([1.0511, 0.10424, 0.0086356, 0.00061410])
    assert (np.abs(task.eigenvalues[:4] - sheet) < [5e-5, 5e-6, 5e-8, 5e-9]).all()
    assert task.multiplicities[:4].tolist() == [1, 10, 54, 210]


def test_sphere_against_a_gram_matrix_of_points():
    points = np.random.default_rng(0).standard_normal((1500, 6))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.exp(2 * points @ points.T))[::-1] / len(points)
    task = hypersphere(lambda t: np.exp(2 * t), dimension=6)
    ends = np.cumsum(task.multiplicities[:3]).astype(int)
    assert ends.tolist() == [1, 7, 27]
    for level, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        assert values[start:end].mean() == pytest.approx(task.eigenvalues[level], rel=0.02)


@pytest.mark.parametrize("dimension", [3, 5, 12])
@pytest.mark.parametrize(
    "kernel", [np.exp, lambda t: np.exp(-np.sqrt(np.maximum(2 - 2 * t, 0)))], ids=["exp", "laplace"]
)
def test_sphere_mercer_sums(kernel, dimension):
    # Σ N λ = f(1) where the levels reach it, and Σ N λ² = E f(t)² under the law of the cosine.
    task = hypersphere(kernel, dimension, n_levels=40, n_quadrature=2000)
    log_norm = gammaln(dimension / 2) - gammaln((dimension - 1) / 2) - 0.5 * np.log(np.pi)

    def squared(t):
        return kernel(np.array(t)) ** 2 * np.exp(log_norm) * (1 - t * t) ** ((dimension - 3) / 2)

    mean_square = quad(squared, -1, 1, limit=400, points=[0.0])[0]
    rough = kernel is not np.exp
    total = task.multiplicities @ task.eigenvalues**2
    assert total == pytest.approx(mean_square, rel=1e-4 if rough else 1e-10)
    if not rough:
        assert task.trace == pytest.approx(np.e, rel=1e-8 if dimension > 10 else 1e-12)


def test_sphere_level_order_carries_the_target():
    # A kernel whose degree 2 outweighs degree 1: the target given by degree must follow its eigenvalue.
    task = hypersphere(lambda t: 0.1 * t + t**2, 3, n_levels=3, target_power=[0.0, 5.0, 7.0])
    assert task.multiplicities.tolist() == [1, 5, 3]
    assert task.target_power.tolist() == [0.0, 7.0, 5.0]


@pytest.mark.parametrize("dimension", [1, 5, 6])
def test_hypercube_against_explicit_parities(dimension):
    def kernel(t):
        return np.exp(t) + 0.3 * t**2

    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=dimension)))
    gram = kernel(corners @ corners.T / dimension)
    task = hypercube(kernel, dimension, target_power=np.arange(dimension + 1.0))
    by_size = {}
    for subset in itertools.product([False, True], repeat=dimension):
        parity = corners[:, list(subset)].prod(axis=1)
        image = gram @ parity / len(corners)
        value = image @ parity / len(corners)
        np.testing.assert_allclose(image, value * parity, atol=1e-14)
        by_size.setdefault(sum(subset), []).append(value)
    sizes = task.target_power.astype(int)  # target power k was given to parity size k
    for size, value, count in zip(sizes, task.eigenvalues, task.multiplicities, strict=True):
        assert len(by_size[size]) == count
        np.testing.assert_allclose(by_size[size], value, rtol=1e-10, atol=1e-14)


def test_hypercube_of_many_bits():
    task = hypercube(lambda t: t, dimension=50)
    assert task.rank == 50
    assert task.eigenvalues[0] == pytest.approx(1 / 50, rel=1e-12)
    # What lies below 1e-14 of the largest eigenvalue is left out, with all its multiplicity.
    assert hypercube(np.exp, dimension=10).trace == pytest.approx(np.e, rel=1e-10)


@pytest.mark.parametrize("n_points", [1, 2, 15, 16])
def test_circle_of_points_against_its_circulant(n_points):
    def kernel(angle):
        return np.exp(-2 * np.sin(angle / 2))

    angle = 2 * np.pi * np.arange(n_points) / n_points
    separation = np.abs(angle[:, None] - angle)
    gram = kernel(np.minimum(separation, 2 * np.pi - separation))
    task = circle(kernel, n_points=n_points)
    values = np.repeat(task.eigenvalues, task.multiplicities.astype(int))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(gram)[::-1] / n_points, rtol=1e-10)
    # On all its points the plug-in is the truth.
    np.testing.assert_allclose(plug_in_eigensystem(gram, np.arange(n_points)).eigenvalues, values, rtol=1e-10)


def test_circle_of_the_poisson_kernel():
    r = 0.7
    task = circle(lambda a: (1 - r**2) / (1 - 2 * r * np.cos(a) + r**2), n_levels=40)
    np.testing.assert_allclose(task.eigenvalues, r ** np.arange(40.0), rtol=1e-8)
    assert task.multiplicities.tolist() == [1.0] + [2.0] * 39


def quadrature_eigenvalues(length_scale, std):
    """Solve the integral equation on a grid; the trapezium rule is exact to rounding here."""
    x = np.linspace(-10.0, 10.0, 500)
    root = np.exp(-(x**2) / 4)
    root /= np.linalg.norm(root)
    kernel = np.exp(-np.square(std * (x[:, None] - x) / length_scale) / 2)
    return np.linalg.eigvalsh(root[:, None] * kernel * root)[::-1]


@pytest.mark.parametrize(("length_scale", "std"), [(1.0, 1.0), (0.5, 1.3), (3.0, 0.4)])
def test_gaussian_data_against_quadrature(length_scale, std):
    task = gaussian_data(length_scale, data_std=std)
    values = quadrature_eigenvalues(length_scale, std)
    keep = values > 1e-13
    np.testing.assert_allclose(task.eigenvalues[: keep.sum()], values[keep], rtol=1e-11, atol=1e-15)
    assert task.trace == pytest.approx(1.0, rel=1e-12)


def test_gaussian_data_in_unlike_dimensions_is_a_product():
    std = [1.0, 0.4, 0.7]
    task = gaussian_data(1.2, data_std=std, n_levels=60, target_power=np.arange(60.0))
    one, two, three = (gaussian_data(1.2, data_std=s, n_levels=40).eigenvalues for s in std)
    product = np.sort((one[:, None, None] * two[:, None] * three).ravel())[::-1]
    np.testing.assert_allclose(task.eigenvalues, product[:60], rtol=1e-12)
    assert task.target_power.tolist() == list(range(60))


def test_gaussian_data_in_like_dimensions():
    task = gaussian_data(0.9, data_std=0.8, dimension=3, n_levels=12)
    one = gaussian_data(0.9, data_std=0.8, n_levels=12).eigenvalues
    product = np.sort((one[:, None, None] * one[:, None] * one).ravel())[::-1]
    levels = np.repeat(task.eigenvalues, task.multiplicities.astype(int))
    np.testing.assert_allclose(levels, product[: len(levels)], rtol=1e-12)
    np.testing.assert_allclose(
        gaussian_data(0.9, [0.8] * 3, n_levels=12).eigenvalues, task.eigenvalues, rtol=1e-14
    )


def test_gaussian_data_far_down():
    task = gaussian_data(1.0, n_levels=3000)
    steps = np.diff(task.log_eigenvalues)
    assert task.log_eigenvalues[-1] < -2000
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hypersphere(np.exp, 2), "dimension >= 3; got 2"),
        (lambda: hypersphere(lambda t: -np.exp(t), 4), "not positive semi-definite on the sphere"),
        (lambda: hypersphere(lambda t: 1.0, 4), "must map an array"),
        (lambda: hypersphere(lambda t: np.full_like(t, np.nan), 4), "NaN or infinite"),
        (
            lambda: hypersphere(np.exp, 4, n_levels=2, target_power=[1, 1, 1]),
            "target_power has 3 levels .* only 2",
        ),
        (lambda: hypersphere(np.exp, 4, target_power=[-1.0]), "target_power must be at least 0; got -1"),
        (lambda: hypercube(np.exp, 0), "dimension >= 1; got 0"),
        (lambda: hypercube(lambda t: t**2 - 0.5, 4), "not positive semi-definite on the hypercube"),
        (lambda: circle(lambda a: -np.cos(a)), "level 1 has eigenvalue -0.5"),
        (lambda: circle(np.cos, n_points=-3), "n_points must be at least 1; got -3"),
        (lambda: gaussian_data(0.0), "length_scale must be above 0; got 0"),
        (lambda: gaussian_data(1.0, data_std=[1.0, -1.0]), "data_std must be above 0; got -1"),
        (
            lambda: gaussian_data(1.0, data_std=[1.0, 2.0], dimension=3),
            "data_std has 2 values but dimension is 3",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_what_is_not_resolved_keeps_its_trace():
    assert hypersphere(np.exp, 784).trace == pytest.approx(np.e, rel=1e-9)
    assert hypersphere(np.exp, 10_000).trace == pytest.approx(np.e, rel=1e-9)
    assert hypercube(np.exp, 30).trace == pytest.approx(np.e, rel=1e-9)
    assert gaussian_data(1.0, dimension=1000).trace == pytest.approx(1.0, rel=1e-9)
    assert gaussian_data(0.01).trace == pytest.approx(1.0, rel=1e-9)
    assert hypersphere(lambda t: 1 + t, 5, n_levels=4).rank == 6.0  # a polynomial is resolved, and ends


def test_truncated_spectrum_is_not_interpolated():
    # A Laplace kernel on the sphere at more samples than the levels kept have modes, against many more levels.
    settings = {
        "kernel": lambda t: np.exp(-np.sqrt(2 - 2 * t)),
        "dimension": 3,
        "target_power": [0, 1, 0.3, 0.1],
    }
    few = predict(hypersphere(**settings, noise=0.1), [100, 1000, 3000])
    many = predict(hypersphere(**settings, noise=0.1, n_levels=600, n_quadrature=4000), [100, 1000, 3000])
    np.testing.assert_allclose(few.test_mse, many.test_mse, rtol=0.2)
    np.testing.assert_allclose(few.test_mse[0], many.test_mse[0], rtol=1e-2)


def test_a_tail_alone_learns_nothing():
    task = Eigensystem([0.0], [1.0], tail=UnresolvedTail(1.0))
    assert (task.rank, task.trace) == (np.inf, 1.0)
    assert predict(task, 10).test_mse.item() == pytest.approx(1.0)
    assert Eigensystem(log_eigenvalues=[-800.0], tail=UnresolvedTail(2.0)).trace == pytest.approx(2.0)
    for trace in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(InputError, match="trace"):
            UnresolvedTail(trace)
