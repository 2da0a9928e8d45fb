"""`transfer`: the best learning rate at several widths, its drift, and the loss at the one of the narrowest model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from solvable.checks import grid, whole, whole_grid
from solvable.errors import InputError
from solvable.lab import run_trials
from solvable.lab.text import readable, with_error
from solvable.lab.verdict import Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Drifts per doubling below the first mean that the learning rate transfers, above the second that it does not.
TRANSFERS, DRIFTS = 0.15, 0.35
# A best loss below this share of the one at the smallest learning rate is nearly 0.
_NEAR_ZERO = 0.02


@dataclass(frozen=True, eq=False)
class Transfer:
    """The result of `transfer`; `print` it, or `plot()`.

    Attributes:
        data: over the dims `width`, `lr`, `seed`: `loss` (infinity where training diverged); over `width`:
            `best_log2_lr`, `best_loss` (the least loss on the grid), `at_edge` (the best is the first or last of the
            grid), `transferred_loss` (at the learning rate of the grid nearest to the best of the narrowest model).
        drift: change of the best log2 learning rate per doubling of the width.
        drift_error: its standard error over seeds; NaN with one seed.
    """

    data: xr.Dataset
    drift: float
    drift_error: float

    def change(self) -> str:
        """Return the factor between the best learning rates of the narrowest and the widest model, such as `×0.25`."""
        best = self.data.best_log2_lr
        factor = f"×{readable(2 ** float(best[-1] - best[0]), 2)}"
        return f"{factor} (edge of grid)" if bool(self.data.at_edge[[0, -1]].any()) else factor

    def verdict(self) -> Verdict:
        """Return optima and drift in words, for a terminal or a notebook."""
        data = self.data
        rows = tuple(
            (
                str(int(width)),
                readable(2 ** float(one.best_log2_lr), 3)
                + ("  (edge of the grid)" if bool(one.at_edge) else ""),
                readable(float(one.best_loss), 3),
                readable(float(one.transferred_loss), 3) if np.isfinite(one.transferred_loss) else "diverges",
            )
            for width in data.width.values
            for one in [data.sel(width=width)]
        )
        drift = with_error(self.drift, self.drift_error)
        rate = f"{drift} octaves per doubling of the width"
        if bool(data.at_edge.any()):
            text = (
                f"An optimum lies at the edge of the grid, so the drift of {rate} is only a bound: widen lrs."
            )
        elif abs(self.drift) < TRANSFERS:
            text = f"The best learning rate transfers: it drifts by {rate}."
        elif abs(self.drift) > DRIFTS and not abs(self.drift) - 2 * self.drift_error < TRANSFERS:
            text = f"The best learning rate does not transfer: it drifts by {rate}."
        else:
            text = f"The best learning rate drifts by {rate}, which is unclear: add widths or seeds."
        heads = ("width", "best lr", "loss there", f"loss at the best lr of {int(data.width[0])}")
        seeds = data.sizes["seed"]
        notes = [
            f"{data.sizes['lr']} learning rates, {seeds} seed{'s' * (seeds > 1)}; medians over seeds of the log loss"
        ]
        if bool((data.best_loss < _NEAR_ZERO * data.loss.isel(lr=0).median("seed")).any()):
            notes.append(
                "losses fall to nearly 0, where optima are noisy by an octave: take fewer steps or harder data"
            )
        return Verdict(
            "Transfer of the learning rate", (Section("", text, Table(heads, rows)),), tuple(notes)
        )

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()

    def plot(self) -> "Figure":
        """Return a figure of the loss over the learning rate, one line for each width."""
        from solvable.lab.figure import house_style, subplots

        with house_style():
            figure, ax = subplots(1, 1, width=4.6, height=3.4)
            draw_losses(ax, self.data)
            ax.legend(title="width")
            return figure


def draw_losses(ax: Any, data: xr.Dataset) -> None:
    """Draw the median loss over the learning rate for each width, with stars at the optima."""
    from solvable.lab.figure import COLORS, MARKERS, log_axes

    for i, width in enumerate(data.width.values):
        one = data.sel(width=width)
        median = one.loss.median("seed").where(np.isfinite(one.loss.median("seed")))
        color = COLORS[i % len(COLORS)]
        ax.plot(one.lr, median, color=color, marker=MARKERS[i % len(MARKERS)], label=str(int(width)))
        ax.plot(2**one.best_log2_lr, one.best_loss, "*", color=color, markersize=9, markeredgecolor="white")
    ax.set(xlabel="learning rate", ylabel="training loss")
    log_axes(ax)


def transfer(
    make_model: Callable[[int], nn.Module],
    widths: Sequence[int],
    lrs: Sequence[float],
    train: Callable[[nn.Module, float], float],
    seeds: int = 4,
    *,
    n_jobs: int | None = None,
    quiet: bool = False,
) -> Transfer:
    """Measure the best learning rate at several widths, and whether it stays where it is.

    The optimum at a width is the vertex of the parabola through the least median log loss and its neighbours. Judge
    where the loss is between a tenth of its first value and the first value: runs that interpolate their data have an
    optimum that is noisy by an octave.

    Args:
        make_model: width -> model, initialised. It may use torch's global random numbers, which are seeded for each
            run.
        widths: two or more widths.
        lrs: learning rates, three or more, equally spaced in the logarithm.
        train: (model, lr) -> the loss to compare, above 0, such as the mean over the last steps; NaN or infinity if it
            diverges.
        seeds: number of runs at each width and learning rate.
        n_jobs: number of processes, -1 for one per core; by default all runs one after the other in this one.
        quiet: show no progress bar.

    Raises:
        InputError: for too few widths or learning rates, or where every run diverges.

    >>> def train(model, lr):  # a made-up loss, whose best learning rate halves when the width doubles
    ...     return 1 + float(torch.log2(torch.tensor(lr * model.in_features / 8))) ** 2
    >>> done = transfer(lambda width: nn.Linear(width, 1), [8, 16, 32], [0.125, 0.25, 0.5, 1, 2], train, seeds=1)
    >>> round(done.drift, 3)
    -1.0
    """
    sizes, rates = np.unique(whole_grid("widths", widths, at_least=1)), np.unique(grid("lrs", lrs, above=0))
    if len(sizes) < 2:
        raise InputError(
            f"widths are {sizes.tolist()}; expected two or more different ones, as in [64, 128, 256]"
        )
    if len(rates) < 3:
        raise InputError(
            f"lrs are {rates.tolist()}; expected three or more different ones, as in [0.1, 0.2, 0.4]"
        )
    seeds = whole("seeds", seeds, at_least=1)
    if not callable(train) or not callable(make_model):
        raise InputError("make_model and train must be functions: width -> model, and (model, lr) -> loss")
    calls = [(int(width), float(lr), seed) for width in sizes for lr in rates for seed in range(seeds)]
    losses = run_trials(
        _one_run,
        (make_model, train),
        calls,
        engine="processes",
        n_jobs=1 if n_jobs is None else n_jobs,
        what="runs",
        quiet=quiet,
    )
    return from_losses(
        sizes, rates, np.array(losses, dtype=np.float64).reshape(len(sizes), len(rates), seeds)
    )


def from_losses(widths: NDArray[Any], lrs: NDArray[np.float64], losses: NDArray[np.float64]) -> Transfer:
    """Return the optima and their drift for losses `(widths, lrs, seeds)`, infinite where training diverged."""
    if (losses <= 0).any():
        raise InputError(
            f"a loss is {losses[losses <= 0][0]:g}; expected numbers above 0, since parabolas are fitted to their "
            "logarithm; add a constant or take the exponential"
        )
    losses = np.where(np.isfinite(losses), losses, np.inf)
    if (bad := ~np.isfinite(losses).any(axis=(1, 2))).any():
        raise InputError(
            f"every run at width {widths[bad][0]} diverged; expected a grid with stable learning rates; lower lrs"
        )
    # A diverged run is as bad as the worst that did not.
    log_loss = np.log(np.minimum(losses, losses[np.isfinite(losses)].max()))
    log_lr, log_width = np.log2(lrs), np.log2(np.asarray(widths, dtype=float))
    median = np.median(log_loss, axis=2)
    best = [_vertex(log_lr, row) for row in median]
    optima = np.array([one[0] for one in best])
    drift = _slope(log_width, optima)
    seeds = losses.shape[2]
    each = [
        _slope(log_width, np.array([_vertex(log_lr, row)[0] for row in log_loss[:, :, k]]))
        for k in range(seeds)
    ]
    error = float(np.std(each, ddof=1) / seeds**0.5) if seeds > 1 else np.nan
    nearest = int(np.abs(log_lr - optima[0]).argmin())
    data = xr.Dataset(
        {
            "loss": (("width", "lr", "seed"), losses),
            "best_log2_lr": ("width", optima),
            "best_loss": ("width", np.exp([one[1] for one in best])),
            "at_edge": ("width", np.array([one[2] for one in best])),
            "transferred_loss": ("width", np.median(losses[:, nearest], axis=1)),
        },
        {"width": np.asarray(widths), "lr": lrs, "seed": np.arange(seeds)},
    )
    return Transfer(data, drift, error)


def _vertex(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, bool]:
    """Return the vertex of the parabola through the least value and its neighbours, that value, and if it is an end."""
    i = int(y.argmin())
    if i in (0, len(x) - 1):
        return float(x[i]), float(y[i]), True
    near = slice(i - 1, i + 2)
    a, b, _ = np.polyfit(x[near] - x[i], y[near], 2)
    # The least of three values lies within half a step of the vertex, unless they are equal.
    shift = 0.0 if a <= 0 else float(np.clip(-b / (2 * a), x[i - 1] - x[i], x[i + 1] - x[i]))
    # The loss is the measured one: beside a diverged run the parabola would go far below it.
    return float(x[i] + shift), float(y[i]), False


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _one_run(
    make_model: Callable[[int], nn.Module],
    train: Callable[[nn.Module, float], float],
    width: int,
    lr: float,
    seed: int,
) -> float:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000_003 * seed + width)
        loss = train(make_model(width), lr)
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise InputError(f"train returns {loss!r}; expected the final loss, a number") from None
