r"""Leave-one-out statistics of one Gram matrix: the population's sums over the spectrum, without its spectrum.

From the eigendecomposition of one labelled sample of $N$ points, some hundred values of an auxiliary ridge $\delta'$
give one point each of the curves on which the theory is based. With $A = (K + \delta' I)^{-1}$ and $\alpha = A Y$:

- the effective ridge is $\kappa = 1 / \mathrm{tr}\,A$, and the modes learned are $z(\kappa) = N - \delta'/\kappa$;
- leave-one-out error $\mathrm{LOO} = \mathrm{mean}_i\, |\alpha_i|^2 / A_{ii}^2$: unbiased test error at $n \approx N$;
- leave-one-out overfitting coefficient $\mathcal{E}_0 = \mathrm{mean}_i\, (A^2)_{ii} / A_{ii}^2$, which gives
  $\sum_i m_i L_i^2 = N (1 - 1/\mathcal{E}_0)$ and $B_2(\kappa) = \mathrm{LOO} / \mathcal{E}_0$.

With `groups`, whole groups are left out instead of single points: the residual of group g, predicted from all other
groups, is $A_{gg}^{-1} \alpha_g$, and the error is that on samples of a new group. The covariance of the residuals of
pure noise is $A_{gg}^{-1} (A^2)_{gg} A_{gg}^{-1}$. That is one solve of the group's size for each ridge; for a large
group, one eigendecomposition of all other points is cheaper, since it serves every ridge. With an intercept,
the mean of the other groups, not of all, is subtracted from the labels.

The textbook estimate, which uses the sample's own eigenvalues in place of the population's, is biased by about $n/N$
(`spectra.plug_in_eigensystem`); these curves are not, because a point that is left out is a test point.

Source: derived for this library; checked against retraining on MNIST, CIFAR-10 and digits in the tests.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from solvable.datasets.labels import refuse_extreme
from solvable.eigh import eigh_in_place
from solvable.errors import InputError
from solvable.kernels import check_positive_semidefinite
from solvable.regression.intercept import contrast_gram, contrasts, from_contrasts
from solvable.regression.nested import fewer_outputs

# Number of folds of the sample; leaving out each in turn (jackknife) gives the intervals.
N_FOLDS = 20
# Distance between neighbouring auxiliary ridges in ln δ'; the curves vary on a scale of one nat and more.
_STEP = 0.2
# Number of label noises for which the marginal likelihood is computed, over six decades.
_NOISES = 61
# Numbers held in memory at once for one group: 32 MB.
_MOST_NUMBERS = 4_000_000
# By count of operations, decomposing the others costs less for groups above this part of the sample.
_LARGE = 1 / 6

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OneGram:
    r"""Leave-one-out statistics of a sample at a sequence of auxiliary ridges.

    Attributes:
        n_samples: $N$.
        rank: rank of the Gram matrix above rounding, with the intercept; less than N for a kernel with few features.
        log_kappa: $\ln\kappa$, `(steps,)`, ascending.
        learned_modes: $z$, `(steps,)`.
        partly_learned_modes: $\sum_i w_i \delta' / (w_i + \delta')^2$ over the matrix's own eigenvalues, `(steps,)`:
            1 % of it bounds the estimated number of partly learned modes from below, which noise could make negative.
        squared_error: mean squared leave-one-out error (with groups: leave-group-out) of each fold of points,
            `(folds, steps)`, summed over outputs.
        error_amplification: the same error for pure noise of unit variance, `(folds, steps)`.
        amplification: mean $(A^2)_{ii}/A_{ii}^2$ of each fold, `(folds, steps)`; the same without groups.
        fold_sizes: points in each fold, `(folds,)`.
        noise: label noise variances, summed over outputs, `(noises,)`, ascending.
        log_evidence: log marginal likelihood of the targets for each, if they were drawn from a Gaussian process of
            this kernel (times its best factor), `(noises,)`.
        n_distinct: number of distinct points.
        intercept: 1 if the model has an intercept, a mode that is learned at every ridge; else 0.
        n_modes: number of the kernel's modes with the intercept; infinite if unknown.
    """

    n_samples: int
    rank: int
    log_kappa: Float[NDArray, "steps"]
    learned_modes: Float[NDArray, "steps"]
    partly_learned_modes: Float[NDArray, "steps"]
    squared_error: Float[NDArray, "folds steps"]
    error_amplification: Float[NDArray, "folds steps"]
    amplification: Float[NDArray, "folds steps"]
    fold_sizes: Float[NDArray, "folds"]
    noise: Float[NDArray, "noises"]
    log_evidence: Float[NDArray, "noises"]
    n_distinct: int
    intercept: int = 0
    n_modes: float = np.inf


def replicate_weights(fold_sizes: Float[NDArray, "folds"]) -> Float[NDArray, "replicates folds"]:
    """Return the weight of each fold in the mean of the whole sample (first row) and without each fold in turn."""
    weights = np.vstack([fold_sizes, fold_sizes * (1.0 - np.eye(len(fold_sizes)))])
    return weights / weights.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Eigenvalues and eigenvectors of a Gram matrix, in units of its largest diagonal entry.

    With an intercept: of the matrix of its contrasts, with eigenvectors as weights of samples, which sum to 0.

    Attributes:
        values: `(modes,)`, ascending, not negative; N modes, with an intercept N - 1.
        vectors: `(N, modes)`, one a column.
        scale: the largest diagonal entry.
        noise: size of the eigenvalues that the rounding of the entries causes.
        points: index of each point among the distinct ones, `(N,)`.
        groups: index of each point's group, `(N,)`, or None for single points.
    """

    values: Float[NDArray, "modes"]
    vectors: Float[NDArray, "N modes"]
    scale: float
    noise: float
    points: Int[NDArray, "N"]
    groups: Int[NDArray, "N"] | None = None

    @property
    def intercept(self) -> int:
        """1 if the model has an intercept, else 0."""
        return len(self.vectors) - len(self.values)

    @property
    def folds(self) -> Int[NDArray, "N"]:
        """The fold of each point; groups and repeated points are not divided."""
        return (self.points if self.groups is None else self.groups) % N_FOLDS

    def left_out(
        self, targets: Float[NDArray, "N outputs"], ridges: Float[NDArray, "steps"]
    ) -> tuple[Float[NDArray, "N outputs steps"], Float[NDArray, "N steps"]]:
        """Return the residuals when each point's group is left out, and their variance for noise of variance 1."""
        assert self.groups is not None
        return leave_group_out(self.values, self.vectors, self.groups, targets, ridges)

    def fold_means(self, values: Float[NDArray, "N steps"]) -> Float[NDArray, "folds steps"]:
        """Return the mean over the points of each fold."""
        return np.stack([values[self.folds == fold].mean(axis=0) for fold in np.unique(self.folds)])


