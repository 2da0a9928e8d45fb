"""Parameter groups: multipliers by hand, real steps of torch's optimizers measured by LAPACK, each parameter once."""

import copy
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import ZOO, Tied, everything, mlp

from solvable.errors import InputError
from solvable.scaling import (
    Depth,
    Description,
    MuonGroups,
    ScalingWarning,
    SpectralSGD,
    describe,
    init_,
    param_groups,
    scale_logits,
)


def initialised(model: nn.Module, **options: Any) -> nn.Module:
    init_(model, generator=torch.Generator().manual_seed(0), **options)
    return model


def of_name(groups: Any, key: str = "lr_scale") -> dict[str, float]:
    lists = groups if isinstance(groups, MuonGroups) else [groups]
    return {name: group[key] for one in lists for group in one for name in group["names"]}


def scaled_norms(row: Any, change: Tensor) -> np.ndarray:
    """The scaled norm of each matrix of a parameter's change, by LAPACK."""
    matrices = row.layout.view(change.detach().double()).numpy()
    _, rows, columns = matrices.shape
    return np.linalg.norm(matrices, 2, axis=(1, 2)) * math.sqrt(columns / rows)


# The fact sheet's worked example, at lr 1.
EXAMPLE = {
    "sgd": [8, 512, 1, 512, 0.01953125, 10],
    "adam": [0.015625, 1, 0.001953125, 1, 0.001953125, 1],
    "adamw": [0.015625, 1, 0.001953125, 1, 0.001953125, 1],
    "spectral": [8**0.5, 512**0.5, 1, 512**0.5, 0.1397542, 10**0.5],
}


@pytest.mark.parametrize("optimizer", EXAMPLE)
def test_the_worked_example(optimizer) -> None:
    groups = param_groups(mlp().to("meta"), optimizer, lr=1.0)
    names = [f"{i}.{one}" for i in (0, 2, 4) for one in ("weight", "bias")]
    assert of_name(groups) == pytest.approx(dict(zip(names, EXAMPLE[optimizer], strict=True)), rel=1e-6)


def test_the_worked_example_with_muon() -> None:
    groups = param_groups(mlp().to("meta"), "muon", lr=1.0)
    expected = {"0.weight": 1, "2.weight": 1, "4.weight": 0.1397542}
    assert of_name(groups.muon) == pytest.approx(expected, rel=1e-6)
    assert of_name(groups.rest) == {"0.bias": 1, "2.bias": 1, "4.bias": 1}
    assert all(group["adjust_lr_fn"] == "original" for group in groups.muon)


ALL = ("sgd", "adam", "adamw", "nadam", "adagrad", "rmsprop", "lion", "spectral", "frobenius", "orthogonal")


@pytest.mark.parametrize("animal", ZOO)
def test_every_trained_parameter_is_in_exactly_one_group(animal) -> None:
    model = initialised(ZOO[animal].make(), rules=ZOO[animal].rules)
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    parameters = dict(model.named_parameters())
    for optimizer in ALL:
        groups = param_groups(model, optimizer, lr=0.1, rules=ZOO[animal].rules)
        names = [name for group in groups for name in group["names"]]
        assert sorted(names) == sorted(trained)
        for group in groups:
            assert [id(one) for one in group["params"]] == [id(parameters[name]) for name in group["names"]]
            assert type(group["lr_scale"]) is float
            assert group["lr"] == pytest.approx(0.1 * group["lr_scale"])
            assert group["lr_scale"] > 0


def test_every_trained_parameter_is_in_one_of_muon_s_two_lists() -> None:
    model = nn.ModuleDict(
        {
            name: one
            for name, one in everything().items()
            if not any(row.layout.blocks > 1 for row in describe(one))
        }
    )
    groups = param_groups(initialised(model), "muon", lr=0.1, weight_decay=0.01)
    names = [name for one in groups for group in one for name in group["names"]]
    assert sorted(names) == sorted(name for name, one in model.named_parameters() if one.requires_grad)
    muon = {name for group in groups.muon for name in group["names"]}
    for row in describe(model):
        assert (row.name in muon) == (
            row.trained and row.layout.kind in ("dense", "lora_A", "lora_B") and len(row.shape) == 2
        )


