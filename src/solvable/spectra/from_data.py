"""The plug-in: a sample's own eigenvalues and target coefficients, taken as if they were the population's.

Its leading modes are right. Its tail, and any learning curve made of it, is biased by about n/N: 3-9 % low on digits
already at n = N/14, 30 % low at n = N/3.5. It is here to be seen beside the estimate that has no such bias,
`regression.LearningSurface`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError, finite
from solvable.spectra.eigensystem import Eigensystem


def plug_in_eigensystem(gram: ArrayLike, targets: ArrayLike) -> Eigensystem:
    r"""Return $\hat\lambda_i = w_i/N$ and $\hat v_i^2 = |u_i^\top Y|^2/N$, where $K = \sum_i w_i u_i u_i^\top$.

    The noise cannot be told from the target here and counts as target. Use it to look at the leading modes; for
    predictions use `regression.LearningSurface`.

    Args:
        gram: kernel matrix of the sample, `(N, N)`, symmetric positive semi-definite.
        targets: numbers, `(N,)` or `(N, outputs)`.

    Returns:
        an `Eigensystem` of N modes, noise 0; eigenvalues at rounding level read as zero.

    Example:
        >>> task = plug_in_eigensystem(np.diag([2.0, 1.0]), [1.0, 0.0])
        >>> task.eigenvalues.round(12).tolist(), task.target_power.tolist()
        ([1.0, 0.5], [0.5, 0.0])
    """
    gram = np.asarray(gram, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise InputError(f"gram must be a square matrix; got shape {gram.shape}")
    if targets.ndim not in (1, 2) or len(targets) != len(gram):
        raise InputError(
            f"targets must have one row for each of {len(gram)} samples; got shape {targets.shape}"
        )
    finite("gram", gram)
    finite("targets", targets)
    targets = targets.reshape(len(gram), -1)
    values, vectors = np.linalg.eigh(gram)
    return plug_in_from_eigh(values, vectors.T @ targets)


def plug_in_from_eigh(values: NDArray[np.float64], projections: NDArray[np.float64]) -> Eigensystem:
    """Return the plug-in from an eigendecomposition that is there already; `projections` is U^T Y, `(N, outputs)`."""
    n = len(values)
    return Eigensystem(
        eigenvalues=np.where(values > 1e-14 * n * values.max(), values, 0.0) / n,
        target_power=np.square(projections).sum(axis=1) / n,
        source=f"plug-in from {n} samples (biased by about n/{n})",
    )
