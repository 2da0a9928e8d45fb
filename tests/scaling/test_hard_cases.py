"""Cases in which a plausible rule is wrong: what a step or an initialisation does to the outputs, written out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from zoo import Conv1D, mlp

from solvable.errors import InputError
from solvable.scaling import (
    Monitor,
    SpectralSGD,
    audit,
    coordinate_check,
    describe,
    init_,
    param_groups,
    transfer,
)
from solvable.scaling.optimizers import kind_of


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (8, 4), (3, 1), (3, 3)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "spectral"])
def test_a_coherent_step_of_a_transposed_convolution_changes_its_outputs_by_lr(
    kernel, stride, optimizer
) -> None:
    """All inputs 1 and the mean output as the loss: as for a dense layer, each output moves by lr."""
    model = nn.ConvTranspose2d(6, 4, kernel, stride=stride, bias=False)
    init_(model, generator=seeded())
    kinds: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    groups = param_groups(model, optimizer, lr=0.1)
    made = (
        SpectralSGD(groups, momentum=0.0, power_iters=20)
        if optimizer == "spectral"
        else kinds[optimizer](groups)
    )
    x = torch.ones(1, 6, 40, 40)
    before = model(x)
    # The gradient at each output is that of a layer of features, 1 over their number.
    (-before.sum() / (4 * before.shape[-1] ** 2)).backward()
    made.step()
    inside = slice(kernel, -kernel)
    change = (model(x) - before)[..., inside, inside]
    if optimizer == "spectral":
        # The norm of the update is exact, and what it does to this input is at most that.
        assert 0.4 < change.abs().mean().item() / 0.1 < 1.3
    else:
        torch.testing.assert_close(change.mean().item(), 0.1, rtol=0.12, atol=0)


def test_weight_norm_with_sgd_trains_at_every_width() -> None:
    """At the learning rate of the narrow network the wide one learns too, and not worse."""
    X = torch.randn(64, 16, generator=seeded())
    y = F.one_hot(torch.randint(4, (64,), generator=seeded(1)), 4).float()

    def final(width: int) -> float:
        hidden, head = nn.Linear(16, width), parametrizations.weight_norm(nn.Linear(width, 4))
        model = nn.Sequential(hidden, nn.ReLU(), head)
        init_(model, generator=seeded(2))
        optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
        loss = torch.zeros(())
        for _ in range(30):
            optimizer.zero_grad()
            loss = (model(X) - y).square().sum() / 64
            loss.backward()
            optimizer.step()
        return loss.item()

    assert final(2048) < 1.1 * final(64)


def test_a_bilinear_layer_has_outputs_of_one_size_at_every_width() -> None:
    sizes = []
    for n in (16, 128):
        model = nn.Bilinear(n, n, n)
        init_(model, generator=seeded())
        with torch.no_grad():
            h = model(torch.randn(200, n, generator=seeded(1)), torch.randn(200, n, generator=seeded(2)))
        sizes.append(h.square().mean().sqrt().item())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.15)
    assert sizes[1] == pytest.approx(1, rel=0.15)


def test_the_padding_row_of_an_embedding_stays_zero() -> None:
    model = nn.Embedding(10, 8, padding_idx=3)
    init_(model, generator=seeded())
    assert model.weight[3].abs().max().item() == 0
    assert model.weight[4].abs().max().item() > 0
    init_(model, base=nn.Embedding(10, 4, padding_idx=3), generator=seeded())
    assert model.weight[3].abs().max().item() == 0


def test_a_base_gives_constants_of_gains_and_biases_and_no_noise() -> None:
    def lstm(width: int) -> nn.Module:
        model = nn.ModuleDict({"rnn": nn.LSTM(4, width), "norm": nn.LayerNorm(width)})
        with torch.no_grad():
            model["rnn"].bias_hh_l0.zero_()
            model["rnn"].bias_hh_l0.view(4, width)[1] = 1.0  # the forget gate
        return model

    base, model = lstm(8), lstm(16)
    with torch.no_grad():
        base["norm"].weight.uniform_(0.9, 1.1)  # trained
        model["rnn"].bias_hh_l0.zero_()
    init_(model, base=base, generator=seeded())
    assert model["rnn"].bias_hh_l0.view(4, 16).mean(dim=1).tolist() == [0, 1, 0, 0]
    assert model["norm"].weight.tolist() == [1.0] * 16


class Tied(nn.Module):
    """A language model whose last registered matrix is not the readout."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 20, bias=False)
        self.embedding = nn.Embedding(20, 8)
        self.head.weight = self.embedding.weight
        self.inner = nn.Linear(8, 8)


