r"""The curves of one Gram matrix, interpolated within the sample and continued past it.

Within the sample, monotone cubic interpolation in $\ln\kappa$. Past it, towards smaller $\kappa$, the power laws of
"More is better": $\ln z$, $\ln \sum L^2$ and $\ln B_2$ continue as the straight lines that fit them where $z$ lies
between $N/16$ and $0.95 N$. Their slopes are the exponents: $-1/\alpha$ for $z$ and $(\beta - 1)/\alpha$ for $B_2$.
Label noise bends $B_2$ towards a floor, $\sigma^2 + c\,\kappa^b$, which a sample seldom determines: floors from none
to all of $B_2$ are averaged, each weighted by how well it fits and, if that makes the floor higher, by the marginal
likelihood of so much noise. $B_1$ follows from $B_2$ by $dB_1/d\ln\kappa = B_1 -
B_2$, that is $B_1 = \kappa \int_\kappa^\infty B_2(t)\,t^{-2} dt$.

For a kernel of fewer modes than samples (features of the user's own) nothing is continued: below its smallest
eigenvalue, everything that can be learned is learned. If the kernel has more, but a known number $d$ of modes (linear),
$\ln z/(1 - z/d)$ takes the place of $\ln z$, and floors are weighted by the marginal likelihood alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from solvable.regression.one_gram import OneGram, replicate_weights
from solvable.spectra import SpectralSums

Array = NDArray[np.float64]

# Steps above this share of N are left out: at the sample's own interpolation peak leave-one-out terms have heavy tails.
_END = 0.97
_FIT = (1 / 16, 0.95)
# Candidate noise floors, as fractions of B2 at the sample's end. Half of the prior weight is on no floor.
_FLOORS = np.concatenate([[0.0], np.linspace(0.05, 0.95, 19), [0.98, 0.995]])
# Number of independent residuals: the fit spans about 4 nats of κ, over which leave-one-out errors are correlated.
_INDEPENDENT = 3.0
# Weight of the fitted curvature in the doubt about a straight continuation: on MNIST, continuing with half of the
# curvature is already too much (16-fold: 12-17 % low, the line 1 %).
_CURVATURE_DOUBT = 0.25


@dataclass(frozen=True)
class Continuation:
    r"""Continuation of the curves below the sample's smallest effective ridge $\kappa_0$, one entry per replicate.

    Attributes:
        modes_slope: slope of $\ln z$ in $\ln\kappa$, $-1/\alpha$.
        bias_slopes: $b$ in $B_2 = \sigma^2 + c\,\kappa^b$, `(replicates, floors)`.
        floors: $\sigma^2$, `(replicates, floors)`.
        weights: of each floor, `(replicates, floors)`, summing to 1.
        curvature: half the second derivative of $\ln B_2$ in $\ln\kappa$ over the fit, of the whole sample.
    """

    modes_slope: float
    bias_slopes: Array
    floors: Array
    weights: Array
    curvature: float

    @property
    def noise(self) -> float:
        r"""Expected floor $\sigma^2$."""
        return float(self.weights[0] @ self.floors[0])

    @property
    def bias_slope(self) -> float:
        r"""Expected $b = (\beta - 1)/\alpha$."""
        return float(self.weights[0] @ self.bias_slopes[0])


@dataclass(frozen=True, eq=False)
class EstimatedCurves:
    """Sums over an unknown spectrum, estimated from a sample.

    Replicate 0 is the whole sample, each of the others leaves a fold of points out.

    It implements `spectra.SpectralCurves`, so that every formula of `theory` accepts it.
    """

    statistics: OneGram

    noise = 0.0  # the noise cannot be separated from the target and stays in the biases

    @property
    def rank(self) -> float:
        """Number of the kernel's modes; infinite if unknown."""
        return float(self.statistics.rank) if self._few_modes else self.statistics.n_modes

    @property
    def _few_modes(self) -> bool:
        return self.statistics.rank < _END * self.statistics.n_distinct

    @cached_property
    def _steps(self) -> NDArray[np.bool_]:
        s = self.statistics
        return np.full(s.log_kappa.shape, True) if self._few_modes else s.learned_modes < _END * s.n_samples

    @cached_property
    def log_kappa(self) -> Array:
        r"""$\ln\kappa$ at the steps of the estimate, ascending."""
        return self.statistics.log_kappa[self._steps]

    @cached_property
    def learned_modes(self) -> Array:
        """$z$ at those steps."""
        return self.statistics.learned_modes[self._steps]

    @property
    def least_ridge(self) -> float:
        """The ridge below which nothing changes, where points repeat: no model tells their labels apart."""
        s = self.statistics
        if self._few_modes or s.n_distinct == s.n_samples:
            return 0.0
        return float(np.exp(self.log_kappa[0]) * (s.n_samples - self.learned_modes[0]))

    @property
    def log_trace(self) -> float:
        r"""$\ln \sum_i m_i \lambda_i$, taken where the ridge dominates."""
        return float(np.log(self.learned_modes[-1] - self.statistics.intercept) + self.log_kappa[-1])

    @cached_property
    def _replicates(self) -> tuple[Array, Array]:
        r"""Return $\sum L^2$ and $B_2$, `(steps, replicates)`."""
        s = self.statistics
        weights = replicate_weights(s.fold_sizes)
        error, amplification = (
            (weights @ values[:, self._steps]).T for values in (s.squared_error, s.amplification)
        )
        z, partly = self.learned_modes[:, None], s.partly_learned_modes[self._steps][:, None]
        # Leave-one-out noise must not make the number of partly learned modes negative.
        learned_squared = np.minimum(s.n_samples * (1.0 - 1.0 / amplification), z - 0.01 * partly)
        # By this B2 the error predicted for n = N is the error when single points, or groups, are left out.
        squared_bias = error * (1.0 - learned_squared / s.n_samples)
        return np.maximum(learned_squared, 1e-300), np.maximum(squared_bias, 1e-300)

    @cached_property
    def squared_bias(self) -> Array:
        r"""$B_2$ at the steps, `(steps, replicates)`."""
        return self._replicates[1]

    @cached_property
    def linear_bias(self) -> Array:
        r"""$B_1$ at the steps, `(steps, replicates)`, by exact integration of a piecewise power law."""
        x, b2 = self.log_kappa, self.squared_bias
        width = np.diff(x)[:, None]
        rate = np.diff(np.log(b2), axis=0) / width - 1.0
        pieces = b2[:-1] * np.exp(-x[:-1, None]) * width * _exprel(rate * width)
        beyond = b2[-1] * np.exp(-x[-1])
        integral = np.vstack([pieces, beyond[None]])[::-1].cumsum(axis=0)[::-1]
        return integral * np.exp(x)[:, None]

    @cached_property
    def _interpolant(self) -> PchipInterpolator:
        return self._interpolate(slice(None))

    @cached_property
    def _whole_interpolant(self) -> PchipInterpolator:
        return self._interpolate(slice(0, 1))

    def _interpolate(self, which: slice) -> PchipInterpolator:
        logs = [np.log(self.learned_modes)[:, None], np.log(self._replicates[0][:, which])]
        logs += [np.log(self.linear_bias[:, which]), np.log(self.squared_bias[:, which])]
        return PchipInterpolator(self.log_kappa, np.hstack(logs), extrapolate=False)

    @cached_property
    def _fit(self) -> NDArray[np.bool_]:
        """Steps that the continuation is fitted to."""
        s, z = self.statistics, self.learned_modes
        # Of tr A the null space of N - D repeats is the part (N - D)/(N - z): at most a quarter while it bends z.
        straight = max(4.0 * s.n_distinct - 3.0 * s.n_samples, s.n_distinct / 2)
        fit = (z > _FIT[0] * s.n_samples) & (z < min(_FIT[1] * s.n_samples, straight))
        return fit if fit.sum() >= 4 else np.arange(len(z)) < 4

    @cached_property
    def continuation(self) -> Continuation | None:
        """Continuation past the sample; None for a kernel with fewer modes than samples."""
        if self._few_modes:
            return None
        z, x, fit = self.learned_modes, self.log_kappa - self.log_kappa[0], self._fit
        growing = np.log(z / (1.0 - z / self.rank))
        # Where points repeat, z hardly grows at the end; further points are not only copies.
        least = -1e-3 if self.statistics.n_distinct == self.statistics.n_samples else -0.1
        modes_slope = min(float(np.polyfit(x[fit], growing[fit], 1)[0]), least)
        slopes, weights = map(
            np.array,
            zip(*(_fit_floors(x[fit], b2[fit], b2[0]) for b2 in self.squared_bias.T), strict=True),
        )
        evidence = self._weights_by_evidence()
        if np.isfinite(self.rank):
            # The error ends at the noise when all modes are learned, however it falls before.
            weights = evidence
        else:
            both = np.maximum(weights * evidence, 1e-300)
            both /= both.sum(axis=1, keepdims=True)
            # A kernel that is rougher than the target takes noise for target: evidence for less noise says little.
            if both[0] @ _FLOORS > weights[0] @ _FLOORS:
                weights = both
        curvature = float(np.polyfit(x[fit], np.log(self.squared_bias[fit, 0]), 2)[0])
        floors = self.squared_bias[0][:, None] * _FLOORS
        return Continuation(modes_slope, slopes, floors, weights, curvature)

    def _weights_by_evidence(self) -> Array:
        """Return weights of the floors, `(replicates, floors)`, by the marginal likelihood of that much label noise."""
        s = self.statistics
        floors = np.log(np.maximum(self.squared_bias[0][:, None] * _FLOORS, s.noise[0]))
        log_evidence = np.interp(floors, np.log(s.noise), s.log_evidence)
        # Floors are spaced evenly, but for the last two, and the prior is flat in their logarithm, down to a fortieth.
        log_evidence -= np.log(np.maximum(_FLOORS, 0.025))
        weights = np.exp(log_evidence - log_evidence.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def sums(self, log_kappa: Array) -> SpectralSums:
        """Return the four sums of the whole sample's estimate; see `spectra.SpectralSums`."""
        z, g, b1, b2 = self._sums(log_kappa, self._whole_interpolant, slice(0, 1))
        return SpectralSums(z[..., 0], g[..., 0], b1[..., 0], b2[..., 0])

    def replicate_sums(self, log_kappa: Array) -> SpectralSums:
        """Return the four sums of every replicate, `(*grid, replicates)`; z is the same for all."""
        return self._sums(log_kappa, self._interpolant, slice(None))

    def _sums(self, log_kappa: Array, interpolant: PchipInterpolator, which: slice) -> SpectralSums:
        x = np.asarray(log_kappa, dtype=np.float64)
        grid_x = self.log_kappa
        values = np.exp(interpolant(np.clip(x, grid_x[0], grid_x[-1])))
        r = (values.shape[-1] - 1) // 3
        z, squared, b1, b2 = np.split(values, [1, 1 + r, 1 + 2 * r], axis=-1)
        # Above the largest κ the ridge dominates: z falls as 1/κ, the sum of squares as 1/κ², both to the intercept;
        # biases are constant.
        above = np.exp(-np.maximum(x - grid_x[-1], 0.0))[..., None]
        always = min(self.statistics.intercept, self.learned_modes[-1])
        z = always + (z - always) * above
        squared = np.minimum(always, squared) + np.maximum(squared - always, 0.0) * above**2
        below = np.minimum(x - grid_x[0], 0.0)[..., None]
        if np.any(below < 0.0):
            z, squared, b1, b2 = self._continue(below, z, squared, b1, b2, which)
        return SpectralSums(np.broadcast_to(z, squared.shape), z - squared, b1, b2)

    def _continue(
        self, below: Array, z: Array, squared: Array, b1: Array, b2: Array, which: slice
    ) -> tuple[Array, Array, Array, Array]:
        """Return the sums `below` nats past the sample's end (0 within it)."""
        law = self.continuation
        if law is None:
            # Every mode is learned in the end; the unlearned part of the last ones falls in proportion to κ.
            rank, shrink = self.statistics.rank, np.exp(below)
            all_learned = rank - (rank - z) * shrink
            return all_learned, all_learned - (z - squared) * shrink, b2 + (b1 - b2) * shrink, b2
        below = np.maximum(below, -700.0)
        with np.errstate(over="ignore", divide="ignore"):
            # Towards all modes, or for ever in proportion to the power law.
            shrink = np.exp(-law.modes_slope * below)
            onward = 1.0 / (shrink * (1.0 / z - 1.0 / self.rank) + 1.0 / self.rank)
            partly = (z - squared) * (onward / z) ** 2 * shrink
        weights, floors, slopes = law.weights[which], law.floors[which], law.bias_slopes[which]
        floor = np.sum(weights * floors, axis=-1)
        moving = weights * (self.squared_bias[0, which, None] - floors)
        apart = below[..., None]
        falling = moving * np.exp(slopes * apart)
        b2_on = floor + falling.sum(axis=-1)
        # B1 = κ ∫_κ^∞ B2/t² dt: the part from κ to κ0 in closed form for each power, then the part beyond κ0.
        b1_on = (
            floor * -np.expm1(below)
            + np.sum(falling * -apart * _exprel((1.0 - slopes) * apart), axis=-1)
            + self.linear_bias[0, which] * np.exp(below)
        )
        past = below < 0.0
        z, squared = np.where(past, onward, z), np.where(past, onward - partly, squared)
        return z, squared, np.where(past, b1_on, b1), np.where(past, b2_on, b2)

    def doubt(self, log_kappa: Array) -> Array:
        r"""Return the standard error of $\ln B_2$ due to how it is continued, `(*grid)`; 0 within the sample."""
        law = self.continuation
        below = np.minimum(np.asarray(log_kappa) - self.log_kappa[0], 0.0)
        if law is None:
            return np.zeros(below.shape)
        # If the curve is no power law: the distance of a parabola from the line past a fit of this length.
        length = np.ptp(self.log_kappa[self._fit])
        bend = _CURVATURE_DOUBT * abs(law.curvature) * np.abs(below) * (np.abs(below) + length)
        # The scatter of the averaged floors.
        floors, weights = law.floors[0], law.weights[0]
        falling = (self.squared_bias[0, 0] - floors) * np.exp(law.bias_slopes[0] * below[..., None])
        logs = np.log(np.maximum(floors + falling, 1e-300))
        variance = np.square(logs) @ weights - np.square(logs @ weights)
        return np.sqrt(np.minimum(bend, 1.0) ** 2 + np.maximum(variance, 0.0))


def _exprel(t: Array) -> Array:
    """Return (e^t - 1)/t, 1 at t = 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(t) < 1e-12, 1.0, np.expm1(t) / t)


def _fit_floors(x: Array, b2: Array, end: float) -> tuple[Array, Array]:
    r"""Fit $B_2 = \sigma^2 + c\,\kappa^b$ at each floor; return the slopes $b$ and the weights of the floors."""
    misfit, slopes = np.full(len(_FLOORS), np.inf), np.zeros(len(_FLOORS))
    for i, fraction in enumerate(_FLOORS):
        moving = b2 - fraction * end
        if moving.min() <= 0.0:
            break
        slope, offset = np.polyfit(x, np.log(moving), 1)
        # Residuals of ln B2, not of ln(B2 - floor), so that all floors are compared alike.
        residual = np.log(b2) - np.log(fraction * end + np.exp(offset + slope * x))
        misfit[i], slopes[i] = residual @ residual / len(x), max(float(slope), 0.0)
    # The likelihood of Gaussian residuals of unknown size; below 0.1 % they are the grid's, not the data's.
    misfit += 1e-6
    weights = (misfit / misfit.min()) ** (-_INDEPENDENT / 2)
    weights[0] *= len(_FLOORS) - 1
    return slopes, weights / weights.sum()
