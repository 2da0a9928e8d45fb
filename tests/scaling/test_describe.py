"""What each parameter is taken to be, against modules whose matrices are written out by hand."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from zoo import ZOO, Conv1D, Tied, everything, mlp

from solvable.errors import InputError
from solvable.scaling import KINDS, Description, Layout, describe, register_rule, scale_logits
from solvable.scaling import rules as rules_module


@pytest.fixture(autouse=True)
def _no_rule_outlives_a_test() -> Iterator[None]:
    before = dict(rules_module._registered)
    yield
    rules_module._registered.clear()
    rules_module._registered.update(before)


class Raw(nn.Module):
    """A parameter that no rule knows."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(shape or (8, 32)))


@pytest.mark.parametrize("animal", ZOO)
def test_kinds_and_fans(animal) -> None:
    module, expected = ZOO[animal].make(), ZOO[animal].expected
    found = describe(module, ZOO[animal].rules)
    layouts = {
        row.name: (
            row.layout.kind,
            row.layout.fan_in,
            row.layout.fan_out,
            row.layout.blocks,
            row.layout.groups,
        )
        for row in found
    }
    assert layouts == expected
    for name, parameter in module.named_parameters():
        row = found[name]
        assert row.shape == tuple(parameter.shape)
        assert row.trained is parameter.requires_grad
        assert row.layout.kind in KINDS
        # The matrices are all of its entries, once each.
        numbered = torch.arange(parameter.numel()).reshape(parameter.shape)
        view = row.layout.view(numbered)
        assert view.shape == row.layout.matrices
        assert torch.equal(view.flatten().sort().values, numbered.flatten())


@pytest.mark.parametrize("groups", [1, 2])
def test_matrices_of_a_convolution_map_patches_to_outputs(groups) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, (3, 2), groups=groups, bias=False).double()
    x = torch.randn(1, 4, 3, 2, dtype=torch.float64)
    (row,) = describe(conv)
    patches = x.reshape(groups, -1, 1)
    torch.testing.assert_close((row.layout.view(conv.weight) @ patches).flatten(), conv(x).flatten())


