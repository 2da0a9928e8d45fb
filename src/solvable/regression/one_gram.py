r"""What one Gram matrix knows: the population's sums over the spectrum, without the population's spectrum.

From the eigendecomposition of one labelled sample of $N$ points, an auxiliary ridge $\delta'$ swept over some hundred
values gives one point each of the curves that all of the theory is made of. With $A = (K + \delta' I)^{-1}$ and
$\alpha = A Y$:

- the effective ridge is $\kappa = 1 / \mathrm{tr}\,A$, and the modes learned are $z(\kappa) = N - \delta'/\kappa$;
- leave-one-out error $\mathrm{LOO} = \mathrm{mean}_i\, |\alpha_i|^2 / A_{ii}^2$: test error at $n \approx N$, honestly;
- leave-one-out overfitting coefficient $\mathcal{E}_0 = \mathrm{mean}_i\, (A^2)_{ii} / A_{ii}^2$, which gives
  $\sum_i m_i L_i^2 = N (1 - 1/\mathcal{E}_0)$ and $B_2(\kappa) = \mathrm{LOO} / \mathcal{E}_0$.

The textbook way, which takes the sample's own eigenvalues for the population's, is biased by about $n/N$
(`spectra.plug_in_eigensystem`); these curves are not, because leaving a point out makes it a test point.

Source: derived for this library; checked against retraining on MNIST, CIFAR-10 and digits in the tests.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.linalg import eigh

from solvable.errors import InputError
from solvable.kernels import check_positive_semidefinite
from solvable.regression.nested import fewer_outputs

# The sample is dealt into this many groups; leaving each out in turn (jackknife) gives the intervals.
N_GROUPS = 20
# Distance of neighbouring auxiliary ridges in ln δ'; the curves bend on a scale of one nat and more.
_STEP = 0.2


@dataclass(frozen=True, eq=False)
class OneGram:
    r"""The leave-one-out statistics of a sample at a ladder of auxiliary ridges.

    Attributes:
        n_samples: $N$.
        rank: rank of the Gram matrix above rounding; less than N for a kernel with few features.
        log_kappa: $\ln\kappa$, `(steps,)`, ascending.
        learned_modes: $z$, `(steps,)`.
        partly_learned_modes: $\sum_i w_i \delta' / (w_i + \delta')^2$ over the matrix's own eigenvalues, `(steps,)`:
            by it leave-one-out noise is kept from making the number of partly learned modes negative.
        squared_error: mean squared leave-one-out error of each group of points, `(groups, steps)`, summed over outputs.
        amplification: mean $(A^2)_{ii}/A_{ii}^2$ of each group, `(groups, steps)`.
        group_sizes: points in each group, `(groups,)`.
    """

    n_samples: int
    rank: int
    log_kappa: Float[NDArray, "steps"]
    learned_modes: Float[NDArray, "steps"]
    partly_learned_modes: Float[NDArray, "steps"]
    squared_error: Float[NDArray, "groups steps"]
    amplification: Float[NDArray, "groups steps"]
    group_sizes: Float[NDArray, "groups"]


def one_gram(
    gram: Float[NDArray, "N N"], targets: Float[NDArray, "N outputs"], entry_rounding: float = 0.0
) -> OneGram:
    """Return the leave-one-out statistics of a Gram matrix, from one eigendecomposition.

    Args:
        gram: `(N, N)`, symmetric positive semi-definite, checked by the caller but for its eigenvalues.
        targets: `(N, outputs)`.
        entry_rounding: relative rounding of the matrix's entries, where they came in less than double precision.

    Raises:
        InputError: when the matrix has a negative eigenvalue beyond rounding.
    """
    n = len(gram)
    scale, target_scale = float(gram.diagonal().max()), float(np.abs(targets).max())
    if scale <= 0.0:
        raise InputError(
            "the kernel matrix has no positive diagonal; expected K(x, x) > 0; check the features or the kernel"
        )
    if not 1e-150 < target_scale < 1e150:
        raise InputError(
            f"the largest target is {target_scale:.3g}, whose square is beyond floating point; expected 1e-150 to "
            "1e150; give it in another unit"
        )
    # In units of their own, nothing over- or underflows whatever units the user's kernel and targets have.
    gram, targets = gram / scale, targets / target_scale
    # Divide and conquer on the copy (symmetric, so its transpose), which LAPACK may overwrite: 15 % off the whole.
    values, vectors = eigh(gram.T, driver="evd", overwrite_a=True, check_finite=False)
    noise = 8 * entry_rounding * np.sqrt(n)
    check_positive_semidefinite(values + noise)
    values = np.maximum(values, 0.0)
    rounding = max(n * np.finfo(float).eps * values[-1], noise)
    rank = int(np.sum(values > rounding))

    smallest = max(values[n - rank] * 1e-2, 1e-12 * values[-1], noise)
    largest = 1e3 * values[-1]
    ridges = np.geomspace(largest, smallest, int(np.log(largest / smallest) / _STEP) + 2)
    inverse = 1.0 / (values[:, None] + ridges)
    log_kappa = -np.log(inverse.sum(axis=0))
    learned = (values[:, None] * inverse).sum(axis=0)
    partly = ridges * (values[:, None] * inverse**2).sum(axis=0)

    squared = vectors**2
    diagonal = np.square(squared @ inverse)
    amplification = squared @ inverse**2
    amplification /= diagonal
    error, residual = np.zeros_like(diagonal), np.empty_like(diagonal)
    for projected in (vectors.T @ fewer_outputs(targets)).T:
        np.matmul(vectors, projected[:, None] * inverse, out=residual)
        residual *= residual
        error += residual
    error /= diagonal

    # As the auxiliary ridge goes to zero κ saturates: keep one of the steps that no longer move it.
    keep = np.flatnonzero(np.diff(log_kappa, append=-np.inf) < -1e-6)[::-1]
    groups = [np.arange(g, n, min(N_GROUPS, n)) for g in range(min(N_GROUPS, n))]
    return OneGram(
        n_samples=n,
        # Modes that are lost in the entries' rounding are not known to be absent.
        rank=n if noise else rank,
        log_kappa=log_kappa[keep] + np.log(scale),
        learned_modes=learned[keep],
        partly_learned_modes=partly[keep],
        squared_error=target_scale**2 * np.stack([error[np.ix_(g, keep)].mean(axis=0) for g in groups]),
        amplification=np.stack([amplification[np.ix_(g, keep)].mean(axis=0) for g in groups]),
        group_sizes=np.array([len(g) for g in groups], dtype=float),
    )


def repeated(gram: Float[NDArray, "N N"], entry_rounding: float = 0.0) -> Bool[NDArray, "N"]:
    """Return which points stand at distance zero, by the kernel and up to rounding, from one that is kept."""
    # Equal rows have an equal product with any vector; distances decide between neighbours in its order.
    order = np.argsort(gram @ np.random.default_rng(0).normal(size=len(gram)), kind="stable")
    first, second = order[:-1], order[1:]
    size = gram[first, first] + gram[second, second]
    mask = np.zeros(len(gram), dtype=bool)
    mask[second] = (size - 2.0 * gram[first, second] <= (1e-13 + entry_rounding) * size) & (size > 0.0)
    return mask
