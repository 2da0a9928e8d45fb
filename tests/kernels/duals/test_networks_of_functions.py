"""Networks of any functions: identical points, power series, and when they warn."""

import warnings

import numpy as np
import pytest
import torch
from scipy.special import erf

from cases import representative
from solvable.errors import InputError
from solvable.kernels import NNGP, NTK
from solvable.kernels.duals import (
    AnyActivation,
    Erf,
    HermiteSeries,
    TruncationWarning,
    as_activation,
    hermite_coefficients,
)
from solvable.kernels.duals.mehler import MOST_DEGREE
from solvable.kernels.duals.series_sums import complex_sums, mehler_sums


def relu(z):
    return np.maximum(z, 0)


def relu_and_cosine(z):
    return 3.8 * np.maximum(z - 1.06, 0) + 0.0968 * z + 0.901 - 0.0794 * np.cos(11.81 * z + 0.934)


SMOOTH = ["tanh", "silu", "softplus", "sigmoid"]
KINKED = {
    "relu": relu,
    "hardtanh": "hardtanh",
    "relu6": "relu6",
    "elu": "elu",
    "hardswish": "hardswish",
    "softsign": "softsign",
    "relu+cos": relu_and_cosine,
    "far kink": lambda z: np.maximum(z - 1, 0),
}


# Values of identical points used to lack what the series leaves out, and slopes the root of it.
@pytest.mark.filterwarnings("ignore::solvable.kernels.duals.mehler.TruncationWarning")
@pytest.mark.parametrize("depth", representative([1, 2, 3], fast=[2]))
@pytest.mark.parametrize("name", representative([*SMOOTH, *KINKED], fast=["tanh", "relu", "elu", "far kink"]))
def test_identical_points_have_the_diagonal(name, depth):
    X = np.random.default_rng(0).standard_normal((40, 7))
    for kernel in (NTK(depth, KINKED.get(name, name)), NNGP(depth, KINKED.get(name, name))):
        diagonal = kernel.diag(X)
        np.testing.assert_allclose(np.diag(kernel(X, X.copy())), diagonal, atol=1e-6 * diagonal.max(), rtol=0)
        end = float(kernel.curve(1.0))
        assert end == pytest.approx(float(kernel.diag(np.ones((1, 1)))[0]), rel=1e-6)
    if name == "tanh":
        assert float(kernel.curve(-1.0)) == pytest.approx(-end, rel=1e-12)


def test_identical_points_in_single_precision():
    X = torch.as_tensor(np.random.default_rng(0).standard_normal((40, 7)), dtype=torch.float32)
    kernel = NTK(2, "tanh")
    np.testing.assert_allclose(np.diag(kernel(X, X.clone())), kernel.diag(X), rtol=2e-5)


@pytest.mark.parametrize("kernel", [NNGP, NTK])
@pytest.mark.parametrize("options", [{"depth": 1}, {"depth": 2}, {"depth": 1, "b_std": 0.5}])
def test_power_series_of_kinks_go_on(kernel, options):
    ours = kernel(activation=relu, **options).power_series(3000)
    closed = kernel(activation="relu", **options).power_series(3000)
    np.testing.assert_allclose(ours, closed, atol=1e-14 * closed.sum())
    assert ours[2990] > 1e-10


def test_power_series_of_smooth_functions():
    for depth in (1, 2):
        ours = NTK(depth, lambda z: erf(z)).power_series(200)
        closed = NTK(depth, Erf()).power_series(200)
        np.testing.assert_allclose(ours, closed, atol=1e-13 * closed.sum())
    alpha = hermite_coefficients(lambda z: np.logaddexp(0, z), 200, 1.69, kinks=())
    series = NTK(1, "softplus", w_std=1.3).power_series(200)
    np.testing.assert_allclose(series, (1 + np.arange(201)) * alpha**2, atol=1e-12)
    alpha = hermite_coefficients(lambda z: z / (1 + np.abs(z)), 1500, kinks=(0,))
    series = NNGP(1, "softsign", w_std=1.0).power_series(1500)
    np.testing.assert_allclose(series, alpha**2, atol=1e-13)


