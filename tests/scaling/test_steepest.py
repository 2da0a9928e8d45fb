"""`SpectralSGD` and Muon: real steps, whose norms LAPACK measures."""

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import ZOO, everything, mlp

from solvable.errors import InputError
from solvable.scaling import SpectralSGD, describe, init_, muon, param_groups


def scaled_norms(row: Any, change: Tensor) -> np.ndarray:
    """The scaled norm of each matrix of a change, by LAPACK."""
    matrices = row.layout.view(change.detach().double()).numpy()
    _, rows, columns = matrices.shape
    return np.linalg.norm(matrices, 2, axis=(1, 2)) * math.sqrt(columns / rows)


def made_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    optimizer.step()
    return {name: one.detach() - before[name] for name, one in model.named_parameters()}


def give_gradients(model: nn.Module, rank: int | None, seed: int = 0) -> None:
    """Matrices of a rank, or of full rank, in the layout of each parameter; every matrix of another size."""
    generator = torch.Generator().manual_seed(seed)
    for row in describe(model):
        parameter = model.get_parameter(row.name)
        count, rows, columns = row.layout.matrices
        inner = rank or min(rows, columns)
        stack = torch.randn(count, rows, inner, generator=generator) @ torch.randn(
            count, inner, columns, generator=generator
        )
        stack *= 10.0 ** torch.linspace(-3, 3, count)[:, None, None]
        numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
        gradient = torch.zeros(parameter.numel())
        gradient[row.layout.view(numbers).flatten()] = stack.flatten()
        parameter.grad = gradient.reshape(parameter.shape).to(parameter.dtype)


# The matrices of a transposed convolution and of a stack of experts are tested below.
MATRICES = [
    name
    for name in ZOO
    if not ZOO[name].rules and "transposed" not in name and "weight norm" not in name and name != "positions"
]


@pytest.mark.parametrize("animal", MATRICES)
@pytest.mark.parametrize("rank", [1, None])
def test_every_matrix_moves_by_lr(animal, rank) -> None:
    """Each block, group and row on its own: within 1 %, and with gradients of full rank with enough power steps."""
    torch.manual_seed(0)
    model = ZOO[animal].make().double()
    init_(model, generator=torch.Generator().manual_seed(0))
    groups = param_groups(model, "spectral", lr=0.3)
    optimizer = SpectralSGD(groups, momentum=0.0, power_iters=1 if rank else 60)
    give_gradients(model, rank)
    changes = made_step(model, optimizer)
    for row in describe(model):
        if row.trained:
            np.testing.assert_allclose(scaled_norms(row, changes[row.name]), 0.3, rtol=0.01)


def test_convolutions_that_store_inputs_first_move_by_lr_too() -> None:
    for groups in (1, 2):
        model = nn.ConvTranspose1d(6, 4, 3, stride=3, groups=groups, bias=False)
        (row,) = describe(model)
        init_(model, generator=torch.Generator().manual_seed(0))
        optimizer = SpectralSGD(param_groups(model, "spectral", lr=0.3), momentum=0.0, power_iters=60)
        give_gradients(model, None)
        before = model.weight.detach().clone()
        optimizer.step()
        norms = np.linalg.norm(
            row.layout.view((model.weight - before).detach().double()).numpy(), 2, axis=(1, 2)
        )
        # Each of the three kernel positions serves a third of the outputs, whose changes do not add up.
        np.testing.assert_allclose(norms * row.layout.scale, 0.3 * 3**0.5, rtol=0.01)


def test_stacks_of_experts_that_store_inputs_first_move_by_lr() -> None:
    model, rules = ZOO["experts"].make(), ZOO["experts"].rules
    init_(model, rules=rules, generator=torch.Generator().manual_seed(0))
    groups = param_groups(model, "spectral", lr=0.3, rules=rules)
    generator = torch.Generator().manual_seed(1)
    for one in model.parameters():
        one.grad = torch.randn(one.shape, generator=generator)
    changes = made_step(model, SpectralSGD(groups, momentum=0.0, power_iters=60))
    for row in describe(model, rules):
        np.testing.assert_allclose(scaled_norms(row, changes[row.name]), 0.3, rtol=0.01)


