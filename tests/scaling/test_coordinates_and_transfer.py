"""The coordinate check and the transfer sweep, on models whose exponents and optima are known."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.scaling import coordinate_check, init_, param_groups, transfer
from solvable.scaling.coordinates import judge, slope
from solvable.scaling.sweep import from_losses


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 4, generator=generator), torch.randint(3, (16,), generator=generator)


class Power(nn.Module):
    """A readout that moves as a known power of width, behind a layer that moves by the same amount at all widths."""

    def __init__(self, width: int, power: float) -> None:
        super().__init__()
        self.shift, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        nn.init.zeros_(self.head.weight)
        self.factor = width**power

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.shift(x))


class Sign(torch.optim.Optimizer):
    """Moves the bias of the shift by 0.01, and that of the head by 0.01 times its model's factor."""

    def __init__(self, model: Power) -> None:
        super().__init__(list(model.parameters()), {"lr": 0.01, "eps": 1e-8})
        self.model = model

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.model.shift.bias += 0.01
        self.model.head.bias += 0.01 * self.model.factor


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5])
def test_the_exponent_of_a_model_whose_change_is_a_power_of_width(power) -> None:
    check = coordinate_check(
        lambda width: Power(width, power), [64, 256, 128], Sign, [batch()], steps=3, seeds=2, quiet=True
    )
    table = check.table.set_index("layer")
    assert table["exponent"].tolist() == pytest.approx([0, power], abs=1e-3)
    assert table["standard_error"].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert table["is_readout"].tolist() == [False, True]
    assert check.data.width.values.tolist() == [64, 128, 256]
    np.testing.assert_allclose(check.data.change.sel(layer="shift"), 0.03, rtol=1e-4)
    np.testing.assert_allclose(check.data.change.sel(layer="head", width=256), 0.03 * 256**power, rtol=1e-3)
    assert table.loc["head", "verdict"] == {-1.0: "fails", 0.0: "passes", 0.5: "unclear"}[power]
    assert check.passed is (power == 0)
    text = " ".join(str(check).split())
    words = {-1.0: "1 layer changes with width (of 2), head", 0.0: "learning rates transfer", 0.5: "unclear"}
    assert words[power] in text
    expected = coordinate_check(
        lambda width: Power(width, power),
        [64, 256],
        Sign,
        [batch()],
        seeds=1,
        predicted={"head": power},
        quiet=True,
    )
    assert expected.passed


def test_verdicts() -> None:
    for deviation, words in ((0.19, "passes"), (-0.21, "unclear"), (0.36, "fails"), (math.nan, "no change")):
        assert judge(deviation, False) == words
    for deviation, words in ((-0.34, "passes"), (0.4, "unclear"), (-0.51, "fails"), (math.nan, "no change")):
        assert judge(deviation, True) == words


def test_slopes_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    widths, values = np.array([64, 128, 256, 1024]), np.exp(rng.normal(size=(4, 5)))
    fits = [np.polyfit(np.log(widths), np.log(one), 1)[0] for one in values.T]
    exponent, error = slope(widths, values)
    assert exponent == pytest.approx(np.mean(fits))
    assert error == pytest.approx(np.std(fits, ddof=1) / 5**0.5)
    fit, covariance = np.polyfit(np.log(widths), np.log(values[:, 0]), 1, cov=True)
    exponent, error = slope(widths, values[:, :1])
    assert (exponent, error) == pytest.approx((fit[0], covariance[0, 0] ** 0.5))
    assert math.isnan(slope(widths[:2], values[:2, :1])[1])


def network(initialise: bool, depth: int = 3) -> Callable[[int], nn.Module]:
    def make(width: int) -> nn.Module:
        sizes = [8, *[width] * (depth - 1), 4]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out, bias=False), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        if initialise:
            init_(model, 2**0.5)
        return model

    return make


def data() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(64, 8, generator=generator), torch.randint(4, (64,), generator=generator))
        for _ in range(2)
    ]


def test_the_spectral_rule_passes_and_torch_s_default_fails() -> None:
    widths = [64, 256, 512]
    ours = coordinate_check(
        network(True),
        widths,
        lambda model: torch.optim.Adam(param_groups(model, "adam", lr=0.05)),
        data(),
        quiet=True,
    )
    assert ours.passed
    assert (ours.table["exponent"].abs() < 0.35).all()
    default = coordinate_check(
        network(False),
        widths,
        lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
        data(),
        quiet=True,
    )
    assert default.table["verdict"].tolist()[1:] == ["fails", "fails"]
    assert default.table["exponent"].iloc[1] > 0.35


def test_checks_are_reproducible_and_leave_the_random_numbers_alone() -> None:
    def run() -> Any:
        return coordinate_check(
            lambda width: nn.Sequential(nn.Linear(8, width), nn.Dropout(0.5), nn.Linear(width, 4)),
            [8, 16],
            lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            data(),
            seeds=2,
            quiet=True,
        )

    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first = run()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(4)
    second = run()
    assert first.data.identical(second.data)
    assert not np.allclose(first.data.change.sel(seed=0), first.data.change.sel(seed=1))


