"""Content of the page (`page.py`): charts and numbers of a learning surface at one setting of the sliders."""

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
from solvable.regression.surface import TRUSTED_FACTOR, WARN_ABOVE, LearningSurface

if TYPE_CHECKING:
    import xarray as xr

DATA = ("digits", "wine", "breast-cancer", "diabetes")
KERNELS = ("laplace", "gaussian", "matern32", "matern52", "linear", "arc-cosine", "relu-ntk")
# One eigendecomposition of this size takes a third of a second.
SAMPLE = 600
# Extra label noise, as a share of the labels' variance.
NOISE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
_FEWEST = 32
# An option of the command line, with its equivalent in Python, in a message.
_OPTION = re.compile(r"--(drop|missing) .+? \(in Python: [^)]*\)")
_POINTS = 60
_SMOOTH = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


@lru_cache(maxsize=32)
def named_surface(name: str, kernel: str) -> LearningSurface:
    """Return the surface of a random sample of one of `DATA` with one of `KERNELS`, cached for all visitors."""
    data = datasets.load(name)
    order = np.random.default_rng(0).permutation(len(data.X))[:SAMPLE]
    labels = data.y if data.labels is None else data.labels
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # about repeated points
        return LearningSurface.from_kernel(kernel, data.X[order], labels[order])


