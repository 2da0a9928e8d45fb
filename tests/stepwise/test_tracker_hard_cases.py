"""Hard cases of the tracker: normalised losses, schedules, long runs, views that agree little, modes of torch."""

import warnings

import numpy as np
import pytest
import torch
from known_spectra import fed, pairs, seeded
from torch import nn

from solvable.errors import InputError
from solvable.stepwise import (
    SpectrumTracker,
    TrackerWarning,
    held_out_directions,
    lidar,
    predict_from_features,
)
from solvable.stepwise.assessment import STOPS


def test_dimensions_are_standardised_as_the_loss_does() -> None:
    """The eigenvalues are those of the correlation matrix between the views, whatever the scales of the dimensions."""
    generator, tracker = seeded(), SpectrumTracker(4, window=512, normalize="dimensions")
    shared = torch.randn(512, 2, generator=generator) @ torch.randn(2, 4, generator=generator)
    scale = torch.tensor([1e-3, 1.0, 30.0, 5.0])
    a, b = (scale * (shared + 0.1 * torch.randn(512, 4, generator=generator)) for _ in range(2))
    tracker.update(a, b)
    za, zb = ((z - z.mean(0)).double() for z in (a, b))
    deviation = ((za.square().mean(0) + zb.square().mean(0)) / 2).sqrt()
    C = (za.T @ zb + zb.T @ za) / (2 * len(a)) / torch.outer(deviation, deviation)
    expected = torch.linalg.eigvalsh(C).flip(0).numpy()
    np.testing.assert_allclose(tracker.to_dataset().eigenvalue.values[0], expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 50.0])
def test_a_normalised_loss_counts_the_same_at_any_scale(scale: float) -> None:
    tracker, generator = SpectrumTracker(6, normalize="dimensions"), seeded()
    mix = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    for step in range(40):
        a, b = pairs([1.0, 1.0, 0.9, 1e-3, 1e-3, 1e-3], generator)
        tracker.update(scale * a @ mix, scale * b @ mix, step=step)
    assert tracker.verdict().learned == 3


@pytest.mark.parametrize("scale", [1e-2, 1.0, 50.0])
def test_a_late_collapse_is_told_at_any_scale_of_a_normalised_loss(scale: float) -> None:
    """From step 60 on one of three directions is noise of each view alone, and its variance stays."""
    tracker, generator = SpectrumTracker(4, normalize="dimensions"), seeded()
    mix = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    for step in range(160):
        a, b = pairs([1.0, 1.0, 1.0, 0.02], generator)
        if step >= 60:
            b[:, 2] = torch.randn(len(b), generator=generator)
        tracker.update(scale * a @ mix, scale * b @ mix, step=step)
        assert step >= 60 or tracker.verdict().state != "collapsing"
    verdict = tracker.verdict()
    assert (verdict.state, verdict.learned) == ("collapsing", 2)
    assert verdict.best_step == pytest.approx(60, abs=8)


def test_the_figure_shows_curves_steps_and_the_forecast() -> None:
    tracker = fed(
        SpectrumTracker(3), lambda step: [1, min(1e-2 * 1.2**step, 1), 1e-3 * 1.03**step], range(60)
    )
    assert tracker.forecast() is not None
    counts, eigenvalues = tracker.plot().axes
    assert eigenvalues.get_yscale() == "log"
    assert (eigenvalues.get_xlabel(), eigenvalues.get_ylabel()) == ("step", "eigenvalue")
    assert counts.get_ylabel() == "learned directions"
    curves = [line for line in eigenvalues.lines if len(np.asarray(line.get_xdata())) == 60]
    np.testing.assert_allclose(
        np.asarray(curves[1].get_ydata(), dtype=float), tracker.to_dataset().eigenvalue.values[:, 1]
    )
    assert "direction 3, forecast" in {text.get_text() for text in eigenvalues.texts}


def test_rows_are_divided_by_their_lengths() -> None:
    a, b = pairs([1.0, 1.0, 1.0, 0.01], seeded())
    lengths = 10 ** torch.linspace(-3, 3, len(a))[:, None]
    one, other = SpectrumTracker(4, normalize="rows"), SpectrumTracker(4)
    one.update(lengths * a, lengths * b)
    other.update(nn.functional.normalize(a), nn.functional.normalize(b))
    np.testing.assert_allclose(
        one.to_dataset().eigenvalue.values, other.to_dataset().eigenvalue.values, atol=1e-6
    )
    with pytest.raises(InputError, match="did you mean 'rows'"):
        SpectrumTracker(4, normalize="row")  # pyright: ignore[reportArgumentType]


