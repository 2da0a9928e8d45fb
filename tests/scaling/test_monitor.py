"""The Monitor against LAPACK on copies of the weights, and what it says of models that are off in a known way."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import Tied, mlp

from solvable.errors import InputError
from solvable.scaling import (
    Monitor,
    ScalingWarning,
    SpectralSGD,
    describe,
    init_,
    muon,
    param_groups,
    scale_logits,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int = 32, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    return torch.randn(n, 64, generator=generator), torch.randint(10, (n,), generator=generator)


def train(
    model: nn.Module, *optimizers: torch.optim.Optimizer, steps: int = 1, batch: Any = None, clip: float = 0.0
) -> None:
    x, y = data() if batch is None else batch
    for _ in range(steps):
        for one in optimizers:
            one.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        for one in optimizers:
            one.step()


def initialised(width: int = 32, **options: Any) -> nn.Sequential:
    model = mlp(width)
    init_(model, generator=seeded(), **options)
    return model


def hooks_of(model: nn.Module, *optimizers: torch.optim.Optimizer) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    ) + sum(len(one._optimizer_step_pre_hooks) + len(one._optimizer_step_post_hooks) for one in optimizers)


def test_torch_s_default_readout_is_flagged_and_nothing_else() -> None:
    """Uniform entries of 1/sqrt(3 fan_in): a readout of 1024 -> 10 is 5.75 times too large, the others 0.58."""
    torch.manual_seed(0)
    layers = [nn.Linear(784, 1024), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Linear(1024, 1024), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(1024, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, batch=(torch.randn(16, 784), torch.arange(16) % 10))
    factors = monitor.table()["weight_factor"]
    assert factors["8.weight"] == pytest.approx(5.75, abs=0.3)
    for i in (0, 2, 4, 6):
        assert 0.5 < factors[f"{i}.weight"] < 0.65
    (flagged,) = [one for one in monitor.violations() if one.quantity == "weights"]
    assert flagged.name == "8.weight"
    assert flagged.factor == factors["8.weight"]
    assert "times larger than init_ makes them" in str(flagged)
    assert str(flagged) in str(monitor).replace("\n    ", " ")


class Net(nn.Module):
    """Attention, a convolution in groups, a recurrent layer and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(12, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.conv = nn.Conv1d(16, 16, 3, groups=2, padding=1)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, symbols: Tensor) -> Tensor:
        h = self.token(symbols)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        h = h + self.conv(h.transpose(1, 2)).transpose(1, 2)
        return self.head(self.norm(self.gru(h)[0]).mean(1))


LABELS = {
    "attention.in_proj_weight": ("q", "k", "v"),
    "gru.weight_ih_l0": ("reset", "update", "new"),
    "gru.weight_hh_l0": ("reset", "update", "new"),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "spectral"])
def test_norms_are_those_of_the_true_weights_and_differences(optimizer) -> None:
    """Of each block and of the largest group or row: bounds from below, within 2 % for weights, and for updates, which
    take two power steps from the last sample's vector, within 2 % in the median and a factor of 2 at worst."""
    torch.manual_seed(0)
    model = Net()
    init_(model, generator=seeded())
    symbols, y = (
        torch.randint(12, (20, 7), generator=seeded(2)),
        torch.randint(10, (20,), generator=seeded(3)),
    )
    make: Any = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "spectral": SpectralSGD}[optimizer]
    taken = make(param_groups(model, optimizer, lr=0.05))
    expected: dict[str, list[list[float]]] = {}
    with Monitor(model, taken, every=1) as monitor:
        for _ in range(6):
            before = {name: one.detach().clone() for name, one in model.named_parameters()}
            train(model, taken, batch=(symbols, y))
            for row in describe(model):
                change = model.get_parameter(row.name).detach() - before[row.name]
                pair = [row.layout.view(one.double()).numpy() for one in (before[row.name], change)]
                norms = [np.linalg.norm(one, 2, axis=(1, 2)) * row.layout.scale for one in pair]
                matrix = row.layout.kind in ("dense", "conv")
                blocks = row.layout.blocks if matrix else 1
                labels = LABELS.get(row.name, range(blocks))
                for block in range(blocks):
                    label = f"{row.name}[{labels[block]}]" if blocks > 1 else row.name
                    largest = [one.reshape(blocks, -1)[block].max() if matrix else one.max() for one in norms]
                    expected.setdefault(label, []).append(largest)
    found = monitor.to_dataset()
    assert sorted(found.layer.values) == sorted(expected)
    ratios: list[float] = []
    for label, values in expected.items():
        exact = np.array(values)
        for i, name in enumerate(("weight_norm", "update_norm")):
            measured = found[name].sel(layer=label).values
            assert (measured <= exact[:, i] * (1 + 1e-5) + 1e-7).all(), label
            assert (measured >= exact[:, i] * (0.98, 0.5)[i] - 1e-7).all(), label
        ratios.extend((measured / exact[:, 1])[exact[:, 1] > 1e-7])
    assert np.median(ratios) > 0.98
    # Its own initialisation is right, for every kind.
    assert not [one for one in monitor.violations() if one.quantity == "weights"]