@pytest.mark.parametrize("groups", [1, 2])
def test_matrices_of_a_transposed_convolution(groups) -> None:
    """With stride = kernel each output meets one position: a column of the matrix for each input and position."""
    torch.manual_seed(0)
    conv = nn.ConvTranspose1d(6, 4, 3, stride=3, groups=groups, bias=False).double()
    (row,) = describe(conv)
    matrices = row.layout.view(conv.weight)
    x = torch.randn(1, 6, 1, dtype=torch.float64)
    outputs = conv(x)[0]  # (4, 3)
    per_position = matrices.reshape(groups, 4 // groups, 6 // groups, 3)
    expected = torch.einsum("goik,gi->gok", per_position, x.reshape(groups, -1)).reshape(4, 3)
    torch.testing.assert_close(outputs, expected)


def test_matrices_of_layers_that_store_inputs_first() -> None:
    layer = Conv1D(10, 6)
    (view,) = describe(layer)["weight"].layout.view(layer.weight)
    torch.testing.assert_close(view, layer.weight.T)
    stack = Raw(4, 10, 6)
    transposed = describe(stack, {"kernel": "experts transposed"})["kernel"].layout
    assert (transposed.fan_in, transposed.fan_out) == (10, 6)
    torch.testing.assert_close(transposed.view(stack.kernel), stack.kernel.transpose(1, 2))
    packed = Raw(6, 10)
    halves = describe(packed, {"kernel": "blocks:2 transposed"})["kernel"].layout
    torch.testing.assert_close(
        halves.view(packed.kernel), torch.stack([packed.kernel[:, :5].T, packed.kernel[:, 5:].T])
    )


def test_matrices_of_packed_projections_are_the_layers_of_their_own() -> None:
    layer = nn.MultiheadAttention(8, 2)
    view = describe(layer)["in_proj_weight"].layout.view(layer.in_proj_weight)
    for i, block in enumerate(layer.in_proj_weight.chunk(3)):
        torch.testing.assert_close(view[i], block)


def norm_of_draws(layout: Layout, shape: tuple[int, ...], draws: int = 12) -> float:
    """The mean of the largest scaled norm of the matrices, by LAPACK."""
    rng = np.random.default_rng(0)
    count, rows, columns = layout.matrices
    norms = [
        np.linalg.norm(rng.normal(0, layout.init_std, size=(count, rows, columns)), 2, axis=(1, 2)).reshape(
            layout.blocks, -1
        )
        for _ in range(draws)
    ]
    assert count * rows * columns == np.prod(shape)
    return layout.scale * float(np.mean([one.max(axis=1) for one in norms]))


@pytest.mark.parametrize(
    ("module", "approximate"),
    [
        (nn.Linear(300, 100, bias=False), None),
        (nn.Linear(1024, 10, bias=False), None),
        (nn.Conv2d(64, 64, 3, bias=False), 4.0),
        (nn.Conv2d(64, 64, 3, groups=4, bias=False), None),
        (nn.Conv2d(64, 64, 3, groups=64, bias=False), None),
        (nn.ConvTranspose2d(64, 32, 2, stride=2, bias=False), None),
        (nn.GRUCell(64, 64, bias=False), 2.0),
        (nn.Embedding(500, 64), None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_expected_norm_is_the_mean_of_drawn_ones(module, approximate) -> None:
    row = describe(module).rows[0]
    expected = row.layout.expected_norm()
    assert expected is not None
    assert expected == pytest.approx(norm_of_draws(row.layout, row.shape), rel=0.03)
    if approximate is not None:
        assert expected == pytest.approx(approximate, rel=0.05)


def test_the_expected_norm_of_what_is_not_drawn() -> None:
    layer = describe(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)))
    assert layer["0.bias"].layout.expected_norm() is None
    assert layer["1.weight"].layout.expected_norm() == 1.0
    assert layer["0.weight"].layout.expected_norm(3.0) == pytest.approx(
        3 * layer["0.weight"].layout.expected_norm(), rel=1e-12
    )


def test_the_names_of_wrapped_models_are_those_of_the_model() -> None:
    names = [row.name for row in describe(mlp(8))]
    compiled = torch.compile(mlp(8), backend="aot_eager")
    inside = mlp(8)
    inside[0] = torch.compile(inside[0], backend="aot_eager")
    for model in (compiled, inside, nn.DataParallel(mlp(8)), mlp(8).to("meta")):
        assert [row.name for row in describe(model)] == names
        assert describe(model)["0.weight"].layout.fan_in == 64
    assert describe(compiled).title == "Sequential"


def test_describing_changes_nothing() -> None:
    torch.manual_seed(0)
    model = everything()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    state, keys = torch.random.get_rng_state(), [set(module.__dict__) for module in model.modules()]
    describe(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert [set(module.__dict__) for module in model.modules()] == keys
    assert not any(vars(parameter) for parameter in model.parameters())


def test_the_description_as_text_and_table() -> None:
    found = describe(everything())
    assert Description.from_json(found.to_json()) == found
    frame = found.to_frame()
    assert frame["name"].tolist() == [row.name for row in found]
    assert set(frame["kind"]) == {row.layout.kind for row in found}
    assert len(frame) == len(found) == len(found.rows)
    text = str(describe(mlp()))
    assert "0.006176" in text
    assert "<table>" in describe(mlp())._repr_html_()
    for bad in ("", "[]", "{}", json.dumps({"rows": [{}], "title": "", "notes": []})):
        with pytest.raises(InputError, match="the text is no description"):
            Description.from_json(bad)


def test_the_readout_is_the_last_dense_matrix() -> None:
    assert describe(mlp()).readout == "4.weight"
    assert describe(nn.Embedding(3, 4)).readout is None


def test_vectors_without_a_rule_are_noted() -> None:
    (note,) = describe(ZOO["positions"].make()).notes
    assert "temperature" in note
    assert "query" in note
    assert not describe(nn.PReLU()).notes
    assert not describe(mlp()).notes


def test_rules_by_name_by_type_and_by_function() -> None:
    model = nn.ModuleDict({"a": Raw(8, 32), "b": Raw(8, 32), "c": nn.Linear(4, 4)})

    def either(module: nn.Module, name: str) -> str | None:
        return None if isinstance(module, nn.Linear) else "dense transposed"

    for rules in (
        {Raw: "dense transposed"},
        {"kernel": "dense transposed"},
        {Raw: {"kernel": "dense transposed"}},
        {nn.Module: either},
        {Raw: lambda module, name: Layout("dense", 8, 32, (1, 32, 8), transposed=True)},
    ):
        found = describe(model, rules)
        assert (found["a.kernel"].layout.fan_in, found["b.kernel"].layout.fan_out) == (8, 32)
        assert found["a.kernel"].rule == "your rule"
        assert found["c.weight"].rule == "Linear"
    # The first that fits holds, and a name alone may be told from others.
    found = describe(model, {r"^a\.": "embedding", "kernel": "vector"})
    assert [found[one].layout.kind for one in ("a.kernel", "b.kernel")] == ["embedding", "vector"]


def test_registered_rules_hold_for_subclasses() -> None:
    class Child(Raw):
        pass

    register_rule(Raw, {"kernel": "dense transposed"})
    assert describe(Child())["kernel"].layout.fan_in == 8
    register_rule(Child, "blocks:4")
    assert describe(Child())["kernel"].layout.blocks == 4
    assert describe(Raw())["kernel"].layout.blocks == 1
    assert "Child" in describe(Child())["kernel"].rule
    with pytest.raises(InputError, match="module_type is 'Raw'"):
        register_rule("Raw", "dense")  # pyright: ignore
    with pytest.raises(InputError, match="rule of Raw is 3"):
        register_rule(Raw, 3)  # pyright: ignore


def test_a_parameter_without_a_rule_is_refused_with_the_ways_out() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Raw())
    with pytest.raises(InputError) as refused:
        describe(model)
    sentence = str(refused.value)
    assert "no rule says what parameter 1.kernel (8, 32) of Raw is" in sentence
    for way in ("rules={", "1.kernel", "embedding", "blocks:3", "register_rule(Raw"):
        assert way in sentence
    assert describe(model, {r"1\.kernel": "dense"})["1.kernel"].layout.fan_out == 8
    with pytest.raises(InputError, match="and 1 more"):
        describe(nn.ModuleList([Raw(), Raw()]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.LazyLinear(3), "weight is lazy and has no shape yet.*run one batch"),
        (lambda: nn.Linear(3, 3, dtype=torch.complex64), "weight is complex"),
        (lambda: nn.ReLU(), "ReLU has no parameters"),
        (lambda: [nn.Linear(3, 3)], "model is a list; expected a torch.nn.Module"),
        (
            lambda: parametrizations.orthogonal(nn.Linear(3, 3)),
            "parametrizations.weight.original.*_Orthogonal",
        ),
        (lambda: parametrizations.spectral_norm(nn.Linear(3, 3)), "parametrization _SpectralNorm"),
    ],
)
def test_modules_that_cannot_be_described(make, words) -> None:
    with pytest.raises(InputError, match=words):
        describe(make())


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kernel": "dense", "weights": "dense"}, "the rule for 'weights' fits no parameter"),
        ({"kernel": "densely"}, "rule of 'kernel'.*densely"),
        ({"kernel": "blocks:3"}, r"the rule of 'kernel' is 'blocks:3', and its shape \(8, 32\)"),
        ({"kernel": "experts"}, "three dimensions"),
        ({"kernel": 3}, "the rule of 'kernel' is 3"),
        ({Raw: "dense", nn.Conv2d: "conv"}, "fits no parameter"),
    ],
)
def test_rules_that_do_not_fit(rule, words) -> None:
    with pytest.raises(InputError, match=words):
        describe(Raw(), rule)


