"""Run a study's trials in parallel and keep each finished one on disk, so that a killed run can go on."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from solvable.lab.files import read_netcdf, remove_leftovers, write_netcdf
from solvable.lab.progress import progress
from solvable.lab.study import Study


def sweep(
    study: Study,
    parameters: Any,
    setting: Any,
    folder: str | Path,
    *,
    n_jobs: int | None = None,
    cluster: str | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> xr.Dataset:
    """Return the trials of a study, stacked along a new dim `trial`.

    Trials found in `folder` are not run again; a damaged file counts as not found. Trials run in threads,
    with BLAS held to the cores that are left to each, unless they are sent to a cluster or the caller has chosen
    another engine, as in `with joblib.parallel_config(backend="loky"): ...`.

    Args:
        study: whose `trial` runs.
        parameters: an instance of its `Parameters`.
        setting: what its `prepare` returned.
        folder: where trials are kept, one netCDF file each; the caller names it by everything they depend on.
        n_jobs: how many trials run at once; by default as many as there are cores, or cluster workers have threads.
        cluster: address of a dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers run the trials.
        quiet: show no progress bar; there is none either where stderr is no terminal.
        say: is told, in a sentence, how many trials were found.

    Raises:
        InputError: when the cluster cannot be reached, or goes away; finished trials stay.
    """
    folder = Path(folder)
    paths = [folder / f"trial-{index:04d}.nc" for index in range(getattr(parameters, "trials", 1))]
    remove_leftovers(folder)
    found = {index: trial for index, path in enumerate(paths) if (trial := _read(path)) is not None}
    missing = [index for index in range(len(paths)) if index not in found]
    if found and missing:
        say(
            f"Found {len(found)} of {len(paths)} trials from an earlier run; "
            f"measuring the other {len(missing)}."
        )
    elif found:
        say(f"Found all {len(paths)} trials from an earlier run.")
    if missing:
        _measure(study, parameters, setting, paths, missing, n_jobs, cluster, quiet)
        # Read back rather than kept, so that a run in one go and one that was killed give the same dataset to
        # the bit.
        found |= {index: read_netcdf(paths[index]) for index in missing}
    trials = [found[index] for index in range(len(paths))]
    return xr.concat(
        trials,
        dim=xr.Variable("trial", np.arange(len(trials))),
        join="exact",
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )


def _measure(
    study: Study,
    parameters: Any,
    setting: Any,
    paths: list[Path],
    missing: list[int],
    n_jobs: int | None,
    cluster: str | None,
    quiet: bool,
) -> None:
    """Run the missing trials and write each as it finishes, in the order in which they finish."""
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    engine, configured = get_active_backend(prefer="threads")
    if (
        n_jobs is None
        and not cluster
        and type(engine).__name__ == "ThreadingBackend"
        and configured in (None, 1)
    ):
        n_jobs = min(cores, len(missing))
    # Without this, every trial's BLAS would start as many threads as there are cores.
    blas_threads = max(1, cores // n_jobs) if n_jobs and not cluster else None
    bar = progress("trials", len(paths), done=len(paths) - len(missing), quiet=quiet)
    with threadpool_limits(blas_threads, user_api="blas"), bar as advance, ExitStack() as stack:
        if cluster:
            from solvable.lab.cluster import trials_on

            # Closed at once when the run is interrupted, so that the cluster stops working for it.
            finished: Any = stack.enter_context(
                closing(trials_on(cluster, study.trial, parameters, setting, missing, n_jobs))
            )
        else:
            jobs_to_do = (
                delayed(_indexed_trial)(study.trial, parameters, setting, index) for index in missing
            )
            finished = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")(jobs_to_do)
        for index, trial in finished:
            write_netcdf(trial, paths[index])
            advance()


def _indexed_trial(
    trial: Callable[..., xr.Dataset], parameters: Any, setting: Any, index: int
) -> tuple[int, Any]:
    return index, trial(parameters, setting, index)


def _read(path: Path) -> xr.Dataset | None:
    """Return a kept trial, or None where there is none that can be used."""
    if not path.exists():
        return None
    try:
        return read_netcdf(path)
    # A damaged HDF5 file raises whatever the library stumbles over first; all of it means: run the trial
    # again.
    except Exception:
        return None
