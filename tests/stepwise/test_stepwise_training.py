"""Numbers of steps, limits and ends of training, against full weights that are updated as torch.optim.SGD does."""

import numpy as np
import pytest
import torch
from flows import descending, descent, first_passages, flow, rotation

from cases import representative
from solvable.stepwise.theory import (
    cross_correlation,
    effective_init,
    max_learning_rate,
    plateau_loss,
    simulate,
    step_times,
    terminal_weights,
    trajectory,
)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 0.8])
def test_numbers_of_steps_of_gradient_descent(share) -> None:
    gamma, s0 = np.array([1.0, 0.5, 0.2]), np.array([1e-4, 3e-4, 1e-3])
    eta = share * max_learning_rate(gamma)
    U = rotation(3, 0)
    records = descending(descent(np.diag(gamma), U * s0, eta, int(60 / share)))
    measured = first_passages(records, 0.5 * np.ones(3))
    predicted = step_times(gamma, s0=s0, learning_rate=eta)
    assert predicted == pytest.approx(measured, abs=1.0)
    # To a step is coarse where steps are large; the time at which the logit is 0 is known better.
    assert predicted == pytest.approx(measured, rel=0.02)
    W0 = U * s0
    for method in ("rows", "simulation"):
        assert step_times(gamma, W0, eta, method=method) == pytest.approx(measured, abs=1.0)


SGD = [(0.02, 0.9, 0.0), (0.002, 0.9, 0.3), (0.05, 0.0, 0.4), (0.01, 0.5, 0.4), (0.001, 0.99, 0.0)]


@pytest.mark.parametrize(("eta", "momentum", "decay"), representative(SGD, fast=SGD[1:4]))
def test_momentum_and_weight_decay_within_one_step_of_the_update_of_sgd(eta, momentum, decay) -> None:
    gamma = np.array([1.0, 0.6, 0.25, 0.04])
    ceilings = 1 - decay / (4 * gamma[:3])
    W0 = np.diag([1e-4, 2e-4, 1e-3, 0.0])[:3]
    steps = int(22 * (1 - momentum) / eta) + 200
    records = descent(np.diag(gamma), W0, eta, steps, momentum, decay)
    aligned = first_passages(np.diagonal(records, axis1=1, axis2=2), ceilings / 2)
    options = {"learning_rate": eta, "momentum": momentum, "weight_decay": decay}
    s0 = np.diag(W0)
    assert step_times(gamma[:3], s0=s0, **options) == pytest.approx(aligned, abs=1.0)

    W0 = rotation(3, 1) @ (W0 + 1e-5 * np.random.default_rng(0).normal(size=W0.shape))
    records = descent(np.diag(gamma), W0, eta, steps, momentum, decay)
    generic = first_passages(descending(records), ceilings / 2)
    assert step_times(gamma, W0, **options) == pytest.approx(generic, abs=1.0)


def test_negative_directions_decay_in_swings_at_large_rates() -> None:
    gamma, eta = np.array([0.1, -1.0]), 0.4
    records = descent(np.diag(gamma), np.diag([1e-4, 1e-3]), eta, 8)
    values = trajectory(gamma, [1e-4, 1e-3], np.arange(9), learning_rate=eta)
    assert values[:, 1] == pytest.approx(records[:, 1, 1], rel=1e-5)
    assert values[:, 0] == pytest.approx(records[:, 0, 0], rel=1e-5)
    at_once = trajectory([0.1, -1.0], 1e-3, [0.0, 1.0], learning_rate=0.25)[:, 1]
    assert at_once == pytest.approx([-1e-6, 0.0], rel=1e-12)


def test_folklore_of_momentum_is_far_off_where_we_are_not() -> None:
    # Steps of flow times (1 - b) / eta: off by a third at b = 0.9 and eta = 0.02.
    gamma, eta, b = [1.0], 0.02, 0.9
    folklore = step_times(gamma, s0=1e-4)[0] * (1 - b) / eta
    measured = first_passages(descent(np.eye(1), 1e-4 * np.eye(1), eta, 200, b)[:, 0], np.array([0.5]))[0]
    assert measured > 1.3 * folklore
    assert step_times(gamma, s0=1e-4, learning_rate=eta, momentum=b)[0] == pytest.approx(measured, abs=1)


