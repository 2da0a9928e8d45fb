r"""What the records of a spectrum mean for the training: wait, stop, or mend something first."""

from dataclasses import dataclass

import numpy as np

from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.stepwise.growth import Forecast
from solvable.stepwise.history import History
from solvable.stepwise.trivial_losses import nothing_learned

STATES = {
    "starting": "too few records",
    "learning": "a direction is being learned",
    "waiting": "on a plateau, and the next direction grows",
    "undecided": "on a plateau, and no growth is visible yet",
    "full": "all dimensions of the embedding are learned",
    "finished": "no learnable direction is left",
    "relapsed": "learned directions were lost, and grow again",
    "collapsing": "learned directions are being lost",
    "collapsed": "all embeddings are equal",
    "diverged": "embeddings are NaN, infinite or grow without bound",
    "scale": "the weights of a scale-invariant loss grew so much that the learning rate has no effect",
}
"""State of a training -> its meaning."""

STOPS = ("full", "finished", "collapsing", "collapsed", "diverged", "scale")
"""States in which more steps of the same training add no direction."""

_FEWEST = 4
# No direction is left if at most the upper end of its growth the next would take this many times all steps so far.
_PATIENCE = 10.0
_COLLAPSED = 1e-13
_JUMP, _LARGE = 1e6, 10.0
_LOST = 0.75
_NOT_FINITE, _UNBOUNDED = 10, 1e24
# Views whose correlations are mostly negative are no views of the same thing.
_OPPOSITE = 0.5


@dataclass(frozen=True)
class TrainingVerdict(Verdict):
    """The state of a training in words; `print` it, or let a notebook display it.

    Attributes:
        state: one of `STATES`.
        learned: number of learned directions.
        forecast: of the next direction, if one grows.
        should_stop: whether more steps of the same training add no direction.
        best_step: the step at which most directions were learned, if some have been lost since.
    """

    state: str = "starting"
    learned: int = 0
    forecast: Forecast | None = None
    should_stop: bool = False
    best_step: float | None = None


def assess(
    history: History,
    two_views: bool,
    identical: bool,
    batch_size: int,
    skipped: str,
    budget: float | None = None,
) -> TrainingVerdict:
    """Return the state of a training.

    Args:
        history: its records.
        two_views: whether the eigenvalues are those of a cross-correlation.
        identical: whether both views have been equal in all batches.
        batch_size: rows of the last batch.
        skipped: why batches were left out; empty if none was.
        budget: the last step of the training, if known.
    """
    notes = _notes(history, two_views, identical, batch_size, skipped)
    if _diverged(history):
        text = "The learning rate is too large. Go back to a checkpoint, and lower it."
        title = "Diverged: the embeddings are not finite, or grow without bound"
        best, most = history.best() if history.learned else (None, 0)
        if best is not None:
            text += f" The last checkpoint with {_directions(most)} is that of step {best:.0f}."
        sections = (Section("", text, _steps_table(history)),)
        return TrainingVerdict(title, sections, notes, "diverged", most, should_stop=True, best_step=best)
    if len(history) < _FEWEST:
        text = f"{len(history)} of the {_FEWEST} records of the spectrum that are needed."
        return TrainingVerdict("Too few records for a verdict", (Section("", text),), notes)
    k, d = int(history.counts()[-1]), history.dim
    state, title, text, forecast, best = _state(history, k, two_views)
    if state != "scale" and (factor := _grown(history)):
        notes += (
            f"the scale of the embeddings has grown {factor} times: a normalised loss does not depend on it, and the "
            "last layer now learns slowly: start from a larger last layer, or with a lower learning rate",
        )
    if forecast is not None and budget is not None and forecast.step > budget:
        text += f" That is beyond the budget of {budget:,.0f} steps."
    values = history.eigenvalues[-1]
    shown = [*range(min(d, 4)), *range(max(4, k - 2), min(d, k + 3))]
    gap = ["..."] if k - 2 > 4 else []
    words = [readable(values[i], 3) for i in shown]
    facts = f"{k} of {d} directions learned. Eigenvalues: {', '.join([*words[:4], *gap, *words[4:]])}."
    metrics = history.metrics[max(history.metrics)] if history.metrics else {}
    if np.isfinite(metrics.get("effective_rank", np.nan)):
        facts += f" Effective rank of the covariance: {readable(metrics['effective_rank'], 3)}."
    sections = [Section("", text), Section("Spectrum", facts, _steps_table(history))]
    return TrainingVerdict(title, tuple(sections), notes, state, k, forecast, state in STOPS, best)


