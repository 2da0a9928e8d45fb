"""A diagnosis in words: sentences, one table, and what it cannot know."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.text import percent, readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.regression.diagnosis import COMPARED_ON, FACTORS, DiagnosisNumbers
from solvable.regression.surface import TRUSTED_FACTOR

if TYPE_CHECKING:
    import xarray as xr

# Errors closer than this are called the same.
_SAME = 0.01
# Below so many samples, and so many rows of a class, the verdict says that it is weak.
_FEW, _RARE = 200, 5
# Past this much doubt, in ln(test error), nothing is said about random features.
_ROUGH = 0.2


def verdict_on(d: DiagnosisNumbers) -> Verdict:
    """Return what a diagnosis says.

    Args:
        d: its numbers.
    """
    table = d.to_dataset()
    now = table.isel(n_train=0)
    sections = [
        ("What more labels would buy", _more_labels(d, table)),
        ("Kernel", _kernel(d)),
        ("Ridge", _ridge(d, now)),
        ("Noise and exponents", _noise(d)),
        ("Random features", _features(d, now)),
        ("Your own model", _own(d)),
        ("What this cannot know", _unknown(d)),
    ]
    return Verdict(
        _title(d),
        tuple(
            Section(heading, text, _table(d, table) if i == 0 else None)
            for i, (heading, text) in enumerate(sections)
            if text
        ),
        d.notes,
    )


def _title(d: DiagnosisNumbers) -> str:
    data = d.data
    used = f"{d.n_samples} labelled samples" + (f" of {data.n_rows}" if data.n_rows > d.n_samples else "")
    name = f" {data.target_name!r}" if data.target_name else ""
    if data.classes:
        kind = f"{len(data.classes)} classes"
    elif data.y.shape[1] > 1:
        kind = f"{data.y.shape[1]} numbers"
    else:
        kind = f"a number of standard deviation {readable(float(np.sqrt(d.variance)), 3)}"
    return f"Diagnosis of {data.name}: {used}, {_count(data.X.shape[1], 'input')}, target{name}: {kind}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _error(d: DiagnosisNumbers, one: "xr.Dataset", end: str = "") -> str:
    """Return the verdict's measure as text."""
    value = float(one[f"{d.measure}{end}"])
    return percent(value) if d.data.classes else readable(value, 3)


def _with_interval(d: DiagnosisNumbers, one: "xr.Dataset") -> str:
    return f"{_error(d, one)} ({_error(d, one, '_low')} to {_error(d, one, '_high')})"


def _name(d: DiagnosisNumbers) -> str:
    return "error rate" if d.data.classes else "RMSE"


def _table(d: DiagnosisNumbers, table: "xr.Dataset") -> Table:
    heads = ("samples", _name(d), "90 %", *(("MSE",) if d.data.classes else ("R²",)), "best ridge", "")
    rows = []
    for i, n in enumerate(table.n_train.to_numpy()):
        if i > 0 and not d.learned:
            break  # what is continued is noise
        one = table.isel(n_train=i)
        other = readable(float(one.test_mse), 3) if d.data.classes else f"{round(float(one.r2), 3) + 0.0:.3f}"
        factor = float(n) / d.n_samples
        where = "this sample" if factor == 1 else f"{readable(factor, 3)} times as many"
        if d.n_groups and factor > 1:
            where += ", in as many times the groups"
        elif d.data.n_rows == n and factor > 1:
            where = "all your rows"
        if factor > TRUSTED_FACTOR:
            where += f", beyond what was tested ({TRUSTED_FACTOR} times)"
        interval = f"{_error(d, one, '_low')} to {_error(d, one, '_high')}"
        rows.append((f"{n:.0f}", _error(d, one), interval, other, readable(float(one.ridge), 2), where))
    return Table(heads, tuple(rows))


def _more_labels(d: DiagnosisNumbers, table: "xr.Dataset") -> str:
    now = table.isel(n_train=0)
    more = table.sel(n_train=d.n_samples * FACTORS[-1])
    mean_answer = _majority(d) if d.data.classes else float(np.sqrt(d.variance / d.data.y.shape[1]))
    trivial = percent(mean_answer) if d.data.classes else readable(mean_answer, 3)
    always = "always answering the most frequent class" if d.data.classes else "always answering the mean"
    if not d.learned:
        return (
            f"Nothing is learned from these {d.n_samples} samples: the best {_name(d)} is {_with_interval(d, now)}, "
            f"and {always} gives {trivial}. Either these inputs say nothing about the target, or it takes many more "
            "samples, or another model."
        )
    factor = round(float(more.n_train) / d.n_samples)
    present = float(now[d.measure])
    gain = 1.0 - float(more[d.measure]) / present if present > 0.0 else 0.0
    worth = (
        "More labels buy next to nothing."
        if gain < 0.03
        else "More labels buy little."
        if gain < 0.1
        else "More labels pay."
        if gain < 0.3
        else "More labels pay well."
    )
    if gain >= 0.03 and float(more[f"{d.measure}_high"]) > float(now[d.measure]):
        worth = "How much more labels buy is uncertain."
    times = f"{factor} times the labels" + (f", in {factor} times the groups," if d.n_groups else "")
    change = f"{percent(gain, decimals=0)} less" if gain >= 0.005 else "no less"
    hollow = ""
    if d.data.classes and present > 0.9 * mean_answer:
        hollow = (
            " It is hardly better than that answer: with classes of such unequal size the error rate says little; look "
            "at how well it ranks, or weigh the classes."
        )
    return (
        f"Trained on a set of this size, the model has an expected {_name(d)} of {_with_interval(d, now)} on new "
        f"points; {always} gives {trivial}.{hollow} With {times} it would be {_with_interval(d, more)}, "
        f"{change}. {worth} (In brackets: 90 % intervals. Each size at its best ridge.)"
    )


