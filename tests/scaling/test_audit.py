"""The audit of optimizers and schedulers: multipliers by hand, and what torch's schedulers really do to them."""

import math
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from zoo import everything, mlp

from solvable.errors import InputError
from solvable.scaling import ScalingWarning, SpectralSGD, audit, init_, muon, param_groups


def initialised(width: int = 512) -> nn.Module:
    model = mlp(width)
    init_(model, generator=torch.Generator().manual_seed(0))
    return model


def rows_of(report: Any) -> pd.DataFrame:
    return report.table.set_index("name")


def test_one_learning_rate_for_all_layers() -> None:
    """SGD asks 8, 1 and 10/512 of the matrices of the worked example, and Adam 8/512, 1/512 and 1/512."""
    model = initialised()
    report = audit(model, torch.optim.SGD(model.parameters(), lr=0.1))
    # The median of 1/8, 1 and 51.2 is taken as right.
    expected = {
        "0.weight": 1 / 8,
        "0.bias": 1 / 512,
        "2.bias": 1 / 512,
        "4.weight": 51.2,
        "4.bias": 1 / 10,
    }
    assert report.off == pytest.approx(expected)
    assert next(iter(report.off)) == "0.bias"
    table = rows_of(report)
    assert table["lr"].tolist() == [0.1] * 6
    assert table.loc["4.weight", "lr_asked"] == pytest.approx(0.1 / 51.2)
    assert table.loc["2.weight", "factor"] == pytest.approx(1)
    report = audit(model, torch.optim.Adam(model.parameters(), lr=0.1))
    assert report.off == pytest.approx(
        {"0.weight": 1 / 8, "0.bias": 1 / 512, "2.bias": 1 / 512, "4.bias": 1 / 512}
    )
    assert "4 of 6 learning rates do not follow the condition" in str(report)
    assert "<table>" in report._repr_html_()


@pytest.mark.parametrize("name", ["sgd", "adamw", "spectral", "nadam"])
def test_our_groups_pass(name) -> None:
    make: Any = {
        "sgd": torch.optim.SGD,
        "adamw": torch.optim.AdamW,
        "spectral": SpectralSGD,
        "nadam": torch.optim.NAdam,
    }[name]
    for model in (initialised(64), everything()):
        init_(model, generator=torch.Generator().manual_seed(0))
        report = audit(model, make(param_groups(model, name, lr=0.02, weight_decay=0.1)))
        assert not report.off
        assert not report.notes
        assert "learning rates follow the condition" in str(report)
        table = rows_of(report)
        matrices = table["kind"].isin(["dense", "conv", "lora_A", "lora_B"])
        trained = table["lr"].notna()
        # The same share of each matrix per step, whatever its learning rate.
        assert table.loc[matrices & trained, "decay_per_step"].tolist() == pytest.approx(
            [0.002] * int((matrices & trained).sum())
        )
        assert not table.loc[~matrices & trained, "decay_per_step"].any()


def test_our_groups_relative_to_a_base_pass_with_the_base_only() -> None:
    model, base = initialised(256), mlp(64)
    init_(model, base=base)
    optimizer = torch.optim.AdamW(param_groups(model, "adamw", lr=0.01, base=base))
    assert not audit(model, optimizer, base=base).off
    assert audit(model, optimizer).off


def test_muon_with_either_of_torch_s_factors() -> None:
    model = initialised(64)
    optimizers = muon(model, 0.1)
    assert not audit(model, *optimizers).off
    biases = torch.optim.AdamW([one for name, one in model.named_parameters() if "bias" in name], lr=0.1)
    matrices = [one for name, one in model.named_parameters() if "weight" in name]
    # torch's default is too large by sqrt(in/out) where a layer narrows, match_rms_adamw grows as sqrt(width).
    report = audit(model, torch.optim.Muon(matrices, lr=0.1), biases)
    assert report.off == pytest.approx({"4.weight": math.sqrt(6.4)})
    wide = mlp(640)
    init_(wide)
    matrices = [wide[2].weight, wide[4].weight]
    report = audit(wide, torch.optim.Muon(matrices, lr=0.1, adjust_lr_fn="match_rms_adamw"))
    factors = rows_of(report)["factor"]
    assert factors["4.weight"] / factors["2.weight"] == pytest.approx(math.sqrt(64))


