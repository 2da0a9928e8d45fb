r"""Content of the page (`page.py`), without marimo: the staircase of a linear model, from closed forms.

Its settings are in `explore_setting.py`, and the part that reads a loss in `explore_loss.py`.
"""

from dataclasses import dataclass

import numpy as np

from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import readable
from solvable.stepwise.explore_setting import (
    N_NOISE,
    STEP_LEGEND,
    Floats,
    Setting,
    in_steps,
    loss_axis,
    step_marks,
    steps_grid,
    whole,
)

Fact = tuple[str, str, str]
Legend = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class View:
    """Content of the page for a setting: facts, sentences, code, a table, and charts."""

    facts: tuple[Fact, ...]
    sentence: str
    remarks: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    loss: str
    loss_legend: Legend
    eigenvalues: str
    eigenvalue_legend: Legend
    spectrum: str
    spectrum_legend: Legend
    code: str


def view(setting: Setting, place: float) -> View:
    """Return what the page shows.

    Args:
        setting: of the controls.
        place: where along the axis of steps the training is, in percent.

    >>> view(Setting(), 36).sentence
    'At step 360 the loss is 3.99, and 2 of 6 directions are learned. Wait: direction 3 comes at step 438.'
    """
    now = setting.step_at(place)
    noise = (("other", "noise"),) if setting.noise else ()
    limit = (
        (("asked", "w/4, no direction is learned below"),)
        if setting.weight_decay / 4 > _lowest(setting)
        else ()
    )
    return View(
        _facts(setting, now),
        _sentence(setting, now),
        _remarks(setting),
        ("direction", "γ", "learned at step", "rises 10–90 % in"),
        tuple(_row(setting, j) for j in range(setting.dim)),
        _loss_chart(setting, now),
        (("", "loss"), STEP_LEGEND),
        _eigenvalue_chart(setting, now),
        (("", "shared by the views"), *(noise if "noise" in setting.kinds else ()), STEP_LEGEND),
        _spectrum_chart(setting),
        (("", "shared by the views"), *noise, *limit),
        _code(setting),
    )


def _next(setting: Setting, now: float) -> int | None:
    """Return the next direction to be learned, from 0, or None."""
    later = np.flatnonzero((setting.times > now) & np.isfinite(setting.times))
    return int(later[0]) if len(later) else None


def _facts(setting: Setting, now: float) -> tuple[Fact, ...]:
    times, d, j = setting.times, setting.dim, _next(setting, now)
    learned = int((times <= now).sum())
    last = int(np.isfinite(times).sum()) - 1
    if j is None:
        coming = ("next direction", "none", "no other one ever comes" if learned < d else "all are learned")
    else:
        coming = (
            "next direction",
            f"step {whole(times[j])}",
            f"number {j + 1}, in {in_steps(times[j] - now)}",
        )
    facts = [coming, ("learned so far", f"{learned} of {d}", f"loss {_loss_in_words(setting, now)}")]
    shown = last if j is None else j
    if shown < 0:
        return (*facts, ("between steps", "–", ""), ("twice the weights s₀", "–", ""))
    start, pause = ("the start", times[0]) if shown == 0 else (str(shown), times[shown] - times[shown - 1])
    facts.append(("between steps", in_steps(pause), f"from {start} to {shown + 1}"))
    sooner = np.log(4) / setting.rates[shown]
    # No-break spaces keep the formula together.
    rate = "((8γ\u00a0−\u00a02w)η)" if setting.weight_decay else "(8γη)"
    facts.append(("twice the weights s₀", in_steps(sooner), f"earlier: ln\u00a04/{rate}"))
    return tuple(facts)


def _loss_at(setting: Setting, now: float) -> float:
    return float(setting.loss(np.array([now]))[0])


def _loss_in_words(setting: Setting, now: float) -> str:
    value = _loss_at(setting, now)
    return readable(value, 3) if value >= 1e-3 else "almost 0"


