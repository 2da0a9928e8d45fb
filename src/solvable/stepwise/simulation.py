r"""`simulate`: train the linear model in the eigenbasis of its cross-correlation, for near-ties and any loss weight."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import DOP853

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.stepwise.correlation import as_numpy
from solvable.stepwise.row_times import growth

# Eigenvalues of this many records are computed at once; and at most so many records are kept.
_CHUNK, _MOST_RECORDS = 256, 50_000
MOST_STEPS = 2_000_000


@dataclass(frozen=True, eq=False)
class Simulation:
    r"""A trained linear model.

    Attributes:
        times: numbers of steps, or flow times, of the records `(records,)`, from 0.
        eigenvalues: eigenvalues of the embedding's cross-correlation C, descending `(records, d)`.
        loss: $\sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \ne j} C_{ij}^2$ `(records,)`.
        step_times: when the j-th largest eigenvalue passed half of its final value; `inf` if it did not `(d,)`.
        weights: the last weights in the basis of the modes `(d, modes)`.
    """

    times: Float[NDArray, "records"]
    eigenvalues: Float[NDArray, "records d"]
    loss: Float[NDArray, "records"]
    step_times: Float[NDArray, "d"]
    weights: Float[NDArray, "d modes"]


def modes_of(gamma: ArrayLike, W0: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the eigenvalues of $\Gamma$, descending, and the weights in its eigenbasis $W_0 V$.

    Args:
        gamma: $\Gamma$, (m, m), symmetrised here; or its eigenvalues (m,) in any order.
        W0: (d, m), on the inputs, or in the eigenbasis if `gamma` are eigenvalues.

    Raises:
        InputError: for other shapes, NaN or infinite values.
    """
    values = np.array(numbers("gamma", as_numpy(gamma)))
    weights = np.atleast_2d(numbers("W0", as_numpy(W0))).astype(np.float64)
    finite("gamma", values)
    finite("W0", weights)
    if values.ndim == 0:
        values = values[None]
    if values.ndim > 2 or (values.ndim == 2 and values.shape[0] != values.shape[1]):
        raise InputError(
            f"gamma has shape {values.shape}; expected eigenvalues (m,) or a square matrix (m, m)"
        )
    if weights.ndim != 2 or weights.shape[1] != len(values):
        raise InputError(
            f"W0 has shape {weights.shape} and gamma {values.shape}; expected W0 of shape (d, {len(values)})"
        )
    if values.ndim == 2:
        # Symmetrised first: the two orders of the views differ by rounding, or by the user's formula.
        values, V = np.linalg.eigh((values + values.T) / 2)
        weights = weights @ V
    order = np.argsort(-values, kind="stable")
    return values[order], weights[:, order]


def simulate(
    gamma: ArrayLike,
    W0: ArrayLike,
    learning_rate: float | None = None,
    until: float | None = None,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    off_diagonal_weight: float = 1.0,
    n_modes: int | None = None,
) -> Simulation:
    r"""Return the training of the linear model $f(x) = Wx$ on the unnormalised Barlow Twins loss, step by step.

    In the eigenbasis of $\Gamma$ full-batch gradient descent is $Y \leftarrow Y - 4\eta\,M Y G$ with
    $G = \mathrm{diag}(\gamma)$, $C = Y G Y^\top$ and $M_{ij} = C_{ij} - \delta_{ij}$, off the diagonal times
    $\lambda$. Only the modes that matter are kept, so a step costs $O(d^2 k)$ for k modes. It needs no small
    initialisation and no gaps between eigenvalues, and it is what the closed forms are tested against.

    Args:
        gamma: $\Gamma$ (m, m), or its eigenvalues (m,).
        W0: initial weights (d, m); in the eigenbasis if `gamma` are eigenvalues.
        learning_rate: $\eta > 0$ of gradient descent; None for gradient flow.
        until: number of steps, or flow time, at which to stop; by default when all directions are learned.
        momentum: of `torch.optim.SGD`, in [0, 1).
        weight_decay: $w \ge 0$ of `torch.optim.SGD`.
        off_diagonal_weight: $\lambda \ge 0$.
        n_modes: number of modes to keep, those of largest $\gamma$; by default all that can take part.

    Raises:
        InputError: for shapes that do not match, numbers out of range, more than two million steps, or training
            that diverges.

    Source: gradient of the loss of arXiv:2303.15438; the reduction is exact for the modes that are kept.

    >>> run = simulate([1.0, 0.5, 0.1], 1e-3 * np.eye(2, 3), learning_rate=0.02)
    >>> run.step_times.round(1).tolist(), run.eigenvalues[-1].round(3).tolist()
    ([89.3, 184.5], [1.0, 1.0])
    """
    all_modes, all_weights = modes_of(gamma, W0)
    momentum = one_number("momentum", momentum, at_least=0)
    if momentum >= 1:
        raise InputError(f"momentum is {momentum:g}; expected a number below 1")
    weight_decay = one_number("weight_decay", weight_decay, at_least=0)
    lam = one_number("off_diagonal_weight", off_diagonal_weight, at_least=0)
    if learning_rate is not None:
        learning_rate = one_number("learning_rate", learning_rate, above=0)
    elif momentum:
        raise InputError("momentum was given without a learning rate; expected both, as flow has no momentum")
    d = len(all_weights)
    kept = (
        _kept(all_modes, d) if n_modes is None else min(whole("n_modes", n_modes, at_least=1), len(all_modes))
    )
    gamma_kept, Y = all_modes[:kept], all_weights[:, :kept]
    stops_itself = until is None
    end = _latest(gamma_kept, Y, learning_rate, momentum, weight_decay, lam) if until is None else until
    end = one_number("until", end, at_least=0)
    model = _Model(gamma_kept, Y, weight_decay, lam, stops_itself)
    if learning_rate is None:
        model.flow(end)
    else:
        if end > MOST_STEPS:
            raise InputError(
                f"training takes about {end:.2g} steps; expected at most {MOST_STEPS:,}: leave out the learning rate, "
                "and divide flow times by it"
            )
        model.descend(round(end), learning_rate, momentum)
    return model.result()


