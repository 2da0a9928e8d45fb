"""A diagnosis in words: sentences, one table, and its limits."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.text import percent, readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.regression.diagnosis import COMPARED_ON, FACTORS, DiagnosisNumbers
from solvable.regression.halves import size_of
from solvable.regression.surface import TRUSTED_FACTOR

if TYPE_CHECKING:
    import xarray as xr

# Errors closer than this count as equal.
_SAME = 0.01
# The verdict warns of samples smaller, and of classes with fewer rows, than this.
_FEW, _RARE = 200, 5
# With more doubt than this, in ln(test error), random features are left out, and a cautious sentence comes first.
_ROUGH = 0.2
# So does one if halves of the sample miss its error by more than this, in its logarithm (a tenth of samples), or if
# more than this share of the points are near-duplicates, nearly all with the same label as their neighbour.
_MISSED, _NEAR, _ALIKE = 0.15, 0.1, 0.9
# And if more than this share of the rows are copies, labels included.
_COPIES = 0.05
# Classes are called unequal if the largest has this many times its share; steeper spectra than this are no power laws.
_UNEQUAL, _STEEP = 1.5, 10.0


def verdict_on(d: DiagnosisNumbers) -> Verdict:
    """Return a diagnosis in words."""
    table = d.to_dataset()
    sections = [
        ("What more labels would buy", _more_labels(d, table)),
        ("Kernel", _kernel(d)),
        ("Ridge", _ridge(d)),
        ("Noise and exponents", _noise(d)),
        ("Random features", _features(d)),
        ("Your own model", _own_model(d)),
        ("Check on halves of the sample", _check(d)),
        ("Limits", _limits(d)),
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
    data, inputs = d.data, d.data.X.shape[1]
    sample = f"{d.n_samples} labelled samples" + (f" of {data.n_rows}" if data.n_rows > d.n_samples else "")
    name = f" {data.target_name!r}" if data.target_name else ""
    if data.classes:
        kind = f"{len(data.classes)} classes"
    elif data.y.shape[1] > 1:
        kind = f"{data.y.shape[1]} numbers"
    else:
        kind = f"a number with standard deviation {readable(float(np.sqrt(d.variance)), 3)}"
    return f"Diagnosis of {data.name}: {sample}, {inputs} input{'s' * (inputs != 1)}, target{name}: {kind}"


def _error(d: DiagnosisNumbers, one: "xr.Dataset", end: str = "") -> str:
    value = float(one[f"{d.measure}{end}"])
    return percent(value) if d.data.classes else readable(value, 3)


def _with_interval(d: DiagnosisNumbers, one: "xr.Dataset") -> str:
    return f"{_error(d, one)} ({_error(d, one, '_low')} to {_error(d, one, '_high')})"


def _name(d: DiagnosisNumbers) -> str:
    return "error rate" if d.data.classes else "RMSE"


def _table(d: DiagnosisNumbers, table: "xr.Dataset") -> Table:
    heads = ("samples", _name(d), "90 %", "MSE" if d.data.classes else "R²", "best ridge", "")
    rows = []
    for i, n in enumerate(table.n_train.to_numpy()):
        if i > 0 and not d.learned:
            break  # the continuation would be noise
        one = table.isel(n_train=i)
        other = readable(float(one.test_mse), 3) if d.data.classes else f"{round(float(one.r2), 3) + 0.0:.3f}"
        factor = float(n) / d.n_samples
        size = "this sample" if factor == 1 else f"{readable(factor, 3)} times as many"
        if d.n_groups and factor > 1:
            size += ", in as many times the groups"
        elif d.data.n_rows == n and factor > 1:
            size = "all your rows"
        if factor > TRUSTED_FACTOR:
            size += f", beyond the tested range ({TRUSTED_FACTOR} times)"
        interval = f"{_error(d, one, '_low')} to {_error(d, one, '_high')}"
        rows.append((f"{n:.0f}", _error(d, one), interval, other, readable(float(one.ridge), 2), size))
    return Table(heads, tuple(rows))


def _more_labels(d: DiagnosisNumbers, table: "xr.Dataset") -> str:
    now = table.isel(n_train=0)
    more = table.sel(n_train=d.n_samples * FACTORS[-1])
    if d.data.classes:
        counts = _rows_of_classes(d)
        constant = 1.0 - float(counts.max() / counts.sum())
        trivial = f"always predicting the most frequent class gives {percent(constant)}"
    else:
        constant = float(np.sqrt(d.variance / d.data.y.shape[1]))
        trivial = f"always predicting the mean gives {readable(constant, 3)}"
    if not d.learned:
        return (
            f"Nothing is learned from these {d.n_samples} samples: the best {_name(d)} is {_with_interval(d, now)}, "
            f"and {trivial}. Either these inputs say nothing about the target, or many more samples or another model "
            "are needed."
        )
    factor = round(float(more.n_train) / d.n_samples)
    present = float(now[d.measure])
    gain = 1.0 - float(more[d.measure]) / present if present > 0.0 else 0.0
    if gain >= 0.03 and float(more[f"{d.measure}_high"]) > present:
        worth = "How much more labels buy is uncertain."
    elif gain < 0.03:
        worth = "More labels buy next to nothing."
    elif gain < 0.1:
        worth = "More labels buy little."
    else:
        worth = "More labels pay." if gain < 0.3 else "More labels pay well."
    caution = "".join(f"Caution: {sentence} " for sentence in _cautions(d))
    times = f"{factor} times the labels" + (f", in {factor} times the groups," if d.n_groups else "")
    change = f"{percent(gain, decimals=0)} less" if gain >= 0.005 else "no less"
    imbalance = ""
    if d.data.classes and present > 0.9 * constant and 1.0 - constant > _UNEQUAL / len(d.data.classes):
        imbalance = (
            " The model is hardly better than that: for classes of such unequal size the error rate is a poor measure; "
            "use a ranking measure or class weights."
        )
    return (
        f"{caution}Trained on a set of this size, the model has an expected {_name(d)} of {_with_interval(d, now)} on "
        f"new points; {trivial}.{imbalance} With {times} it would be {_with_interval(d, more)}, {change}. {worth} (In "
        "brackets: 90 % intervals. Each size has its best ridge.)"
    )


def _cautions(d: DiagnosisNumbers) -> list[str]:
    """Return sentences on what makes forecasts unreliable here."""
    sentences = []
    if (copies := d.n_copies) > _COPIES * d.n_samples:
        sentences.append(
            f"{percent(copies / d.n_samples, decimals=0)} of the rows repeat another one, target included. If they "
            "are copies made by mistake, all errors here are too low: drop them (--drop-repeats, drop_repeats=True)."
        )
    check = d.surface.check
    if abs(check.log_fall_ratio) > _MISSED:
        promised = "falls faster than they show"
        if check.log_fall_ratio < 0.0:
            promised = "falls more slowly than they promise"
        sentences.append(
            f"from half of this sample to all of it, the error comes out {check.missed_fall()}: it {promised}, and may "
            "do so past the sample (the intervals allow for that)."
        )
    if _doubt(d, np.inf, d.optimal_ridge) > _ROUGH:
        sentences.append(
            "theory does not hold well here: see the check on halves of the sample, and measure before you rely on the "
            "numbers (regression.measure)."
        )
    share, alike = d.near_duplicates
    if share > _NEAR and alike > _ALIKE:
        sentences.append(
            f"{percent(share, decimals=0)} of the points have a neighbour far nearer than is usual for such data, with "
            "the same label. If points come in groups (patients, speakers, crops of one image), specify the groups, "
            "for errors on new ones; if not, the error may fall much faster than forecast."
        )
    return sentences


def _check(d: DiagnosisNumbers) -> str:
    off, fall = size_of(_doubt(d, np.inf, d.optimal_ridge)), d.surface.check.missed_fall()
    text = f"Trained on one half and tested on the other, the kernel at the best ridge was off the theory by {off}."
    return text + (f" From half of the sample to all of it, the error comes out {fall}." if fall else "")


def _kernel(d: DiagnosisNumbers) -> str:
    text = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", repr(d.kernel.kernel))
    text += " on scaled inputs"
    if not d.compared:
        return f"{text}, as given."
    (_, least), *others = d.compared.items()
    differences = ", ".join(f"{name} {_difference(error / least - 1)}" for name, error in others)
    close = least > 0 and others[0][1] / least - 1 < _SAME
    on = f", on {COMPARED_ON} of the samples" if d.n_samples > COMPARED_ON else ""
    tie = " The first two are equally good." if close and d.learned else ""
    return (
        f"{text}: the lowest leave-one-{'group-' if d.n_groups else ''}out squared error of {len(d.compared)} natural "
        f"kernels, each at its best ridge{on}. The others: {differences}.{tie}"
    )


def _difference(fraction: float) -> str:
    return f"{fraction + 1:.3g} times" if fraction > 1.0 else percent(fraction, decimals=1, signed=True)


def _ridge(d: DiagnosisNumbers) -> str:
    n, best = d.n_samples, d.optimal_ridge
    cost = d.cost_of(0.0)
    can_fit = _can_fit(d)
    fit = "fitting the training data exactly (ridge 0)" if can_fit else "least squares without a ridge"
    best_ridge = f"{readable(best, 2)} (added to the kernel matrix undivided)"
    if _doubt(d, np.inf, 0.0) >= _ROUGH:
        text = (
            f"The best ridge with {n} samples is {best_ridge}. The cost of a ridge of 0 is not known here, since the "
            "theory failed at the smallest ridges on halves of the sample: keep a ridge."
        )
    elif best == 0.0 or cost < _SAME:
        text = f"{fit[0].upper()}{fit[1:]} is as good as any ridge with {n} samples"
        text += "." if best == 0.0 else f"; the best one is {best_ridge}."
    else:
        text = f"The best ridge with {n} samples is {best_ridge}; {fit} has {_times(cost)} squared error."
    if best > 0.0 and can_fit and d.learned and _doubt(d, np.inf, best) < _ROUGH:
        ratio = float(d.now.train_mse) / float(d.now.test_mse)
        if ratio < 0.1:
            advice = "fitting nearly exactly is right here"
        elif ratio > 0.5:
            advice = "the model should not fit its training data closely"
        else:
            advice = "a good part of the training data's noise should be fitted"
        text += f" At the best ridge the training error is {percent(ratio, decimals=0)} of the test error: {advice}."
    if d.ridge is not None:
        text += f" Your ridge {readable(d.ridge)}, with this kernel and this scaling of the inputs, "
        if _doubt(d, np.inf, d.ridge) >= _ROUGH:
            text += "has an unknown cost."
        else:
            cost = d.cost_of(d.ridge)
            text += "is as good as the best." if cost < _SAME else f"has {_times(cost)} squared error."
    return text


def _doubt(d: DiagnosisNumbers, n_features: float, ridge: float) -> float:
    """Return the standard error of ln(test error) by the halves of the sample."""
    return float(d.surface.check.standard_error(*np.array([d.n_samples, n_features, ridge], dtype=float)))


def _can_fit(d: DiagnosisNumbers) -> bool:
    """Return whether a ridge of 0 fits any labels: not of points that repeat."""
    return d.surface.curves.rank >= d.n_samples == d.surface.statistics.n_distinct


def _times(more: float) -> str:
    return f"{percent(more, decimals=0)} more" if more < 1.0 else f"{readable(1 + more, 3)} times the"


def _noise(d: DiagnosisNumbers) -> str:
    low, high = d.noise_interval
    if d.data.classes:
        least, most, expected, variance = (readable(value, 2) for value in (low, high, d.noise, d.variance))
        floor = (
            f"A squared error between {least} and {most} (expected: {expected}; always predicting the class "
            f"frequencies: {variance})"
        )
    else:
        outputs = d.data.y.shape[1]
        least, most, expected = (readable(float(np.sqrt(v / outputs)), 3) for v in (low, high, d.noise))
        floor = f"An RMSE between {least} and {most} (expected: {expected})"
    text = (
        f"{floor} is a floor that no number of labels removes with this kernel: noise in the labels, or what the "
        "kernel cannot express."
    )
    if _can_fit(d) and _doubt(d, np.inf, 0.0) < _ROUGH:
        amplification = float(d.forecast(d.n_samples, ridge=0.0).overfitting_coefficient[0])
        if amplification < 1.1:
            kind = "benign: fitting noise does hardly any harm"
        elif amplification < 10:
            kind = "tempered: fitting noise does some harm"
        else:
            kind = "close to catastrophic: fitting noise ruins the model"
        text += f" An exact fit multiplies label noise by {readable(amplification, 2)} ({kind})."
    if d.exponents and d.exponents["alpha"] < _STEEP:
        alpha, beta = d.exponents["alpha"], d.exponents["beta"]
        text += f" Power laws: eigenvalues fall as i^-{alpha:.2f}, the target's power as i^-{beta:.2f}."
    return text


def _features(d: DiagnosisNumbers) -> str:
    """Compare random features with the kernel; empty if it has none, or if they cannot be predicted well."""
    if len(d.surface.check.ratios) < 2:
        return ""
    n, parts, more = d.n_samples, [], []
    for factor in (1, 2, 4, 10):
        ridge = float(d.surface.optimal_ridge(n, factor * n))
        if _doubt(d, factor * n, ridge) > _ROUGH:
            return ""
        one = d.raised(d.surface.predict(n, factor * n, ridge).squeeze())
        more.append(float(one.test_mse) / float(d.now.test_mse) - 1.0)
        parts.append(f"{factor * n} features {_difference(more[-1])}")
    if any(after > before + 0.02 for before, after in pairwise(more)):
        return ""  # more features cannot be worse: the correction is too rough for advice
    return (
        f"Squared error of random features in place of the kernel, with {n} samples and each at its best ridge: "
        f"{', '.join(parts)}."
    )


def _own_model(d: DiagnosisNumbers) -> str:
    """Compare the user's own model with the kernel at each measured size."""
    if d.measured is None:
        return ""
    parts = []
    for i in range(d.measured.sizes["n_train"]):
        one = d.measured.isel(n_train=i)
        n, error, kernel = float(one.n_train), float(one.error), float(one.kernel_error)
        factor = float(one.data_factor)
        if np.isnan(factor):
            need = ": the kernel needs fewer than 30 samples to match it"
        elif np.isinf(factor):
            need = f", which the kernel does not reach with {readable(TRUSTED_FACTOR * d.n_samples)} samples"
        else:
            need = f": the kernel needs {factor:.3g} times the data to match it"
        parts.append(f"with {readable(n)} samples your model has {error:.3g}, the kernel {kernel:.3g}{need}")
    wins = int((d.measured.error < d.measured.kernel_error).sum())
    measure = d.measured.attrs["measure"]
    return f"Your model is better than the kernel at {wins} of {len(parts)} sizes ({measure}): {'; '.join(parts)}."