def _sentence(setting: Setting, now: float) -> str:
    d, j = setting.dim, _next(setting, now)
    learned = int((setting.times <= now).sum())
    start = (
        f"At step {whole(now)} the loss is {_loss_in_words(setting, now)}, and {learned} of {d} "
        f"direction{'s' * (d > 1)} {'is' if learned == 1 else 'are'} learned."
    )
    if j is not None:
        when = f"direction {j + 1} comes at step {whole(setting.times[j])}"
        if setting.kinds[j] == "noise":
            return f"{start} Stop: {when}, and it is noise."
        return f"{start} Wait: {when}."
    if learned == d:
        more = setting.learnable - d
        if more <= 0:
            return f"{start} Stop: the embedding is full."
        wider = f"a wider embedding would learn {more} more" if more > 1 else "a wider one would learn 1 more"
        return f"{start} Stop: the embedding is full, and {wider}."
    if "forbidden" in setting.kinds:
        return f"{start} Stop: weight decay forbids the others."
    return f"{start} Stop: the views share no other direction."


def _remarks(setting: Setting) -> tuple[str, ...]:
    """Return sentences about what the setting does to the staircase."""
    remarks, w, times, kinds = [], setting.weight_decay, setting.times, setting.kinds
    growing = [j for j in range(setting.dim) if np.isfinite(times[j])]
    later = [j for j in growing[1:] if kinds[j] == "shared"]
    pauses = {j: float(times[j] - times[j - 1]) for j in later}
    blurred = next((j for j in later if 0 < pauses[j] < np.log(81) / setting.rates[j]), None)
    if blurred is not None:
        where = f"From direction {blurred + 1} on, steps" if blurred > 1 else "Steps"
        remarks.append(
            f"{where} run into each other: an eigenvalue takes longer to rise than has passed since the one before it. "
            "Smaller initial weights separate them."
        )
    if 0 in pauses.values():
        remarks.append("Directions with the same γ are learned at once.")
    if w:
        forbidden = _numbers([j for j, kind in enumerate(kinds) if kind == "forbidden"])
        remark = f"Weight decay {readable(w)} forbids directions with γ ≤ w/4 = {readable(w / 4)}"
        remark += f": {forbidden} of this embedding." if forbidden else "; this embedding has none."
        if growing:
            last = 1 - w / (4 * float(setting.gamma[growing[-1]]))
            remark += f" Learned eigenvalues end at 1 − w/(4γ), the last at {readable(last, 3)}."
        remarks.append(remark)
    if noise := _numbers([j for j, kind in enumerate(kinds) if kind == "noise"]):
        one = noise.startswith("direction ")
        remarks.append(
            f"{noise.capitalize()} {'is' if one else 'are'} noise of a finite sample, γ ≤ {readable(setting.noise)}. "
            f"Training on fixed pairs learns {'it' if one else 'them'} too; with fresh augmentations at each step it "
            "does not."
        )
    return tuple(remarks)


def _numbers(indices: list[int]) -> str:
    """Return directions in words, from consecutive indices."""
    if not indices:
        return ""
    first, last = indices[0] + 1, indices[-1] + 1
    return f"direction {first}" if first == last else f"directions {first} to {last}"


def _row(setting: Setting, j: int) -> tuple[str, ...]:
    learned, g, kind = setting.times[j], setting.gamma[j], setting.kinds[j]
    rise = np.log(81) / setting.rates[j] if np.isfinite(learned) else np.inf
    name = f"{j + 1}, noise" if kind == "noise" else str(j + 1)
    return (
        name,
        readable(float(g) + 0.0, 3),
        whole(learned),
        in_steps(rise) if np.isfinite(rise) else "–",
    )


def _loss_chart(setting: Setting, now: float) -> str:
    axis, grid = setting.axis, steps_grid(setting.axis, setting.times)
    marks = [
        *step_marks(setting.times),
        Mark(now, None, "sample", "now"),
        Mark(now, _loss_at(setting, now), "here"),
    ]
    return chart("Loss", axis, loss_axis(setting.dim), [Curve(grid, setting.loss(grid))], marks)


