"""The spread of the kernel of a finite network, against simulated networks, moments by hand and other quadratures."""

import numpy as np
import pytest

from solvable.activations import AUTHORS_MIMIC, design, finite_width_moments, finite_width_std, required_width
from solvable.errors import InputError
from solvable.kernels import NNGP, NTK
from solvable.kernels.duals import ABReLU, Sine
from solvable.kernels.duals.mehler import AnyActivation

MIMIC = AnyActivation(AUTHORS_MIMIC)
SINUSOID = Sine(0.5, 6.0)

# Reference figures of a prototype at c = 0.5 and 0.9.
KNOWN = {
    "relu": ("relu", [1.02, 1.57], 0.005),
    "tanh": (np.tanh, [0.474, 0.709], 2e-3),
    "sinusoid": (SINUSOID, [3.9, 7.0], 5e-3),
    "mimic": (MIMIC, [5.98, 11.6], 5e-3),
}


@pytest.mark.parametrize("name", KNOWN)
def test_reference_figures(name) -> None:
    activation, expected, tolerance = KNOWN[name]
    np.testing.assert_allclose(finite_width_std(activation, [0.5, 0.9], 1), expected, rtol=tolerance)


@pytest.mark.parametrize("name", KNOWN)
def test_simulated_networks(name) -> None:
    """2000 networks of 64 neurons, the kernel written out: std sqrt(N) within 5 %, the mean within its error."""
    activation, _, _ = KNOWN[name]
    phi = {"relu": ABReLU(), "tanh": AnyActivation(np.tanh)}.get(name, activation)
    slope = AUTHORS_MIMIC.derivative if name == "mimic" else phi.derivative
    rng = np.random.default_rng(1)
    nets, width = 2000, 64
    for c in (0.5, 0.9):
        u, z, w = rng.standard_normal((3, nets, width))
        v = c * u + np.sqrt(1 - c * c) * z
        kernel = np.mean(phi(u) * phi(v) + c * w**2 * slope(u) * slope(v), axis=1)
        mean, scale = finite_width_moments(activation, c)
        assert np.std(kernel) * np.sqrt(width) == pytest.approx(scale, rel=0.05)
        assert abs(np.mean(kernel) - mean) < 4 * scale / np.sqrt(width * nets)


def test_relu_by_hand() -> None:
    # At c = 1: A = u^2, B = 1 for u > 0; E A^2 = 3/2, E AB = E B^2 = 1/2, mean 1.
    assert finite_width_moments("relu", 1.0) == pytest.approx((1.0, 3**0.5), abs=1e-12)
    assert finite_width_moments("relu", -1.0) == pytest.approx((0.0, 0.0), abs=1e-12)
    # At c = 0: A alone, E A^2 = 1/4, mean 1/(2 pi).
    assert finite_width_std("relu", 0.0, 4) == pytest.approx(
        np.sqrt(0.25 - 1 / (2 * np.pi) ** 2) / 2, abs=1e-12
    )


def test_sinusoids_by_hand() -> None:
    c, f = np.array([-1, -0.3, 0.0, 0.5, 0.99999, 1.0]), 6.0

    def pair(p: float) -> np.ndarray:
        """E[cos(p u) cos(p v)], E[sin sin], at unit variance."""
        return np.array([np.exp(-p * p) * np.cosh(p * p * c), np.exp(-p * p) * np.sinh(p * p * c)])

    # phi^2 = (1 - cos 2fz)/8, phi phi' = (3/4) sin 2fz, phi'^2 = 9 (1 + cos 2fz)/2.
    single = np.exp(-2 * f * f)
    cos2, sin2 = pair(2 * f)
    a2, ab, b2 = (1 - 2 * single + cos2) / 64, c * 9 / 16 * sin2, c**2 * 81 / 4 * (1 + 2 * single + cos2)
    cos1, sin1 = pair(f)
    mean = sin1 / 4 + 9 * c * cos1
    found_mean, scale = finite_width_moments(SINUSOID, c)
    np.testing.assert_allclose(found_mean, mean, atol=1e-10)
    np.testing.assert_allclose(scale, np.sqrt(a2 + 2 * ab + 3 * b2 - mean**2), rtol=1e-9)


