"""Hermite designs: the paper's figure, exact cases, refusals, and what a designed activation can do."""

import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import RBF

from cases import name
from solvable.activations import SIGNS, DesignedActivation, Formula, design
from solvable.errors import InputError
from solvable.kernels import NNGP, NTK, CallableKernel, Gaussian, Kernel, Laplace

C = np.cos(np.linspace(0, np.pi, 37))
AUTHOR = {"b_std": 0.1}

# arXiv:2106.03186, figure 1; coefficients of h_0 … h_5.
FIGURE_1 = {
    "A": (lambda: NNGP(4, **AUTHOR), [0.837, 0.271, -0.151, -0.050, 0.101, 0.084]),
    "B": (lambda: NTK(4, **AUTHOR), [1.230, 0.639, 0, 0, 0.539, 0.426]),
    "C": (lambda: NTK(4, "erf", **AUTHOR), [0.153, 0.826, 0, 0, 0.219, 0.577]),
    "D": (lambda: lambda c: c**3, [0, 0, 0, -0.5, 0, 0]),
    "E": (lambda: lambda c: c**4 + c, [0, 0.707, 0, 0, 0.447, 0]),
    "F": (lambda: lambda c: np.sinh(2 * c), [0, 1.001, 0, -0.572, 0.004, 0.229]),
    "G": (lambda: lambda c: np.cosh(2 * c), [1.002, 0, -0.805, 0, 0.404, 0.011]),
}


@pytest.mark.parametrize("panel", FIGURE_1)
def test_the_papers_coefficients(panel) -> None:
    kernel, expected = FIGURE_1[panel]
    assert np.abs(design(kernel()).coefficients - expected).max() <= 6e-4


def test_the_papers_errors() -> None:
    errors = {panel: design(FIGURE_1[panel][0]()).kernel_error for panel in FIGURE_1}
    expected = {"A": 2.8e-3, "B": 5.6e-2, "C": 4.5e-2, "F": 1.5e-4, "G": 1e-3}
    assert {panel: errors[panel] for panel in expected} == pytest.approx(expected, rel=0.05)
    assert max(errors["D"], errors["E"]) < 1e-14


@pytest.mark.parametrize("kind", ["ntk", "nngp", "first layer"])
def test_polynomials_are_exact(kind) -> None:
    series = [0.0 if kind == "first layer" else 0.4, 0.5, 0.0, 1.2, 0.1]
    phi = design(series, kind, degree=4)
    assert phi.kernel_error < 1e-14
    np.testing.assert_allclose(phi.curve(C), np.polynomial.polynomial.polyval(C, series), atol=1e-14)
    if kind == "first layer":
        with pytest.raises(InputError, match="curve"):
            _ = phi.kernel
    else:
        np.testing.assert_allclose(phi.kernel.curve(C), phi.curve(C), atol=1e-13)


def test_it_is_an_activation_of_the_kernels_floor() -> None:
    phi = design(NTK(4, **AUTHOR))
    kernel = NTK(1, phi, w_std=1.0)
    np.testing.assert_allclose(kernel.curve(C), phi.curve(C), atol=1e-12)
    X = np.random.default_rng(0).standard_normal((6, 4))
    X *= 2 / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(phi.kernel(X), phi.curve(np.clip(X @ X.T / 4, -1, 1)), atol=1e-12)
    np.testing.assert_allclose(kernel.power_series(5), [1, 2, 3, 4, 5, 6] * phi.coefficients**2, atol=1e-12)


def test_a_name_and_what_it_means() -> None:
    assert design("relu ntk depth 4") == design(NTK(4, readout_w_std=2**0.5))


def test_it_is_a_value() -> None:
    for family in ("hermite", "relu+cos"):
        phi, same = design(NTK(2), family=family), design(NTK(2), family=family)
        assert phi == same
        assert hash(phi) == hash(same)
        assert pickle.loads(pickle.dumps(phi)) == phi
        assert phi != design(NTK(3), family=family)
        assert "NTK(depth=2)" in str(phi)
        assert family in repr(phi)


def test_signs() -> None:
    kernel = [1.0, 0.5, 0.2, 0.3, 0.1, 0.1]
    assert np.sign(design(kernel).coefficients).tolist() == [1, 1, -1, -1, 1, 1]
    assert np.sign(design(kernel, signs="positive").coefficients).tolist() == [1] * 6
    own = [1, -1, 1, -1, 1, 1]
    assert np.sign(design(kernel, signs=own).coefficients).tolist() == own
    curves = [design(kernel, signs=signs).curve(C) for signs in (*SIGNS, own)]
    np.testing.assert_allclose(curves, [curves[0]] * 4, atol=1e-14)


