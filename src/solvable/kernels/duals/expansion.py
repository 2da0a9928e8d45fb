r"""Hermite series of a split function at given variances: grid, degree, coefficients and remainder.

The smooth part's coefficients are sums over a uniform grid (the trapezoidal rule). For analytic functions the error
falls exponentially and, unlike that of Gauss-Hermite, fast even if $\phi$ has poles near the real axis, as tanh at
large variances.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, factorial, log2, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.kernels.duals.hermite import hermite_functions, shifted_power_coefficients
from solvable.kernels.duals.kinks import POWERS, Split, range_of
from solvable.kernels.duals.shifted_relu import RectifiedMoments
from solvable.kernels.inputs import Array, Namespace

MOST_TERMS = 1000
"""The largest number of Hermite coefficients of a smooth part."""
_FEWEST_NODES, _MOST_NODES = 129, 4097
_CHUNK = 2**20
# Slopes below this share of the values (at the scale of one standard deviation) are taken as 0.
_FLAT = 1e-20
_NOISE = 1e-15
# Differences of whole and sum below this are rounding.
_LACK = 1e-11
_ROUNDING = 4e-16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    r"""The computation of coefficients between two variances: `nodes` on |z| up to `edge`, and the number of `terms`.

    The errors are the largest remaining ones of $E[\phi\phi]$ and $E[\phi'\phi']$, relative to $E[\phi^2]$ and
    $E[\phi'^2]$.
    """

    edge: float
    nodes: int
    terms: int
    value_error: float
    derivative_error: float


class Expansion:
    """The Hermite series of the smooth part and of the kinks of a function, to a relative error `tolerance`."""

    def __init__(self, split: Split, tolerance: float) -> None:
        self.split, self.tolerance = split, tolerance
        self.kinked = bool(split.kinks)
        self._plans: dict[tuple[float, float, bool], Plan] = {}

    def plan(self, low: float, high: float, derivative: bool = True) -> Plan:
        """Return the plan for variances from `low` to `high`, tested at both and at a few between.

        Without `derivative` slopes are not tested, and their error is 0.
        """
        key = low, high, derivative
        if key not in self._plans:
            if len(self._plans) > 256:
                self._plans.clear()
            self._plans[key] = self._new_plan(low, high, derivative)
        return self._plans[key]

    def _new_plan(self, low: float, high: float, derivative: bool) -> Plan:
        test_slopes = derivative and not self.split.jumps
        probes = (
            np.array([high]) if low == high else np.geomspace(low, high, min(2 + ceil(log2(high / low)), 9))
        )
        edge = max(range_of(self.split.smooth, float(root)) for root in np.sqrt(probes))
        nodes = _FEWEST_NODES
        coarse = self._sums(probes, edge, nodes, MOST_TERMS, slopes=derivative)
        accuracy = max(1e-4 * self.tolerance, 1e-12)
        while True:
            fine = self._sums(probes, edge, _finer(nodes), MOST_TERMS, slopes=derivative)
            terms, errors, (value, slope) = self._terms(probes, fine, derivative)
            # The effect of a coefficient's error grows with the smooth part, which may exceed the whole function.
            size = value / np.sqrt(np.maximum(fine[1], value))
            if test_slopes:
                slope_size = slope * np.sqrt(probes) / np.sqrt(np.maximum(fine[2], slope) * terms)
                size = np.minimum(size, np.where(slope * probes > 2 * _FLAT * value, slope_size, size))
            size, dust = size[:, None], 10 * _NOISE * np.sqrt(fine[1])[:, None]
            stable = np.abs(fine[0] - coarse[0])[:, :terms] <= np.maximum(accuracy * size, dust)
            slopes = np.full(len(probes), True)
            if test_slopes:
                slopes = np.abs(fine[2] - coarse[2]) <= 0.1 * self.tolerance * slope
            if (stable.all() and slopes.all()) or _finer(nodes) >= _MOST_NODES:
                break
            nodes, coarse = _finer(nodes), fine
        if not (stable.all() and slopes.all()):
            # Details that the finest grid does not resolve, such as remaining kinks, count as error.
            nodes = _finer(nodes)
            unresolved = np.max(np.abs(fine[0] - coarse[0])[:, :terms] / size)
            unresolved_slope = 2 * terms * float(unresolved) if derivative else 0.0
            errors = (max(errors[0], 2 * float(unresolved)), max(errors[1], unresolved_slope))
        return Plan(edge, nodes, terms, *errors)

    def _terms(
        self, probes: Floats, sums: tuple[Floats, Floats, Floats], derivative: bool
    ) -> tuple[int, tuple[float, float], tuple[Floats, Floats]]:
        """Return the number of terms for the tolerance, the remaining errors, and the moments they are relative to."""
        alpha, smooth_value, smooth_slope = sums
        beta = self.kinks(probes, MOST_TERMS) if self.kinked else None
        value, slope = smooth_value, smooth_slope
        if beta is not None:
            value, slope = self._with_kinks(probes, alpha, beta, value, slope)
        value = np.maximum(value, 1e-280)
        slope = np.maximum(slope, np.maximum(_FLAT * value / probes, 1e-280))
        k = np.arange(MOST_TERMS)
        errors, ones = [], np.ones(MOST_TERMS)
        for weight, whole, size in ((ones, smooth_value, value), (k / probes[:, None], smooth_slope, slope)):
            terms = weight * alpha**2
            # The series' total remainder, by Parseval: a fast oscillation is beyond the last term.
            lack = whole - np.sum(terms, axis=1)
            dust = _LACK * whole
            if weight is not ones:
                # At small variances slopes are small differences of values.
                dust = dust + 1e-13 * np.sqrt(smooth_value * whole / probes)
            tail = _tails(terms, np.where(lack > dust, lack, np.minimum(_beyond(terms), dust)))
            if beta is not None:
                terms = weight * beta**2
                tail = tail + 2 * np.sqrt(tail * _tails(terms, _beyond(terms)))
            # If the parts are far larger than the whole, their rounding dominates.
            errors.append(np.max((tail + _ROUNDING * whole[:, None]) / size[:, None], axis=0))
        value_error, slope_error = errors
        if self.split.jumps or not derivative:
            slope_error = np.zeros_like(slope_error)
        good = np.nonzero((value_error <= self.tolerance) & (slope_error <= self.tolerance))[0]
        terms = max(int(good[0]), 2) if len(good) else MOST_TERMS
        derivative_error = float("inf") if self.split.jumps and derivative else float(slope_error[terms])
        return terms, (float(value_error[terms]), derivative_error), (value, slope)

    def smooth(self, variances: Floats, plan: Plan, terms: int) -> Floats:
        r"""Return $E[S(\sqrt a z) h_k(z)]$, (n, terms), at the variances (n,)."""
        return self._sums(variances, plan.edge, _nodes_for(plan, terms), terms, slopes=False)[0]

    def with_remainders(self, variances: Floats, plan: Plan, terms: int, derivative: bool) -> list[Floats]:
        r"""Return the coefficients of the smooth part, of the kinks if any, and the remainders, (n, …) each."""
        # With the terms and nodes of `moments`, so that the two agree to rounding.
        most = self._moment_terms(plan) if self.kinked else terms
        most = max(most, terms)
        parts, step = [], max(1, _CHUNK // most)
        for start in range(0, len(variances), step):
            a = variances[start : start + step]
            alpha, squares, slopes = self._sums(a, plan.edge, _nodes_for(plan, most), most, slopes=derivative)
            beta = self.kinks(a, most) if self.kinked else None
            whole = alpha**2 if beta is None else alpha * (alpha + 2 * beta)
            # The terms beyond the last: of the squares by Parseval, of the products by summing more of them.
            after = [
                squares
                - np.sum(alpha[:, :terms] ** 2, axis=1)
                + np.sum((whole - alpha**2)[:, terms:], axis=1)
            ]
            if derivative and not self.split.jumps:
                k = np.arange(most)
                own, cross = k * alpha**2, k * (whole - alpha**2)
                after.append(slopes - (np.sum(own[:, :terms], axis=1) - np.sum(cross[:, terms:], axis=1)) / a)
            part = [alpha[:, :terms], *([] if beta is None else [beta[:, :terms]])]
            parts.append([*part, _remainders(alpha[:, :terms], after)])
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _moment_terms(self, plan: Plan) -> int:
        # Products with the kinks need more terms to converge well below the tolerance.
        return min(2 * plan.terms + 64, MOST_TERMS)

    def kinks(self, variances: Floats, terms: int) -> Floats:
        """Return the coefficients of the kinks, (n, terms), in closed form."""
        root = np.sqrt(variances)
        beta = np.zeros((len(variances), terms))
        for kink in self.split.kinks:
            for p, jump in enumerate(kink.jumps):
                if jump:
                    scale = (jump / factorial(p)) * root**p
                    beta += scale[:, None] * shifted_power_coefficients(kink.position / root, p, terms - 1)
        return beta

    def moments(self, variances: Floats, plan: Plan, derivative: bool) -> tuple[Floats, Floats]:
        r"""Return $E[\phi^2]$ and, with `derivative`, $E[\phi'^2]$ (else zeros), at the variances (n,)."""
        if not self.kinked:
            return self._sums(variances, plan.edge, plan.nodes, 0, slopes=derivative)[1:]
        value, slope = np.empty_like(variances), np.empty_like(variances)
        terms = self._moment_terms(plan)
        for start in range(0, len(variances), 1024):
            part = slice(start, start + 1024)
            a = variances[part]
            alpha, squares, slopes = self._sums(
                a, plan.edge, _nodes_for(plan, terms), terms, slopes=derivative
            )
            value[part], slope[part] = self._with_kinks(a, alpha, self.kinks(a, terms), squares, slopes)
        return value, slope

    def _with_kinks(
        self, variances: Floats, alpha: Floats, beta: Floats, value: Floats, slope: Floats
    ) -> tuple[Floats, Floats]:
        derivative = not self.split.jumps
        exact, exact_slope = kink_pairs(
            np, self.split, variances, variances, np.ones_like(variances), derivative
        )
        value = value + 2 * np.sum(alpha * beta, axis=1) + exact
        if exact_slope is not None:
            k = np.arange(alpha.shape[1])
            slope = slope + 2 * np.sum(k * alpha * beta, axis=1) / variances + exact_slope
        return value, slope

    def _sums(
        self,
        variances: Floats,
        edge: float,
        nodes: int,
        terms: int,
        slopes: bool = True,
    ) -> tuple[Floats, Floats, Floats]:
        r"""Return the smooth part's coefficients (n, terms), $E[S^2]$ and $E[S'^2]$, at ascending variances."""

        def direct(a: Floats) -> tuple[Floats, ...]:
            return self._quadrature(a, edge, nodes, terms, slopes)

        alpha, value, slope = across(direct, variances)
        return alpha, value, slope

    def _quadrature(
        self, variances: Floats, edge: float, nodes: int, terms: int, slopes: bool
    ) -> tuple[Floats, Floats, Floats]:
        z, step, root_w, psi = _grid(edge, nodes)
        n = len(variances)
        alpha, value, slope = np.zeros((n, terms)), np.zeros(n), np.zeros(n)
        size = max(1, _CHUNK // nodes)
        for start in range(0, n, size):
            part = slice(start, start + size)
            root = np.sqrt(variances[part])[:, None]
            f = self.split.smooth(root * z) * root_w
            if terms:
                alpha[part] = f @ psi[:terms].T
                alpha[part] *= step
            squares = step * np.einsum("ij,ij->i", f, f)
            value[part] = squares
            if terms:
                # Coefficients that parity makes 0 are set to 0 exactly, since sums over k skip zeros.
                alpha[part][np.abs(alpha[part]) < _NOISE * np.sqrt(squares)[:, None]] = 0
            if slopes:
                slope[part] = step * np.sum(_slopes(f, z, step) ** 2, axis=1) / variances[part]
        return alpha, value, slope


def kink_pairs(
    xp: Namespace, split: Split, a: Array, b: Array, rho: Array, derivative: bool
) -> tuple[Array, Array | None]:
    """Return the exact dual of the kinks; all arrays broadcast to the shape of rho."""
    roots = xp.sqrt(a), xp.sqrt(b)
    value, slope = rho * 0, rho * 0 if derivative else None
    for left in split.kinks:
        h = left.position / roots[0] if left.position else 0.0
        for right in split.kinks:
            k = right.position / roots[1] if right.position else 0.0
            moments = RectifiedMoments(xp, h, k, rho)
            for p, q in np.ndindex(POWERS + 1, POWERS + 1):
                jumps = left.jumps[p] * right.jumps[q]
                if jumps == 0:
                    continue
                value += moments(p, q) * (
                    roots[0] ** p * roots[1] ** q * (jumps / (factorial(p) * factorial(q)))
                )
                if slope is not None and p and q:
                    scale = jumps / (factorial(p - 1) * factorial(q - 1))
                    slope += moments(p - 1, q - 1) * (roots[0] ** (p - 1) * roots[1] ** (q - 1) * scale)
    return value, slope


def _remainders(alpha: Floats, after: list[Floats]) -> Floats:
    r"""Return the series' remainders at $\rho = 1$ as rows to multiply: (n, 2 signs × 2 parities) for each of `after`.

    A remainder R is split into even and odd like the last two coefficients, and a row r holds the roots of its positive
    and negative part, so that $r_+ r'_+ - r_- r'_-$ is R for equal points, and at most the root of two R for others.
    """
    last = alpha[:, -2:] ** 2
    if alpha.shape[1] % 2:
        last = last[:, ::-1]
    total = np.sum(last, axis=1, keepdims=True)
    shares = np.where(total > 0, last / np.where(total > 0, total, 1), 0.5)
    signed = [np.sqrt(np.maximum(sign * lack[:, None] * shares, 0)) for lack in after for sign in (1, -1)]
    return np.concatenate(signed, axis=1)


def _finer(nodes: int) -> int:
    # Not doubled, since a fast oscillation looks alike on grids with common nodes.
    return int(1.4427 * nodes) | 1


def _nodes_for(plan: Plan, terms: int) -> int:
    r"""Return the number of nodes for more terms than the plan's; the k-th oscillates at frequency $\sqrt k$."""
    if terms <= plan.terms:
        return plan.nodes
    step = 2 * plan.edge / (plan.nodes - 1)
    more = (sqrt(terms) - sqrt(plan.terms)) * step / (2 * pi)
    return int(plan.nodes * (1 + more)) | 1


@lru_cache(maxsize=3)
def _grid(edge: float, nodes: int) -> tuple[Any, float, Any, Any]:
    # The edge is stretched slightly, so that no round frequency vanishes on the grid.
    z = np.linspace(-1.00271828 * edge, 1.00271828 * edge, nodes)
    # Exactly symmetric nodes keep the parity of the function exact.
    z = 0.5 * (z - z[::-1])
    psi = hermite_functions(z, MOST_TERMS - 1)
    for array in (z, psi):
        array.flags.writeable = False
    # The step from the edge, since a difference of two nodes is less accurate.
    return z, 2 * 1.00271828 * edge / (nodes - 1), psi[0], psi


def _slopes(f: Floats, z: Floats, step: float) -> Floats:
    r"""Return $\sqrt w\, dS/dz$ from $f = \sqrt w\, S$, with $f'$ by Fourier transform; f vanishes at both ends."""
    n = f.shape[1]
    frequency = 2j * pi * np.fft.rfftfreq(n, step)
    return np.fft.irfft(np.fft.rfft(f, axis=1) * frequency, n, axis=1) + 0.5 * z * f


def _tails(terms: Floats, beyond: Floats) -> Floats:
    """Return the sums of terms (n, K) from k on, (n, K + 1), plus `beyond` (n,)."""
    tails = np.zeros((terms.shape[0], terms.shape[1] + 1))
    tails[:, :-1] = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
    return tails + beyond[:, None]


def _beyond(terms: Floats) -> Floats:
    """Return the sum beyond K of terms (n, K) that fall as a power of k, extrapolated from the last two octaves."""
    K = terms.shape[1]
    before, last = np.sum(terms[:, K // 4 : K // 2], axis=1), np.sum(terms[:, K // 2 :], axis=1)
    ratio = np.minimum(last / np.maximum(before, 1e-300), 0.95)
    return last * ratio / (1 - ratio)


# Numbers of Chebyshev nodes to try; the last coefficients must be negligible beside the largest.
_NODES = (24, 48, 96)
_NEGLIGIBLE = 4e-15


def across(function: Callable[[Floats], tuple[Floats, ...]], variances: Floats) -> tuple[Floats, ...]:
    r"""Return function(variances), by Chebyshev interpolation in log a if that is faster and as accurate.

    Data sets have thousands of different norms in a narrow range, each of which would need a quadrature. `function`
    maps ascending variances (n,) above 0 to arrays (n, …).
    """
    n = len(variances)
    low, high = np.log(variances[0]), np.log(variances[-1])
    for nodes in _NODES:
        if n < 3 * nodes or not high > low:
            break
        angles = np.pi * (np.arange(nodes)[::-1] + 0.5) / nodes
        at_nodes = function(np.exp((low + high) / 2 + (high - low) / 2 * np.cos(angles)))
        # The values of T_k at the nodes, where they are orthogonal up to the factor for k = 0.
        transform = np.cos(np.arange(nodes)[:, None] * angles) * (2 / nodes)
        transform[0] /= 2
        series = [np.tensordot(transform, values, axes=1) for values in at_nodes]
        if all(np.abs(c[-4:]).max(initial=0) <= _NEGLIGIBLE * np.abs(c).max(initial=1e-300) for c in series):
            place = np.clip((np.log(variances) - (low + high) / 2) / ((high - low) / 2), -1, 1)
            basis = np.cos(np.arccos(place)[:, None] * np.arange(nodes))
            return tuple(np.tensordot(basis, c, axes=1) for c in series)
    return function(variances)
