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
from solvable.datasets.labels import Task
from solvable.datasets.readers import FILE_TYPES, read_column
from solvable.errors import InputError
from solvable.lab.figure import save as save_figure
from solvable.lab.text import readable
from solvable.progress import progress
from solvable.regression.diagnose import NATURAL_KERNELS, Diagnosis, diagnose_dataset
from solvable.regression.diagnosis import MOST_SAMPLES
from solvable.regression.own_model import read_measured
from solvable.regression.surface import TRUSTED_FACTOR
from solvable.terminal.arguments import FIGURES, Numbers, Words, check_path
from solvable.terminal.output import OUTPUT, Output, example, print_written

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
    n_train: Numbers = (),
    want: float | None = None,
    measured: Path | None = None,
    figure: Path | None = None,
    save: Path | None = None,
    random_state: int = 0,
    output: Output = OUTPUT,
) -> None:
    """Say what your labelled data tell: what more labels would buy, which kernel and ridge, and how sure that is.

    Args:
        data: FILE.csv, FILE.parquet or FILE.npz (arrays X and y), or digits, wine, breast-cancer, diabetes, mnist,
            cifar10. Of more than 4000 rows 4000 are drawn at random.
        target: Column of the file to predict; by default one named target, label or y, else the last.
        task: What integers to predict in a file mean; auto: classes when they are few.
        kernel: laplace, gaussian, matern32, matern52, rational-quadratic, linear, arc-cosine, relu-nngp or relu-ntk; by
            default the best of five by leave-one-out error.
        ridge: The ridge that you use now, to see what it costs.
        groups: Column that names the group of each row (patient, day); errors are then those on new groups.
        features: FILE.npy of an embedding of the rows (n, d), such as a pretrained model's; what would more labels buy
            a linear probe? It takes the place of the inputs; the kernel is linear.
        missing: What to do with missing values: drop the rows, or fill in the column's mean.
        drop: Columns to leave out.
        n_train: Sizes of training sets to forecast; by default 1, 2, 4 and 10 times the sample.
        want: An error that you want to reach (RMSE; for classes the error rate, 0.05 for 5 %): how many samples does it
            take?
        measured: FILE.csv of two columns, n and error, of a model of your own, to lay over the curve.
        figure: Where to draw the curves: FILE.svg, FILE.png or FILE.pdf.
        save: Where to keep the forecast as netCDF, to be read again by xarray.open_dataset: FILE.nc.
        random_state: Seed of the draw of rows.
        output: How the result is printed.
    """
    # What can be refused at once is, before the long work.
    check_path("figure", figure, FIGURES)
    check_path("save", save, (".nc",))
    whole("random_state", random_state, at_least=0)
    own = None if measured is None else read_measured(measured)
    if groups is not None and Path(data).suffix.lower() not in FILE_TYPES:
        raise InputError(f"--groups names a column of a file, but {data!r} has none; leave it out")
    if groups is not None:
        read_column(Path(data).expanduser(), data, groups)  # a wrong name is said as one of --groups
    # A file of arrays has its groups beside the inputs, not among them.
    left_out = drop if groups is None or Path(data).suffix.lower() == ".npz" else (*drop, groups)
    loaded = datasets.load(
        data,
        target,
        task,
        missing,
        left_out,
        rows=MOST_SAMPLES,
        random_state=random_state,
        quiet=output.silent,
    )
    if features is not None:
        loaded = _with_features(loaded, features)
        kernel = kernel or "linear"
    codes = None if groups is None else read_column(Path(data).expanduser(), data, groups)[loaded.rows]
    stages = len(NATURAL_KERNELS) + 2 if kernel is None else 2
    with progress("preparing", stages, quiet=output.silent) as advance:
        diagnosis = diagnose_dataset(
            loaded, kernel, ridge, codes, random_state, watch=lambda stage: advance(next=stage)
        )
        if own is not None:
            diagnosis = diagnosis.with_measured(*own)
    _print(diagnosis, n_train, want, figure, save, output)