def test_plain_parameters_are_one_matrix_each() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 8), nn.Conv2d(4, 6, 3), nn.Linear(3, 3, bias=False))
    model.register_parameter("scalar", nn.Parameter(torch.tensor(2.0)))
    for one in model.parameters():
        one.grad = torch.randn_like(one)
    changes = made_step(model, SpectralSGD(model.parameters(), lr=0.1, momentum=0.0, power_iters=60))
    for change in changes.values():
        matrix = change.reshape(change.shape[0] if change.ndim else 1, -1).double().numpy()
        norm = np.linalg.norm(matrix, 2) * np.sqrt(matrix.shape[1] / matrix.shape[0])
        assert norm == pytest.approx(0.1, rel=0.01)


def test_the_update_is_the_gradient_s_direction() -> None:
    layer = nn.Linear(20, 5, bias=False).double()
    give_gradients(layer, None)
    gradient = layer.weight.grad.clone()
    change = made_step(layer, SpectralSGD(layer.parameters(), lr=0.1, momentum=0.0, power_iters=200))[
        "weight"
    ]
    expected = -0.1 * np.sqrt(5 / 20) * gradient / np.linalg.norm(gradient.numpy(), 2)
    torch.testing.assert_close(change, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_a_running_mean(nesterov) -> None:
    """Three steps with different gradients, against the recursion written out with numpy's norm."""
    layer = nn.Linear(20, 5, bias=False).double()
    optimizer = SpectralSGD(layer.parameters(), lr=0.1, momentum=0.8, nesterov=nesterov, power_iters=300)
    M = torch.zeros(5, 20, dtype=torch.float64)
    for seed in range(3):
        give_gradients(layer, None, seed)
        G = layer.weight.grad
        M = 0.8 * M + 0.2 * G
        update = 0.8 * M + 0.2 * G if nesterov else M
        expected = -0.1 * 0.5 * update / np.linalg.norm(update.numpy(), 2)
        change = made_step(layer, optimizer)["weight"]
        torch.testing.assert_close(change, expected, rtol=1e-6, atol=1e-12)


def test_a_warm_start_needs_one_power_step_when_gradients_change_slowly() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(100, 50, bias=False)
    optimizer = SpectralSGD(layer.parameters(), lr=0.1, momentum=0.0)
    low_rank = torch.randn(50, 2) @ torch.randn(2, 100)
    norms = []
    for step in range(30):
        layer.weight.grad = low_rank + 0.1 * torch.randn(50, 100) * (1 + 0.01 * step)
        norms.append(np.linalg.norm(made_step(layer, optimizer)["weight"].numpy(), 2) * 2**0.5 / 0.1)
    assert norms[0] == pytest.approx(1, rel=0.05)
    np.testing.assert_allclose(norms[5:], 1, rtol=0.01)


def test_a_zero_gradient_moves_nothing() -> None:
    model = everything()
    init_(model, generator=torch.Generator().manual_seed(0))
    optimizer = SpectralSGD(param_groups(model, "spectral", lr=0.1))
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    for _ in range(2):
        for one in model.parameters():
            one.grad = torch.zeros_like(one)
        optimizer.step()
    for name, one in model.named_parameters():
        assert torch.equal(one, before[name])
    # A first gradient of zero does not spoil what follows.
    for one in model.parameters():
        one.grad = torch.ones_like(one)
    optimizer.step()
    for name, one in model.named_parameters():
        assert torch.isfinite(one).all()
        if one.requires_grad:
            assert not torch.equal(one, before[name])


def test_layers_behind_a_zero_readout_start_to_move_when_it_has() -> None:
    """Their first gradient is exactly zero."""
    model = mlp(16, bias=False)
    init_(model, readout="zero", generator=torch.Generator().manual_seed(0))
    optimizer = SpectralSGD(param_groups(model, "spectral", lr=0.1), momentum=0.0)
    x = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    for step in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(32) % 10).backward()
        changes = made_step(model, optimizer)
        for row in describe(model):
            (norm,) = scaled_norms(row, changes[row.name])
            assert norm == pytest.approx(0.1 if step or row.name == "4.weight" else 0, rel=0.1)


def test_gradients_that_are_orthogonal_to_the_last_one() -> None:
    """Of a layer with one-hot inputs, each gradient is another column."""
    layer = nn.Linear(6, 4, bias=False)
    optimizer = SpectralSGD(layer.parameters(), lr=0.1, momentum=0.0)
    for i in range(6):
        layer.weight.grad = torch.outer(torch.tensor([1.0, -2.0, 3.0, 0.5]), torch.eye(6)[i])
        change = made_step(layer, optimizer)["weight"]
        assert np.linalg.norm(change.numpy(), 2) * 1.5**0.5 == pytest.approx(0.1, rel=0.01)


