"""`coordinate_check`: how fast features move at several widths, as exponents with errors and a verdict for each
layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from solvable.checks import whole, whole_grid
from solvable.errors import InputError
from solvable.lab import run_trials
from solvable.lab.text import readable, with_error
from solvable.lab.verdict import Section, Table, Verdict
from solvable.networks.minibatch import Loss
from solvable.scaling.description import Rules
from solvable.scaling.features import as_tensors, one_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PASSES, FAILS = 0.2, 0.35
"""An exponent below the first in magnitude passes, above the second it fails; between, add widths."""
READOUT_PASSES, READOUT_FAILS = 0.35, 0.5
"""The same for the readout, which has corrections of order 1/√width."""
# The output of a readout at initialisation has the exponent -1/2; below this one it counts as falling.
_FALLS = -0.25


@dataclass(frozen=True, eq=False)
class CoordinateCheck:
    """The result of `coordinate_check`; `print` it, or `plot()`.

    Attributes:
        data: `change` (RMS of a layer's output after training minus at the start, on the first batch) and `initial`
            (RMS at the start) over the dims `layer`, `width`, `seed`.
        table: one row for each layer: `layer`, `is_readout`, `exponent` of the change, `standard_error`, `predicted`,
            `verdict` (passes, fails, unclear, no change), `shrinks` (unclear since its output at the
            start falls with width).
        steps: number of steps trained.
    """

    data: xr.Dataset
    table: pd.DataFrame
    steps: int

    @property
    def passed(self) -> bool:
        """Whether some layers change, and none of them fails or is unclear."""
        verdicts = set(self.table["verdict"])
        return "passes" in verdicts and not verdicts & {"fails", "unclear"}

    def verdict(self) -> Verdict:
        """Return the exponents in words, for a terminal or a notebook."""
        rows = tuple(
            (
                row["layer"],
                with_error(row["exponent"], row["standard_error"]),
                readable(row["predicted"], 2),
                row["verdict"],
            )
            for row in self.table.to_dict("records")
        )
        heads = ("layer", "exponent", "predicted", "verdict")
        return Verdict(
            "Coordinate check", (Section("", self._summary(), Table(heads, rows)),), tuple(self._notes())
        )

    def _summary(self) -> str:
        failing: Any = self.table[self.table["verdict"] == "fails"]
        if set(self.table["verdict"]) == {"no change"}:
            return "No layer changed: look at the learning rate, and whether the optimizer has this model's parameters."
        if self.passed:
            return "All layers change by the same amount at every width, so learning rates transfer."
        if not len(failing):
            return "No layer fails, but some are unclear: add wider models or more steps."
        worst = failing.loc[(failing["exponent"] - failing["predicted"]).abs().idxmax()]
        count = "1 layer changes" if len(failing) == 1 else f"{len(failing)} layers change"
        return (
            f"{count} with width (of {len(self.table)}), {'' if len(failing) == 1 else 'the most '}{worst['layer']}, "
            f"as width^{readable(float(worst['exponent']), 2)}. The learning rate of a narrow model will not suit a "
            "wide one; "
            + (
                "audit(model, optimizer) and a Monitor say more."
                if self.data.attrs["scaled"]
                else "take init_ and param_groups."
            )
        )

    def _notes(self) -> list[str]:
        widths, seeds = self.data.width.values, self.data.sizes["seed"]
        notes = [
            f"widths {', '.join(map(str, widths))}, {self.steps} step{'s' * (self.steps > 1)}, "
            f"{seeds} seed{'s' * (seeds > 1)}; exponents of RMS(h after - h before)",
            "at these widths corrections of order 1/√width make a right readout's exponent as low as "
            f"-{READOUT_PASSES:g} (about -0.15 from 256 on), so a readout passes within {READOUT_PASSES:g} and other "
            f"layers within {PASSES:g}",
        ]
        if shrinking := self.table.loc[self.table["shrinks"], "layer"].tolist():
            names = ", ".join(shrinking[:3])
            notes.append(
                f"unclear rather than failed: {names}, whose output at the start falls with width, as it should, and "
                "with it the first gradients; init_(readout='zero') or a larger learning rate takes that away"
            )
        if self.data.attrs["equal_shapes"]:
            notes.append(
                "the models have the same shapes at every width: make_model does not use its argument"
            )
        if seeds == 1 or widths[-1] < 4 * widths[0]:
            notes.append("one seed, or widths within a factor of 4: the exponents are rough")
        if widths.min() < 64:
            notes.append("widths below 64 are too narrow for exponents to mean much")
        attention = any(
            word in str(name).lower() for name in self.data.layer.values for word in ("att", "qkv")
        )
        if self.steps < 50 and attention:
            notes.append("attention with 1/d logits needs about 100 steps before its exponents settle")
        return notes

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()

    def plot(self) -> "Figure":
        """Return a figure of the changes over the width, with the fitted lines."""
        from solvable.lab.compare import mean_and_error
        from solvable.lab.figure import COLORS, MARKERS, house_style, log_axes, measured_points, subplots

        with house_style():
            figure, ax = subplots(1, 1, width=5.0, height=3.6)
            widths = self.data.width.values
            for i, row in enumerate(self.table.to_dict("records")):
                one = self.data.change.sel(layer=row["layer"]).rename(seed="trial")
                mean, error = mean_and_error(one)
                color, label = COLORS[i % len(COLORS)], f"{row['layer']}: {row['exponent']:+.2f}"
                measured_points(
                    ax, widths, mean, error, color=color, fmt=MARKERS[i % len(MARKERS)], label=label
                )
                if np.isfinite(row["exponent"]):
                    middle = np.exp(np.log(widths).mean())
                    level = np.exp(np.log(one).mean())
                    ax.plot(widths, float(level) * (widths / middle) ** row["exponent"], color=color)
            ax.set(xlabel="width", ylabel=f"RMS change of the output after {self.steps} steps")
            if bool((self.data.change > 0).any()):
                log_axes(ax)
            figure.legend(*ax.get_legend_handles_labels(), loc="outside right center")
            return figure


def coordinate_check(
    make_model: Callable[[int], nn.Module],
    widths: Sequence[int],
    make_optimizer: Callable[[nn.Module], Any],
    batches: Sequence[tuple[Any, Any]],
    steps: int = 3,
    seeds: int = 3,
    *,
    loss: str | Loss | None = None,
    rules: Rules | None = None,
    predicted: Mapping[str, float] | None = None,
    n_jobs: int | None = None,
    quiet: bool = False,
) -> CoordinateCheck:
    r"""Train a model for some steps at several widths and fit how the change of each layer's output depends on width.

    In a model that obeys the spectral condition, the RMS of $\Delta h_l$ is the same at every width: exponent 0. An
    exponent of 1/2 means that doubling the width changes the features 1.4 times as much, and that the learning rate has
    to fall.

    Args:
        make_model: width -> model, initialised. It may use torch's global random numbers, which are seeded for each
            run.
        widths: two or more widths, from 64 (better 256) on, over a factor of 4 or more.
        make_optimizer: model -> its optimizer, or a list of several.
        batches: pairs (inputs, targets) of tensors, taken in turn; features are compared on the first.
        steps: number of steps; models with attention need about 100.
        seeds: number of runs at each width.
        loss: as for `networks.train_batches`.
        rules: as for `describe`.
        predicted: layer -> exponent expected; by default 0 for each.
        n_jobs: number of processes, -1 for one per core; by default all runs one after the other in this one.
        quiet: show no progress bar.

    Raises:
        InputError: for fewer than two widths, models whose layers differ between widths, a diverging run, and an
            optimizer with eps = 0.

    Example: the default parametrization of torch, of which the hidden and output layers fail.

    >>> import torch
    >>> def make_model(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))
    >>> X, y = torch.randn(64, 8), torch.randint(4, (64,))
    >>> def make_optimizer(model):
    ...     return torch.optim.Adam(model.parameters(), 0.01)
    >>> check = coordinate_check(make_model, [64, 256], make_optimizer, [(X, y)], seeds=2)
    >>> check.table["layer"].tolist(), check.passed
    (['0', '2'], False)
    """
    sizes = whole_grid("widths", widths, at_least=1)
    if len(np.unique(sizes)) < 2:
        raise InputError(
            f"widths are {sizes.tolist()}; expected two or more different ones, as in [64, 256, 1024]"
        )
    sizes = np.unique(sizes)
    steps, seeds = whole("steps", steps, at_least=1), whole("seeds", seeds, at_least=1)
    pairs = isinstance(batches, Sequence) and all(
        isinstance(one, Sequence) and len(one) == 2 for one in batches
    )
    if not pairs or not len(batches):
        raise InputError("batches must be a list of pairs (inputs, targets), at least one")
    batches = [(as_tensors(x), as_tensors(y)) for x, y in batches]
    calls = [(int(width), seed) for width in sizes for seed in range(seeds)]
    runs = run_trials(
        one_run,
        (make_model, make_optimizer, tuple(batches), steps, loss, rules),
        calls,
        engine="processes",
        n_jobs=1 if n_jobs is None else n_jobs,
        what="runs",
        quiet=quiet,
    )
    layers = list(runs[0][0])
    for (width, _), (changes, *_) in zip(calls, runs, strict=True):
        if list(changes) != layers:
            raise InputError(
                f"the model has layers {layers[:6]} at width {sizes[0]} and others at width {width}; expected the same "
                "names"
            )
    if unknown := sorted(set(predicted or {}) - set(layers)):
        raise InputError(
            f"predicted has {unknown[0]!r}; expected layers of the model: {', '.join(layers[:8])}"
        )
    shape = (len(sizes), seeds, len(layers))
    dims = ("width", "seed", "layer")
    data = xr.Dataset(
        {
            "change": (dims, np.array([list(run[0].values()) for run in runs]).reshape(shape)),
            "initial": (dims, np.array([list(run[1].values()) for run in runs]).reshape(shape)),
        },
        {"width": sizes, "seed": np.arange(seeds), "layer": layers},
        {"scaled": int(runs[0][4]), "equal_shapes": int(len({run[3] for run in runs}) == 1)},
    ).transpose("layer", "width", "seed")
    return CoordinateCheck(data, _table(data, runs[0][2], dict(predicted or {})), steps)


def _table(data: xr.Dataset, readout: str | None, predicted: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for layer in data.layer.values.tolist():
        changes = data.change.sel(layer=layer).values
        exponent, error = (np.nan, np.nan) if not (changes > 0).all() else slope(data.width.values, changes)
        expected, is_readout = float(predicted.get(layer, 0.0)), layer == readout
        verdict = judge(exponent - expected, is_readout)
        # At the start the output of a right readout falls as 1/√width, and with it a part of the first gradients.
        initial = data.initial.sel(layer=layer).values
        falls = bool((initial > 0).all()) and slope(data.width.values, initial)[0] < _FALLS
        shrinks = verdict == "fails" and exponent < expected and falls
        rows.append(
            {
                "layer": layer,
                "is_readout": is_readout,
                "exponent": exponent,
                "standard_error": error,
                "predicted": expected,
                "verdict": "unclear" if shrinks else verdict,
                "shrinks": shrinks,
            }
        )
    return pd.DataFrame(rows)


def judge(deviation: float, is_readout: bool) -> str:
    """Return what an exponent's deviation from the predicted one means: passes, unclear, fails, or no change."""
    passes, fails = (READOUT_PASSES, READOUT_FAILS) if is_readout else (PASSES, FAILS)
    if not np.isfinite(deviation):
        return "no change"
    return "passes" if abs(deviation) < passes else "fails" if abs(deviation) > fails else "unclear"


def slope(widths: NDArray[Any], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the exponent of width, and its standard error: over seeds, or with one seed of the straight line's fit.

    Args:
        widths: `(widths,)`.
        values: `(widths, seeds)`, positive.

    >>> exponent, error = slope(np.array([64, 256]), np.array([[1.0, 1.0], [2.0, 2.0]]))
    >>> round(exponent, 3), error
    (0.5, 0.0)
    """
    x = np.log(np.asarray(widths, dtype=float))
    x = x - x.mean()
    slopes = x @ np.log(values) / (x @ x)
    if values.shape[1] > 1:
        return float(slopes.mean()), float(slopes.std(ddof=1) / len(slopes) ** 0.5)
    if len(x) < 3:
        return float(slopes[0]), np.nan
    y = np.log(values[:, 0])
    residual = y - y.mean() - slopes[0] * x
    return float(slopes[0]), float(np.sqrt(residual @ residual / (len(x) - 2) / (x @ x)))
