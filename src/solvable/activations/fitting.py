r"""Fits of activations to a kernel: non-negative least squares for series, least squares for formulas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from solvable.activations.formula import Formula
from solvable.activations.target import COSINES, Target
from solvable.activations.theory import trained_factors
from solvable.kernels.duals.hermite import cosine_coefficients, normal_density, shifted_power_coefficients
from solvable.kernels.duals.shifted_relu import RectifiedMoments

Floats = NDArray[np.float64]

# Weight of the kernel at equal inputs, as in the paper.
_END_WEIGHT = 12

AUTHORS_MIMIC = Formula(
    hermite=(0.9010060417, 0.0968093056),
    rectifiers=((3.8001579818, 1.0600013769),),
    cosine=(-0.0793610464, 11.8105653316, 0.9340552512),
)
"""The paper's activation that mimics the NTK of a network of four hidden ReLU layers."""
_MIMIC_K1 = 5.07
# Fits of the same kernel converge to this one slowly from elsewhere: a long, flat valley of slow cosines.
_CLOSE_MIMIC = Formula((-1.35, -2.86), ((6.0, 1.1),), (6.6, 0.5, -1.2))
# With a smaller E[phi^4] than both and as close: a kink at negative inputs, on a slow cosine.
_GENTLE_MIMIC = Formula((-19.1, -0.77), ((6.2, -1.2),), (17.6, 0.385, 0.71))

_LOWEST_FREQUENCY, _HIGHEST_FREQUENCY = 0.3, 15.0
_WIDEST_SHIFT = 4.0
_FIRST_STEPS, _MOST_STEPS = 30, 100


def non_negative_series(target: Target, kind: str, degree: int) -> Floats:
    r"""Return $a_k \ge 0$, k = 0 … degree, whose kernel is nearest to the target.

    Least squares at 100 angles, equally spaced from 0 to π, with the one at c = 1 counted twelve times, as in the
    paper. If only the first layer is trained, $a_0 = 0$.
    """
    from scipy.optimize import nnls

    weights = np.ones(len(COSINES))
    weights[0] = _END_WEIGHT**0.5
    powers = np.vander(COSINES, degree + 1, increasing=True)
    first = 1 if kind == "first layer" else 0
    if first > degree:
        # SciPy aborts the process for a matrix without columns.
        return np.zeros(degree + 1)
    solution, _ = nnls(powers[:, first:] * weights[:, None], target.values * weights)
    return np.concatenate([np.zeros(first), solution])


@dataclass(frozen=True)
class Parameters:
    r"""The numbers of a formula as one vector: weights, shifts, slope, constant, then those of the cosine.

    Args:
        rectifiers: number of rectifiers.
        cosine: whether there is a cosine.
    """

    rectifiers: int
    cosine: bool

    def formula(self, vector: Floats) -> Formula:
        """Return the formula of a vector."""
        m = self.rectifiers
        numbers = [float(value) for value in vector]
        pairs = tuple(zip(numbers[:m], numbers[m : 2 * m], strict=True))
        slope, constant = numbers[2 * m : 2 * m + 2]
        e, f, g = numbers[2 * m + 2 :] if self.cosine else (0.0, 1.0, 0.0)
        return Formula((constant, slope), pairs, (e, f, g) if self.cosine else None)

    def vector(self, formula: Formula) -> Floats:
        """Return the vector of a formula."""
        weights, shifts = zip(*formula.rectifiers, strict=True)
        constant, slope = (*formula.hermite, 0.0)[:2]
        return np.array([*weights, *shifts, slope, constant, *(formula.cosine or ())])

    def bounds(self) -> tuple[Floats, Floats]:
        """Return the lower and upper bounds of a fit."""
        m, infinite = self.rectifiers, np.inf
        high = [infinite] * m + [_WIDEST_SHIFT] * m + [infinite] * 2
        low = [-value for value in high]
        if self.cosine:
            # Slower cosines are parabolas from large numbers that cancel.
            high, low = (
                [*high, infinite, _HIGHEST_FREQUENCY, infinite],
                [*low, -infinite, _LOWEST_FREQUENCY, -infinite],
            )
        return np.array(low), np.array(high)


