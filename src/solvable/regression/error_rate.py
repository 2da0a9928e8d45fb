r"""Error rate: how often the largest output names the wrong class, from the same Gram matrix.

At the effective ridge $\kappa$, a model of $n$ samples has the same mean prediction as the leave-one-out predictor
of the $N$ samples at the auxiliary ridge $\delta' = \kappa (N - z)$, and a variance that differs by
$B_2 (\mathcal{E}_0(n) - \mathcal{E}_0(N))$. So the error rate is that of the leave-one-out predictions
$f_i = y_i - r_i$ with that much noise added. Predictions near a boundary between classes are the noisiest: the noise is
divided among the points by the sandwich covariance

$C_i \propto \sum_{j \ne i} (A_{ij} / A_{ii})^2\, r_j r_j^\top, \qquad A = (K + \delta' I)^{-1}$,

with one factor for all points. (With equal noise at all points, the rate is 16 % low on MNIST and 33 % low on digits.)
Predictions are interpolated in one table over $\kappa$ and the amount of noise.

Source: derived for this library; checked against training on MNIST, CIFAR-10 and digits in the tests.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from solvable.regression import theory
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.one_gram import Decomposition, OneGram, replicate_weights
from solvable.regression.targets import Targets
from solvable.spectra import ImplicitRegularization

# Nodes in ln κ: the rate varies on a scale of one nat and more, over a range of some ten.
_NODES = 24
# Extra noise in units of the noise of leave-one-out predictions; beyond the last value all answers are noise.
_EXTRA = np.concatenate([[0.0], np.geomspace(0.01, 1e6, 33)])
_DRAWS = 20
# With more classes the noise is drawn point by point, since the size of its covariance grows as their square.
_MANY_CLASSES = 16
# Random numbers for each point in that case.
_MOST_DRAWS = 320
# Subtracting variance leaves at least this share of the leave-one-out error rate.
_LEAST_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class ErrorRates:
    r"""Error rate over effective ridge and extra noise.

    Attributes:
        log_kappa: $\ln\kappa$, `(nodes,)`, ascending.
        extra: variance of the added noise, `(extras,)`, from 0, in units of that of the leave-one-out predictions,
            $B_2 (\mathcal{E}_0 - 1)$ at $N$.
        rate: share of wrong answers in each fold of the sample, `(folds, nodes, extras)`.
        fold_sizes: points in each fold, `(folds,)`.
    """

    log_kappa: Float[NDArray, "nodes"]
    extra: Float[NDArray, "extras"]
    rate: Float[NDArray, "folds nodes extras"]
    fold_sizes: Float[NDArray, "folds"]

    def of(self, curves: EstimatedCurves, solution: ImplicitRegularization) -> NDArray[np.float64]:
        """Return error rates of the whole sample and without each of its folds, `(*grid, 1 + folds)`.

        Args:
            curves: of the sample.
            solution: of the implicit equation on the grid.
        """
        # From the equations alone: a difference of two measured errors would be mostly noise.
        n_samples, sums = curves.statistics.n_samples, solution.sums
        learned_squared = sums.learned_modes - sums.partly_learned_modes
        with np.errstate(invalid="ignore", divide="ignore"):
            own = learned_squared / np.maximum(n_samples - learned_squared, 1e-300)
            extra = (theory.test_mse(solution) / sums.squared_bias - 1.0) / own - 1.0
        # The intercepts of the leave-one-out predictions are all nearly the same, that of this sample's own classes,
        # against which each point votes (coin flips in equal numbers would all be called wrong): draw it again.
        extra += curves.statistics.intercept / (n_samples * np.maximum(own, 1e-300))
        # If next to nothing is learned, that would be rounding; the variance is then proportional to 1/n.
        extra = np.where(own > 1e-9, extra, n_samples / solution.n_train - 1.0)
        return self.replicates(solution.log_feature_ridge, extra)

    def replicates(self, log_kappa: NDArray[np.float64], extra: NDArray[np.float64]) -> NDArray[np.float64]:
        r"""Return error rates of the whole sample and without each of its folds, `(*grid, 1 + folds)`.

        Args:
            log_kappa: $\ln\kappa$ (with random features $\ln\gamma$), any shape; clipped to the range of the nodes.
            extra: variance of a prediction minus that of the leave-one-out predictions, in units of the latter, same
                shape.
        """
        x = np.clip(log_kappa, self.log_kappa[0], self.log_kappa[-1])
        extra = np.minimum(np.nan_to_num(extra, nan=0.0), self.extra[-1])
        rates = self._at(x, np.maximum(extra, 0.0))
        if (less := extra < 0.0).any():
            # With more samples at the same κ, part of the variance is subtracted. Doubling the variance raises the rate
            # by a factor. Going down, take the geometric mean of two rules: that power of the remaining variance (right
            # for clean classes, too much on MNIST), and in proportion (too little and right).
            factor = np.maximum(self._at(x, np.ones(x.shape)) / np.maximum(rates, 1e-300), 1.0)
            rest = 1.0 - np.clip(-extra, 0.0, 1.0)[..., None]
            power = rest ** np.minimum(np.log2(factor), 1.0)
            line = np.maximum(1.0 - (1.0 - rest) * (factor - 1.0), 0.0)
            rates = rates * np.where(less[..., None], np.maximum(np.sqrt(power * line), _LEAST_SHARE), 1.0)
        return rates

    def _at(self, log_kappa: NDArray[np.float64], extra: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._interpolant(np.stack([log_kappa, _spread(extra)], axis=-1))

    @cached_property
    def _interpolant(self) -> RegularGridInterpolator:
        values = np.einsum("rf,fne->ner", replicate_weights(self.fold_sizes), self.rate)
        return RegularGridInterpolator((self.log_kappa, _spread(self.extra)), values)


def _spread(extra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return extra noise on a scale on which the rate is smooth: linear near 0, logarithmic beyond."""
    return np.log(extra + 0.01)