def _state(history: History, k: int, two_views: bool) -> tuple[str, str, str, Forecast | None, float | None]:
    """Return the state, a title, sentences, the forecast of the next direction, and the best step if one is past."""
    d, step = history.dim, history.steps[-1]
    for found in (_collapsed(history), _scale_jump(history), _lost(history, k)):
        if found is not None:
            return found
    if k >= d:
        return (
            "full",
            f"All {d} dimensions of the embedding are learned",
            "More steps refine the directions and add none. A wider embedding may hold more.",
            None,
            None,
        )
    forecast = history.forecast(k)
    if forecast is not None and (history.above_noise(k) or not two_views):
        name = f"direction {k + 1}"
        when = f"at step {_interval(forecast)}"
        text = f"Its eigenvalue is {readable(forecast.share, 2)} of its final value and doubles every "
        text += f"{readable(np.log(2) / forecast.rate, 2)} steps."
        if forecast.share >= 0.01:
            return "learning", f"Learning {name}: half learned {when}", text, forecast, None
        return "waiting", f"On a plateau: {name} comes {when}", text, forecast, None
    return (*_no_growth(history, k, two_views, step), None, None)


def _no_growth(history: History, k: int, two_views: bool, step: float) -> tuple[str, str, str]:
    start, now, since = history.times[0], history.times[-1], history.last_change()
    # Only what has been watched after the last direction says something about the next.
    watched = [one > since for one in history.times]
    long_enough = sum(watched) >= 10 and now >= max(start + 2 * (since - start), history.visible_by(k))
    soonest = history.earliest(k)
    none_grows = soonest - now > _PATIENCE * (now - start)
    if k == 0 and not history.learned:
        return (
            "undecided",
            "No direction has its final size, and no growth is visible yet",
            "If the loss divides by the scale of the embeddings, their eigenvalues do not tell: pass "
            "normalize='dimensions' (Barlow Twins) or 'rows' (SimCLR) to the tracker, or the level. Otherwise this is "
            "a plateau at the start, which can be long, or the learning rate is too small, or the views share nothing.",
        )
    if long_enough and none_grows and not (two_views and history.above_noise(k)):
        return (
            "finished",
            f"No learnable direction left after {k}",
            "None of the other eigenvalues is above the noise and grows: at the upper end of what the records allow, "
            f"the next direction would come after step {_rounded(history.step_at(soonest))}.",
        )
    text = "No growth of the next direction is visible yet. "
    text += (
        "Its eigenvalue is above the noise, so it may come."
        if two_views and history.above_noise(k)
        else "Watch for longer to be sure."
    )
    return "undecided", f"On a plateau with {_directions(k, 'learned ')}", text


def _diverged(history: History) -> bool:
    return history.not_finite >= _NOT_FINITE or (len(history) > 0 and history.eigenvalues[-1][0] > _UNBOUNDED)


def _collapsed(history: History) -> tuple[str, str, str, None, float | None] | None:
    variance, mean = history.scales[-1]
    largest = max(one[0] for one in history.scales)
    vanished = variance <= _COLLAPSED * (variance + mean) or variance <= 0
    if not vanished and not (variance < 1e-6 * largest):
        return None
    best = None
    text = "The embeddings do not depend on the input."
    if history.learned:
        best, most = history.best()
        text += f" Go back to the checkpoint of step {best:.0f}, which had {most} directions."
    elif mean > 0:
        text += " They are constant, but not zero: a bias or a normalisation is all that is left of them."
    return "collapsed", "Collapsed: all embeddings are equal", text, None, best


def _scale_jump(history: History) -> tuple[str, str, str, None, None] | None:
    """Return the state in which a normalised loss has thrown small weights to a large scale."""
    values, factor = history.eigenvalues[-1], _grown(history)
    alone = values[0] > 0.9 * np.abs(values).sum()
    if not factor or not alone or not history.settled():
        return None
    return (
        "scale",
        f"The embedding's scale grew {factor} times, and the learning rate no longer matters",
        "A normalised loss does not depend on the scale of the last layer, and its gradient falls as 1/scale: small "
        "weights are thrown to large ones in a few steps, and one direction is all that is learned. Lower the learning "
        "rate, or do not start from a small last layer.",
        None,
        None,
    )


def _grown(history: History) -> str:
    """Return how many times the scale of the embeddings has grown, if so much that the loss cannot depend on it."""
    totals = np.array([one[0] for one in history.scales])
    grown = totals[-1] / max(float(totals.min()), 1e-300)
    return f"{np.sqrt(grown):,.0f}" if grown > _JUMP and history.eigenvalues[-1][0] > _LARGE else ""


