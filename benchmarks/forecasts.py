"""Do `diagnose`'s forecasts hold on data that nobody tuned on, and do curves fitted to measured errors do better?

Of each data set samples are drawn: 4x, a fifth of the rows and at most 500, forecast at 1, 2 and 4 times the sample;
16x, a twentieth and at most 200, forecast at 16 times too. The truth is the kernel and ridge that the forecast names,
trained on fresh rows of that size (random splits of all rows where a table is too small) and tested on the others, mean
over the splits.

The peers are three-parameter and four-parameter curves of the literature (pow3, pow4, mmf), fitted by least squares to
the same kernel's errors measured within the sample, at 8 sizes, 5 splits each, at the ridge that is best there; their
truth is that kernel at that ridge. The peer in time is scikit-learn's `learning_curve` of a `GridSearchCV`.

Data: the ten sets of the folder that `SOLVABLE_DATA` names, else what scikit-learn ships.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from sklearn import datasets as sklearn_datasets

from solvable.datasets import encode_targets
from solvable.machine import limited_blas_threads
from solvable.regression import Diagnosis, diagnose, measure
from solvable.regression.targets import Targets

SEEDS = 3
SPLITS = 5
TESTED = 2000
"""At most this many rows are tested on."""
RIDGES = np.geomspace(1e-6, 1e3, 19)
SIZES_MEASURED = 8
MADE_ROWS = 6000
MODES = {"4x": (5, 500, (1, 2, 4)), "16x": (20, 200, (1, 2, 4, 16))}
"""For each mode: the part of the rows, the most rows of a sample, the sizes that are forecast."""
FEWEST = 30
MEASURES = {"test_mse": "squared error", "error_rate": "error rate"}

Draw = Callable[[int], tuple[Any, Any]]


@dataclass(frozen=True)
class Row:
    """One forecast and what came of it.

    Attributes:
        data: name of the data set.
        mode: `4x` or `16x`.
        seed: of the draw.
        times: size of the training set in units of the sample.
        measure: `test_mse` or `error_rate`.
        method: `diagnose` or a peer.
        forecast: the forecast.
        low: lower end of its interval, NaN for a peer.
        high: upper end.
        truth: mean error of training at that size.
        facts: kernel, ridge, size and others.
    """

    data: str
    mode: str
    seed: int
    times: int
    measure: str
    method: str
    forecast: float
    low: float
    high: float
    truth: float
    facts: dict[str, Any]

    @property
    def off(self) -> float:
        """|ln(forecast/truth)|."""
        return abs(float(np.log(max(self.forecast, 1e-300) / max(self.truth, 1e-300))))


def data_sets() -> dict[str, Draw]:
    """Return functions from a seed to all rows of a data set, by name."""
    folder = os.environ.get("SOLVABLE_DATA")
    if folder and (Path(folder) / "tables").is_dir():
        tables = {
            name: partial(_table, Path(folder) / "tables" / f"{name}.csv.gz")
            for name in ("concrete", "ames", "pima", "vehicle", "dna", "shuttle")
        }
        made = {"friedman3": _friedman3, "piecewise8": _piecewise8, "sparse200": _sparse200}
        return {**tables, **made, "planes and ships": partial(_planes_and_ships, Path(folder))}
    shipped = ("load_digits", "load_diabetes", "load_breast_cancer", "load_wine")
    return {name.removeprefix("load_"): partial(_shipped, name) for name in shipped}


def _table(path: Path, seed: int) -> tuple[pd.DataFrame, Any]:
    table = pd.read_csv(path, keep_default_na=False)
    return table.drop(columns="target"), table["target"].to_numpy()


def _shipped(name: str, seed: int) -> tuple[Any, Any]:
    return getattr(sklearn_datasets, name)(return_X_y=True)


def _friedman3(seed: int) -> tuple[Any, Any]:
    return sklearn_datasets.make_friedman3(MADE_ROWS, noise=0.1, random_state=seed)


def _piecewise8(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (MADE_ROWS, 8))
    steps = 2.0 * (X[:, 0] > 0.2) + 1.5 * (X[:, 1] > 0.0) * (X[:, 2] > 0.0) + np.abs(X[:, 3])
    return X, steps + 0.3 * rng.standard_normal(MADE_ROWS)


def _sparse200(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((MADE_ROWS, 200))
    return X, X[:, :5] @ (2.0, -1.5, 1.0, 1.0, -0.5) + rng.standard_normal(MADE_ROWS)


def _planes_and_ships(folder: Path, seed: int) -> tuple[Any, Any]:
    with np.load(folder / "cifar10_subset.npz") as file:
        X, y = file["x_train"], file["y_train"].astype(int)
    chosen = np.isin(y, (0, 8))
    return X[chosen].astype(np.float64), y[chosen]


def sample_of(draw: Draw, mode: str, seed: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Return all inputs and targets of a data set, and the indices of the sample's rows and of the other rows."""
    X, y = draw(seed)
    part, most, _ = MODES[mode]
    order = np.random.default_rng([seed, 17]).permutation(len(y))
    n = min(len(y) // part, most)
    return X, y, order[:n], order[n:]


def rows_of(name: str, draw: Draw, mode: str, seed: int, with_peers: bool = True) -> list[Row]:
    """Return the forecasts from one sample, and what training gives."""
    X, y, seen, others = sample_of(draw, mode, seed)
    start = time.perf_counter()
    with limited_blas_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        X_seen = X.iloc[seen] if isinstance(X, pd.DataFrame) else X[seen]
        found = diagnose(X_seen, y[seen])
        seconds = time.perf_counter() - start
        times = [t for t in MODES[mode][2] if t * len(seen) <= 0.85 * len(y)]
        sizes = np.array(times) * len(seen)
        forecast = found.forecast(sizes)
        truth = Truth(found, X, y, others)
        rows = []
        for i, t in enumerate(times):
            one = forecast.isel(n_train=i)
            outcome = truth.at(int(sizes[i]), float(one.ridge), seed)
            for measure_of in MEASURES if found.data.classes else ("test_mse",):
                low, high = (float(one[f"{measure_of}_{end}"]) for end in ("low", "high"))
                facts = {
                    "kernel": str(found.kernel.kernel),
                    "ridge": float(one.ridge),
                    "n": int(sizes[i]),
                    "learned": found.learned,
                    "seconds": seconds,
                }
                rows.append(
                    Row(
                        name,
                        mode,
                        seed,
                        t,
                        measure_of,
                        "diagnose",
                        float(one[measure_of]),
                        low,
                        high,
                        outcome[measure_of],
                        facts,
                    )
                )
        if with_peers:
            rows += _peers(name, mode, seed, found, truth, times)
    return rows


class Truth:
    """What training on fresh rows gives, for the encoder and kernel of a diagnosis."""

    def __init__(self, found: Diagnosis, X: Any, y: Any, others: np.ndarray) -> None:
        self.kernel = found.kernel.kernel
        self.X = found.data.encoder.transform(X)
        columns, classes = encode_targets(y if found.data.classes else np.asarray(y, dtype=float))
        self.targets = Targets.of(columns, classes).centred()
        self.others = others

    def at(self, n: int, ridge: float, seed: int) -> dict[str, float]:
        """Return the mean errors of training sets of n rows."""
        rows = self.others if n + FEWEST <= 0.8 * len(self.others) else np.arange(len(self.X))
        splits = []
        for split in range(SPLITS):
            order = rows[np.random.default_rng([seed, split, n]).permutation(len(rows))]
            splits.append((order[:n], order[n : n + TESTED]))
        used = np.unique(np.concatenate([np.concatenate(pair) for pair in splits]))
        place = np.full(len(self.X), -1)
        place[used] = np.arange(len(used))
        errors = measure(
            self.kernel,
            self.X[used],
            self.targets.take(used),
            n_train=n,
            ridge=ridge,
            splits=[(place[train], place[test]) for train, test in splits],
        )
        return {name: float(errors[name].mean()) for name in errors}


def pow3(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """Return a + b n^-c."""
    return a + b * n**-c


def pow4(n: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
    """Return a + b (n + d)^-c."""
    return a + b * (n + d) ** -c


def mmf(n: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
    """Return (a b + c n^d) / (b + n^d), the curve of Morgan, Mercer and Flodin."""
    return (a * b + c * n**d) / (b + n**d)


CURVES = {"pow3": (pow3, 3), "pow4": (pow4, 4), "mmf": (mmf, 4)}


def fitted(curve: str, n: np.ndarray, error: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return a curve's values, fitted by least squares, the best of several starts; at least a thousandth of the last.

    Sizes and errors are scaled to 1, all parameters are positive.
    """
    function, count = CURVES[curve]
    x, y = n / n[-1], error / error[-1]
    rng = np.random.default_rng(0)
    best = None
    for start in np.exp(rng.normal(0.0, 1.0, (30, count))):
        fit = least_squares(
            lambda p: function(x, *np.exp(p)) - y, np.clip(np.log(start), -20, 20), bounds=(-25, 25)
        )
        if best is None or fit.cost < best.cost:
            best = fit
    assert best is not None
    return error[-1] * np.maximum(function(at / n[-1], *np.exp(best.x)), 1e-3)


def _peers(
    name: str, mode: str, seed: int, found: Diagnosis, truth: Truth, times: list[int]
) -> Iterator[Row]:
    data, n = found.data, len(found.data.X)
    targets = Targets.of(data.y, data.classes).centred()
    sizes = np.unique(np.geomspace(max(n / 16, 10), 0.8 * n, SIZES_MEASURED).astype(int))
    start = time.perf_counter()
    measured = (
        measure(
            found.kernel.kernel,
            data.X,
            targets,
            n_train=sizes,
            ridge=RIDGES,
            splits=SPLITS,
            random_state=seed,
        )
        .mean("trial")
        .isel(n_features=0)
    )
    ridge = float(measured.test_mse.isel(n_train=-1).idxmin())
    at = np.array(times) * n
    outcomes = [truth.at(int(size), ridge, seed) for size in at]
    facts = {"seconds": time.perf_counter() - start, "ridge": ridge}
    for measure_of in MEASURES if data.classes else ("test_mse",):
        curve = np.maximum(measured[measure_of].sel(ridge=ridge).to_numpy(), 1e-6)
        for method in CURVES:
            for t, forecast, outcome in zip(times, fitted(method, sizes, curve, at), outcomes, strict=True):
                yield Row(
                    name, mode, seed, t, measure_of, method, float(forecast), np.nan, np.nan,
                    outcome[measure_of], facts,
                )  # fmt: skip


def table(with_peers: bool = True, seeds: int = SEEDS, names: tuple[str, ...] = ()) -> list[Row]:
    """Return all forecasts and outcomes, in parallel."""
    sets = data_sets()
    calls = [
        joblib.delayed(rows_of)(name, sets[name], mode, seed, with_peers)
        for name in names or sets
        for mode in MODES
        for seed in range(seeds)
    ]
    return [row for rows in joblib.Parallel(-1, batch_size=1)(calls) for row in rows]