def _with_features(loaded: Any, path: Path) -> Any:
    """Return the data set with an embedding in place of its inputs."""
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; expected an array (n, d) saved by numpy.save")
    try:
        embedding = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as problem:
        raise InputError(
            f"{str(path)!r} cannot be read as a .npy file ({problem}); expected an array (n, d) saved by numpy.save"
        ) from None
    if not isinstance(embedding, np.ndarray) or embedding.ndim != 2 or len(embedding) != loaded.n_rows:
        raise InputError(
            f"{str(path)!r} has shape {np.shape(embedding)}; expected one row for each of the {loaded.n_rows} rows of "
            f"{loaded.name!r}: (n, d)"
        )
    if embedding.dtype.kind not in "fiub":
        raise InputError(f"{str(path)!r} has type {embedding.dtype}; expected numbers (n, d)")
    y = loaded.labels if loaded.labels is not None else loaded.y + loaded.offset
    if y.ndim == 1 or y.shape[1] == 1:
        y = pd.Series(y.ravel(), name=loaded.target_name)
    found = datasets.from_arrays(
        embedding[loaded.rows], y, task="classes" if loaded.classes else "auto", name=str(path)
    )
    drawn = [note for note in loaded.notes if "drawn at random" in note or "rows dropped" in note]
    return replace(found, n_rows=loaded.n_rows, rows=loaded.rows[found.rows], notes=(*drawn, *found.notes))


def _print(
    diagnosis: Diagnosis,
    n_train: tuple[float, ...],
    want: float | None,
    figure: Path | None,
    save: Path | None,
    output: Output,
) -> None:
    forecast = diagnosis.forecast(n_train) if n_train else diagnosis.to_dataset()
    reached = None if want is None else diagnosis.samples_for(want)
    written = []
    if figure is not None:
        save_figure(diagnosis.plot(), figure)
        written.append(str(figure))
    if save is not None:
        diagnosis.to_dataset().to_netcdf(save, engine="h5netcdf")
        written.append(str(save))
    facts = {
        "data": diagnosis.data.name,
        "n_samples": diagnosis.n_samples,
        "n_rows": diagnosis.data.n_rows,
        "kernel": repr(diagnosis.kernel.kernel),
        "compared": diagnosis.compared,
        "optimal_ridge": diagnosis.optimal_ridge,
        "noise": diagnosis.noise,
        "noise_interval": diagnosis.noise_interval,
        "exponents": diagnosis.exponents,
        "variance": diagnosis.variance,
        "forecast": forecast.reset_coords(drop=True).to_dataframe().reset_index().to_dict("records"),
        "samples_for": reached,
        "measured": None
        if diagnosis.measured is None
        else diagnosis.measured.to_dataframe().reset_index().to_dict("records"),
        "notes": diagnosis.notes,
        "written": written,
    }
    text = str(diagnosis) if not (output.json or output.quiet) else ""

    def full() -> None:
        print(text)
        if n_train:
            print(f"\n{_asked(diagnosis, forecast)}")
        if reached is not None:
            print(f"\n{_reached(diagnosis, want, reached)}")
        print_written(written)

    short = forecast[diagnosis.measure].to_numpy() if reached is None else reached[:1]
    output.emit(facts, [f"{value:.6g}" for value in short], full)


def _asked(diagnosis: Diagnosis, forecast: Any) -> str:
    lines = [f"{diagnosis.measure} as asked (90 % interval, best ridge):"]
    for i, n in enumerate(forecast.n_train.to_numpy()):
        one = forecast.isel(n_train=i)
        value, low, high = (float(one[f"{diagnosis.measure}{end}"]) for end in ("", "_low", "_high"))
        lines.append(f"  {n:>10.0f}  {value:.4g} ({low:.4g} to {high:.4g}), ridge {float(one.ridge):.2g}")
    return "\n".join(lines)


def _reached(diagnosis: Diagnosis, want: float | None, reached: tuple[float, float, float]) -> str:
    most = TRUSTED_FACTOR * diagnosis.n_samples
    n, low, high = reached

    def size(value: float) -> str:
        return f"more than {most}" if value == float("inf") else readable(round(value))

    return (
        f"{diagnosis.measure} {want:g} takes {size(n)} samples at the best ridge (90 % interval: {size(low)} to "
        f"{size(high)}; the curve is trusted up to {most})."
    )
