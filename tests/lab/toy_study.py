"""A study whose prediction is exact: the mean of n draws has the squared error sd**2 / n.

As a program it runs the command line with this study alone; `TOY_LOG` names a file that gets a line per
trial, and `TOY_SECONDS` slows each trial down.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Study


@dataclass(frozen=True)
class Setting:
    fingerprint: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Parameters:
    """What is drawn, and how often."""

    n_train: tuple[int, ...] = (8, 32, 128)
    """Sample sizes, comma-separated."""
    sd: tuple[float, ...] = (1.0, 2.0)
    """Standard deviations of a draw, comma-separated."""
    law: Literal["normal", "uniform"] = "normal"
    """Distribution of a draw."""
    centred: bool = False
    """Draw around 0 rather than around 1."""
    label: str | None = None
    """A word for the report."""
    trials: int = 6
    """Number of trials."""

    def __post_init__(self) -> None:
        if min(self.n_train) < 1:
            raise InputError(f"n_train must be at least 1; got {min(self.n_train)}")
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1; got {self.trials}")


def prepare(parameters: Parameters) -> Setting:
    return Setting("toy-1", ("draws are <independent>",))


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    n = np.unique([*parameters.n_train, *np.geomspace(4, 256, 13).astype(int)])
    mse = np.square(parameters.sd) / n[:, None]
    dims = ("n_train", "sd")
    return xr.Dataset(
        {"mse": (dims, mse), "mse_low": (dims, 0.985 * mse), "mse_high": (dims, 1.015 * mse)},
        {"n_train": n, "sd": list(parameters.sd)},
        {"notes": "the interval is a guess\ndraws are <independent>"},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    time.sleep(float(os.environ.get("TOY_SECONDS", 0)))
    rng = np.random.default_rng([index, 7])
    mse = np.empty((len(parameters.n_train), len(parameters.sd)))
    for i, n in enumerate(parameters.n_train):
        draws = (
            rng.normal(size=(200, n)) if parameters.law == "normal" else rng.uniform(-1, 1, (200, n)) * 3**0.5
        )
        mse[i] = np.square(draws.mean(axis=1)).mean() * np.square(parameters.sd)
    if log := os.environ.get("TOY_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{index}\n")
    return xr.Dataset(
        {"mse": (("n_train", "sd"), mse)}, {"n_train": list(parameters.n_train), "sd": list(parameters.sd)}
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset):
    from solvable.lab.figure import curves, key, subplots

    figure, ax = subplots(width=5.0)
    curves(ax, prediction, measurement, "mse", x="n_train", hue="sd", label="sd {}")
    ax.set(xscale="log", yscale="log", xlabel="sample size n", ylabel="squared error of the mean")
    key(ax)
    return figure


def conclude(prediction, measurement, comparison) -> str:
    return f"Twice the sample halves the error & the theory says so too ({comparison.summary['mse']})."


study = Study(
    name="toy",
    title="The error of a mean",
    paper="Bernoulli, Ars Conjectandi, arXiv:1713.00001",
    question="How many draws does a mean need?",
    Parameters=Parameters,
    compared=("mse",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
)

if __name__ == "__main__":
    from solvable.cli import main

    main(studies={"toy": "toy_study:study"})
