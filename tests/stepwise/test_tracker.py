"""What a `SpectrumTracker` measures, against NumPy; its state, its notes, and what it does with bad input."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_spectra import fed, pairs, seeded, spectrum
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.stepwise import SpectrumTracker, TrackerWarning, losses
from solvable.stepwise.assessment import STATES, STOPS
from solvable.stepwise.metrics import effective_rank, lidar, rankme

# What is measured ------------------------------------------------------------------------------------------------


def pooled(batches: list[np.ndarray], weights: Any) -> np.ndarray:
    return sum(w * np.cov(batch.T) for w, batch in zip(weights, batches, strict=True))


def test_the_spectrum_of_one_batch_is_numpy_s() -> None:
    a, b = pairs([1.0, 0.5, 0.1], seeded())
    tracker = SpectrumTracker(3)
    tracker.update(a, b)
    cross = np.cov(a.double().T, b.double().T)[:3, 3:]
    np.testing.assert_allclose(spectrum(tracker), np.linalg.eigvalsh((cross + cross.T) / 2)[::-1], rtol=1e-12)
    tracker = SpectrumTracker(3)
    tracker.update(a)
    np.testing.assert_allclose(spectrum(tracker), np.linalg.eigvalsh(np.cov(a.double().T))[::-1], rtol=1e-12)
    tracker = SpectrumTracker(3, center=False)
    tracker.update(a + 1, b + 1)
    moments = ((a + 1).double().T @ (b + 1).double() / len(a)).numpy()
    np.testing.assert_allclose(
        spectrum(tracker), np.linalg.eigvalsh((moments + moments.T) / 2)[::-1], rtol=1e-6
    )


def test_batches_count_alike_until_the_window_is_full_and_older_ones_are_forgotten() -> None:
    """Once the window is full, the newest n of W rows have the weight n/W, and what was before keeps the rest."""
    generator, window = seeded(), 400
    batches = [pairs([1.0, 0.7, 0.2], generator, n=100)[0] for _ in range(9)]
    tracker = SpectrumTracker(3, window=window)
    weights: list[float] = []
    for i, batch in enumerate(batches):
        tracker.update(batch, step=3 * i)
        share = max(1 / (i + 1), 100 / window)
        weights = [w * (1 - share) for w in weights] + [share]
        seen = [one.double().numpy() for one in batches[: i + 1]]
        np.testing.assert_allclose(
            spectrum(tracker), np.linalg.eigvalsh(pooled(seen, weights))[::-1], rtol=1e-10
        )
        ages = 3 * np.arange(i, -1, -1)
        assert tracker._history.ages[-1] == pytest.approx(float(np.dot(weights, ages)))


def test_the_estimate_is_unbiased_for_small_batches() -> None:
    """Mean over many windows of batches of four, in which the mean of a batch is fitted too."""
    generator = seeded()
    records = []
    for _ in range(100):
        tracker = SpectrumTracker(3, window=16)
        for _ in range(6):
            tracker.update(*pairs([1.0, 0.5, 0.0], generator, n=4, noise=0.5))
        records.append(spectrum(tracker).sum())
    error = np.std(records) / np.sqrt(len(records))
    assert np.mean(records) == pytest.approx(1.25, abs=3 * error)
    assert error < 0.1


def test_tokens_are_rows() -> None:
    a, b = pairs([1.0, 0.5, 0.1], seeded(), n=60)
    flat, tokens = SpectrumTracker(3), SpectrumTracker(3)
    flat.update(a, b)
    tokens.update(a.view(12, 5, 3), b.view(12, 5, 3))
    np.testing.assert_array_equal(spectrum(flat), spectrum(tokens))


def test_of_a_batch_larger_than_the_window_the_same_rows_of_both_views_are_used() -> None:
    a, b = pairs([1.0, 0.5], seeded(), n=5000, noise=0.0)
    tracker = SpectrumTracker(2, window=300)
    tracker.update(a, b)
    assert tracker._history.rows == [300]
    tracker_of_one = SpectrumTracker(2, window=300)
    tracker_of_one.update(a)
    np.testing.assert_allclose(spectrum(tracker), spectrum(tracker_of_one), rtol=1e-6)
    np.testing.assert_allclose(spectrum(tracker), [1.0, 0.25], rtol=0.3)


def test_spectra_at_every_tenth_step_are_those_of_the_rows_just_before() -> None:
    """Batches that the next four push out of the window are never looked at."""
    generator = seeded()
    batches = [pairs([1.0, 0.6, 0.3], generator) for _ in range(41)]
    often, seldom = SpectrumTracker(3, window=1024), SpectrumTracker(3, window=1024, every=10)
    for step, (a, b) in enumerate(batches):
        often.update(a, b, step=step)
        seldom.update(a, b, step=step)
    assert seldom.to_dataset().step.values.tolist() == [0, 10, 20, 30, 40]
    last = [torch.cat(views) for views in zip(*batches[-4:], strict=True)]
    one = SpectrumTracker(3)
    one.update(*last)
    np.testing.assert_allclose(spectrum(seldom), spectrum(one), rtol=0.02)
    np.testing.assert_allclose(spectrum(seldom), spectrum(often, 40), rtol=0.15)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2), (torch.float32, 1e-6)]
)
@pytest.mark.parametrize("dim", [8, 160])
def test_other_precisions(dtype: torch.dtype, tolerance: float, dim: int) -> None:
    exact, rough = SpectrumTracker(dim), SpectrumTracker(dim)
    a, b = pairs(np.linspace(1, 0.1, dim), seeded())
    exact.update(a.double(), b.double())
    rough.update(a.to(dtype), b.to(dtype))
    np.testing.assert_allclose(spectrum(rough), spectrum(exact), atol=tolerance * spectrum(exact)[0])


def test_metrics_are_those_of_the_papers_definitions() -> None:
    a, b = pairs([1.0, 0.8, 0.6, 0.4], seeded(), n=500, noise=0.3)
    tracker = SpectrumTracker(4)
    with pytest.raises(InputError, match="no embeddings yet"):
        tracker.metrics()
    tracker.update(a, b)
    found, both = tracker.metrics(), torch.cat([a, b]).numpy()
    assert found["effective_rank"] == pytest.approx(effective_rank(np.cov(both.T)), rel=1e-2)
    assert found["rankme"] == pytest.approx(rankme(both), rel=1e-2)
    assert found["lidar"] == pytest.approx(lidar(np.stack([a.numpy(), b.numpy()], axis=1)), rel=1e-2)


# Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (4.0, "that of Barlow Twins when nothing is learned, d = 4"),
        (24.75, "that of VICReg"),
        (np.log(256), "that of InfoNCE when nothing is learned, ln N with N = 256"),
        (np.log(511), "that of SimCLR (NT-Xent)"),
        (np.log(4), "that of DINO when nothing is learned, ln K with K = 4"),
        (np.nan, "lower the learning rate"),
    ],
)
def test_the_loss_of_nothing_learned_is_named(loss: float, words: str) -> None:
    tracker, generator = SpectrumTracker(4), seeded()
    for step in range(5):
        tracker.update(*pairs([1e-3] * 4, generator), step=step, loss=torch.tensor(loss, requires_grad=True))
    assert words in " ".join(tracker.verdict().notes)
    for step in range(5, 7):
        tracker.update(*pairs([1e-3] * 4, generator), step=step, loss=1.02 * 3.0)
    assert "the last loss" not in " ".join(tracker.verdict().notes)


def test_identical_views_are_told() -> None:
    tracker, generator = SpectrumTracker(3), seeded()
    for step in range(5):
        a, _ = pairs([1, 1, 0.1], generator)
        tracker.update(a, a.clone(), step=step)
    assert "both views are the same" in " ".join(tracker.verdict().notes)
    tracker.update(*pairs([1, 1, 0.1], generator), step=5)
    assert "both views are the same" not in " ".join(tracker.verdict().notes)


def test_fewer_rows_than_dimensions_are_told() -> None:
    tracker = fed(SpectrumTracker(16, window=8), lambda step: [1] * 16, range(6), n=8)
    assert "8 rows, fewer than the 16 dimensions" in " ".join(tracker.verdict().notes)


def test_every_state_has_a_meaning() -> None:
    assert set(STOPS) < set(STATES)
    tracker = SpectrumTracker(2)
    assert tracker.verdict().state == "starting"
    assert tracker.forecast() is None
    assert not tracker.should_stop


# A resumed run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [37, 40])
@pytest.mark.parametrize("two_views", [True, False])
def test_a_resumed_run_is_the_same(stop_at: int, two_views: bool) -> None:
    """The state goes through a file that torch loads without running code."""

    def run(tracker: SpectrumTracker, steps: range) -> SpectrumTracker:
        for step in steps:
            a, b = pairs([1, 1, 1e-3 * 1.1**step, 1e-4], seeded(step))
            tracker.update(a, b if two_views else None, step=step, loss=4.0 - step / 100)
        return tracker

    whole = run(SpectrumTracker(4, every=3), range(70))
    file = io.BytesIO()
    torch.save(run(SpectrumTracker(4, every=3), range(stop_at)).state_dict(), file)
    file.seek(0)
    resumed = SpectrumTracker(4, every=3)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert str(resumed) == str(run(SpectrumTracker(4, every=3), range(stop_at)))
    run(resumed, range(stop_at, 70))
    assert str(resumed) == str(whole)
    assert resumed.to_dataset().identical(whole.to_dataset())
    assert resumed.metrics() == pytest.approx(whole.metrics(), nan_ok=True)


def test_a_state_is_not_changed_by_going_on() -> None:
    tracker = fed(SpectrumTracker(3), lambda step: [1, 1, 0.1], range(5))
    state = tracker.state_dict()
    before = str(state)
    fed(tracker, lambda step: [1, 1, 0.1], range(5, 10))
    assert str(state) == before
    other = SpectrumTracker(3)
    other.load_state_dict(state)
    fed(other, lambda step: [1, 1, 0.1], range(5, 10))
    assert str(state) == before


def test_a_state_of_other_dimensions_is_refused() -> None:
    with pytest.raises(InputError, match="dim=3; expected dim=4"):
        SpectrumTracker(4).load_state_dict(SpectrumTracker(3).state_dict())


def test_old_records_are_thinned() -> None:
    tracker = SpectrumTracker(1, window=2)
    tracker.update(torch.zeros(2, 1), torch.ones(2, 1), step=-1)
    z = torch.tensor([[0.0], [1.0], [2.0]])
    for step in range(4500):
        tracker._history.add(step, step, 0.0, 3, np.array([1.0]), (1.0, 0.0))
    tracker.update(z, z, step=4500)
    steps = tracker.to_dataset().step.values
    assert len(steps) < 2000
    assert (steps[0], steps[-1]) == (-1, 4500)
    assert (np.diff(steps)[-390:] == 1).all()


def test_the_records_as_a_dataset() -> None:
    tracker = SpectrumTracker(3)
    with pytest.raises(InputError, match="no records yet"):
        tracker.to_dataset()
    fed(tracker, lambda step: [1, min(1e-2 * 1.2**step, 1), 1e-4], range(60))
    data = tracker.to_dataset()
    assert dict(data.sizes) == {"step": 60, "direction": 3}
    assert (data.n_learned.values[0], data.n_learned.values[-1]) == (1, 2)
    assert data.step_time.values[1] == pytest.approx(np.log(0.5**0.5 / 1e-2) / np.log(1.2), abs=1)
    assert np.isnan(data.step_time.values[2])
    assert data.effective_rank.values[50] == pytest.approx(2, abs=0.1)


# What goes wrong -------------------------------------------------------------------------------------------------


def test_the_training_is_untouched() -> None:
    """The same losses, gradients and random numbers with a tracker and without, and nothing kept of the graph."""

    def run(track: bool) -> tuple[list[float], Tensor, Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        optimizer, values, tracker = torch.optim.SGD(network.parameters(), lr=0.1), [], SpectrumTracker(3)
        for step in range(5):
            z_a, z_b = (network(torch.randn(16, 5)) for _ in range(2))
            version = z_a._version
            if track:
                tracker.update(z_a, z_b, step=step)
                tracker.verdict()
            loss = losses.barlow_twins(z_a, z_b)
            if track:
                tracker.update(z_a, z_b, step=step + 0.5, loss=loss)
                assert z_a._version == version
                kept = [one for one in vars(tracker._covariance).values() if isinstance(one, Tensor)]
                assert kept
                assert not any(one.requires_grad for one in kept)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return values, torch.get_rng_state(), next(network.parameters()).detach()

    with_one, without = run(True), run(False)
    assert with_one[0] == without[0]
    assert torch.equal(with_one[1], without[1])
    assert torch.equal(with_one[2], without[2])


BAD: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "NaN": (torch.full((8, 4), torch.nan), torch.zeros(8, 4), {}, "NaN or infinite, first at step 20"),
    "infinite": (torch.zeros(8, 4), torch.full((8, 4), torch.inf), {}, "NaN or infinite"),
    "huge": (1e200 * torch.ones(8, 4).double(), torch.zeros(8, 4).double(), {}, "NaN or infinite"),
    "shapes": (torch.zeros(8, 4), torch.zeros(9, 4), {}, r"different shapes: \(8, 4\) and \(9, 4\)"),
    "width": (torch.zeros(8, 5), torch.zeros(8, 5), {}, r"\(8, 5\); expected \(B, 4\) or \(B, T, 4\)"),
    "empty": (torch.zeros(0, 4), torch.zeros(0, 4), {}, r"\(0, 4\)"),
    "vector": (torch.zeros(4), torch.zeros(4), {}, r"\(4,\)"),
    "complex": (torch.zeros(8, 4, dtype=torch.complex64), None, {}, "complex"),
    "one row": (torch.zeros(1, 4), torch.zeros(1, 4), {}, "one row; expected two or more"),
    "one view": (torch.zeros(8, 4), None, {}, "two views and others one"),
    "text": ("z", None, {}, "not a tensor: got str"),
    "nothing": (None, None, {}, "not a tensor: got NoneType"),
    "sparse": (torch.zeros(8, 4).to_sparse(), torch.zeros(8, 4).to_sparse(), {}, "left out a batch"),
    "step back": (torch.zeros(8, 4), torch.zeros(8, 4), {"step": 3}, "got 3 after 19"),
    "step NaN": (torch.zeros(8, 4), torch.zeros(8, 4), {"step": np.nan}, "got nan after 19"),
    "step text": (torch.zeros(8, 4), torch.zeros(8, 4), {"step": "x"}, "ValueError"),
    "loss text": (torch.zeros(8, 4), torch.zeros(8, 4), {"loss": "x"}, "ValueError"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_batch_is_one_warning_and_is_left_out(name: str) -> None:
    z_a, z_b, options, words = BAD[name]
    tracker = fed(SpectrumTracker(4), lambda step: [1, 1, 0.01, 0.01], range(20))
    before = tracker.to_dataset()
    with pytest.warns(TrackerWarning, match=words):
        tracker.update(z_a, z_b, **options)
    tracker.update(z_a, z_b, **options)  # a second warning would be an error
    assert "2 batches left out" in " ".join(tracker.verdict().notes)
    assert tracker.to_dataset().identical(before)
    fed(tracker, lambda step: [1, 1, 0.01, 0.01], range(30, 40))
    assert tracker.verdict().learned == 2


def test_embeddings_that_stay_nan_are_a_divergence() -> None:
    tracker = fed(SpectrumTracker(4), lambda step: [1, 1, 0.01, 0.01], range(20))
    bad = torch.full((8, 4), torch.nan)
    with pytest.warns(TrackerWarning):
        tracker.update(bad, bad, step=20)
    assert not tracker.should_stop
    for step in range(21, 30):
        tracker.update(bad, bad, step=step)
    verdict = tracker.verdict()
    assert (verdict.state, verdict.learned, verdict.best_step) == ("diverged", 2, 19)
    assert tracker.should_stop
    fed(tracker, lambda step: [1, 1, 0.01, 0.01], range(30, 40))
    assert not tracker.should_stop


NUMBERS = st.one_of(
    st.none(), st.integers(-5, 50), st.floats(width=32), st.text(max_size=3), st.just(torch.tensor(2.0))
)


@st.composite
def junk(draw: st.DrawFn) -> Any:
    """Something that a training loop might pass as embeddings, good or bad."""
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 3, 9]), max_size=4))
    if draw(st.booleans()):
        shape = [draw(st.integers(1, 9)), 3]
    z = torch.randn(shape, generator=seeded(draw(st.integers(0, 3))))
    z = z * draw(st.sampled_from([0.0, 1e-30, 1.0, 1e6, 1e25, 1e38, np.nan, np.inf]))
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool, torch.complex64]
    return draw(
        st.sampled_from([z, z, z.to(draw(st.sampled_from(kinds))), z.tolist(), None, "z", {}, z.to_sparse()])
    )


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(junk(), junk(), NUMBERS, NUMBERS, st.integers(1, 5)), min_size=1, max_size=8),
    st.sampled_from([2, 5, 1000]),
    st.integers(1, 3),
    st.booleans(),
)
def test_it_never_raises(updates: list[Any], window: int, every: int, center: bool) -> None:
    tracker = SpectrumTracker(3, window=window, every=every, center=center)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrackerWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for z_a, z_b, step, loss, times in updates:
            for _ in range(times):
                tracker.update(z_a, z_b, step=step, loss=loss)
    verdict = tracker.verdict()
    assert verdict.state in STATES
    assert str(verdict)
    assert tracker.should_stop == (verdict.state in STOPS)
    other = SpectrumTracker(3, window=window, every=every, center=center)
    other.load_state_dict(tracker.state_dict())
    assert str(other) == str(tracker)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dim": 0}, "dim must be a whole number of at least 1"),
        ({"dim": 2.5}, "dim must be a whole number"),
        ({"dim": 3, "window": 1}, "window must be a whole number of at least 2"),
        ({"dim": 3, "every": 0}, "every must be a whole number of at least 1"),
        ({"dim": 3, "level": 0}, "level must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SpectrumTracker(**options)
