"""Figures of a noise profile and of a training profile."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from solvable.errors import InputError
from solvable.lab.compare import mean_and_error
from solvable.lab.figure import (
    COLORS,
    FULL,
    MARKERS,
    house_style,
    log_axes,
    measured_points,
    prediction_line,
    subplots,
)
from solvable.lab.text import readable
from solvable.overfitting.profile_numbers import ProfileNumbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_GREY = "0.45"
# Shift in ln(n) between points of the same size, so that their error bars do not hide each other.
_APART = 0.03
# Longest estimator name that fits above an axes.
_LONGEST = 52
_MOST_COLUMNS = 3
# Without a background, lines would run through the legend.
_LEGEND: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.85}
_DASHED: dict[str, Any] = {"color": _GREY, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}


@house_style()
def draw_profile(
    profile: ProfileNumbers, noise_level: float | None = None, *, strict: bool = False
) -> "Figure":
    """Draw errors over the noise level with Bayes, sampler and chance, and the sensitivity over the training size.

    Args:
        profile: measured profile.
        noise_level: level of the verdict in the title, as in `ProfileNumbers.verdict`.
        strict: as in `ProfileNumbers.verdict`.

    Raises:
        InputError: for a level that was not measured.
    """
    level = profile.judged_level(noise_level)
    figure, (left, right) = subplots(1, 2)
    _errors(left, profile)
    _sensitivities(right, profile, level, strict)
    return figure


def color_and_marker(i: int) -> tuple[str, str]:
    """Return colour and marker of the i-th curve; both repeat."""
    return COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]


def _errors(ax: "Axes", p: ProfileNumbers) -> None:
    percent = 100.0 if p.n_classes else 1.0
    mean, error = p.test_error.to_numpy(), p.test_error_standard_error.to_numpy()
    levels = percent * p.noise_levels
    # The larger the size, the darker its colour.
    for i, (n, color) in enumerate(zip(p.n_train, _shades(len(p.n_train)), strict=True)):
        style = {"color": color, "fmt": f"{color_and_marker(i)[1]}-", "linewidth": 0.9}
        measured_points(ax, levels, percent * mean[i], percent * error[i], label=f"n = {n}", **style)
    if p.n_classes:
        ax.set(xlabel="wrong training labels (%)", ylabel="test error on clean labels (%)")
        x, reference = levels, p.reference()
        names = {"no error": "bayes", "1-NN": "sampler", "chance": "chance"}
        curves = {label: percent * reference[name].to_numpy() for label, name in names.items()}
    else:
        # Noise adds to the error without it: both lines start at the error of the largest size.
        ax.set(xlabel="noise (standard deviations of the target)", ylabel="test MSE on clean labels")
        x = np.linspace(0.0, p.noise_levels[-1], 60)
        base, scale = float(mean[-1, 0]), float(p.data.attrs["noise_scale"])
        curves = {"ignored": np.full(len(x), base), "1-NN": base + (x * scale) ** 2}
    for label, curve in curves.items():
        ax.plot(x, curve, **_DASHED)
        _label_on_the_right(ax, float(curve[-1]), label)
    ax.set_ylim(bottom=-2.0 if p.n_classes else 0.0)
    ax.set_xticks(levels if len(levels) < 8 else levels[:: len(levels) // 6 + 1])
    name = p.estimator
    ax.set_title(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…", parse_math=False)
    ax.legend(loc="upper left", **_LEGEND)


def _label_on_the_right(ax: "Axes", height: float, name: str) -> None:
    """Write the name of a reference line to the right of the axes."""
    ax.annotate(
        name, (1, height), (3, 0), ax.get_yaxis_transform(), textcoords="offset points", va="center",
        color=_GREY, annotation_clip=False,
    )  # fmt: skip


def _sensitivities(ax: "Axes", p: ProfileNumbers, level: float, strict: bool) -> None:
    s, error = p.sensitivity.to_numpy(), p.standard_error.to_numpy()
    middle = (s.shape[1] - 1) / 2
    for j, one in enumerate(p.noise_levels[1:]):
        name = f"{100 * one:.4g} % wrong" if p.n_classes else f"noise {one:g} sd"
        color, marker = color_and_marker(j)
        n = p.n_train * np.exp(_APART * (j - middle))
        measured_points(ax, n, s[:, j], error[:, j], label=name, color=color, fmt=f"{marker}-", linewidth=0.9)
    for height, name in ((0.0, "ignored"), (1.0, "1-NN")):
        ax.axhline(height, **_DASHED)
        _label_on_the_right(ax, height, name)
    try:
        verdict = p.verdict(level, strict=strict)
    except InputError:
        title = "no verdict"
    else:
        noise = f"{100 * level:.4g} % wrong labels" if p.n_classes else f"noise of {level:g} sd"
        title = f"{verdict.regime} (judged at {noise})"
        low, high = verdict.floor_interval
        if np.isfinite(verdict.floor):
            color, _ = color_and_marker(int(np.abs(p.noise_levels[1:] - level).argmin()))
            # An interval without an upper end reaches past the axes.
            top = high if np.isfinite(high) else 10.0 * max(1.0, float(np.nanmax(s)))
            ax.axhspan(low, top, label="floor at n → ∞, 95 %", color=color, alpha=0.12, linewidth=0, zorder=0)
    ax.set(xlabel="training samples", ylabel="sensitivity to noise", title=title)
    bar = np.nan_to_num(error)
    lowest, highest = np.nanmin(s - bar, initial=0.0), np.nanmax(s + bar, initial=1.0)
    ax.set_ylim(min(-0.08, float(lowest) - 0.05), max(1.12, 1.08 * float(highest)))
    if not np.isfinite(s).any():  # nothing was learned
        ax.set_xlim(p.n_train[0] / 1.2, 1.2 * p.n_train[-1])
    log_axes(ax, "x")
    ax.legend(loc="best", **_LEGEND)


def _shades(n: int) -> list[tuple[float, ...]]:
    """Return n distinguishable blues, from pale to dark."""
    from matplotlib.colors import to_rgb

    blue = np.array(to_rgb(COLORS[1]))
    ends = 0.55 * np.ones(3) + 0.45 * blue, 0.35 * blue
    return [tuple(map(float, ends[0] + t * (ends[1] - ends[0]))) for t in (np.arange(n) / max(n - 1, 1))]


@house_style()
def draw_training(data: xr.Dataset) -> "Figure":
    """Draw errors over epochs: a panel for each training size, a colour for each noise level.

    Lines are means over trials: solid for the test error, with a band of one standard error, dashed for the training
    error; a marker shows the epoch by which half of the trainings had ended.

    Args:
        data: of a `TrainingProfile`.
    """
    n_panels = data.sizes["n_train"]
    columns = min(n_panels, _MOST_COLUMNS)
    rows = math.ceil(n_panels / columns)
    figure, axes = subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, height=0.3 + rows * (2.0 if columns > 1 else 3.6),
        width=FULL if columns > 1 else 0.75 * FULL,
    )  # fmt: skip
    for i, ax in enumerate(axes.flat):
        if i >= n_panels:
            ax.remove()
            continue
        _panel(ax, data.isel(n_train=i))
        ax.set_title(f"{data.n_train[i].item()} training samples")
        if i + columns >= n_panels:
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("error rate" if data.attrs["n_classes"] else "squared error")
    # After the end of the last training, values are carried forward.
    ended = 1.5 * data.n_epochs.max().item()
    axes[0, 0].set_xlim(0.9 * data.epoch[0].item(), min(ended, 1.1 * data.epoch[-1].item()))
    log_axes(axes[0, 0], "x" if data.attrs["n_classes"] else "xy")
    figure.legend(handles=_handles(data), loc="outside upper left", ncols=4)
    return figure


def _panel(ax: "Axes", data: xr.Dataset) -> None:
    several = data.sizes["trial"] > 1
    for i, level in enumerate(data.noise_level.to_numpy()):
        one, (color, marker) = data.sel(noise_level=level), color_and_marker(i)
        test, error = mean_and_error(one.test_error)
        band = (test - error, test + error) if several else ()
        prediction_line(ax, data.epoch, test, *band, color=color)
        prediction_line(
            ax, data.epoch, one.train_error.mean("trial"), color=color, linestyle="--", linewidth=0.9
        )
        end = float(np.clip(one.n_epochs.median(), data.epoch[0], data.epoch[-1]))
        height = np.interp(np.log(end), np.log(data.epoch), test)
        ax.plot(end, height, marker, color=color)


def _handles(data: xr.Dataset) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    lines = []
    for i, level in enumerate(data.noise_level.to_numpy()):
        color, marker = color_and_marker(i)
        lines.append(Line2D([], [], color=color, marker=marker, label=_noise(level, data)))
    return [
        *lines,
        Line2D([], [], color=_GREY, label="test, clean labels"),
        Line2D([], [], color=_GREY, linestyle="--", linewidth=0.9, label="training, noisy labels"),
    ]


def _noise(level: float, data: xr.Dataset) -> str:
    if level == 0:
        return "no noise"
    return f"{100 * level:.4g} % noise" if data.attrs["n_classes"] else f"noise of {readable(level)} sd"
