"""Starts for the search of critical points: trajectories of gradient descent, and points taken from them."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.losses import Numbers
from solvable.landscapes.spectra import one_point


def descend(
    loss: Any, theta0: Any = None, *, learning_rate: float, n_steps: int, momentum: float = 0.0
) -> tuple[Float[NDArray, "steps N"], Float[NDArray, "steps"]]:
    r"""Return the points of full-batch gradient descent (n_steps + 1, N), and their losses (n_steps + 1,).

    $$v \leftarrow \beta v + \nabla L(\theta), \qquad \theta \leftarrow \theta - \eta v$$

    Args:
        loss: as in `find_critical_points`.
        theta0: start (N,); by default the parameters of the module. For a linear network, 0.1 times standard normal
            numbers begin near the saddle at zero and pass others.
        learning_rate: $\eta > 0$.
        n_steps: number of steps, at least 1.
        momentum: $\beta \in [0, 1)$.

    Raises:
        InputError: for a start or a loss that cannot be used, or if the loss diverges.

    >>> import torch
    >>> path, losses = descend(lambda t: t[0] ** 2 / 2, np.array([4.0]), learning_rate=0.5, n_steps=2)
    >>> path.tolist(), losses.tolist()
    ([[4.0], [2.0], [1.0]], [8.0, 2.0, 0.5])
    """
    # First, since it says what to install if torch is missing.
    from solvable.networks import train_batches  # isort: skip
    import torch

    function, start = one_point(loss, theta0, "theta0")
    rate, momentum = (
        one_number("learning_rate", learning_rate, above=0),
        one_number("momentum", momentum, at_least=0),
    )
    if momentum >= 1:
        raise InputError(f"momentum is {momentum:g}; expected at least 0 and below 1")

    class Point(torch.nn.Module):
        """A module whose output is the loss, whatever its input."""

        def __init__(self) -> None:
            super().__init__()
            self.theta = torch.nn.Parameter(torch.tensor(start))

        def forward(self, _: Any) -> torch.Tensor:
            value, gradient = function.gradient(self.theta.detach().numpy()[None])
            # The second term is zero and has the gradient of the loss.
            return float(value[0]) + (self.theta - self.theta.detach()) @ torch.tensor(gradient[0])

    point = Point()
    run = train_batches(
        point,
        torch.optim.SGD(point.parameters(), lr=rate, momentum=momentum),
        [0.0],
        [0.0],
        steps=n_steps,
        stop_at=-np.inf,
        loss=lambda output, _: output,
        keep_parameters=True,
    )
    trajectory = np.asarray(run.parameters)
    losses = np.append(run.losses, function.value(trajectory[-1:])) if not run.diverged else run.losses
    if run.diverged or not np.isfinite(losses).all():
        raise InputError(
            f"the loss diverged after {len(run.losses)} steps at learning_rate {rate:g}; expected one at which it "
            "falls; lower it"
        )
    return trajectory, losses


def sample_starts(
    trajectory: Float[ArrayLike, "steps N"],
    losses: Float[ArrayLike, "steps"],
    n: int,
    how: str = "height",
    noise_std: float = 0.0,
    random_state: int = 0,
) -> Float[NDArray, "n N"]:
    r"""Return n starts (n, N) for `find_critical_points` from a trajectory of training.

    No way of sampling is unbiased; noise raises the diversity of what is found.

    Args:
        trajectory: parameters (steps, N), from `descend` for example.
        losses: their losses (steps,).
        n: number of starts, at least 1.
        how: `height`: the point whose loss is nearest to a number drawn uniformly between the lowest and the highest
            loss; `iteration`: a point drawn uniformly, which is biased to low losses.
        noise_std: standard deviation $\ge 0$ of Gaussian noise on each parameter of the last n // 2 starts.
        random_state: seed.

    Raises:
        InputError: for arrays that do not match, or numbers out of range.

    Source: arXiv:2003.10397.

    >>> sample_starts([[4.0], [2.0], [1.0]], [8.0, 2.0, 0.5], 4).tolist()
    [[4.0], [2.0], [1.0], [1.0]]
    """
    points, heights = numbers("trajectory", trajectory), numbers("losses", losses)
    if points.ndim != 2 or heights.shape != points.shape[:1]:
        raise InputError(
            f"trajectory has shape {points.shape} and losses {heights.shape}; expected (steps, N) and (steps,)"
        )
    finite("trajectory", points, "leave out the steps after training diverged")
    finite("losses", heights, "leave out the steps after training diverged")
    n, std = whole("n", n, at_least=1), one_number("noise_std", noise_std, at_least=0)
    rng = np.random.default_rng(whole("random_state", random_state, at_least=0))
    if choice("how", how, ("height", "iteration")) == "iteration":
        rows = rng.integers(len(points), size=n)
    else:
        rows = _nearest(heights, rng.uniform(heights.min(), heights.max(), n))
    starts: Numbers = points[rows]
    starts[n - n // 2 :] += std * rng.standard_normal((n // 2, points.shape[1]))
    return starts


def _nearest(heights: Numbers, wanted: Numbers) -> NDArray[np.intp]:
    """Return the position of the height that is nearest to each wanted one."""
    order = np.argsort(heights, kind="stable")
    middles = (heights[order][1:] + heights[order][:-1]) / 2
    return order[np.searchsorted(middles, wanted)]