def test_a_convolution_after_init_is_not_flagged() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(64 * 16, 10))
    init_(model, generator=seeded())
    optimizer = torch.optim.Adam(param_groups(model, "adam", lr=0.01))
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, batch=(torch.randn(4, 3, 8, 8, generator=seeded()), torch.arange(4)))
    table = monitor.table()
    assert table.loc["1.weight", "weight_norm"] == pytest.approx(3.9, abs=0.15)
    assert table.loc["1.weight", "weight_factor"] == pytest.approx(1, abs=0.05)
    assert not [one for one in monitor.violations() if one.quantity == "weights"]


def test_features_and_alignments_are_those_of_the_batch() -> None:
    """With at most 16 samples, all rows are kept: against the products written out."""
    model = initialised().double()
    x, y = data(16)
    x = x.double()
    inputs, h = {}, x
    for i, module in enumerate(model):
        inputs[f"{i}.weight"] = h.detach()
        h = module(h)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, batch=(x, y))

    def rms(tensor: Tensor) -> float:
        return tensor.square().mean().sqrt().item()

    for i in (0, 2, 4):
        row, h = monitor.table().loc[f"{i}.weight"], inputs[f"{i}.weight"]
        W = before[f"{i}.weight"]
        dW = model[i].weight.detach() - W
        assert row["feature_norm"] == pytest.approx(rms(h @ W.T + before[f"{i}.bias"]), rel=1e-4)
        assert row["feature_change"] == pytest.approx(rms(h @ dW.T) / rms(h @ W.T), rel=1e-4)
        for name, M in (("weight_alignment", W), ("update_alignment", dW)):
            most = np.linalg.norm(M.numpy(), 2) * (M.shape[1] / M.shape[0]) ** 0.5 * rms(h)
            assert row[name] == pytest.approx(rms(h @ M.T) / most, rel=0.02)
            assert row[name] <= 1.02
        assert row["stable_rank"] == pytest.approx(
            (np.linalg.norm(dW.numpy()) / np.linalg.norm(dW.numpy(), 2)) ** 2, rel=0.02
        )
        assert row["relative_frobenius"] == pytest.approx(
            np.linalg.norm(dW.numpy()) / np.linalg.norm(W.numpy()), rel=1e-4
        )
        assert row["relative_change"] == pytest.approx(
            np.linalg.norm(dW.numpy(), 2) / np.linalg.norm(W.numpy(), 2), rel=0.02
        )
        assert row["lr"] == pytest.approx(0.1 * W.shape[0] / W.shape[1])


def test_the_update_of_one_sample_is_aligned_and_of_rank_one() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, batch=data(1))
    table = monitor.table()
    for i in (0, 2, 4):
        assert table.loc[f"{i}.weight", "update_alignment"] == pytest.approx(1, rel=1e-4)
        assert table.loc[f"{i}.weight", "stable_rank"] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("wrong", [40.0, 1 / 40])
def test_a_wrong_learning_rate_is_named_with_the_right_one(wrong) -> None:
    model = initialised(64)
    groups = param_groups(model, "adam", lr=0.01, groups=[{"params": r"2\.weight"}])
    for group in groups:
        if group["names"] == ["2.weight"]:
            group["lr"] *= wrong
            del group["lr_scale"]
    optimizer = torch.optim.Adam(groups)
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    (flagged,) = [one for one in monitor.violations() if one.quantity == "updates"]
    assert flagged.name == "2.weight"
    assert wrong / 2 < flagged.factor < 2 * wrong
    words = f"{flagged.sentence}"
    assert ("larger" if wrong > 1 else "smaller") in words
    # The rule is 1/64; the readout's and the first layer's are 1/64 too.
    assert f"its lr multiplier should be 0.0156, is {0.015625 * wrong:.3g}" in words.replace("−", "-")
    assert "param_groups" in words