def test_groups_are_merged_to_the_number_of_distinct_options() -> None:
    model = initialised(everything())
    for optimizer in ("sgd", "adamw", "nadam"):
        groups = param_groups(model, optimizer, lr=0.1, weight_decay=0.01)
        options = {(group["lr_scale"], group["weight_decay"], group.get("eps")) for group in groups}
        assert len(groups) == len(options)
    deep = initialised(nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(40))))
    assert len(param_groups(deep, "adamw", lr=0.1)) == 1


TORCH_OPTIMIZERS = {
    "sgd": [lambda g: torch.optim.SGD(g, momentum=0.9)],
    "adam": [torch.optim.Adam],
    "adamw": [
        torch.optim.AdamW,
        lambda g: torch.optim.AdamW(g, fused=True),
        lambda g: torch.optim.AdamW(g, foreach=True),
    ],
    "rmsprop": [torch.optim.RMSprop],
    "nadam": [torch.optim.NAdam],
    "adagrad": [torch.optim.Adagrad],
    "spectral": [SpectralSGD],
}


@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_torch_s_optimizers_take_the_groups_and_their_states_load(name) -> None:
    model = initialised(mlp(16))
    for make in TORCH_OPTIMIZERS[name]:
        optimizer = make(param_groups(model, name, lr=0.01))
        step(model, optimizer)
        check_state(optimizer, make(param_groups(model, name, lr=0.5)))
        copied = copy.deepcopy((model, optimizer))
        assert [group["lr"] for group in copied[1].param_groups] == [
            group["lr"] for group in optimizer.param_groups
        ]
        step(*copied)
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(0.01 * group["lr_scale"])


def test_muon_takes_the_groups_and_its_state_loads() -> None:
    model = initialised(mlp(16))
    groups = param_groups(model, "muon", lr=0.01, weight_decay=0.1)
    for optimizer in (torch.optim.Muon(groups.muon), torch.optim.AdamW(groups.rest)):
        step(model, optimizer)
        check_state(optimizer, optimizer)


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.manual_seed(0)
    optimizer.zero_grad()
    model(torch.randn(8, 64)).square().mean().backward()
    optimizer.step()


