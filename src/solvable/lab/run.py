"""`run`: predict, measure, compare and record a study, from the command line or a notebook."""

import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from solvable.lab.compare import Comparison, compare
from solvable.lab.files import locked, netcdf_bytes, remove_leftovers
from solvable.lab.keys import record_key, trial_key
from solvable.lab.mathml import formulas_in, to_mathml
from solvable.lab.parameters import as_json, command_line
from solvable.lab.record import CACHE, Record, finished, seal, write_json
from solvable.lab.study import Study
from solvable.lab.trials import TrialStore, check_jobs, check_trials, run_trials
from solvable.machine import cores, parallel_trials
from solvable.streams import visible


def run(
    study: Study,
    parameters: Any = None,
    *,
    runs_dir: str | Path = "runs",
    n_jobs: int | None = None,
    cluster: str | None = None,
    quiet: bool = False,
) -> Record:
    """Run a study and return its record; a run that finished before is loaded, not repeated.

    Args:
        study: the study.
        parameters: an instance of its `Parameters`; by default `study.Parameters()`.
        runs_dir: the record goes to `<runs_dir>/<study>/<time>-<short hash>/`, finished trials to `<runs_dir>/.cache/`.
        n_jobs: number of parallel trials, -1 for one per core; by default one per core, or per thread of the cluster.
        cluster: address of a dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers run the trials; see
            `docs/cluster.md`.
        quiet: write neither messages nor a progress bar to stderr.

    Raises:
        InputError: if parameters or data cannot be used, or the cluster cannot be reached or goes away.
        MissingExtraError: if `cluster` is given and dask.distributed is not installed.
    """
    say = _discard if quiet else _to_stderr
    start = time.perf_counter()
    parameters = study.Parameters() if parameters is None else parameters
    runs_dir = Path(runs_dir)
    trials = getattr(parameters, "trials", 1)
    check_jobs(n_jobs)
    check_trials("trials", trials)
    for folder in (runs_dir / study.name, runs_dir / CACHE / study.name):
        remove_leftovers(folder)
    # The report would fail on a formula that cannot be set, after all the work.
    for is_formula, part in [pair for text in study.equations for pair in formulas_in(text)]:
        if is_formula:
            to_mathml(part)
    with parallel_trials(1 if cluster else n_jobs):
        setting = study.prepare(parameters)
    key = record_key(study, parameters, setting)
    if (record := finished(study, key, runs_dir)) is not None:
        say(
            f"This run was finished on {record.created[:16].replace('T', ' at ')} with the same parameters, data and "
            f"code; showing its record. To repeat the run, first delete it: solvable runs delete {record.name}"
        )
        return record
    if cluster:
        from solvable.lab.cluster import describe

        # Checked before the prediction, which may take minutes.
        say(describe(cluster))
    folder = runs_dir / CACHE / study.name / trial_key(study, parameters, setting)
    store = TrialStore.of_datasets(folder, "trial-{:04d}.nc".format)
    prediction = study.predict(parameters, setting)
    outcomes = run_trials(
        study.trial,
        (parameters, setting),
        [(index,) for index in range(trials)],
        store,
        n_jobs=n_jobs,
        cluster=cluster,
        quiet=quiet,
        say=say,
    )
    measurement = stacked(outcomes)
    comparison = compare(prediction, measurement, study.compared)
    facts = {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        "paper": study.paper,
        "headline": study.headline(prediction, measurement, comparison) if study.headline else "",
        "conclusion": study.conclude(prediction, measurement, comparison),
        "equations": study.equations,
        "command": command_line(study.name, parameters),
        "notes": _notes(setting, prediction, measurement),
        "key": key,
        "summary": comparison.summary,
    }
    return _write(study, parameters, setting, prediction, measurement, comparison, facts, runs_dir, start)


def stacked(trials: list[xr.Dataset]) -> xr.Dataset:
    """Return trials concatenated along a new dim `trial`."""
    return xr.concat(
        trials,
        dim=xr.Variable("trial", np.arange(len(trials))),
        join="exact",
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )


def _write(
    study: Study,
    parameters: Any,
    setting: Any,
    prediction: xr.Dataset,
    measurement: xr.Dataset,
    comparison: Comparison,
    facts: dict[str, Any],
    runs_dir: Path,
    start: float,
) -> Record:
    """Write the record's folder atomically, unless an equal run was faster, and return the record."""
    from solvable.lab.figure import house_style, save
    from solvable.lab.report import render

    with locked(runs_dir / study.name / facts["key"]) as folder:
        if (record := finished(study, facts["key"], runs_dir)) is not None:
            return record
        folder.mkdir()
        (folder / "prediction.nc").write_bytes(netcdf_bytes(prediction))
        (folder / "measurement.nc").write_bytes(netcdf_bytes(measurement))
        comparison.table.to_csv(folder / "comparison.csv", index=False)
        with house_style():
            figure = study.plot(prediction, measurement)
        save(figure, folder / "figure.svg")
        save(figure, folder / "figure.png")
        now = datetime.now().astimezone()
        facts |= {
            "created": now.isoformat(timespec="milliseconds"),
            "seconds": round(time.perf_counter() - start, 2),
        }
        for name, values in (
            ("parameters", parameters),
            ("environment", environment()),
            ("record", facts),
        ):
            write_json(folder / f"{name}.json", as_json(values))
        seal(folder)
        record = Record.load(folder)
        details = study.details(parameters, setting)
        (folder / "report.html").write_text(
            render(record, details), encoding="utf-8", errors="backslashreplace"
        )
        while (path := runs_dir / study.name / f"{now:%Y%m%d-%H%M%S}-{facts['key'][:7]}").exists():
            now += timedelta(seconds=1)  # a damaged record
        os.replace(folder, path)
    # Its table of errors is in memory, so that it can be shown even if another process deletes it now.
    object.__setattr__(record, "path", path)
    return record


def environment() -> dict[str, str | int]:
    """Return the machine and software versions that produced a record."""
    import solvable

    packages = ["numpy", "scipy", "scikit-learn", "pandas", "xarray"]
    if "torch" in sys.modules:  # it took part
        packages.append("torch")
    facts: dict[str, str | int] = {"solvable": solvable.__version__}
    if commit := _git_commit(Path(solvable.__file__).parent):
        facts["commit"] = commit
    facts |= {"python": platform.python_version(), "platform": platform.platform(), "cores": cores()}
    return facts | {package: version(package) for package in packages}


def _git_commit(folder: Path) -> str | None:
    """Return the commit of the library's source, marked as dirty if files differ from it."""
    git = ["git", "-C", str(folder)]
    try:
        # An installed library can lie inside an unrelated repository, whose commit does not apply to it.
        for arguments in (
            ["ls-files", "--error-unmatch", "__init__.py"],
            ["describe", "--always", "--dirty"],
        ):
            result = subprocess.run([*git, *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _notes(setting: Any, *datasets: xr.Dataset) -> list[str]:
    notes = list(getattr(setting, "notes", ()))
    for dataset in datasets:
        notes += [line for line in str(dataset.attrs.get("notes", "")).splitlines() if line.strip()]
    return list(dict.fromkeys(notes))


def _to_stderr(sentence: str) -> None:
    # Where stderr is closed, the run goes on.
    with suppress(OSError):
        print(visible(sentence), file=sys.stderr, flush=True)


def _discard(sentence: str) -> None:
    """Ignore a message."""