def _lost(history: History, k: int) -> tuple[str, str, str, Forecast | None, float] | None:
    """Return the state if directions that were learned are not any more."""
    if len(history.learned) - k < max(1, (1 - _LOST) * len(history.learned)):
        return None
    at, most = history.best()
    # A direction that shares little between the views is measured with much noise, so one record is not enough.
    records, steps, times = sum(step > at for step in history.steps), history.steps, history.times
    if most <= k or records < 10 or steps[-1] - at < 0.05 * (steps[-1] - steps[0]):
        return None
    waited = times[-1] - float(np.interp(at, steps, times))
    if waited < 4 * history.ages[-1] or not history.surely_lost(k, at):
        return None
    forecast = history.forecast(k)
    if forecast is not None:
        title = f"Relapsed from {most} directions to {k} after step {at:.0f}"
        text = f"Direction {k + 1} grows again, and comes back at step {_interval(forecast)}. A step was too large: "
        return "relapsed", title, text + "lower the learning rate.", forecast, at
    title = f"Collapsing: {most} directions at step {at:.0f}, {k} now"
    text = f"The checkpoint of step {at:.0f} is the best. Go on from it with a lower learning rate or weight decay."
    return "collapsing", title, text, None, at


def _interval(forecast: Forecast) -> str:
    digits = min(max(0, 1 - int(np.floor(np.log10(max(forecast.step - forecast.made_at, 1e-3))))), 2)
    low, step, high = (f"{one:,.{digits}f}" for one in (forecast.low, forecast.step, forecast.high))
    return f"{step} ({low} to {high})" if np.isfinite(forecast.high) else f"{step} or later"


def _rounded(step: float) -> str:
    return f"{step:,.0f}" if step < 1e9 else "1e9"


def _directions(number: int, kind: str = "") -> str:
    return f"{number} {kind}direction{'s' * (number != 1)}"


def _steps_table(history: History) -> Table | None:
    if not history.learned:
        return None
    rows = tuple(
        (
            str(one.direction),
            f"{one.step:,.1f}",
            readable(one.rate * history.pace, 3) if np.isfinite(one.rate) else "not seen",
        )
        for one in history.learned[-12:]
    )
    return Table(("direction", "learned at step", "growth per step"), rows)


def _notes(
    history: History, two_views: bool, identical: bool, batch_size: int, skipped: str
) -> tuple[str, ...]:
    notes = []
    if skipped:
        notes.append(skipped)
    if history.losses:
        notes += _loss_notes(history.losses[max(history.losses)], history.dim, batch_size)
    if two_views and len(history):
        values = history.eigenvalues[-1]
        if values.sum() < -_OPPOSITE * np.abs(values).sum():
            notes.append(
                "the cross-correlation of the views is mostly negative: check that both embeddings are of the same "
                "samples, in the same order, from the same network"
            )
    if two_views and identical:
        notes.append(
            "both views are the same, so they agree in all directions: the loss is not zero because correlations of a "
            "finite batch (Barlow Twins), variance and covariance (VICReg) or the other samples (InfoNCE) remain"
        )
    if history.rows and history.rows[-1] < history.dim:
        notes.append(
            f"the spectrum is that of {history.rows[-1]:.0f} rows, fewer than the {history.dim} dimensions: use a "
            "larger window, or record after more batches"
        )
    return tuple(notes)


def _loss_notes(loss: float, dim: int, batch_size: int) -> list[str]:
    """Return notes on a loss that is what it is when nothing is learned."""
    values = {
        "Barlow Twins": (nothing_learned("barlow_twins", dim=dim), f"d = {dim}"),
        "VICReg": (nothing_learned("vicreg"), "25 (1 - 0.01)"),
        "DINO": (nothing_learned("dino", dim=max(dim, 2)), f"ln K with K = {dim}"),
    }
    if batch_size >= 2:
        n = batch_size
        values["InfoNCE"] = nothing_learned("info_nce", batch_size=n), f"ln N with N = {n}"
        values["SimCLR (NT-Xent)"] = nothing_learned("nt_xent", batch_size=n), f"ln(2N - 1) with N = {n}"
    if not np.isfinite(loss):
        return [f"the last loss is {loss:g}: lower the learning rate"]
    return [
        f"the last loss, {loss:.4g}, is that of {name} when nothing is learned, {words}"
        for name, (value, words) in values.items()
        if abs(loss - value) <= 2e-3 * value
    ]