def test_a_layer_that_follows_the_rule_and_is_off_is_said_to() -> None:
    model = initialised(64)
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.01))
    with torch.no_grad():
        model[4].weight.mul_(1e-3)  # starves the layers before it of gradients
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    found = {(one.name, one.quantity): one for one in monitor.violations()}
    assert set(found) == {("4.weight", "weights"), ("4.weight", "updates")}
    assert found["4.weight", "weights"].factor == pytest.approx(1e-3, rel=0.2)
    assert found["4.weight", "updates"].factor > 100
    assert "though its learning rate follows the rule" in found["4.weight", "updates"].sentence


def test_samples_come_every_so_many_steps() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, every=4) as monitor:
        train(model, optimizer, steps=10)
    found = monitor.to_dataset()
    assert found.step.values.tolist() == [0, 4, 8]
    assert found.attrs["every"] == 4
    last = monitor.table(8)["weight_norm"]
    np.testing.assert_allclose(last, found.weight_norm.sel(step=8))
    # Weights are compared with an initialisation, so that those of the first sample count.
    whole = monitor.table()
    np.testing.assert_allclose(whole["weight_norm"], found.weight_norm.sel(step=0), rtol=1e-12)
    np.testing.assert_allclose(whole["update_norm"], np.median(found.update_norm.values, axis=0), rtol=1e-12)
    with pytest.raises(InputError, match="step 7 was not sampled; expected one of 0, 4, 8"):
        monitor.table(7)


def test_the_kinds_and_multipliers_are_coordinates() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    found = monitor.to_dataset()
    kinds = dict(zip(found.layer.values.tolist(), found.kind.values.tolist(), strict=True))
    assert kinds == {
        f"{i}.{one}": {"weight": "dense"}.get(one, one) for i in (0, 2, 4) for one in ("weight", "bias")
    }
    np.testing.assert_allclose(found.lr_multiplier, found.asked_multiplier, rtol=1e-6)
    assert found.asked_multiplier.sel(layer="4.weight") == pytest.approx(10 / 32)


def test_hooks_are_removed() -> None:
    model = initialised()
    optimizers = muon(model, 0.01)
    before = hooks_of(model, *optimizers)
    with Monitor(model, *optimizers) as monitor:
        assert hooks_of(model, *optimizers) > before
        train(model, *optimizers)
    assert hooks_of(model, *optimizers) == before == 0
    with pytest.raises(ZeroDivisionError):
        fail_while_watched(model, *optimizers)
    assert hooks_of(model, *optimizers) == 0
    steps = monitor.to_dataset().step
    train(model, *optimizers)
    assert monitor.to_dataset().step.equals(steps)


def fail_while_watched(model: nn.Module, *optimizers: torch.optim.Optimizer) -> None:
    with Monitor(model, *optimizers):
        train(model, *optimizers)
        raise ZeroDivisionError


def test_training_is_bitwise_the_same() -> None:
    def run(watched: bool) -> tuple[dict[str, Tensor], Tensor]:
        torch.manual_seed(7)
        model = nn.Sequential(
            nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        if watched:
            with Monitor(model, optimizer, every=2):
                train(model, optimizer, steps=7)
        else:
            train(model, optimizer, steps=7)
        return model.state_dict(), torch.random.get_rng_state()

    (plain, state), (watched, watched_state) = run(False), run(True)
    assert torch.equal(state, watched_state)
    assert all(torch.equal(one, watched[name]) for name, one in plain.items())


def test_several_optimizers() -> None:
    model = initialised()
    optimizers = muon(model, 0.02)
    with Monitor(model, *optimizers, every=1) as monitor:
        train(model, *optimizers, steps=2)
    table = monitor.table()
    assert set(table.index) == {name for name, _ in model.named_parameters()}
    # Newton-Schulz iterations give 0.7 to 1.25; AdamW's biases move by lr in each entry.
    for name in ("0.weight", "2.weight", "4.weight"):
        assert 0.7 < table.loc[name, "update_norm"] / 0.02 < 1.25
    assert monitor.table(0).loc["0.bias", "update_norm"] == pytest.approx(0.02, rel=0.02)
    np.testing.assert_allclose(table["feature_norm"].dropna().shape, (3,))
    # Of an optimizer that is not watched, nothing is recorded.
    with Monitor(model, optimizers[0]) as monitor:
        train(model, *optimizers)
    assert set(monitor.table().index) == {"0.weight", "2.weight", "4.weight"}


def test_weights_that_are_not_finite_are_reported() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with torch.no_grad():
        model[4].weight[0, 0] = math.nan
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    found = monitor.violations()
    assert [one.name for one in found if math.isnan(one.factor) and one.quantity == "weights"]
    assert any(one.name == "4.weight" and "the weights are not finite" in str(one) for one in found)
    assert "not finite" in str(monitor)


def test_a_divergence_leaves_the_earlier_samples() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, every=1) as monitor:
        train(model, optimizer)
        with torch.no_grad():
            model[2].weight.fill_(math.inf)
        train(model, optimizer)
    found = monitor.to_dataset().weight_norm.sel(layer="2.weight")
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    assert "2.weight" in {one.name for one in monitor.violations() if math.isnan(one.factor)}


