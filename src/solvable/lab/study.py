"""`Study`: a theory and an experiment that answer the same question on the same grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from solvable.lab.compare import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.lab.verdict import Verdict


HEADLINE = 140
"""Most characters of a headline."""


def _no_setting(parameters: Any) -> None:
    """Return the setting of a study that needs none."""


def _no_details(parameters: Any, setting: Any) -> "Sequence[Verdict | Figure]":
    """Return the details of a study that has none."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """The description of one result for `run`, the command line, the report and the gallery.

    Functions take the parameters and the setting and return `xarray.Dataset`s, with the same dims and names in
    prediction and measurement. Attributes of a dataset are numbers or strings (netCDF has no None, bool or dict); the
    attribute `notes`, one sentence per line, is shown in the report.

    Attributes:
        name: name on the command line.
        title: one line, for lists and the top of the report.
        paper: citation with its arXiv number, as in `Simon et al., "More is better", arXiv:2311.14646`.
        question: the user's question, in one sentence.
        Parameters: a frozen dataclass. Each field is a command-line option, documented by the string below it;
            `__post_init__` raises `InputError` for invalid values. Booleans are False by default. The field `trials` is
            the number of trials (1 if there is no such field); raising it extends an earlier run.
        tiny: an instance of `Parameters` with which the study runs in about a second; tests run every study with it.
        compared: the variables of both datasets, in the order of the table.
        predict: `(parameters, setting) -> Dataset`; `<name>_low` and `<name>_high` are the interval of a variable. It
            may have more grid points than the measurement, for a smooth line.
        trial: `(parameters, setting, index) -> Dataset`, one trial of the measurement, seeded by its index. Trials run
            in parallel threads, so it must change neither its arguments nor globals.
        plot: `(prediction, measurement) -> Figure`; see `solvable.lab.figure`.
        conclude: `(prediction, measurement, comparison) -> str`, the answer to the question in a sentence.
        prepare: `parameters -> setting`, the data shared by `predict` and `trial`, such as a Gram matrix. Trials are
            cached by the setting's `fingerprint`, and the report shows its `notes`, if it has them (a
            `solvable.datasets.Dataset` has both).
        details: `(parameters, setting) -> verdicts and figures` that precede the figure in the report.
        headline: `(prediction, measurement, comparison) -> str`, the answer in at most `HEADLINE` characters with its
            most telling number, for reports, lists and posters; by default the first sentence of the conclusion.
        equations: what `predict` computes, two to four LaTeX strings: a few words, and formulas between dollar signs.
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
    details: Callable[[Any, Any], "Sequence[Verdict | Figure]"] = _no_details
    headline: Callable[[xr.Dataset, xr.Dataset, Comparison], str] | None = None
    equations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frozen = is_dataclass(self.Parameters) and self.Parameters.__dataclass_params__.frozen  # pyright: ignore
        if not frozen:
            raise TypeError(
                f"Parameters of study {self.name!r} must be a frozen dataclass; got {self.Parameters!r}"
            )
        # A flag can only switch something on; there are no `--no-...` options.
        if on := [field.name for field in fields(self.Parameters) if field.default is True]:
            raise TypeError(
                f"{on[0]!r} is on by default, but an option can only switch it on; negate its meaning"
            )
