"""Initialisation: drawn weights against the sizes that the condition asks, and against those of a base model."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from zoo import ZOO, Tied, everything, mlp, old_weight_norm

from solvable.errors import InputError
from solvable.scaling import Depth, describe, gaussian_spectral_norm, init_, scale_logits


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rms(tensor: Tensor) -> float:
    return tensor.detach().double().square().mean().sqrt().item()


def test_the_worked_example() -> None:
    model = mlp()
    init_(model, generator=seeded())
    for i, std in ((0, 0.125), (2, 0.04419), (4, 0.006176)):
        assert rms(model[i].weight) == pytest.approx(std, rel=0.03)
        assert rms(model[i].bias) == 0


def test_scaled_norms_are_those_of_gaussian_matrices() -> None:
    """Their mean over 20 draws is within 1 % of the Tracy-Widom mean."""
    model = nn.Sequential(nn.Linear(64, 128, bias=False), nn.Linear(128, 128, bias=False))
    norms = []
    for seed in range(20):
        init_(model, gain=1.5, generator=seeded(seed))
        norms.append([np.linalg.norm(one.detach().numpy(), 2) for one in model.parameters()])
    for mean, layer in zip(np.mean(norms, axis=0), model, strict=True):
        expected, _ = gaussian_spectral_norm(*layer.weight.shape, std=1.5 * layer.weight.shape[1] ** -0.5)
        assert mean == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("animal", ZOO)
def test_each_kind_gets_its_own_size(animal) -> None:
    module, rules = ZOO[animal].make(), ZOO[animal].rules
    before = {name: one.detach().clone() for name, one in module.named_parameters()}
    description = init_(module, 3.0, generator=seeded(), rules=rules)
    for row in description:
        parameter, layout = module.get_parameter(row.name).detach(), row.layout
        if not row.trained or layout.kind == "vector":
            assert torch.equal(parameter, before[row.name])
        elif layout.kind in ("bias", "lora_B"):
            assert not parameter.any()
        elif layout.kind == "gain":
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif layout.kind == "magnitude":
            assert (parameter > 0).all()
        else:
            # By hand: the fan-in is what one output sums over, and narrowing layers are smaller.
            _, fan_in, fan_out, _, groups = ZOO[animal].expected[row.name]
            channels = fan_in / layout.kernel_size
            std = {"embedding": 1.0, "position": 1.0, "lora_A": fan_in**-0.5}.get(
                layout.kind, 3 / fan_in**0.5 * min(1, (fan_out / groups / channels) ** 0.5)
            )
            assert rms(parameter) == pytest.approx(std, rel=4 / parameter.numel() ** 0.5)


def test_features_of_convolutions_and_recurrent_layers_are_of_order_one() -> None:
    x = torch.randn(4, 32, 16, 16, generator=seeded(1))
    for groups in (1, 4, 32):
        layer = nn.Conv2d(32, 32, 3, groups=groups, padding=1, padding_mode="circular", bias=False)
        init_(layer, generator=seeded())
        assert rms(layer(x)) == pytest.approx(1, rel=0.1)
    # Each output of a transposed convolution sums over kernel / stride positions.
    layer = nn.ConvTranspose2d(32, 32, 4, stride=2, bias=False)
    init_(layer, generator=seeded())
    assert rms(layer(x)[..., 4:-4, 4:-4]) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: parametrizations.weight_norm(nn.Linear(256, 64)),
        lambda: parametrizations.weight_norm(nn.Conv2d(16, 16, 3)),
        old_weight_norm,
    ],
    ids=["new", "convolution", "old"],
)
def test_the_effective_weight_under_weight_norm_has_the_size_of_a_plain_one(make) -> None:
    module = make()
    with torch.no_grad():
        for one in module.parameters():
            one.mul_(7.0)  # whatever was there before
    description = init_(module, 2.0, generator=seeded())
    (row,) = [row for row in description if row.layout.kind in ("dense", "conv")]
    module(torch.randn(1, 16, 8, 8) if row.layout.kind == "conv" else torch.randn(1, row.layout.fan_in))
    assert rms(module.weight) == pytest.approx(2 * row.layout.init_std, rel=4 / module.weight.numel() ** 0.5)


def test_a_zero_readout() -> None:
    model = mlp(16)
    init_(model, readout="zero", generator=seeded())
    assert not model[4].weight.any()
    assert model[2].weight.any()
    with_norms = nn.Sequential(nn.Linear(4, 8), parametrizations.weight_norm(nn.Linear(8, 3)))
    init_(with_norms, readout="zero", generator=seeded())
    output = with_norms(torch.randn(5, 4, generator=seeded()))
    assert torch.equal(output, torch.zeros(5, 3))


def test_gains_by_name() -> None:
    model = mlp(64)
    init_(model, {r"^0\.": 2.0, "4": 0.5}, generator=seeded())
    plain = mlp(64)
    init_(plain, generator=seeded())
    for i, gain in ((0, 2.0), (2, 1.0), (4, 0.5)):
        torch.testing.assert_close(model[i].weight, gain * plain[i].weight)
    norms = nn.Sequential(nn.Embedding(50, 64), nn.LayerNorm(64))
    init_(norms, 5.0, generator=seeded())
    assert rms(norms[0].weight) == pytest.approx(1, rel=0.05)
    assert rms(norms[1].weight) == 1


def test_draws_follow_the_generator_and_nothing_else() -> None:
    first, second = mlp(16), mlp(16)
    state = torch.random.get_rng_state()
    init_(first, generator=seeded(3))
    init_(second, generator=seeded(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    init_(second, generator=seeded(4))
    assert not torch.equal(first[0].weight, second[0].weight)
    for one in (first, second):
        torch.manual_seed(5)
        init_(one)
    assert torch.equal(first[2].weight, second[2].weight)
    # A second call draws afresh, of the same size.
    init_(first)
    assert rms(first[2].weight) == pytest.approx(0.25, rel=0.1)


def test_half_precision_and_double() -> None:
    for dtype in (torch.bfloat16, torch.float64):
        model = mlp(64).to(dtype)
        init_(model, generator=seeded())
        assert model[0].weight.dtype == dtype
        assert rms(model[0].weight) == pytest.approx(0.125, rel=0.05)


def test_on_the_base_itself_sizes_are_those_of_the_base() -> None:
    torch.manual_seed(0)
    base = mlp(64)
    nn.init.constant_(base[2].bias, 0.3)
    nn.init.zeros_(base[4].weight)
    same, wide = mlp(64), mlp(256)
    init_(same, base=base, generator=seeded())
    for (name, one), other in zip(same.named_parameters(), base.parameters(), strict=True):
        assert rms(one) == pytest.approx(rms(other), rel=6 / one.numel() ** 0.5), name
    init_(wide, base=base, generator=seeded())
    assert rms(wide[0].weight) == pytest.approx(rms(base[0].weight), rel=0.03)
    assert rms(wide[2].weight) == pytest.approx(rms(base[2].weight) / 2, rel=0.03)
    assert torch.equal(wide[2].bias, torch.full((256,), 0.3))
    assert not wide[4].weight.any()
    torch.manual_seed(0)
    base = mlp(64)
    init_(wide, base=base, generator=seeded())
    assert rms(wide[4].weight) == pytest.approx(rms(base[4].weight) / 4, rel=0.1)


def test_a_deeper_model_takes_the_blocks_of_its_base() -> None:
    def stack(depth: int) -> nn.Module:
        return nn.ModuleDict({"blocks": nn.ModuleList(nn.Linear(16, 16, bias=False) for _ in range(depth))})

    base, deep = stack(2), stack(5)
    with torch.no_grad():
        base["blocks"][1].weight.mul_(10)  # pyright: ignore
    init_(deep, base=base, depth=Depth("blocks", 2), generator=seeded())
    sizes = [rms(one) for one in deep.parameters()]
    assert sizes == pytest.approx([rms(list(base.parameters())[i % 2]) for i in range(5)], rel=0.2)


def test_frozen_parameters_keep_their_values() -> None:
    model = mlp(16)
    model[0].requires_grad_(False)
    before = model[0].weight.detach().clone()
    init_(model, generator=seeded())
    assert torch.equal(model[0].weight, before)


def test_scaled_logits() -> None:
    model = Tied(width=16)
    x = torch.arange(5)
    plain = model(x).detach()
    handle = scale_logits(model)
    torch.testing.assert_close(model(x), plain / 16)
    torch.testing.assert_close(copy.deepcopy(model)(x), plain / 16)
    assert list(model.state_dict()) == list(Tied().state_dict())
    with pytest.raises(InputError, match="no readout shares its matrix"):
        scale_logits(model)
    handle.remove()
    torch.testing.assert_close(model(x), plain)
    scale_logits(model, 0.25)
    torch.testing.assert_close(model(x), plain / 4)
    init_(model, generator=seeded())
    assert rms(model.token.weight) == pytest.approx(1, rel=0.3)


def test_scaled_logits_of_a_compiled_model() -> None:
    model = Tied(width=16)
    plain = model(torch.arange(5)).detach()
    scale_logits(model)
    compiled = torch.compile(model, backend="aot_eager")
    torch.testing.assert_close(compiled(torch.arange(5)), plain / 16)
    assert not describe(compiled)["token.weight"].reads_out


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init_(mlp().to("meta")), "Sequential is on the meta device.*to_empty"),
        (lambda: init_(mlp(), base=mlp(16).to("meta")), "base is on the meta device"),
        (lambda: init_(mlp(), base="narrow"), "base is a str"),  # pyright: ignore
        (lambda: init_(mlp(), base=nn.Linear(3, 3)), "the base model has no parameter '0.weight'"),
        (lambda: init_(mlp(), readout="one"), "readout.*one"),  # pyright: ignore
        (lambda: init_(mlp(), gain=0), "gain must be above 0; got 0"),
        (lambda: init_(mlp(), gain=math.nan), "gain must be .*nan"),
        (lambda: init_(mlp(), {"7": 1.0}), "gain has '7', which fits no matrix"),
        (lambda: init_(mlp(), {"0": -1.0}), "gain.'0'. must be above 0; got -1"),
        (lambda: init_(Tied()), "call scale_logits"),
        (lambda: init_(nn.LazyLinear(3)), "weight is lazy"),
        (lambda: init_("model"), "model is a str"),  # pyright: ignore
        (lambda: scale_logits(mlp()), "no readout shares its matrix with an embedding"),
        (lambda: scale_logits(Tied(), 0.0), "multiplier must be above 0; got 0"),
    ],
)
def test_bad_input_is_one_sentence(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_every_module_at_once() -> None:
    model = everything()
    init_(model, generator=seeded())
    assert all(torch.isfinite(one).all() for one in model.parameters())


def test_the_multiplier_of_a_tied_readout_leaves_its_bias_alone() -> None:
    model = Tied(bias=True)
    with torch.no_grad():
        model.head.bias.fill_(3.0)
    features = torch.randn(2, model.head.in_features)
    plain = model.head(features) - 3.0
    handle = scale_logits(model, 0.25)
    torch.testing.assert_close(model.head(features), 0.25 * plain + 3.0)
    handle.remove()
    torch.testing.assert_close(model.head(features), plain + 3.0)
