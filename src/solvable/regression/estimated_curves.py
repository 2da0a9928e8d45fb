r"""The curves of one Gram matrix, interpolated within the sample and continued past it.

Within the sample, monotone cubic interpolation in $\ln\kappa$. Past it, towards smaller $\kappa$, the power
laws of "More is better": $\ln z$, $\ln \sum L^2$ and $\ln B_2$ go on as the straight lines that fit them where
$z$ lies between $N/16$ and $0.95 N$. Their slopes are the exponents: $-1/\alpha$ for $z$ and $(\beta -
1)/\alpha$ for $B_2$. Label noise bends $B_2$ towards a floor, $\sigma^2 + c\,\kappa^b$, and a sample seldom
tells for sure which: floors from none to all of $B_2$ are averaged, each weighed by how well it fits. $B_1$
follows from $B_2$ by $dB_1/d\ln\kappa = B_1 - B_2$, that is $B_1 = \kappa \int_\kappa^\infty B_2(t)\,t^{-2}
dt$.

A kernel of fewer modes than samples (features of the user's own) ends instead: below its smallest eigenvalue all is
learned that can be, and nothing is continued.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from solvable.regression.one_gram import OneGram, replicate_weights
from solvable.spectra import SpectralSums

Array = NDArray[np.float64]

# The last steps before z = N are the sample's own interpolation peak, where leave-one-out terms grow heavy tails.
_END = 0.97
_FIT = (1 / 16, 0.95)
# Noise floors that are tried, as fractions of B2 at the sample's end. No floor has half of the prior weight.
_FLOORS = np.concatenate([[0.0], np.linspace(0.05, 0.95, 19), [0.98, 0.995]])
# The fit spans about 4 nats of κ, on which leave-one-out errors move together: that few residuals are independent.
_INDEPENDENT = 3.0
# Weight of the fitted curvature in the doubt about a straight continuation: half of what it would do would already
# be too much on MNIST (16-fold: 12-17 % low, the line 1 %).
_CURVATURE_DOUBT = 0.25


@dataclass(frozen=True)
class Continuation:
    r"""How the curves go on below the sample's smallest effective ridge $\kappa_0$, one entry per replicate.

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
    """The sums over an unknown spectrum, estimated from a sample.

    Replicate 0 is the whole sample, each of the others leaves a fold of points out.

    It offers what `spectra.SpectralCurves` asks for, so every formula of `theory` takes it.
    """

    statistics: OneGram

    noise = 0.0  # not known apart from the target: it stays inside the biases

    @property
    def rank(self) -> float:
        """How many modes the kernel has: unknown, thus infinite, unless the Gram matrix shows that they are few."""
        return float(self.statistics.rank) if self._few_modes else np.inf

    @property
    def _few_modes(self) -> bool:
        return self.statistics.rank < _END * self.statistics.n_samples

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
    def log_trace(self) -> float:
        r"""$\ln \sum_i m_i \lambda_i$, read off where the ridge dominates."""
        return float(np.log(self.learned_modes[-1]) + self.log_kappa[-1])

    @cached_property
    def _replicates(self) -> tuple[Array, Array]:
        r"""Return $\sum L^2$ and $B_2$, `(steps, replicates)`."""
        s = self.statistics
        weights = replicate_weights(s.fold_sizes)
        error = (weights @ s.squared_error[:, self._steps]).T
        of_the_error, amplification = (
            (weights @ values[:, self._steps]).T for values in (s.error_amplification, s.amplification)
        )
        z, partly = self.learned_modes[:, None], s.partly_learned_modes[self._steps][:, None]
        # Some modes are always partly learned: leave-one-out noise must not make their number negative.
        learned_squared = np.minimum(s.n_samples * (1.0 - 1.0 / amplification), z - 0.01 * partly)
        return np.maximum(learned_squared, 1e-300), error / of_the_error

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
    def _interpolant_of_the_whole(self) -> PchipInterpolator:
        return self._interpolate(slice(0, 1))

    def _interpolate(self, which: slice) -> PchipInterpolator:
        logs = [np.log(self.learned_modes)[:, None], np.log(self._replicates[0][:, which])]
        logs += [np.log(self.linear_bias[:, which]), np.log(self.squared_bias[:, which])]
        return PchipInterpolator(self.log_kappa, np.hstack(logs), extrapolate=False)

    @cached_property
    def _fit(self) -> NDArray[np.bool_]:
        """The steps that the continuation is fitted to."""
        n, z = self.statistics.n_samples, self.learned_modes
        fit = (z > _FIT[0] * n) & (z < _FIT[1] * n)
        return fit if fit.sum() >= 4 else np.arange(len(z)) < 4

    @cached_property
    def continuation(self) -> Continuation | None:
        """How the curves go on past the sample; None where the kernel's modes end within it."""
        if self._few_modes:
            return None
        z, x, fit = self.learned_modes, self.log_kappa - self.log_kappa[0], self._fit
        modes_slope = min(float(np.polyfit(x[fit], np.log(z[fit]), 1)[0]), -1e-3)
        slopes, weights = zip(
            *(_fit_floors(x[fit], b2[fit], b2[0]) for b2 in self.squared_bias.T), strict=True
        )
        curvature = float(np.polyfit(x[fit], np.log(self.squared_bias[fit, 0]), 2)[0])
        floors = self.squared_bias[0][:, None] * _FLOORS
        return Continuation(modes_slope, np.array(slopes), floors, np.array(weights), curvature)

    def sums(self, log_kappa: Array) -> SpectralSums:
        """Return the four sums of the whole sample's estimate; see `spectra.SpectralSums`."""
        z, g, b1, b2 = self._sums(log_kappa, self._interpolant_of_the_whole, slice(0, 1))
        return SpectralSums(z[..., 0], g[..., 0], b1[..., 0], b2[..., 0])

    def replicate_sums(self, log_kappa: Array) -> SpectralSums:
        """Return the four sums of every replicate, `(*grid, replicates)`; z is the same for all."""
        return self._sums(log_kappa, self._interpolant, slice(None))

    def _sums(self, log_kappa: Array, interpolant: PchipInterpolator, which: slice) -> SpectralSums:
        x = np.asarray(log_kappa, dtype=np.float64)
        grid_x = self.log_kappa
        inside = np.clip(x, grid_x[0], grid_x[-1])
        values = np.exp(interpolant(inside))
        r = (values.shape[-1] - 1) // 3
        z, squared, b1, b2 = (
            values[..., :1],
            values[..., 1 : 1 + r],
            values[..., 1 + r : 1 + 2 * r],
            values[..., 1 + 2 * r :],
        )
        # Above the ladder the ridge dominates: z falls as 1/κ, the sum of squares as 1/κ², biases are constant.
        above = np.exp(-np.maximum(x - grid_x[-1], 0.0))[..., None]
        z, squared = z * above, squared * above**2
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
            # Every mode is learned in the end; what is not learned yet of the last ones falls in proportion to κ.
            rank, shrink = self.statistics.rank, np.exp(below)
            all_learned = rank - (rank - z) * shrink
            return all_learned, all_learned - (z - squared) * shrink, b2 + (b1 - b2) * shrink, b2
        growth = np.exp(law.modes_slope * below)
        weights, floors, slopes = law.weights[which], law.floors[which], law.bias_slopes[which]
        floor = np.sum(weights * floors, axis=-1)
        moving = weights * (self.squared_bias[0, which, None] - floors)
        apart = below[..., None]
        falling = moving * np.exp(slopes * apart)
        b2_on = floor + falling.sum(axis=-1)
        # B1 = κ ∫_κ^∞ B2/t² dt: the part from κ to κ0 in closed form for each power, then what was there at κ0.
        b1_on = (
            floor * -np.expm1(below)
            + np.sum(falling * -apart * _exprel((1.0 - slopes) * apart), axis=-1)
            + self.linear_bias[0, which] * np.exp(below)
        )
        past = below < 0.0
        return z * growth, squared * growth, np.where(past, b1_on, b1), np.where(past, b2_on, b2)

    def doubt(self, log_kappa: Array) -> Array:
        r"""Return the standard error of $\ln B_2$ due to how it is continued, `(*grid)`; 0 within the sample."""
        law = self.continuation
        below = np.minimum(np.asarray(log_kappa) - self.log_kappa[0], 0.0)
        if law is None:
            return np.zeros(below.shape)
        # The curve may be no power law: a parabola leaves the line, by this much past a fit of this length.
        length = np.ptp(self.log_kappa[self._fit])
        bend = _CURVATURE_DOUBT * abs(law.curvature) * np.abs(below) * (np.abs(below) + length)
        # And the floors that were averaged disagree.
        floors, weights = law.floors[0], law.weights[0]
        logs = np.log(
            floors + (self.squared_bias[0, 0] - floors) * np.exp(law.bias_slopes[0] * below[..., None])
        )
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
        # Residuals of ln B2, not of the logarithm of the rest, so that all floors are judged alike.
        residual = np.log(b2) - np.log(fraction * end + np.exp(offset + slope * x))
        misfit[i], slopes[i] = residual @ residual / len(x), max(float(slope), 0.0)
    # The likelihood of Gaussian residuals of unknown size; below 0.1 % they are the grid's, not the data's.
    misfit += 1e-6
    weights = (misfit / misfit.min()) ** (-_INDEPENDENT / 2)
    weights[0] *= len(_FLOORS) - 1
    return slopes, weights / weights.sum()
