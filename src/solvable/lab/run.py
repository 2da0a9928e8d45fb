"""`run`: predict, measure, compare and record a study; what the command line and a notebook call."""

import json
import platform
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from solvable.lab.compare import Comparison, compare
from solvable.lab.files import atomically, remove_leftovers, write_netcdf
from solvable.lab.keys import record_key, trial_key
from solvable.lab.parameters import as_json, command_line
from solvable.lab.record import CACHE, Record, finished
from solvable.lab.study import Study
from solvable.lab.trials import TrialStore, check_jobs, run_trials
from solvable.machine import cores


def run(
    study: Study,
    parameters: Any = None,
    *,
    runs_dir: str | Path = "runs",
    n_jobs: int | None = None,
    cluster: str | None = None,
    quiet: bool = False,
) -> Record:
    """Return the record of a study at these parameters; a run finished before is found, not repeated.

    Args:
        study: what to run.
        parameters: an instance of its `Parameters`; the defaults when left out.
        runs_dir: the record goes to `<runs_dir>/<study>/<time>-<short hash>/`, finished trials to
            `<runs_dir>/.cache/`.
        n_jobs: how many trials run at once, -1 for one on each core; by default as many as there are cores, or cluster
            workers have threads.
        cluster: address of a dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers run the trials; see
            `docs/cluster.md`.
        quiet: write neither sentences nor a progress bar to stderr.

    Raises:
        InputError: when parameters or data cannot be used, or the cluster cannot be reached or goes away.
        MissingExtraError: when a cluster is named and dask.distributed is not installed.
    """
    say = _silent if quiet else _to_stderr
    started = time.perf_counter()
    parameters = study.Parameters() if parameters is None else parameters
    runs_dir = Path(runs_dir)
    check_jobs(n_jobs)
    remove_leftovers(runs_dir / study.name)
    setting = study.prepare(parameters)
    key = record_key(study, parameters, setting)
    if (done := finished(study, key, runs_dir)) is not None:
        say(
            f"This run was finished on {done.created[:16].replace('T', ' at ')} with the same parameters, "
            f"data and code, so its record is shown; to have it made anew, delete it first: "
            f"solvable runs delete {done.name}"
        )
        return done
    if cluster:
        from solvable.lab.cluster import describe

        # Before the prediction, which may take minutes.
        say(describe(cluster))
    folder = runs_dir / CACHE / study.name / trial_key(study, parameters, setting)
    store = TrialStore.of_datasets(folder, "trial-{:04d}.nc".format)
    prediction = study.predict(parameters, setting)
    trials = run_trials(
        study.trial,
        (parameters, setting),
        [(index,) for index in range(getattr(parameters, "trials", 1))],
        store,
        n_jobs=n_jobs,
        cluster=cluster,
        quiet=quiet,
        say=say,
    )
    measurement = stacked(trials)
    comparison = compare(prediction, measurement, study.compared)
    facts = {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        "paper": study.paper,
        "conclusion": study.conclude(prediction, measurement, comparison),
        "command": command_line(study.name, parameters),
        "notes": _notes(setting, prediction, measurement),
        "key": key,
        "summary": comparison.summary,
    }
    return _write(study, parameters, prediction, measurement, comparison, facts, runs_dir, started)


def stacked(trials: list[xr.Dataset]) -> xr.Dataset:
    """Return trials as one dataset, along a new dim `trial`."""
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
    prediction: xr.Dataset,
    measurement: xr.Dataset,
    comparison: Comparison,
    facts: dict[str, Any],
    runs_dir: Path,
    started: float,
) -> Record:
    """Write the record's folder under a temporary name and rename it when it is complete."""
    from solvable.lab.figure import house_style, save
    from solvable.lab.report import render

    if (done := finished(study, facts["key"], runs_dir)) is not None:
        return done  # another process was faster
    now = datetime.now().astimezone()
    path = runs_dir / study.name / f"{now:%Y%m%d-%H%M%S}-{facts['key'][:7]}"
    with atomically(path) as folder:
        folder.mkdir()
        write_netcdf(prediction, folder / "prediction.nc")
        write_netcdf(measurement, folder / "measurement.nc")
        comparison.table.to_csv(folder / "comparison.csv", index=False)
        with house_style():
            figure = study.plot(prediction, measurement)
        save(figure, folder / "figure.svg")
        save(figure, folder / "figure.png")
        facts |= {
            "created": now.isoformat(timespec="milliseconds"),
            "seconds": round(time.perf_counter() - started, 2),
        }
        _write_json(folder / "parameters.json", parameters)
        _write_json(folder / "environment.json", environment())
        _write_json(folder / "record.json", facts)
        (folder / "report.html").write_text(render(Record.load(folder)), encoding="utf-8")
    return Record.load(path)


def environment() -> dict[str, str | int]:
    """Return what a reader needs to know about the machine and the software that made a record."""
    import solvable

    # torch is named only where it took part.
    packages = [
        "numpy",
        "scipy",
        "scikit-learn",
        "pandas",
        "xarray",
        *(["torch"] if "torch" in sys.modules else []),
    ]
    facts: dict[str, str | int] = {"solvable": solvable.__version__}
    if commit := _git_commit(Path(solvable.__file__).parent):
        facts["commit"] = commit
    facts |= {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": cores(),
    }
    return facts | {package: version(package) for package in packages}


def _git_commit(folder: Path) -> str | None:
    """Return the commit that the library's source is at, marked where files differ from it."""
    git = ["git", "-C", str(folder)]
    try:
        # An installed library can lie inside someone else's repository, whose commit says nothing about it.
        for arguments in (
            ["ls-files", "--error-unmatch", "__init__.py"],
            ["describe", "--always", "--dirty"],
        ):
            done = subprocess.run([*git, *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _notes(setting: Any, *datasets: xr.Dataset) -> list[str]:
    notes = list(getattr(setting, "notes", ()))
    for dataset in datasets:
        notes += [line for line in str(dataset.attrs.get("notes", "")).splitlines() if line.strip()]
    return list(dict.fromkeys(notes))


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(as_json(value), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _to_stderr(sentence: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)


def _silent(sentence: str) -> None:
    """Say nothing."""
