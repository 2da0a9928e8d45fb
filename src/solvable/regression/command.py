"""The command `solvable diagnose`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cyclopts import App

from solvable import datasets
from solvable.checks import whole
from solvable.datasets.encoding import Missing
from solvable.datasets.files import LONGEST_PATH, existing_file, read_npy
from solvable.datasets.labels import Task
from solvable.datasets.readers import FILE_TYPES, read_column
from solvable.errors import InputError
from solvable.lab.figure import save as save_figure
from solvable.lab.files import write_netcdf
from solvable.lab.text import readable
from solvable.progress import progress
from solvable.regression.diagnose import NATURAL_KERNELS, Diagnosis, diagnose_dataset
from solvable.regression.diagnosis import MOST_SAMPLES
from solvable.regression.own_model import read_measured
from solvable.regression.surface import FEWEST_TRUSTED, TRUSTED_FACTOR
from solvable.streams import short
from solvable.terminal.arguments import FIGURES, Numbers, Whole, Words, check_path
from solvable.terminal.output import OUTPUT, Output, example

diagnose = App(name="diagnose", help_epilogue=example("solvable diagnose FILE.csv --target COLUMN --ridge 1"))


@diagnose.default
def diagnose_file(
    data: str,
    /,
    *,
    target: str | None = None,
    task: Task = "auto",
    kernel: str | None = None,
    ridge: float | None = None,
    groups: str | None = None,
    features: Path | None = None,
    missing: Missing = None,
    drop: Words = (),
    drop_repeats: bool = False,
    n_train: Numbers = (),
    want: float | None = None,
    measured: Path | None = None,
    figure: Path | None = None,
    save: Path | None = None,
    random_state: Whole = 0,
    output: Output = OUTPUT,
) -> None:
    """Estimate from labelled data what more labels would buy, which kernel and ridge are best, and how sure that is.

    Args:
        data: FILE.csv, FILE.parquet or FILE.npz (arrays X and y), or digits, wine, breast-cancer, diabetes, mnist,
            cifar10. Larger data sets are subsampled to 4000 rows.
        target: Column of the file to predict; by default one named target, label or y, else the last.
        task: Meaning of an integer target in a file; auto: classes if there are few different values.
        kernel: laplace, gaussian, matern32, matern52, rational-quadratic, linear, arc-cosine, relu-nngp or relu-ntk; by
            default the best of five by leave-one-out error.
        ridge: The ridge in use now, to be compared with the best.
        groups: Column that names the group of each row (patient, day); errors are then those on new groups.
        features: FILE.npy of an embedding of the rows (n, d), such as a pretrained model's, that replaces the inputs;
            the default kernel is then linear (a linear probe).
        missing: Treatment of missing values: drop the rows, or fill in the column's mean.
        drop: Columns to leave out.
        drop_repeats: Keep one of the rows whose inputs are equal, if they are copies made by mistake.
        n_train: Sizes of training sets to forecast; by default 1, 2, 4 and 10 times the sample.
        want: Error to reach (RMSE; for classes the error rate, 0.05 for 5 %), to print how many samples it takes.
        measured: FILE.csv of two columns, n and error, of your own model, to compare with the curve.
        figure: Write a figure of the curves: FILE.svg, FILE.png or FILE.pdf.
        save: Write the forecast as netCDF, for xarray.open_dataset: FILE.nc.
        random_state: Seed of the draw of rows.
        output: How the result is printed.
    """
    # Refuse bad options before the long work.
    check_path("figure", figure, FIGURES)
    check_path("save", save, (".nc",))
    whole("random_state", random_state, at_least=0)
    own = None if measured is None else read_measured(measured)
    suffix = Path(data).suffix.lower()
    if groups is not None:
        if suffix not in FILE_TYPES:
            raise InputError(f"--groups names a column of a file, but {data!r} has none; leave it out")
        read_column(Path(data), data, groups)  # raises for a wrong name
        if suffix != ".npz":  # whose groups are an array beside the inputs
            drop = (*drop, groups)
    loaded = datasets.load(
        data, target, task, missing, drop, rows=MOST_SAMPLES, random_state=random_state, quiet=output.silent
    )
    if features is not None:
        loaded = _with_features(loaded, features)
        kernel = kernel or "linear"
    codes = None if groups is None else read_column(Path(data), data, groups)[loaded.rows]
    stages = len(NATURAL_KERNELS) + 2 if kernel is None else 2
    with progress("preparing", stages, quiet=output.silent) as advance:
        diagnosis = diagnose_dataset(
            loaded,
            kernel,
            ridge,
            codes,
            random_state,
            drop_repeats=drop_repeats,
            watch=lambda stage: advance(next=stage),
        )
        if own is not None:
            diagnosis = diagnosis.with_measured(*own)
    _print(diagnosis, n_train, want, figure, save, output)


def _with_features(loaded: Any, path: Path) -> Any:
    """Return the data set with an embedding in place of its inputs."""
    name = short(path, LONGEST_PATH)
    embedding = read_npy(existing_file(path, name, "an array (n, d) saved by numpy.save"), name)
    if embedding.ndim != 2 or len(embedding) != loaded.n_rows:
        raise InputError(
            f"{name!r} has shape {embedding.shape}; expected one row for each of the {loaded.n_rows} rows of "
            f"{loaded.name!r}: (n, d)"
        )
    if embedding.dtype.kind not in "fiub":
        raise InputError(f"{name!r} has type {short(embedding.dtype)}; expected numbers (n, d)")
    y = loaded.labels if loaded.labels is not None else loaded.y + loaded.offset
    if y.ndim == 1 or y.shape[1] == 1:
        y = pd.Series(y.ravel(), name=loaded.target_name)
    task = "classes" if loaded.classes else "auto"
    data = datasets.from_arrays(embedding[loaded.rows], y, task=task, name=str(path))
    row_notes = [note for note in loaded.notes if "drawn at random" in note or "rows dropped" in note]
    return replace(data, n_rows=loaded.n_rows, rows=loaded.rows[data.rows], notes=(*row_notes, *data.notes))


def _print(
    diagnosis: Diagnosis,
    n_train: tuple[float, ...],
    want: float | None,
    figure: Path | None,
    save: Path | None,
    output: Output,
) -> None:
    forecast = diagnosis.forecast(n_train) if n_train else diagnosis.to_dataset()
    sizes = None if want is None else diagnosis.samples_for(want)
    measured = diagnosis.measured
    facts = {
        "data": diagnosis.data.name,
        "n_samples": diagnosis.n_samples,
        "n_rows": diagnosis.data.n_rows,
        "kernel": repr(diagnosis.kernel.kernel),
        "compared": diagnosis.compared,
        "optimal_ridge": diagnosis.optimal_ridge,
        "ridge": diagnosis.ridge,
        "ridge_cost": None if diagnosis.ridge is None else diagnosis.cost_of(diagnosis.ridge),
        "noise": diagnosis.noise,
        "noise_interval": diagnosis.noise_interval,
        "exponents": diagnosis.exponents,
        "variance": diagnosis.variance,
        "forecast": _records(forecast.reset_coords(drop=True)),
        "samples_for": sizes,
        "optimism": diagnosis.optimism,
        "near_duplicates": diagnosis.near_duplicates,
        "log_fall_ratio": diagnosis.surface.check.log_fall_ratio,
        "measured": None if measured is None else _records(measured),
        "notes": diagnosis.notes,
    }
    text = str(diagnosis) if not (output.json or output.quiet) else ""

    def full() -> None:
        print(text)
        if n_train:
            print(f"\n{_forecast_lines(diagnosis, forecast)}")
        if sizes is not None:
            print(f"\n{_samples_line(diagnosis, want, sizes)}")

    short = forecast[diagnosis.measure].to_numpy() if sizes is None else sizes[:1]
    files = {
        figure: lambda path: save_figure(diagnosis.plot(), path),
        save: lambda path: write_netcdf(diagnosis.to_dataset(), path),
    }
    output.emit(facts, [f"{value:.6g}" for value in short], full, files)


def _records(table: Any) -> list[dict[str, Any]]:
    return table.to_dataframe().reset_index().to_dict("records")


def _forecast_lines(diagnosis: Diagnosis, forecast: Any) -> str:
    lines = [f"{diagnosis.measure} for --n-train (90 % interval, best ridge):"]
    for i, n in enumerate(forecast.n_train.to_numpy()):
        one = forecast.isel(n_train=i)
        value, low, high = (float(one[f"{diagnosis.measure}{end}"]) for end in ("", "_low", "_high"))
        remark = ""
        if n < FEWEST_TRUSTED:
            remark = f"; too few: the theory is trusted from {FEWEST_TRUSTED} samples"
        elif n > TRUSTED_FACTOR * diagnosis.n_samples:
            remark = f"; beyond the tested range ({TRUSTED_FACTOR} times the sample)"
        lines.append(
            f"  {n:>10.0f}  {value:.4g} ({low:.4g} to {high:.4g}), ridge {float(one.ridge):.2g}{remark}"
        )
    return "\n".join(lines)


def _samples_line(diagnosis: Diagnosis, want: float | None, sizes: tuple[float, float, float]) -> str:
    most = TRUSTED_FACTOR * diagnosis.n_samples
    n, low, high = (f"more than {most}" if np.isinf(size) else readable(round(size)) for size in sizes)
    return (
        f"{diagnosis.measure} {want:g} takes {n} samples at the best ridge (90 % interval: {low} to {high}; the curve "
        f"is trusted up to {most})."
    )
