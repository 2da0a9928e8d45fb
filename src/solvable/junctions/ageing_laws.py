r"""Laws of ageing, $R(t) = R_0 [1 + u(t)]$, and their curves in the parameters of a fit; see `ageing`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from solvable.checks import choice, grid, numbers, one_number
from solvable.errors import InputError

LAWS = {
    "log": ("A", "tau_days"),
    "stretched": ("D", "tau_days", "beta"),
    "power": ("c", "p"),
}
"""Parameters of each law beside `R0_ohm`: the amplitude, then those of the shape."""

RISE = (-0.95, 1e3)
"""Range of the relative rise at the last reading, in a fit."""

_BETA, _P = (0.05, 1.0), (0.01, 1.0)


def unit_rise(law: str, t: ArrayLike, *shape: ArrayLike) -> tuple[NDArray, tuple[NDArray, ...]]:
    """Return u(t) at amplitude 1 and its derivatives by the shape: ln tau; ln tau and beta; p."""
    t = np.asarray(t, dtype=float)
    if law == "power":
        rise = t ** np.asarray(shape[0])
        return rise, (xlogy(rise, t),)
    x = t / np.exp(shape[0])
    if law == "log":
        return np.log1p(x), (-x / (1 + x),)
    z = x ** np.asarray(shape[1])
    slope = z * np.exp(-z)
    return -np.expm1(-z), (-np.asarray(shape[1]) * slope, xlogy(slope, x))


def resistance(law: str, t_days: ArrayLike, parameters: Mapping[str, ArrayLike]) -> NDArray:
    r"""Return the resistance $R(t) = R_0 [1 + u(t)]$ by one of the laws in `ageing`.

    Args:
        law: `log`, `stretched` or `power`.
        t_days: times since evaporation (days), at least 0; broadcasts with the parameters.
        parameters: `R0_ohm` and those of the law in `LAWS`; `tau_days` > 0, 0 < `beta` <= 1, `p` > 0.

    Raises:
        InputError: if the law is unknown, a parameter is missing or a value is out of range.

    Source: as in the docstring of `ageing`.

    >>> R_ohm = resistance("log", [0, 60, 365], {"R0_ohm": 7000, "A": 0.02, "tau_days": 0.1})
    >>> R_ohm.round(1).tolist(), round(float(R_ohm[2] / R_ohm[0]), 4)
    ([7000.0, 7895.8, 8148.4], 1.1641)
    """
    choice("law", law, LAWS)
    names = ("R0_ohm", *LAWS[law])
    if missing := [name for name in names if name not in parameters]:
        raise InputError(f"parameters of the law {law} lack {missing[0]}; expected {', '.join(names)}")
    t = numbers("t_days", t_days, at_least=0)
    bounds: dict[str, dict[str, float]] = {"beta": {"above": 0, "at_most": 1}}
    bounds |= {name: {"above": 0} for name in ("R0_ohm", "tau_days", "p")}
    R0, amplitude, *shape = (numbers(name, parameters[name], **bounds.get(name, {})) for name in names)
    if law != "power":
        shape[0] = np.log(shape[0])
    return _positive(R0 * (1 + amplitude * unit_rise(law, t, *shape)[0]), law)


def piecewise_log(
    t_days: ArrayLike, R0_ohm: float, A: float, taus_days: ArrayLike, changes_days: ArrayLike = ()
) -> NDArray:
    r"""Return the resistance of a junction whose storage changes: $R = R_0[1 + A \ln(1 + s)]$, $ds/dt = 1/\tau(t)$.

    Storage sets the speed of ageing and leaves the amplitude alone: R is continuous, and its rate depends on R and on
    the present $\tau$ only. With one $\tau$ it is the law `log`.

    Args:
        t_days: times since evaporation (days), at least 0, of any shape.
        R0_ohm: resistance at t = 0, above 0.
        A: amplitude, of either sign.
        taus_days: the time $\tau$ in each storage (days), above 0; one more than there are changes.
        changes_days: times of the changes (days), above 0 and ascending.

    Raises:
        InputError: if a value is out of range, or the numbers of storages and changes do not match.

    Source: that storage sets the speed and fabrication the amplitude is an observation of Budoyo et al., 2026,
    arXiv:2602.23888; the formula is our own.

    >>> piecewise_log([0, 30, 365], 7000, 0.02, [0.1, 10], [30]).round(1).tolist()  # nitrogen from day 30 on
    [7000.0, 7799.0, 7813.8]
    """
    t = numbers("t_days", t_days, at_least=0)
    R0, A = one_number("R0_ohm", R0_ohm, above=0), one_number("A", A)
    taus = grid("taus_days", taus_days, above=0)
    changes = grid("changes_days", changes_days, above=0) if np.size(changes_days) else np.empty(0)
    if len(taus) != len(changes) + 1 or (np.diff(changes) <= 0).any():
        raise InputError(
            f"taus_days has {len(taus)} and changes_days {len(changes)} values; expected one tau more than there "
            "are changes, and the changes in ascending order"
        )
    starts, ends = np.append(0.0, changes), np.append(changes, np.inf)
    spent = np.clip(t[..., None], starts, ends) - starts
    return _positive(R0 * (1 + A * np.log1p((spent / taus).sum(axis=-1))), "log")


def _positive(R: NDArray, law: str) -> NDArray:
    if not (R > 0).all():
        raise InputError(
            f"the law {law} gives a resistance of {R.min():.4g} ohm; expected more than 0: choose earlier times or a "
            "smaller amplitude"
        )
    return R


def aged_f01(f01_GHz: ArrayLike, EC_GHz: ArrayLike, R_ratio: ArrayLike) -> NDArray:
    r"""Return the frequency of a transmon after its junction has aged: $E_J$ becomes $E_J / (R(t)/R)$.

    It uses the exact spectrum; to first order $f$ changes by the factor $(R(t)/R)^{-S}$, with S about 0.53.

    Args:
        f01_GHz: frequency before (GHz), above 0.
        EC_GHz: charging energy over h (GHz), above 0.
        R_ratio: R(t)/R, above 0, as from `AgeingFit.predict(t, since_days=...)`. The arguments broadcast.

    Raises:
        InputError: if a value is out of range.

    Source: $E_J \propto 1/R$ is Ambegaokar and Baratoff's relation.

    >>> round(float(aged_f01(4.654957, 0.242128, 1.1)), 4)
    4.4256
    """
    from solvable.junctions.transmon import f01, josephson_energy_for_frequency

    ratio = numbers("R_ratio", R_ratio, above=0)
    return f01(josephson_energy_for_frequency(f01_GHz, EC_GHz) / ratio, EC_GHz)


def log_rise(law: str, t: NDArray, last: float, theta: NDArray) -> tuple[NDArray, NDArray]:
    """Return ln(1 + u) (g, u) and its derivatives (g, 1 + s, u) for parameters (g, 1 + s): rise at `last`, shape."""
    rise, shape = theta[:, :1], [theta[:, i, None] for i in range(1, theta.shape[1])]
    (curve, slopes), (end, end_slopes) = unit_rise(law, t, *shape), unit_rise(law, last, *shape)
    scaled = curve / end
    by_shape = [rise * (a - scaled * b) / end for a, b in zip(slopes, end_slopes, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 + rise * scaled
        return np.log(np.where(factor > 0, factor, np.nan)), np.stack([scaled, *by_shape], 1) / factor[
            :, None
        ]


def shape_bounds(law: str, t: NDArray) -> list[tuple[float, float]]:
    """Return the range of each parameter of the shape."""
    if law == "power":
        return [_P]
    tau = float(np.log(t[t > 0][0] / 1e3)), float(np.log(t[-1] * 1e3))
    return [tau] if law == "log" else [tau, _BETA]


def centred(values: NDArray) -> NDArray:
    """Return the values less their mean over the last axis: R0 is projected out of the fit."""
    return values - values.mean(axis=-1, keepdims=True)


def best_rises(
    law: str, t: NDArray, y: NDArray, shapes: NDArray, guess: float = 0.0, rounds: int = 6
) -> tuple[NDArray, NDArray, NDArray]:
    """Return parameters (g, 1 + s) with the best rise for shapes (g, s), sums of squares, and squared slopes."""
    columns = shapes.T[..., None]
    curve = unit_rise(law, t, *columns)[0] / unit_rise(law, t[-1], *columns)[0]
    rise = np.full((len(shapes), 1), guess)
    for _ in range(rounds):  # Gauss and Newton's steps
        slope = centred(curve / (1 + rise * curve))
        residual = centred(y - np.log1p(rise * curve))
        step = (residual * slope).sum(axis=1) / np.maximum((slope**2).sum(axis=1), 1e-12)
        rise = np.clip(rise + step[:, None], *RISE)
    slope = centred(curve / (1 + rise * curve))
    rss = (centred(y - np.log1p(rise * curve)) ** 2).sum(axis=1)
    return np.column_stack([rise, shapes]), rss, (slope**2).sum(axis=1)