def check_state(optimizer: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    """The state passes through a file of weights only, and into another optimizer."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    other.load_state_dict(loaded)
    assert [group["lr"] for group in other.param_groups] == [group["lr"] for group in optimizer.param_groups]
    assert [group["names"] for group in other.param_groups] == [
        group["names"] for group in optimizer.param_groups
    ]


def rank_one_gradients(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Give each matrix of each parameter a gradient of rank one, of entries between 0.5 and 1."""

    def draw(*shape: int) -> Tensor:
        size = 0.7 + 0.3 * torch.rand(*shape, generator=generator, dtype=torch.float64)
        return size * (torch.rand(*shape, generator=generator) - 0.5).sign()

    gradients = {}
    for row in describe(model):
        if not row.trained:
            continue
        parameter = model.get_parameter(row.name)
        count, rows, columns = row.layout.matrices
        stack = draw(count, rows, 1) * draw(count, 1, columns)
        numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
        gradient = torch.zeros(parameter.numel(), dtype=parameter.dtype)
        gradient[row.layout.view(numbers).flatten()] = stack.flatten().to(parameter.dtype)
        parameter.grad = gradient.reshape(parameter.shape).clone()
        gradients[row.name] = parameter.grad.clone()
    return gradients


def made_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    optimizer.step()
    return {name: one.detach() - before[name] for name, one in model.named_parameters()}


# Of a transposed convolution, whose output meets some of the positions, and of what weight_norm rescales, the change
# of the effective matrix is another; lone numbers have no scaled norm.
MATRICES = [
    name
    for name in ZOO
    if not ZOO[name].rules and "transposed" not in name and "weight norm" not in name and name != "positions"
]


@pytest.mark.parametrize("animal", MATRICES)
def test_an_adam_step_on_rank_one_gradients_has_scaled_norm_lr(animal) -> None:
    """Every matrix of every parameter, to 1e-6: bias correction is exact, and eps is 1e-12 of the gradient."""
    torch.manual_seed(0)
    model = initialised(ZOO[animal].make().double())
    rank_one_gradients(model, torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(param_groups(model, "adam", lr=0.3, eps=1e-12))
    changes = made_step(model, optimizer)
    for row in describe(model):
        if row.trained:
            np.testing.assert_allclose(scaled_norms(row, changes[row.name]), 0.3, rtol=1e-6)


@pytest.mark.parametrize("animal", MATRICES)
def test_an_sgd_step_is_the_gradient_times_fan_out_over_fan_in(animal) -> None:
    torch.manual_seed(0)
    model = initialised(ZOO[animal].make().double())
    gradients = rank_one_gradients(model, torch.Generator().manual_seed(1))
    changes = made_step(model, torch.optim.SGD(param_groups(model, "sgd", lr=0.3)))
    for row in describe(model):
        if row.trained:
            _, fan_in, fan_out, _, _ = ZOO[animal].expected[row.name]
            expected = -0.3 * fan_out / fan_in * gradients[row.name]
            torch.testing.assert_close(changes[row.name], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", ["rmsprop", "nadam", "adagrad", "sign"])
def test_other_sign_like_optimizers_make_steps_of_one_size_in_all_layers(optimizer) -> None:
    model = initialised(mlp(32, bias=False).double())
    rank_one_gradients(model, torch.Generator().manual_seed(1))
    groups = param_groups(model, optimizer, lr=0.3, **({} if optimizer == "sign" else {"eps": 1e-12}))
    make: Any = {
        "rmsprop": torch.optim.RMSprop,
        "nadam": torch.optim.NAdam,
        "adagrad": torch.optim.Adagrad,
    }.get(optimizer)
    if make is None:
        changes = {
            name: -group["lr"] * one.grad.sign()
            for group in groups
            for name, one in zip(group["names"], group["params"], strict=True)
        }
    else:
        changes = made_step(model, make(groups))
    norms = [scaled_norms(row, changes[row.name])[0] for row in describe(model)]
    np.testing.assert_allclose(norms, norms[0], rtol=1e-6)
    assert 0.1 < norms[0] / 0.3 < 10.1  # RMSprop's first step is sqrt(100) times the later ones


@pytest.mark.parametrize("shape", [(64, 64), (256, 64), (64, 256), (10, 128), (128, 10)])
def test_a_muon_step_has_the_same_scaled_norm_for_every_shape(shape) -> None:
    """Within the 0.7 to 1.25 of Newton-Schulz iterations; torch's own factors give up to 5.7."""
    model = nn.Sequential(nn.Linear(shape[1], shape[0], bias=False))
    initialised(model)
    groups = param_groups(model, "muon", lr=0.1)
    model[0].weight.grad = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    change = made_step(model, torch.optim.Muon(groups.muon))["0.weight"]
    assert 0.7 < scaled_norms(describe(model)["0.weight"], change)[0] / 0.1 < 1.25


def test_one_real_step_has_the_same_scaled_norms_at_every_width() -> None:
    """A mini-batch of one has gradients of rank one: with Adam, the norm of each layer is lr at any width."""
    for width in (16, 128):
        torch.manual_seed(width)
        model = initialised(
            nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()).double()
        )
        optimizer = torch.optim.Adam(param_groups(model, "adam", lr=0.1, eps=1e-100))
        model(torch.randn(1, 8, dtype=torch.float64)).square().mean().backward()
        changes = made_step(model, optimizer)
        for row in describe(model):
            np.testing.assert_allclose(scaled_norms(row, changes[row.name]), 0.1, rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "spectral"])
def test_on_the_base_itself_all_multipliers_are_one(optimizer) -> None:
    decay = 0.0 if optimizer == "adam" else 0.01
    for make in (lambda: initialised(mlp(32)), lambda: initialised(everything())):
        model = make()
        for base in (model, make(), describe(model), Description.from_json(describe(model).to_json())):
            groups = param_groups(model, optimizer, lr=0.1, weight_decay=decay, base=base)
            assert set(of_name(groups).values()) == {1.0}
            assert {group["lr"] for group in groups} == {0.1}
            if optimizer.startswith("adam"):
                assert {group["eps"] for group in groups} == {1e-8}
            decays = of_name(groups, "weight_decay")
            for row in describe(model):
                if row.trained:
                    matrix = row.layout.kind in ("dense", "conv", "lora_A", "lora_B")
                    assert decays[row.name] == (decay if matrix else 0.0)


def test_muon_on_the_base_itself() -> None:
    model = initialised(mlp(32))
    groups = param_groups(model, "muon", lr=0.1, base=model)
    assert set(of_name(groups).values()) == {1.0}


def test_a_base_gives_ratios_of_the_rule() -> None:
    narrow, wide = mlp(32).to("meta"), mlp(128).to("meta")
    for optimizer in ("sgd", "adamw", "spectral"):
        relative = of_name(param_groups(wide, optimizer, lr=1.0, base=narrow))
        absolute = [of_name(param_groups(one, optimizer, lr=1.0)) for one in (wide, narrow)]
        for name, value in relative.items():
            assert value == pytest.approx(absolute[0][name] / absolute[1][name])
    hidden = of_name(param_groups(wide, "adamw", lr=1.0, base=narrow))
    assert [hidden[f"{i}.weight"] for i in (0, 2, 4)] == pytest.approx([1, 1 / 4, 1 / 4])
    eps = of_name(param_groups(wide, "adamw", lr=1.0, base=narrow, eps=1e-6), "eps")
    assert [eps[f"{i}.weight"] for i in (0, 2, 4)] == pytest.approx([1e-6 / 4, 1e-6 / 4, 1e-6])


def test_eps_follows_the_size_of_gradients() -> None:
    """Entries of gradients, measured at two widths, fall as eps does."""
    sizes, eps = {}, {}
    for width in (64, 1024):
        model = initialised(mlp(width), gain=2**0.5)
        torch.manual_seed(1)
        loss = nn.functional.cross_entropy(model(torch.randn(64, 64)), torch.arange(64) % 3)
        loss.backward()
        sizes[width] = {
            name: one.grad.square().mean().sqrt().item() for name, one in model.named_parameters()
        }
        eps[width] = of_name(param_groups(model, "adamw", lr=1.0), "eps")
        assert eps[width]["0.weight"] == pytest.approx(1e-8 / width)
    for name, one in sizes[64].items():
        measured = math.log(sizes[1024][name] / one) / math.log(16)
        asked = math.log(eps[1024][name] / eps[64][name]) / math.log(16)
        assert measured == pytest.approx(asked, abs=0.15)


def test_a_decay_removes_the_same_share_of_each_matrix() -> None:
    """With zero gradients, a step of AdamW, SGD and Muon leaves 1 - lr weight_decay of each matrix, and all else."""
    classes: Any = {
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "nadam": torch.optim.NAdam,
        "spectral": SpectralSGD,
    }
    for optimizer in (*classes, "muon"):
        model = initialised(mlp(16).double())
        for one in model.parameters():
            one.grad = torch.zeros_like(one)
            if one.ndim == 1:
                nn.init.ones_(one)
        before = {name: one.detach().clone() for name, one in model.named_parameters()}
        groups = param_groups(model, optimizer, lr=0.02, weight_decay=0.4)
        if optimizer == "muon":
            torch.optim.Muon(groups.muon).step()
            torch.optim.AdamW(groups.rest).step()
        else:
            classes[optimizer](groups).step()
        for name, one in model.named_parameters():
            share = 1 - 0.02 * 0.4 if "weight" in name else 1.0
            torch.testing.assert_close(one.detach(), share * before[name], rtol=1e-12, atol=0)


def test_a_decay_that_outweighs_the_updates_warns() -> None:
    model = initialised(mlp(16))
    with pytest.warns(ScalingWarning, match=r"removes 1.5 % of the weights in each step"):
        param_groups(model, "adamw", lr=0.15, weight_decay=0.1)


def test_weights_of_another_size_warn_and_those_of_torch_do_not() -> None:
    torch.manual_seed(0)
    param_groups(mlp(64), "adamw", lr=0.1)  # within the factor of 3
    model = initialised(mlp(64))
    with torch.no_grad():
        model[2].weight *= 5
    with pytest.warns(
        ScalingWarning, match=r"2.weight has entries of size .*, 5.1 times the 0.125 that init_"
    ):
        param_groups(model, "adamw", lr=0.1)
    with pytest.warns(ScalingWarning, match="base=base"):
        param_groups(model, "adamw", lr=0.1, base=initialised(mlp(32)))
    torch.manual_seed(0)
    wide, base = mlp(1024), mlp(64)
    with pytest.warns(ScalingWarning, match="4.weight"):
        param_groups(wide, "adamw", lr=0.1)
    init_(wide, base=base)
    param_groups(wide, "adamw", lr=0.1, base=base)
    zero = initialised(mlp(64), readout="zero")
    param_groups(zero, "adamw", lr=0.1)


class Blocks(nn.Module):
    def __init__(self, depth: int, width: int = 8) -> None:
        super().__init__()
        self.read = nn.Linear(4, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 2)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_depth_multiplies_blocks_only(alpha) -> None:
    for optimizer, power in (("adamw", alpha - 1), ("sgd", 2 * alpha - 1)):
        model = Blocks(12).to("meta")
        depth = Depth("blocks", 3, alpha)
        plain = param_groups(model, optimizer, lr=1.0)
        deep = param_groups(model, optimizer, lr=1.0, depth=depth)
        for name, value in of_name(deep).items():
            factor = 4.0**power if name.startswith("blocks.") else 1.0
            assert value == pytest.approx(of_name(plain)[name] * factor)
        if optimizer == "adamw":
            for name, value in of_name(deep, "eps").items():
                factor = 4.0**-alpha if name.startswith("blocks.") else 1.0
                assert value == pytest.approx(of_name(plain, "eps")[name] * factor)
        relative = param_groups(model, optimizer, lr=1.0, depth=depth, base=Blocks(3).to("meta"))
        assert of_name(relative)["blocks.11.weight"] == pytest.approx(4.0**power)
        assert of_name(relative)["head.weight"] == 1.0


def test_depth_that_does_not_fit() -> None:
    model = Blocks(4).to("meta")
    for name in ("layers", "read"):
        with pytest.raises(InputError, match=f"depth.blocks is '{name}'"):
            param_groups(model, "adamw", lr=1.0, depth=Depth(name))
    with pytest.raises(InputError, match="base_depth must be a whole number"):
        param_groups(model, "adamw", lr=1.0, depth=Depth("blocks", 0))
    with pytest.raises(InputError, match=r"if the model is deeper, say so by depth=Depth"):
        param_groups(model, "adamw", lr=1.0, base=Blocks(2).to("meta"))


def test_constants() -> None:
    model = ZOO["positions"].make().to("meta")
    model.head = nn.Linear(8, 3, device="meta")
    plain = of_name(param_groups(model, "adamw", lr=1.0))
    tuned = of_name(
        param_groups(
            model,
            "adamw",
            lr=1.0,
            constants={"embedding": 3.0, "readout": 0.5, r"^query$": 2.0, "position": 1.5},
        )
    )
    factors = {"token.weight": 3, "head.weight": 0.5, "query": 2, "pos_embedding": 1.5, "cls_token": 1.5}
    assert tuned == pytest.approx({name: one * factors.get(name, 1) for name, one in plain.items()})
    decays = param_groups(model, "adamw", lr=0.1, weight_decay=0.05, constants={"readout": 0.5})
    for group in decays:
        assert group["lr"] * group["weight_decay"] == pytest.approx(
            0.005 if group["names"] == ["head.weight"] else 0
        )
    for bad, words in (
        ({"conv": 2.0}, "constants has 'conv'"),
        ({"readout": 0.0}, "constants.'readout'. must be above 0"),
        ({"nothing": 2.0}, "fits no name"),
    ):
        with pytest.raises(InputError, match=words):
            param_groups(model, "adamw", lr=1.0, constants=bad)


def test_groups_of_one_s_own() -> None:
    model = initialised(mlp(16))
    plain = of_name(param_groups(model, "adamw", lr=0.1))
    for params in (r"^4\.", list(model[4].parameters()), list(model[4].named_parameters(prefix="4"))):
        groups = param_groups(
            model,
            "adamw",
            lr=0.1,
            weight_decay=0.01,
            groups=[{"params": params, "lr": 0.2, "betas": (0.8, 0.9)}, {"params": model[0].bias}],
        )
        names = [name for group in groups for name in group["names"]]
        assert sorted(names) == sorted(plain)
        for group in groups:
            mine = group["names"][0].startswith("4.")
            assert ("betas" in group) is mine
            # `lr_scale` is relative to the learning rate of all, so that a schedule can multiply by it.
            own = 2 if mine else 1
            assert [own * plain[name] for name in group["names"]] == [group["lr_scale"]] * len(group["names"])
            assert group["lr"] == pytest.approx(0.1 * group["lr_scale"])
        decays = of_name(groups, "weight_decay")
        assert decays["4.weight"] == pytest.approx(0.01 / plain["4.weight"])
        assert decays["4.bias"] == 0
        torch.optim.AdamW(groups)
    decaying = param_groups(model, "adamw", lr=0.1, groups=[{"params": "bias", "weight_decay": 0.01}])
    assert of_name(decaying, "weight_decay")["0.bias"] == 0.01
    frozen = param_groups(model, "adamw", lr=0.1, groups=[{"params": "0", "lr": 0}])
    assert of_name(frozen, "lr")["0.weight"] == 0


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([{"lr": 1}], r"groups\[0\] has only lr; expected a dict with 'params'"),
        ([3], r"groups\[0\] is 3"),
        ([{"params": "nothing"}], r"groups\[0\] has params='nothing', which fits no name"),
        ([{"params": nn.Parameter(torch.ones(2))}], "does not have"),
        ([{"params": "0"}, {"params": "weight"}], r"0.weight is in groups\[0\] and groups\[1\]"),
        ([{"params": "0", "lr": -1}], r"lr of groups\[0\] must be at least 0; got -1"),
    ],
)
def test_groups_of_one_s_own_that_do_not_fit(groups, words) -> None:
    with pytest.raises(InputError, match=words):
        param_groups(initialised(mlp(16)), "adamw", lr=0.1, groups=groups)


