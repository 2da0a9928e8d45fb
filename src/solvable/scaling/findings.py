"""What a `Monitor` recorded, in words: layers that are off, the table, the figure. Any of its datasets will do."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.scaling.layout import MATRICES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = {
    "weight_norm": "scaled spectral norm of the weights, √(fan in / fan out) times the largest singular value",
    "weight_factor": "that norm over the one that init_ gives",
    "update_norm": "scaled spectral norm of one step's change of the weights",
    "update_factor": "that norm over the typical matrix's, the median of all matrices",
    "relative_change": "spectral norm of the change over that of the weights",
    "relative_frobenius": "Frobenius norm of the change over that of the weights",
    "stable_rank": "squared Frobenius over squared spectral norm of the change",
    "feature_norm": "RMS of the layer's output",
    "feature_change": "RMS of ΔW times the layer's input, over that of W times its input",
    "weight_alignment": "RMS of W times its input, over the largest that its norm allows",
    "update_alignment": "RMS of ΔW times its input, over the largest that its norm allows",
    "lr": "learning rate of the parameter's group",
}
"""What a `Monitor` records, for each layer and step."""

LOW, HIGH = 0.2, 3.0
"""Factors between these are common in models that train well."""


@dataclass(frozen=True)
class Violation:
    """A layer that is off.

    Attributes:
        name: the layer's parameter.
        quantity: `weights` or `updates`.
        factor: by what factor; NaN for weights that are not finite.
        sentence: what is wrong and what to change.
    """

    name: str
    quantity: str
    factor: float
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def table_of(data: xr.Dataset, step: int | None = None) -> pd.DataFrame:
    """Return one row for each layer: the weights at the first sample, and medians of all else; or values at one
    step."""
    if step is not None and step not in data.step:
        sampled = ", ".join(map(str, data.step.values[:8]))
        raise InputError(f"step {step} was not sampled; expected one of {sampled}, ...")
    if step is not None:
        one = data.sel(step=step, drop=True)
    else:
        # Weights are compared with an initialisation, and grow in training.
        first = data[["weight_norm", "weight_factor"]].isel(step=0, drop=True)
        one = _over_steps(data).assign(first)
    frame: Any = one.to_dataframe()
    return frame[["kind", *QUANTITIES]]


def violations_in(data: xr.Dataset, lo: float, hi: float) -> list[Violation]:
    """Return the layers whose factors lie outside (lo, hi), the worst first."""
    lo, hi = one_number("lo", lo, above=0), one_number("hi", hi, above=0)
    found = []
    for row in table_of(data).reset_index().to_dict("records"):
        name = str(row["layer"])
        layer = data.sel(layer=name)
        if bool(np.isnan(layer.update_norm[-1])) and not bool(np.isnan(layer.weight_norm[-1])):
            sentence = f"{name}: the update is not finite; lower the learning rate, or check inputs and loss"
            found.append(Violation(name, "updates", np.nan, sentence))
            continue
        if bool(np.isnan(layer.weight_norm[-1])):
            sentence = (
                f"{name}: the weights are not finite; lower the learning rate, or check inputs and loss"
            )
            found.append(Violation(name, "weights", np.nan, sentence))
            continue
        if str(layer.kind.values) not in MATRICES:
            continue
        factor = float(row["weight_factor"])
        # Weights that start at 0 have no size to be compared with.
        if np.isfinite(factor) and not lo < factor < hi and float(layer.weight_norm[0]) > 0:
            norm = float(row["weight_norm"])
            sentence = (
                f"{name}: weights {_times(factor)} than init_ makes them (scaled norm {readable(norm, 3)}, expected "
                f"{readable(norm / factor, 3)}); call init_(model), or multiply them by {readable(1 / factor, 2)}"
            )
            found.append(Violation(name, "weights", factor, sentence))
        factor = float(row["update_factor"])
        if np.isfinite(factor) and not lo < factor < hi:
            sentence = _of_update(name, factor, float(layer.lr_multiplier), float(layer.asked_multiplier))
            found.append(Violation(name, "updates", factor, sentence))
    return sorted(found, key=lambda one: -abs(np.log(one.factor)) if np.isfinite(one.factor) else -np.inf)


def verdict_of(data: xr.Dataset) -> Verdict:
    """Return what to change, in words, and the table of matrices."""
    table, found = table_of(data), violations_in(data, LOW, HIGH)
    text = "" if found else "Weights and updates of these matrices are of the size that the condition asks."
    columns = {
        "W": "weight_norm",
        "W factor": "weight_factor",
        "ΔW": "update_norm",
        "ΔW factor": "update_factor",
        "ΔW/W": "relative_change",
        "stable rank": "stable_rank",
        "h": "feature_norm",
        "Δh/h": "feature_change",
        "alignment": "update_alignment",
    }
    names = matrices_in(data)
    rows = [(name, *(readable(float(table.loc[name, one]), 3) for one in columns.values())) for name in names]
    n_steps = data.sizes["step"]
    notes = [
        "W and ΔW are scaled norms, √(fan in / fan out) times the largest singular value; factors compare W with what "
        "init_ gives and ΔW with the typical matrix; at one width nothing else can be judged",
        f"W at step {int(data.step[0])}; else medians over {n_steps} sampled steps, up to step {int(data.step[-1])}"
        if n_steps > 1
        else f"one sampled step, {int(data.step[0])}",
    ]
    if data.attrs["missing"]:
        notes.append(f"trained, but in none of the optimizers: {data.attrs['missing']}")
    finite = [name for name in names if np.isfinite(table.loc[name, "weight_norm"])]
    if hidden := [name for name in finite if np.isnan(table.loc[name, "feature_norm"])]:
        notes.append(
            f"features not seen: {_some(hidden)} (a module whose forward was not called, or that was compiled before "
            "the Monitor started)"
        )
    if still := [name for name in names if float(table.loc[name, "update_norm"]) == 0]:
        notes.append(f"no update: {_some(still)}")
    points = tuple(map(str, found))
    return Verdict(
        f"Layers of {data.attrs['model']}",
        (
            Section("What to change" if found else "", text, None, points),
            Section("", "", Table(("layer", *columns), tuple(rows))),
        ),
        tuple(notes),
    )


def figure_of(data: xr.Dataset) -> "Figure":
    """Return a figure of both factors, the features' norms and their changes, over the steps."""
    from solvable.lab.figure import COLORS, house_style, log_axes, subplots

    with house_style():
        names = matrices_in(data)
        figure, axes = subplots(2, 2, height=5.2)
        panels = {
            "weight_factor": "weights: factor of what init_ gives",
            "update_factor": "update: factor of the typical matrix",
            "feature_norm": "RMS of features",
            "feature_change": "relative change of features in a step",
        }
        marker = "." if data.sizes["step"] < 3 else ""
        for ax, (quantity, label) in zip(axes.flat, panels.items(), strict=True):
            for i, name in enumerate(names):
                style = ("-", "--", ":")[i // len(COLORS) % 3]
                values = data[quantity].sel(layer=name)
                ax.plot(data.step, values, style, color=COLORS[i % len(COLORS)], label=name, marker=marker)
            ax.set(xlabel="step", ylabel=label)
            if bool((data[quantity].sel(layer=names) > 0).any()):
                log_axes(ax, "y")
        for ax in axes[0]:
            ax.axhspan(LOW, HIGH, color="0.93", zorder=0)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure


def matrices_in(data: xr.Dataset) -> list[str]:
    """Return the names of the layers that are matrices."""
    return [
        str(name) for name, kind in zip(data.layer.values, data.kind.values, strict=True) if kind in MATRICES
    ]


def _of_update(name: str, factor: float, actual: float, asked: float) -> str:
    if not 1 / 1.5 < actual / asked < 1.5:
        return (
            f"{name}: update {_times(factor)} than the typical layer's; its lr multiplier should be "
            f"{readable(asked, 3)}, is {readable(actual, 3)} relative to the typical matrix; take the groups of "
            "param_groups(model, ...)"
        )
    return (
        f"{name}: update {_times(factor)} than the typical layer's, though its learning rate follows the rule; look at "
        "the gradient: a wrong initialisation, a saturated activation, or a layer that few inputs reach"
    )


def _times(factor: float) -> str:
    return f"{readable(factor, 3)} times larger" if factor > 1 else f"{readable(1 / factor, 3)} times smaller"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + " and others" * (len(names) > 5)


def _over_steps(data: xr.Dataset) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return data.median("step", skipna=True, keep_attrs=True)
