"""`CriticalPoints`: where each start ended, the traces of the search, and how many different points there are."""

from collections.abc import Callable, Hashable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.landscapes.inputs import DENSE_LIMIT, as_loss
from solvable.landscapes.losses import Loss, Numbers
from solvable.landscapes.theory import CRITICAL, count_signs, gradient_slack

if TYPE_CHECKING:
    import pandas as pd

    from solvable.landscapes.classification import Classification

TRACES = ("loss", "squared_gradient", "residual", "cokernel_residual", "step_size")
"""What is recorded of each start at each step."""

_SAME_LOSS = 1e-6


@dataclass(eq=False)
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
    _signs: tuple[NDArray[np.int64], NDArray[np.int64]] | None = field(default=None, repr=False)

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

    def __len__(self) -> int:
        return len(self.theta)

    def __str__(self) -> str:
        B = len(self)
        below = self.squared_gradient <= CRITICAL
        counts = ", ".join(f"{name} {int((self.status == name).sum())}" for name in np.unique(self.status))
        lines = [
            f"{int(below.sum())} of {B} start{'s' * (B != 1)} reached |g|^2 <= {CRITICAL:g}, at "
            f"{len(self.distinct())} distinct points by loss and index ({self.method})",
            f"ended as: {counts}; steps: {int(self.n_iter.min())} to {int(self.n_iter.max())}",
            "call .classify() to tell critical points from flat ground",
        ]
        return "\n".join(lines)

    @property
    def index(self) -> NDArray[np.int64]:
        """Number of negative eigenvalues of the Hessian (B,); -1 beyond 5000 parameters, and where it is not finite."""
        return self._counts()[0]

    @property
    def nullity(self) -> NDArray[np.int64]:
        """Number of eigenvalues within 1e-8 of the largest magnitude from zero (B,); -1 where unknown."""
        return self._counts()[1]

    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._signs is None:
            B, N = self.theta.shape
            index, nullity = np.full(B, -1), np.full(B, -1)
            known = np.isfinite(self.squared_gradient)
            if N <= DENSE_LIMIT and known.any():
                loss = self._loss(None)
                group = max(1, int(2e8 / (8 * N**2)))
                rows = np.flatnonzero(known)
                for first in range(0, len(rows), group):
                    some = rows[first : first + group]
                    eigenvalues = np.linalg.eigvalsh(loss.at(self.theta[some]).hessian())
                    slack = gradient_slack(self.squared_gradient[some])
                    index[some], nullity[some] = count_signs(eigenvalues, gradient_norm=slack)
            self._signs = index, nullity
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
                same if their losses agree to six digits and their indices are equal.
        """
        rows = np.flatnonzero(self.squared_gradient <= CRITICAL)
        labels = self._by_loss(rows) if by is None else [by(self.theta[row]) for row in rows]
        classes: dict[Hashable, list[int]] = {}
        for row, label in zip(rows, labels, strict=True):
            classes.setdefault(label, []).append(int(row))
        return {label: np.array(found) for label, found in classes.items()}

    def _by_loss(self, rows: NDArray[np.int64]) -> list[Hashable]:
        order = rows[np.argsort(self.loss[rows], kind="stable")]
        losses = self.loss[order]
        new = np.diff(losses, prepend=-np.inf) > _SAME_LOSS * np.maximum(np.abs(losses), 1e-300)
        group = dict(zip(order.tolist(), np.cumsum(new).tolist(), strict=True))
        first: dict[int, float] = {}
        for row in order.tolist():
            first.setdefault(group[row], float(f"{self.loss[row]:.7g}"))
        return [(first[group[row]], int(self.index[row])) for row in rows.tolist()]

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
        """Write everything but the loss to an `.npz` file."""
        index, nullity = self._counts() if self.function is not None or self._signs else (None, None)
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_SAVED}
        arrays |= {f"trace_{name}": trace for name, trace in self.traces.items()}
        if index is not None:
            arrays |= {"index": index, "nullity": nullity}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **arrays)

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
            signs = (arrays["index"], arrays["nullity"]) if "index" in arrays else None
            kept = {f.name: arrays[f.name] for f in fields(cls) if f.name not in _NOT_SAVED}
            return cls(**kept | {"method": str(kept["method"]), "traces": traces, "_signs": signs})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{str(path)!r} could not be read as a result of find_critical_points ({type(error).__name__}); "
                "expected a file written by its save"
            ) from None

    def copy(self) -> Self:
        """Return a copy with arrays of its own."""
        function, self.function = self.function, None
        try:
            twin = deepcopy(self)
        finally:
            self.function = function
        return twin

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
