"""The verdict of `diagnose` in words: sentences, one table, and what it cannot know."""

import html
import re
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.text import readable
from solvable.regression.diagnose import FACTORS
from solvable.regression.surface import TRUSTED_FACTOR

if TYPE_CHECKING:
    import xarray as xr

    from solvable.regression.diagnose import Diagnosis

_WIDTH = 96
# Errors closer than this are called the same.
_SAME = 0.01
# Past this much doubt, in ln(test error), nothing is said about random features.
_ROUGH = 0.2


@dataclass(frozen=True)
class Verdict:
    """A title and sections, each a heading and its sentences; the table stands after the first section.

    Attributes:
        title: what was diagnosed.
        sections: heading and text of each.
        heads: of the table's columns.
        rows: of the table, as text.
        notes: what was done to the data, and warnings.
    """

    title: str
    sections: tuple[tuple[str, str], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def as_text(self) -> str:
        """Return it for a terminal."""
        parts = [fill(self.title, _WIDTH)]
        for i, (heading, text) in enumerate(self.sections):
            parts.append(f"{heading}\n{fill(text, _WIDTH, initial_indent='  ', subsequent_indent='  ')}")
            if i == 0:
                parts.append(self._table())
        parts.append(
            "Notes\n"
            + "\n".join(fill(n, _WIDTH, initial_indent="  - ", subsequent_indent="    ") for n in self.notes)
        )
        return "\n\n".join(parts)

    def _table(self) -> str:
        cells = [self.heads, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.heads))]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        ]
        return "\n".join("  " + line.rstrip() for line in lines)

    def as_html(self) -> str:
        """Return it for a notebook or a page."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        table = "".join(row(cells, "td") for cells in self.rows)
        parts = [f"<h3>{html.escape(self.title)}</h3>"]
        for i, (heading, text) in enumerate(self.sections):
            parts.append(f"<h4>{html.escape(heading)}</h4><p>{html.escape(text)}</p>")
            if i == 0:
                parts.append(f"<table><thead>{row(self.heads, 'th')}</thead><tbody>{table}</tbody></table>")
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        parts.append(f"<details><summary>Notes</summary><ul>{notes}</ul></details>")
        return f'<div class="verdict">{"".join(parts)}</div>'


def verdict(diagnosis: "Diagnosis") -> Verdict:
    """Return what a diagnosis says."""
    d = diagnosis
    table = d.to_dataset()
    now = table.isel(n_train=0)
    learned = float(now.test_mse) < 0.98 * d.variance
    sections = [
        ("What more labels would buy", _more_labels(d, table, learned)),
        ("Kernel", _kernel(d, learned)),
        ("Ridge", _ridge(d, now)),
        ("Noise and exponents", _noise(d, now)),
        ("Random features", _features(d, now)),
        ("Your own model", _own(d)),
        ("What this cannot know", _unknown(d)),
    ]
    heads, rows = _rows(d, table)
    return Verdict(_title(d), tuple((head, text) for head, text in sections if text), heads, rows, d.notes)


def _title(d: "Diagnosis") -> str:
    data = d.data
    used = f"{d.n_samples} labelled samples" + (f" of {data.n_rows}" if data.n_rows > d.n_samples else "")
    name = f" {data.target_name!r}" if data.target_name else ""
    if data.classes:
        kind = f"{len(data.classes)} classes"
    elif data.y.shape[1] > 1:
        kind = f"{data.y.shape[1]} numbers"
    else:
        kind = f"a number of standard deviation {readable(float(np.sqrt(d.variance)), 3)}"
    return f"Diagnosis of {data.name}: {used}, {data.X.shape[1]} inputs, target{name}: {kind}"


def _error(d: "Diagnosis", one: "xr.Dataset", end: str = "") -> str:
    """Return the verdict's measure as text."""
    value = float(one[f"{d.measure}{end}"])
    return f"{100 * value:.3g} %" if d.data.classes else readable(value, 3)


