"""Published parametrizations, against networks that are trained for some steps at several widths."""

import numpy as np
import pytest
import torch
from torch import Tensor

from solvable.errors import InputError
from solvable.scaling import abc, convert_abc, exponents, init_std, lr_multiplier
from solvable.scaling.parametrizations import ROLES, TABLES

WIDTHS = (128, 256, 512, 1024)
# With few inputs, the change of the first layer does not outweigh those that grow with width.
INPUTS = 2

# The fact sheet's table of a network of depth 4: input, hidden, hidden, output.
BY_HAND = {
    ("sp", "sgd", "weight"): (0, 0, 0, 1 / 2),
    ("sp", "sgd", "update"): (-1 / 2, 1 / 2, 1 / 2, 1),
    ("sp", "sgd", "feature_change"): (-1 / 2, 1 / 2, 1 / 2, 1),
    ("sp", "adam", "update"): (0, 1, 1, 1),
    ("sp", "adam", "feature_change"): (0, 1, 1, 3 / 2),
    ("ntp", "sgd", "weight"): (0, 0, 0, 1 / 2),
    ("ntp", "sgd", "update"): (-1 / 2, -1 / 2, -1 / 2, 0),
    ("ntp", "sgd", "feature_change"): (-1 / 2, -1 / 2, -1 / 2, 0),
    ("ntp", "adam", "update"): (0, 1 / 2, 1 / 2, 1 / 2),
    ("ntp", "adam", "feature_change"): (0, 1 / 2, 1 / 2, 1),
    ("mean-field", "sgd", "weight"): (0, -1 / 2, -1 / 2, 0),
    ("mean-field", "sgd", "feature"): (0, -1 / 2, -1, -3 / 2),
    ("sp", "sgd", "feature"): (0, 0, 0, 0),
    ("ntp", "sgd", "feature"): (0, 0, 0, 0),
    ("spectral", "sgd", "feature"): (0, 0, 0, -1 / 2),
    **{
        ("spectral", optimizer, quantity): (0, 0, 0, 0)
        for optimizer in ("sgd", "adam")
        for quantity in ("weight", "update", "feature_change")
    },
}


@pytest.mark.parametrize(("parametrization", "optimizer", "quantity"), BY_HAND)
def test_the_published_table(parametrization, optimizer, quantity) -> None:
    found = exponents(parametrization, optimizer, 4, quantity)
    np.testing.assert_array_equal(found, BY_HAND[parametrization, optimizer, quantity])
    if parametrization == "spectral":
        np.testing.assert_array_equal(exponents("mup", optimizer, 4, quantity), found)


def test_adam_like_optimizers_and_other_depths_share_the_table() -> None:
    for optimizer in ("adamw", "lion", "rmsprop", "sign"):
        np.testing.assert_array_equal(exponents("sp", optimizer, 4, "update"), (0, 1, 1, 1))
    np.testing.assert_array_equal(exponents("sp", "sgd", 2, "update"), (-0.5, 1))
    assert exponents("ntp", "sgd", 9, "weight").shape == (9,)


def largest_singular_value(M: Tensor) -> float:
    """By the power method, in forty steps."""
    v = M[M.norm(dim=1).argmax()]
    for _ in range(40):
        v = M.T @ (M @ v)
        v = v / v.norm()
    return float((M @ v).norm())


def layers_of(parametrization: str, optimizer: str, n: int) -> list[tuple[int, int, float, float, float]]:
    """Fan-out, fan-in, multiplier, standard deviation and learning rate of four layers, written out."""
    layers = []
    for n_out, n_in in ((n, INPUTS), (n, n), (n, n), (5, n)):
        if parametrization == "spectral":
            multiplier, std = 1.0, min(1.0, (n_out / n_in) ** 0.5) / n_in**0.5
            lr = n_out / n_in if optimizer == "sgd" else 1 / n_in
        else:
            power = {"sp": 0.0, "ntp": 0.5, "mean-field": 1.0}[parametrization]
            multiplier = 1.0 if n_in == INPUTS else n_in**-power
            std = n_in**-0.5 if power == 0 or n_in == INPUTS else 1.0
            lr = 1.0
        layers.append((n_out, n_in, multiplier, std, lr))
    return layers


