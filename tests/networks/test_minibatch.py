"""Mini-batch training against loops written out with torch's optimizers, and what it does when it diverges."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.networks.minibatch import batch_order, loss_function, train_batches


def problem(n: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, 4, generator=generator)
    return X, torch.randn(n, 2, generator=generator), torch.randint(3, (n,), generator=generator)


def model(outputs: int = 2) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, outputs))


def test_full_batches_are_gradient_descent() -> None:
    X, y, _ = problem()
    ours, theirs = model(), model()
    run = train_batches(ours, torch.optim.SGD(ours.parameters(), lr=0.1), X, y, steps=12)
    optimizer, losses = torch.optim.SGD(theirs.parameters(), lr=0.1), []
    for _ in range(12):
        optimizer.zero_grad()
        loss = ((theirs(X) - y) ** 2).sum(1).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(run.losses, losses, rtol=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not run.diverged
    assert run.final_loss() == run.losses[-1]
    assert run.final_loss(0.5) == pytest.approx(np.mean(losses[-6:]), rel=1e-5)
    assert run.test_steps.size == run.test_losses.size == 0


def test_each_sample_comes_once_per_epoch_in_an_order_of_the_seed() -> None:
    order = batch_order(10, 3, 0)
    epochs = [[next(order) for _ in range(3)] for _ in range(4)]
    for batches in epochs:
        indices = torch.cat(batches)
        assert len(indices) == 9  # the last incomplete batch is left out
        assert len(set(indices.tolist())) == 9
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    again = batch_order(10, 3, 0)
    assert torch.equal(next(again), epochs[0][0])
    assert not torch.equal(next(batch_order(10, 3, 1)), epochs[0][0])
    assert next(batch_order(4, 4, 0)).tolist() == [0, 1, 2, 3]


def test_batches_are_those_of_the_order() -> None:
    X, y, _ = problem()
    net, reference = model(), model()
    run = train_batches(
        net, torch.optim.SGD(net.parameters(), lr=0.1), X, y, steps=9, batch_size=6, random_state=7
    )
    optimizer, order = torch.optim.SGD(reference.parameters(), lr=0.1), batch_order(20, 6, 7)
    for loss_seen in run.losses:
        batch = next(order)
        optimizer.zero_grad()
        loss = ((reference(X[batch]) - y[batch]) ** 2).sum(1).mean()
        assert loss_seen == pytest.approx(loss.item(), rel=1e-5)
        loss.backward()
        optimizer.step()


def test_runs_are_reproducible_and_leave_the_random_numbers_alone() -> None:
    X, y, _ = problem()

    def run(seed: int) -> np.ndarray:
        net = model()
        return train_batches(
            net, torch.optim.SGD(net.parameters(), 0.1), X, y, steps=8, batch_size=5, random_state=seed
        ).losses

    first = run(3)
    state = torch.random.get_rng_state()
    net = model()
    before = torch.random.get_rng_state()
    train_batches(net, torch.optim.SGD(net.parameters(), 0.1), X, y, steps=8, batch_size=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert state.shape == before.shape
    np.testing.assert_array_equal(first, run(3))
    assert not np.array_equal(first, run(4))


def test_several_optimizers_and_what_runs_after_each_step() -> None:
    X, y, _ = problem()
    net, reference, steps = model(), model(), []
    halves = [torch.optim.SGD(net[i].parameters(), lr=0.1) for i in (0, 2)]
    together = train_batches(net, halves, X, y, steps=5, after_step=steps.append)
    alone = train_batches(reference, torch.optim.SGD(reference.parameters(), lr=0.1), X, y, steps=5)
    np.testing.assert_allclose(together.losses, alone.losses, rtol=1e-6)
    assert steps == [1, 2, 3, 4, 5]


def test_training_stops_when_it_is_told_to() -> None:
    X, y, _ = problem()
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    run = train_batches(
        net, optimizer, X, y, steps=9, after_step=lambda step: step == 3, X_test=X, y_test=y, test_at=[3, 4]
    )
    assert len(run.losses) == 3
    assert run.test_steps.tolist() == [3]


def test_the_trajectory_is_that_of_a_loop_written_out() -> None:
    X, y, _ = problem()
    ours, theirs = model(), model()
    for net in (ours, theirs):
        net[0].bias.requires_grad_(False)
    run = train_batches(
        ours, torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.5), X, y, steps=6, keep_parameters=True
    )
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.5)
    assert run.parameters is not None
    assert run.parameters.shape == (7, 24 + 14)
    assert run.parameters.dtype == np.float64
    for row in run.parameters:
        flat = torch.cat([p.detach().flatten() for p in theirs.parameters() if p.requires_grad])
        np.testing.assert_allclose(row, flat, rtol=1e-5, atol=1e-7)
        optimizer.zero_grad()
        ((theirs(X) - y) ** 2).sum(1).mean().backward()
        optimizer.step()


def test_the_trajectory_ends_where_training_ends() -> None:
    X, y, _ = problem()

    def run(**options: Any) -> tuple[Any, np.ndarray]:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=options.pop("lr", 0.1))
        done = train_batches(net, optimizer, X, y, steps=9, keep_parameters=True, **options)
        last = torch.cat([p.detach().flatten() for p in net.parameters()])
        assert done.parameters is not None
        np.testing.assert_array_equal(done.parameters[-1], last)
        return done, done.parameters

    told, path = run(after_step=lambda step: step == 3)
    assert len(path) == 4
    _, low = run(stop_at=told.losses[2])
    np.testing.assert_array_equal(low, path[:3])
    lost, path = run(lr=100.0)
    assert lost.diverged
    assert len(path) == len(lost.losses) + 1
    net = model()
    assert train_batches(net, torch.optim.SGD(net.parameters(), lr=0.1), X, y, steps=2).parameters is None


def test_refuses_trajectories_that_do_not_fit_into_memory() -> None:
    X, y, _ = problem()
    net = model()
    with pytest.raises(InputError, match="parameters of 1000000000000 steps needs about"):
        train_batches(
            net, torch.optim.SGD(net.parameters(), lr=0.1), X, y, steps=10**12, keep_parameters=True
        )


def test_classes_use_cross_entropy() -> None:
    X, _, labels = problem()
    for targets in (labels, labels.numpy(), labels.tolist()):
        net = model(3)
        with torch.no_grad():
            expected = nn.functional.cross_entropy(net(X), labels).item()
        run = train_batches(net, torch.optim.SGD(net.parameters(), lr=0.1), X, targets, steps=3)
        assert run.losses[0] == pytest.approx(expected, rel=1e-5)
    # Sequences: the classes are the last dimension.
    output, target = torch.randn(2, 5, 3), torch.randint(3, (2, 5))
    flat = nn.functional.cross_entropy(output.reshape(10, 3), target.reshape(10))
    torch.testing.assert_close(loss_function(None, target)(output, target), flat)


def test_losses_by_name_and_of_one_s_own() -> None:
    X, y, _ = problem()
    output = torch.zeros_like(y)
    assert loss_function("squared", y)(output, y).item() == pytest.approx((y**2).sum(1).mean().item())
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    run = train_batches(net, optimizer, X, y, steps=1, loss=lambda output, target: (output - 3).abs().sum())
    with torch.no_grad():
        assert run.losses[0] == pytest.approx((model()(X) - 3).abs().sum().item(), rel=1e-5)


def test_test_losses_are_measured_where_asked_in_evaluation_mode() -> None:
    X, y, _ = problem()
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 2))
    run = train_batches(
        net,
        torch.optim.SGD(net.parameters(), lr=0.05),
        X[:12],
        y[:12],
        steps=6,
        X_test=X[12:],
        y_test=y[12:],
        test_at=[6, 0, 3],
    )
    assert run.test_steps.tolist() == [0, 3, 6]
    assert net.training
    net.eval()
    with torch.no_grad():
        final = ((net(X[12:]) - y[12:]) ** 2).sum(1).mean().item()
    assert run.test_losses[-1] == pytest.approx(final, rel=1e-5)


def test_numbers_of_other_types_are_converted_to_the_module_s() -> None:
    X, y, _ = problem()
    net = model().double()
    run = train_batches(net, torch.optim.SGD(net.parameters(), lr=0.1), X.numpy(), y.tolist(), steps=2)
    assert np.isfinite(run.losses).all()
    table = nn.Sequential(nn.Embedding(5, 3))
    symbols = torch.tensor([0, 1, 4])
    run = train_batches(
        table, torch.optim.SGD(table.parameters(), lr=0.1), symbols, torch.tensor([0, 1, 2]), steps=2
    )
    assert np.isfinite(run.losses).all()


@pytest.mark.parametrize("lr", [1e3, 1e30])
def test_divergence_stops_training(lr) -> None:
    X, y, _ = problem()
    net, steps = nn.Linear(4, 2), []
    run = train_batches(
        net, torch.optim.SGD(net.parameters(), lr=lr), X, y, steps=50, after_step=steps.append
    )
    assert run.diverged
    assert len(steps) < 20
    assert np.isinf(run.losses[len(steps) :]).all()
    assert np.isfinite(run.losses[: len(steps)]).all()
    assert run.final_loss() == np.inf


def test_a_first_loss_that_is_not_finite_is_a_divergence() -> None:
    X, y, _ = problem()
    net = model()
    with torch.no_grad():
        net[0].weight.fill_(float("nan"))
    run = train_batches(net, torch.optim.SGD(net.parameters(), lr=0.1), X, y, steps=3)
    assert run.diverged
    assert np.isinf(run.losses).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        ({"batch_size": 21}, "batch_size is 21; expected at most the number of samples, 20"),
        ({"random_state": -1}, "random_state must be a whole number of at least 0"),
        ({"loss": "hinge"}, "loss.*hinge"),
        ({"X": [[1.0] * 4] * 3}, r"X has shape \(3, 4\) and y \(20, 2\); expected the same number"),
        ({"X": "images"}, "X or y holds no numbers"),
        ({"X": [], "y": []}, "at least 1"),
        ({"y": torch.zeros(20, 3)}, r"returns shape \(20, 2\) for targets of shape \(20, 3\)"),
        (
            {"y": torch.zeros(20, 5, dtype=torch.int64)},
            r"returns shape \(20, 2\) for classes of shape \(20, 5\)",
        ),
        ({"X_test": torch.zeros(2, 4)}, "one of X_test and y_test was given"),
        ({"test_at": [3]}, "test_at was given without X_test and y_test"),
        ({"module": nn.ReLU()}, "module has no parameters"),
    ],
)
def test_bad_input_is_one_sentence(options, words) -> None:
    X, y, _ = problem()
    net = model()
    arguments = {
        "module": net,
        "optimizers": torch.optim.SGD(net.parameters(), lr=0.1),
        "X": X,
        "y": y,
        "steps": 2,
    } | options
    with pytest.raises(InputError, match=words):
        train_batches(**arguments)
