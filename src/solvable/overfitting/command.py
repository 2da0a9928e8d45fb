"""The command `solvable noise-profile`."""

from pathlib import Path
from typing import Any

from cyclopts import App

from solvable import datasets
from solvable.checks import one_number, whole
from solvable.datasets import Dataset
from solvable.datasets.encoding import Missing
from solvable.datasets.labels import Task
from solvable.errors import InputError
from solvable.lab.figure import save as save_figure
from solvable.lab.record import CACHE
from solvable.overfitting.build_task import prepare
from solvable.overfitting.drawing import draw_profile
from solvable.overfitting.estimators import kind_of, maker, takes_missing
from solvable.overfitting.noise_profile import NoiseProfile
from solvable.overfitting.noise_profile import noise_profile as noise_profile_of
from solvable.overfitting.verdict import verdict_on
from solvable.streams import visible
from solvable.terminal.arguments import FIGURES, Numbers, OptionalWhole, Whole, Wholes, Words, check_path
from solvable.terminal.estimator import estimator_named, params_from
from solvable.terminal.output import OUTPUT, Output, example

_CACHE = "noise-profile"
# Parts of notes by `datasets.load` on its encoding of targets and on leave-one-out, neither of which is used here.
_IRRELEVANT = ("one-hot columns minus", "was subtracted", "leave-one-out")

noise_profile = App(
    name="noise-profile", help_epilogue=example("solvable noise-profile FILE.csv --target COLUMN")
)


@noise_profile.default
def profile_file(
    data: str,
    /,
    *,
    estimator: str | None = None,
    params: str = "",
    target: str | None = None,
    task: Task = "auto",
    missing: Missing = None,
    drop: Words = (),
    rows: Whole = 5000,
    noise_levels: Numbers = (),
    train_sizes: Wholes = (),
    trials: Whole = 10,
    test_size: float | None = None,
    judge_at: float | None = None,
    strict: bool = False,
    n_jobs: OptionalWhole = None,
    figure: Path | None = None,
    save: Path | None = None,
    random_state: Whole = 0,
    output: Output = OUTPUT,
) -> None:
    """Classify a model's overfitting on your data as benign, tempered or catastrophic.

    The model is trained at several training sizes, with a known share of wrong labels, and tested on the original
    labels. If the cost of wrong labels vanishes with more data, overfitting is benign: spend on data. If it
    stays, it is tempered: clean labels, add a ridge, or stop early. If it grows to chance, it is catastrophic.

    Finished trials are kept: an interrupted run continues, and more trials, sizes or noise levels measure only what is
    missing.

    Args:
        data: FILE.csv, FILE.parquet or FILE.npz (arrays X and y), or digits, wine, breast-cancer, diabetes, mnist,
            cifar10. Inputs are scaled, text becomes one-hot columns.
        estimator: MODULE:NAME of a class with scikit-learn's fit and predict, of an instance, or of a function of the
            number of training samples that returns one (k = log n); modules in the working directory are found. By
            default sklearn.ensemble:RandomForestClassifier, or RandomForestRegressor for a number.
        params: The estimator's parameters: n_estimators=50,max_depth=none.
        target: Column of the file to predict; by default one named target, label or y, else the last.
        task: Meaning of an integer target in a file; auto: classes if there are few different values.
        missing: Treatment of missing values: drop the rows, or fill in the column's mean.
        drop: Columns to leave out.
        rows: Larger data sets are subsampled to this many rows.
        noise_levels: Shares of labels to make wrong, as in 0.1,0.2 (default 0.1,0.2,0.3,0.4). For a number: standard
            deviations of the noise, in units of the target's (default 0.5,1). 0 is always measured.
        train_sizes: Numbers of training samples; by default six over a factor of 32. A verdict needs four over a factor
            of 8.
        trials: Repetitions of each size and noise level; a verdict needs three.
        test_size: Share or number of rows to test on; by default a fifth, at most 2000.
        judge_at: Noise level of the verdict, one of the --noise-levels; without these it is added to the default ones.
            By default the one nearest to 0.2 (for a number the highest).
        strict: Allow for a cost that vanishes very slowly with n; this decides less often.
        n_jobs: Processes that run trials, -1 for one on each core; by default 1. The result is the same.
        figure: Write a figure of errors and sensitivity: FILE.svg, FILE.png or FILE.pdf.
        save: Write the profile as netCDF, for NoiseProfile.load: FILE.nc.
        random_state: Seed of everything random: rows, test set, training subsets, wrong labels, estimators.
        output: How the result is printed.
    """
    # Refuse bad options before the long work.
    check_path("figure", figure, FIGURES)
    check_path("save", save, (".nc",))
    whole("random_state", random_state, at_least=0)
    if judge_at is not None:
        one_number("judge_at", judge_at, above=0.0)
        if noise_levels and judge_at not in noise_levels:
            raise InputError(f"--judge-at {judge_at:g} is not among the --noise-levels; add it to them")
    settings = params_from(params)
    named = None if estimator is None else estimator_named(estimator, settings)
    loaded = datasets.load(
        data, target, task, missing, drop, rows=rows, random_state=random_state, quiet=output.silent
    )
    if named is None:
        kind = "RandomForestClassifier" if loaded.classes else "RandomForestRegressor"
        named = estimator_named(f"sklearn.ensemble:{kind}", settings)
    profile = noise_profile_of(
        named,
        loaded.X,
        _labels(loaded),
        noise_levels or _levels_with(judge_at, named, loaded),
        train_sizes=train_sizes or None,
        n_trials=trials,
        test_size=test_size,
        random_state=random_state,
        n_jobs=n_jobs,
        cache=output.runs_dir / CACHE / _CACHE,
        quiet=output.silent,
    )
    _print(_with_notes(profile, loaded), loaded, judge_at, strict, figure, save, output)