def decompose(
    gram: Float[NDArray, "N N"],
    entry_rounding: float = 0.0,
    groups: Int[NDArray, "N"] | None = None,
    intercept: bool = False,
    points: Int[NDArray, "N"] | None = None,
) -> Decomposition:
    """Return the eigendecomposition of a Gram matrix.

    Args:
        gram: `(N, N)`, symmetric positive semi-definite; the caller checks everything but the eigenvalues.
        entry_rounding: relative rounding of entries that came in less than double precision.
        groups: index of each point's group, from 0.
        intercept: whether the model has an intercept.
        points: index of each point among the distinct ones; None: by the matrix.

    Raises:
        InputError: when the matrix has a negative eigenvalue beyond rounding, no positive diagonal, or with an
            intercept the same value everywhere.
    """
    largest = scale = float(gram.diagonal().max())
    points = distinct_points(gram, entry_rounding) if points is None else points
    if intercept:
        gram = contrast_gram(gram)
        scale = float(gram.diagonal().max())
    if scale <= 1e-14 * largest or largest <= 0.0:
        raise InputError(
            "the kernel matrix has no positive diagonal; expected K(x, x) > 0; check the features or the kernel"
            if largest <= 0.0
            else "the kernel takes the same value for all pairs of points; expected a kernel that tells them apart: "
            "check the features or the kernel's bandwidth"
        )
    # The scaled matrix does not over- or underflow.
    values, vectors = eigh_in_place(gram / scale)
    noise = float(8 * entry_rounding * np.sqrt(len(gram)) * largest / scale)
    check_positive_semidefinite(values + noise)
    if intercept:
        vectors = from_contrasts(vectors)
    return Decomposition(np.maximum(values, 0.0), vectors, scale, noise, points, groups)