def _kept(gamma: NDArray[np.float64], d: int) -> int:
    """Return how many modes take part: 2d + 20, and all that grow at least half as fast as the last one learned."""
    last = gamma[min(d, len(gamma)) - 1]
    return min(len(gamma), max(2 * d + 20, int((gamma > max(last, 0) / 2).sum()) if last > 0 else 0))


def _latest(
    gamma: NDArray[np.float64],
    Y: NDArray[np.float64],
    learning_rate: float | None,
    momentum: float,
    weight_decay: float,
    lam: float,
) -> float:
    """Return a time by which every direction that can be learned has been, generously."""
    d = len(Y)
    can = gamma[(gamma > 0) & (4 * gamma > weight_decay)][:d]
    if not len(can):
        return 100.0 if learning_rate else 100.0 / max(np.abs(gamma).max(), 1e-300)
    slowest = can[-1]
    if learning_rate is None:
        rate = 8 * slowest - 2 * weight_decay
    else:
        rate = float(2 * growth(can[-1:], learning_rate, momentum, weight_decay)[0][0])
    size = np.abs(Y[np.abs(Y) > 0]).min(initial=np.inf)
    if not np.isfinite(size):
        return 100.0
    depth = max(-np.log(slowest) - 2 * np.log(size), 1.0) + 12.0
    # The second direction is slower by this factor with another weight than 1.
    slower = 1.0 if lam == 1 else max((1 + lam * (d - 1)) / max(lam * d, 1e-12), 1.0)
    return float(min(1.5 * depth / rate * slower, 1e18))


