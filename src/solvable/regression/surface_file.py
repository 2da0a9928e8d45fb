"""Read and write learning surfaces as netCDF files: statistics, check, error rates and labels, without pickle."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from solvable.errors import InputError
from solvable.lab.files import write_netcdf
from solvable.regression.error_rate import ErrorRates
from solvable.regression.halves import HalvesCheck
from solvable.regression.one_gram import OneGram

# Raise the number when the content of a file changes, so that older files are refused, not misread.
_FORMAT = "solvable learning surface 5"

_RATES = {
    "log_kappa": ("node",),
    "extra": ("extra",),
    "rate": ("fold", "node", "extra"),
    "fold_sizes": ("fold",),
}
_COUNTS = ("n_samples", "rank", "n_distinct", "intercept")
_ARRAYS = {
    "log_kappa": ("step",),
    "learned_modes": ("step",),
    "partly_learned_modes": ("step",),
    "squared_error": ("fold", "step"),
    "error_amplification": ("fold", "step"),
    "amplification": ("fold", "step"),
    "fold_sizes": ("fold",),
    "noise": ("noise",),
    "log_evidence": ("noise",),
}


def write(
    path: str | Path, statistics: OneGram, check: HalvesCheck, rates: ErrorRates | None, facts: dict[str, Any]
) -> None:
    """Write a surface; `facts` are values that JSON can represent, infinities included.

    Raises:
        InputError: when there is no such folder to write in, or no room.
    """
    import xarray as xr

    if not Path(path).parent.is_dir() or Path(path).is_dir():
        raise InputError(f"cannot write {str(path)!r}; expected the name of a file in an existing folder")
    variables: dict[str, Any] = {name: (dims, getattr(statistics, name)) for name, dims in _ARRAYS.items()}
    variables["check_log_ratio"] = (("check_ratios", "check_ridge"), check.log_ratio)
    if rates is not None:
        variables |= {f"rates_{name}": (dims, getattr(rates, name)) for name, dims in _RATES.items()}
        variables["check_log_rate_ratio"] = (("check_ratios", "check_ridge"), check.log_rate_ratio)
    variables["check_log_fall_ratio"] = ((), check.log_fall_ratio)
    counts = {name: getattr(statistics, name) for name in _COUNTS}
    attrs = {"format": _FORMAT, **counts, "facts": json.dumps(facts)}
    coords = {"check_ratios": check.ratios, "check_ridge": check.ridge}
    write_netcdf(xr.Dataset(variables, coords, attrs), Path(path))


def read(path: str | Path) -> tuple[OneGram, HalvesCheck, ErrorRates | None, dict[str, Any]]:
    """Return the arguments of `write` but the path.

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
        raise InputError(f"{str(path)!r} has another format; {expected}")
    arrays: dict[str, Any] = {name: data[name].to_numpy() for name in _ARRAYS}
    counts: dict[str, Any] = {name: int(data.attrs[name]) for name in _COUNTS}
    facts = json.loads(str(data.attrs["facts"]))
    statistics = OneGram(**counts, **arrays, n_modes=facts["n_modes"])
    ratios, ridge, log_ratio = (data[f"check_{name}"].to_numpy() for name in ("ratios", "ridge", "log_ratio"))
    check = HalvesCheck(ratios, ridge, log_ratio)
    check = replace(check, log_fall_ratio=float(data["check_log_fall_ratio"]))
    rates = None
    if "rates_rate" in data:
        check = replace(check, log_rate_ratio=data["check_log_rate_ratio"].to_numpy())
        rates = ErrorRates(**{name: data[f"rates_{name}"].to_numpy() for name in _RATES})
    return statistics, check, rates, facts