def _limits(d: DiagnosisNumbers) -> str:
    few = ""
    if d.n_samples < _FEW:
        few = f" With only {d.n_samples} samples the choice of the kernel is partly luck, and the numbers are rough."
    counts = _rows_of_classes(d) if d.data.classes else ()
    if rare := [name for name, count in zip(d.data.classes, counts, strict=True) if count < _RARE]:
        few += f" The errors of classes with fewer than {_RARE} rows ({', '.join(rare[:5])}) cannot be estimated."
    grouped = (
        f"Errors are those on new groups like these {d.n_groups}; more labels mean more such groups, and more labels "
        "of the same groups buy less."
        if d.n_groups
        else "Points are assumed to be independent: if they come in groups (patients, days) or in time order, errors "
        "on new groups or later times are larger (specify the groups)."
    )
    return (
        f"{grouped} New points must come from the same distribution. A model that learns its own features (a trained "
        "network, boosted trees) may do better than any fixed kernel, and its curve may fall faster. Past "
        f"{readable(TRUSTED_FACTOR * d.n_samples)} samples ({TRUSTED_FACTOR} times the sample) the power laws have "
        f"not been tested.{few}"
    )


def _rows_of_classes(d: DiagnosisNumbers) -> np.ndarray:
    return np.bincount(d.data.y.argmax(axis=1))