def _with_interval(d: "Diagnosis", one: "xr.Dataset") -> str:
    return f"{_error(d, one)} ({_error(d, one, '_low')} to {_error(d, one, '_high')})"


def _name(d: "Diagnosis") -> str:
    return "error rate" if d.data.classes else "RMSE"


def _rows(d: "Diagnosis", table: "xr.Dataset") -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    heads = ("samples", _name(d), "90 %", *(("MSE",) if d.data.classes else ("R²",)), "best ridge", "")
    rows = []
    for i, n in enumerate(table.n_train.to_numpy()):
        one = table.isel(n_train=i)
        other = readable(float(one.test_mse), 3) if d.data.classes else f"{float(one.r2):.3f}"
        factor = float(n) / d.n_samples
        where = "this sample" if factor == 1 else f"{readable(factor, 3)} times as many"
        if d.data.n_rows == n and factor > 1:
            where = "all your rows"
        if factor > TRUSTED_FACTOR:
            where += f", beyond what was tested ({TRUSTED_FACTOR} times)"
        interval = f"{_error(d, one, '_low')} to {_error(d, one, '_high')}"
        rows.append((f"{n:.0f}", _error(d, one), interval, other, readable(float(one.ridge), 2), where))
    return heads, tuple(rows)


def _more_labels(d: "Diagnosis", table: "xr.Dataset", learned: bool) -> str:
    now = table.isel(n_train=0)
    more = table.sel(n_train=d.n_samples * FACTORS[-1])
    mean_answer = _majority(d) if d.data.classes else float(np.sqrt(d.variance / d.data.y.shape[1]))
    trivial = f"{100 * mean_answer:.3g} %" if d.data.classes else readable(mean_answer, 3)
    always = "always answering the most frequent class" if d.data.classes else "always answering the mean"
    if not learned:
        return (
            f"Nothing is learned from these {d.n_samples} samples: the best {_name(d)} is {_with_interval(d, now)}, "
            f"and {always} gives {trivial}. Either these inputs say nothing about the target, or it takes many more "
            "samples, or another model."
        )
    factor = round(float(more.n_train) / d.n_samples)
    gain = 1.0 - float(more[d.measure]) / max(float(now[d.measure]), 1e-300)
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
    return (
        f"Trained on a set of this size, the model has an expected {_name(d)} of {_with_interval(d, now)} on new "
        f"points; {always} gives {trivial}. With {factor} times the labels it would be {_with_interval(d, more)}, "
        f"{100 * gain:.0f} % less. {worth} (In brackets: 90 % intervals. Each size at its best ridge.)"
    )


def _majority(d: "Diagnosis") -> float:
    counts = np.bincount(d.data.y.argmax(axis=1))
    return 1.0 - float(counts.max() / counts.sum())


def _kernel(d: "Diagnosis", learned: bool) -> str:
    text = f"{_short(d)} on scaled inputs"
    if not d.compared:
        return f"{text}, as given."
    first = next(iter(d.compared.values()))
    others = [f"{name} {_percent(error / first - 1)}" for name, error in list(d.compared.items())[1:]]
    close = first > 0 and list(d.compared.values())[1] / first - 1 < _SAME
    choice = " The first two are as good as each other." if close and learned else ""
    return (
        f"{text}: the least leave-one-{'group-' if d.n_groups else ''}out squared error of {len(d.compared)} natural "
        f"kernels, each at its best ridge. The others: {', '.join(others)}.{choice}"
    )


def _short(d: "Diagnosis") -> str:
    """Return the kernel with four digits of each number."""
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", repr(d.kernel.kernel))


def _percent(fraction: float) -> str:
    return f"{fraction + 1:.3g} times" if fraction > 1.0 else f"{round(100 * fraction, 1) + 0.0:+.1f} %"


