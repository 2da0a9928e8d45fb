r"""When one row of the weights is learned: exact flow times, and numbers of steps of gradient descent with momentum.

A row r of the weights, written in the eigenbasis of $\Gamma$, obeys $\dot r_k = (4\gamma_k(1 - \Lambda) - w)\,r_k$ with
$\Lambda = \sum_k \gamma_k r_k^2$ as long as the other rows leave its modes alone. All its modes share one clock,
$d\theta/dt = 1 - \Lambda$, so one quadrature gives the time at which $\Lambda$ reaches half of its final value.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from solvable.errors import InputError

Row = Float[NDArray[np.float64], "modes"]

# Below this eigenvalue the growth is exponential to 1e-7; iteration starts there.
_LINEAR = 1e-7
# Beyond this number of steps the quadrature with the rates per step is exact to 1e-4, and much faster.
_MOST_STEPS = 30_000


def learned_at(
    log_row: Row,
    gamma: Row,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> float:
    r"""Return when $\Lambda$ of a row reaches half of its final value: 0 if it is there already, `inf` if it never is.

    Args:
        log_row: $\ln |r_k(0)|$, (modes,); `-inf` for zero.
        gamma: $\gamma_k$, (modes,).
        learning_rate: of gradient descent, for a number of steps; None for the time of gradient flow.
        momentum: of heavy-ball gradient descent, as in `torch.optim.SGD`.
        weight_decay: $w$, as in `torch.optim.SGD`.
    """
    grows = (4 * gamma > weight_decay) & (gamma > 0) & (log_row > -np.inf)
    if not grows.any():
        return np.inf
    log_row, gamma = log_row[grows], gamma[grows]
    log_levels = np.log(gamma) + 2 * log_row
    with np.errstate(over="ignore"):
        if np.exp(log_levels).sum() >= 0.5 * _ceiling(log_levels, 8 * gamma - 2 * weight_decay, 8 * gamma):
            return 0.0
    if learning_rate is None:
        if weight_decay == 0:
            return _quadrature(log_levels, 8 * gamma)
        return _integral(log_levels, 8 * gamma - 2 * weight_decay, 8 * gamma)
    return _steps(log_row, gamma, learning_rate, momentum, weight_decay)


def leading_share(log_row: Row, gamma: Row, rates: Row) -> float:
    r"""Return the share of its first mode in the $\Lambda$ of a row when it is learned; 1 if the row never grows.

    The rest is in modes of which later rows have a part too. What the row takes of them, they lack, so their times are
    exact only where the share is nearly 1.

    Args:
        log_row: $\ln |r_k(0)|$, (modes,); `-inf` for zero.
        gamma: $\gamma_k$, (modes,).
        rates: rates of growth of $r_k^2$, per time or step (modes,).
    """
    grows = (rates > 0) & (gamma > 0) & (log_row > -np.inf)
    if not grows.any():
        return 1.0
    log_levels, rates = np.log(gamma[grows]) + 2 * log_row[grows], rates[grows]
    learned = log_levels + rates * _reached(log_levels, rates, np.log(0.5))
    return float(np.exp(learned[0] - _log_sum(learned))) if grows[0] else 0.0


def growth(
    gamma: Row, learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0
) -> tuple[Row, Row]:
    r"""Return $\ln |\mu|$ of the factor by which amplitudes grow or decay in a step, and the other factor.

    The factors solve $\mu^2 - (1 + b + h)\mu + b = 0$ with $h = \eta(4\gamma - w)$ and the momentum b. What decays in
    swings has a factor below 0, or two complex ones.
    """
    h = learning_rate * (4 * gamma - weight_decay)
    trace, square = 1 + momentum + h, (1 - momentum) ** 2 + 2 * h * (1 + momentum) + h**2
    root = np.sqrt(np.maximum(square, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # The factor less 1, in a form that keeps its digits for small steps.
        excess = 2 * h / (root + (1 - momentum) - h)
        swings = np.log(np.maximum(root - trace, 0.0) / 2)
        logs = np.where(trace >= 0, np.log1p(excess), swings)
        logs = np.where(square < 0, np.log(momentum) / 2, logs)
        # A number, since 0 * inf is none; its exponential is 0.
        return np.maximum(logs, -1000.0), momentum / (1 + excess)


def _log_sum(logs: Row) -> float:
    """Return the logarithm of the sum of exponentials."""
    largest = logs.max()
    return float(largest + np.log(np.exp(logs - largest).sum()))


def _ceiling(log_levels: Row, rates: Row, saturations: Row) -> float:
    """Return the final value of Lambda for the modes that dominate the row now, where their growth stops."""
    share = np.exp(log_levels - log_levels.max())
    return float((share @ rates) / (share @ saturations))


def _reached(log_levels: Row, rates: Row, target: float) -> float:
    """Return the x >= 0 at which a sum of growing exponentials has the logarithm `target`; 0 if it is above."""

    def excess(x: float) -> float:
        return _log_sum(log_levels + rates * x) - target

    # The sum is there no later than any of its terms.
    latest = float(((target - log_levels) / rates).min())
    if latest <= 0 or excess(0.0) >= 0:
        return 0.0
    if excess(latest) <= 0:
        return latest
    # As a share of the latest time, since the tolerance is absolute and times may be of any size.
    share: Any = brentq(lambda part: excess(part * latest), 0.0, 1.0)
    return latest * share


def _quadrature(log_levels: Row, rates: Row) -> float:
    """Return the integral of 1 / (1 - Lambda) over theta, up to Lambda = 1/2; Lambda is a sum of exponentials."""
    end = _reached(log_levels, rates, np.log(0.5))

    def excess(theta: float) -> float:
        level = np.exp(_log_sum(log_levels + rates * theta))
        return level / (1 - level)

    # Before, the integrand is 1 to e^-45; the last e-foldings hold nearly all of the rest.
    start, near = max(0.0, end - 45 / rates.min()), max(0.0, end - 5 / rates.max())
    parts = ((start, near), (near, end))
    more = [
        quad(excess, low, high, epsrel=1e-11, epsabs=0.0, limit=200)[0] for low, high in parts if high > low
    ]
    return end + sum(more)


def _integral(log_levels: Row, rates: Row, saturations: Row) -> float:
    r"""Return when Lambda reaches half of its ceiling, where $d \ln r_k^2 / dt$ is the rate less Lambda times the
    saturation of each mode."""
    unit = saturations.max()
    rates, saturations = rates / unit, saturations / unit
    start = _reached(log_levels, rates, np.log(_LINEAR))

    def exponents(t: float, learned: float) -> Row:
        return log_levels + rates * t - saturations * learned

    def flow(t: float, y: NDArray[np.float64]) -> list[float]:
        return [np.exp(_log_sum(exponents(t, y[0])))]

    def above_half(t: float, y: NDArray[np.float64]) -> float:
        now = exponents(t, y[0])
        return _log_sum(now) - float(np.log(_ceiling(now, rates, saturations) / 2))

    above_half.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    end = start + 10 * (1 - np.log(_LINEAR)) / rates.min()
    solved = solve_ivp(flow, (start, end), [0.0], "DOP853", events=above_half, rtol=1e-10, atol=1e-12)
    return float(solved.t_events[0][0]) / unit if len(solved.t_events[0]) else np.inf


def _steps(log_row: Row, gamma: Row, learning_rate: float, momentum: float, weight_decay: float) -> float:
    log_factor, small = growth(gamma, learning_rate, momentum, weight_decay)
    # From rest, r_n = A mu_+^n + B mu_-^n with r_(-1) = r_0.
    large = np.exp(log_factor)
    amplitude = log_row + np.log(large * (1 - small) / (large - small))
    log_levels, rates = np.log(gamma) + 2 * amplitude, 2 * log_factor

    first = int(_reached(log_levels, rates, np.log(_LINEAR)))
    # By then the second solution, which decays as momentum^n, has to be gone.
    if momentum and momentum**first > 1e-9:
        first = 0
    expected = _reached(log_levels, rates, np.log(0.5)) - first
    if expected > _MOST_STEPS:
        if weight_decay == 0:
            return _quadrature(log_levels, rates)
        return _integral(log_levels, rates, rates / (1 - weight_decay / (4 * gamma)))
    if first:
        row, before = (np.exp(amplitude + n * log_factor) for n in (first, first - 1))
    else:
        row = before = np.exp(log_row)
    most = first + 100 * int(expected + 1 / (1 - momentum)) + 1000
    step = _iterated(row, before, gamma, learning_rate, momentum, weight_decay, first, most)
    if np.isfinite(step):
        return step
    raise InputError(
        f"a direction with eigenvalue {gamma.max():.3g} is not learned within {most} steps; expected a learning rate "
        "below max_learning_rate"
    )


def _iterated(
    row: Row,
    before: Row,
    gamma: Row,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    first: int,
    most: int,
) -> float:
    """Return the step, between two, at which Lambda passes half of its final value; `inf` if not by step `most`."""
    if len(gamma) == 1:
        return _iterated_mode(
            float(row[0]),
            float(before[0]),
            float(gamma[0]),
            learning_rate,
            momentum,
            weight_decay,
            first,
            most,
        )
    level = float(gamma @ row**2)
    for step in range(first + 1, most + 1):
        change = momentum * (row - before) + learning_rate * (4 * gamma * (1 - level) - weight_decay) * row
        row, before = row + change, row
        previous, level = level, float(gamma @ row**2)
        half = 0.5
        if weight_decay:
            # Shares of the largest, since the squares of tiny rows are 0.
            shares = gamma * (row / np.abs(row).max()) ** 2
            half *= float(1 - weight_decay * shares.sum() / (4 * (gamma @ shares)))
        if level >= half:
            return step - _since_half(level, previous, half)
    return np.inf


def _iterated_mode(
    r: float,
    before: float,
    gamma: float,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    first: int,
    most: int,
) -> float:
    """Return what `_iterated` does for a row of one mode, in plain numbers, which is ten times faster."""
    half, growth_of_small = 0.5 * (1 - weight_decay / (4 * gamma)), learning_rate * (4 * gamma - weight_decay)
    saturation, level = 4 * learning_rate * gamma, gamma * r * r
    for step in range(first + 1, most + 1):
        r, before = r + momentum * (r - before) + (growth_of_small - saturation * level) * r, r
        previous, level = level, gamma * r * r
        if level >= half:
            return step - _since_half(level, previous, half)
    return np.inf


def _since_half(level: float, previous: float, half: float) -> float:
    """Return the share of a step since the level passed half: the logit is nearly a straight line in the steps."""
    now, last = (np.log(x / max(2 * half - x, 1e-300)) for x in (level, previous))
    return float(now / (now - last))