class KernelOfParameters:
    """The kernel of a formula at `COSINES` with its derivatives with respect to the formula's parameters.

    Args:
        parameters: the layout of the parameter vector.
        kind: which parameters of the network are trained.
    """

    def __init__(self, parameters: Parameters, kind: str) -> None:
        self.parameters, self.kind = parameters, kind
        longest = Formula(cosine=(1.0, _HIGHEST_FREQUENCY, 0.0)).smooth_degree if parameters.cosine else 1
        self._powers = np.vander(COSINES, longest + 1, increasing=True) * trained_factors(kind, longest)
        self._value, self._slope = {"ntk": (1.0, 1.0), "nngp": (1.0, 0.0), "first layer": (0.0, 1.0)}[kind]

    def __call__(self, vector: Floats) -> tuple[Floats, Floats]:
        """Return the kernel, (angles,), and its Jacobian, (angles, parameters)."""
        m, formula = self.parameters.rectifiers, self.parameters.formula(vector)
        degree = formula.smooth_degree
        powers = self._powers[:, : degree + 1]
        weights, shifts = vector[:m], vector[m : 2 * m]
        kinked = shifted_power_coefficients(shifts, 1, degree)
        steps = shifted_power_coefficients(shifts, 0, degree)
        smooth = formula.smooth_coefficients(degree)
        total = smooth + weights @ kinked

        kernel = powers @ (smooth * (2 * total - smooth))
        jacobian = np.empty((len(COSINES), len(vector)))
        for i in range(m):
            jacobian[:, i] = 2 * (powers @ (smooth * kinked[i]))
            jacobian[:, m + i] = -2 * weights[i] * (powers @ (smooth * steps[i]))
        jacobian[:, 2 * m] = 2 * powers[:, 1] * total[1]
        jacobian[:, 2 * m + 1] = 2 * powers[:, 0] * total[0]
        if self.parameters.cosine:
            jacobian[:, 2 * m + 2 :] = 2 * (
                powers @ (total[:, None] * _cosine_slopes(vector[2 * m + 2 :], degree))
            )
        self._add_pairs(weights, shifts, kernel, jacobian)
        return kernel, jacobian

    def _add_pairs(self, weights: Floats, shifts: Floats, kernel: Floats, jacobian: Floats) -> None:
        """Add the products of two rectifiers."""
        m = len(weights)
        for i in range(m):
            for j in range(i + 1):
                t, s, both = float(shifts[i]), float(shifts[j]), weights[i] * weights[j]
                M = RectifiedMoments(np, t, s, COSINES)
                pair = self._value * M(1, 1) + self._slope * COSINES * M(0, 0)
                # -d/dt P(u > t, v > s): the density of u at t times P(v > s | u = t).
                edge_t = normal_density(t) * ndtr((COSINES * t - s) / M.spread)
                by_t = -self._value * M(0, 1) - self._slope * COSINES * edge_t
                kernel += (1 if i == j else 2) * both * pair
                jacobian[:, i] += 2 * weights[j] * pair
                jacobian[:, m + i] += 2 * both * by_t
                if j < i:
                    edge_s = normal_density(s) * ndtr((COSINES * s - t) / M.spread)
                    by_s = -self._value * M(1, 0) - self._slope * COSINES * edge_s
                    jacobian[:, j] += 2 * weights[i] * pair
                    jacobian[:, m + j] += 2 * both * by_s


def _cosine_slopes(efg: Floats, degree: int) -> Floats:
    """Return the derivatives of the Hermite coefficients of e cos(f z + g) w.r.t. e, f and g, (degree + 1, 3)."""
    e, f, g = (float(number) for number in efg)
    by_phase = cosine_coefficients(f, g + np.pi / 2, degree + 1)
    k = np.arange(degree + 1)
    # d/df cos(fz + g) = z cos(fz + g + pi/2), and z h_k = sqrt(k+1) h_{k+1} + sqrt(k) h_{k-1}.
    by_frequency = np.sqrt(k + 1) * by_phase[1:]
    by_frequency[1:] += np.sqrt(k[1:]) * by_phase[:degree]
    return np.stack([cosine_coefficients(f, g, degree), e * by_frequency, e * by_phase[:-1]], axis=1)


