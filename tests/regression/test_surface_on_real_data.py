"""The surface against retraining, on MNIST, CIFAR-10 and digits: the figures that the documentation claims.

Each case: one labelled sample gives the surface; other points of the same data train and test the real thing.
A sample of 2 000 points knows its own test error to about 2 %, the measurement another 1 %: that is in every figure.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from solvable import datasets
from solvable.kernels import ArcCosine, as_kernel
from solvable.regression import LearningSurface, measure
from solvable.spectra import plug_in_eigensystem

pytestmark = pytest.mark.slow

NEAR = [64, 128, 256, 512, 1024, 2048]
FAR = [600, 1200, 2400, 4800, 9600]


def report(name: str, error: np.ndarray, inside: np.ndarray) -> None:
    off = abs(error)
    print(
        f"{name}: median {np.median(off):.4f}, mean {off.mean():.4f}, max {off.max():.4f}, "
        f"at the largest n {off[:, -1].mean():.4f}, inside the interval {inside.mean():.2f}"
    )


def case(
    name: str,
    kernel: str | ArcCosine,
    n_sample: int,
    *,
    n_test: int,
    samples: int = 1,
    trials: int = 4,
    **grid,
) -> tuple[np.ndarray, np.ndarray]:
    """Return relative errors `(samples, *grid)` of the surface, and whether its interval holds the measured mean."""
    if name != "digits" and not Path(os.environ.get("SOLVABLE_DATA", "nowhere")).is_dir():
        pytest.skip("needs the folder that SOLVABLE_DATA names")
    data = datasets.load(name)
    order = np.random.default_rng(0).permutation(len(data.X))
    resolved = as_kernel(kernel).for_data(data.X[order[:2000]])

    size = max(grid["n_train"]) + n_test
    pools = [order[t * size : (t + 1) * size] for t in range(trials)]
    if len(pools[-1]) < size:  # too few points for fresh ones in each trial
        measured = measure(resolved, data.X[order[:size]], data.y[order[:size]], splits=trials, **grid)
    else:
        one_each = [
            measure(resolved, data.X[pool], data.y[pool], splits=1, random_state=t, **grid)
            for t, pool in enumerate(pools)
        ]
        measured = xr.concat(one_each, "trial")
    mean = measured.test_mse.mean("trial")

    errors, inside = [], []
    for s in range(samples):
        # From the other end: other points than those that train and test, where there are enough.
        sample = order[len(order) - (s + 1) * n_sample : len(order) - s * n_sample]
        surface = LearningSurface.from_kernel(resolved, data.X[sample], data.y[sample])
        forecast = surface.predict(mean.n_train, mean.n_features, mean.ridge)
        errors.append((forecast.test_mse / mean - 1).to_numpy())
        inside.append(((forecast.test_mse_low <= mean) & (mean <= forecast.test_mse_high)).to_numpy())
    report(f"{name} {kernel}, from {n_sample}", np.array(errors), np.array(inside))
    return np.array(errors), np.array(inside)


@pytest.mark.parametrize("kernel", ["laplace", "relu-ntk"])
def test_mnist_within_the_sample(kernel: str) -> None:
    error, inside = case("mnist", kernel, 2100, n_test=5000, n_train=NEAR, ridge=[0, 0.01, 1])
    assert np.median(abs(error)) <= 0.015
    assert abs(error).max() <= 0.05
    assert inside.mean() >= 0.8


@pytest.mark.parametrize("kernel", ["laplace", "relu-ntk"])
def test_cifar10_within_the_sample(kernel: str) -> None:
    error, inside = case("cifar10", kernel, 2100, n_test=4000, n_train=NEAR, ridge=[0, 0.01, 1])
    assert np.median(abs(error)) <= 0.015
    assert abs(error).max() <= 0.05
    assert inside.mean() >= 0.8


@pytest.mark.parametrize(("kernel", "median"), [("laplace", 0.03), ("gaussian", 0.04)])
def test_digits(kernel: str, median: float) -> None:
    sizes = [32, 64, 128, 256, 512, 800]
    error, inside = case("digits", kernel, 900, n_test=997, trials=20, n_train=sizes, ridge=[0, 0.01, 1])
    assert np.median(abs(error)) <= median
    assert inside.mean() >= 0.8


def test_random_relu_features() -> None:
    error, inside = case(
        "mnist",
        ArcCosine(),
        2000,
        n_test=5000,
        samples=4,
        n_train=[128, 512, 1024, 1600],
        n_features=[64, 256, 512, 1024, 4096],
        ridge=[0.001, 0.1, 3],
    )
    # The samples' own error is 2 % here, the measurement's 1 %: over other samples the median is 1.9 to 2.2 %.
    assert np.median(abs(error)) <= 0.025
    assert abs(error).max() <= 0.10
    assert inside.mean() >= 0.8


def test_double_descent_peak_on_mnist() -> None:
    error, _ = case(
        "mnist",
        ArcCosine(),
        2000,
        n_test=3500,
        n_train=[512],
        n_features=[128, 256, 512, 1024, 4096],
        ridge=[1e-3],
    )
    assert abs(error).max() <= 0.10
    data = datasets.load("mnist")
    surface = LearningSurface.from_kernel(ArcCosine(), data.X[:2000], data.y[:2000])
    predicted = surface.predict(512, [256, 512, 1024], 1e-3).test_mse.squeeze().to_numpy()
    # With every prediction within 10 % of its measurement, a peak of this height is in the measurement too.
    assert predicted[1] > 1.3 * max(predicted[0], predicted[2])


def test_double_descent_peak_is_in_both() -> None:
    data = datasets.load("digits")
    grid = {"n_train": 64, "n_features": [16, 32, 64, 128, 512], "ridge": 1e-3}
    surface = LearningSurface.from_kernel(ArcCosine(), data.X[:900], data.y[:900])
    predicted = surface.predict(**grid).test_mse.squeeze().to_numpy()
    measured = (
        measure(ArcCosine(), data.X, data.y, splits=30, **grid).test_mse.mean("trial").squeeze().to_numpy()
    )
    for curve in (predicted, measured):
        assert curve.argmax() == 2
        assert curve[2] > 1.1 * max(curve[1], curve[3])


@pytest.mark.parametrize("kernel", ["laplace", "relu-ntk"])
def test_fourfold_extrapolation(kernel: str) -> None:
    error, inside = case(
        "mnist", kernel, 2000, n_test=4000, samples=3, trials=2, n_train=[4000, 8000], ridge=[0.01, 1]
    )
    assert abs(error).mean() <= 0.05
    assert inside.mean() >= 0.8


def test_sixteenfold_extrapolation() -> None:
    inside = []
    for name in ("mnist", "cifar10"):
        error, held = case(
            name, "laplace", 600, n_test=1700, samples=8, trials=2, n_train=FAR, ridge=[0.01, 1]
        )
        assert abs(error).mean() <= 0.08
        assert abs(error[:, -1]).mean() <= 0.08
        inside.append(held)
    assert np.mean(inside) >= 0.8


def test_plug_in_is_biased_where_the_surface_is_not() -> None:
    from solvable.regression import predict

    data = datasets.load("digits")
    kernel = as_kernel("laplace").for_data(data.X)
    gram = np.asarray(kernel(data.X[:900]))
    measured = measure(kernel, data.X, data.y, n_train=[256], ridge=[0], splits=10).test_mse.mean().item()
    plug_in = predict(plug_in_eigensystem(gram, data.y[:900]), n_train=256).test_mse.item()
    surface = LearningSurface.from_gram(gram, data.y[:900]).predict(n_train=256).test_mse.item()
    assert plug_in / measured < 0.8
    assert abs(surface / measured - 1) < abs(plug_in / measured - 1) / 2
