"""Is `diagnose` honest? A third of each data set forecasts what training on the rest gives; every row is reported.

Of each data set a third, drawn at random, is diagnosed, with the kernel chosen by leave-one-out. Its forecast for
twice as many samples, at the ridge that it recommends for them, is set against training on twice as many of all rows
and testing on the others, over 20 random splits. Five thirds are drawn of each. The docs' table is made by it.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import xarray as xr
from sklearn import datasets as sklearn_datasets
from sklearn.utils import Bunch

from benchmarks._result import Result
from solvable import datasets
from solvable.datasets import Dataset
from solvable.regression import diagnose, measure
from solvable.regression.targets import Targets

THIRDS = 5
SPLITS = 20


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return inputs and targets by name: what scikit-learn ships, and made ones, the last two to break the tool."""
    rng = np.random.default_rng(0)

    def bunch(found: Bunch) -> tuple[np.ndarray, np.ndarray]:
        return found.data, found.target

    pure = rng.standard_normal((600, 10)), rng.standard_normal(600)
    X = rng.standard_normal((900, 10))
    heavy = X, X[:, 0] + np.sin(2 * X[:, 1]) + 0.3 * rng.standard_t(2, 900)
    shipped: dict[str, Bunch] = {
        "digits": sklearn_datasets.load_digits(),
        "diabetes": sklearn_datasets.load_diabetes(),
        "breast cancer": sklearn_datasets.load_breast_cancer(),
        "wine": sklearn_datasets.load_wine(),
    }  # pyright: ignore[reportAssignmentType]
    return {name: bunch(found) for name, found in shipped.items()} | {
        "Friedman 1, noise of sd 1": sklearn_datasets.make_friedman1(
            900, n_features=10, noise=1.0, random_state=0
        ),
        "two moons, noise 0.3": sklearn_datasets.make_moons(600, noise=0.3, random_state=0),
        "pure noise": pure,
        "heavy-tailed noise (Student t, 2 degrees)": heavy,
    }


def forecasts_and_outcomes(X: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    """Return, for each third, the forecast for twice as many samples with its interval, and what training gives."""
    rows = []
    for third in range(THIRDS):
        order = np.random.default_rng(third).permutation(len(X))
        seen = order[: len(X) // 3]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = diagnose(X[seen], y[seen])
            twice = 2 * found.n_samples
            forecast = found.forecast([twice]).isel(n_train=0)
            outcome = trained(found.data, found.kernel.kernel, X, y, twice, float(forecast.ridge))
        rows.append(
            {
                "n_train": twice,
                "kernel": str(found.kernel.kernel),
                **{
                    f"{name}{end}": float(forecast[f"{name}{end}"])
                    for name in ("test_mse", *(["error_rate"] if found.data.classes else []))
                    for end in ("", "_low", "_high")
                },
                **{f"measured_{name}": float(outcome[name]) for name in outcome},
            }
        )
    return rows


def trained(seen: Dataset, kernel: object, X: np.ndarray, y: np.ndarray, n: int, ridge: float) -> xr.Dataset:
    """Return the mean errors of training on `n` rows and testing on the others, as the diagnosis means the model."""
    whole = datasets.from_arrays(X, y)
    codes = whole.y.argmax(axis=1) if whole.classes else None
    # The intercept is the sample's; that of each training set differs from it by chance, of order 1/n in the error.
    targets = Targets(whole.y, whole.classes, codes).centred()
    found = measure(
        kernel, seen.encoder.transform(X), targets, n_train=n, ridge=ridge, splits=SPLITS, random_state=99
    )
    return found.mean("trial").squeeze()


def table() -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Yield each data set's name and rows."""
    for name, (X, y) in data_sets().items():
        yield name, forecasts_and_outcomes(X, y)


def run() -> Iterator[Result]:
    """Report each data set: forecast against outcome, and whether the interval holds it."""
    for name, rows in table():
        measure_of = "error_rate" if "error_rate" in rows[0] else "test_mse"
        off = [row[measure_of] / row[f"measured_{measure_of}"] - 1 for row in rows]
        inside = [
            row[f"{measure_of}_low"] <= row[f"measured_{measure_of}"] <= row[f"{measure_of}_high"]
            for row in rows
        ]
        squared = [row["test_mse"] / row["measured_test_mse"] - 1 for row in rows]
        held = [row["test_mse_low"] <= row["measured_test_mse"] <= row["test_mse_high"] for row in rows]
        yield Result(
            what=f"forecast of twice the data: {name}",
            size=f"from {rows[0]['n_train'] // 2:.0f}, {measure_of}",
            ours=", ".join(f"{row[measure_of]:.3g}" for row in rows),
            peer=", ".join(f"{row[f'measured_{measure_of}']:.3g}" for row in rows) + " (trained)",
            ratio=None,
            demanded=None,
            accuracy=f"off by {', '.join(f'{100 * o:+.0f} %' for o in off)}; {sum(inside)} of {len(inside)} inside; "
            f"test MSE {', '.join(f'{100 * o:+.0f} %' for o in squared)}; {sum(held)} of {len(held)} inside",
            accurate=True,
        )


if __name__ == "__main__":
    for result in run():
        print(result)