def quadrature(phi, slope, kinks: list[float], c: float) -> float:
    """S from two-dimensional quadrature between the kinks of u and of v."""
    x, w = np.polynomial.legendre.leggauss(24)
    s = np.sqrt(1 - c * c)

    def panels(breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = 0.5 * np.diff(breaks)
        z = breaks[:-1, None] + half[:, None] * (1 + x)
        return z.ravel(), (half[:, None] * w).ravel() * np.exp(-(z.ravel() ** 2) / 2) / np.sqrt(2 * np.pi)

    near = [t + offset * s for t in kinks for offset in (-8, -4, -2, -1, 0, 1, 2, 4, 8)]
    total = np.zeros(2)
    even = np.linspace(-9, 9, 37)
    for u, wu in zip(*panels(np.unique([*even, *near])), strict=True):
        z, wz = panels(np.unique(np.clip([*even[::2], *((t - c * u) / s for t in kinks)], -9, 9)))
        v = c * u + s * z
        A, B = phi(u) * phi(v), c * slope(u) * slope(v)
        total += wu * np.array([np.sum(wz * (A * A + 2 * A * B + 3 * B * B)), np.sum(wz * (A + B))])
    return float(np.sqrt(total[0] - total[1] ** 2))


@pytest.mark.parametrize("c", [0.3, 0.95, 0.9999, -0.999])
def test_kinks_at_every_distance(c) -> None:
    def clip(z):
        return np.clip(z, -1.0, 0.7)

    expected = quadrature(clip, lambda z: 1.0 * ((z > -1) & (z < 0.7)), [-1.0, 0.7], c)
    assert finite_width_std(clip, c, 1) == pytest.approx(expected, rel=1e-5)
    if c > 0:
        expected = quadrature(AUTHORS_MIMIC, AUTHORS_MIMIC.derivative, list(AUTHORS_MIMIC.kinks), c)
        assert finite_width_std(AUTHORS_MIMIC, c, 1) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("activation", ["relu", "gelu", "leaky relu", MIMIC, SINUSOID])
def test_the_mean_is_the_infinite_width_kernel(activation) -> None:
    c = np.array([-1.0, -0.4, 0.0, 0.7, 1.0])
    for kind, kernel in (("ntk", NTK), ("nngp", NNGP)):
        mean, _ = finite_width_moments(activation, c, kind, w_std=1.2, b_std=0.3)
        expected = kernel(1, activation, w_std=1.2, b_std=0.3).curve(c)
        # The kernel counts the bias's own gradient; so does the spread.
        np.testing.assert_allclose(mean, expected, atol=2e-6 * expected.max())


def test_continuous_up_to_equal_inputs() -> None:
    for activation in ("relu", MIMIC, design(NTK(4), family="shifted relus")):
        near, end = finite_width_std(activation, [1 - 1e-10, 1.0], 1)
        assert near == pytest.approx(end, rel=1e-3)


def test_only_some_parameters_trained() -> None:
    a = np.sqrt(np.array([0.5]))
    nngp = finite_width_std("relu", a, 1, "nngp")
    u, z = np.random.default_rng(0).standard_normal((2, 2_000_000))
    v = a * u + np.sqrt(1 - a * a) * z
    assert nngp == pytest.approx(np.std(np.maximum(u, 0) * np.maximum(v, 0)), rel=0.01)
    # The identity with the first layer trained alone: c w^2.
    assert finite_width_std("identity", 0.5, 1, "first layer") == pytest.approx(0.5 * 2**0.5)


def test_the_required_width() -> None:
    n = required_width("relu", 0.1, 0.9)
    mean, scale = finite_width_moments("relu", 0.9)
    assert finite_width_std("relu", 0.9, n) <= 0.1 * mean
    assert finite_width_std("relu", 0.9, n - 1) > 0.1 * mean
    assert n == int(np.ceil((scale / (0.1 * mean)) ** 2))


@pytest.mark.parametrize("constant", [design([1.0]), lambda z: 0 * z + 1, lambda z: 0 * z - 1e-6])
@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_constants_do_not_fluctuate(constant, kind) -> None:
    assert finite_width_std(constant, [0.5, 1.0], 10, kind).tolist() == [0.0, 0.0]
    assert required_width(constant, 0.1, kind=kind) == 1


def test_small_and_shifted_functions_keep_their_digits() -> None:
    for kind in ("ntk", "nngp", "first layer"):
        mean, scale = finite_width_moments(np.tanh, [0.5, 0.9], kind)
        small = finite_width_moments(lambda z: 1e-5 * np.tanh(z), [0.5, 0.9], kind)
        np.testing.assert_allclose(small, np.multiply(1e-10, (mean, scale)), rtol=1e-9)
    shifted = finite_width_moments(lambda z: 100 + np.tanh(z), [0.5, 0.9], "first layer")
    np.testing.assert_allclose(shifted, (mean, scale), rtol=1e-8)


def test_a_module_whose_parameters_change() -> None:
    import torch

    module = torch.nn.PReLU(init=0.0, dtype=torch.float64)
    relu, identity = (finite_width_std(name, 0.5, 1) for name in ("relu", "identity"))
    for activation in (module, AnyActivation(module)):
        module.weight.data.fill_(0.0)
        assert finite_width_std(activation, 0.5, 1) == pytest.approx(relu, rel=1e-6)
        module.weight.data.fill_(1.0)
        # What is made once may hold a copy of the parameters; what is given anew may not.
        if activation is module:
            assert finite_width_std(activation, 0.5, 1) == pytest.approx(identity, rel=1e-6)


def test_shapes() -> None:
    assert finite_width_std("relu", 0.5, 10).shape == ()
    assert finite_width_std("relu", np.zeros((2, 3)), 10).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: finite_width_std("relu", 1.5, 10), "magnitude 1.5"),
        (lambda: finite_width_std("relu", 0.5, 0), "width"),
        (lambda: finite_width_std("relu", 0.5, 10, kind="all"), "kind"),
        (lambda: finite_width_std("relu", 0.5, 10, w_std=0.0), "w_std"),
        (lambda: finite_width_std(np.sign, 0.5, 10), "jumps"),
        (lambda: finite_width_std(lambda z: np.exp(z * z / 6), 0.5, 10), "diverges"),
        (lambda: finite_width_std("no such", 0.5, 10), "unknown activation"),
        (lambda: finite_width_std(Sine(1.0, 200.0), 0.5, 10), "gentler"),
        (lambda: required_width("relu", 0.0), "relative_std"),
        (lambda: required_width("sin", 0.1, 0.0), "kernel is 0"),
        (lambda: required_width("relu", 1e-200), "relative_std is 1e-200"),
        (lambda: required_width("relu", 5e-324), "more than 300 digits"),
    ],
)
def test_refusals(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_jumps_have_an_nngp_kernel_all_the_same() -> None:
    # sign(u) sign(v) = ±1 with mean (2/pi) arcsin c.
    c = np.array([0.5, 0.999])
    mean = 2 / np.pi * np.arcsin(c)
    np.testing.assert_allclose(finite_width_std(np.sign, c, 1, "nngp"), np.sqrt(1 - mean**2), rtol=1e-9)


def test_a_function_of_no_module() -> None:
    names: dict = {}
    exec("def square(z): return z * z", names)
    assert names["square"].__module__ is None or names["square"].__module__ == "builtins"
    assert required_width(names["square"], 0.1) == required_width(lambda z: z * z, 0.1)


def test_required_widths_of_an_array() -> None:
    widths = required_width("relu", 0.1, cosine=[[0.5, 0.9]])
    assert widths.shape == (1, 2)
    assert widths.dtype == np.int64
    assert widths.tolist() == [[required_width("relu", 0.1, c) for c in (0.5, 0.9)]]
    with pytest.raises(InputError, match="too large for an array of integers"):
        required_width("relu", 1e-12, cosine=[0.5])
