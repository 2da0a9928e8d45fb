"""`spectrum_callback` in a loop that calls it as Lightning's does, and in Lightning's own `Trainer` where installed."""

import copy
import importlib
import logging
import pickle
import sys
import warnings
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from known_spectra import pairs, seeded
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from solvable.errors import InputError, MissingExtraError
from solvable.stepwise import SpectrumTracker, TrackerWarning, losses, spectrum_callback
from solvable.stepwise.callback import _Watch

PACKAGES = "lightning.pytorch", "pytorch_lightning"


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with an empty class `Callback`; the other one cannot be imported."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    module = ModuleType(request.param)
    module.Callback = type("Callback", (), {})  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


class Module:
    """What the callback uses of a LightningModule."""

    def __init__(self, automatic: bool = True) -> None:
        self.automatic_optimization, self.logged = automatic, list[tuple[str, float]]()

    def log(self, name: str, value: float) -> None:
        self.logged.append((name, value))


class Trainer:
    """What the callback uses of a Trainer, and the order of its calls in one epoch.

    As in Lightning, `global_step` counts the steps of the optimizer, and has gone up when a batch ends.
    """

    def __init__(self, accumulated: int = 1, decide: Any = None) -> None:
        self.accumulate_grad_batches, self.global_step, self.should_stop = accumulated, 0, False
        self.strategy = SimpleNamespace(reduce_boolean_decision=decide or (lambda decision, all: decision))

    def fit(self, callback: Any, outputs: list[Any], module: Any = None) -> Module:
        module = module or Module()
        for i, one in enumerate(outputs):
            if self.should_stop:
                break
            callback.on_train_batch_start(self, module, f"batch {i}", i)
            self.global_step += (i + 1) % self.accumulate_grad_batches == 0
            callback.on_train_batch_end(self, module, one, f"batch {i}", i)
        return module


def outputs(n: int, scales: Any = (1, 1, 1e-2), loss: float = 2.5) -> list[Any]:
    generator = seeded()
    views = [pairs(scales(i) if callable(scales) else scales, generator) for i in range(n)]
    return [{"loss": torch.tensor(loss), "z_a": z_a, "z_b": z_b} for z_a, z_b in views]


def test_the_tracker_gets_what_it_would_get_in_a_loop(package: ModuleType) -> None:
    batches, tracker, plain = outputs(12), SpectrumTracker(3, every=2), SpectrumTracker(3, every=2)
    callback = spectrum_callback(tracker)
    assert isinstance(callback, package.Callback)
    module = Trainer().fit(callback, batches)
    for step, one in enumerate(batches):
        plain.update(one["z_a"], one["z_b"], step=step, loss=one["loss"])
    assert str(tracker) == str(plain)
    assert tracker.to_dataset().identical(plain.to_dataset())
    rank = plain.to_dataset().effective_rank.values[0]
    assert module.logged == [("learned_directions", 2.0), ("effective_rank", rank)] + 5 * [
        ("learned_directions", 2.0)
    ]


@pytest.mark.usefixtures("package")
def test_batches_of_one_step_are_spread_over_it() -> None:
    """The loss of a batch, which Lightning divides, is multiplied again; in manual optimization it is not divided."""
    tracker = SpectrumTracker(3)
    Trainer(accumulated=4).fit(spectrum_callback(tracker), outputs(10))
    np.testing.assert_array_equal(
        tracker.to_dataset().step, [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25]
    )
    assert list(tracker._history.losses.values()) == [10.0]
    manual = SpectrumTracker(3)
    Trainer(accumulated=4).fit(spectrum_callback(manual), outputs(10), Module(automatic=False))
    assert list(manual._history.losses.values()) == [2.5]