def test_decay_and_eps() -> None:
    model = initialised(64)
    table = rows_of(audit(model, torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.1, eps=1e-7)))
    assert table["decay_per_step"].tolist() == pytest.approx([0.002] * 6)
    assert table["eps"].tolist() == pytest.approx([1e-7] * 6)
    asked = table["eps_asked"]
    assert asked["4.weight"] / asked["2.weight"] == pytest.approx(6.4)
    groups = param_groups(model, "adamw", lr=0.02, eps=1e-6)
    table = rows_of(audit(model, torch.optim.AdamW(groups)))
    assert table["eps"].tolist() == pytest.approx(table["eps_asked"].tolist())
    table = rows_of(audit(model, torch.optim.SGD(model.parameters(), lr=0.1)))
    assert table["eps"].isna().all()


def test_coupled_decay_is_noted() -> None:
    model = initialised(64)
    for optimizer in (
        torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=0.1),
        torch.optim.NAdam(model.parameters(), lr=0.02, weight_decay=0.1),
        torch.optim.RMSprop(model.parameters(), lr=0.02, weight_decay=0.1),
    ):
        report = audit(model, optimizer)
        assert any("use AdamW instead of Adam" in note for note in report.notes)
        assert rows_of(report)["decay_per_step"].isna().all()
    report = audit(
        model, torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=0.1, decoupled_weight_decay=True)
    )
    assert report.notes == (
        "biases, gains or embeddings decay, which they should not: 0.bias, 2.bias, 4.bias",
    )
    assert rows_of(report)["decay_per_step"].tolist() == pytest.approx([0.002] * 6)
    assert rows_of(report)["decay_asked"].tolist() == pytest.approx([0.002, 0.0] * 3)


def test_parameters_of_no_optimizer_are_noted() -> None:
    model = initialised(64)
    report = audit(model, torch.optim.SGD(model[2].parameters(), lr=0.1))
    (note,) = report.notes
    assert "in none of the optimizers: 0.weight, 0.bias, 4.weight, 4.bias" in note
    assert rows_of(report)["lr"].notna().sum() == 2
    model[0].requires_grad_(False)
    model[4].requires_grad_(False)
    assert not audit(model, torch.optim.SGD(model[2].parameters(), lr=0.1)).notes


def ratios_after(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int = 7) -> list[float]:
    """The learning rates over lr_scale after some steps, relative to the first."""
    for _ in range(steps):
        optimizer.step()
        scheduler.step(1.0) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()
    units = [group["lr"] / group["lr_scale"] for group in optimizer.param_groups]
    return [unit / units[0] for unit in units]


def scaled(optimizer: torch.optim.Optimizer, lr: float) -> list[float]:
    return [lr * group["lr_scale"] for group in optimizer.param_groups]