def test_signs_decide_how_much_a_finite_network_fluctuates() -> None:
    """Reference figures of a prototype, for the series of the ReLU NTK cut off at degree 5."""
    series = NTK(4, **AUTHOR).power_series(5)
    scale = {signs: design(series, signs=signs).finite_width_std(0.99, 1) for signs in SIGNS}
    moment = {signs: design(series, signs=signs).fourth_moment for signs in SIGNS}
    assert scale["positive"] == pytest.approx(35, rel=0.02)
    assert scale["alternate pairs"] == pytest.approx(7.1, rel=0.02)
    assert scale["minimise variance"] <= scale["alternate pairs"]
    assert moment["positive"] == pytest.approx(211, rel=0.02)
    assert moment["alternate pairs"] == pytest.approx(11.2, rel=0.02)


def test_the_sign_search_of_many_coefficients_ends_at_a_minimum() -> None:
    from solvable.activations.signs import mean_square_scales

    series = NTK(4).power_series(14)
    best = design(series, degree=14, signs="minimise variance").coefficients
    least = mean_square_scales(best[None], "ntk")[0]
    for k in range(15):
        flipped = best.copy()
        flipped[k] *= -1
        assert mean_square_scales(flipped[None], "ntk")[0] >= least * (1 - 1e-9)


REFUSED = [
    (lambda c: (3 * c**2 - 1) / 2, "a_0 = -0.5"),
    (np.cos, "a_2 = -0.5"),
    ([0.0, 1.0, 0.0, -0.25], "a_3 = -0.25"),
    (lambda c: 1 / (1 - c), "at c = 1"),
    (lambda c: np.where(c < 0, np.nan, 1 + c), "nan at c"),
    (lambda c: c * 1j, "complex128 numbers"),
    ([1.0, 1j], "complex"),
    (abs, "not analytic"),
    (lambda c: np.maximum(c, 0), "not analytic"),
    (lambda c: -1 - c, "a_0 = -1"),
    ([0.0, 0.0], "above 0"),
    (lambda X, Z: X @ Z.T, "fails on an array of cosines"),
    (lambda c: c[:3], "shape"),
    (CallableKernel(lambda X, Z: X @ Z.T), "function of the angle"),
    (RBF(), "function of the angle"),
    (Gaussian(), "length_scale"),
    (NTK, r"\(\) after the class"),
    ([[1.0, 2.0]], "flat list"),
    ([1.0, np.inf], "finite"),
    (3.0, "not a kernel of the angle"),
    ("no such kernel", "unknown kernel"),
]


@pytest.mark.parametrize(("kernel", "words"), REFUSED)
def test_what_has_no_activation_is_refused_with_a_sentence(kernel, words) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        design(kernel)
    assert isinstance(refusal.value, ValueError)
    assert "\n" not in str(refusal.value)


def test_a_kernel_of_images_is_refused() -> None:
    from solvable.kernels.encoded import EncodedKernel

    encoded: Kernel = EncodedKernel(Gaussian(1.0), None)
    with pytest.raises(InputError, match="function of the angle"):
        design(encoded)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "tangent"}, "kind"),
        ({"family": "relu"}, "family"),
        ({"degree": -1}, "degree"),
        ({"degree": 1000}, "at most 100"),
        ({"signs": "random"}, "signs"),
        ({"signs": [1, -1]}, "6 numbers"),
        ({"signs": [1, 1, 1, 1, 1, 2]}, "6 numbers"),
        ({"family": "relu+cos", "signs": "positive"}, "omit signs"),
        ({"family": "relu+cos", "rectifiers": 2}, "omit rectifiers"),
        ({"penalty": 0.1}, "omit penalty"),
        ({"family": "shifted relus", "rectifiers": 7}, "rectifiers"),
        ({"family": "shifted relus", "penalty": -1.0}, "penalty"),
    ],
)
def test_arguments_out_of_range(options, words) -> None:
    with pytest.raises(InputError, match=words):
        design(NTK(2), **options)