@pytest.mark.usefixtures("package")
def test_steps_ascend_although_more_batches_share_one_than_lightning_knows() -> None:
    """As with the user's own accumulation in manual optimization."""
    tracker, trainer = SpectrumTracker(3), Trainer(accumulated=5)
    callback = spectrum_callback(tracker)
    trainer.accumulate_grad_batches = 1
    for i, one in enumerate(outputs(10)):
        trainer.global_step = i // 5
        callback.on_train_batch_start(trainer, Module(False), None, i)
        callback.on_train_batch_end(trainer, Module(False), one, None, i)
    steps = tracker.to_dataset().step.values
    assert len(steps) == 10
    assert (np.diff(steps) > 0).all()
    np.testing.assert_array_equal(np.floor(steps), [0] * 5 + [1] * 5)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("embeddings", "views"),
    [
        (("a", "b"), 2),
        (["a", "b"], 2),
        ("a", 1),
        (("a",), 1),
        (lambda out, batch, module: (out["a"], out["b"]), 2),
        (lambda out, batch, module: (out["a"],), 1),
        (lambda out, batch, module: module.w @ batch[0], 1),
    ],
)
def test_where_the_embeddings_are(embeddings: Any, views: int) -> None:
    tracker, module = SpectrumTracker(3), Module()
    module.w = torch.eye(8, requires_grad=True)  # pyright: ignore[reportAttributeAccessIssue]
    callback, trainer = spectrum_callback(tracker, embeddings), Trainer()
    for i in range(3):
        a, b = pairs([1, 1, 1], seeded(i), n=8)
        callback.on_train_batch_start(trainer, module, (a, b), i)
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, {"loss": a.sum(), "a": a, "b": b}, (a, b), i)
    assert len(tracker._history) == 3
    assert tracker._two_views == (views == 2)


@pytest.mark.usefixtures("package")
def test_a_batch_that_training_step_skips_is_left_out() -> None:
    tracker, batches = SpectrumTracker(3), outputs(6)
    batches[2], batches[4] = {"loss": None}, None
    Trainer().fit(spectrum_callback(tracker), batches)
    assert tracker.to_dataset().step.values.tolist() == [0, 1, 3, 5]


def test_training_ends_when_nothing_is_left_to_learn(package: ModuleType) -> None:
    full = outputs(100, lambda i: [1, 1, min(1e-2 * 1.2**i, 1)])
    trainer, tracker = Trainer(), SpectrumTracker(3)
    Trainer.fit(trainer, spectrum_callback(tracker, stop=True), full)
    assert trainer.should_stop
    assert tracker.should_stop
    assert 20 <= trainer.global_step < 60
    goes_on = Trainer()
    goes_on.fit(spectrum_callback(SpectrumTracker(3)), full)
    assert not goes_on.should_stop


@pytest.mark.usefixtures("package")
def test_all_processes_decide_together_and_at_the_same_batches() -> None:
    """Also one that could use none of its batches, or else the others would wait for it."""
    asked: list[tuple[str, int, bool]] = []

    def run(name: str, batches: list[Any]) -> Trainer:
        def decide(decision: bool, all: bool) -> bool:
            assert all
            asked.append((name, trainer.global_step, decision))
            return False

        trainer = Trainer(decide=decide)
        trainer.fit(spectrum_callback(SpectrumTracker(3, every=2), stop=True), batches)
        return trainer

    assert not run("good", outputs(100, [1, 1, 1])).should_stop
    with pytest.warns(TrackerWarning, match="NaN or infinite"):
        run("bad", outputs(100, [1, 1, torch.nan]))
    good, bad = ([step for who, step, _ in asked if who == name] for name in ("good", "bad"))
    assert good == bad == [20, 40, 60, 80, 100]
    assert all(decision for who, _, decision in asked if who == "good")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("embeddings", "output", "words"),
    [
        (
            ("z_a", "z_b"),
            {"loss": torch.tensor(1.0)},
            "training_step returned 'loss'; expected 'z_a' and 'z_b' too",
        ),
        ("h", {"loss": torch.tensor(1.0), "z": 1}, "returned 'loss', 'z'; expected 'h' too"),
        (
            lambda out, batch, module: 1 / 0,
            {"loss": torch.tensor(1.0)},
            "ZeroDivisionError: division by zero",
        ),
        (
            lambda out, batch, module: (1, 2, 3),
            {"loss": torch.tensor(1.0)},
            "returned 3 views; expected one or two",
        ),
        (("z_a", "z_b"), {"loss": torch.tensor(1.0), "z_a": 1, "z_b": "x"}, "left out a batch"),
    ],
)
def test_what_goes_wrong_is_one_warning(embeddings: Any, output: Any, words: str) -> None:
    callback, trainer = spectrum_callback(SpectrumTracker(3), embeddings), Trainer()
    with pytest.warns(TrackerWarning, match=words) as caught:
        trainer.fit(callback, [output] * 20)
    assert len(caught) == 1
    assert trainer.global_step == 20