def _majority(d: DiagnosisNumbers) -> float:
    counts = np.bincount(d.data.y.argmax(axis=1))
    return 1.0 - float(counts.max() / counts.sum())


def _kernel(d: DiagnosisNumbers) -> str:
    text = f"{_short(d)} on scaled inputs"
    if not d.compared:
        return f"{text}, as given."
    first = next(iter(d.compared.values()))
    others = [f"{name} {_difference(error / first - 1)}" for name, error in list(d.compared.items())[1:]]
    close = first > 0 and list(d.compared.values())[1] / first - 1 < _SAME
    on = f", on {COMPARED_ON} of the samples" if d.n_samples > COMPARED_ON else ""
    choice = " The first two are as good as each other." if close and d.learned else ""
    return (
        f"{text}: the least leave-one-{'group-' if d.n_groups else ''}out squared error of {len(d.compared)} natural "
        f"kernels, each at its best ridge{on}. The others: {', '.join(others)}.{choice}"
    )


def _short(d: DiagnosisNumbers) -> str:
    """Return the kernel with four digits of each number."""
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", repr(d.kernel.kernel))


def _difference(fraction: float) -> str:
    return f"{fraction + 1:.3g} times" if fraction > 1.0 else percent(fraction, decimals=1, signed=True)


def _ridge(d: DiagnosisNumbers, now: "xr.Dataset") -> str:
    n, best = d.n_samples, d.optimal_ridge
    least = float(now.test_mse)
    known = _known(d, 0.0)
    cost = float(d.forecast(n, ridge=0.0).test_mse[0]) / least - 1.0
    can_fit = d.surface.curves.rank >= n
    fit = "fitting the training data exactly (ridge 0)" if can_fit else "least squares without a ridge"
    added = "(added to the kernel matrix undivided)"
    if not known:
        text = (
            f"The best ridge with {n} samples is {readable(best, 2)} {added}. What a ridge of 0 costs is not known "
            "here, since theory failed at the least ridges on the sample's own halves: keep a ridge."
        )
    elif best == 0.0 or cost < _SAME:
        text = f"{fit[0].upper()}{fit[1:]} is as good as any ridge with {n} samples"
        text += "." if best == 0.0 else f"; the best one is {readable(best, 2)} {added}."
    else:
        text = f"The best ridge with {n} samples is {readable(best, 2)} {added}; {fit} has {_times(cost)} squared "
        text += "error."
    ratio = float(now.train_mse) / least
    if best > 0.0 and can_fit and d.learned and _known(d, best):
        text += (
            f" At the best ridge the training error is {percent(ratio, decimals=0)} of the test error: "
            + (
                "fitting nearly exactly is right here."
                if ratio < 0.1
                else "the model should not fit its training data closely."
                if ratio > 0.5
                else "a good part of the training data's noise should be fitted."
            )
        )
    if d.ridge is not None:
        more = float(d.forecast(n, ridge=d.ridge).test_mse[0]) / least - 1.0
        text += f" Your ridge {readable(d.ridge)}, with this kernel on inputs scaled as here, " + (
            "costs what is not known."
            if not _known(d, d.ridge)
            else "is as good as the best."
            if more < _SAME
            else f"has {_times(more)} squared error."
        )
    return text


def _known(d: DiagnosisNumbers, ridge: float) -> bool:
    """Return whether theory held on the halves of the sample at such a ridge."""
    return (
        float(d.surface.check.standard_error(*(np.array(v) for v in (d.n_samples, np.inf, ridge)))) < _ROUGH
    )


def _times(more: float) -> str:
    return f"{percent(more, decimals=0)} more" if more < 1.0 else f"{readable(1 + more, 3)} times the"


