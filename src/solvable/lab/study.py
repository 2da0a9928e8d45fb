"""`Study`: a theory and an experiment that answer the same question on the same grid, described once."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from solvable.lab.compare import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _no_setting(parameters: Any) -> None:
    """Return the setting of a study that needs none."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that `run`, the command line, the report and the gallery need to know about one result.

    Functions take the parameters and the setting; what they return are `xarray.Dataset`s with the same dims
    and names in prediction and measurement. Attributes of a dataset are numbers or strings (netCDF knows no
    None, bool or dict); a `notes` attribute, one sentence a line, is shown in the report.

    Attributes:
        name: the word on the command line.
        title: one line, for lists and the head of the report.
        paper: citation with its arXiv number, as in `Simon et al., "More is better", arXiv:2311.14646`.
        question: what a user wants to know, in one sentence.
        Parameters: a frozen dataclass. Each field is a command-line option, documented by the string below
            it; `__post_init__` raises `InputError` for values that cannot be. A boolean is False by default.
            A field named `trials` is the number of trials, and raising it extends an earlier run; without one
            there is one trial.
        tiny: an instance of `Parameters` at which the study runs in about a second; tests run every study at it.
        compared: the variables that both sides have, in the order of the table.
        predict: `(parameters, setting) -> Dataset`; `<name>_low` and `<name>_high` beside a variable are its
            interval. It may have more grid points than the measurement, for a smooth line.
        trial: `(parameters, setting, index) -> Dataset`, one trial of the measurement, seeded by its index.
            Trials run in threads side by side, so it changes neither its arguments nor globals.
        plot: `(prediction, measurement) -> Figure`; see `solvable.lab.figure`.
        conclude: `(prediction, measurement, comparison) -> str`, the answer to the question in a sentence.
        prepare: `parameters -> setting`, whatever predict and trial share: loaded data, a Gram matrix. Where
            the setting has a `fingerprint`, trials are kept apart by it; where it has `notes`, the report
            shows them (a `solvable.datasets.Dataset` has both).
    """

    name: str
    title: str
    paper: str
    question: str
    Parameters: type[Any]
    tiny: Any
    compared: tuple[str, ...]
    predict: Callable[[Any, Any], xr.Dataset]
    trial: Callable[[Any, Any, int], xr.Dataset]
    plot: Callable[[xr.Dataset, xr.Dataset], "Figure"]
    conclude: Callable[[xr.Dataset, xr.Dataset, Comparison], str]
    prepare: Callable[[Any], Any] = _no_setting

    def __post_init__(self) -> None:
        frozen = is_dataclass(self.Parameters) and self.Parameters.__dataclass_params__.frozen  # pyright: ignore
        if not frozen:
            raise TypeError(
                f"Parameters of study {self.name!r} must be a frozen dataclass; got {self.Parameters!r}"
            )
        # An option without a value can only switch something on; there are no `--no-...` doubles.
        if on := [field.name for field in fields(self.Parameters) if field.default is True]:
            raise TypeError(f"{on[0]!r} is on by default and no option could switch it off; turn it round")