def test_no_update_is_a_state_of_its_own() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2:].parameters()}], lr=0.01
    )
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    table = monitor.table()
    assert table.loc["0.weight", "update_norm"] == 0
    assert np.isnan(table.loc["0.weight", "update_factor"])
    assert np.isnan(table.loc["0.weight", "stable_rank"])
    assert "0.weight" not in {one.name for one in monitor.violations()}
    assert "no update: 0.weight" in str(monitor)


def test_layers_behind_a_zero_readout_are_measured_when_they_move() -> None:
    """Their first update is exactly zero, and the readout's first weights too."""
    model = initialised(readout="zero")
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.5))
    expected = []
    with Monitor(model, optimizer, every=1) as monitor:
        for _ in range(4):
            before = [model[i].weight.detach().clone() for i in (0, 2, 4)]
            train(model, optimizer)
            pairs = zip(before, (0, 2, 4), strict=True)
            expected.append([np.linalg.norm((model[i].weight.detach() - one).numpy(), 2) for one, i in pairs])
    found = monitor.to_dataset().sel(layer=["0.weight", "2.weight", "4.weight"])
    scale = np.sqrt([64 / 32, 1, 32 / 10])
    np.testing.assert_allclose(found.update_norm, np.array(expected) * scale, rtol=0.1, atol=1e-9)
    assert found.update_norm[0, 0] == 0
    assert found.update_norm[1, 0] > 0
    assert found.weight_norm[0, 2] == 0
    assert found.weight_norm[2, 2] > 0
    assert not [one for one in monitor.violations() if one.name == "4.weight" and one.quantity == "weights"]


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor:UserWarning"
)  # torch's own, while it compiles
def test_features_of_a_compiled_model_are_seen_before_its_first_call_and_missed_after() -> None:
    torch._dynamo.reset()
    model = initialised(8)
    compiled: Any = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Monitor(compiled, optimizer) as monitor:
        train(compiled, optimizer)
    assert monitor.table().loc[["0.weight", "2.weight", "4.weight"], "feature_norm"].notna().all()
    assert "features not seen" not in str(monitor)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    compiled(data()[0])
    with Monitor(compiled, optimizer) as monitor:
        train(compiled, optimizer)
    assert "features not seen: 0.weight" in " ".join(str(monitor).split())
    assert monitor.table()["feature_norm"].isna().all()
    assert monitor.table()["weight_norm"].notna().all()


def test_a_gradient_clip_that_always_acts_warns_once() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with (
        pytest.warns(
            ScalingWarning, match=r"the norm of the gradient is 0.01 at each sampled step"
        ) as caught,
        Monitor(model, optimizer, every=1),
    ):
        train(model, optimizer, steps=8, clip=0.01)
    assert len(caught) == 1
    # One that never acts does not.
    with Monitor(model, optimizer, every=1):
        train(model, optimizer, steps=8, clip=1e3)


def test_broken_multipliers_warn_once() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=1e-3))
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    with (
        pytest.warns(ScalingWarning, match="the learning rates no longer follow lr_scale") as caught,
        Monitor(model, optimizer, every=1),
    ):
        train(model, optimizer, steps=3)
    assert len(caught) == 1