def test_the_nearest_kernel_that_an_activation_has() -> None:
    phi = design([-0.1, 1.0, 0.5], project=True)
    assert phi.coefficients[0] == 0
    assert 0.01 < phi.kernel_error < 0.2
    first = design([0.5, 1.0], "first layer", project=True)
    assert first.coefficients[0] == 0
    with pytest.raises(InputError, match="above 0"):
        design([0.0, -1.0], project=True)
    with pytest.raises(InputError, match=r"a_0 = 0\.5"):
        design([0.5, 1.0], "first layer")


def test_functions_that_take_real_numbers_only() -> None:
    phi = design(lambda c: math.exp(c) if isinstance(c, float) else math.exp(float(c)), "nngp", degree=8)
    assert phi.kernel_error < 1e-5
    real = design(lambda c: np.exp(np.asarray(c, dtype=float)), "nngp", degree=8)
    complex_ = design(np.exp, "nngp", degree=8)
    np.testing.assert_allclose(real.coefficients, complex_.coefficients, atol=1e-9)
    np.testing.assert_allclose(phi.coefficients, complex_.coefficients, atol=1e-9)
    with pytest.raises(InputError, match="a_1 = -1"):
        design(lambda c: [math.exp(-one) for one in c])


FAR_OUT = [
    (lambda c: 1 + float(c) - 0.2 * float(c) ** 12, r"a_12 = -0\.2;"),
    (lambda c: math.exp(c) - 0.3 * c**11, r"a_11 = -0\.3;"),
    (lambda c: 1 + c - 0.001 * c**70, r"a_70 = -0\.001;"),
    (lambda c: np.exp(c) - 1e-3 * c**390, r"a_390 = -0\.001;"),
    # A series that does not end on the real line alone: its distance from all kernels tells.
    (lambda c: 1 + float(c) - 0.001 * float(c) ** 70, r"beyond a_10.*closer to it than 0\.02 % of K\(1\)"),
    (lambda c: 1 / (1.1 - float(c)) - 2 * float(c) ** 15, "beyond a_10.*project=True"),
    (lambda c: np.cos(20 * c), "a_2 = -200"),
]


@pytest.mark.parametrize(("kernel", "words"), FAR_OUT)
def test_negative_coefficients_far_out(kernel, words) -> None:
    with pytest.raises(InputError, match=words):
        design(kernel)
    if kernel(1.0) > 0:
        assert design(kernel, project=True).kernel_error > 0


@pytest.mark.parametrize(
    "kernel",
    [
        lambda c: float(NTK(4).curve(c)),
        lambda c: float(NTK(1).curve(c)),
        lambda c: float(Laplace(0.3).curve(c)),
        lambda c: 1 / (1.001 - float(c)),
        lambda c: 2 - math.sqrt(1 - c),
        lambda c: float(c) ** 333 + float(c) ** 50001,
    ],
)
def test_kernels_of_real_numbers_are_not_refused_and_say_what_was_checked(kernel) -> None:
    phi = design(kernel)
    assert phi.checked == 10
    assert "checked to a_10" in str(phi)


def test_of_what_ends_all_coefficients_are_known() -> None:
    for kernel in (lambda c: float(c) ** 3 + 0.5, math.exp, lambda c: float(c) ** 30):
        assert design(kernel).checked is None
    assert design(lambda c: float(c) ** 3 + 0.5).kernel_error < 1e-13


def test_a_function_that_fails_between_the_angles() -> None:
    with pytest.raises(InputError, match="finite numbers at all cosines"):
        design(lambda c: 1 / (1.1 - float(c)) + (np.nan if 0.9999 > c > 0.9998 else 0))


def test_series_of_functions_on_the_real_line_tell_their_error() -> None:
    from solvable.activations.target import as_target

    target = as_target(lambda c: np.exp(np.asarray(c, dtype=float)))
    truth = 1 / np.cumprod(np.maximum(np.arange(len(target.series)), 1.0))
    assert (np.abs(target.series - truth) <= target.error).all()
    assert target.error[-1] < 1e-4


def test_kernels_of_distances() -> None:
    for kernel in (Gaussian(1.0), Laplace(2.0)):
        phi = design(kernel, "nngp", degree=10)
        assert phi.kernel_rms_error < 1e-2


def test_constant_kernels() -> None:
    assert design(lambda c: 2.0).coefficients[0] == pytest.approx(2**0.5)
    with pytest.raises(InputError, match=r"nearest kernel of degree 0 to .* is 0"):
        design([0.0, 0.0, 0.0, 1.0], degree=0, project=True, kind="first layer")