def test_a_layer_that_does_not_change_is_said_to() -> None:
    def make(width: int) -> nn.Module:
        model = nn.Sequential(nn.Linear(8, width), nn.Linear(width, 4))
        model[0].requires_grad_(False)
        return model

    check = coordinate_check(
        make,
        [64, 128],
        lambda model: torch.optim.SGD(model[1].parameters(), lr=0.1),  # pyright: ignore
        data(),
        seeds=1,
        quiet=True,
    )
    assert check.table["verdict"].tolist()[0] == "no change"
    assert "widths below 64" not in str(check)


def test_several_optimizers_losses_and_batches() -> None:
    check = coordinate_check(
        network(True),
        [16, 32],
        lambda model: [torch.optim.SGD([one], lr=0.1) for one in model.parameters()],
        data(),
        loss=lambda output, y: output.square().mean(),
        seeds=1,
        quiet=True,
    )
    assert (check.data.change > 0).all()
    assert "widths below 64" in str(check)
    figure = check.plot()
    assert len(figure.axes) == 1
    # The loss is as asked: a constant one gives no gradient.
    still = coordinate_check(
        network(True),
        [16, 32],
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
        data(),
        loss=lambda output, y: 0 * output.sum(),
        seeds=1,
        quiet=True,
    )
    assert not still.data.change.any()
    assert set(still.table["verdict"]) == {"no change"}
    str(still)
    still.plot()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": [64]}, r"widths are \[64\]; expected two or more"),
        ({"widths": [64, 64]}, "expected two or more different ones"),
        ({"widths": [0, 64]}, "widths must be at least 1; got 0"),
        ({"widths": [64.5, 128]}, "widths must be whole numbers; got 64.5"),
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1; got 0"),
        ({"batches": []}, "batches must be a list of pairs"),
        ({"batches": [1]}, "batches must be a list of pairs"),
        ({"batches": [(1, 2, 3)]}, "batches must be a list of pairs"),
        (
            {"make_optimizer": lambda model: torch.optim.Adam(model.parameters(), eps=0)},
            "eps of Adam is 0, which gives NaN.*1e-16",
        ),
        (
            {"make_optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=1e30), "steps": 5},
            "diverged within 5 steps",
        ),
        (
            {"make_model": lambda width: nn.Sequential(*[nn.Linear(8, 8) for _ in range(width // 8)])},
            r"the model has layers .* at width 16 and others at width 32",
        ),
        ({"loss": "huber"}, "loss.*huber"),
    ],
)
def test_checks_that_cannot_be_made(options, words) -> None:
    arguments: dict[str, Any] = {
        "make_model": network(True),
        "widths": [16, 32],
        "make_optimizer": sgd,
        "batches": data(),
        "quiet": True,
        "seeds": 1,
    } | options
    with pytest.raises(InputError, match=words):
        coordinate_check(**arguments)


LRS = [2.0**k for k in range(-6, 3)]


def made_up(
    exponent: float, lr_at_8: float = 0.25, curve: float = 0.1
) -> Callable[[nn.Module, float], float]:
    """A loss whose logarithm is a parabola of log2 lr, with the best at lr_at_8 (width / 8)^exponent."""

    def train(model: Any, lr: float) -> float:
        best = math.log2(lr_at_8) + exponent * math.log2(model.in_features / 8)
        return math.exp(curve * (math.log2(lr) - best) ** 2)

    return train


def linear(width: int) -> nn.Module:
    return nn.Linear(width, 1)


@pytest.mark.parametrize("exponent", [0.0, -0.3, -1.0])
def test_the_drift_of_a_known_optimum(exponent) -> None:
    """The parabola through three points is exact, so the optimum may lie between those of the grid."""
    done = transfer(linear, [8, 16, 32], LRS, made_up(exponent, 0.3), seeds=2, quiet=True)
    assert done.drift == pytest.approx(exponent, abs=1e-9)
    assert done.drift_error == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(done.data.best_log2_lr, math.log2(0.3) + exponent * np.arange(3), atol=1e-9)
    # The loss there is the least on the grid.
    least = done.data.loss.isel(seed=0).min("lr")
    np.testing.assert_allclose(done.data.best_loss, least, rtol=1e-12)
    assert not done.data.at_edge.any()
    assert done.data.loss.shape == (3, 9, 2)
    # The learning rate of the grid nearest to the narrowest model's best, 0.3: 0.25.
    expected = [math.exp(0.1 * (math.log2(0.25 / 0.3) - exponent * k) ** 2) for k in range(3)]
    np.testing.assert_allclose(done.data.transferred_loss, expected, rtol=1e-9)
    words = {0.0: "transfers: it drifts", -0.3: "unclear", -1.0: "does not transfer"}[exponent]
    assert words in " ".join(str(done).split())


def test_an_optimum_at_the_edge_is_flagged() -> None:
    done = transfer(linear, [8, 16, 32], LRS, made_up(-2.5), seeds=1, quiet=True)
    assert done.data.at_edge.values.tolist() == [False, False, True]
    assert done.data.best_log2_lr[2] == -6
    text = " ".join(str(done).split())
    assert "An optimum lies at the edge of the grid" in text
    assert "(edge of the grid)" in text
    assert math.isnan(done.drift_error)


def test_divergence_counts_as_the_worst_loss() -> None:
    """A cliff above the best: the optimum stays below it, and the transferred learning rate diverges."""

    def train(model: Any, lr: float) -> float:
        limit = 2.0 ** (1 - math.log2(model.in_features / 8))
        if lr > limit:
            return math.nan if lr > 2 * limit else math.inf
        return 1 / (1 + lr / limit) + 0.2 * (lr == limit)

    done = transfer(linear, [8, 16, 32], LRS, train, seeds=1, quiet=True)
    assert np.isinf(done.data.loss.sel(width=32, lr=[1.0, 2.0, 4.0])).all()
    assert done.drift == pytest.approx(-1, abs=0.15)
    assert not done.data.at_edge.any()
    assert np.isinf(done.data.transferred_loss.sel(width=32))
    assert "diverges" in str(done)
    done.plot()


def test_medians_over_seeds_ignore_one_bad_run() -> None:
    losses = np.array([[[made_up(0.0)(linear(width), lr)] * 3 for lr in LRS] for width in (8, 16)])
    losses[1, 4, 0] = np.inf
    done = from_losses(np.array([8, 16]), np.array(LRS), losses)
    assert done.drift == pytest.approx(0, abs=1e-9)
    assert done.drift_error > 0


def train_linear_model(model: nn.Module, lr: float) -> float:
    """Gradient descent on a linear model with a target of its own, whose curvature is the width."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    weight: Tensor = next(model.parameters())
    x = torch.ones(weight.shape[1])
    for _ in range(4):
        optimizer.zero_grad()
        loss = (model(x) - 1).square().sum() + 1e-3
        loss.backward()
        optimizer.step()
    return loss.item() if math.isfinite(loss.item()) else math.inf


def test_the_best_learning_rate_of_a_linear_model_is_one_over_its_curvature() -> None:
    """Squared loss (w·1 - 1)², curvature 2 width: one step of 1/(2 width) solves it."""

    def make(width: int) -> nn.Module:
        return nn.Linear(width, 1, bias=False)

    lrs = [2.0**k for k in range(-10, -1)]
    done = transfer(make, [8, 16, 32, 64], lrs, train_linear_model, seeds=2, quiet=True)
    best = done.data.lr.values[done.data.loss.median("seed").argmin("lr").values]
    assert best.tolist() == [1 / 16, 1 / 32, 1 / 64, 1 / 128]
    assert done.drift == pytest.approx(-1, abs=0.05)


def test_sweeps_are_reproducible_and_leave_the_random_numbers_alone() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    runs = [
        transfer(linear, [8, 16], LRS[:4], lambda model, lr: abs(model.bias.item()) + lr, 2, quiet=True)  # pyright: ignore
        for _ in range(2)
    ]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert runs[0].data.identical(runs[1].data)
    # The same seed gives the same model at each learning rate.
    differences = runs[0].data.loss.diff("lr") - runs[0].data.lr.diff("lr")
    np.testing.assert_allclose(differences, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": [8]}, r"widths are \[8\]; expected two or more"),
        ({"lrs": [0.1, 0.2]}, "expected three or more different ones"),
        ({"lrs": [0.1, 0.2, 0.0]}, "lrs must be above 0; got 0"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1; got 0"),
        ({"train": lambda model, lr: math.nan}, "every run at width 8 diverged"),
        ({"train": lambda model, lr: lr if model.in_features < 16 else math.inf}, "every run at width 16"),
    ],
)
def test_sweeps_that_cannot_be_made(options, words) -> None:
    arguments: dict[str, Any] = {
        "make_model": linear,
        "widths": [8, 16],
        "lrs": LRS,
        "train": made_up(0.0),
        "seeds": 1,
        "quiet": True,
    } | options
    with pytest.raises(InputError, match=words):
        transfer(**arguments)


def make_wide(width: int) -> nn.Module:
    return nn.Linear(4, width)


def loss_of(model: nn.Module, lr: float) -> float:
    weight: Tensor = next(model.parameters())
    return float(weight.detach().abs().sum()) * (1 + (math.log2(lr) + 2) ** 2)


@pytest.mark.slow
def test_processes_give_the_same_numbers() -> None:
    runs = [transfer(make_wide, [8, 16], LRS, loss_of, 2, n_jobs=n_jobs, quiet=True) for n_jobs in (1, 2)]
    assert runs[0].data.identical(runs[1].data)
