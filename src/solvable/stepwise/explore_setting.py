r"""Settings of the page (`page.py`), without marimo, and what follows from them: eigenvalues, steps, and their axes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from solvable.lab.chart import LinearAxis, LogAxis, Mark
from solvable.stepwise.theory import learnable_directions, max_learning_rate, step_times, trajectory

Floats = NDArray[np.float64]

INITS = (*(float(f"{m}e{power}") for power in range(-8, -1) for m in (1, 2, 5)), 0.1)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
DECAYS = tuple(k / 4 for k in range(13))
GAPS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
SHARED = tuple(range(1, 17))
NOISES = (0.0, *(float(f"{m}e{power}") for power in range(-3, 0) for m in (1, 2, 5)))
DIMS = tuple(range(1, 17))
WEIGHT_DECAYS = (0.0, *(float(f"{m}e{power}") for power in range(-3, 0) for m in (1, 2, 5)), 1.0, 2.0)
PLACES = tuple(range(101))
"""Values of the sliders; the last are places along the axis of steps, in percent."""

STEP_LEGEND = ("theory other", "predicted steps")
"""Legend of `step_marks`."""

N_NOISE = 24
"""Number of eigenvalues that are noise of the sample, spread evenly on both sides of 0."""

# With steps further apart the first ones would not be seen on a linear axis.
_FAR = 25.0
_POINTS = 240


@dataclass(frozen=True)
class Setting:
    r"""Settings of the page's controls.

    Attributes:
        init: singular value s0 of the initial weights.
        share: learning rate, as a share of the largest stable one.
        decay: a of the eigenvalues $\gamma_j = j^{-a}$ of the shared directions.
        gap: by how much those of the second half are divided.
        shared: number of directions that both views share.
        noise: size of the eigenvalues that are noise of the sample.
        dim: d, number of dimensions of the embedding.
        weight_decay: w, of SGD.
    """

    init: float = 1e-6
    share: float = 0.1
    decay: float = 1.0
    gap: float = 1.0
    shared: int = 8
    noise: float = 0.02
    dim: int = 6
    weight_decay: float = 0.0

    @cached_property
    def gamma(self) -> Floats:
        r"""Eigenvalues of $\Gamma$, descending; the largest is 1."""
        j = np.arange(1, self.shared + 1)
        signal = j**-self.decay / np.where(j > (self.shared + 1) // 2, self.gap, 1.0)
        return np.sort(np.r_[signal, np.linspace(self.noise, -self.noise, N_NOISE)])[::-1]

    @cached_property
    def learning_rate(self) -> float:
        """The learning rate."""
        return self.share * max_learning_rate(self.gamma, weight_decay=self.weight_decay)

    @property
    def learnable(self) -> int:
        """Number of directions above the noise and above what weight decay forbids."""
        return learnable_directions(self.gamma, weight_decay=self.weight_decay)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """For each dimension of the embedding: `shared`, `noise`, `forbidden` by weight decay, or `none`."""
        found = []
        for g in self.gamma[: self.dim]:
            named = "noise" if g <= self.noise else "shared"
            found.append("none" if g <= 0 else "forbidden" if 4 * g <= self.weight_decay else named)
        return tuple(found)

    @cached_property
    def rates(self) -> Floats:
        """Rate of growth of each eigenvalue of C per step (d,); 0 if it does not grow."""
        growth = self.learning_rate * (4 * self.gamma[: self.dim] - self.weight_decay)
        return np.where(self.grows, 2 * np.log1p(np.maximum(growth, 0)), 0.0)

    @property
    def grows(self) -> NDArray[np.bool_]:
        """Whether each direction is ever learned (d,)."""
        return np.array([kind in ("shared", "noise") for kind in self.kinds])

    @cached_property
    def times(self) -> Floats:
        """Steps at which the eigenvalues of C pass half of their final values (d,), ascending; `inf` for never."""
        return step_times(
            self.gamma[: self.dim],
            s0=self.init,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )

    def eigenvalues(self, steps: Floats) -> Floats:
        """Return the eigenvalues of C after some numbers of steps (steps, d)."""
        return trajectory(
            self.gamma[: self.dim],
            self.init,
            steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )

    def loss(self, steps: Floats) -> Floats:
        """Return the loss after some numbers of steps (steps,)."""
        return np.square(1 - self.eigenvalues(steps)).sum(axis=1)

    @property
    def axis(self) -> LinearAxis | LogAxis:
        """Axis of steps."""
        return steps_axis(self.times, 100 / self.share)

    def step_at(self, place: float) -> float:
        """Return the step at a place along the axis, in percent."""
        axis, share = self.axis, place / 100
        if isinstance(axis, LogAxis):
            return float(axis.low * (axis.high / axis.low) ** share)
        return axis.low + share * (axis.high - axis.low)


def steps_axis(times: Floats, otherwise: float = 100.0) -> LinearAxis | LogAxis:
    """Return an axis that has all directions, logarithmic if they are far apart; `otherwise` is its end without any."""
    found = np.sort(times[np.isfinite(times) & (times > 0)])
    if not len(found):
        return LinearAxis.around("step", 0.0, otherwise)
    if found[-1] > _FAR * found[0]:
        return LogAxis("step, on a logarithmic scale", found[0] / 3, found[-1] * 1.6)
    return LinearAxis.around("step", 0.0, 1.12 * float(found[-1]))


def steps_grid(axis: LinearAxis | LogAxis, times: Floats) -> Floats:
    """Return numbers of steps at which a curve is drawn."""
    if isinstance(axis, LogAxis):
        return np.geomspace(axis.low, axis.high, _POINTS)
    grid = np.linspace(axis.low, axis.high, _POINTS)
    found = times[np.isfinite(times)]
    # The first step is the shortest, and needs more points than the others.
    return np.unique(np.r_[grid, np.linspace(0.5, 1.5, 60) * found.min()]) if len(found) else grid


def step_marks(times: Floats) -> list[Mark]:
    """Return marks at the predicted steps."""
    return [Mark(float(time), None, "best") for time in times[np.isfinite(times)]]


def loss_axis(dim: int) -> LinearAxis:
    """Return the axis of the loss, with a line at each plateau."""
    return LinearAxis("loss", 0.0, 1.1 * dim, 1.0 if dim <= 10 else 2.0)


def whole(step: float) -> str:
    """Return the number of a step as it is shown.

    >>> whole(1234.4), whole(float("inf"))
    ('1,234', 'never')
    """
    return f"{step:,.0f}" if np.isfinite(step) else "never"


def in_steps(number: float) -> str:
    """Return a number of steps with its unit.

    >>> in_steps(0.9), in_steps(1234.4)
    ('1 step', '1,234 steps')
    """
    return f"{whole(number)} step{'s' * (whole(number) != '1')}"
