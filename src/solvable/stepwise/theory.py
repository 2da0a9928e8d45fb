r"""Stepwise self-supervised learning in closed form: when a linear model, and so any kernel, learns which direction.

A linear model $f(x) = W x$ with d outputs is trained on pairs of views $(x, x')$ with the Barlow Twins loss

$$ L = \|C - I\|_F^2, \qquad C = W \Gamma W^\top, \qquad
   \Gamma = \frac{1}{2n} \sum_i \left(x_i x_i'^\top + x_i' x_i^\top\right). $$

From small weights it learns the eigenvectors of $\Gamma$ one by one, in the order of their eigenvalues
$\gamma_1 \ge \gamma_2 \ge \dots$; the eigenvalues $\lambda_j$ of C rise from 0 to 1, each at a time known in advance.
Flow time is the sum of the learning rates; a factor in front of the loss multiplies the learning rate.

Source: Simon, Knutins, Ziyin, Geisz, Fetterman and Albrecht, On the stepwise nature of self-supervised learning, 2023,
arXiv:2303.15438. Formulas that are derived here say so.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel

from solvable.checks import choice, finite, numbers, one_number
from solvable.errors import InputError
from solvable.stepwise.correlation import as_numpy, cross_correlation
from solvable.stepwise.learnable import HeldOut, held_out_directions, learnable_directions
from solvable.stepwise.plateaus import Directions, directions_from_loss, plateau_loss
from solvable.stepwise.row_times import growth, leading_share, learned_at
from solvable.stepwise.simulation import MOST_STEPS, Simulation, modes_of, simulate

__all__ = [
    "Directions",
    "EffectiveInit",
    "HeldOut",
    "Simulation",
    "cross_correlation",
    "directions_from_loss",
    "effective_init",
    "held_out_directions",
    "learnable_directions",
    "max_learning_rate",
    "plateau_loss",
    "simulate",
    "step_times",
    "terminal_weights",
    "trajectory",
]

# Closed forms are within 1 % if rows are mixed with later modes by less than this share when they are learned, and
# initial eigenvalues are below that size.
_MIXED, _SMALL = 0.05, 1e-3


def trajectory(
    gamma: ArrayLike,
    s0: ArrayLike,
    times: ArrayLike,
    *,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> NDArray[np.float64]:
    r"""Return the eigenvalues $\lambda_j(t) = \gamma_j s_j(t)^2$ of the embedding's cross-correlation over time.

    $$ \lambda_j(t) = \frac{1}{1 + (1/\lambda_j(0) - 1)\, e^{-8 \gamma_j t}} $$

    for weights that start aligned with the eigenvectors of $\Gamma$, with singular values $s_j(0)$: a logistic curve
    of rate $8\gamma_j$. Modes with $\gamma_j \le 0$ are never learned. Weight decay w changes the rate to
    $8\gamma_j - 2w$ and the final value to $1 - w / 4\gamma_j$. With a learning rate, times are steps and the rate per
    step is that of small amplitudes, $2\ln(1 + 4\eta\gamma_j - \eta w)$ without momentum. With momentum the true curve
    overshoots 1 at the end, which this one does not; `simulate` does.

    Args:
        gamma: eigenvalues $\gamma_j$ of $\Gamma$, (modes,), of any sign.
        s0: $s_j(0) \ge 0$, (modes,) or one number; down to 1e-300.
        times: flow times t >= 0, or numbers of steps if a learning rate is given, (times,).
        learning_rate: $\eta$ of gradient descent.
        momentum: of `torch.optim.SGD`, in [0, 1).
        weight_decay: $w \ge 0$ of `torch.optim.SGD`.

    Returns:
        (times, modes).

    Raises:
        InputError: for numbers out of range, and a learning rate at which training is not stable.

    Source: arXiv:2303.15438; learning rate, momentum and decay are derived.

    >>> trajectory([1.0, 0.1], s0=1e-3, times=[0.0, 2.0, 20.0]).round(3).tolist()
    [[0.0, 0.0], [0.899, 0.0], [1.0, 0.471]]
    """
    modes, start = _modes_and_start(gamma, s0)
    t = numbers("times", times, at_least=0).astype(np.float64)
    t = np.atleast_1d(t)[..., None]
    rates, per_ceiling = _rates(modes, learning_rate, momentum, weight_decay)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # gamma / lambda: the first term is 1 / s^2 without saturation, in logarithms since s may be 1e-300.
        first = np.exp(-rates * t - 2 * np.log(start))
        second = modes * per_ceiling * t * exprel(-rates * t)
        values = np.where(np.isinf(first) | np.isinf(second), 0.0, modes / (first + second))
    return np.where(modes == 0, 0.0, values)


def step_times(
    gamma: ArrayLike,
    W0: ArrayLike | None = None,
    learning_rate: float | None = None,
    *,
    s0: ArrayLike | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    method: str = "auto",
) -> NDArray[np.float64]:
    r"""Return when each direction is learned: when the eigenvalues of C pass half of their final values.

    For aligned weights of size s0, $\tau_j = \ln(1/\lambda_j(0) - 1) / 8\gamma_j$ with
    $\lambda_j(0) = \gamma_j s_j(0)^2$. Any other small weights act like aligned ones: with $W_0 V = Q R$, row j of the
    upper trapezoidal R is what is left for direction j once the directions before it are learned. Its time is
    $\tau_j = \int_0^{\theta_j} d\theta / (1 - \Lambda_j(\theta))$ with
    $\Lambda_j(\theta) = \sum_{k \ge j} \gamma_k R_{jk}^2 e^{8\gamma_k\theta}$ and $\Lambda_j(\theta_j) = 1/2$.

    Args:
        gamma: $\Gamma$, (m, m), or its eigenvalues (modes,).
        W0: initial weights (d, m), on the inputs; in the eigenbasis of $\Gamma$ if `gamma` are eigenvalues.
        learning_rate: $\eta$ of gradient descent: times are then numbers of steps. None: times of gradient flow, which
            are sums of small learning rates.
        s0: singular values of aligned initial weights (modes,), or one number, in the place of `W0`.
        momentum: of `torch.optim.SGD`, in [0, 1).
        weight_decay: $w \ge 0$ of `torch.optim.SGD`; directions with $\gamma_j \le w/4$ are never learned.
        method: `rows`, the integral above; `qr`, with the diagonal of R alone; `simulation`, with `simulate`; `auto`,
            rows if there is no momentum, the weights are small, and each row is at least 95 % its own mode when it is
            learned, else simulation, unless that takes more than a few seconds.

    Returns:
        With `W0`: the time at which the j-th largest eigenvalue of C is learned, ascending (d,). With `s0`: the time
        of each mode, in the order of `gamma` (modes,). `inf` for what is never learned, 0 for what already is.

    Raises:
        InputError: for numbers or shapes out of range, and a learning rate at which training is not stable.

    Source: arXiv:2303.15438 for `qr` and flow; the integral and the numbers of steps are derived.

    >>> step_times([1.0, 0.5], s0=1e-3).round(3).tolist()
    [1.727, 3.627]
    >>> step_times([1.0, 0.5], s0=1e-3, learning_rate=0.01).round(1).tolist()  # flow would give 172.7 and 362.7
    [175.6, 365.8]
    """
    choice("method", method, ("auto", "rows", "qr", "simulation"))
    if (W0 is None) == (s0 is None):
        raise InputError("expected initial weights: W0 (d, m), or s0 for aligned ones, and not both")
    if s0 is not None:
        modes, start = _modes_and_start(gamma, s0)
        _rates(modes, learning_rate, momentum, weight_decay)
        with np.errstate(divide="ignore"):
            logs = np.log(start)
        return np.array(
            [
                learned_at(logs[j : j + 1], modes[j : j + 1], learning_rate, momentum, weight_decay)
                for j in range(len(modes))
            ]
        )
    assert W0 is not None
    modes, weights = modes_of(gamma, W0)
    rates, _ = _rates(modes, learning_rate, momentum, weight_decay)
    d, p = len(weights), min(weights.shape)
    if method == "simulation":
        run = simulate(modes, weights, learning_rate, momentum=momentum, weight_decay=weight_decay)
        return np.sort(run.step_times)
    R = np.linalg.qr(weights).R  # upper trapezoidal, over all modes
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(R))
    last = [j + 1 if method == "qr" else len(modes) for j in range(p)]
    times = np.full(d, np.inf)
    times[:p] = [
        learned_at(logs[j, j:k], modes[j:k], learning_rate, momentum, weight_decay)
        for j, k in enumerate(last)
    ]
    times = np.sort(times)
    if method == "auto" and _needs_simulation(
        modes, weights, logs, rates, times, learning_rate is None, momentum
    ):
        run = simulate(modes, weights, learning_rate, momentum=momentum, weight_decay=weight_decay)
        return np.sort(run.step_times)
    return times


class EffectiveInit(NamedTuple):
    r"""The aligned initial weights that act like given ones.

    Attributes:
        gamma: eigenvalues of $\Gamma$, descending (modes,).
        s0: $|R_{jj}|$, the singular values of the aligned weights (min(d, modes),).
        directions: Q, whose column j is the direction of the embedding that learns mode j (d, min(d, modes)).
    """

    gamma: NDArray[np.float64]
    s0: NDArray[np.float64]
    directions: NDArray[np.float64]


def effective_init(gamma: ArrayLike, W0: ArrayLike) -> EffectiveInit:
    r"""Return the aligned initial weights that act like `W0`, from $W_0 V_{\le d} = Q R$.

    Args:
        gamma: $\Gamma$, (m, m), or its eigenvalues (modes,).
        W0: initial weights (d, m); in the eigenbasis of $\Gamma$ if `gamma` are eigenvalues.

    Source: arXiv:2303.15438.

    >>> effective_init([1.0, 0.5], [[3e-4, 1e-4], [4e-4, 0.0]]).s0.round(6).tolist()
    [0.0005, 8e-05]
    """
    modes, weights = modes_of(gamma, W0)
    Q, R = np.linalg.qr(weights[:, : len(weights)])
    return EffectiveInit(modes, np.abs(np.diag(R)), Q)


def max_learning_rate(gamma: ArrayLike, *, momentum: float = 0.0, weight_decay: float = 0.0) -> float:
    r"""Return the largest learning rate at which gradient descent is stable, $1 / (4\gamma_1)$.

    The loss of a learned direction has curvature $8\gamma_j$. Momentum b multiplies the limit by 1 + b, and weight
    decay w lowers the curvature by 2w. Directions with negative $\gamma$ decay stably below $1/(2|\gamma|)$.

    Above the limit training need not diverge at once: the first eigenvalue of C swings with period 2, or the weights
    drift to a flatter minimum.

    Args:
        gamma: $\Gamma$, (m, m), or its eigenvalues (modes,).
        momentum: of `torch.optim.SGD`, in [0, 1).
        weight_decay: $w \ge 0$ of `torch.optim.SGD`.

    Returns:
        The limit of the learning rate, `inf` if all eigenvalues are 0 and nothing decays.

    Source: derived; for data that are not centred $\gamma_1$ is that of the mean, often 50 times the next.

    >>> max_learning_rate([2.0, 1.0])
    0.125
    """
    values = np.array(numbers("gamma", as_numpy(gamma)), dtype=np.float64)
    finite("gamma", values)
    if values.ndim == 2:
        values = modes_of(values, np.zeros((1, len(values))))[0]
    b, w = _momentum(momentum), one_number("weight_decay", weight_decay, at_least=0)
    learned = np.maximum(8 * values - 2 * w, 0.0)[4 * values > w]
    dormant = np.maximum(w - 4 * values, 0.0)
    curvature = max(float(learned.max(initial=0.0)), float(dormant.max(initial=0.0)))
    return 2 * (1 + b) / curvature if curvature > 0 else np.inf


def terminal_weights(gamma: ArrayLike, dim: int) -> NDArray[np.float64]:
    r"""Return the weights at the end of training from small ones, $\mathrm{diag}(\gamma_j^{-1/2}) V_{\le d}^\top$.

    They give C = I with the least norm, $\|W\|_F^2 = \sum_{j \le d} 1/\gamma_j$, up to a rotation of the embedding.

    Args:
        gamma: $\Gamma$, (m, m).
        dim: d, at most the number of positive eigenvalues.

    Raises:
        InputError: if there are fewer positive eigenvalues than `dim`.

    Source: arXiv:2303.15438.

    >>> terminal_weights([[4.0, 0.0], [0.0, 1.0]], dim=1).round(3).tolist()
    [[0.5, 0.0]]
    """
    modes, V = modes_of(gamma, np.eye(len(np.atleast_1d(gamma))))
    positive = int((modes > 1e-14 * max(float(np.abs(modes).max()), 1e-300)).sum())
    if not 1 <= dim <= positive:
        raise InputError(
            f"dim is {dim}; expected a number from 1 to {positive}, the number of positive eigenvalues"
        )
    V = V[:, :dim]
    signs = np.sign(V[np.abs(V).argmax(axis=0), np.arange(dim)])
    return (V * signs / np.sqrt(modes[:dim])).T


def _modes_and_start(gamma: Any, s0: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    modes = np.atleast_1d(numbers("gamma", as_numpy(gamma))).astype(np.float64)
    finite("gamma", modes)
    if modes.ndim != 1:
        raise InputError(
            f"gamma has shape {modes.shape}; expected eigenvalues (modes,) with s0, as from numpy.linalg.eigvalsh"
        )
    start = np.asarray(numbers("s0", s0, at_least=0), dtype=np.float64)
    finite("s0", start)
    if start.ndim > 1 or (start.ndim == 1 and len(start) not in (1, len(modes))):
        raise InputError(
            f"s0 has shape {start.shape}; expected one number or one for each of {len(modes)} modes"
        )
    return modes, np.broadcast_to(start, modes.shape)


def _momentum(momentum: float) -> float:
    b = one_number("momentum", momentum, at_least=0)
    if b >= 1:
        raise InputError(f"momentum is {b:g}; expected a number below 1")
    return b


def _rates(
    modes: NDArray[np.float64], learning_rate: float | None, momentum: float, weight_decay: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates of growth of the eigenvalues of C, per time or step, and these rates over the final values."""
    w, b = one_number("weight_decay", weight_decay, at_least=0), _momentum(momentum)
    if learning_rate is None:
        if b:
            raise InputError(
                "momentum was given without a learning rate; expected both, as flow has no momentum"
            )
        return 8 * modes - 2 * w, 8 * modes
    eta = one_number("learning_rate", learning_rate, above=0)
    limit = max_learning_rate(modes, momentum=b, weight_decay=w)
    if eta > limit:
        raise InputError(
            f"the learning rate is {eta:g}, and training is not stable above {limit:.3g}; expected a smaller one: see "
            "max_learning_rate, or use simulate"
        )
    h = eta * (4 * modes - w)
    rates = 2 * growth(modes, eta, b, w)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(np.abs(h) > 1e-9, rates / h, 2 / (1 - b))
    return rates, 4 * eta * modes * relative


def _needs_simulation(
    modes: NDArray[np.float64],
    weights: NDArray[np.float64],
    logs: NDArray[np.float64],
    rates: NDArray[np.float64],
    times: NDArray[np.float64],
    is_flow: bool,
    momentum: float,
) -> bool:
    """Return whether mixed rows or large weights make the closed form inexact, and a simulation is short enough."""
    finite_times = times[np.isfinite(times)]
    if not len(finite_times) or not weights.any():
        return False
    # What is mixed into the last row matters to no other.
    shares = [leading_share(row[j:], modes[j:], rates[j:]) for j, row in enumerate(logs[:-1])]
    mixed = min(shares, default=1.0) < 1 - _MIXED
    large = float(np.linalg.norm(weights * np.sqrt(np.maximum(modes, 0)), 2) ** 2) > _SMALL
    # With strong momentum a learned direction overshoots, which delays those that come after it.
    if not (mixed or large or momentum):
        return False
    # Explicit integration of the flow takes a step for every few time constants of the fastest mode, each step longer
    # than one of gradient descent.
    cost = 4 * finite_times.max() * 8 * float(modes[0]) if is_flow else finite_times.max()
    return cost < MOST_STEPS / 10