def test_small_embeddings_at_rest_are_not_said_to_have_learned_nothing() -> None:
    tracker = fed(SpectrumTracker(4), lambda step: [0.05, 0.05, 0.05, 1e-4], range(60))
    words = str(tracker.verdict()).replace("\n  ", " ")
    assert "nothing is learned" not in words.lower()
    assert "normalize='dimensions' (Barlow Twins) or 'rows' (SimCLR)" in words


def test_forecasts_follow_a_schedule_of_learning_rates() -> None:
    """The eigenvalue grows with the sum of the learning rates, which halve at step 100."""
    rates = [0.1 if step < 100 else 0.05 for step in range(400)]
    total = np.cumsum([0.0, *rates])
    size = 1e-4 * np.exp(0.6 * total)  # its square is 1/2 where the sum is 14.8, at step 195
    due = 100 + (np.log(0.5**0.5 / 1e-4) / 0.6 - 10) / 0.05
    told, not_told = SpectrumTracker(2), SpectrumTracker(2)
    generator = seeded()
    for step in range(125):
        views = pairs([1.0, float(size[step])], generator)
        told.update(*views, step=step, learning_rate=rates[step])
        not_told.update(*views, step=step)
    forecast = told.forecast()
    assert forecast is not None
    assert forecast.step == pytest.approx(due, rel=0.03)
    other = not_told.forecast()
    assert other is None or other.step < 0.96 * due
    told.update(*pairs([1.0, float(size[125])], generator), step=125, learning_rate=0.0)
    assert told.forecast() is None  # it would never come


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -0.1])
def test_a_learning_rate_that_is_none_spoils_nothing(rate: float) -> None:
    tracker, generator = SpectrumTracker(2), seeded()
    size = [1e-3 * 1.1**step for step in range(60)]
    for step in range(60):
        views = pairs([1.0, size[step]], generator)
        if step == 10:
            with pytest.warns(TrackerWarning, match="learning rate is out of range"):
                tracker.update(*views, step=step, learning_rate=rate)
        else:
            tracker.update(*views, step=step, learning_rate=0.1)
    forecast = tracker.forecast()
    assert forecast is not None
    # The logistic curve with this growth has half of its final value where the exponential has all of it.
    assert forecast.step == pytest.approx(np.log(1 / 1e-3) / np.log(1.1), rel=0.02)


def test_learned_steps_are_steps_also_with_learning_rates() -> None:
    size = [1e-3 * 1.1**step for step in range(100)]
    told, plain = SpectrumTracker(2, window=256), SpectrumTracker(2, window=256)
    generator = seeded()
    for step in range(100):
        views = pairs([1.0, min(size[step], 1.0)], generator)
        told.update(*views, step=step, learning_rate=0.02)
        plain.update(*views, step=step)
    assert [one.step for one in told.steps] == pytest.approx([one.step for one in plain.steps], abs=0.2)
    assert told.steps[1].time == pytest.approx(0.02 * told.steps[1].step, abs=0.01)


def test_old_records_of_a_long_run_are_evenly_spaced() -> None:
    tracker = SpectrumTracker(1)
    for step in range(100_000):
        tracker._history.add(step, step, 0.0, 1024, np.array([1.0]), (1.0, 0.0))
    steps = np.array(tracker._history.steps)
    assert len(steps) < 1000
    assert steps[0] == 0
    assert np.diff(steps).max() < 2000


def test_a_collapse_is_still_told_after_a_long_time() -> None:
    tracker = SpectrumTracker(3)
    history = tracker._history
    rng = np.random.default_rng(0)
    for step in range(20_000):
        last = 1.0 if step < 5000 else 1e-3
        values = np.array([1.0, 1.0, last]) * (1 + 0.02 * rng.normal(size=3))
        history.add(step, step, 3.0, 1024, np.sort(values)[::-1], (3.0, 0.0))
    verdict = tracker.verdict()
    assert verdict.state == "collapsing"
    assert verdict.best_step == pytest.approx(5000, abs=120)


@pytest.mark.parametrize(("last", "state"), [(0.3, "undecided"), (1.0, "full")])
def test_many_dimensions_are_full_when_the_last_one_is(last: float, state: str) -> None:
    tracker, generator = SpectrumTracker(256), seeded()
    scales = torch.ones(256)
    scales[-1] = last**0.5
    for step in range(12):
        tracker.update(*pairs(scales, generator, n=512), step=step)
    verdict = tracker.verdict()
    assert (verdict.state == "full") == (state == "full")
    assert verdict.should_stop == (state == "full")


@pytest.mark.parametrize("noise", [3.0, 6.0])
def test_views_that_agree_little_do_not_collapse(noise: float) -> None:
    """Eigenvalues are measured with much noise and stay what they are; stopping at any step would end the run."""
    tracker, generator = SpectrumTracker(4), seeded(1)
    for step in range(600):
        tracker.update(*pairs([1.0, 1.0, 0.9, 1e-3], generator, n=128, noise=noise), step=step)
        if step % 20 == 0:
            assert tracker.verdict().state not in STOPS, f"{tracker.verdict().title} at step {step}"