def one_gram(decomposition: Decomposition, targets: Float[NDArray, "N outputs"]) -> OneGram:
    """Return the leave-one-out statistics of a Gram matrix from its eigendecomposition.

    Args:
        decomposition: of the matrix.
        targets: `(N, outputs)`; with an intercept their means do not matter.

    Raises:
        InputError: when the targets are too large or too small for floating point.
    """
    values, vectors, noise = decomposition.values, decomposition.vectors, decomposition.noise
    refuse_extreme(targets)
    n, intercept, target_scale = len(vectors), decomposition.intercept, float(np.abs(targets).max())
    rounding = max(n * np.finfo(float).eps * values[-1], noise)
    rank = int(np.sum(values > rounding))

    smallest = max(values[len(values) - rank] * 1e-2, 1e-12 * values[-1], noise)
    largest = 1e3 * values[-1]
    ridges = np.geomspace(largest, smallest, int(np.log(largest / smallest) / _STEP) + 2)
    inverse = 1.0 / (values[:, None] + ridges)
    log_kappa = -np.log(inverse.sum(axis=0))
    learned = intercept + (values[:, None] * inverse).sum(axis=0)
    partly = ridges * (values[:, None] * inverse**2).sum(axis=0)
    # As the auxiliary ridge goes to zero κ saturates: keep one of the steps that no longer change it.
    keep = np.flatnonzero(np.diff(log_kappa, append=-np.inf) < -1e-6)[::-1]
    inverse = inverse[:, keep]

    squared = vectors**2
    diagonal = np.square(squared @ inverse)
    amplification = squared @ inverse**2
    amplification /= diagonal
    columns = fewer_outputs(targets / target_scale)[0]
    projected = vectors.T @ columns
    noise_variances, log_evidence = _evidence(values, projected)
    if decomposition.groups is None:
        error, residual = np.zeros_like(diagonal), np.empty_like(diagonal)
        for column in projected.T:
            np.matmul(vectors, column[:, None] * inverse, out=residual)
            residual *= residual
            error += residual
        error /= diagonal
        error_amplification = amplification
    else:
        residual, error_amplification = decomposition.left_out(columns, ridges[keep])
        error = np.square(residual).sum(axis=1)
    return OneGram(
        n_samples=n,
        n_distinct=int(decomposition.points.max()) + 1,
        # Modes below the rounding of the entries may exist.
        rank=n if noise else rank + intercept,
        log_kappa=log_kappa[keep] + np.log(decomposition.scale),
        learned_modes=learned[keep],
        partly_learned_modes=partly[keep],
        squared_error=target_scale**2 * decomposition.fold_means(error),
        error_amplification=decomposition.fold_means(error_amplification),
        amplification=decomposition.fold_means(amplification),
        fold_sizes=np.unique(decomposition.folds, return_counts=True)[1].astype(float),
        noise=target_scale**2 * noise_variances,
        log_evidence=log_evidence,
        intercept=intercept,
    )


def _evidence(values: Array, projected: Array) -> tuple[Array, Array]:
    """Return noise variances and the log marginal likelihood of each, at the best ratio of signal to noise."""
    outputs = projected.shape[1]
    ridges = values[-1] * np.geomspace(1e-9, 1e3, 2 * _NOISES)
    squares = np.square(projected).sum(axis=1)
    variance = squares.sum() / len(values)
    noise = variance * np.geomspace(1e-6, 1.0, _NOISES)
    # With σ² for each output and the factor σ²/δ before the kernel, the covariance is σ² (1 + w/δ).
    log_volume = np.log1p(values[:, None] / ridges).sum(axis=0)
    misfit = squares @ (ridges / (values[:, None] + ridges))
    per_output = (noise / outputs)[:, None]
    log_likelihood = -0.5 * (outputs * (len(values) * np.log(per_output) + log_volume) + misfit / per_output)
    return noise, log_likelihood.max(axis=1)


def optimism(errors: Float[NDArray, "folds models"], fold_sizes: Float[NDArray, "folds"]) -> float:
    """Return ln(error of the best model on folds that had no say in its choice / its error on all folds), at least 0.

    The least of many leave-one-out errors is too low, since chance has a say in which is the least.

    Args:
        errors: leave-one-out error of each fold, for each model to choose from.
        fold_sizes: points in each fold.

    >>> optimism(np.array([[1.0, 3.0], [3.0, 1.0]]), np.array([1.0, 1.0]))
    0.4054651081081644
    """
    total = fold_sizes @ errors
    chosen = (total - fold_sizes[:, None] * errors).argmin(axis=1)
    honest = fold_sizes @ errors[np.arange(len(errors)), chosen]
    return float(np.log(max(honest / total.min(), 1.0))) if total.min() > 0.0 else 0.0


