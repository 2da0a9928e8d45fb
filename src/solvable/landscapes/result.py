"""`CriticalPoints`: where each start ended, the traces of the search, and how many different points there are."""

from collections.abc import Callable, Hashable
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.landscapes.inputs import DENSE_LIMIT, as_loss
from solvable.landscapes.losses import Loss, Numbers
from solvable.landscapes.methods import LM
from solvable.landscapes.theory import CRITICAL, count_signs

if TYPE_CHECKING:
    import pandas as pd

    from solvable.landscapes.classification import Classification

TRACES = ("loss", "squared_gradient", "residual", "cokernel_residual", "step_size")
"""What is recorded of each start at each step."""

_SAME_LOSS = 1e-6
# Where |g|^2 = 1e-10 zero eigenvalues are not yet zero; full steps converge quadratically.
_POLISHING_STEPS, _POLISHING_DAMPING = 3, 1e-8


@dataclass(eq=False, repr=False)
class CriticalPoints:
    r"""The ends of a search, one for each of B starts.

    Attributes:
        theta: parameters (B, N).
        loss: (B,).
        squared_gradient: $|g|^2$ (B,).
        status: `converged`, `stalled`, `iteration limit`, `diverging` or `nan` (B,); see `find_critical_points`.
        n_iter: accepted steps (B,).
        traces: name -> (steps + 1, B), NaN after the end: `loss`, `squared_gradient`, and of the step from there:
            `residual` $r(p)$ and `cokernel_residual` $r_H(p)$ with the spectral norm (NaN for methods without a Newton
            step), `step_size` (share of the step, or the damping).
        theta0: starts (B, N).
        state: what the method remembers of each start, to be continued (B,).
        method: the method with its settings.
    """

    theta: Numbers
    loss: Numbers
    squared_gradient: Numbers
    status: NDArray[np.str_]
    n_iter: NDArray[np.int64]
    traces: dict[str, Numbers]
    theta0: Numbers
    state: Numbers
    method: str = ""
    function: Loss | None = field(default=None, repr=False)
    _signs: tuple[NDArray[np.int64], NDArray[np.int64], Numbers] | None = field(default=None, repr=False)

    @classmethod
    def start(cls, theta: Numbers, state: float) -> Self:
        """Return a result of starts that have not moved."""
        B = len(theta)
        empty = {name: np.full((0, B), np.nan) for name in TRACES}
        return cls(
            theta.copy(),
            np.full(B, np.nan),
            np.full(B, np.nan),
            np.full(B, "", dtype="<U16"),
            np.zeros(B, dtype=np.int64),
            empty,
            theta.copy(),
            np.full(B, state),
        )

    def __repr__(self) -> str:
        return f"CriticalPoints({len(self)} starts, {self.theta.shape[1]} parameters, {self.method})"

    def __len__(self) -> int:
        return len(self.theta)

    def __str__(self) -> str:
        B = len(self)
        below = self.squared_gradient <= CRITICAL
        counts = ", ".join(f"{name} {int((self.status == name).sum())}" for name in np.unique(self.status))
        distinct = len(self.distinct())
        lines = [
            f"{int(below.sum())} of {B} start{'s' * (B != 1)} reached |g|^2 <= {CRITICAL:g}, at "
            f"{distinct} distinct point{'s' * (distinct != 1)} by loss and index ({self.method})",
            f"ended as: {counts}; steps: {int(self.n_iter.min())} to {int(self.n_iter.max())}",
            "call .classify() to tell critical points from flat ground",
        ]
        return "\n".join(lines)

    @property
    def index(self) -> NDArray[np.int64]:
        """Number of negative eigenvalues of the Hessian (B,), of critical points where a few more steps end.

        It is -1 beyond 5000 parameters, and where the Hessian is not finite.
        """
        return self._counts()[0]

    @property
    def nullity(self) -> NDArray[np.int64]:
        """Number of eigenvalues within 1e-8 of the largest magnitude from zero (B,); -1 where unknown."""
        return self._counts()[1]

    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
        """Return indices, nullities and the norms of the Hessians."""
        if self._signs is None:
            B, N = self.theta.shape
            index, nullity, norm = np.full(B, -1), np.full(B, -1), np.full(B, np.nan)
            known = np.isfinite(self.squared_gradient)
            if N <= DENSE_LIMIT and known.any():
                loss = self._loss(None)
                group = max(1, int(2e8 / (8 * N**2)))
                rows = np.flatnonzero(known)
                for first in range(0, len(rows), group):
                    some = rows[first : first + group]
                    eigenvalues = _polished_eigenvalues(loss, self.theta[some], self.squared_gradient[some])
                    index[some], nullity[some] = count_signs(eigenvalues)
                    norm[some] = np.abs(eigenvalues).max(axis=1)
                    lost = ~np.isfinite(norm[some])
                    index[some[lost]] = nullity[some[lost]] = -1
            self._signs = index, nullity, norm
        return self._signs

    def classify(self, loss: Any = None, **options: Any) -> "list[Classification]":
        """Return the verdict on each point; see `classify` for the options.

        Args:
            loss: needed only after `load`.
            options: those of `classify`.
        """
        from solvable.landscapes.classification import classify_all

        return classify_all(self._loss(loss), self.theta, **options)

    def distinct(self, by: Callable[[Numbers], Hashable] | None = None) -> dict[Hashable, NDArray[np.int64]]:
        r"""Return the classes of points with $|g|^2 \le 10^{-10}$: label -> the starts that ended there.

        Args:
            by: theta (N,) -> label, such as the subset of `linear_autoencoder.identify`; by default points are the
                same if their indices are equal and their losses agree to six digits, or to 1e-9 of the losses at the
                starts, or to what their gradients leave open.
        """
        rows = np.flatnonzero(self.squared_gradient <= CRITICAL)
        labels: list[Hashable]
        if by is None:
            start = float(np.nanmax(np.abs(self.traces["loss"][0]), initial=0.0))
            index, _, norm = self._counts()
            floor = 1e-9 * start + self.squared_gradient[rows] / np.where(norm[rows] > 0, norm[rows], np.inf)
            labels = list(labels_by_loss(self.loss[rows], index[rows], floor))
        else:
            labels = [by(self.theta[row]) for row in rows]
        classes: dict[Hashable, list[int]] = {}
        for row, label in zip(rows, labels, strict=True):
            classes.setdefault(label, []).append(int(row))
        return {label: np.array(found) for label, found in classes.items()}

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each start."""
        import pandas as pd

        return pd.DataFrame(
            {
                "loss": self.loss,
                "squared_gradient": self.squared_gradient,
                "index": self.index,
                "nullity": self.nullity,
                "status": self.status,
                "n_iter": self.n_iter,
                "norm": np.linalg.norm(self.theta, axis=1),
            }
        )

    def save(self, path: str | Path) -> None:
        """Write everything but the loss to an `.npz` file.

        Raises:
            InputError: if it cannot be written.
        """
        signs = self._counts() if self.function is not None or self._signs else None
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_SAVED}
        arrays |= {f"trace_{name}": trace for name, trace in self.traces.items()}
        if signs is not None:
            arrays |= dict(zip(_SIGNS, signs, strict=True))
        try:
            with Path(path).open("wb") as file:
                np.savez_compressed(file, **arrays)
        except OSError as error:
            raise InputError(
                f"{str(path)!r} could not be written ({error.strerror}); expected a file in a folder that exists"
            ) from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; `find_critical_points(loss, result)` continues it.

        Raises:
            InputError: if the file is missing or holds something else.
        """
        try:
            with np.load(path) as file:
                arrays = dict(file)
            traces = {name: arrays[f"trace_{name}"] for name in TRACES}
            signs = tuple(arrays[name] for name in _SIGNS) if _SIGNS[0] in arrays else None
            kept = {f.name: arrays[f.name] for f in fields(cls) if f.name not in _NOT_SAVED}
            return cls(**kept | {"method": str(kept["method"]), "traces": traces, "_signs": signs})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{str(path)!r} could not be read as a result of find_critical_points ({type(error).__name__}); "
                "expected a file written by its save"
            ) from None

    def copy(self) -> Self:
        """Return a copy with arrays of its own."""
        arrays = {f.name: deepcopy(getattr(self, f.name)) for f in fields(self) if f.name != "function"}
        return replace(self, **arrays)

    def extend(self, max_iter: int) -> None:
        """Make room for the traces of so many steps."""
        for name, trace in self.traces.items():
            more = max(0, max_iter + 1 - len(trace))
            self.traces[name] = np.pad(trace, ((0, more), (0, 0)), constant_values=np.nan)
        self._signs = None

    def trim(self) -> None:
        """Drop the part of the traces that no start reached."""
        last = int(self.n_iter.max(initial=0)) + 1
        self.traces = {name: trace[:last] for name, trace in self.traces.items()}

    def record(self, rows: NDArray[np.int64], steps: NDArray[np.int64], **values: Numbers) -> None:
        """Write into the traces."""
        for name, value in values.items():
            self.traces[name][steps, rows] = value

    def _loss(self, loss: Any) -> Loss:
        if loss is not None:
            return as_loss(loss)
        if self.function is None:
            raise InputError("the result was loaded without its loss; expected one; call .classify(loss)")
        return self.function