def test_what_the_readout_is() -> None:
    assert describe(mlp(16)).readout == "4.weight"
    assert describe(Tied()).readout == "embedding.weight"
    assert describe(nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 8))).readout == "0.weight"
    assert describe(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1))).readout == "1.weight"
    model = mlp(16)
    init_(model, readout=r"^[24]\.weight", generator=seeded())
    assert [model[i].weight.abs().max().item() > 0 for i in (0, 2, 4)] == [True, False, False]
    with pytest.raises(InputError, match="readout is 'nothing'; expected 'spectral', 'zero'"):
        init_(model, readout="nothing")
    with pytest.raises(InputError, match="has no matrix of its own"):
        init_(nn.Embedding(4, 4), readout="zero")


def test_parameters_whose_name_ends_in_bias_are_not_all_biases() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logit_bias = nn.Parameter(torch.full((1,), -10.0))
            self.layer = nn.Linear(2, 2)

    model = Pair()
    assert describe(model)["logit_bias"].layout.kind == "vector"
    init_(model)
    assert model.logit_bias.item() == -10


def test_layouts_that_hide_behind_other_types() -> None:
    class Cell(nn.LSTMCell):
        pass

    assert describe(Cell(4, 8))["weight_ih"].layout.blocks == 4
    model = nn.ModuleDict({"c_attn": Conv1D(24, 8), "c_proj": Conv1D(8, 8)})
    layout = describe(model)["c_attn.weight"].layout
    assert (layout.blocks, layout.fan_in, layout.fan_out) == (3, 8, 8)
    init_(model)
    with pytest.raises(InputError, match="packs 3 matrices"):
        param_groups(model, "muon", lr=0.1)
    lora = nn.ModuleDict(
        {"lora_down": nn.Conv2d(8, 2, 3, bias=False), "lora_up": nn.Conv2d(2, 8, 1, bias=False)}
    )
    init_(lora)
    assert lora["lora_up"].weight.abs().max().item() == 0
    assert describe(lora)["lora_down.weight"].layout.fan_in == 72
    odd = nn.Module()
    odd.posterior_proj = nn.Parameter(torch.zeros(3, 4))
    with pytest.raises(InputError, match="no rule says what parameter posterior_proj"):
        describe(odd)


def test_muons_of_others_are_not_taken_for_adam() -> None:
    with pytest.raises(InputError, match="not known what factor"):
        kind_of(type("MuonWithAuxAdam", (), {}))
    assert kind_of(type("DistributedShampoo", (), {})).name == "orthogonal"
    assert kind_of(type("AdamW8bit", (), {})).name == "adamw"


def test_rows_that_get_no_gradient_stay_with_spectral_sgd() -> None:
    model = nn.Embedding(3, 8)
    init_(model, generator=seeded())
    optimizer = SpectralSGD(param_groups(model, "spectral", lr=0.1))
    model(torch.tensor([1])).sum().backward()
    optimizer.step()
    after_one = model.weight.detach().clone()
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.tensor([0])).sum().backward()
        optimizer.step()
    torch.testing.assert_close(model.weight[1:], after_one[1:], rtol=0, atol=0)


@pytest.mark.parametrize("size", [1e-25, 1e20])
def test_gradients_of_extreme_size_move_by_lr_with_spectral_sgd(size) -> None:
    model = nn.Linear(6, 4, bias=False)
    optimizer = SpectralSGD(model.parameters(), lr=0.1, momentum=0.0, power_iters=30)
    model.weight.grad = torch.randn(4, 6, generator=seeded()) * size
    before = model.weight.detach().clone()
    optimizer.step()
    norm = torch.linalg.matrix_norm((model.weight - before).detach(), 2).item()
    assert norm == pytest.approx(0.1 * (4 / 6) ** 0.5, rel=0.01)


def test_the_monitor_does_not_guess_the_input_of_a_matrix() -> None:
    model = nn.MultiheadAttention(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def run(q: Tensor, k: Tensor) -> Any:
        with Monitor(model, optimizer) as monitor:
            optimizer.zero_grad()
            model(q, k, k)[0].square().sum().backward()
            optimizer.step()
        return monitor.table()["feature_change"]

    x, z = torch.randn(5, 3, 8, generator=seeded()), torch.randn(5, 3, 8, generator=seeded(1))
    assert run(x, x)[["in_proj_weight[q]", "in_proj_weight[v]"]].notna().all()
    assert run(x, z).isna().all()


def test_the_monitor_takes_optimizers_in_any_order_and_ignores_evaluations() -> None:
    model = mlp(16)
    init_(model, generator=seeded())
    first = torch.optim.SGD(model[0].parameters(), lr=0.01)
    second = torch.optim.SGD([*model[2].parameters(), *model[4].parameters()], lr=0.01)
    x = torch.randn(8, 64, generator=seeded())
    with Monitor(model, first, second, every=1) as monitor:
        for _ in range(3):
            with torch.no_grad():
                model(1000 * x)
            model(x).square().sum().backward()
            second.step()
            first.step()
    norms = monitor.table()["feature_norm"]
    assert norms[["0.weight", "2.weight", "4.weight"]].notna().all()
    assert norms["0.weight"] < 10


def test_the_monitor_blames_the_layer_that_is_not_finite() -> None:
    model = mlp(16)
    init_(model, generator=seeded())
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.01))
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    with Monitor(model, optimizer) as monitor:
        model(torch.randn(8, 64, generator=seeded())).square().sum().backward()
        optimizer.step()
    sentences = {one.name: one.sentence for one in monitor.violations()}
    assert "the weights are not finite" in sentences["2.weight"]
    assert "the update is not finite" in sentences["4.weight"]