def _noise(d: DiagnosisNumbers) -> str:
    low, high = d.noise_interval
    if d.data.classes:
        floor = f"Of the squared error, between {readable(low, 2)} and {readable(high, 2)} (expected: "
        floor += (
            f"{readable(d.noise, 2)}; always answering the shares of the classes: {readable(d.variance, 2)})"
        )
    else:
        least, most, expected = (
            readable(float(np.sqrt(v / d.data.y.shape[1])), 3) for v in (low, high, d.noise)
        )
        floor = f"An RMSE between {least} and {most} (expected: {expected})"
    text = (
        f"{floor} is a floor that no number of labels removes with this kernel: noise in the labels, or what the "
        "kernel cannot express."
    )
    if d.surface.curves.rank >= d.n_samples and _known(d, 0.0):
        amplification = float(d.forecast(d.n_samples, ridge=0.0).overfitting_coefficient[0])
        kind = (
            "benign: fitting noise does next to no harm"
            if amplification < 1.1
            else "tempered: fitting noise does some harm"
            if amplification < 10
            else "close to catastrophic: fitting noise ruins the model"
        )
        text += f" Fitted exactly, noise counts {readable(amplification, 2)} times ({kind})."
    if d.exponents:
        text += (
            f" Power laws: eigenvalues fall as i^-{d.exponents['alpha']:.2f}, the target's power as "
            f"i^-{d.exponents['beta']:.2f}."
        )
    return text


def _features(d: DiagnosisNumbers, now: "xr.Dataset") -> str:
    """Say what random features would do in place of the kernel, where it has some and they were tried."""
    if len(d.surface.check.ratios) < 2:
        return ""
    n, parts, more = d.n_samples, [], []
    for factor in (1, 2, 4, 10):
        ridge = float(d.surface.optimal_ridge(n, factor * n))
        if d.surface.check.standard_error(*(np.array(float(v)) for v in (n, factor * n, ridge))) > _ROUGH:
            return ""
        one = d.surface.predict(n, factor * n, ridge).squeeze()
        more.append(float(one.test_mse) / float(now.test_mse) - 1.0)
        parts.append(f"{factor * n}: {_difference(more[-1])}")
    if any(after > before + 0.02 for before, after in pairwise(more)):
        return ""  # more features come out worse: the correction is too rough to be read as advice
    return (
        f"In place of the kernel, so many random features of it would have so much more squared error with {n} "
        f"samples, each at its best ridge: {', '.join(parts)}."
    )


def _own(d: DiagnosisNumbers) -> str:
    """Say where the user's own model beats the kernel, and by what factor in data."""
    if d.measured is None:
        return ""
    most = TRUSTED_FACTOR * d.n_samples
    parts = []
    for i in range(d.measured.sizes["n_train"]):
        one = d.measured.isel(n_train=i)
        n, error, kernel = float(one.n_train), float(one.error), float(one.kernel_error)
        begin = f"with {readable(n)} samples your model has {error:.3g}, the kernel {kernel:.3g}"
        factor = float(one.data_factor)
        if np.isnan(factor):
            parts.append(f"{begin}: the kernel needs fewer than 30 for yours")
        elif np.isinf(factor):
            parts.append(f"{begin}, which the kernel does not reach with {readable(most)} samples")
        elif factor >= 1.0:
            parts.append(f"{begin}: the kernel needs {factor:.3g} times the data for yours")
        else:
            parts.append(f"{begin}: the kernel needs {1 / factor:.3g} times less data")
    wins = int((d.measured.error < d.measured.kernel_error).sum())
    total = d.measured.sizes["n_train"]
    head = (
        f"Your model is better than the kernel at {wins} of {total} sizes ({d.measured.attrs['measure']}): "
    )
    return f"{head}{'; '.join(parts)}."


def _unknown(d: DiagnosisNumbers) -> str:
    few = ""
    if d.n_samples < _FEW:
        few = f" From only {d.n_samples} samples the choice of the kernel is partly luck, and the numbers are a hint."
    rare = [name for name, count in _rows_of_classes(d) if count < _RARE]
    if rare:
        few += f" Classes of fewer than {_RARE} rows ({', '.join(rare[:5])}) are too rare for their errors to be known."
    grouped = (
        f"Errors are those on new groups like these {d.n_groups}; more labels mean more such groups, and more labels "
        "of the same groups buy less."
        if d.n_groups
        else "Points are taken to be independent: if they come in groups (patients, days) or in order of time, errors "
        "on new groups or later times are larger (say which groups they are)."
    )
    return (
        f"{grouped} New points must come from where these came from. A model that learns its own features (a trained "
        "net, boosted trees) may do better than any fixed kernel, and its curve may fall faster. Past "
        f"{readable(TRUSTED_FACTOR * d.n_samples)} samples ({TRUSTED_FACTOR} times the sample) the power laws have "
        f"not been tested.{few}"
    )


def _rows_of_classes(d: DiagnosisNumbers) -> list[tuple[str, int]]:
    if not d.data.classes:
        return []
    return list(zip(d.data.classes, np.bincount(d.data.y.argmax(axis=1)).tolist(), strict=True))
