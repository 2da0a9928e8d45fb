"""A study whose prediction is exact: the mean of n draws has the squared error sd**2 / n.

`TOY_LOG` names a file that gets a line per trial, and `TOY_SECONDS` slows each trial down.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from solvable.lab import Study
from solvable.lab.parameters import check_parameters
from toy_wing.experiment import measured_squared_errors
from toy_wing.theory import mean_squared_error


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
    B0_T: float = 1.0
    """A magnetic field in tesla, for the sake of its name."""
    trials: int = 6
    """Number of trials."""

    def __post_init__(self) -> None:
        check_parameters(self, at_least={"n_train": 1, "trials": 1}, above={"sd": 0})
        if self.label == "refused":
            raise ValueError("label is 'refused'; expected another word")


def prepare(parameters: Parameters) -> Setting:
    return Setting("toy-1", ("draws are <independent>",))


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    n = np.unique([*parameters.n_train, *np.geomspace(4, 256, 13).astype(int)])
    mse = mean_squared_error(n, parameters.sd)
    dims = ("n_train", "sd")
    return xr.Dataset(
        {"mse": (dims, mse), "mse_low": (dims, 0.985 * mse), "mse_high": (dims, 1.015 * mse)},
        {"n_train": n, "sd": list(parameters.sd)},
        {"notes": "the interval is a guess\ndraws are <independent>"},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    time.sleep(float(os.environ.get("TOY_SECONDS", 0)))
    generator = np.random.default_rng([index, 7])
    mse = measured_squared_errors(parameters.n_train, parameters.sd, parameters.law, generator)
    if log := os.environ.get("TOY_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{index}\n")
    return xr.Dataset(
        {"mse": (("n_train", "sd"), mse)}, {"n_train": list(parameters.n_train), "sd": list(parameters.sd)}
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset):
    from solvable.lab.figure import curves, legend, subplots

    figure, ax = subplots(width=5.0)
    curves(ax, prediction, measurement, "mse", x="n_train", hue="sd", label="sd {}")
    ax.set(xscale="log", yscale="log", xlabel="sample size n", ylabel="squared error of the mean")
    legend(ax)
    return figure


def conclude(prediction, measurement, comparison) -> str:
    return f"Twice the sample halves the error & the theory says so too ({comparison.summary['mse']})."


def headline(prediction, measurement, comparison) -> str:
    return "Twice the sample halves the squared error of a mean & the theory says so"


study = Study(
    name="toy",
    title="The error of a mean",
    paper="Bernoulli, Ars Conjectandi, arXiv:1713.00001",
    question="How many draws does a mean need?",
    Parameters=Parameters,
    tiny=Parameters(n_train=(8, 16), trials=2, B0_T=2.0),
    compared=("mse",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(r"squared error of the mean $E = \sigma^2 / n$ of $n$ draws",),
)


def plain_plot(prediction: xr.Dataset, measurement: xr.Dataset):
    from solvable.lab.figure import subplots

    figure, ax = subplots(width=2.0)
    ax.set_axis_off()
    return figure


plain = replace(study, plot=plain_plot)
"""The same with an empty figure, which is drawn in a tenth of the time."""