def test_frozen_parameters_are_left_out() -> None:
    model = initialised(mlp(16))
    model[0].requires_grad_(False)
    names = of_name(param_groups(model, "sgd", lr=0.1))
    assert set(names) == {"2.weight", "2.bias", "4.weight", "4.bias"}
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameters"):
        param_groups(model, "sgd", lr=0.1)


def test_models_on_the_meta_device_and_compiled_ones_get_the_same_groups() -> None:
    model = initialised(mlp(16))
    expected = of_name(param_groups(model, "adamw", lr=0.1))
    assert of_name(param_groups(mlp(16).to("meta"), "adamw", lr=0.1)) == expected
    compiled = torch.compile(model, backend="aot_eager")
    groups = param_groups(compiled, "adamw", lr=0.1)
    assert of_name(groups) == expected
    assert {id(one) for group in groups for one in group["params"]} == {id(one) for one in model.parameters()}
    optimizer = torch.optim.AdamW(groups)
    before = model[2].weight.detach().clone()
    compiled(torch.randn(4, 64, generator=torch.Generator().manual_seed(0))).sum().backward()
    optimizer.step()
    assert not torch.equal(model[2].weight, before)
    assert of_name(param_groups(compiled, "adamw", lr=0.1)) == expected


@pytest.fixture
def one_process() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_models_wrapped_for_distributed_training_get_the_same_groups() -> None:
    model = initialised(mlp(16))
    expected = of_name(param_groups(model, "adamw", lr=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of distributed training on one CPU
        wrapped = nn.parallel.DistributedDataParallel(model)
        assert of_name(param_groups(wrapped, "adamw", lr=0.1)) == expected
        groups = param_groups(wrapped, "sgd", lr=0.1)
        wrapped(torch.randn(4, 64, generator=torch.Generator().manual_seed(0))).sum().backward()
    torch.optim.SGD(groups).step()


def test_tied_weights_need_a_multiplier_of_the_logits() -> None:
    model = Tied()
    with pytest.raises(InputError, match=r"token.weight is both an embedding and the readout head.weight"):
        param_groups(model, "adamw", lr=0.1)
    with pytest.raises(InputError, match="call scale_logits"):
        init_(model)
    scale_logits(model)
    init_(model)
    groups = param_groups(model, "adamw", lr=0.1)
    assert of_name(groups)["token.weight"] == 1.0
    assert sorted(of_name(groups)) == ["body.bias", "body.weight", "token.weight"]
    assert of_name(param_groups(copy.deepcopy(model), "adamw", lr=0.1)) == of_name(groups)
    alone = Tied()
    assert of_name(param_groups(alone, "adamw", lr=0.1, rules={r"token\.weight": "embedding"}))


def test_nothing_is_attached_to_parameters_and_nothing_changes() -> None:
    model = initialised(everything())
    before = {name: one.clone() for name, one in model.state_dict().items()}
    param_groups(model, "adamw", lr=0.1)
    assert not any(vars(one) for one in model.parameters())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (torch.optim.AdamW, "adamw"),
        (torch.optim.SGD, "sgd"),
        ("AdamW", "adamw"),
        (type("Adam8bit", (), {}), "adam"),
        (type("PagedAdamW", (), {}), "adamw"),
        (type("FusedLion", (), {}), "lion"),
        ("schedule-free", None),
    ],
)
def test_optimizers_by_name_and_by_class(optimizer, expected) -> None:
    model = mlp(16).to("meta")
    if expected is None:
        with pytest.raises(InputError, match="optimizer"):
            param_groups(model, optimizer, lr=0.1)
    else:
        assert of_name(param_groups(model, optimizer, lr=0.1)) == of_name(
            param_groups(model, expected, lr=0.1)
        )


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (mlp, {"optimizer": "adamax"}, "optimizer.*adamax"),
        (mlp, {"optimizer": torch.optim.Rprop}, "optimizer.*rprop"),
        (mlp, {"lr": 0.0}, "lr must be above 0; got 0"),
        (mlp, {"lr": math.nan}, "lr must be .*nan"),
        (mlp, {"weight_decay": -1.0}, "weight_decay must be at least 0; got -1"),
        (mlp, {"eps": 0.0}, "eps is 0, with which adamw divides 0 by 0"),
        (mlp, {"optimizer": "adam", "eps": 0.0}, "such as 1e-16"),
        (mlp, {"optimizer": "adam", "weight_decay": 0.05}, "weight_decay is 0.05 with adam,.*: adamw"),
        (mlp, {"optimizer": "rmsprop", "weight_decay": 0.05}, "adamw, nadam or sgd"),
        (mlp, {"optimizer": "muon", "rest": "muon"}, "rest is 'muon'"),
        (mlp, {"rules": {"5.weight": "dense"}}, "the rule for '5.weight' fits no parameter"),
        (mlp, {"base": "narrow"}, "base is a str"),
        (mlp, {"base": nn.Linear(3, 3)}, "the base model has no parameter '0.weight'"),
        (
            lambda: nn.Sequential(nn.Embedding(5, 4)),
            {"base": nn.Sequential(nn.Linear(4, 5, bias=False))},
            r"0.weight is embedding \(5, 4\), and in the base model dense \(5, 4\)",
        ),
        (lambda: nn.MultiheadAttention(8, 2), {"optimizer": "muon"}, "in_proj_weight packs 3 matrices"),
        (ZOO["packed q, k, v"].make, {"optimizer": "muon"}, "qkv.weight packs 3 matrices.*SpectralSGD"),
        (lambda: nn.LazyLinear(3), {}, "weight is lazy"),
        (lambda: nn.Linear(3, 3, dtype=torch.complex64), {}, "weight is complex"),
        (lambda: "model", {}, "model is a str; expected a torch.nn.Module"),
        (lambda: nn.ParameterList([torch.ones(3, 3)]), {}, "no rule says what parameter 0"),
        (lambda: nn.Sequential(nn.Embedding(3, 3, sparse=True)), {}, "0.weight has sparse gradients"),
    ],
)
def test_bad_input_is_one_sentence(make, options, words) -> None:
    model = make()
    if isinstance(model, nn.Sequential) and not isinstance(model[0], nn.Embedding):
        initialised(model)
    with pytest.raises(InputError, match=words):
        param_groups(model, **({"optimizer": "adamw", "lr": 0.1} | options))


def test_sparse_gradients_suit_sgd_and_frozen_tables_suit_all() -> None:
    model = nn.Sequential(nn.Embedding(3, 4, sparse=True), nn.Linear(4, 4, bias=False))
    assert of_name(param_groups(model, "sgd", lr=0.1)) == {"0.weight": 4.0, "1.weight": 1.0}
    with pytest.raises(InputError, match="freeze it here"):
        param_groups(model, "adamw", lr=0.1)
    model[0].requires_grad_(False)
    assert of_name(param_groups(model, "adamw", lr=0.1)) == {"1.weight": 0.25}


def test_a_sparse_table_alone_is_named() -> None:
    with pytest.raises(InputError, match=r"^weight has sparse gradients"):
        param_groups(nn.Embedding(3, 4, sparse=True), "adamw", lr=0.1)


def test_packed_weights_go_to_muon_if_one_says_so() -> None:
    model = ZOO["packed q, k, v"].make()
    groups = param_groups(model, "muon", lr=0.1, rules={r"qkv\.weight": "dense"})
    assert set(of_name(groups.muon)) == {"qkv.weight"}