def test_power_series_end_somewhere():
    with pytest.raises(InputError, match=r"Hermite coefficients of .*expected at most 400000"):
        NNGP(2, relu).power_series(MOST_DEGREE // 20)
    with pytest.warns(TruncationWarning, match="takes 1500 Hermite coefficients"):
        NNGP(1, AnyActivation(lambda z: np.tanh(100 * z), (), 0.1)).power_series(1500)


def test_long_complex_sums():
    rng = np.random.default_rng(0)
    rho = rng.uniform(0, 1, (3, 40)) ** 0.1 * np.exp(2j * np.pi * rng.uniform(size=(3, 40)))
    for terms in (1, 2, 1700):
        A = np.broadcast_to(rng.standard_normal(terms), (3, 1, terms))
        B = np.broadcast_to(A[0, 0], (1, 40, terms))
        for ours, plain in zip(
            complex_sums(A, B, rho, True), mehler_sums(np, [(A + 0, B)], rho, True), strict=True
        ):
            np.testing.assert_allclose(ours, plain, rtol=1e-9, atol=1e-10)


def test_warnings_are_about_what_is_asked_for():
    X = 3 * np.eye(3)
    softsign = AnyActivation(lambda z: z / (1 + np.abs(z)))
    with pytest.warns(TruncationWarning, match=r"of E\[phi'\^2\]") as told:
        NTK(1, softsign)(X)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NNGP(1, softsign)(X)
        constant = NTK(2, lambda z: 0 * z + 1.5)
        np.testing.assert_allclose(constant(X), 2.25)
        np.testing.assert_allclose(constant.diag(X), 2.25)
        np.testing.assert_allclose(NTK(1, lambda z: 0 * z)(X), 0)
    with pytest.warns(TruncationWarning, match=r"of E\[phi\^2\] at") as told:
        NNGP(1, lambda z: np.tanh(100 * z)).curve(0.5)
    assert told[0].filename == __file__


def test_a_module_is_taken_as_it_is_now():
    class Swish(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.beta = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, z):
            return z * torch.sigmoid(self.beta * z)

    module = Swish()
    activation = as_activation(module)
    before = activation.dual(1.0, 1.0, 0.5)
    with torch.no_grad():
        module.beta.fill_(3.0)
    assert activation(1.0) == pytest.approx(1 / (1 + np.exp(-1)))
    assert activation.dual(1.0, 1.0, 0.5) == before
    assert as_activation(module).dual(1.0, 1.0, 0.5)[0] != pytest.approx(before[0], rel=1e-3)
    assert module.beta.requires_grad


def test_derivatives():
    z = np.linspace(-2, 2, 41)
    phi = HermiteSeries((0.3, 1.0, -0.5, 0.2, 0.0, 0.1), 1.3)
    np.testing.assert_allclose(phi.derivative(z), (phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5, atol=1e-8)
    np.testing.assert_allclose(HermiteSeries((0.0, 0.0, 2**-0.5)).derivative(z), z, atol=1e-15)
    np.testing.assert_array_equal(HermiteSeries((2.0,)).derivative(z), 0)
    fast = AnyActivation(lambda z: torch.sin(30 * z) if torch.is_tensor(z) else np.sin(30 * z))
    slopes = fast.derivative(torch.as_tensor(z, dtype=torch.float32))
    assert slopes.dtype == torch.float32
    single = z.astype(np.float32)
    np.testing.assert_allclose(slopes.numpy(), 30 * np.cos(30 * single.astype(float)), atol=1e-4)
    assert fast.derivative(single).dtype == np.float32


@pytest.mark.parametrize(
    ("function", "moment"),
    [(lambda z: np.sqrt(np.abs(z)), r"E\[phi'\^2\]"), (np.cbrt, r"E\[phi'\^2\]"), (np.tan, r"E\[phi\^2\]")],
)
def test_moments_that_are_infinite_are_refused(function, moment):
    with pytest.raises(InputError, match=moment + " of .* does not converge: it is infinite"):
        NTK(1, function)(np.eye(3))