def _eigenvalue_chart(setting: Setting, now: float) -> str:
    grid = steps_grid(setting.axis, setting.times)
    values = setting.eigenvalues(grid)
    # Values that are 0 or negative run off the chart.
    values = np.where(values > 0, values, 0.0)
    positive = values[0][values[0] > 0]
    low = min(float(positive.min()) if len(positive) else setting.init**2, 0.01)
    y = LogAxis("eigenvalue of C", low / 2, 3.0)
    classes = {"shared": "shared", "noise": "other", "forbidden": "zero", "none": "zero"}
    curves = [Curve(grid, values[:, j], classes=classes[kind]) for j, kind in enumerate(setting.kinds)]
    marks = [*step_marks(setting.times), Mark(now, None, "sample")]
    return chart("Eigenvalues of the cross-correlation C", setting.axis, y, curves, marks)


def _shown(setting: Setting) -> Floats:
    """Return the eigenvalues of the chart of the spectrum: all that matter, and two more."""
    return setting.gamma[: max(setting.dim, setting.shared) + 2]


def _lowest(setting: Setting) -> float:
    """Return the low end of that chart."""
    gamma = _shown(setting)
    return min(0.5 * float(gamma[gamma > 0].min()), 0.05)


def _spectrum_chart(setting: Setting) -> str:
    gamma = _shown(setting)
    shown = len(gamma)
    low = _lowest(setting)
    x = LinearAxis("direction", 0.3, shown + 0.7, 1.0 if shown <= 12 else 2.0)
    y = LogAxis("γ", low, 3.0)
    curves = []
    for j, g in enumerate(gamma, start=1):
        kind = "noise" if g <= setting.noise else "shared"
        kind = "forbidden" if 4 * g <= setting.weight_decay else kind
        classes = {"shared": "shared", "noise": "other", "forbidden": "zero"}[kind]
        if g > 0:
            curves.append(Curve([j, j], [low / 10, g], classes=f"stem many {classes}"))
    ends = np.array([0.3, shown + 0.7])
    dashed = np.ones(2, bool)
    if setting.noise:
        curves.append(Curve(ends, np.full(2, setting.noise), dashed=dashed, classes="theory other"))
    if setting.weight_decay / 4 > low:
        curves.append(Curve(ends, np.full(2, setting.weight_decay / 4), dashed=dashed, classes="asked"))
    marks = [Mark(setting.dim + 0.5, None, "sample", f"d = {setting.dim}")]
    return chart("Spectrum of the views", x, y, curves, marks)


def _code(setting: Setting) -> str:
    """Return the code that gives the same numbers."""
    w, n = setting.weight_decay, setting.shared
    decay = f", weight_decay={w:g}" if w else ""
    gap = [f"signal[{(n + 1) // 2}:] /= {setting.gap:g}"] if setting.gap != 1 and n > 1 else []
    lines = [
        "import numpy as np",
        "from solvable.stepwise import (",
        "    learnable_directions, step_times,",
        "    max_learning_rate, trajectory,",
        ")",
        "",
        f"signal = np.arange(1, {n + 1}) ** {-setting.decay}",
        *gap,
        f"noise = np.linspace({setting.noise:g}, {-setting.noise:g}, {N_NOISE})",
        "gamma = np.sort(np.r_[signal, noise])[::-1]",
        f"n = learnable_directions(gamma{decay})",
        f"lr = max_learning_rate(gamma{decay})",
        f"sgd = dict(learning_rate={setting.share:g} * lr{decay})",
        "",
        f"s0, d = {setting.init:g}, {setting.dim}",
        "times = step_times(gamma[:d], s0=s0, **sgd)",
        f"steps = np.arange({round(setting.step_at(100)) + 1})",
        "C = trajectory(gamma[:d], s0, steps, **sgd)",
        "loss = ((1 - C) ** 2).sum(axis=1)",
    ]
    return "\n".join(lines)