def one_step(parametrization: str, optimizer: str, n: int, seed: int) -> dict[str, list[float]]:
    """Scaled norms and RMS of one tiny step of a ReLU network; the gradient at the output is a constant."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X, direction = draw(1, INPUTS), draw(1, 5)
    layers = layers_of(parametrization, optimizer, n)
    weights = [(draw(o, i) * std).requires_grad_() for o, i, _, std, _ in layers]

    def features() -> list[Tensor]:
        found, h = [], X
        for i, (w, layer) in enumerate(zip(weights, layers, strict=True)):
            h = layer[2] * (torch.relu(h) if i else h) @ w.T
            found.append(h)
        return found

    before = features()
    (before[-1] * direction).mean().backward()
    measured: dict[str, list[float]] = {"weight": [], "update": []}
    with torch.no_grad():
        for w, (o, i, multiplier, _, lr) in zip(weights, layers, strict=True):
            assert w.grad is not None
            step = 1e-6 * lr * (w.grad if optimizer == "sgd" else w.grad.sign())
            scale = multiplier * (i / o) ** 0.5
            measured["weight"].append(scale * largest_singular_value(w.detach()))
            measured["update"].append(scale * largest_singular_value(step))
            w -= step
        after = features()
    measured["feature"] = [float(h.detach().square().mean().sqrt()) for h in before]
    measured["feature_change"] = [
        float((g - h.detach()).square().mean().sqrt()) for g, h in zip(after, before, strict=True)
    ]
    return measured


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("parametrization", ["sp", "ntp", "spectral", "mean-field"])
def test_measured_exponents_of_one_step(parametrization, optimizer) -> None:
    """Widths 128 to 1024, three seeds; within 0.2, of which 0.1 are corrections at these widths."""
    runs = [[one_step(parametrization, optimizer, n, seed) for seed in range(3)] for n in WIDTHS]
    log_width = np.log(WIDTHS) - np.log(WIDTHS).mean()
    for quantity in ("weight", "feature", "update", "feature_change"):
        if parametrization == "mean-field" and quantity == "feature_change":
            continue  # its powers of width are those of the update, but the terms have yet to separate
        values = np.log([[run[quantity] for run in same] for same in runs]).mean(axis=1)
        measured = log_width @ values / (log_width @ log_width)
        predicted = exponents(parametrization, optimizer, 4, quantity)
        np.testing.assert_allclose(measured, predicted, atol=0.2, err_msg=quantity)


def loss_curve(table: str, optimizer: str) -> list[float]:
    """Thirty steps of a network with biases of the input layer, from the same random numbers in each table."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, lr, eps = 64, 0.1 if optimizer == "sgd" else 0.02, 1e-9
    X, y = draw(16, 8), draw(16, 3)
    roles = [("input", 8, n), ("input", 1, n), ("hidden", n, n), ("output", n, 3)]
    layers = [abc(table, role, optimizer, n_in, n_out) for role, n_in, n_out in roles]
    w = [
        (draw(n_out, n_in) * layer.b).requires_grad_()
        for layer, (_, n_in, n_out) in zip(layers, roles, strict=True)
    ]
    # The multiplier of table 3 is 1, so a multiplier is theta.
    groups = [
        {"params": [one], "lr": lr * layer.c} | ({"eps": eps * layer.a} if optimizer == "adam" else {})
        for one, layer in zip(w, layers, strict=True)
    ]
    algorithm = torch.optim.SGD(groups, momentum=0.5) if optimizer == "sgd" else torch.optim.Adam(groups)
    losses = []
    for _ in range(30):
        W = [layer.a * one for one, layer in zip(w, layers, strict=True)]
        h = torch.tanh(X @ W[0].T + W[1].T[0])
        value = ((torch.tanh(h @ W[2].T) @ W[3].T - y) ** 2).mean()
        algorithm.zero_grad()
        value.backward()
        algorithm.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_three_tables_of_mup_train_the_same_function(optimizer) -> None:
    reference = loss_curve("table 3", optimizer)
    assert reference[-1] < 0.8 * reference[0]
    for table in ("table 8", "table 9"):
        np.testing.assert_allclose(loss_curve(table, optimizer), reference, rtol=1e-12)


def test_table_3_is_the_spectral_rule_but_for_constants() -> None:
    """Doubling the width changes both in the same way, whatever stays finite."""
    fans = {"input": lambda n: (8, n), "hidden": lambda n: (n, n), "output": lambda n: (n, 5)}
    for role in ROLES:
        for optimizer in ("sgd", "adam"):
            (small, large) = (abc("table 3", role, optimizer, *fans[role](n)) for n in (64, 128))
            rule = [lr_multiplier(*fans[role](n), optimizer) for n in (64, 128)]
            std = [init_std(*fans[role](n)) for n in (64, 128)]
            assert (small.a, large.a) == (1, 1)
            assert large.b / small.b == pytest.approx(std[1] / std[0])
            assert large.c / small.c == pytest.approx(rule[1] / rule[0])


def test_published_entries_of_the_tables() -> None:
    assert abc("table 8", "output", "sgd", 512, 10) == pytest.approx((1 / 512, 1, 512))
    assert abc("table 3", "output", "sgd", 512, 10) == pytest.approx((1, 1 / 512, 1 / 512))
    assert abc("table 9", "input", "sgd", 64, 512) == pytest.approx((512**0.5, (64 * 512) ** -0.5, 1))
    assert abc("table 9", "output", "adam", 512, 10) == pytest.approx((512**-0.5, 512**-0.5, 512**-0.5))
    for table in TABLES:
        assert abc(table, "hidden", "adam", 512, 512) == pytest.approx((1, 512**-0.5, 1 / 512))


def test_conversions_compose() -> None:
    for optimizer in ("sgd", "adam"):
        there = convert_abc(1.0, 0.3, 2.0, optimizer, 4.0)
        assert convert_abc(*there, optimizer, 0.25) == pytest.approx((1.0, 0.3, 2.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exponents("he", "sgd", 3, "weight"), "parametrization.*he"),
        (lambda: exponents("sp", "sdg", 3, "weight"), "optimizer.*sdg.*sgd"),
        (lambda: exponents("sp", "muon", 3, "weight"), "optimizer is 'muon', whose updates have norm 1"),
        (lambda: exponents("sp", "sgd", 1, "weight"), "depth must be a whole number of at least 2; got 1"),
        (lambda: exponents("sp", "sgd", 3, "speed"), "quantity.*speed"),
        (lambda: abc("table 4", "input", "sgd", 3, 3), "table.*table 4"),
        (lambda: abc("table 3", "middle", "sgd", 3, 3), "role.*middle"),
        (lambda: abc("table 3", "input", "muon", 3, 3), "optimizer is 'muon'"),
        (lambda: abc("table 3", "input", "sgd", 0, 3), "fan_in must be a whole number of at least 1"),
        (lambda: convert_abc(1, 1, 1, "sgd", 0), "theta must be above 0; got 0"),
    ],
)
def test_bad_input_is_one_sentence(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()