def error_rates(decomposition: Decomposition, statistics: OneGram, targets: Targets) -> ErrorRates:
    """Return the table of error rates of a sample with classes.

    Args:
        decomposition: of its Gram matrix.
        statistics: of that matrix, by `one_gram`.
        targets: with `codes`.
    """
    n, s = statistics.n_samples, statistics
    # From where the sample's own interpolation peak begins to where next to nothing is learned.
    beyond_intercept = s.learned_modes - s.intercept
    least = min(0.03, beyond_intercept.max() / 2)
    steps = np.flatnonzero((s.learned_modes < 0.97 * n) & (beyond_intercept > least))
    steps = steps if len(steps) >= 2 else np.arange(len(s.log_kappa))
    even = np.linspace(s.log_kappa[steps[0]], s.log_kappa[steps[-1]], _NODES)
    nodes = np.unique(np.abs(s.log_kappa[:, None] - even).argmin(axis=0))
    ridges = np.exp(s.log_kappa[nodes]) * (n - s.learned_modes[nodes]) / decomposition.scale

    outputs = targets.columns.shape[1]
    many = outputs > _MANY_CLASSES
    shape = (max(2, min(_DRAWS, _MOST_DRAWS // outputs)), n) if many else (_DRAWS, n, outputs)
    draws = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if decomposition.groups is None:
        tables = [_rates_at(decomposition, targets, ridge, draws, None) for ridge in ridges]
    else:  # all ridges at once, since they share the decomposition of the other groups
        residual, variance = decomposition.left_out(targets.columns, ridges)
        tables = [
            _rates_at(decomposition, targets, ridge, draws, (residual[..., i], variance[:, i]))
            for i, ridge in enumerate(ridges)
        ]
    return ErrorRates(
        log_kappa=s.log_kappa[nodes],
        extra=_EXTRA,
        rate=np.stack([decomposition.fold_means(table) for table in tables], axis=1),
        fold_sizes=s.fold_sizes,
    )


def _rates_at(
    decomposition: Decomposition,
    targets: Targets,
    ridge: float,
    draws: Float[NDArray, "draws N *outputs"],
    left_out: tuple[NDArray, NDArray] | None,
) -> Float[NDArray, "N extras"]:
    """Return the probability of a wrong answer at each point, for each amount of extra noise."""
    vectors, codes = decomposition.vectors, targets.codes
    assert codes is not None
    n = len(targets)
    inverse = 1.0 / (decomposition.values + ridge)
    diagonal = np.square(vectors) @ inverse
    if left_out is None:
        residual = (vectors @ (inverse[:, None] * (vectors.T @ targets.columns))) / diagonal[:, None]
        noise_variance = np.square(vectors) @ np.square(inverse) / np.square(diagonal)
    else:
        residual, noise_variance = left_out
    squares, amplification = np.square(residual).sum(axis=1).mean(), noise_variance.mean()

    variance = squares / amplification * (amplification - 1.0)
    noise = _noise(vectors * np.sqrt(inverse), diagonal, residual, variance, draws, decomposition.groups)

    # Margins: output of each other class minus that of the true one.
    points = np.arange(n)
    scores = (targets.columns - residual + targets.offset).astype(np.float32)
    margin = (scores - scores[points, codes][:, None]).T
    noise = np.ascontiguousarray(noise - noise[codes, :, points].T)
    margin[codes, points] = -np.inf
    rates = np.empty((n, len(_EXTRA)))
    for e, extra in enumerate(_EXTRA):
        ahead = noise * np.float32(np.sqrt(extra))
        ahead += margin[:, None, :]
        rates[:, e] = (ahead.max(axis=0) > 0.0).mean(axis=0)
    return rates


def _noise(
    half: Float[NDArray, "N modes"],
    diagonal: Float[NDArray, "N"],
    residual: Float[NDArray, "N outputs"],
    variance: float,
    draws: Float[NDArray, "draws N *outputs"],
    groups: Int[NDArray, "N"] | None,
) -> Float[NDArray, "outputs draws N"]:
    r"""Return noise of the sandwich covariance at each point, `variance` of it on average (summed over outputs).

    Args:
        half: a square root of $A$.
        diagonal: of $A$.
        residual: of each point.
        variance: mean trace of the covariance.
        draws: standard normal numbers, one for each output of each point; for many classes one for each point, by
            which its residual is multiplied in the predictions of all others.
        groups: index of each point's group, whose points are left out of each other's predictions.
    """
    n, outputs = residual.shape
    # Single precision is enough for a covariance that is sampled by twenty draws.
    half, residual = half.astype(np.float32), residual.astype(np.float32)
    weights = half @ half.T
    weights /= diagonal[:, None].astype(np.float32)
    if groups is None:
        np.fill_diagonal(weights, 0.0)
    else:
        weights[groups[:, None] == groups] = 0.0
    if draws.ndim == 2:
        products = (residual * draws[:, :, None]).transpose(1, 2, 0).reshape(n, -1)
        noise = (weights @ products).reshape(n, outputs, -1)
        size = (np.square(weights) @ np.square(residual).sum(axis=1)).mean()
        noise *= np.sqrt(variance / size) if size > 0.0 else 0.0
        return noise.transpose(1, 2, 0)
    weights *= weights
    pairs = (residual[:, :, None] * residual[:, None, :]).reshape(n, -1)
    covariance = (weights @ pairs).reshape(n, outputs, outputs).astype(np.float64)
    size = np.trace(covariance, axis1=1, axis2=2).mean()
    covariance *= variance / size if size > 0.0 else 0.0
    strength, axes = np.linalg.eigh(covariance)
    root = (axes * np.sqrt(np.maximum(strength, 0.0))[:, None, :]).astype(np.float32)
    return np.matmul(root, draws.transpose(1, 2, 0)).transpose(1, 2, 0)