def test_torch_sgd_on_data() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(40, 4))
    scales = np.array([1.0, 0.7, 0.4, 0.2])
    A, B = (torch.tensor(scales * (shared + 0.3 * rng.normal(size=(40, 4)))) for _ in range(2))
    gamma = cross_correlation(A, B, center=False)
    W0 = 1e-3 * np.random.default_rng(3).normal(size=(2, 4))
    W = torch.tensor(W0, requires_grad=True)
    eta, momentum, decay = 0.004, 0.8, 0.1
    optimizer = torch.optim.SGD([W], lr=eta, momentum=momentum, weight_decay=decay)
    records = []
    for _ in range(400):
        f, f2 = A @ W.T, B @ W.T
        C = (f.T @ f2 + f2.T @ f) / (2 * len(A))
        records.append(torch.linalg.eigvalsh(C.detach()).flip(0).numpy())
        optimizer.zero_grad()
        (C - torch.eye(2, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
    ceilings = 1 - decay / (4 * np.sort(np.linalg.eigvalsh(gamma))[::-1][:2])
    measured = first_passages(np.array(records), ceilings / 2)
    assert measured.max() < 390
    predicted = step_times(gamma, W0, eta, momentum=momentum, weight_decay=decay)
    assert predicted == pytest.approx(measured, abs=1.0)
    run = simulate(gamma, W0, eta, until=399, momentum=momentum, weight_decay=decay)
    assert run.eigenvalues[-1] == pytest.approx(records[-1], rel=1e-9)


def test_many_steps_are_computed_without_making_them() -> None:
    # 1e9 steps of 1e-9 are flow, and 1e5 steps are still exact.
    assert 1e-9 * step_times([1.0], s0=1e-4, learning_rate=1e-9)[0] == pytest.approx(
        step_times([1.0], s0=1e-4)[0], rel=1e-8
    )
    eta, level, steps = 2e-5, 1e-8, 0
    while level < 0.5:
        level *= (1 + 4 * eta * (1 - level)) ** 2
        steps += 1
    assert step_times([1.0], s0=1e-4, learning_rate=eta)[0] == pytest.approx(steps, rel=1e-4)


@pytest.mark.parametrize(("w", "ends"), [(0.4, [0.9, 0.8, 0.7]), (1.6, [0.6, 0.2, 0.0])])
def test_ceilings_of_weight_decay(w, ends) -> None:
    gamma = np.array([1.0, 1 / 2, 1 / 3])
    end = descending(descent(np.diag(gamma), 0.1 * rotation(3, 0), 0.05, 3000, weight_decay=w)[-1])
    assert end == pytest.approx(ends, abs=1e-6)
    assert trajectory(gamma, 1e-3, 200.0, weight_decay=w)[0] == pytest.approx(ends, abs=1e-6)
    assert trajectory(gamma, 1e-3, 5000, learning_rate=0.05, weight_decay=w)[0] == pytest.approx(
        ends, abs=1e-6
    )
    run = simulate(gamma, 1e-3 * rotation(3, 0), weight_decay=w)
    assert run.eigenvalues[-1] == pytest.approx(ends, abs=0.02)
    learned = np.isfinite(step_times(gamma, s0=1e-3, weight_decay=w))
    assert learned.tolist() == np.isfinite(run.step_times).tolist() == (np.array(ends) > 0).tolist()


LIMITS = [(0.0, 0.0), (0.9, 0.0), (0.0, 0.5), (0.6, 0.5)]


@pytest.mark.parametrize(("momentum", "decay"), LIMITS)
@pytest.mark.parametrize("gamma", [[2.0, 1.0, 0.3], [0.3, 0.1, -2.0], [0.01, -0.02, -0.05]])
def test_training_is_stable_just_below_the_largest_learning_rate_and_not_just_above(
    gamma, momentum, decay
) -> None:
    gamma = np.array(gamma)
    limit = max_learning_rate(gamma, momentum=momentum, weight_decay=decay)
    assert limit == max_learning_rate(np.diag(gamma), momentum=momentum, weight_decay=decay)
    # The fixed point in small weights, and a little beside it.
    levels = np.maximum(1 - decay / (4 * np.where(gamma > 0, gamma, 1)), 0) * (gamma > 0)
    fixed = np.diag(np.sqrt(levels / np.where(gamma > 0, gamma, 1)))
    start = fixed + 1e-7 * rotation(3, 0)

    def distance(share: float) -> float:
        records = descending(descent(np.diag(gamma), start, share * limit, 1500, momentum, decay))
        return float(np.abs(records[-300:] - np.sort(levels)[::-1]).max())

    with np.errstate(over="ignore", invalid="ignore"):
        assert distance(0.98) < 1e-6
        try:
            far = distance(1.02)
        except np.linalg.LinAlgError:  # infinite weights
            far = np.inf
        assert not far < 1e-3


def test_largest_learning_rate_of_simple_cases() -> None:
    assert max_learning_rate([2.0, 1.0]) == pytest.approx(1 / 8)
    assert max_learning_rate([-2.0, 0.1]) == pytest.approx(1 / 4)
    assert max_learning_rate(3.0, momentum=0.5) == pytest.approx(1.5 / 12)
    assert max_learning_rate([0.0]) == np.inf


def test_training_from_small_weights_ends_in_the_terminal_weights() -> None:
    V = rotation(5, 4)
    values = np.array([1.0, 0.8, 0.5, 0.02, -0.1])
    gamma = (V * values) @ V.T
    end = terminal_weights(gamma, dim=3)
    assert end @ gamma @ end.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.square(end).sum() == pytest.approx((1 / values[:3]).sum(), rel=1e-12)
    trained = flow(gamma, 1e-6 * np.random.default_rng(0).normal(size=(3, 5)), 30.0).y[:, -1].reshape(3, 5)
    assert trained.T @ trained == pytest.approx(end.T @ end, abs=1e-4)


def test_effective_init_names_the_direction_of_the_embedding_that_learns_a_mode() -> None:
    gamma, W0 = np.array([1.0, 0.4, 0.1]), 1e-5 * np.random.default_rng(1).normal(size=(3, 3))
    start = effective_init(gamma, W0)
    first, second = step_times(gamma, s0=start.s0)[:2]
    W = flow(np.diag(gamma), W0, (first + second) / 2).y[:, -1].reshape(3, 3)
    direction = np.linalg.eigh(W @ np.diag(gamma) @ W.T)[1][:, -1]
    assert abs(direction @ start.directions[:, 0]) == pytest.approx(1, abs=1e-6)
    assert step_times(gamma, W0, method="qr") == pytest.approx(step_times(gamma, s0=start.s0), rel=1e-9)


def test_fewer_positive_eigenvalues_than_dimensions_leave_a_loss() -> None:
    gamma, d = np.array([1.0, 0.5, 0.0, -0.3, -0.4]), 4
    W0 = 1e-3 * np.random.default_rng(0).normal(size=(d, 5))
    times = step_times(gamma, W0)
    assert np.isfinite(times).tolist() == [True, True, False, False]
    run = simulate(gamma, W0)
    assert run.step_times == pytest.approx(times, rel=1e-3)
    # Negative directions decay slowly from where they are; they add to the loss until then.
    assert run.loss[-1] == pytest.approx(d - 2, abs=1e-3)
    assert run.loss[0] == pytest.approx(d, abs=1e-4)


def test_loss_is_a_staircase_of_the_learned_directions() -> None:
    gamma = np.array([1.0, 0.2, 0.04])
    run = simulate(gamma, 1e-5 * rotation(3, 0))
    middles = np.sqrt(run.step_times[:-1] * run.step_times[1:])
    heights = np.interp(np.r_[0.0, middles, run.times[-1]], run.times, run.loss)
    assert heights == pytest.approx([3, 2, 1, 0], abs=0.01)


WEIGHTS = [(0.1, 3), (0.005, 3), (0.05, 12), (0.2, 8), (1.0, 3), (0.7, 4)]


@pytest.mark.parametrize(("lam", "d"), representative(WEIGHTS, fast=[WEIGHTS[0], WEIGHTS[2], WEIGHTS[5]]))
def test_level_and_rate_for_other_off_diagonal_weights(lam, d) -> None:
    gamma = np.array([1.0, 0.4])
    # The second mode starts so small that all coordinates share the first by the time it matters.
    rng = np.random.default_rng(d)
    W0 = np.stack([1e-5 * rng.uniform(0.5, 1.5, size=d), 1e-8 * rng.normal(size=d)], axis=1)
    run = simulate(gamma, W0, off_diagonal_weight=lam)
    first, second = run.eigenvalues[:, 0], run.eigenvalues[:, 1]
    grows = (second > 1e-8) & (second < 1e-4)
    rate = np.polyfit(run.times[grows], np.log(second[grows]), 1)[0]
    assert first[grows][-1] == pytest.approx(d / (1 + lam * (d - 1)), rel=1e-3)
    assert rate == pytest.approx(8 * gamma[1] * lam * d / (1 + lam * (d - 1)), rel=5e-3)
    # There are two modes for d dimensions, so training ends on the second plateau.
    assert run.loss[grows][-1] == pytest.approx(plateau_loss(1, d, lam), rel=1e-3)
    assert run.loss[-1] == pytest.approx(plateau_loss(2, d, lam), rel=1e-3)
