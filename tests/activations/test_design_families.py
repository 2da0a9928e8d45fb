"""Activations of bounded growth, fitted: the paper's mimic of a deep network and better ones."""

import numpy as np
import pytest

from solvable.activations import AUTHORS_MIMIC, Formula, design
from solvable.activations.fitting import KernelOfParameters, Parameters
from solvable.activations.target import COSINES, as_target
from solvable.kernels import NNGP, NTK, Gaussian, Laplace

MIMICKED = NTK(4, b_std=0.1)


def test_the_authors_mimic() -> None:
    error = AUTHORS_MIMIC.kernel(COSINES) - MIMICKED.curve(COSINES)
    assert np.sum(error**2) == pytest.approx(0.3255, rel=1e-3)
    assert np.max(np.abs(error)) == pytest.approx(0.131, abs=5e-4)
    assert AUTHORS_MIMIC.kernel(np.ones(1))[0] == pytest.approx(5.130, abs=5e-4)


def test_the_mimic_fit_is_close() -> None:
    phi = design(MIMICKED, family="relu+cos")
    assert np.sum(phi.errors**2) <= 0.06
    # Calmer than the paper's, whose fourth moment is 53.
    assert phi.fourth_moment < 20
    assert phi.required_width(0.1) < 400


@pytest.mark.parametrize(
    ("kernel", "family", "ratio"),
    [
        pytest.param(NTK(8, b_std=0.1), "shifted relus", 3.0, marks=pytest.mark.slow),
        pytest.param(Laplace(1.0), "shifted relus", 3.0, marks=pytest.mark.slow),
        (Laplace(1.0), "relu+cos", 2.0),
        pytest.param(Gaussian(1.0), "relu+cos", 1.8, marks=pytest.mark.slow),
    ],
)
def test_without_a_penalty_it_comes_closer_and_fluctuates_more(kernel, family, ratio) -> None:
    calm, close = design(kernel, family=family), design(kernel, family=family, penalty=0.0)
    assert np.sum(close.errors**2) < np.sum(calm.errors**2)
    assert close.fourth_moment > ratio * calm.fourth_moment
    assert close.required_width(0.1, 0.9) > ratio / 1.5 * calm.required_width(0.1, 0.9)


def test_the_best_mimic_needs_no_penalty() -> None:
    for penalty in (0.0, 0.03):
        phi = design(MIMICKED, family="relu+cos", penalty=penalty)
        assert phi.kernel_error < 2e-3
        assert phi.fourth_moment < 9.2


def test_three_shifted_relus() -> None:
    phi = design(MIMICKED, family="shifted relus")
    assert np.sum(phi.errors**2) < 0.01
    assert phi.fourth_moment < 20
    assert len(phi.formula.rectifiers) == 3
    assert phi.formula.cosine is None


def test_one_shifted_relu_finds_relu() -> None:
    phi = design(NTK(1), family="shifted relus", rectifiers=1, penalty=0.0)
    assert phi.kernel_error < 1e-5


@pytest.mark.parametrize("family", ["relu+cos", "shifted relus"])
@pytest.mark.parametrize(
    ("kernel", "kind", "error"),
    [
        ("relu ntk 4", "ntk", 0.015),
        pytest.param(NTK(2), "ntk", 0.01, marks=pytest.mark.slow),
        pytest.param(NNGP(4, b_std=0.1), "nngp", 0.01, marks=pytest.mark.slow),
        pytest.param(Gaussian(1.0), "ntk", 0.02, marks=pytest.mark.slow),
        (Laplace(1.0), "ntk", 0.04),
        pytest.param(NTK(3, "erf", w_std=1.5), "ntk", 0.06, marks=pytest.mark.slow),
        pytest.param(lambda c: c * np.exp(c), "first layer", 0.06, marks=pytest.mark.slow),
    ],
)
def test_other_kernels_from_generic_starts(kernel, kind, error, family) -> None:
    phi = design(kernel, kind, family=family)
    assert phi.kernel_error < error
    assert phi.kernel_rms_error < 0.02
    if kind != "first layer":
        np.testing.assert_allclose(phi.kernel.curve(COSINES), phi.curve(COSINES), atol=1e-6 * phi.target[0])


@pytest.mark.parametrize("kind", ["ntk", "nngp", "first layer"])
@pytest.mark.parametrize(
    "formula",
    [AUTHORS_MIMIC, Formula((0.3, -0.2), ((1.5, 0.4), (-0.7, 0.4), (0.6, -1.2)))],
    ids=["relu+cos", "shifted relus"],
)
def test_the_fits_derivatives(formula, kind) -> None:
    parameters = Parameters(len(formula.rectifiers), formula.cosine is not None)
    curve, vector = KernelOfParameters(parameters, kind), parameters.vector(formula)
    assert parameters.formula(vector) == formula
    kernel, jacobian = curve(vector)
    np.testing.assert_allclose(kernel, formula.kernel(COSINES, kind), atol=1e-12)
    for i in range(len(vector)):
        step = 1e-6 * np.eye(len(vector))[i]
        slope = (curve(vector + step)[0] - curve(vector - step)[0]) / 2e-6
        inner = slice(1, -1) if kind != "nngp" else slice(None)
        np.testing.assert_allclose(jacobian[inner, i], slope[inner], rtol=1e-6, atol=1e-6)


def test_the_kernel_of_a_formula_by_two_dimensional_quadrature() -> None:
    formula = Formula((0.2, 0.4), ((1.5, 0.3), (-0.7, -0.8)), (0.5, 2.0, 0.7))
    c = 0.4
    # Kinks of u lie between nodes; those of v are integrated over by many nodes.
    x, w = np.polynomial.legendre.leggauss(40)
    ends = np.array([-9, -4, -0.8, 0.3, 4, 9.0])
    u = (ends[:-1, None] + 0.5 * np.diff(ends)[:, None] * (1 + x)).ravel()
    wu = (0.5 * np.diff(ends)[:, None] * w).ravel() * np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
    z, wz = np.polynomial.legendre.leggauss(2000)
    z, wz = 9 * z, 9 * wz * np.exp(-81 * z * z / 2) / np.sqrt(2 * np.pi)
    v = c * u[:, None] + np.sqrt(1 - c * c) * z
    weights = wu[:, None] * wz
    nngp = np.sum(weights * formula(u)[:, None] * formula(v))
    slopes = np.sum(weights * formula.derivative(u)[:, None] * formula.derivative(v))
    assert formula.kernel(np.array([c]), "nngp")[0] == pytest.approx(nngp, abs=1e-5)
    assert formula.kernel(np.array([c]), "ntk")[0] == pytest.approx(nngp + c * slopes, abs=1e-3)


def test_targets_are_looked_at_on_the_same_angles() -> None:
    target = as_target(MIMICKED)
    np.testing.assert_array_equal(target.values, design(MIMICKED).target)
