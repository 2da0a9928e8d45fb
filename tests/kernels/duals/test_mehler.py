"""Any function as an activation, against two-dimensional quadrature with the derivative known."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr

from cases import representative
from solvable.errors import InputError
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Sine
from solvable.kernels.duals.mehler import AnyActivation, TruncationWarning

_SPEC = importlib.util.spec_from_file_location("dual_quadrature", Path(__file__).with_name("quadrature.py"))
_QUADRATURE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_QUADRATURE)
mean_product = _QUADRATURE.mean_product

TOLERANCE = 1e-6


def density(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def softplus(z):
    return np.logaddexp(0, z)


def mish(z):
    return z * np.tanh(softplus(z))


def mish_slope(z):
    t = np.tanh(softplus(z))
    return t + z * (1 - t * t) * expit(z)


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


SELU = 1.0507009873554805, 1.6732632423543772

# function, derivative, kinks
FUNCTIONS = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2, ()),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z)), ()),
    "softplus": (softplus, expit, ()),
    "gelu": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * density(z), ()),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z), ()),
    "elu": (elu, lambda z: np.exp(np.minimum(z, 0)), (0,)),
    "selu": (
        lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(np.minimum(z, 0))),
        lambda z: SELU[0] * np.where(z > 0, 1, SELU[1] * np.exp(np.minimum(z, 0))),
        (0,),
    ),
    "mish": (mish, mish_slope, ()),
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), (0,)),
    "leaky": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1), (0,)),
    "hardtanh": (lambda z: np.clip(z, -1, 1), lambda z: 1.0 * (np.abs(z) < 1), (-1, 1)),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z: 1.0 * ((z > 0) & (z < 6)), (0, 6)),
    "hardswish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(np.abs(z) < 3, (2 * z + 3) / 6, 1.0 * (z > 0)),
        (-3, 3),
    ),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2, (0,)),
    "abs": (np.abs, np.sign, (0,)),
    "sin 3z": (lambda z: np.sin(3 * z), lambda z: 3 * np.cos(3 * z), ()),
    "square": (lambda z: z**2, lambda z: 2 * z, ()),
    "cube": (lambda z: z**3, lambda z: 3 * z**2, ()),
    "mimic": (
        lambda z: 3.8 * np.maximum(z - 1.06, 0) + 0.0968 * z + 0.901 - 0.0794 * np.cos(11.81 * z + 0.934),
        lambda z: 3.8 * (z > 1.06) + 0.0968 + 0.0794 * 11.81 * np.sin(11.81 * z + 0.934),
        (1.06,),
    ),
}


# Of these only softsign tells of a larger error, at variance 5.
@pytest.mark.filterwarnings("ignore::solvable.kernels.duals.mehler.TruncationWarning")
@pytest.mark.parametrize("name", representative(FUNCTIONS, fast=["softsign", "abs", "cube"]))
def test_dual_against_quadrature(name):
    function, slope, kinks = FUNCTIONS[name]
    # Found kinks are tested through a function that does not tell them.
    activation = AnyActivation(lambda z: function(z))
    panels = 120 if name in ("mimic", "sin 3z") else 48
    cases = [
        (1.0, 1.0, 0.6),
        (1.0, 1.0, 0.999999),
        (0.3, 2.0, -0.7),
        (0.1, 5.0, 1.0),
        (5.0, 5.0, -1.0),
        (1, 3, 0.0),
    ]
    cases += [(0.01, 0.02, 0.9), (5.0, 4.0, -0.999999)]
    for a, b, rho in cases:
        told = np.maximum(np.maximum(activation.error(a), activation.error(b)), TOLERANCE)
        assert name == "softsign" or max(told) <= 1.1 * TOLERANCE
        value, slope_value = activation.dual(a, b, rho * np.sqrt(a * b))
        size, slope_size = (
            np.sqrt(
                mean_product(f, f, a, a, 1.0, kinks, panels=panels) * mean_product(f, f, b, b, 1.0, kinks)
            )
            for f in (function, slope)
        )
        truth = mean_product(function, function, a, b, rho, kinks, panels=panels)
        assert abs(value - truth) <= told[0] * size, (a, b, rho)
        truth = mean_product(slope, slope, a, b, rho, kinks, panels=panels)
        assert abs(slope_value - truth) <= told[1] * slope_size, (a, b, rho)


@pytest.mark.filterwarnings("ignore::solvable.kernels.duals.mehler.TruncationWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_moments_against_quadrature(name):
    function, slope, kinks = FUNCTIONS[name]
    variances = np.array([0.1, 1.0, 1.0, 5.0])
    value, slope_value = AnyActivation(function).moments(np, variances, True)
    for i, a in enumerate(variances):
        truth = mean_product(function, function, a, a, 1.0, kinks, panels=200)
        assert value[i] == pytest.approx(truth, rel=1e-9 if name != "softsign" else 1e-8)
        truth = mean_product(slope, slope, a, a, 1.0, kinks, panels=200)
        assert slope_value[i] == pytest.approx(truth, rel=TOLERANCE if name != "softsign" else 1e-5)


def test_smaller_tolerance_is_kept():
    activation = AnyActivation(np.tanh, (), tolerance=1e-11)
    value, slope = activation.dual(1.0, 2.0, np.sqrt(2))
    derivative = FUNCTIONS["tanh"][1]
    assert value == pytest.approx(mean_product(np.tanh, np.tanh, 1, 2, 1.0), rel=1e-11)
    assert slope == pytest.approx(mean_product(derivative, derivative, 1, 2, 1.0), rel=1e-11)
    assert max(activation.error(1.0)) <= 1e-11 < AnyActivation(np.tanh).error(1.0)[1]


def test_closed_forms_agree_on_tiles():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(0.1, 3, (2, 40))
    c = rng.uniform(-1, 1, (40, 40)) * np.sqrt(np.outer(x, z))
    for ours, closed in [
        (AnyActivation(lambda t: np.maximum(t, 0)), ABReLU()),
        (AnyActivation(lambda t: np.where(t > 0, t, 0.3 * t)), ABReLU(negative=0.3)),
        (AnyActivation(GELU()), GELU()),
        (AnyActivation(lambda t: 2 * np.sin(1.5 * t + 0.3)), Sine(2.0, 1.5, 0.3)),
    ]:
        X = tuple(p[:, None] for p in ours.prepare(np, x))
        Z = tuple(p[None, :] for p in ours.prepare(np, z))
        value, slope = ours.pair(np, X, Z, c.copy(), True)
        truth, true_slope = closed.pair(np, (x[:, None],), (z[None],), c.copy(), True)
        np.testing.assert_allclose(value, truth, atol=2e-6)
        np.testing.assert_allclose(slope, true_slope, atol=5e-6)
        assert ours.pair(np, X, Z, c.copy(), False)[1] is None


def test_step_has_an_nngp_and_no_ntk():
    step = AnyActivation(np.sign)
    x = step.prepare(np, np.ones(3))
    value, _ = step.pair(np, x, x, np.array([0.0, 0.5, 1.0]), False)
    np.testing.assert_allclose(value, [0, 1 / 3, 1], atol=1e-12)
    np.testing.assert_allclose(step.moments(np, np.array([0.3, 2.0]), False)[0], 1, atol=1e-12)
    with pytest.raises(InputError, match=r"sign jumps at z = 0: its derivative has no second moment.*NNGP"):
        step.dual(1.0, 1.0, 0.5)
    with pytest.raises(InputError, match=r"jumps at z = 0.25"):
        AnyActivation(lambda z: np.where(z < 0.25, z, z + 1)).check_derivative()


def test_points_without_variance():
    value, slope = AnyActivation(softplus).dual([0.0, 0.0], [0.0, 2.0], [0.0, 0.0])
    mean = np.array([np.log(2), mean_product(softplus, np.ones_like, 2.0, 1.0, 0.0)])
    np.testing.assert_allclose(value, np.log(2) * mean, rtol=1e-6)
    np.testing.assert_allclose(slope, 0.25, rtol=1e-6)
    value, slope = AnyActivation(lambda z: np.maximum(z, 0)).dual(0.0, 2.0, 0.0)
    assert value == pytest.approx(0, abs=1e-6)
    assert slope == pytest.approx(0.25)
    value, _ = AnyActivation(np.tanh).dual(1e-10, 1e-8, 1e-9)
    assert value == pytest.approx(1e-9, rel=1e-5)


def test_sides_of_different_length():
    # The series of small variances are shorter; leaving terms out on one side alone would cost 1e-3.
    activation = AnyActivation(np.tanh)
    small, large = activation.prepare(np, np.full(2, 0.05)), activation.prepare(np, np.full(2, 5.0))
    assert small[1].shape[-1] < large[1].shape[-1]
    value, slope = activation.pair(np, small, large, np.full(2, 0.5), True)
    derivative = FUNCTIONS["tanh"][1]
    np.testing.assert_allclose(value, mean_product(np.tanh, np.tanh, 0.05, 5.0, 1.0), rtol=2e-6)
    np.testing.assert_allclose(slope, mean_product(derivative, derivative, 0.05, 5.0, 1.0), rtol=2e-6)


def test_equal_variances_share_one_row():
    activation = AnyActivation(np.tanh)
    rounded = 1 + 1e-15 * np.arange(3)
    numbers = activation.prepare(np, rounded)
    assert numbers[1].strides[0] == 0
    many = activation.prepare(np, np.array([[0.5, 1.0], [1.0, 2.0]]))
    assert many[1].shape[:2] == (2, 2)
    np.testing.assert_allclose(many[1][0, 1, :20], numbers[1][0, :20], atol=1e-10)


@pytest.mark.parametrize(
    "function", [np.tanh, lambda z: np.maximum(z - 0.5, 0) if isinstance(z, np.ndarray) else z]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_tiles(function, dtype):
    from array_api_compat import torch as xp

    activation = AnyActivation(function)
    x = np.array([0.5, 1.0, 2.0])
    c = 0.3 * np.sqrt(np.outer(x, x))
    X = activation.prepare(xp, torch.as_tensor(x, dtype=dtype))
    assert X[1].dtype == dtype
    tile = torch.as_tensor(c, dtype=dtype)
    value, slope = activation.pair(xp, tuple(p[:, None] for p in X), tuple(p[None] for p in X), tile, True)
    truth, true_slope = activation.dual(x[:, None], x[None], c)
    atol = 1e-12 if dtype == torch.float64 else 1e-6
    np.testing.assert_allclose(value.numpy(), truth, atol=atol)
    np.testing.assert_allclose(slope.numpy(), true_slope, atol=atol)
    moments = activation.moments(xp, torch.as_tensor(x, dtype=dtype), True)
    assert moments[1].dtype == dtype
    np.testing.assert_allclose(
        activation(torch.as_tensor(x, dtype=dtype)).numpy(), activation(x), rtol=1e-6, atol=1.6
    )


def test_complex_covariances():
    circle = 0.9 * np.exp(2j * np.pi * np.arange(256) / 256)
    for function, powers in [(np.tanh, 12), (lambda z: np.maximum(z, 0), 12)]:
        activation = AnyActivation(function)
        x = activation.prepare(np, np.ones(256))
        value, slope = activation.pair(np, x, x, circle.copy(), True)
        series = (np.fft.fft(value) / 256 / 0.9 ** np.arange(256))[:powers].real
        alpha = activation.hermite_coefficients(powers)
        np.testing.assert_allclose(series, alpha[:powers] ** 2, atol=1e-9)
        series = (np.fft.fft(slope) / 256 / 0.9 ** np.arange(256))[: powers - 1].real
        np.testing.assert_allclose(series, (np.arange(powers) * alpha[:powers] ** 2)[1:], atol=1e-8)


def test_too_steep_functions_warn_and_tell():
    with pytest.raises(InputError, match="too steep for a Hermite series"):
        AnyActivation(lambda z: np.tanh(100 * z)).prepare(np, np.ones(3))
    steep = AnyActivation(lambda z: np.tanh(20 * z))
    with pytest.warns(TruncationWarning, match="it is too steep for a Hermite series"):
        steep.prepare(np, np.ones(3))
    assert steep.error(1.0)[1] > 1e-2
    # A fast oscillation lives beyond the last term: only Parseval's sum sees it.
    assert AnyActivation(lambda z: np.sin(60 * z), ()).error(1.0)[0] > 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AnyActivation(np.tanh).prepare(np, np.linspace(0.1, 5, 7))


@pytest.mark.parametrize(
    ("function", "variance", "says"),
    [
        (lambda z: np.exp(z * z), 1.0, "diverges at pre-activation variance 1;"),
        (lambda z: np.exp(0.3 * z * z), 5.0, "diverges at pre-activation variance 5;"),
        (lambda z: np.exp(np.exp(z)), 1.0, "diverges"),
        (lambda z: np.where(z > 2, np.nan, z), 1.0, "is nan at z = 2"),
        (lambda z: 1 / z, 1.0, "is (inf|nan|-inf) at z = 0"),
    ],
)
def test_functions_without_a_second_moment(function, variance, says):
    with pytest.raises(InputError, match=says):
        AnyActivation(function).dual(variance, variance, 0.5)


def test_fast_growth_that_converges():
    function = lambda z: np.exp(0.2 * z * z)  # noqa: E731
    value, _ = AnyActivation(function).dual(1.0, 1.0, 0.5)
    # E exp(0.2 (u^2 + v^2)) = det(1 - 0.4 C)^(-1/2)
    assert value == pytest.approx((0.6**2 - 0.2**2) ** -0.5, rel=1e-6)
    value, slope = AnyActivation(np.exp).dual(5.0, 5.0, 5.0)
    assert value == pytest.approx(np.exp(10.0), rel=1e-6)
    assert slope == pytest.approx(np.exp(10.0), rel=1e-6)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda z: 1.0, "returned a float"),
        (lambda z: z[:1], r"returned shape \(1,\) for an input of shape \(100,\)"),
        (lambda z: z * 1j, "returned complex128 numbers"),
        (lambda z: max(z, 0), "fails on arrays"),
        (
            lambda z: z + np.random.default_rng().standard_normal(z.shape),
            "other values when it is called again",
        ),
        (lambda z: z - z.mean(), "is not elementwise"),
        (np.tanh(1.0), "is not a function"),
        (torch.nn.Tanh, r"add \(\) after the class"),
    ],
)
def test_what_is_no_function(function, says):
    with pytest.raises(InputError, match=says):
        AnyActivation(function)


def test_values():
    assert AnyActivation(np.tanh) == AnyActivation(np.tanh)
    assert hash(AnyActivation(np.tanh, [1, 0])) == hash(AnyActivation(np.tanh, (0.0, 1.0)))
    assert repr(AnyActivation(np.tanh, (0.0,), 1e-8)) == "AnyActivation(tanh, kinks=(0.0,), tolerance=1e-08)"
    with pytest.raises(InputError, match="tolerance"):
        AnyActivation(np.tanh, tolerance=0)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.1, 5),
    st.floats(0.1, 5),
    st.floats(-1, 1),
    st.sampled_from(["tanh", "hardtanh", "elu", "mish", "relu6"]),
)
def test_cauchy_schwarz(a, b, rho, name):
    activation = AnyActivation(FUNCTIONS[name][0])
    c = rho * np.sqrt(a * b)
    pair = activation.dual(a, b, c)
    x, z = activation.dual(a, a, a), activation.dual(b, b, b)
    for mean, left, right in zip(pair, x, z, strict=True):
        assert abs(mean) <= np.sqrt(left * right) * (1 + 1e-5)