SCHEDULERS = {
    "OneCycleLR": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20), True),
    "OneCycleLR, lists": (lambda o: lr_scheduler.OneCycleLR(o, scaled(o, 0.1), total_steps=20), False),
    "CyclicLR": (lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, cycle_momentum=False), True),
    "CyclicLR, one list": (
        lambda o: lr_scheduler.CyclicLR(o, 0.01, scaled(o, 0.1), cycle_momentum=False),
        True,
    ),
    "CyclicLR, lists": (
        lambda o: lr_scheduler.CyclicLR(o, scaled(o, 0.01), scaled(o, 0.1), cycle_momentum=False),
        False,
    ),
    "CosineAnnealingLR, eta_min": (lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01), True),
    "CosineAnnealingLR": (lambda o: lr_scheduler.CosineAnnealingLR(o, 10), False),
    "CosineAnnealingWarmRestarts, eta_min": (
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, eta_min=0.01),
        True,
    ),
    "ReduceLROnPlateau, min_lr": (
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, min_lr=0.01),
        True,
    ),
    "ReduceLROnPlateau": (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0), False),
    "ReduceLROnPlateau, list": (
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, min_lr=scaled(o, 0.01)),
        False,
    ),
    "LambdaLR": (lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)), False),
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 2), False),
    "MultiStepLR": (lambda o: lr_scheduler.MultiStepLR(o, [2, 4]), False),
    "ExponentialLR": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), False),
    "ConstantLR": (lambda o: lr_scheduler.ConstantLR(o), False),
    "LinearLR": (lambda o: lr_scheduler.LinearLR(o, total_iters=4), False),
    "PolynomialLR": (lambda o: lr_scheduler.PolynomialLR(o, 10), False),
    "SequentialLR": (
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.LinearLR(o, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01)],
            [2],
        ),
        True,
    ),
    "ChainedScheduler": (
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.LinearLR(o, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01)]
        ),
        True,
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_that_break_the_multipliers_are_those_that_are_flagged(name) -> None:
    """What each does in seven steps says which: the learning rates keep their ratios, or not."""
    make, breaks = SCHEDULERS[name]
    model = initialised(64)
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
    scheduler = make(optimizer)
    if breaks:
        with pytest.warns(ScalingWarning, match=f"{name.split(',')[0]}|CosineAnnealingLR"):
            report = audit(model, optimizer, scheduler=scheduler)
        assert any("lr_scale" in note for note in report.notes)
    else:
        assert not audit(model, optimizer, scheduler=scheduler).notes
    ratios = ratios_after(optimizer, scheduler)
    assert (max(ratios) / min(ratios) > 1.05) is breaks


def test_schedulers_of_one_learning_rate_are_left_alone() -> None:
    model = initialised(64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert not audit(
        model, optimizer, scheduler=lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    ).notes


def test_multipliers_that_were_overwritten_are_noted() -> None:
    model = initialised(64)
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1))
    for group in optimizer.param_groups:
        group["lr"] = 0.3 * group["lr_scale"]
    assert not audit(model, optimizer).notes
    for group in optimizer.param_groups:
        group["lr"] = 0.3
    (note,) = audit(model, optimizer).notes
    assert "the learning rates no longer follow lr_scale" in note


def test_a_frozen_group_and_compiled_models() -> None:
    model = initialised(64)
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1, groups=[{"params": r"^0\.", "lr": 0.0}]))
    report = audit(torch.compile(model, backend="aot_eager"), optimizer)
    assert rows_of(report)["lr"].tolist()[:2] == [0, 0]
    assert not set(report.off) & {"2.weight", "4.weight", "2.bias", "4.bias"}
    str(report)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: audit(model, model), "optimizer is a Sequential"),
        (lambda model: audit("model", torch.optim.SGD(model.parameters())), "model is a str"),
        (lambda model: audit(model, torch.optim.Adadelta(model.parameters())), "optimizer.*adadelta"),
        (
            lambda model: audit(model, torch.optim.SGD(model.parameters(), lr=1), rules={"x": "dense"}),
            "fits no parameter",
        ),
        (lambda model: audit(model), "no optimizer"),
        (
            lambda model: audit(model, torch.optim.SGD(model.parameters(), lr=1), base=nn.Linear(2, 2)),
            "the base model has no parameter '0.weight'",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call(initialised(16))


def test_decay_and_eps_that_are_the_same_everywhere_are_noted() -> None:
    model = initialised(512)
    groups = [
        {key: value for key, value in group.items() if key != "lr_scale"}
        | {"weight_decay": 0.01, "eps": 1e-8}
        for group in param_groups(model, "adamw", lr=0.1)
    ]
    report = audit(model, torch.optim.AdamW(groups))
    assert not report.off
    decay, differs, eps = report.notes
    assert "0.bias" in decay
    assert "the decay per step differs between matrices by a factor of" in differs
    # The readout has 10 outputs, the other layers 512.
    assert "by a factor of 51" in eps


def test_constants_are_part_of_what_is_asked() -> None:
    model = initialised(64)
    optimizer = torch.optim.SGD(param_groups(model, "sgd", lr=0.1, constants={"readout": 4}))
    assert audit(model, optimizer).off
    assert not audit(model, optimizer, constants={"readout": 4}).off
    with pytest.raises(InputError, match="no optimizer is given"):
        audit(model)
    with pytest.raises(InputError, match="no parameter of the model"):
        audit(model, torch.optim.SGD(initialised(64).parameters(), lr=0.1))