FORMULAS = [
    design(NTK(4)),
    design(NTK(3), degree=20, signs="positive"),
    design(NTK(4), family="relu+cos"),
    design(NTK(2), family="shifted relus"),
    design([0.0, 1.0]),
    design([2.0]),
]


@pytest.mark.parametrize("phi", FORMULAS, ids=name)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_source_code_is_the_activation(phi, library) -> None:
    scope: dict = {}
    exec(phi.source(library, name="mine"), scope)
    z = np.linspace(-3, 3, 61)
    given = z if library == "numpy" else torch.from_numpy(z)
    np.testing.assert_allclose(np.asarray(scope["mine"](given)), phi(z), rtol=1e-11, atol=1e-11)
    assert scope["mine"].__doc__.startswith("A network of one hidden layer")


@pytest.mark.parametrize("phi", FORMULAS, ids=name)
def test_numpy_torch_and_module_agree(phi: DesignedActivation) -> None:
    z = np.linspace(-3, 3, 62)
    tensor = torch.from_numpy(z).requires_grad_()
    module = phi.module()
    value = module(tensor)
    np.testing.assert_allclose(value.detach().numpy(), phi(z), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(phi(torch.from_numpy(z).float()), phi(z), rtol=1e-4, atol=1e-4)
    value.sum().backward()
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), phi.derivative(z), rtol=1e-10, atol=1e-10)
    assert str(phi.formula) in repr(module)
    assert pickle.loads(pickle.dumps(module)).activation == phi


def test_bad_names_of_functions() -> None:
    with pytest.raises(InputError, match="name"):
        FORMULAS[0].source(name="my function")
    with pytest.raises(InputError, match="library"):
        FORMULAS[0].source("jax")


def test_formulas_read_well() -> None:
    assert str(Formula((0.0, -1.5), ((2.0, -0.5),))) == "2 relu(z + 0.5) - 1.5 z"
    assert str(Formula()) == "0"
    assert str(design([0, 0, 0, 1.0])).startswith("phi(z) = -0.5 h3(z)")


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("weight", [5.0, -5.0])
@pytest.mark.parametrize("shift", [0.4, -0.4])
@pytest.mark.parametrize(
    "rest", [(), (1.0, -2.0), (-1.0,), (0.1, 0.2, -0.3, 0.0, 0.5, 0.1, -0.2, 0.3, -0.4, 0.5)]
)
def test_the_source_code_of_formulas_of_any_signs(library, weight, shift, rest) -> None:
    for formula in (
        Formula(rest, ((weight, shift), (-weight, -shift))),
        Formula(rest, (), (weight, 2.0, shift)),
        Formula(rest or (1.0,)),
    ):
        scope: dict = {}
        exec(formula.source(library), scope)
        z = np.linspace(-3, 3, 61)
        given = z if library == "numpy" else torch.from_numpy(z)
        np.testing.assert_allclose(np.asarray(scope["activation"](given)), formula(z), rtol=1e-11, atol=1e-11)


def test_all_coefficients_that_are_given_are_had() -> None:
    series = [0.0] * 8 + [1.0, 0.5]
    phi = design(series)
    assert phi.degree == 9
    assert phi.kernel_error < 1e-12
    assert design(series, degree=5).kernel_error > 0.1
    assert design(NTK(2)).degree == 5
    assert design([1.0, 1.0, 1.0], signs=[1, 1, 1]).coefficients.shape == (3,)
    with pytest.raises(InputError, match="degree is 149"):
        design(np.ones(150))


@pytest.mark.parametrize("z", [np.array([1j]), "a", [[1.0], [1.0, 2.0]], torch.tensor([1j]), None])
def test_what_is_no_number_is_a_sentence(z) -> None:
    phi = design([0.0, 1.0, 1.0])
    with pytest.raises(InputError, match="expected real numbers"):
        phi(z)


@pytest.mark.parametrize("cosine", ["a", float("nan"), [0.1, 1j], [0.1, np.nan], 2.0, [[0.1], [0.1, 0.2]]])
def test_what_is_no_cosine_is_a_sentence(cosine) -> None:
    phi = design([0.0, 1.0, 1.0])
    for ask in (phi.curve, lambda c: phi.required_width(0.1, c), lambda c: phi.finite_width_std(c, 10)):
        with pytest.raises(InputError, match="cosine"):
            ask(cosine)