def fit_formula(
    target: Target, kind: str, parameters: Parameters, starts: Sequence[Formula], penalty: float = 0.0
) -> Formula:
    r"""Return the formula that minimises $\sum_\theta (K - K^*)^2 + (p\, E[\phi^4]/K^*(1))^2$, K* the target.

    Least squares with exact derivatives: a few steps from each start, then only the best one is continued.

    Args:
        target: $K^*$.
        kind: which parameters of the network are trained.
        parameters: the shape of the formula.
        starts: formulas to start from.
        penalty: p.
    """
    from scipy.optimize import least_squares

    curve, scale = KernelOfParameters(parameters, kind), target.scale
    low, high = parameters.bounds()
    z, weights = _gauss_hermite()

    def evaluate(vector: Floats) -> tuple[Floats, Floats]:
        kernel, jacobian = curve(vector)
        residual, jacobian = (kernel - target.values) / scale, jacobian / scale
        if penalty:
            phi, slopes = _values_and_slopes(parameters, vector, z)
            fourth = penalty * (weights @ phi**4) / scale**2
            by_vector = penalty * 4 * ((weights * phi**3) @ slopes) / scale**2
            residual, jacobian = np.append(residual, fourth), np.vstack([jacobian, by_vector])
        return residual, jacobian

    def solve(start: Floats, steps: int) -> Any:
        latest: list[tuple[Floats, tuple[Floats, Floats]]] = []

        def both(vector: Floats) -> tuple[Floats, Floats]:
            # The solver needs the Jacobian at the point where it has just computed the residuals.
            if not latest or not np.array_equal(latest[-1][0], vector):
                latest[:] = [(vector.copy(), evaluate(vector))]
            return latest[-1][1]

        return least_squares(
            lambda v: both(v)[0],
            np.clip(start, low + 1e-9, high - 1e-9),
            jac=lambda v: both(v)[1],  # pyright: ignore[reportArgumentType]
            bounds=(low, high),
            x_scale="jac",
            max_nfev=steps,
            ftol=1e-8,
            xtol=1e-8,
        )

    # Most starts are ranked after a few steps.
    rough = [solve(parameters.vector(start), _FIRST_STEPS) for start in starts]
    best = min(rough, key=lambda fit: fit.cost)
    return parameters.formula(best.x if best.status > 0 else solve(best.x, _MOST_STEPS).x)


def relu_cos_starts(scale: float) -> list[Formula]:
    """Return starts for fits of a ReLU and a cosine: the paper's activation, fits of the same kernel, generic ones.

    Args:
        scale: K(1) of the target.
    """
    root = scale**0.5
    factor = (scale / _MIMIC_K1) ** 0.5
    mimics = [_scale(formula, factor) for formula in (AUTHORS_MIMIC, _CLOSE_MIMIC, _GENTLE_MIMIC)]
    generic = [
        Formula((0.1 * root, 0.2 * root), ((0.5 * root, 0.0),), (0.2 * root, f, g))
        for f, g in ((1.0, 0.8), (2.0, 0.8), (4.0, 0.8))
    ]
    return [*mimics, *generic]


def rectifier_starts(scale: float, n: int) -> list[Formula]:
    """Return starts for fits of n shifted ReLUs.

    Args:
        scale: K(1) of the target.
        n: number of ReLUs.
    """
    root = scale**0.5
    layouts = {
        1: [((0.9, 0.0),), ((2.0, 1.0),)],
        2: [((0.6, 0.0), (1.5, 1.2)), ((-0.8, -0.5), (1.8, 1.0)), ((1.5, 1.0), (-1.5, 2.0))],
        3: [((0.6, -1.0), (0.6, 0.3), (1.5, 1.5)), ((-1.0, -0.8), (1.0, 0.5), (2.0, 1.5))],
    }[n]
    return [Formula((0.1 * root, 0.1 * root), tuple((w * root, t) for w, t in layout)) for layout in layouts]


def _scale(formula: Formula, factor: float) -> Formula:
    e, f, g = formula.cosine or (0.0, 1.0, 0.0)
    return Formula(
        tuple(factor * b for b in formula.hermite),
        tuple((factor * w, t) for w, t in formula.rectifiers),
        (factor * e, f, g) if formula.cosine else None,
    )


def _gauss_hermite() -> tuple[Floats, Floats]:
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    return z, weights / weights.sum()


def _values_and_slopes(parameters: Parameters, vector: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Return phi at z and its derivatives w.r.t. the parameters, (nodes, parameters)."""
    m = parameters.rectifiers
    past = z[:, None] - vector[m : 2 * m]
    slopes = [np.maximum(past, 0), -vector[:m] * (past > 0), z[:, None], np.ones((len(z), 1))]
    if parameters.cosine:
        e, f, g = vector[2 * m + 2 :]
        cos, sin = np.cos(f * z + g), np.sin(f * z + g)
        slopes.append(np.stack([cos, -e * z * sin, -e * sin], axis=1))
    return parameters.formula(vector)(z), np.concatenate(slopes, axis=1)