class _Model:
    """The weights in the eigenbasis, and the records of their training."""

    def __init__(
        self,
        gamma: NDArray[np.float64],
        Y: NDArray[np.float64],
        weight_decay: float,
        lam: float,
        stops_itself: bool,
    ) -> None:
        self.gamma, self.Y, self.weight_decay, self.lam = gamma, Y, weight_decay, lam
        self.stops_itself = stops_itself
        d = len(Y)
        can = gamma[(gamma > 0) & (4 * gamma > weight_decay)][:d]
        self.halves = np.full(d, 0.5)
        self.halves[: len(can)] *= 1 - weight_decay / (4 * can)
        self.n_learnable = len(can)
        self.times: list[float] = []
        self.eigenvalues: list[NDArray[np.floating]] = []
        self.losses: list[NDArray[np.float64]] = []
        self._pending: list[NDArray[np.float64]] = []
        self._learned_at: float | None = None
        self._eye = np.eye(d, dtype=bool)

    def correlation(self, Y: NDArray[np.float64]) -> NDArray[np.float64]:
        return (Y * self.gamma) @ Y.T

    def gradient(self, Y: NDArray[np.float64], C: NDArray[np.float64]) -> NDArray[np.float64]:
        M = C * self.lam if self.lam != 1 else C.copy()
        diagonal = np.einsum("ii->i", M)
        diagonal[:] = np.diagonal(C) - 1
        out = 4 * (M @ Y) * self.gamma
        return out + self.weight_decay * Y if self.weight_decay else out

    def record(self, time: float, C: NDArray[np.float64]) -> None:
        self.times.append(time)
        self._pending.append(C)
        if len(self._pending) == _CHUNK:
            self.digest()

    def digest(self) -> None:
        """Compute the eigenvalues of what was recorded."""
        if not self._pending:
            return
        C = np.stack(self._pending)
        self._pending = []
        if not np.isfinite(C).all():
            raise InputError("training diverges; expected a learning rate below max_learning_rate")
        self.eigenvalues.append(np.linalg.eigvalsh(C)[:, ::-1])
        diagonal = np.diagonal(C, axis1=1, axis2=2)
        off = np.square(C).sum(axis=(1, 2)) - np.square(diagonal).sum(axis=1)
        self.losses.append(np.square(diagonal - 1).sum(axis=1) + self.lam * off)

    def finished(self, time: float) -> bool:
        """Return whether all directions are learned, and some time has passed since."""
        if not self.stops_itself or self._pending or not self.eigenvalues:
            return False
        last = self.eigenvalues[-1][-1, : self.n_learnable]
        if self.n_learnable and (last >= 1.9 * self.halves[: self.n_learnable]).all():
            self._learned_at = self._learned_at or time
        return self._learned_at is not None and time >= 1.05 * self._learned_at

    def descend(self, steps: int, learning_rate: float, momentum: float) -> None:
        Y = before = self.Y
        fastest = 8 * learning_rate * max(float(self.gamma[0]), 1e-300) / (1 - momentum)
        every = max(1, int(0.1 / fastest) if fastest > 1e-9 else 1, -(-steps // _MOST_RECORDS))
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(steps + 1):
                C = self.correlation(Y)
                if step % every == 0 or step == steps:
                    self.record(float(step), C)
                    if self.finished(step):
                        break
                change = momentum * (Y - before) if momentum else 0.0
                Y, before = Y - learning_rate * self.gradient(Y, C) + change, Y
        self.Y = before  # the weights of the last record

    def flow(self, end: float) -> None:
        shape = self.Y.shape
        size = np.abs(self.Y[np.abs(self.Y) > 0]).min(initial=1.0)

        def velocity(_: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            Y = y.reshape(shape)
            return -self.gradient(Y, self.correlation(Y)).ravel()

        # Dormant entries have to be followed from their first size on.
        solver = DOP853(velocity, 0.0, self.Y.ravel(), end, rtol=1e-9, atol=1e-9 * float(size))
        self.record(0.0, self.correlation(self.Y))
        while solver.status == "running" and end > 0:
            solver.step()
            if solver.status == "failed":
                raise InputError(
                    "the flow cannot be integrated; expected weights and eigenvalues of moderate size"
                )
            if len(self.times) > 10 * _MOST_RECORDS:
                raise InputError(
                    f"the flow takes more than {len(self.times) // 4:,} steps by time {solver.t:.3g}, as fast "
                    "directions limit them; expected eigenvalues less far apart, or use step_times with method='rows'"
                )
            inner: Any = solver.dense_output()
            for share in (0.25, 0.5, 0.75, 1.0):
                time = solver.t_old + share * (solver.t - solver.t_old)  # pyright: ignore[reportOperatorIssue]
                self.Y = inner(time).reshape(shape)
                self.record(float(time), self.correlation(self.Y))
            if self.finished(float(solver.t)):
                break

    def result(self) -> Simulation:
        self.digest()
        times, eigenvalues = np.array(self.times), np.concatenate(self.eigenvalues)
        crossings = np.array(
            [first_crossing(times, eigenvalues[:, j], self.halves[j]) for j in range(eigenvalues.shape[1])]
        )
        return Simulation(times, eigenvalues, np.concatenate(self.losses), crossings, self.Y)


def first_crossing(times: NDArray[np.floating], values: NDArray[np.floating], half: float) -> float:
    """Return when a curve first passes `half` upwards, by interpolating the logit; `inf` if it does not, 0 if above."""
    above = values >= half
    if not above.any():
        return np.inf
    i = int(above.argmax())
    if i == 0:
        return float(times[0])
    low, high = (np.clip(values[k] / (2 * half), 1e-300, 1 - 1e-12) for k in (i - 1, i))
    a, b = (np.log(x / (1 - x)) for x in (low, high))
    return float(times[i - 1] + (times[i] - times[i - 1]) * -a / (b - a))