def test_the_gain_shifts_what_is_expected() -> None:
    model = initialised(gain=2.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    tables = []
    for gain in (1.0, 2.0):
        with Monitor(model, optimizer, gain=gain) as monitor:
            train(model, optimizer)
        tables.append(monitor.table().loc["2.weight", "weight_factor"])
    assert tables == pytest.approx([2.0, 1.0], rel=0.05)


def test_modules_that_are_called_several_times_are_averaged() -> None:
    layer = nn.Linear(8, 8, bias=False)
    init_(layer, generator=seeded())
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    small, large = (scale * torch.randn(5, 8, generator=seeded(1)) for scale in (1.0, 3.0))
    with Monitor(layer, optimizer) as monitor:
        (layer(small).sum() + layer(large).sum()).backward()
        optimizer.step()
    squares = [
        layer_out.square().mean().item() for layer_out in (small @ start_of(layer), large @ start_of(layer))
    ]
    assert monitor.table().loc["weight", "feature_norm"] == pytest.approx(np.mean(squares) ** 0.5, rel=0.01)


def start_of(layer: nn.Linear) -> Tensor:
    """The weights as `init_` drew them, transposed."""
    fresh = nn.Linear(layer.in_features, layer.out_features, bias=False)
    init_(fresh, generator=seeded())
    return fresh.weight.detach().T


def test_mixed_precision_and_half_precision() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    x, y = data()
    with Monitor(model, optimizer) as monitor:
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert monitor.table().loc["2.weight", ["weight_norm", "feature_change"]].notna().all()
    half = copy.deepcopy(model).bfloat16()
    optimizer = torch.optim.SGD(half.parameters(), lr=1.0)
    with Monitor(half, optimizer, every=1) as monitor:
        train(half, optimizer, steps=2, batch=(x.bfloat16(), y))
    assert monitor.table().loc["2.weight", ["weight_norm", "update_norm"]].notna().all()


def test_frozen_parameters_have_no_line_and_tied_ones_have_one() -> None:
    model = Tied(width=16)
    scale_logits(model)
    init_(model, generator=seeded())
    model.body.bias.requires_grad_(False)
    optimizer = torch.optim.Adam((one for one in model.parameters() if one.requires_grad), lr=1e-3)
    with Monitor(model, optimizer) as monitor:
        model(torch.arange(6)).square().sum().backward()
        optimizer.step()
    table = monitor.table()
    assert sorted(table.index) == ["body.weight", "token.weight"]
    rows = np.linalg.norm(model.token.weight.detach().numpy(), axis=1) / 4
    assert table.loc["token.weight", "weight_norm"] == pytest.approx(rows.max(), rel=0.01)


def test_the_figure_and_the_words() -> None:
    model = initialised()
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.01))
    with Monitor(model, optimizer, every=2) as monitor:
        train(model, optimizer, steps=5)
    figure = monitor.plot()
    assert len(figure.axes) == 4
    assert len(figure.axes[0].lines) == 3
    text = " ".join(str(monitor).split())
    assert "Weights and updates of these matrices are of the size that the condition asks" in text
    assert "medians over 3 sampled steps, up to step 4" in text
    assert "<table>" in monitor._repr_html_()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, taken: Monitor(model), "no optimizer is given"),
        (lambda model, taken: Monitor(model, model), "optimizer is a Sequential; expected an instance"),
        (lambda model, taken: Monitor(taken, taken), "model is a SGD"),
        (lambda model, taken: Monitor(nn.Linear(2, 2), taken), "no parameter of the model"),
        (
            lambda model, taken: Monitor(model, taken, every=0),
            "every must be a whole number of at least 1; got 0",
        ),
        (lambda model, taken: Monitor(model, taken, gain=0), "gain must be above 0; got 0"),
        (lambda model, taken: Monitor(model, taken, rules={"x": "dense"}), "fits no parameter"),
        (lambda model, taken: Monitor(model, taken).table(), "no step was recorded"),
        (lambda model, taken: in_use_twice(Monitor(model, taken)), "in use already"),
        (lambda model, taken: recorded(model, taken).violations(lo=0), "lo must be above 0"),
    ],
)
def test_bad_input_is_one_sentence(call, words) -> None:
    model = initialised(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with pytest.raises(InputError, match=words):
        call(model, optimizer)
    assert hooks_of(model, optimizer) == 0


def in_use_twice(monitor: Monitor) -> None:
    with monitor, monitor:
        pass


def recorded(model: nn.Module, optimizer: torch.optim.Optimizer) -> Monitor:
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    return monitor


def test_an_optimizer_of_another_kind_is_watched_too() -> None:
    model = initialised(8)
    optimizer = torch.optim.Adadelta(model.parameters())
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer)
    assert (monitor.table()["update_norm"] > 0).all()
    assert "Layers of" in str(monitor)