def test_rows_without_a_gradient_stay() -> None:
    table = nn.Embedding(4, 6)
    init_(table, generator=torch.Generator().manual_seed(0))
    before = table.weight.detach().clone()
    table(torch.tensor([1, 1, 3])).square().sum().backward()
    SpectralSGD(param_groups(table, "spectral", lr=0.1), momentum=0.0).step()
    moved = (table.weight.detach() - before).square().mean(dim=1).sqrt()
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.1, 0.0, 0.1]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [1e-16, 1e16])
def test_gradients_of_any_size(scale) -> None:
    layer = nn.Linear(20, 5, bias=False)
    torch.manual_seed(0)
    layer.weight.grad = scale * torch.randn(5, 1) * torch.randn(1, 20)
    change = made_step(layer, SpectralSGD(layer.parameters(), lr=0.1, momentum=0.0))["weight"]
    assert np.linalg.norm(change.numpy(), 2) * 2 == pytest.approx(0.1, rel=0.01)


def test_half_precision() -> None:
    layer = nn.Linear(64, 32, bias=False, dtype=torch.bfloat16)
    torch.manual_seed(0)
    optimizer = SpectralSGD(layer.parameters(), lr=0.5)
    nn.init.zeros_(layer.weight)
    layer.weight.grad = (torch.randn(32, 1) * torch.randn(1, 64)).bfloat16()
    change = made_step(layer, optimizer)["weight"]
    assert np.linalg.norm(change.float().numpy(), 2) * 2**0.5 == pytest.approx(0.5, rel=0.01)


def test_training_state_and_closure() -> None:
    torch.manual_seed(0)
    model = mlp(16)
    init_(model)
    x, y = torch.randn(32, 64), torch.randint(10, (32,))
    optimizer = SpectralSGD(param_groups(model, "spectral", lr=0.1, weight_decay=0.01))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(10)]
    assert losses[-1] < 0.7 * losses[0]
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other, state = copy.deepcopy(model), torch.load(file, weights_only=True)
    resumed = SpectralSGD(param_groups(other, "spectral", lr=0.1, weight_decay=0.01))
    resumed.load_state_dict(state)
    closure()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        two.grad = one.grad.clone()
    optimizer.step()
    resumed.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1.0}, "lr must be at least 0; got -1"),
        ({"momentum": 1.0}, "momentum is 1; expected at least 0 and below 1"),
        ({"momentum": -0.1}, "momentum must be at least 0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"power_iters": 0}, "power_iters must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_options_are_one_sentence(options, words) -> None:
    with pytest.raises(InputError, match=words):
        SpectralSGD(nn.Linear(2, 2).parameters(), **options)


def test_sparse_gradients_are_refused() -> None:
    table = nn.Embedding(4, 6, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="a gradient is sparse"):
        SpectralSGD(table.parameters()).step()


def test_muon_and_another_optimizer_take_all_parameters() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10), nn.Conv2d(2, 2, 3))
    init_(model)
    for rest, kind in (("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)):
        optimizers = muon(model, lr=0.1, rest=rest)
        assert [type(one) for one in optimizers] == [torch.optim.Muon, kind]
        taken = [id(p) for one in optimizers for group in one.param_groups for p in group["params"]]
        assert sorted(taken) == sorted(map(id, model.parameters()))
    x, y = torch.randn(32, 64), torch.randint(10, (32,))
    both, losses = muon(model, lr=0.03), []
    for _ in range(10):
        loss = nn.functional.cross_entropy(model[:3](x), y)
        losses.append(loss.item())
        for one in both:
            one.zero_grad()
        loss.backward()
        for one in both:
            one.step()
    assert losses[-1] < 0.8 * losses[0]


def test_muon_of_models_that_do_not_fit() -> None:
    model = nn.Linear(3, 3, bias=False)
    init_(model)
    with pytest.raises(InputError, match="nothing but matrices"):
        muon(model, 0.1)
    with pytest.raises(InputError, match="no matrix for Muon"):
        muon(nn.LayerNorm(3), 0.1)
    with pytest.raises(InputError, match="rest is 'lion'; expected one of adamw, adam, sgd"):
        muon(nn.Linear(3, 3), 0.1, rest="lion")
