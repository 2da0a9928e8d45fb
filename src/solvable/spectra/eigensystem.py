"""`Eigensystem`: a kernel and a target under the data distribution, mode by mode."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from solvable.checks import finite, grid, one_number
from solvable.errors import InputError
from solvable.spectra.compressed import compress
from solvable.spectra.sums import Grid, SpectralSums, node_sums
from solvable.spectra.tails import PowerLawTail, UnresolvedTail

# With more modes the sums are taken over compressed nodes; with fewer, compression gains nothing.
_COMPRESS_ABOVE = 400


@dataclass(frozen=True, init=False, eq=False)
class Eigensystem:
    r"""Eigenvalues, target power and noise of a learning task: $K(x, x') = \sum_i \lambda_i \phi_i(x) \phi_i(x')$.

    The target is $f = \sum_i v_i \phi_i$ and labels are $y = f + \text{noise}$. Eigenvalues are stored as logarithms,
    so they may lie far below 1e-300. An infinite spectrum ends in a `tail` (see `power_law`). A zero eigenvalue is a
    mode that the kernel cannot learn.

    Args:
        eigenvalues: $\lambda \ge 0$, `(modes,)`, in any order; give these or `log_eigenvalues`.
        target_power: $v^2 \ge 0$, `(modes,)`: squared target coefficients, summed over a level's modes and over the
            outputs; zero by default.
        noise: $\sigma^2 \ge 0$, label noise per sample, summed over outputs.
        multiplicities: number of modes that share each eigenvalue, > 0, `(modes,)`; 1 by default.
        log_eigenvalues: $\ln\lambda$, `(modes,)`; `-inf` for zero.
        tail: the infinite end of the spectrum, after the explicit modes: a power law, or the rest of the trace.
        source: origin of the spectrum, in words.

    Attributes:
        log_eigenvalues: descending, with `multiplicities` and `target_power` in the same order.

    Raises:
        InputError: for shapes that differ, negative or non-finite entries.

    Example:
        >>> task = Eigensystem(eigenvalues=[1.0, 0.5, 0.25], target_power=[1.0, 0.0, 1.0], noise=0.1)
        >>> task.rank, round(task.trace, 2)
        (3.0, 1.75)
    """

    log_eigenvalues: NDArray[np.float64]
    multiplicities: NDArray[np.float64]
    target_power: NDArray[np.float64]
    noise: float
    tail: PowerLawTail | UnresolvedTail | None
    source: str

    def __init__(
        self,
        eigenvalues: ArrayLike | None = None,
        target_power: ArrayLike | None = None,
        noise: float = 0.0,
        multiplicities: ArrayLike | None = None,
        *,
        log_eigenvalues: ArrayLike | None = None,
        tail: PowerLawTail | UnresolvedTail | None = None,
        source: str = "given",
    ) -> None:
        if (eigenvalues is None) == (log_eigenvalues is None):
            raise InputError(
                "an Eigensystem takes either eigenvalues or log_eigenvalues; give exactly one of them"
            )
        if log_eigenvalues is None:
            with np.errstate(divide="ignore"):
                logs = np.log(grid("eigenvalues", eigenvalues, at_least=0.0))  # pyright: ignore[reportArgumentType]
        else:
            raw = np.atleast_1d(log_eigenvalues).ravel()
            zero = raw == -np.inf  # `grid` would refuse it
            logs = np.where(zero, -np.inf, grid("log_eigenvalues", np.where(zero, 0.0, raw)))
        if np.isposinf(logs).any():
            raise InputError(
                "an eigenvalue is infinite; expected finite eigenvalues, of a kernel with a finite trace"
            )

        def per_mode(
            name: str, values: ArrayLike | None, default: float, **bounds: float
        ) -> NDArray[np.float64]:
            if values is None:
                return np.full(len(logs), default)
            array = grid(name, values, **bounds)
            if array.shape != logs.shape or np.isinf(array).any():
                got = f"{len(array)} values" if array.shape != logs.shape else "an infinite value"
                raise InputError(
                    f"{name} must be one finite number for each of {len(logs)} eigenvalues; got {got}"
                )
            return array

        power = per_mode("target_power", target_power, 0.0, at_least=0.0)
        counts = per_mode("multiplicities", multiplicities, 1.0, above=0.0)
        noise_level = grid("noise", noise, at_least=0.0)
        if noise_level.size != 1 or np.isinf(noise_level[0]):
            raise InputError(f"noise must be one finite number, summed over outputs; got {noise!r}")
        order = slice(None) if np.all(logs[:-1] >= logs[1:]) else np.argsort(-logs)
        for name, value in (
            ("log_eigenvalues", logs[order]),
            ("multiplicities", counts[order]),
            ("target_power", power[order]),
        ):
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "noise", float(noise_level[0]))
        object.__setattr__(self, "tail", tail)
        object.__setattr__(self, "source", source)

    @classmethod
    def from_log_eigenvalues(
        cls,
        log_eigenvalues: ArrayLike,
        target_power: ArrayLike | None = None,
        noise: float = 0.0,
        multiplicities: ArrayLike | None = None,
        *,
        tail_trace: float = 0.0,
        source: str = "given",
    ) -> "Eigensystem":
        r"""Return the eigensystem with eigenvalue logarithms $\ln\lambda_i$ and the trace of the remaining modes.

        Args:
            log_eigenvalues: $\ln\lambda$, `(modes,)`, in any order; `-inf` for zero.
            target_power: $v^2 \ge 0$, `(modes,)`, as in the class.
            noise: $\sigma^2 \ge 0$, label noise per sample, summed over outputs.
            multiplicities: number of modes that share each eigenvalue, > 0, `(modes,)`.
            tail_trace: $R = \sum \lambda \ge 0$ over the omitted modes, the kernel's smallest; above 0 it becomes an
                `UnresolvedTail`. For a power law it is `scipy.special.zeta(alpha, n_modes + 1)`.
            source: origin of the spectrum, in words.

        Raises:
            InputError: as in the class, and for a trace that is negative or not finite.

        Example:
            >>> task = Eigensystem.from_log_eigenvalues([0.0, -2000.0], tail_trace=0.5)
            >>> task.rank, task.trace
            (inf, 1.5)
        """
        tail = UnresolvedTail(tail_trace) if one_number("tail_trace", tail_trace, at_least=0.0) else None
        return cls(
            None,
            target_power,
            noise,
            multiplicities,
            log_eigenvalues=log_eigenvalues,
            tail=tail,
            source=source,
        )

    def __repr__(self) -> str:
        """Return a summary; a spectrum may have a million modes."""
        tail = "" if self.tail is None else f" and {self.tail}"
        return (
            f"<Eigensystem of {len(self.log_eigenvalues)} levels{tail}, noise {self.noise:g}, {self.source}>"
        )

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        r"""$\lambda$, descending; values below 1e-308 underflow to zero (use `log_eigenvalues`)."""
        return np.exp(self.log_eigenvalues)

    @property
    def rank(self) -> float:
        """Number of modes with a non-zero eigenvalue; `inf` with a tail."""
        return self._rank_and_log_trace[0]

    @cached_property
    def trace(self) -> float:
        r"""$\sum_i m_i \lambda_i$, the mean of $K(x, x)$."""
        return float(np.exp(self.log_trace))

    @property
    def log_trace(self) -> float:
        r"""$\ln \sum_i m_i \lambda_i$."""
        return self._rank_and_log_trace[1]

    @cached_property
    def _rank_and_log_trace(self) -> tuple[float, float]:
        top = self.log_eigenvalues[0]
        log_trace = -np.inf
        if top > -np.inf:
            log_trace = float(top + np.log(self.multiplicities @ np.exp(self.log_eigenvalues - top)))
        if self.tail:
            return np.inf, float(np.logaddexp(log_trace, self.tail.log_trace))
        return float(self.multiplicities[self.log_eigenvalues > -np.inf].sum()), log_trace

    @cached_property
    def total_target_power(self) -> float:
        r"""$\sum_i v_i^2$, the target's mean square without noise."""
        return float(self.target_power.sum() + (self.tail.target_power if self.tail else 0.0))

    @cached_property
    def _nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return `ln λ`, rows of multiplicity and target power, and the power in modes of eigenvalue zero."""
        learnable = self.log_eigenvalues > -np.inf
        unlearnable_power = float(self.target_power[~learnable].sum())
        logs = self.log_eigenvalues[learnable]
        weights = np.stack([self.multiplicities[learnable], self.target_power[learnable]])
        if len(logs) > _COMPRESS_ABOVE:
            logs, weights = compress(logs, weights)
        return logs, weights, unlearnable_power

    def sums(self, log_kappa: ArrayLike) -> SpectralSums:
        r"""Return $z$, $g$, $B_1$, $B_2$ at each $\ln\kappa$; see `SpectralSums`.

        Args:
            log_kappa: logarithm of the effective ridge, any shape; `-inf` is ridge zero.

        Returns:
            four arrays of that shape, each with a relative error of about 1e-13.

        Example:
            >>> task = Eigensystem(eigenvalues=[1.0, 1.0], target_power=[1.0, 0.0])
            >>> [float(s) for s in task.sums(0.0)]
            [1.0, 0.5, 0.5, 0.25]
        """
        log_kappa = np.asarray(log_kappa, dtype=np.float64)
        logs, (counts, power), unlearnable_power = self._nodes
        result = node_sums(log_kappa.ravel(), logs, counts, power)
        result[2:] += unlearnable_power + self.noise
        explicit = SpectralSums(*result.reshape(4, *log_kappa.shape))
        return explicit + self.tail.sums(log_kappa) if self.tail else explicit


def learnabilities(eigensystem: Eigensystem, log_kappa: ArrayLike) -> Grid:
    r"""Return $L_i = \lambda_i / (\lambda_i + \kappa)$ for each level, the fraction of each mode that is learned.

    Args:
        eigensystem: the task; modes of its tail are omitted.
        log_kappa: $\ln\kappa$ from `log_effective_ridge`, shape `(*grid)`.

    Returns:
        `(*grid, modes)` in [0, 1]. A zero eigenvalue has learnability 0.

    Source: eigenlearning framework, arXiv:2110.03922, eq. 4.

    Example:
        >>> learnabilities(Eigensystem(eigenvalues=[3.0, 1.0, 0.0]), 0.0).tolist()
        [0.75, 0.5, 0.0]
    """
    logs = eigensystem.log_eigenvalues
    x = np.asarray(log_kappa, dtype=np.float64)[..., None]
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(logs), 0.0, expit(logs - x))


def plug_in_eigensystem(gram: ArrayLike, targets: ArrayLike) -> Eigensystem:
    r"""Return $\hat\lambda_i = w_i/N$ and $\hat v_i^2 = |u_i^\top Y|^2/N$, where $K = \sum_i w_i u_i u_i^\top$.

    Noise cannot be told apart from the target here and counts as target. Use this to look at the leading modes; for
    predictions use `regression.LearningSurface`.

    Args:
        gram: kernel matrix of the sample, `(N, N)`, symmetric positive semi-definite.
        targets: `(N,)` or `(N, outputs)`.

    Returns:
        an `Eigensystem` of N modes, noise 0; eigenvalues at rounding level are set to zero.

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
    """Return the plug-in eigensystem of an eigendecomposition; `projections` is U^T Y, `(N, outputs)`."""
    n = len(values)
    return Eigensystem(
        eigenvalues=np.where(values > 1e-14 * n * values.max(), values, 0.0) / n,
        target_power=np.square(projections).sum(axis=1) / n,
        source=f"plug-in from {n} samples (biased by about n/{n})",
    )