@pytest.mark.usefixtures("package")
def test_in_manual_optimization_nothing_returned_is_told() -> None:
    callback = spectrum_callback(SpectrumTracker(3))
    with pytest.warns(TrackerWarning, match="training_step returned nothing"):
        Trainer().fit(callback, [{}, {}], Module(automatic=False))


@pytest.mark.usefixtures("package")
def test_a_log_or_a_verdict_that_fails_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no logging here")

    module, tracker, trainer = Module(), SpectrumTracker(3), Trainer()
    monkeypatch.setattr(module, "log", fail)
    with pytest.warns(TrackerWarning, match="nothing is logged: RuntimeError: no logging here") as caught:
        trainer.fit(spectrum_callback(tracker), outputs(20), module)
    assert len(caught) == 1
    assert len(tracker._history) == 20
    monkeypatch.setattr(SpectrumTracker, "verdict", fail)
    with pytest.warns(TrackerWarning, match="there is no verdict: RuntimeError"):
        trainer.fit(spectrum_callback(SpectrumTracker(3), stop=True), outputs(20))
    assert not trainer.should_stop


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("at", [7, 8])
def test_a_resumed_run_goes_on(at: int) -> None:
    """In the middle of a step too."""
    batches, whole = outputs(16), SpectrumTracker(3)
    Trainer(accumulated=2).fit(spectrum_callback(whole), batches)
    first, second = (spectrum_callback(SpectrumTracker(3)) for _ in range(2))
    trainer = Trainer(accumulated=2)
    trainer.fit(first, batches[:at])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.state_key == first.state_key
    for i, one in enumerate(batches[at:], at):
        second.on_train_batch_start(trainer, Module(), None, i)
        trainer.global_step += i % 2
        second.on_train_batch_end(trainer, Module(), one, None, i)
    assert str(second.tracker) == str(whole)
    assert second.tracker.to_dataset().identical(whole.to_dataset())


@pytest.mark.usefixtures("package")
def test_a_state_that_does_not_fit_is_one_warning() -> None:
    callback = spectrum_callback(SpectrumTracker(4))
    with pytest.warns(
        TrackerWarning, match="checkpoint cannot be read: the state is of a tracker with dim=3"
    ):
        callback.load_state_dict(spectrum_callback(SpectrumTracker(3)).state_dict())


@pytest.mark.usefixtures("package")
def test_keys_of_states_differ() -> None:
    """Lightning refuses two callbacks with one key."""

    def backbone(*_: Any) -> None: ...

    keys = {
        spectrum_callback(SpectrumTracker(dim), embeddings).state_key
        for dim in (3, 4)
        for embeddings in (("z_a", "z_b"), "z_a", ("h_a", "h_b"), backbone)
    }
    assert len(keys) == 8


def test_copies(package: ModuleType) -> None:
    """Pickle, which ddp_spawn needs, finds a class again that is made at run time."""
    callback = spectrum_callback(SpectrumTracker(3), stop=True)
    Trainer().fit(callback, outputs(5))
    for other in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert isinstance(other, package.Callback)
        assert other.stop
        assert str(other.tracker) == str(callback.tracker)
        assert other.tracker is not callback.tracker


