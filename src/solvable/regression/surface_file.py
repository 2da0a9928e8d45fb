"""A learning surface as a netCDF file: its leave-one-out statistics, its check, and what they are of; no pickle."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from solvable.errors import InputError
from solvable.regression.error_rate import ErrorRates
from solvable.regression.halves import HalvesCheck
from solvable.regression.one_gram import OneGram

# Counts up when what is in a file changes, so that an older file is refused and not misread.
_FORMAT = "solvable learning surface 4"


_RATES = {
    "log_kappa": ("node",),
    "extra": ("extra",),
    "rate": ("fold", "node", "extra"),
    "fold_sizes": ("fold",),
}


def write(
    path: str | Path, statistics: OneGram, check: HalvesCheck, rates: ErrorRates | None, facts: dict[str, Any]
) -> None:
    """Write a surface; `facts` are anything that JSON can hold, infinities too.

    Raises:
        InputError: when there is no such folder to write in.
    """
    import xarray as xr

    if not Path(path).parent.is_dir() or Path(path).is_dir():
        raise InputError(f"cannot write {str(path)!r}; expected the name of a file in an existing folder")
    s = statistics
    of_classes: dict[str, Any] = {}
    if rates is not None:
        of_classes = {f"rates_{name}": (dims, getattr(rates, name)) for name, dims in _RATES.items()}
        of_classes["check_log_rate_ratio"] = (("check_ratios", "check_ridge"), check.log_rate_ratio)
    xr.Dataset(
        {
            "log_kappa": ("step", s.log_kappa),
            "learned_modes": ("step", s.learned_modes),
            "partly_learned_modes": ("step", s.partly_learned_modes),
            "squared_error": (("fold", "step"), s.squared_error),
            "error_amplification": (("fold", "step"), s.error_amplification),
            "amplification": (("fold", "step"), s.amplification),
            "fold_sizes": ("fold", s.fold_sizes),
            "check_log_ratio": (("check_ratios", "check_ridge"), check.log_ratio),
        }
        | of_classes,
        {"check_ratios": check.ratios, "check_ridge": check.ridge},
        attrs={"format": _FORMAT, "n_samples": s.n_samples, "rank": s.rank, "facts": json.dumps(facts)},
    ).to_netcdf(path, engine="h5netcdf")


def read(path: str | Path) -> tuple[OneGram, HalvesCheck, ErrorRates | None, dict[str, Any]]:
    """Return what `write` wrote.

    Raises:
        InputError: when the file is missing or is not such a surface.
    """
    import xarray as xr

    expected = "expected a surface written by LearningSurface.save of this version"
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}; {expected}")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as data:
            data.load()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a netCDF file: {error}; {expected}") from None
    if data.attrs.get("format") != _FORMAT:
        raise InputError(f"{str(path)!r} holds something else; {expected}")
    counts = {name: int(data.attrs[name]) for name in ("n_samples", "rank")}
    names = [field.name for field in fields(OneGram) if field.name not in counts]
    statistics = OneGram(**counts, **{name: data[name].to_numpy() for name in names})  # pyright: ignore
    check = HalvesCheck(*(data[f"check_{name}"].to_numpy() for name in ("ratios", "ridge", "log_ratio")))
    rates = None
    if "rates_rate" in data:
        check = replace(check, log_rate_ratio=data["check_log_rate_ratio"].to_numpy())
        rates = ErrorRates(**{name: data[f"rates_{name}"].to_numpy() for name in _RATES})
    return statistics, check, rates, json.loads(str(data.attrs["facts"]))