_NOT_SAVED = ("traces", "function", "_signs")
_SIGNS = ("index", "nullity", "norm")


def labels_by_loss(loss: Numbers, index: NDArray[Any], floor: Any = 0.0) -> list[tuple[float, Any]]:
    """Return a label (loss, index) for each point, the same for losses that agree to six digits or to the floor.

    >>> labels_by_loss(np.array([1.0, 1.0 + 1e-9, 1.0, 2.0]), np.array([3, 3, 4, 4]))
    [(1.0, 3), (1.0, 3), (1.0, 4), (2.0, 4)]
    """
    order = np.argsort(loss, kind="stable")
    allowed = np.maximum(_SAME_LOSS * np.abs(loss), floor)[order]
    new = np.diff(loss[order], prepend=-np.inf) > allowed
    group = np.cumsum(new) - 1
    first = loss[order][new]
    labels = np.empty(len(loss))
    labels[order] = first[group] if len(loss) else []
    return [(float(f"{a:.7g}"), b) for a, b in zip(labels.tolist(), index.tolist(), strict=True)]


def _polished_eigenvalues(loss: Loss, theta: Numbers, squared: Numbers) -> Numbers:
    """Return the eigenvalues of the Hessians; of critical points where a few full steps of LM end."""
    state = np.full(len(theta), _POLISHING_DAMPING)
    unsettled = squared <= CRITICAL
    theta = theta.copy()
    for _ in range(_POLISHING_STEPS):
        rows = np.flatnonzero(unsettled)
        if not rows.size:
            break
        here = loss.at(theta[rows])
        move, state[rows] = LM().advance(loss, here, state[rows])
        theta[rows] = move.theta
        unsettled[rows] = move.moved & (here.squared_gradient > 0)
    H = loss.at(theta).hessian()
    finite = np.isfinite(H).all(axis=(1, 2))
    H[~finite] = 0
    eigenvalues = np.linalg.eigvalsh(H)
    eigenvalues[~finite] = np.nan
    return np.asarray(eigenvalues, dtype=np.float64)