def diagnose_upload(
    name: str,
    contents: bytes,
    target: str | None = None,
    missing: Missing = None,
    drop: Sequence[str] = (),
    watch: Callable[[str], None] = lambda stage: None,
) -> Diagnosis:
    """Diagnose a file that was dropped on the page, without leaving it on the disk.

    Args:
        name: of the file; its ending determines how it is read.
        contents: its bytes.
        target: the column to predict; by default one named target, label or y, else the last.
        missing: what to do with missing values, as in `datasets.load`.
        drop: columns to leave out.
        watch: called with a few words before each stage of the work.

    Raises:
        InputError: as `datasets.load`, with the file's name and the page's fields in the message.
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
    """Return the page's name for an option of the command line.

    >>> _OPTION.sub(_field, "drop it with --drop 'my id' (in Python: drop=['my id'])")
    'drop it with “Columns to leave out”'
    """
    return "“Columns to leave out”" if option[1] == "drop" else "“Missing values”"


@dataclass(frozen=True, eq=False)
class Steps:
    """The values of each slider of the page, where it starts, and the axis of errors.

    Attributes:
        n_train, n_features, ridge: ascending; the last number of features is `inf`, the kernel itself; the first
            ridge is 0.
        start: the first value of each.
        variance: error of always predicting the mean, the unit of label noise.
        errors: ends of the axis, which fit the curves of all settings but the peak at n = k, so that the axis stays the
            same while a slider moves.
        error_label: label of the axis.
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
        """Return the steps for a surface: sizes up to the largest trusted one, ridges around the kernel's diagonal."""
        most = float(TRUSTED_FACTOR * surface.n_samples)
        sizes = tuple(sorted({_FEWEST, surface.n_samples, most, *_smooth(_FEWEST, most)}))
        # The sum of the eigenvalues is the kernel's mean diagonal, the scale of the ridge.
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
    """Return round numbers, 1, 1.25, 1.5, 2 and so on, from `low` to `high`."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [float(f"{step:g}e{power}") for power in powers for step in _SMOOTH]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


@dataclass(frozen=True)
class View:
    """Content of the page at one setting: two charts as SVG, and facts, each a name, a number and a remark."""

    learning_curve: str
    ridge_curve: str
    facts: tuple[tuple[str, str, str], ...]
    warning: str


def view(surface: LearningSurface, steps: Steps, n_train: float, n_features: float, ridge: float) -> View:
    """Return charts and numbers at one setting.

    Args:
        surface: with the chosen label noise.
        steps: of the surface without it, for the axes.
        n_train: training samples.
        n_features: random features, `inf` for the kernel itself.
        ridge: added to the kernel matrix undivided.

    >>> surface = named_surface("wine", "laplace")
    >>> page = view(surface, Steps.of(surface), n_train=100, n_features=np.inf, ridge=0.1)
    >>> [name for name, *_ in page.facts], page.learning_curve[:4]
    (['test error', 'wrong class', 'training error', 'best ridge'], '<svg')
    """
    even = np.geomspace(steps.n_train[0], steps.n_train[-1], _POINTS)
    sizes = np.union1d(even, [surface.n_samples, n_train])
    ridges = np.union1d(np.geomspace(steps.ridge[1], steps.ridge[-1], _POINTS), [0.0, ridge])
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # the page has its own warning
        optimum = float(surface.optimal_ridge(n_train, n_features))
        by_size = surface.predict(sizes, n_features, ridge).squeeze(["n_features", "ridge"])
        by_ridge = surface.predict(n_train, n_features, np.union1d(ridges, optimum))
    by_ridge = by_ridge.squeeze(["n_train", "n_features"])
    # The optimum is computed before the correction for random features: take the lowest point of the corrected curve.
    best = by_ridge.isel(ridge=int(np.argmin(by_ridge.test_mse.to_numpy())))
    here = by_size.sel(n_train=n_train)
    return View(
        _learning_curve(by_size, here, steps),
        _ridge_curve(by_ridge, here, best, steps),
        _facts(here, best, mean_answer_error(surface)),
        _warning(surface, n_train, n_features, ridge),
    )


def mean_answer_error(surface: LearningSurface) -> float:
    """Return the test error of always predicting the mean, as with an infinite ridge."""
    curves = surface.curves
    return float(curves.sums(np.array(curves.log_trace + 30.0)).squared_bias)


def _learning_curve(by_size: "xr.Dataset", here: "xr.Dataset", steps: Steps) -> str:
    sample = by_size.attrs["n_samples"]
    return chart(
        "Error with more samples",
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
        f"Error by ridge at n = {readable(float(here.n_train))}",
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


def _facts(here: "xr.Dataset", best: "xr.Dataset", mean_error: float) -> tuple[tuple[str, str, str], ...]:
    test, train = float(here.test_mse), float(here.train_mse)
    low, high = (readable(float(here[f"test_mse_{end}"]), 3) for end in ("low", "high"))
    return (
        ("test error", readable(test, 3), f"90 %: {low} to {high}"),
        _relative_error(here, mean_error),
        ("training error", readable(train, 3), "fits exactly" if train == 0 else "on its training samples"),
        ("best ridge", readable(float(best.ridge), 2), _cost(float(here.ridge), test / float(best.test_mse))),
    )


def _relative_error(here: "xr.Dataset", mean_error: float) -> tuple[str, str, str]:
    """Return the error rate or, for numbers, the test error as a share of that of predicting the mean."""
    if "error_rate" in here:
        rate, low, high = (percent(float(here[f"error_rate{end}"])) for end in ("", "_low", "_high"))
        return "wrong class", rate, f"90 %: {low} to {high}"
    remark = f"always predicting the mean has {readable(mean_error, 3)}"
    return "of the mean's error", percent(float(here.test_mse) / mean_error), remark


def _cost(ridge: float, ratio: float) -> str:
    """Describe the cost of a ridge with `ratio` times the error of the best one."""
    if ratio < 1.005:
        cost = "is as good"
    elif ratio < 2.0:
        cost = f"costs {percent(ratio - 1.0, decimals=0)} more error"
    else:
        cost = f"has {ratio:.3g} times the error" if np.isfinite(ratio) else "has infinite error at n = k"
    return f"ridge {readable(ridge)} {cost}"


def _warning(surface: LearningSurface, n_train: float, n_features: float, ridge: float) -> str:
    """Return a sentence if theory was far off on halves of the sample at this setting, else nothing."""
    error = surface.check.standard_error(np.array(n_train), np.array(n_features), np.array(ridge))
    if float(error) < WARN_ABOVE:
        return ""
    check = surface.check.in_words(bool(np.isfinite(n_features)))
    return f"Theory does not hold well at this setting: {check}. Rely on the band."