def distinct_points(gram: Float[NDArray, "N N"], entry_rounding: float = 0.0) -> Int[NDArray, "N"]:
    """Return the index of each point among the distinct ones, in order of appearance.

    Points at distance zero by the kernel, up to rounding, are the same.

    >>> distinct_points(np.array([[2.0, 0.0, 2.0], [0.0, 2.0, 0.0], [2.0, 0.0, 2.0]])).tolist()
    [0, 1, 0]
    """
    # Equal rows have equal products with any vector; compare neighbours in the order of these by their distance.
    order = np.argsort(gram @ np.random.default_rng(0).normal(size=len(gram)), kind="stable")
    first, second = order[:-1], order[1:]
    size = gram[first, first] + gram[second, second]
    same = (size - 2.0 * gram[first, second] <= (1e-13 + entry_rounding) * size) & (size > 0.0)
    codes = np.empty(len(gram), dtype=np.int64)
    codes[order] = np.cumsum(np.append(True, ~same)) - 1
    _, appearance = np.unique(codes, return_index=True)
    return np.argsort(np.argsort(appearance))[codes]


def leave_group_out(
    values: Float[NDArray, "modes"],
    vectors: Float[NDArray, "N modes"],
    groups: Int[NDArray, "N"],
    targets: Float[NDArray, "N outputs"],
    ridges: Float[NDArray, "steps"],
) -> tuple[Float[NDArray, "N outputs steps"], Float[NDArray, "N steps"]]:
    """Return the residual of each point when its group is left out, and its variance for pure noise of unit variance.

    Args:
        values: eigenvalues, as in `Decomposition`.
        vectors: eigenvectors, as in `Decomposition`.
        groups: index of each point's group.
        targets: `(N, outputs)`.
        ridges: auxiliary ridges, > 0.
    """
    n = len(vectors)
    residual, variance = np.empty((n, targets.shape[1], len(ridges))), np.empty((n, len(ridges)))
    for group in np.unique(groups):
        inside = groups == group
        method = _from_the_others if inside.sum() > _LARGE * n else _from_blocks
        residual[inside], variance[inside] = method(values, vectors, np.flatnonzero(inside), targets, ridges)
    return residual, variance


def _from_blocks(
    values: Array, vectors: Array, rows: Rows, targets: Array, ridges: Array
) -> tuple[Array, Array]:
    part, m, outputs = vectors[rows], len(rows), targets.shape[1]
    projected = vectors.T @ targets
    residual, variance = np.empty((m, outputs, len(ridges))), np.empty((m, len(ridges)))
    pairs = (part[:, None, :] * part).reshape(m * m, -1) if m * m * len(values) <= _MOST_NUMBERS else None
    size = max(1, _MOST_NUMBERS // (m * m + m * len(values)))
    for start in range(0, len(ridges), size):
        steps = slice(start, start + size)
        inverse = 1.0 / (values + ridges[steps, None])
        if pairs is not None:
            block, squared = ((pairs @ power.T).T.reshape(-1, m, m) for power in (inverse, inverse**2))
        else:
            block, squared = ((part * power[:, None, :]) @ part.T for power in (inverse, inverse**2))
        alpha = part @ (inverse[:, :, None] * projected)
        solved = np.linalg.solve(block, np.concatenate([alpha, squared], axis=2))
        residual[:, :, steps] = solved[..., :outputs].transpose(1, 2, 0)
        covariance = np.linalg.solve(block, solved[..., outputs:].transpose(0, 2, 1))
        variance[:, steps] = np.diagonal(covariance, axis1=1, axis2=2).T
    return residual, variance


def _from_the_others(
    values: Array, vectors: Array, rows: Rows, targets: Array, ridges: Array
) -> tuple[Array, Array]:
    others = np.setdiff1d(np.arange(len(vectors)), rows)
    part = vectors[others]
    inner, cross = (part * values) @ part.T, (vectors[rows] * values) @ part.T
    columns, mean, of_the_mean = targets[others], np.zeros(targets.shape[1]), 0.0
    if len(values) < len(vectors):  # with an intercept: contrasts of the others, and their mean
        mean, of_the_mean = columns.mean(axis=0), 1.0 / len(others)
        columns, cross = contrasts(columns), contrasts((cross - inner.mean(axis=0)).T).T
        inner = contrast_gram(inner)
    eigenvalues, basis = eigh_in_place(inner)
    inverse = 1.0 / (np.maximum(eigenvalues, 0.0)[:, None] + ridges)
    weights = cross @ basis  # of the group's predictions in that basis
    fits = [weights @ (column[:, None] * inverse) for column in (basis.T @ columns).T]
    residual = (targets[rows] - mean)[:, :, None] - np.stack(fits, axis=1)
    return residual, 1.0 + of_the_mean + np.square(weights) @ np.square(inverse)