def _levels_with(judge_at: float | None, estimator: Any, loaded: Dataset) -> list[float] | None:
    """Return the default noise levels and the one to judge by; None if that is not given."""
    if judge_at is None:
        return None
    first = maker(estimator)(loaded.n_rows)
    # The default levels depend on the number of classes, and on whether the estimator predicts classes.
    task = prepare(loaded.X, _labels(loaded), kind=kind_of(first, "auto"), nan_allowed=takes_missing(first))
    return [*task.levels(None), judge_at]


def _labels(loaded: Dataset) -> Any:
    """Return the original labels; a single column of numbers is flattened, since some estimators warn of columns."""
    if loaded.labels is not None:
        return loaded.labels
    y = loaded.y + loaded.offset
    return y[:, 0] if y.shape[1] == 1 else y


def _with_notes(profile: NoiseProfile, loaded: Dataset) -> NoiseProfile:
    """Return the profile with the notes on the data added, so that a saved profile has them too."""
    notes = [note for note in loaded.notes if not any(part in note for part in _IRRELEVANT)]
    joined = "\n".join([*notes, str(profile.data.attrs["notes"])]).strip()
    return NoiseProfile(profile.data.assign_attrs(notes=joined))


def _print(
    profile: NoiseProfile,
    loaded: Dataset,
    judge_at: float | None,
    strict: bool,
    figure: Path | None,
    save: Path | None,
    output: Output,
) -> None:
    level = profile.judged_level(judge_at)
    try:
        verdict = profile.verdict(level, strict=strict)
    except InputError:  # nothing was learned, as the text says
        verdict = None
    regime = "undecided" if verdict is None else verdict.regime
    gain = profile.cleaning_gain(level)
    facts: dict[str, Any] = {
        "data": loaded.name,
        "n_rows": loaded.n_rows,
        "estimator": profile.estimator,
        "loss": profile.data.attrs["loss"],
        "n_classes": profile.n_classes,
        "channel": profile.data.attrs["channel"],
        "n_test": int(profile.data.attrs["n_test"]),
        "n_trials": profile.n_trials,
        "judged_at": level,
        "strict": strict,
        "regime": regime,
        "verdict": verdict,
        "profile": profile.to_frame().to_dict("records"),
        "cleaning_gain": [
            {"n_train": int(n), "gain": float(value), "standard_error": float(error)}
            for n, value, error in zip(gain.n_train, gain, gain.standard_error, strict=True)
        ],
        "notes": profile.notes,
    }

    def print_full() -> None:
        print(
            visible(
                f"Data: {loaded.name}, {loaded.n_rows} rows\n\n{verdict_on(profile, level, strict=strict)}"
            )
        )

    files = {
        figure: lambda path: save_figure(draw_profile(profile, level, strict=strict), path),
        save: profile.save,
    }
    output.emit(facts, [regime], print_full, files)