def test_should_stop_is_judged_less_often_in_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvable.stepwise import tracker as module

    calls = []
    judge = module.assess
    monkeypatch.setattr(module, "assess", lambda *arguments: calls.append(1) or judge(*arguments))
    tracker, generator = SpectrumTracker(2, window=64), seeded()
    for step in range(600):
        tracker.update(*pairs([1.0, 1e-3], generator, n=64), step=step)
        assert not tracker.should_stop
    assert len(calls) < 200
    tracker.verdict()
    before = len(calls)
    tracker.verdict()
    assert len(calls) == before


def test_accumulated_batches_share_a_step() -> None:
    tracker, generator = SpectrumTracker(3, window=4096), seeded()
    for step in range(10):
        for _ in range(4):
            tracker.update(*pairs([1, 1, 1], generator, n=64), step=step)
    assert tracker.to_dataset().step.values.tolist() == list(range(10))
    assert tracker._covariance.rows == 10 * 4 * 64
    assert "left out" not in str(tracker.verdict())


def test_inference_mode_and_warnings_as_errors() -> None:
    tracker, generator = SpectrumTracker(3), seeded()
    with torch.inference_mode():
        tracker.update(*pairs([1, 1, 1], generator))
    tracker.update(*pairs([1, 1, 1], generator))
    with torch.inference_mode():
        tracker.update(*pairs([1, 1, 1], generator))
    assert len(tracker.to_dataset().step) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.update(torch.zeros(4, 5), torch.zeros(4, 5))
    assert "1 batch left out" in str(tracker.verdict())


def test_the_warning_points_at_the_line_that_called() -> None:
    tracker = SpectrumTracker(3)
    with pytest.warns(TrackerWarning) as record:
        tracker.update(torch.zeros(4, 5))
    assert record[0].filename == __file__


def test_views_of_opposite_sign_are_told() -> None:
    tracker, generator = SpectrumTracker(3), seeded()
    for step in range(10):
        a, b = pairs([1, 1, 1], generator)
        tracker.update(a, -b, step=step)
    assert "mostly negative" in str(tracker.verdict())


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_lidar_of_a_batch_is_that_of_two_views(scale: float) -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(400, 1, 6)) * [1.0, 1.0, 0.5, 0.2, 0.1, 0.05]
    Z = scale * (shared + 0.1 * rng.normal(size=(400, 2, 6)))
    tracker = SpectrumTracker(6, window=400)
    tracker.update(Z[:, 0] - Z[:, 0].mean(0), Z[:, 1] - Z[:, 1].mean(0))
    assert tracker.metrics()["lidar"] == pytest.approx(lidar(Z - Z.mean(axis=0, keepdims=True)), rel=0.01)


# Before training -------------------------------------------------------------------------------------------------


def network(*last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64, bias=False), nn.ReLU(), nn.Linear(64, 2, bias=False), *last)
    with torch.no_grad():
        net[2].weight.mul_(1e-3)  # pyright: ignore
    return net


def test_a_head_that_is_not_last_is_refused() -> None:
    X = torch.randn(64, 8)
    for last in (nn.BatchNorm1d(2), nn.ReLU()):
        with pytest.raises(InputError, match="expected the head as the last layer"):
            predict_from_features(network(last), (X, X))


def test_views_are_converted_to_the_network_and_split_evenly() -> None:
    net = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 2))
    X = np.random.default_rng(0).normal(size=(513, 8))
    assert np.isfinite(predict_from_features(net, (X, X + 0.1)).step_times).all()


def test_each_view_has_a_dropout_mask_of_its_own() -> None:
    """With one mask for both, the noise of dropout would be shared by the views, and so be learnable."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    net = nn.Sequential(nn.Linear(2, 128), nn.Dropout(0.5), nn.Linear(128, 2))
    X = torch.randn(300, 2)
    torch.set_rng_state(state)
    prediction = predict_from_features(net, (X, X))
    assert prediction.learnable < 20
    assert torch.equal(torch.get_rng_state(), state)


def test_repeated_samples_are_held_out_together() -> None:
    rng = np.random.default_rng(0)
    samples = np.repeat(rng.normal(size=(24, 30)), 20, axis=0)
    groups = np.repeat(np.arange(24), 20)
    views = [samples + 0.5 * rng.normal(size=samples.shape) for _ in range(2)]
    apart = held_out_directions(*views)
    assert held_out_directions(*views, groups=groups).directions < apart.directions
    with pytest.raises(InputError, match="groups has shape"):
        held_out_directions(*views, groups=groups[:5])
