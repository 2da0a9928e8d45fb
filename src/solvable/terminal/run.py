"""The commands `solvable run STUDY` and `solvable list`."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from solvable.errors import InputError
from solvable.lab.run import run
from solvable.lab.study import Study
from solvable.lab.trials import check_jobs
from solvable.machine import parallel_trials
from solvable.terminal.arguments import OptionalWhole, example_of, options_of
from solvable.terminal.output import OUTPUT, Output, example, plain, print_styled
from solvable.terminal.records import print_record

HELP = """Run a study: predict, measure, compare, and keep a record with figure and report.

Finished trials are kept: rerun the same command to resume a run that was stopped.

For the options of a study: solvable run STUDY --help"""


def run_app(studies: Sequence[Study]) -> App:
    """Return the command `run` with a sub-command for each study."""
    app = App(name="run", help=HELP)
    for study in studies:
        app.command(_run_command(study), name=study.name, help_epilogue=example(example_of(study)))
    return app


def _run_command(study: Study) -> Callable[..., None]:
    """Return the command that runs one study, with the fields of its `Parameters` as options."""

    def command(
        *, output: Output = OUTPUT, n_jobs: OptionalWhole = None, cluster: str = "", **values: Any
    ) -> None:
        check_jobs(n_jobs)
        try:
            with parallel_trials(1 if cluster else n_jobs):
                parameters = study.Parameters(**values)
        except InputError:
            raise
        except ValueError as error:  # a check in the study's own Parameters
            raise InputError(str(error)) from None
        record = run(
            study,
            parameters,
            runs_dir=output.runs_dir,
            n_jobs=n_jobs,
            cluster=cluster or None,
            quiet=output.silent,
        )
        print_record(record, output)

    jobs_help = "Number of parallel trials; by default one per core, or per thread of the cluster."
    jobs = Annotated[OptionalWhole, Parameter(help=jobs_help, group="Engine")]
    cluster_help = (
        "Address of a dask scheduler whose workers run the trials, such as tcp://127.0.0.1:8786. Start one with "
        "`dask scheduler`, and run `dask worker ADDRESS --nworkers auto` on each worker machine."
    )
    cluster = Annotated[
        str, Parameter(help=cluster_help, group="Engine", env_var="SOLVABLE_CLUSTER", show_default=False)
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        *options_of(study.Parameters),
        inspect.Parameter("n_jobs", keyword, default=None, annotation=jobs),
        inspect.Parameter("cluster", keyword, default="", annotation=cluster),
        inspect.Parameter("output", keyword, default=OUTPUT, annotation=Output),
    ]
    command.__signature__ = inspect.Signature(options)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = f"{study.title}.\n\n{study.question}"
    return command


def list_studies(studies: Sequence[Study], output: Output) -> None:
    """Print the studies that can be run."""
    from rich.padding import Padding

    facts = [{"name": s.name, "title": s.title, "question": s.question, "paper": s.paper} for s in studies]

    def full() -> None:
        for study in studies:
            print_styled(f"[bold]{plain(study.name)}[/bold]  {plain(study.title)}")
            print_styled(Padding(f"{plain(study.question)}\n[dim]{plain(study.paper)}[/dim]", (0, 0, 1, 4)))

    output.emit(facts, [study.name for study in studies], full)