def test_quantised_parameters_are_refused() -> None:
    module = nn.Linear(2, 2)
    module.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    with pytest.raises(InputError, match=r"weight is of type torch\.int8"):
        describe(module)


def test_tied_parameters() -> None:
    found = describe(Tied())
    assert len(found) == 3
    row = found["head.weight"]
    assert row is found["token.weight"]
    assert (row.name, row.tied_to, row.layout.kind, row.reads_out) == (
        "token.weight",
        ("head.weight",),
        "embedding",
        True,
    )
    assert "scale_logits(model)" in found.notes[0]
    model = Tied()
    handle = scale_logits(model)
    assert not describe(model)["token.weight"].reads_out
    handle.remove()
    assert describe(model)["token.weight"].reads_out
    assert not describe(model, {"token": "embedding"})["token.weight"].reads_out

    shared = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    shared[1].weight = shared[0].weight
    assert describe(shared)["1.weight"].name == "0.weight"
    contradictory = nn.ModuleList([nn.Linear(3, 9, bias=False), nn.Module()])
    contradictory[1].register_module("qkv", nn.Linear(3, 9, bias=False))
    contradictory[1].qkv.weight = contradictory[0].weight
    with pytest.raises(InputError, match="one parameter with two rules"):
        describe(contradictory)


def test_a_module_that_is_used_twice_is_described_once() -> None:
    layer = nn.Linear(3, 3)
    found = describe(nn.Sequential(layer, nn.ReLU(), layer))
    assert [row.name for row in found] == ["0.weight", "0.bias"]
    assert found["2.bias"].name == "0.bias"
