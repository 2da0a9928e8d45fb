r"""The study `junction-ageing`: forecasts of a resistance in a year, by the law that is true and by those that are not.

Each trial draws readings by the logarithmic and by the stretched exponential law, up to some last days, and fits all
laws of `solvable.junctions.ageing` to them.

- `ratio`: forecast of R over the true R at t = 0. Predicted: of the right law the truth; of another the forecast of its
  fit to readings without noise.
- `squared_error`: of the right law, $(\hat R / R - 1)^2$. Predicted: $\sigma^2 g^T (J^T J)^{-1} g$ with J the
  derivatives of ln R at the readings by the parameters, and g those at the forecast.
- `covered`: whether the 95 % interval of the right law covers the truth.

Source: set-up and predictions are our own; for the laws see `ageing`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions.ageing import LAWS, fit, resistance
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTHS = ("log", "stretched")
"""Laws by which readings are drawn."""

DAYS = (0.05, 0.2, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 28.0, 42.0, 60.0)
"""Days of the readings: those before the last day, and the last day."""

_LEVEL = 0.95


@dataclass(frozen=True)
class Parameters:
    """The true laws, the readings and the forecast."""

    log_amplitude: float = 0.02
    """Amplitude A of the logarithmic law."""

    log_tau_days: float = 0.1
    """Time tau of the logarithmic law (days)."""

    stretched_amplitude: float = 0.12
    """Amplitude D of the stretched exponential."""

    stretched_tau_days: float = 10.0
    """Time tau of the stretched exponential (days)."""

    stretched_beta: float = 0.5
    """Exponent beta of the stretched exponential."""

    R0_ohm: float = 7000.0
    """Resistance at t = 0 (ohm)."""

    noise: float = 0.002
    """Standard deviation of a reading of ln R."""

    last_days: tuple[float, ...] = (60.0, 120.0, 180.0)
    """Days of the last reading; up to day 60 there are twelve readings."""

    forecast_days: float = 365.0
    """Day of the forecast."""

    trials: int = 200
    """Number of sets of readings."""

    random_state: int = 0
    """Seed of the noise."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "log_amplitude": -0.02,
                "log_tau_days": 1e-3,
                "stretched_amplitude": -0.5,
                "stretched_tau_days": 1e-3,
                "stretched_beta": 0.1,
                "R0_ohm": 1,
                "noise": 1e-6,
                "last_days": 14,
                "forecast_days": 1,
                "trials": 1,
            },
            at_most={
                "log_amplitude": 1,
                "log_tau_days": 1e4,
                "stretched_amplitude": 10,
                "stretched_tau_days": 1e4,
                "stretched_beta": 1,
                "R0_ohm": 1e9,
                "noise": 0.1,
                "last_days": 3650,
                "forecast_days": 36500,
                "trials": 10_000,
            },
        )


def _truth(parameters: Parameters, law: str) -> dict[str, float]:
    """Return the parameters of a law that is true."""
    names = {"A": "log_amplitude", "D": "stretched_amplitude", "tau_days": f"{law}_tau_days"}
    values = {name: getattr(parameters, names.get(name, f"{law}_{name}")) for name in LAWS[law]}
    return {"R0_ohm": parameters.R0_ohm, **values}


def _days(last: float) -> NDArray:
    return np.array([*(day for day in DAYS if day < last), last])


def _ratio(t_days: NDArray, R_ohm: NDArray, law: str, parameters: Parameters) -> float:
    """Return the forecast by one law; NaN if it falls to zero."""
    try:
        return float(fit(t_days, R_ohm, law).best.resistance(parameters.forecast_days)) / parameters.R0_ohm
    except InputError:
        return np.nan


def _variance(law: str, truth: dict[str, float], t_days: NDArray, parameters: Parameters) -> float:
    """Return the variance of the forecast of ln R by the Fisher information, without what no reading determines."""
    days = np.append(t_days, parameters.forecast_days)
    columns = []
    for name, value in truth.items():
        # By ln tau and ln R0, which are positive; the others are of the order of 1.
        step = 1e-6 * (value if name.endswith(("_days", "_ohm")) else 1.0)
        sides = [resistance(law, days, truth | {name: value + s * step}) for s in (0.0, -1.0)]
        columns.append(np.log(sides[0] / sides[1]) / 1e-6)
    *at_readings, at_forecast = np.array(columns).T
    _, _, axes = np.linalg.svd(at_readings)
    lengths = np.linalg.norm(at_readings @ axes.T, axis=0)
    parts = np.divide(axes @ at_forecast, lengths, out=np.zeros_like(lengths), where=lengths > 1e-9)
    return float(parameters.noise**2 * (parts**2).sum())