def test_the_package_in_use_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are installed here, and one has been imported."""
    classes = {}
    for name in PACKAGES:
        module = ModuleType(name)
        classes[name] = module.Callback = type("Callback", (), {})  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setitem(sys.modules, name, module)
    assert isinstance(spectrum_callback(SpectrumTracker(3)), classes["lightning.pytorch"])
    found = importlib.import_module
    installed = sys.modules["lightning.pytorch"]
    monkeypatch.delitem(sys.modules, "lightning.pytorch")
    monkeypatch.setattr(
        "solvable.stepwise.callback.import_module",
        lambda name: installed if name == "lightning.pytorch" else found(name),
    )
    assert isinstance(spectrum_callback(SpectrumTracker(3)), classes["pytorch_lightning"])


def test_without_lightning_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingExtraError, match=r"needs Lightning, which is not installed: pip install lightning$"
    ):
        spectrum_callback(SpectrumTracker(3))


def test_a_broken_lightning_is_not_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torchmetrics'", name="torchmetrics")

    monkeypatch.setattr("solvable.stepwise.callback.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="torchmetrics"):
        spectrum_callback(SpectrumTracker(3))


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("embeddings", [(), ("a", "b", "c"), (1, 2), 5, None])
def test_other_embeddings_are_refused(embeddings: Any) -> None:
    with pytest.raises(InputError, match="embeddings must be one or two keys, or a function"):
        spectrum_callback(SpectrumTracker(3), embeddings)


@pytest.mark.usefixtures("package")
def test_another_tracker_is_refused() -> None:
    with pytest.raises(InputError, match="tracker is a int; expected a SpectrumTracker"):
        spectrum_callback(3)  # pyright: ignore[reportArgumentType]


# In Lightning itself ---------------------------------------------------------------------------------------------

REAL = pytest.mark.parametrize("name", PACKAGES)


def lightning(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module = pytest.importorskip(name)
    for logger in (name, name.split(".")[0], "lightning.fabric", "lightning_fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    return module


def system(L: Any, dim: int = 4, manual: bool = False) -> Any:
    class System(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.automatic_optimization = nn.Linear(8, dim, bias=False), not manual
            with torch.no_grad():
                self.layer.weight.normal_(0, 1e-3, generator=seeded())
            self.seen: list[tuple[int, float]] = []

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> dict[str, Tensor]:
            z_a, z_b = (self.layer(x) for x in batch)
            loss = losses.barlow_twins(z_a, z_b, 1.0, normalize=False)
            self.seen.append((self.trainer.global_step, loss.item()))
            if not self.automatic_optimization:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return {"loss": loss, "z_a": z_a, "z_b": z_b}

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return System()


def fit(L: Any, callback: Any, module: Any = None, path: Any = None, **options: Any) -> tuple[Any, Any]:
    generator = seeded(1)
    scales = torch.tensor([1, 1, 0.8, 0.6, 0, 0, 0, 0])
    data = DataLoader(TensorDataset(*pairs(scales, generator, n=64 * 50, noise=0.1)), batch_size=64)
    module = module or system(L)
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2} | options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", TrackerWarning)
        trainer.fit(module, data, ckpt_path=path)
    return trainer, module


@REAL
@pytest.mark.parametrize("accumulated", [1, 4])
def test_lightning_tracks_and_logs(name: str, accumulated: int) -> None:
    L, tracker = lightning(name), SpectrumTracker(4)
    trainer, module = fit(L, spectrum_callback(tracker), accumulate_grad_batches=accumulated)
    steps = tracker.to_dataset().step.values
    assert len(steps) == 100
    np.testing.assert_array_equal(np.floor(steps), [step for step, _ in module.seen])
    assert list(tracker._history.losses.values()) == [pytest.approx(module.seen[-1][1], rel=1e-6)]
    assert trainer.callback_metrics["learned_directions"] == tracker.verdict().learned
    assert trainer.callback_metrics["effective_rank"] > 1
    assert (tracker.verdict().learned >= 2) == (accumulated == 1)


@REAL
def test_lightning_with_manual_optimization(name: str) -> None:
    L = lightning(name)
    automatic, manual = SpectrumTracker(4), SpectrumTracker(4)
    fit(L, spectrum_callback(automatic))
    fit(L, spectrum_callback(manual), system(L, manual=True))
    assert str(manual) == str(automatic)


@REAL
def test_lightning_stops(name: str) -> None:
    L, tracker = lightning(name), SpectrumTracker(2)
    trainer, _ = fit(L, spectrum_callback(tracker, stop=True), system(L, dim=2), max_epochs=20)
    assert tracker.verdict().state == "full"
    assert trainer.global_step < 500


@REAL
def test_lightning_resumes(name: str, tmp_path: Any) -> None:
    L = lightning(name)
    whole, first, second = (SpectrumTracker(4, every=3) for _ in range(3))
    fit(L, spectrum_callback(whole))
    trainer, _ = fit(L, spectrum_callback(first), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    torch.load(tmp_path / "half.ckpt", weights_only=True)
    fit(L, spectrum_callback(second), path=tmp_path / "half.ckpt")
    assert str(second) == str(whole) != str(first)
    assert second.to_dataset().identical(whole.to_dataset())


@REAL
def test_a_callback_of_each_package_runs_in_the_other(name: str) -> None:
    """Their `Callback` classes are not related."""
    (other,) = set(PACKAGES) - {name}
    L, base = lightning(name), lightning(other).Callback
    tracker = SpectrumTracker(4)
    foreign = type("Foreign", (_Watch, base), {})(tracker, ("z_a", "z_b"), False)
    assert not isinstance(foreign, L.Callback)
    fit(L, foreign, max_epochs=1)
    assert len(tracker._history) == 50
