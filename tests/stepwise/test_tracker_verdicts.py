"""What a `SpectrumTracker` says of linear models, whose eigenvalues are known at each step, and of small networks."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from known_spectra import Linear, crossings, fed, pairs, seeded, spectrum
from sklearn.datasets import load_digits
from torch import Tensor, nn

from cases import representative
from solvable.machine import limited_torch_threads
from solvable.stepwise import Augmentation, SpectrumTracker, losses
from solvable.stepwise.assessment import STOPS


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    """Small products are faster on one thread, by a factor of ten beside other work."""
    with limited_torch_threads(1):
        yield


# Steps and forecasts ---------------------------------------------------------------------------------------------


def followed(model: Linear, steps: int, **options: Any) -> tuple[SpectrumTracker, np.ndarray, list[Any]]:
    """Return the tracker, the true eigenvalues, and the first forecast of each direction made at 1 % or more."""
    tracker, truth, forecasts = SpectrumTracker(model.dim, **options), [], dict[int, Any]()
    for step, z_a, z_b, values in model.train(steps):
        tracker.update(z_a, z_b, step=step)
        truth.append(values)
        if step % 5 == 0 and (forecast := tracker.forecast()) and forecast.share >= 0.01:
            forecasts.setdefault(forecast.direction, forecast)
    return tracker, np.array(truth), [forecasts[j] for j in sorted(forecasts)]


@pytest.mark.parametrize("seed", representative(range(6), fast=[0]))
def test_steps_rates_and_forecasts_on_a_linear_model(seed: int) -> None:
    """Steps within 2 steps or 1 %, rates within 10 % of 2 ln(1 + 4 lr gamma), forecasts within 5 %."""
    model = Linear([1.0, 0.6, 0.35, 0.2], seed=seed, exact=True)
    tracker, truth, forecasts = followed(model, 500)
    true = crossings(truth)
    found = np.array([one.step for one in tracker.steps])
    assert len(true) == len(found) == 4
    np.testing.assert_allclose(found, true, rtol=0.01, atol=2)
    rates = 2 * np.log1p(4 * model.rate * np.array(model.gammas))
    np.testing.assert_allclose([one.rate for one in tracker.steps], rates, rtol=0.1)
    assert [one.direction for one in forecasts] == [1, 2, 3, 4]
    np.testing.assert_allclose([one.step for one in forecasts], true, rtol=0.05, atol=2)
    for one, step in zip(forecasts, true, strict=True):
        assert one.low <= step <= one.high
        assert one.made_at < step


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_intervals_of_forecasts_hold_the_step(noise: float) -> None:
    """At least nine of ten do, of forecasts made at 1 % of the level with noise in the gradient."""
    inside, errors = [], []
    for seed in range(6):
        model = Linear([1.0, 0.5, 0.3, 0.15], noise=noise, seed=seed)
        tracker, truth, forecasts = followed(model, 900)
        true = crossings(truth)
        assert len(tracker.steps) >= 4
        for one in forecasts:
            inside.append(one.low <= true[one.direction - 1] <= one.high)
            errors.append(one.step / true[one.direction - 1] - 1)
    assert len(inside) >= 22
    assert np.mean(inside) >= 0.9
    assert np.median(np.abs(errors)) < 0.03


def test_a_forecast_beyond_the_budget_is_told() -> None:
    tracker = fed(SpectrumTracker(3), lambda step: [1, 1, 1e-3 * 1.05**step], range(50))
    forecast = tracker.forecast()
    assert forecast is not None
    assert "beyond the budget of 100 steps" in str(tracker.verdict(budget=100)).replace("\n  ", " ")
    assert "budget" not in str(tracker.verdict(budget=int(forecast.step) + 1))


# When to stop ----------------------------------------------------------------------------------------------------

# Each has a gap of at most 10 between neighbours, and all directions are above the noise of 500 held-out pairs.
MODELS = [
    Linear([1.0, 0.3], dim=4, noise=0.3, batch_size=128),
    Linear([1.0, 0.1], dim=4, noise=0.3, scale=1e-2),
    Linear([1.0, 0.5, 0.05], noise=0.1),
    Linear([1.0, 0.769, 0.154, 0.118], dim=16, inputs=40, noise=0.6, batch_size=64, scale=1e-4),
    Linear([1.0], dim=4, noise=0.1),
    Linear([1.0], dim=4, inputs=20, noise=0.6, batch_size=64, scale=1e-2, seed=799),
]
# Here noise hides a direction for most of its time.
HIDDEN = [
    Linear([1.0, 0.1], dim=4, inputs=300, noise=0.6, batch_size=64, scale=1e-2, seed=231),
    Linear([1.0, 0.125], dim=4, inputs=300, noise=1.0, seed=592),
    Linear([1.0, 0.1], dim=32, inputs=300, noise=0.6, batch_size=64, scale=1e-2, seed=727),
    Linear([1.0, 0.3333, 0.0333], dim=4, inputs=40, noise=0.3, scale=1e-2, seed=240),
]


@pytest.mark.parametrize("model", representative(MODELS, fast=[MODELS[0]]), ids=range(len(MODELS)))
def test_it_stops_after_all_learnable_directions_and_not_before(model: Linear) -> None:
    """It says that no direction is left within 12 times the steps that the last one took."""
    tracker, directions = SpectrumTracker(model.dim, every=5), len(model.gammas)
    most, all_learned = 0, np.inf
    for step, z_a, z_b, truth in model.train(40_000):
        tracker.update(z_a, z_b, step=step)
        if step % 20:
            continue
        most = max(most, int((truth >= 0.5).sum()))
        verdict = tracker.verdict()
        if most < directions:
            assert verdict.state not in STOPS, f"{verdict.title} at step {step}"
        else:
            all_learned = min(all_learned, step)
            assert verdict.state not in ("collapsed", "collapsing", "scale", "diverged")
            if verdict.state == "finished":
                assert verdict.learned == directions
                assert verdict.should_stop
                assert f"No learnable direction left after {directions}" in str(verdict)
                return
        assert step < 12 * max(all_learned, 100)
    pytest.fail("not all directions were learned")


def random_model(seed: int) -> Linear:
    """A model with one to three directions, each of which stands out of the noise of 500 held-out pairs."""
    draw = np.random.default_rng(seed).choice
    while True:
        noise, gammas = float(draw([0.1, 0.3, 0.6, 1.0])), [1.0]
        for _ in range(draw([0, 1, 1, 2])):
            gammas.append(gammas[-1] / draw([2, 5, 8, 10]))
        model = Linear(
            gammas,
            dim=int(draw([4, 8, 32])),
            inputs=int(draw([20, 40, 100, 300])),
            noise=noise,
            batch_size=int(draw([64, 256])),
            scale=float(draw([1e-2, 1e-3, 1e-4])),
            seed=seed,
        )
        took = -np.log(gammas[-1] * model.scale**2) / (8 * gammas[-1] * model.rate)
        if gammas[-1] > 2 * noise**2 / np.sqrt(500) and took < 3000:
            return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "models", [HIDDEN, [random_model(seed) for seed in range(6)]], ids=["hidden", "random"]
)
def test_it_never_stops_before_a_learnable_direction_is_learned(models: list[Linear]) -> None:
    for model in models:
        tracker = SpectrumTracker(model.dim, every=5)
        for step, z_a, z_b, truth in model.train(6000):
            tracker.update(z_a, z_b, step=step)
            # Noise in the gradient keeps some eigenvalues below 1.
            if (truth >= 0.4).sum() == len(model.gammas):
                break
            if step % 20 == 0:
                verdict = tracker.verdict()
                assert verdict.state not in STOPS, f"{verdict.title} at step {step} of {model}"


def test_full() -> None:
    tracker = fed(SpectrumTracker(3), lambda step: [1, 1, min(0.01 * 1.2**step, 1)], range(60))
    assert tracker.verdict().state == "full"
    assert tracker.should_stop
    assert tracker.verdict().learned == len(tracker.steps) == 3


@pytest.mark.parametrize("shared", [0.99, 0.7])
def test_all_of_many_dimensions_count_although_sampling_spreads_them(shared: float) -> None:
    tracker, generator = SpectrumTracker(128, window=512), seeded()
    for step in range(12):
        tracker.update(*pairs(torch.ones(128), generator, noise=float(np.sqrt(1 / shared - 1))), step=step)
    assert spectrum(tracker)[-1] < 0.5
    assert tracker.verdict().learned == 128


def test_few_learned_directions_of_many_are_not_more() -> None:
    """Eigenvalues of a third of the level are no learned directions, although there are few rows."""
    tracker, scales = SpectrumTracker(128, level=1.0), torch.zeros(128)
    scales[:5], scales[5:20] = 1, 0.3**0.5
    fed(tracker, lambda step: scales, range(6))
    assert tracker.verdict().learned == 5


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_embeddings_are_collapsed(value: float) -> None:
    tracker = SpectrumTracker(4)
    for step in range(10):
        tracker.update(torch.full((64, 4), value), torch.full((64, 4), value), step=step)
    verdict = tracker.verdict()
    assert (verdict.state, verdict.should_stop, verdict.best_step) == ("collapsed", True, None)


@pytest.mark.parametrize("lost", [1, 3])
def test_a_late_collapse_names_the_best_checkpoint(lost: int) -> None:
    """From step 60 on, some of three directions shrink; the best checkpoint is of about then."""
    tracker = fed(SpectrumTracker(4), lambda step: [1, 1, 1, 1e-3], range(60))
    assert tracker.verdict().best_step is None
    fed(
        tracker,
        lambda step: [0.9 ** (step - 60) if j < lost else 1 for j in range(3)] + [1e-3],
        range(60, 150),
    )
    verdict = tracker.verdict()
    assert verdict.state == ("collapsed" if lost == 3 else "collapsing")
    assert verdict.should_stop
    assert verdict.best_step is not None
    assert 57 <= verdict.best_step <= 68
    assert f"checkpoint of step {verdict.best_step:.0f}" in str(verdict).replace("\n  ", " ")


def test_a_short_loss_is_no_collapse() -> None:
    tracker = fed(SpectrumTracker(4), lambda step: [1, 1, 1, 1e-3], range(60))
    fed(tracker, lambda step: [1, 1, 0.3, 1e-3], range(60, 66))
    assert tracker.verdict().state not in STOPS


def test_a_relapse_says_when_the_direction_comes_back() -> None:
    tracker = fed(SpectrumTracker(4), lambda step: [1, 1, 1, 1e-3], range(60))
    fed(tracker, lambda step: [1, 1, 1e-4 * 1.03 ** (step - 60), 1e-6], range(60, 200))
    verdict = tracker.verdict()
    assert (verdict.state, verdict.learned, verdict.should_stop) == ("relapsed", 2, False)
    # 1e-4 grows to the root of 1/2 in 300 steps.
    assert verdict.forecast is not None
    assert verdict.forecast.step == pytest.approx(60 + np.log(0.5**0.5 / 1e-4) / np.log(1.03), rel=0.05)


# Losses with a level of their own --------------------------------------------------------------------------------


def standardised_loss(z_a: Tensor, z_b: Tensor) -> Tensor:
    """Barlow Twins as published, without the small number in the root."""
    a, b = ((z - z.mean(0)) / z.std(0) for z in (z_a, z_b))
    c = a.T @ b / len(a)
    diagonal = c.diagonal()
    return (diagonal - 1).square().sum() + 0.005 * (c.square().sum() - diagonal.square().sum())


def trained(
    network: nn.Module,
    batches: Callable[[], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    lr: float,
    adam: bool = False,
    every: int = 5,
) -> tuple[SpectrumTracker, list[Any]]:
    optimizer = (torch.optim.Adam if adam else torch.optim.SGD)(network.parameters(), lr=lr)
    tracker, verdicts = None, []
    for step in range(steps):
        a, b = batches()
        z_a, z_b = network(torch.cat([a, b])).chunk(2)
        tracker = tracker or SpectrumTracker(z_a.shape[1], every=every)
        value = loss(z_a, z_b)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        tracker.update(z_a, z_b, step=step, loss=value)
        if step % 20 == 19:
            verdicts.append(tracker.verdict())
    assert tracker is not None
    return tracker, verdicts


def layer(n_in: int, n_out: int, std: float, generator: torch.Generator) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=False)
    with torch.no_grad():
        linear.weight.normal_(0, std, generator=generator)
    return linear


@pytest.mark.parametrize("last", [1e-3, 1e-2])
def test_the_trap_of_a_normalised_loss_with_a_small_last_layer_is_told(last: float) -> None:
    """The first steps throw the layer to a scale at which the learning rate has no effect, and to one direction."""
    generator = seeded()
    root = torch.zeros(20)
    root[:3] = torch.tensor([1.0, 0.1, 0.05]).sqrt()

    def batch() -> tuple[Tensor, Tensor]:
        shared = torch.randn(128, 20, generator=generator) * root
        a, b = (shared + 0.3 * torch.randn(128, 20, generator=generator) for _ in range(2))
        return a, b

    tracker, verdicts = trained(layer(20, 16, last, generator), batch, standardised_loss, 100, 1.0)
    verdict = verdicts[-1]
    assert (verdict.state, verdict.learned, verdict.should_stop) == ("scale", 1, True)
    growth = np.sqrt(tracker._history.scales[-1][0] / tracker._history.scales[0][0])
    words = str(verdict).replace("\n  ", " ")
    assert re.search(r"scale grew ([\d,]+) times", words)[1] == f"{growth:,.0f}"  # pyright: ignore
    assert "Lower the learning rate, or do not start from a small last layer" in words


def test_unit_rows_have_a_level_of_their_own() -> None:
    """Of d directions on the unit sphere each can have 1/d; here three of eight are learned, with a third each."""
    generator, tracker = seeded(), SpectrumTracker(8)
    for step in range(20):
        a, b = pairs([1, 1, 1] + [1e-2] * 5, generator)
        tracker.update(nn.functional.normalize(a), nn.functional.normalize(b), step=step)
    assert tracker.verdict().learned == 3
    assert tracker.to_dataset().attrs["level"] == pytest.approx(1 / 3, rel=0.05)


def test_unit_rows_near_one_point_have_nothing_learned() -> None:
    generator, tracker = seeded(), SpectrumTracker(8)
    for step in range(20):
        a, b = (z + torch.tensor([100.0] + [0.0] * 7) for z in pairs([1.0] * 8, generator))
        tracker.update(nn.functional.normalize(a), nn.functional.normalize(b), step=step)
    assert tracker.verdict().learned == 0


def test_a_given_level_is_used() -> None:
    tracker = fed(SpectrumTracker(3, level=0.01), lambda step: [0.1, 0.1, 1e-3], range(20))
    assert tracker.verdict().learned == 2
    assert fed(SpectrumTracker(3), lambda step: [0.1, 0.1, 1e-3], range(20)).verdict().learned == 0


DIGITS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], dict[str, Any], tuple[int, int]]] = {
    "Barlow Twins": (
        lambda a, b: losses.barlow_twins(a, b, 0.005),
        {"dim": 32, "last": 1.0, "lr": 0.05},
        (4, 8),
    ),
    "Barlow Twins, Adam": (
        lambda a, b: losses.barlow_twins(a, b, 0.005),
        {"dim": 32, "last": 1e-4, "lr": 1e-3, "adam": True},
        (6, 10),
    ),
    "the trap": (standardised_loss, {"dim": 32, "last": 1e-3, "lr": 0.05}, (3, 6)),
    "VICReg": (lambda a, b: losses.vicreg(a, b), {"dim": 8, "last": 1.0, "lr": 1e-3, "adam": True}, (5, 7)),
    "InfoNCE": (
        lambda a, b: losses.info_nce(a, b),
        {"dim": 16, "last": 1.0, "lr": 1e-3, "adam": True},
        (9, 14),
    ),
    "InfoNCE, small": (lambda a, b: losses.info_nce(a, b), {"dim": 8, "last": 1e-4, "lr": 0.1}, (1, 6)),
    "spectral contrastive": (
        lambda a, b: losses.spectral_contrastive(a, b),
        {"dim": 6, "last": 1e-4, "lr": 0.004},
        (3, 5),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_verdicts_on_digits_with_losses_of_all_kinds(name: str) -> None:
    """The number of learned directions is near the effective rank, and no verdict says stop while the loss falls."""
    loss, options, (low, high) = DIGITS[name]
    generator = seeded()
    images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None]
    images = (images - images.mean()) / images.std()
    views = Augmentation(degrees=10, shift=0.125, scale=0.1, noise=0.2)
    dim, last = options.pop("dim"), options.pop("last")
    network = nn.Sequential(
        nn.Flatten(),
        layer(64, 256, (2 / 64) ** 0.5, generator),
        nn.ReLU(),
        layer(256, 256, (2 / 256) ** 0.5, generator),
        nn.ReLU(),
        layer(256, dim, last / 16, generator),
    )

    def batch() -> tuple[Tensor, Tensor]:
        chosen = images[torch.randint(len(images), (256,), generator=generator)]
        return views(chosen, generator), views(chosen, generator)

    tracker, verdicts = trained(network, batch, loss, 600, **options)
    # Of a loss that has thrown the last layer to a large scale, "scale" is said until it learns.
    stops = [str(one) for one in verdicts if one.should_stop and one.learned < dim and one.state != "scale"]
    assert stops == []
    assert "scale" not in {one.state for one in verdicts} or name in ("the trap", "InfoNCE, small")
    assert low <= verdicts[-1].learned <= high
    assert verdicts[-1].learned == pytest.approx(tracker.metrics()["effective_rank"], abs=2.5)
    # Small steps back are noise: nothing was ever said to be lost.
    assert not any(one.state in ("relapsed", "collapsing", "collapsed", "diverged") for one in verdicts)
    assert any("scale of the embeddings has grown" in note for note in verdicts[-1].notes) == (
        name in ("the trap", "InfoNCE, small")
    )