def predict(parameters: Parameters, setting: None) -> xr.Dataset:
    """Return forecasts without noise, the variance of that of the right law, and the level of its interval."""
    shape = (len(TRUTHS), len(parameters.last_days))
    ratio, squared = np.empty((*shape, len(LAWS))), np.empty(shape)
    for i, truth in enumerate(TRUTHS):
        values = _truth(parameters, truth)
        exact = float(resistance(truth, parameters.forecast_days, values)) / parameters.R0_ohm
        for j, last in enumerate(parameters.last_days):
            t = _days(last)
            R = resistance(truth, t, values)
            ratio[i, j] = [exact if law == truth else _ratio(t, R, law, parameters) for law in LAWS]
            squared[i, j] = _variance(truth, values, t, parameters)
    return xr.Dataset(
        {
            "ratio": (("truth", "last_day", "law"), ratio),
            "squared_error": (("truth", "last_day"), squared),
            "covered": (("truth", "last_day"), np.full(shape, _LEVEL)),
        },
        _coordinates(parameters),
        {"forecast_days": parameters.forecast_days},
    )


def _coordinates(parameters: Parameters) -> dict[str, Any]:
    return {"truth": list(TRUTHS), "last_day": list(parameters.last_days), "law": list(LAWS)}


def trial(parameters: Parameters, setting: None, index: int) -> xr.Dataset:
    """Return the forecasts from one set of readings for each truth and last day, and which law AICc picks."""
    noise = np.random.default_rng((parameters.random_state, index)).standard_normal(len(DAYS) + 1)
    shape = (len(TRUTHS), len(parameters.last_days))
    ratio = np.full((*shape, len(LAWS)), np.nan)
    squared, covered, right = (np.full(shape, np.nan) for _ in range(3))
    for i, truth in enumerate(TRUTHS):
        values = _truth(parameters, truth)
        exact = float(resistance(truth, parameters.forecast_days, values))
        for j, last in enumerate(parameters.last_days):
            t = _days(last)
            found = fit(t, resistance(truth, t, values) * np.exp(parameters.noise * noise[: len(t)]))
            right[i, j] = found.law == truth
            for k, law in enumerate(LAWS):
                try:
                    ratio[i, j, k] = found.laws[law].resistance(parameters.forecast_days) / parameters.R0_ohm
                    if law == truth:
                        forecast = found.predict(parameters.forecast_days, _LEVEL, law)
                        covered[i, j] = forecast.low <= exact <= forecast.high
                        squared[i, j] = (forecast.mean / exact - 1) ** 2
                except InputError:  # the fitted law falls to zero before the forecast
                    continue
    return xr.Dataset(
        {
            "ratio": (("truth", "last_day", "law"), ratio),
            "squared_error": (("truth", "last_day"), squared),
            "covered": (("truth", "last_day"), covered),
            "right_pick": (("truth", "last_day"), right),
        },
        _coordinates(parameters),
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the error of the forecast by each law for both truths, and how often AICc picks the right law."""
    from solvable.lab.figure import COLORS, MARKERS, curves, house_style, legend_above, subplots

    day = prediction.attrs["forecast_days"]
    days = prediction.last_day.values
    figure, axes = subplots(1, 3, height=3.2)
    with house_style():
        for i, (ax, truth) in enumerate(zip(axes, TRUTHS, strict=False)):
            exact = prediction.ratio.sel(truth=truth, law=truth)
            errors = [
                xr.Dataset({"error": 100 * (one.ratio.sel(truth=truth) / exact - 1)})
                for one in (prediction, measurement)
            ]
            curves(ax, errors[0], errors[1], "error", x="last_day", hue="law", label="law: {}")
            ax.set(
                title=f"true law: {truth}",
                xlabel="last reading (day)",
                ylabel="" if i else f"error of the forecast\nfor day {readable(day)} (%)",
            )
        share = measurement.right_pick
        n = share.sizes["trial"]
        for i, truth in enumerate(TRUTHS):
            mean = share.sel(truth=truth).mean("trial")
            # Wilson's interval of one standard error, which stays between 0 and 1
            centre = (mean + 0.5 / n) / (1 + 1 / n)
            half = np.sqrt(mean * (1 - mean) / n + 0.25 / n**2) / (1 + 1 / n)
            bars = np.abs([mean - (centre - half), centre + half - mean])
            color = COLORS[list(LAWS).index(truth)]  # as in the other panels
            axes[2].errorbar(days, 100 * mean, 100 * bars, marker=MARKERS[i], color=color, linestyle=":")
        axes[2].set(
            title="true law picked",
            xlabel="last reading (day)",
            ylabel="share of sets of\nreadings, by AICc (%)",
            ylim=(0, 104),
        )
        if len(days) <= 6:
            for ax in axes:
                ax.set_xticks(days, [readable(float(one)) for one in days])
        legend_above(figure, axes[0], columns=5)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how often the true law is picked after the first and the last of the last days."""
    picks = measurement.right_pick.mean("trial")

    def shares(day: float) -> str:
        low, high = (
            100 * float(one) for one in (picks.sel(last_day=day).min(), picks.sel(last_day=day).max())
        )
        return f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"

    first, last = float(picks.last_day.min()), float(picks.last_day.max())
    text = (
        f"The true law of ageing is told in {shares(first)} of cases after {readable(first)} days of readings"
    )
    return f"{text}, in {shares(last)} after {readable(last)} days" if last > first else text


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the picks and on what a wrong pick costs, at the first and the last of the last days."""
    days = measurement.last_day.values
    picks = measurement.right_pick.mean("trial")

    def shares(day: float) -> str:
        one = picks.sel(last_day=day)
        return " and ".join(f"{percent(float(one.sel(truth=truth)))} ({truth})" for truth in TRUTHS)

    first, last = float(days.min()), float(days.max())
    text = f"With the last reading on day {readable(first)}, AICc picks the true law in {shares(first)} of the sets"
    text += f", and on day {readable(last)} in {shares(last)}." if last > first else "."
    by_law = measurement.ratio.sel(truth="stretched", last_day=first).mean("trial")
    exact = float(prediction.ratio.sel(truth="stretched", last_day=first, law="stretched"))
    wrong = float(by_law.sel(law="log")) / exact - 1
    noise = float(prediction.squared_error.sel(truth="log", last_day=first)) ** 0.5
    if np.isfinite(wrong):
        day = readable(prediction.attrs["forecast_days"])
        text += (
            f" Where the stretched exponential is true, a logarithmic fit up to day {readable(first)} errs by "
            f"{percent(wrong, 2, signed=True)} in R at day {day}; of the right logarithmic law the error by noise is "
            f"{percent(noise, 2)}."
        )
    return text


study = Study(
    name="junction-ageing",
    title="Resistance of a junction in a year, forecast from months of readings by the right law and by wrong ones",
    paper=(
        "A. Osman et al., Simplified Josephson-junction fabrication process for reproducibly high-performance "
        "superconducting qubits, Applied Physics Letters 118, 064002, 2021, arXiv:2011.05230"
    ),
    question="How long must a junction be watched before the law of its ageing, and so its forecast, is known?",
    Parameters=Parameters,
    tiny=Parameters(last_days=(60.0, 180.0), trials=2),
    compared=("ratio", "squared_error", "covered"),
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"resistance at the time $t$ since evaporation, with the relative rise $u$: $R(t) = R_0 [1 + u(t)]$",
        r"laws: $u = A \ln(1 + t / \tau)$ (logarithmic), $u = D (1 - e^{-(t / \tau)^\beta})$ (stretched exponential), "
        r"$u = c t^p$ (power)",
        r"variance of a forecast of $\ln R$ from readings with errors $\sigma$: $\sigma^2 g^\top (J^\top J)^{-1} g$ "
        r"with the derivatives $J$ and $g$ of $\ln R$ by the law's parameters, at the readings and at the forecast",
    ),
)
