"""What the wing's page shows (`page.py`), without the page: a surface at one setting, as two charts and a few words."""

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from solvable import datasets
from solvable.datasets.encoding import Missing
from solvable.errors import InputError
from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.regression.diagnose import Diagnosis, diagnose_dataset
from solvable.regression.diagnosis import MOST_SAMPLES
from solvable.regression.surface import TRUSTED_FACTOR, LearningSurface

if TYPE_CHECKING:
    import xarray as xr

DATA = ("digits", "wine", "breast-cancer", "diabetes")
KERNELS = ("laplace", "gaussian", "matern32", "matern52", "linear", "arc-cosine", "relu-ntk")
# One eigendecomposition of this size takes a third of a second: nobody waits for the page.
SAMPLE = 600
# Extra label noise, in parts of what the labels vary.
NOISE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
_FEWEST = 32
# How messages name an option of the command line, and its like in Python.
_OPTION = re.compile(r"--(drop|missing) .+? \(in Python: [^)]*\)")
# A log error on the sample's own halves from which on the page says so.
_WARN_ABOVE = 0.25
_POINTS = 60
_SMOOTH = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


@lru_cache(maxsize=32)
def named_surface(name: str, kernel: str) -> LearningSurface:
    """Return the surface of a random sample of a data set; every visitor of the page shares it.

    Args:
        name: one of `DATA`.
        kernel: one of `KERNELS`.
    """
    data = datasets.load(name)
    order = np.random.default_rng(0).permutation(len(data.X))[:SAMPLE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that of repeated points one is kept
        labels = data.y if data.labels is None else data.labels
        return LearningSurface.from_kernel(kernel, data.X[order], labels[order])


def diagnose_upload(
    name: str,
    contents: bytes,
    target: str | None = None,
    missing: Missing = None,
    drop: Sequence[str] = (),
    watch: Callable[[str], None] = lambda stage: None,
) -> Diagnosis:
    """Diagnose a file that was dropped on the page; nothing of it stays on the disk.

    Args:
        name: what the file is called; its ending says how to read it.
        contents: its bytes.
        target: the column to predict; by default one named target, label or y, else the last.
        missing: what to do with missing values, as in `datasets.load`.
        drop: columns to leave out.
        watch: is told each stage of the work before it begins.

    Raises:
        InputError: what `datasets.load` says of the file, under the name and with the fields that the page has.
    """
    watch("reading the file")
    with tempfile.TemporaryDirectory(prefix="solvable-upload-") as folder:
        path = Path(folder) / f"file{Path(name).suffix.lower()}"
        path.write_bytes(contents)
        try:
            data = datasets.load(path, target, missing=missing, drop=drop, rows=MOST_SAMPLES, quiet=True)
        except InputError as error:
            raise InputError(_OPTION.sub(_field, str(error).replace(str(path), name))) from None
    notes = tuple(note.replace(str(path), name) for note in data.notes)
    return diagnose_dataset(replace(data, name=name, notes=notes), watch=watch)


def _field(option: re.Match[str]) -> str:
    """Return how the page words an option of the command line.

    >>> _OPTION.sub(_field, "drop it with --drop 'my id' (in Python: drop=['my id'])")
    'drop it with “Columns to leave out”'
    """
    return "“Columns to leave out”" if option[1] == "drop" else "“Missing values”"


@dataclass(frozen=True, eq=False)
class Steps:
    """The values that each slider of the page can take, and where it starts.

    Attributes:
        n_train, n_features, ridge: ascending; the last number of features is `inf`, the kernel itself; the first
            ridge is 0.
        start: the value of each that is shown first.
        variance: error of always answering the mean, in which label noise is counted.
        errors: ends of the charts' axis: every setting's curve can be seen on it, the peak at n = k excepted, so that
            it can stay where it is while a slider moves.
        error_label: what it is labelled.
    """

    n_train: tuple[float, ...]
    n_features: tuple[float, ...]
    ridge: tuple[float, ...]
    start: tuple[float, float, float]
    variance: float
    errors: tuple[float, float]
    error_label: str

    @classmethod
    def of(cls, surface: LearningSurface) -> "Steps":
        """Return steps that fit a surface: sizes up to where it is trusted, ridges around the kernel's diagonal."""
        most = float(TRUSTED_FACTOR * surface.n_samples)
        sizes = tuple(sorted({_FEWEST, surface.n_samples, most, *_smooth(_FEWEST, most)}))
        # The sum of the eigenvalues is the kernel's mean diagonal: next to it a ridge is small or large.
        unit = 10.0 ** np.round(surface.curves.log_trace / np.log(10.0))
        ridge = (0.0, *_smooth(1e-3 * unit, 1e3 * unit))
        variance = mean_answer_error(surface)
        least, highest = float(surface.optimal_ridge(most).test_mse), 2.5 * variance
        return cls(
            sizes,
            (*sizes, np.inf),
            ridge,
            (surface.n_samples, np.inf, float(f"{0.1 * unit:g}")),
            variance,
            (float(np.clip(0.7 * least, 1e-4 * highest, 0.3 * highest)), highest),
            f"test error, {'summed over classes' if surface.classes else 'in target units squared'}",
        )


def _smooth(low: float, high: float) -> list[float]:
    """Return numbers as people choose them, 1, 1.25, 1.5, 2 and so on, from `low` to `high`."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [float(f"{step:g}e{power}") for power in powers for step in _SMOOTH]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


@dataclass(frozen=True)
class View:
    """What the page shows of one setting: two charts as SVG, and facts, each a name, a number and a remark."""

    learning_curve: str
    ridge_curve: str
    facts: tuple[tuple[str, str, str], ...]
    warning: str


def view(surface: LearningSurface, steps: Steps, n_train: float, n_features: float, ridge: float) -> View:
    """Return charts and numbers at one setting.

    Args:
        surface: with the label noise that was chosen.
        steps: of the surface without it; they choose the axes.
        n_train: training samples.
        n_features: random features, `inf` for the kernel itself.
        ridge: added to the kernel matrix undivided.

    >>> surface = named_surface("wine", "laplace")
    >>> seen = view(surface, Steps.of(surface), n_train=100, n_features=np.inf, ridge=0.1)
    >>> [name for name, *_ in seen.facts], seen.learning_curve[:4]
    (['test error', 'wrong class', 'training error', 'best ridge'], '<svg')
    """
    sizes = np.union1d(
        np.geomspace(steps.n_train[0], steps.n_train[-1], _POINTS), [surface.n_samples, n_train]
    )
    ridges = np.union1d(np.geomspace(steps.ridge[1], steps.ridge[-1], _POINTS), [0.0, ridge])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the page says them
        optimum = float(surface.optimal_ridge(n_train, n_features))
        by_size = surface.predict(sizes, n_features, ridge).squeeze(["n_features", "ridge"])
        by_ridge = surface.predict(n_train, n_features, np.union1d(ridges, optimum))
    by_ridge = by_ridge.squeeze(["n_train", "n_features"])
    # For random features the curve is corrected after the optimum was found: the lowest point is the one that is seen.
    best = by_ridge.isel(ridge=int(np.argmin(by_ridge.test_mse.to_numpy())))
    here = by_size.sel(n_train=n_train)
    return View(
        _learning_curve(by_size, here, steps),
        _ridge_curve(by_ridge, here, best, steps),
        _facts(here, best, mean_answer_error(surface)),
        _warning(surface, n_train, n_features, ridge),
    )


def mean_answer_error(surface: LearningSurface) -> float:
    """Return the test error of always answering the mean: what is left when the ridge hides everything."""
    curves = surface.curves
    return float(curves.sums(np.array(curves.log_trace + 30.0)).squared_bias)


def _learning_curve(by_size: "xr.Dataset", here: "xr.Dataset", steps: Steps) -> str:
    sample = by_size.attrs["n_samples"]
    return chart(
        "What more samples buy",
        LogAxis("training samples n", steps.n_train[0], steps.n_train[-1]),
        LogAxis(steps.error_label, *steps.errors),
        [_curve(by_size, "n_train", by_size.extrapolated.to_numpy())],
        [
            Mark(sample, None, "sample", f"sample of {sample}"),
            Mark(float(here.n_train), float(here.test_mse), "here"),
        ],
    )


def _ridge_curve(by_ridge: "xr.Dataset", here: "xr.Dataset", best: "xr.Dataset", steps: Steps) -> str:
    optimum = float(best.ridge)
    return chart(
        f"What the ridge does at n = {readable(float(here.n_train))}",
        LogAxis("ridge, added to the kernel matrix", steps.ridge[1], steps.ridge[-1], zero=True),
        LogAxis(steps.error_label, *steps.errors),
        [_curve(by_ridge, "ridge")],
        [
            Mark(min(optimum, steps.ridge[-1]), None, "best", f"best {readable(optimum, 2)}"),
            Mark(float(here.ridge), float(here.test_mse), "here"),
        ],
    )


def _curve(prediction: "xr.Dataset", dim: str, dashed: NDArray[np.bool_] | None = None) -> Curve:
    low, high = (prediction[f"test_mse_{end}"].to_numpy() for end in ("low", "high"))
    return Curve(prediction[dim].to_numpy(), prediction.test_mse.to_numpy(), low, high, dashed)


def _facts(here: "xr.Dataset", best: "xr.Dataset", mean_answer: float) -> tuple[tuple[str, str, str], ...]:
    test, train = float(here.test_mse), float(here.train_mse)
    low, high = (readable(float(here[f"test_mse_{end}"]), 3) for end in ("low", "high"))
    return (
        ("test error", readable(test, 3), f"90 %: {low} to {high}"),
        _in_other_words(here, mean_answer),
        ("training error", readable(train, 3), "fits exactly" if train == 0 else "on its training samples"),
        ("best ridge", readable(float(best.ridge), 2), _cost(float(here.ridge), test / float(best.test_mse))),
    )


def _in_other_words(here: "xr.Dataset", mean_answer: float) -> tuple[str, str, str]:
    """Return the test error as a share of wrong classes or, where there are none, of what answering the mean has."""
    if "error_rate" in here:
        rate, low, high = (percent(float(here[f"error_rate{end}"])) for end in ("", "_low", "_high"))
        return "wrong class", rate, f"90 %: {low} to {high}"
    remark = f"always answering the mean has {readable(mean_answer, 3)}"
    return "of the mean's error", percent(float(here.test_mse) / mean_answer), remark


def _cost(ridge: float, ratio: float) -> str:
    """Say what a ridge costs that has `ratio` times the error of the best one."""
    this = f"ridge {readable(ridge)}"
    if ratio < 1.005:
        return f"{this} is as good"
    if ratio < 2.0:
        return f"{this} costs {percent(ratio - 1.0, decimals=0)} more error"
    return (
        f"{this} has {ratio:.3g} times the error"
        if np.isfinite(ratio)
        else f"{this} has endless error at n = k"
    )


def _warning(surface: LearningSurface, n_train: float, n_features: float, ridge: float) -> str:
    """Return what the surface found out about itself, when it is off by so much that a reader must know."""
    off = surface.check.standard_error(np.array(n_train), np.array(n_features), np.array(ridge))
    if float(off) < _WARN_ABOVE:
        return ""
    said = surface.check.in_words(bool(np.isfinite(n_features)))
    return f"Theory does not hold well at this setting: {said}. Go by the band."