def _ridge(d: "Diagnosis", now: "xr.Dataset") -> str:
    n = d.n_samples
    exact = d.forecast(n, ridge=0.0).isel(n_train=0)
    least, best = float(now.test_mse), d.optimal_ridge
    cost = float(exact.test_mse) / least - 1.0
    can_fit = d.surface.curves.rank >= n
    fit = "fitting the training data exactly (ridge 0)" if can_fit else "least squares without a ridge"
    if best == 0.0 or cost < _SAME:
        text = f"{fit[0].upper()}{fit[1:]} is as good as any ridge with {n} samples"
        text += "." if best == 0.0 else f"; the best one is {readable(best, 2)}."
    else:
        text = f"The best ridge with {n} samples is {readable(best, 2)} (added to the kernel matrix undivided); {fit} "
        text += f"has {_times(cost)} squared error."
    ratio = float(now.train_mse) / least
    if best > 0.0 and can_fit:
        text += f" At the best ridge the training error is {100 * ratio:.0f} % of the test error: " + (
            "fitting nearly exactly is right here."
            if ratio < 0.1
            else "the model should not fit its training data closely."
            if ratio > 0.5
            else "a good part of the training data's noise should be fitted."
        )
    if d.ridge is not None:
        present = d.forecast(n, ridge=d.ridge).isel(n_train=0)
        more = float(present.test_mse) / least - 1.0
        text += f" Your ridge {readable(d.ridge)} " + (
            "is as good as the best." if more < _SAME else f"has {_times(more)} squared error."
        )
    return text


def _times(more: float) -> str:
    return f"{100 * more:.0f} % more" if more < 1.0 else f"{readable(1 + more, 3)} times the"


def _noise(d: "Diagnosis", now: "xr.Dataset") -> str:
    low, high = d.noise_interval
    share = f"{100 * d.noise / d.variance:.0f} % of the target's variance"
    text = (
        f"About {readable(d.noise, 2)} of the squared error ({share}; 90 %: {readable(low, 2)} to {readable(high, 2)}) "
        "is a floor that no number of labels removes with this kernel: noise in the labels, or what the kernel cannot "
        "express."
    )
    exact = d.forecast(d.n_samples, ridge=0.0).isel(n_train=0)
    amplification = float(exact.overfitting_coefficient)
    if d.surface.curves.rank >= d.n_samples:
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


def _features(d: "Diagnosis", now: "xr.Dataset") -> str:
    """Say what random features would do in place of the kernel, where it has some and they were tried."""
    if len(d.surface.check.ratios) < 2:
        return ""
    n, parts = d.n_samples, []
    for factor in (1, 2, 4, 10):
        ridge = float(d.surface.optimal_ridge(n, factor * n))
        if d.surface.check.standard_error(*(np.array(float(v)) for v in (n, factor * n, ridge))) > _ROUGH:
            return ""
        one = d.surface.predict(n, factor * n, ridge).squeeze()
        parts.append(f"{factor * n}: {_percent(float(one.test_mse) / float(now.test_mse) - 1)}")
    return (
        f"In place of the kernel, so many random features of it would have so much more squared error with {n} "
        f"samples, each at its best ridge: {', '.join(parts)}."
    )


def _own(d: "Diagnosis") -> str:
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
        if np.isinf(factor):
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


def _unknown(d: "Diagnosis") -> str:
    grouped = (
        f"Errors are those on new groups like these {d.n_groups}."
        if d.n_groups
        else "Points are taken to be independent: if they come in groups (patients, days) or in order of time, errors "
        "on new groups or later times are larger (say which groups they are)."
    )
    return (
        f"{grouped} New points must come from where these came from. A model that learns its own features (a trained "
        "net, boosted trees) may do better than any fixed kernel, and its curve may fall faster. Past "
        f"{readable(TRUSTED_FACTOR * d.n_samples)} samples ({TRUSTED_FACTOR} times the sample) the power laws have "
        "not been tested."
    )
