"""A noise profile and a training profile as figures."""

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
from solvable.overfitting.profile import ProfileNumbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


_GREY = "0.45"
# Points of one size are moved apart by so much of ln(n), or their error bars hide each other.
_APART = 0.03
# As much of the estimator as fits above an axes.
_LONGEST = 52
# Lines that run below a legend would strike it through.
_LEGEND: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.85}
_DASHED: dict[str, Any] = {"color": _GREY, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}


@house_style()
def draw_profile(
    profile: ProfileNumbers, noise_level: float | None = None, *, strict: bool = False
) -> "Figure":
    """Draw errors over the noise level beside Bayes, sampler and chance, and the sensitivity over the training size.

    Args:
        profile: as measured.
        noise_level: the level of the verdict in the title, as `ProfileNumbers.verdict` takes it.
        strict: as `ProfileNumbers.verdict` takes it.

    Raises:
        InputError: for a level that was not measured.
    """
    level = profile.judged_level(noise_level)
    figure, (left, right) = subplots(1, 2)
    _errors(left, profile)
    _sensitivities(right, profile, level, strict)
    return figure


def _errors(ax: "Axes", p: ProfileNumbers) -> None:
    percent = 100.0 if p.n_classes else 1.0
    # Sizes have an order, and so have their colours: the more data, the darker.
    colours = _shades(len(p.n_train))
    mean, error = p.test_error.to_numpy(), p.test_error_standard_error.to_numpy()
    levels = percent * p.noise_levels
    for i, n in enumerate(p.n_train):
        style = {"color": colours[i], "fmt": f"{MARKERS[i % len(MARKERS)]}-", "linewidth": 0.9}
        measured_points(ax, levels, percent * mean[i], percent * error[i], label=f"n = {n}", **style)
    if p.n_classes:
        ax.set(xlabel="wrong training labels (%)", ylabel="test error on clean labels (%)")
        reference = p.reference()
        for name, shown in {"bayes": "no error", "sampler": "1-NN", "chance": "chance"}.items():
            curve = percent * reference[name].to_numpy()
            ax.plot(levels, curve, **_DASHED)
            _name_at_the_end(ax, float(curve[-1]), shown)
        ax.set_ylim(bottom=-2.0)
    else:
        # Noise comes on top of what is lost without it: both lines start where the largest size does.
        ax.set(xlabel="noise (standard deviations of the target)", ylabel="test MSE on clean labels")
        fine = np.linspace(0.0, p.noise_levels[-1], 60)
        base, scale = float(mean[-1, 0]), float(p.data.attrs["noise_scale"])
        for curve, shown in ((np.full(len(fine), base), "ignored"), (base + (fine * scale) ** 2, "1-NN")):
            ax.plot(fine, curve, **_DASHED)
            _name_at_the_end(ax, float(curve[-1]), shown)
        ax.set_ylim(bottom=0.0)
    ax.set_xticks(levels if len(levels) < 8 else levels[:: len(levels) // 6 + 1])
    name = p.estimator
    ax.set_title(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
    ax.legend(loc="upper left", **_LEGEND)


def _name_at_the_end(ax: "Axes", height: float, name: str) -> None:
    """Name a reference line to the right of the axes, where nothing is in the way."""
    ax.annotate(
        name, (1, height), (3, 0), ax.get_yaxis_transform(), textcoords="offset points", va="center",
        color=_GREY, fontsize=7, annotation_clip=False,
    )  # fmt: skip


def _sensitivities(ax: "Axes", p: ProfileNumbers, level: float, strict: bool) -> None:
    s, error = p.sensitivity.to_numpy(), p.standard_error.to_numpy()
    middle = (s.shape[1] - 1) / 2
    for j, one in enumerate(p.noise_levels[1:]):
        name = f"{100 * one:.4g} % wrong" if p.n_classes else f"noise {one:g} sd"
        style = {"color": COLORS[j % len(COLORS)], "fmt": f"{MARKERS[j % len(MARKERS)]}-", "linewidth": 0.9}
        n = p.n_train * np.exp(_APART * (j - middle))
        measured_points(ax, n, s[:, j], error[:, j], label=name, **style)
    for height, name in ((0.0, "ignored"), (1.0, "1-NN")):
        ax.axhline(height, **_DASHED)
        _name_at_the_end(ax, height, name)
    shown = f"{100 * level:.4g} % wrong labels" if p.n_classes else f"noise of {level:g} sd"
    try:
        verdict = p.verdict(level, strict=strict)
    except InputError:
        title = "no verdict"
    else:
        title = f"{verdict.regime} (judged at {shown})"
        low, high = verdict.floor_interval
        if np.isfinite(verdict.floor):
            index = int(np.abs(p.noise_levels[1:] - level).argmin())
            band: dict[str, Any] = {
                "color": COLORS[index % len(COLORS)],
                "alpha": 0.12,
                "linewidth": 0,
                "zorder": 0,
            }
            # Without an upper end it reaches past the axes.
            top = high if np.isfinite(high) else 10.0 * max(1.0, float(np.nanmax(s)))
            ax.axhspan(low, top, label="floor at n → ∞, 95 %", **band)
    ax.set(xlabel="training samples", ylabel="sensitivity to noise", title=title)
    reached = s + np.nan_to_num(error)
    ax.set_ylim(
        min(-0.08, float(np.nanmin(s - np.nan_to_num(error))) - 0.05),
        max(1.12, 1.08 * float(np.nanmax(reached))),
    )
    log_axes(ax, "x")
    ax.legend(loc="best", **_LEGEND)


def _shades(n: int) -> list[tuple[float, ...]]:
    """Return blues from pale to dark, pale enough and dark enough to be told apart."""
    from matplotlib.colors import to_rgb

    blue = np.array(to_rgb(COLORS[1]))
    ends = 0.55 * np.ones(3) + 0.45 * blue, 0.35 * blue
    return [tuple(map(float, ends[0] + t * (ends[1] - ends[0]))) for t in (np.arange(n) / max(n - 1, 1))]


_MOST_COLUMNS = 3


@house_style()
def draw_training(data: xr.Dataset) -> "Figure":
    """Draw errors over epochs: a panel for each training size, a colour for each noise level.

    Lines are means over trials: whole of the test error, with a band of one standard error, dashed of the training
    error; a marker stands where half of the trainings had ended.

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
    # Beyond the last training's end everything is carried forward.
    ended = 1.5 * data.n_epochs.max().item()
    axes[0, 0].set_xlim(0.9 * data.epoch[0].item(), min(ended, 1.1 * data.epoch[-1].item()))
    log_axes(axes[0, 0], "x" if data.attrs["n_classes"] else "xy")
    figure.legend(handles=_handles(data), loc="outside upper left", ncols=4)
    return figure


def _panel(ax: "Axes", data: xr.Dataset) -> None:
    several = data.sizes["trial"] > 1
    for i, level in enumerate(data.noise_level.to_numpy()):
        one, color = data.sel(noise_level=level), COLORS[i % len(COLORS)]
        test, error = mean_and_error(one.test_error)
        band = (test - error, test + error) if several else ()
        prediction_line(ax, data.epoch, test, *band, color=color)
        prediction_line(
            ax, data.epoch, one.train_error.mean("trial"), color=color, linestyle="--", linewidth=0.9
        )
        end = float(np.clip(one.n_epochs.median(), data.epoch[0], data.epoch[-1]))
        height = np.interp(np.log(end), np.log(data.epoch), test)
        ax.plot(end, height, MARKERS[i % len(MARKERS)], color=color)


def _handles(data: xr.Dataset) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    lines = [
        Line2D(
            [], [], color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], label=_noise(level, data)
        )
        for i, level in enumerate(data.noise_level.to_numpy())
    ]
    return [
        *lines,
        Line2D([], [], color=_GREY, label="test, clean labels"),
        Line2D([], [], color=_GREY, linestyle="--", linewidth=0.9, label="training, noisy labels"),
    ]


def _noise(level: float, data: xr.Dataset) -> str:
    if level == 0:
        return "no noise"
    return f"{100 * level:.4g} % noise" if data.attrs["n_classes"] else f"noise of {readable(level)} sd"