def test_the_monitor_does_not_argue_with_groups_that_know_their_base() -> None:
    model, base = mlp(256), mlp(16)
    init_(base, generator=seeded())
    init_(model, base=base, generator=seeded())
    optimizer = torch.optim.Adam(param_groups(model, "adam", lr=0.01, base=base, constants={"readout": 20}))
    with Monitor(model, optimizer) as monitor:
        F.cross_entropy(model(torch.randn(32, 64, generator=seeded())), torch.arange(32) % 10).backward()
        optimizer.step()
    updates = [one.sentence for one in monitor.violations() if one.quantity == "updates"]
    assert updates
    assert not any("param_groups" in sentence for sentence in updates)


def test_a_coordinate_check_in_which_nothing_moves_does_not_pass() -> None:
    def make_model(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    batches = [(torch.randn(8, 4), torch.randn(8, 2))]
    check = coordinate_check(
        make_model,
        [8, 16],
        lambda model: torch.optim.SGD(model.parameters(), lr=0.0),
        batches,
        seeds=1,
        quiet=True,
    )
    assert not check.passed
    assert "No layer changed" in str(check)


def test_sizes_of_zero_and_readouts_that_are_no_words_are_refused() -> None:
    model = nn.Linear(2, 4)
    model.weight = nn.Parameter(torch.ones(4, 0))
    with pytest.raises(InputError, match=r"weight has no entries, shape \(4, 0\)"):
        describe(model)
    with pytest.raises(InputError, match="readout is None"):
        init_(mlp(16), readout=None)  # pyright: ignore


def test_gains_start_at_one_again() -> None:
    model = nn.LayerNorm(8)
    with torch.no_grad():
        model.weight.fill_(3.0)
    init_(model)
    assert model.weight.tolist() == [1.0] * 8


def test_runs_of_a_sweep_have_seeds_of_their_own() -> None:
    seen: list[float] = []

    def train(model: nn.Module, lr: float) -> float:
        seen.append(torch.rand(()).item())
        return 1 + (lr - 0.2) ** 2

    transfer(lambda width: nn.Linear(width, 1), [2, 4], [0.1, 0.2, 0.4], train, seeds=2, quiet=True)
    # At one width the learning rates are compared on the same random numbers, for each seed.
    assert len(set(seen)) == 4


def test_a_coordinate_check_takes_its_batches_in_turn() -> None:
    def make_model(width: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))

    def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1)

    first, second = (
        (torch.randn(8, 4, generator=seeded(k)), torch.randn(8, 2, generator=seeded(k + 9))) for k in (0, 1)
    )

    def change(batches: Any) -> float:
        check = coordinate_check(make_model, [4, 16], make_optimizer, batches, steps=2, seeds=1, quiet=True)
        return float(check.data.change.sel(layer="0", width=4).item())

    model = make_model(4)
    optimizer = make_optimizer(model)
    before = model[0](first[0]).detach()
    for x, y in (first, second):
        optimizer.zero_grad()
        ((model(x) - y).square().sum() / 8).backward()
        optimizer.step()
    expected = (model[0](first[0]).detach() - before).square().mean().sqrt().item()
    assert change([first, second]) == pytest.approx(expected, rel=1e-5)
    assert change([first]) != pytest.approx(expected, rel=1e-2)


def test_audit_knows_the_other_factor_of_muon() -> None:
    """With match_rms_adamw Muon multiplies by 0.2 √max(m, n), so that equal rates are wrong by that."""
    model = nn.Sequential(
        nn.Linear(64, 256, bias=False), nn.Linear(256, 256, bias=False), nn.Linear(256, 64, bias=False)
    )
    init_(model, generator=seeded())
    optimizer = torch.optim.Muon(model.parameters(), lr=0.1, adjust_lr_fn="match_rms_adamw")
    table = audit(model, optimizer).table.set_index("name")
    # asked √(m/n) / (0.2 √max(m, n)): √4, 1 and √(1/4) over the same 0.2 · 16
    asked = table["lr_asked"] / table["lr_asked"]["1.weight"]
    assert asked.tolist() == pytest.approx([2, 1, 0.5])
