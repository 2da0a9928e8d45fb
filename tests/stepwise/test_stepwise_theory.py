"""Closed forms and `simulate` of the linear model, against full weights that are integrated or iterated plainly."""

import mpmath
import numpy as np
import pytest
import torch
from flows import descending, descent, flow, flow_step_times, rotation
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases import representative
from solvable.errors import InputError
from solvable.stepwise.theory import (
    cross_correlation,
    effective_init,
    max_learning_rate,
    simulate,
    step_times,
    terminal_weights,
    trajectory,
)

# Five directions that are learned, with gaps of 19 % and more, and others, of which the last are negative.
LEARNED = np.array([1, 0.375, 0.303, 0.139, 0.083])
OTHERS = np.r_[np.geomspace(1, 0.1, 11), -np.geomspace(0.8, 0.1, 4)]


def pairs(n=12, m=5, seed=0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, m))
    return shared + 0.3 * rng.normal(size=(n, m)), shared + 0.3 * rng.normal(size=(n, m))


@pytest.mark.parametrize(("lam", "decay", "center"), [(1.0, 0.0, False), (0.3, 0.0, True), (2.0, 0.7, True)])
def test_a_step_of_simulate_is_the_gradient_of_the_loss_on_data(lam, decay, center) -> None:
    X, X2 = pairs()
    W0 = np.random.default_rng(1).normal(size=(3, 5))
    mean = (X.mean(axis=0) + X2.mean(axis=0)) / 2 if center else 0.0
    W = torch.tensor(W0, requires_grad=True)
    f, f2 = (torch.tensor(view - mean) @ W.T for view in (X, X2))
    C = (f.T @ f2 + f2.T @ f) / (2 * len(X))
    off = C - torch.diag(C.diagonal())
    loss = (C.diagonal() - 1).square().sum() + lam * off.square().sum()
    (gradient,) = torch.autograd.grad(loss + decay / 2 * W.square().sum(), W)

    gamma = cross_correlation(X, X2, center=center)
    run = simulate(gamma, W0, 1.0, until=1, off_diagonal_weight=lam, weight_decay=decay)
    assert run.loss[0] == pytest.approx(loss.item(), rel=1e-13)
    V = np.linalg.eigh(gamma)[1][:, ::-1]
    step = (W0 - run.weights @ V.T) if run.weights.shape == W0.shape else None
    assert step is not None
    error = np.linalg.norm(step - gradient.numpy()) / np.linalg.norm(gradient.numpy())
    assert error < 1e-12


def test_several_views_are_the_mean_over_pairs_of_different_views() -> None:
    rng = np.random.default_rng(2)
    views = rng.normal(size=(4, 9, 3)) + 2.0
    mean = views.mean(axis=(0, 1))
    for center in (False, True):
        shifted = views - mean * center
        expected = np.zeros((3, 3))
        for a in range(4):
            for b in range(4):
                if a != b:
                    expected += shifted[a].T @ shifted[b] / (9 * 4 * 3)
        assert cross_correlation(*views, center=center) == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_aligned_weights_follow_the_closed_form() -> None:
    gamma = np.array([1.0, 0.6, 0.3, 0.1, 0.0, -0.2, -0.4])
    s0 = np.array([1e-3, 2e-3, 5e-4, 1e-2, 3e-2, 0.5])
    U, V = rotation(6, 0), rotation(7, 1)
    W0 = U @ np.diag(s0) @ V[:, :6].T
    times = np.r_[0.0, np.geomspace(0.01, 25, 40)]
    solved = flow((V * gamma) @ V.T, W0, 25.0, at=times, rtol=1e-13, atol=1e-14)
    expected = trajectory(gamma[:6], s0, times)
    for y, values in zip(solved.y.T, expected, strict=True):
        W = y.reshape(W0.shape)
        levels = np.diagonal(U.T @ W @ (V * gamma) @ V.T @ W.T @ U)
        assert values == pytest.approx(levels, rel=1e-8, abs=1e-17)


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_trajectory_is_exact_to_many_digits(decay) -> None:
    cases = [(2.0, 1e-150, 20.0), (2.0, 1e-300, 90.0), (1e-6, 1e-3, 1e6), (0.5, 0.9, 3.0), (0.05, 0.9, 2.0)]
    cases += [(1.0, 3.0, 0.5), (-1.0, 0.3, 0.2), (-1.0, 0.3, 50.0), (3.0, 1e-4, 1e4)]
    with mpmath.workdps(700):
        for gamma, s0, t in cases:
            g, w = mpmath.mpf(gamma), mpmath.mpf(decay)
            # du/dt = (8 g - 2 w) u - 8 g^2 u^2, a Bernoulli equation.
            r, first = 8 * g - 2 * w, mpmath.mpf(s0) ** 2
            expected = g / (mpmath.exp(-r * t) / first + 8 * g**2 * (1 - mpmath.exp(-r * t)) / r)
            value = trajectory([gamma], s0, t, weight_decay=decay)
            assert value.shape == (1, 1)
            assert float(value[0, 0]) == pytest.approx(float(expected), rel=1e-11, abs=1e-306)


def test_trajectory_at_the_ceiling_and_beside_it() -> None:
    # At 4 gamma = w the rate is 0 and the decay a power law: 1/lambda = 1/lambda_0 + 8 gamma t.
    value = trajectory([0.25], s0=2.0, times=[3.0], weight_decay=1.0)[0, 0]
    assert value == pytest.approx(1 / (1 / 1.0 + 8 * 0.25 * 3.0), rel=1e-12)
    assert trajectory([0.0, 1.0], s0=[5.0, 1.0], times=[0.0, 9.0]).tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_discrete_trajectory_has_the_rate_and_ceiling_of_iteration() -> None:
    gamma, eta, w, b = np.array([1.0, 0.4]), 0.01, 0.3, 0.5
    steps = np.arange(0, 200, 20)
    records = descending(descent(np.diag(gamma), 1e-6 * np.eye(2), eta, 400, momentum=b, weight_decay=w))
    values = trajectory(gamma, 1e-6, steps, learning_rate=eta, momentum=b, weight_decay=w)
    # In the exponential stage, after the momentum has built up, the ratio of both is constant.
    ratio = np.log(values[3:, 0] / records[steps[3:], 0])[:3]
    assert np.ptp(ratio) < 1e-6
    last = trajectory(gamma, 1e-6, 1e5, learning_rate=eta, momentum=b, weight_decay=w)[0]
    assert last == pytest.approx(1 - w / (4 * gamma), rel=1e-12)


@pytest.mark.parametrize("following", [0.068, 0.04])
@pytest.mark.parametrize("seed", representative(range(12), fast=[0, 1]))
def test_step_times_of_generic_weights(seed, following) -> None:
    V = rotation(20, seed)
    gamma = (V * np.r_[LEARNED, following * OTHERS]) @ V.T
    W0 = 1e-4 * np.random.default_rng(seed).normal(size=(5, 20))
    measured = flow_step_times(gamma, W0, end=60.0)
    assert simulate(gamma, W0).step_times == pytest.approx(measured, rel=1e-5)
    assert step_times(gamma, W0) == pytest.approx(measured, rel=5e-4)
    assert step_times(gamma, W0, method="rows") == pytest.approx(measured, rel=5e-4)
    if following == 0.04:  # a gap to the directions that are not learned
        assert step_times(gamma, W0, method="qr") == pytest.approx(measured, rel=5e-3)


@pytest.mark.parametrize("seed", representative(range(60), fast=range(6)))
def test_times_are_within_one_percent_for_any_spectrum_and_small_weights(seed) -> None:
    """Near-ties of eigenvalues and unlucky weights too: these are simulated."""
    rng = np.random.default_rng(seed)
    gamma = np.cumprod(1 / rng.uniform(1.02, 1.8, size=9))
    W0 = 10 ** rng.uniform(-5, -2) * rng.normal(size=(4, 9))
    measured = flow_step_times(np.diag(gamma), W0, end=1.2 * step_times(gamma, W0).max())
    assert step_times(gamma, W0) == pytest.approx(measured, rel=0.01)


def test_near_ties_need_the_simulation() -> None:
    gamma = np.array([1.0, 0.98, 0.3])
    W0 = 1e-3 * np.array([[1.0, 1.0, 0.1], [1.0, -0.2, 0.3]])
    measured = flow_step_times(np.diag(gamma), W0, end=5.0)
    assert step_times(gamma, W0) == pytest.approx(measured, rel=1e-5)
    assert step_times(gamma, W0, method="rows") != pytest.approx(measured, rel=5e-3)


def test_hardly_anything_left_for_a_direction_needs_the_simulation() -> None:
    # With gaps of 20 %: all but 1e-5 of the second direction lies in the first row, so the third comes before it.
    gamma = np.array([1.0, 0.5, 0.4, 0.3])
    W0 = 1e-3 * np.array([[1.0, 1.0, 0.2, 0.1], [0.0, 1e-5, 1.0, 0.5], [0.0, 0.0, 1.0, 0.3]])
    measured = flow_step_times(np.diag(gamma), W0, end=25.0)
    assert step_times(gamma, W0) == pytest.approx(measured, rel=1e-5)
    assert np.abs(step_times(gamma, W0, method="rows") / measured - 1).max() > 0.05


def test_large_weights_need_the_simulation() -> None:
    gamma = np.array([1.0, 0.5, 0.2])
    W0 = 0.4 * rotation(3, 1)[:2]
    measured = flow_step_times(np.diag(gamma), W0, end=5.0)
    assert step_times(gamma, W0) == pytest.approx(measured, rel=1e-5)
    assert step_times(gamma, W0, method="rows") != pytest.approx(measured, rel=1e-4)


def test_one_dimension_is_exact_for_weights_of_any_size() -> None:
    gamma = np.array([1.0, 0.95, 0.9, 0.2])
    for scale in (1e-5, 0.1, 0.3):
        W0 = scale * np.array([[0.3, -1.0, 0.7, 0.8]])
        measured = flow_step_times(np.diag(gamma), W0, end=5.0)
        assert step_times(gamma, W0, method="rows") == pytest.approx(measured, rel=1e-8)


def test_equal_eigenvalues() -> None:
    gamma, W0 = np.array([1.0, 1.0, 1.0, 0.4]), 1e-3 * np.random.default_rng(0).normal(size=(3, 4))
    measured = flow_step_times(np.diag(gamma), W0, end=6.0)
    assert step_times(gamma, W0) == pytest.approx(measured, rel=1e-5)
    assert len(set(step_times([1.0, 1.0], s0=1e-3))) == 1


@pytest.mark.parametrize("method", ["rows", "simulation", "auto"])
def test_weight_decay_in_flow(method) -> None:
    gamma, w = np.array([1.0, 0.5, 0.3, 0.15, 0.05, -0.1]), 0.4
    W0 = 1e-4 * np.random.default_rng(0).normal(size=(4, 6))
    ceilings = 1 - w / (4 * gamma[:4])
    measured = flow_step_times(np.diag(gamma), W0, 90.0, w, ceilings / 2)
    assert measured[:3] == pytest.approx(np.sort(measured[:3]))
    assert measured[3] < np.inf
    assert step_times(gamma, W0, weight_decay=w, method=method) == pytest.approx(measured, rel=5e-4)


def test_tiny_weights() -> None:
    expected = float(-2 * mpmath.log(mpmath.mpf(10) ** -300) / 8)
    assert step_times([1.0], s0=1e-300)[0] == pytest.approx(expected, rel=1e-12)
    for method in ("rows", "qr", "auto"):
        W0 = 1e-300 * rotation(2, 0)
        times = step_times([1.0, 0.5], W0, method=method)
        R = np.abs(np.diag(np.linalg.qr(rotation(2, 0))[1]))
        assert times == pytest.approx(
            [(2 * 300 * np.log(10) - np.log(g * r**2)) / (8 * g) for g, r in zip([1, 0.5], R, strict=True)],
            rel=1e-3,
        )
    assert step_times([1.0], s0=1e-300, learning_rate=0.01)[0] == pytest.approx(
        expected * 4 / np.log(1.04), rel=1e-3
    )


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_of_the_inputs_are_units_of_time(unit) -> None:
    gamma, W0 = np.array([1.0, 0.5, 0.1]), 1e-3 * np.random.default_rng(0).normal(size=(2, 3))
    for options in ({}, {"weight_decay": 0.1}):
        scaled = {"weight_decay": 0.1 * unit} if options else {}
        assert unit * step_times(unit * gamma, W0 / np.sqrt(unit), **scaled) == pytest.approx(
            step_times(gamma, W0, **options), rel=1e-7
        )
    eta = 0.01
    assert step_times(unit * gamma, W0 / np.sqrt(unit), eta / unit) == pytest.approx(
        step_times(gamma, W0, eta), rel=1e-7
    )


def test_tensors_with_a_graph_and_in_half_precision() -> None:
    gamma, W0 = torch.tensor([1.0, 0.5]), torch.nn.Parameter(1e-3 * torch.eye(2))
    expected = step_times([1.0, 0.5], 1e-3 * np.eye(2))
    assert step_times(gamma, W0) == pytest.approx(expected, rel=1e-6)
    assert step_times(gamma.bfloat16(), W0.bfloat16()) == pytest.approx(expected, rel=1e-2)
    assert max_learning_rate(gamma) == 0.25
    # A dormant direction of negative gamma decays by the factor 1 - 4 lr |gamma|, which may be no less than -1.
    assert max_learning_rate([0.1, -10.0]) == pytest.approx(0.05)
    assert trajectory(gamma, 1e-3, 0.0).shape == (1, 2)


def test_what_is_never_learned_and_what_already_is() -> None:
    assert step_times([0.0, -1.0, 1.0], s0=1e-2).tolist()[:2] == [np.inf, np.inf]
    assert step_times([-0.1, -1.0], 1e-2 * np.eye(2)).tolist() == [np.inf, np.inf]
    assert step_times([1.0, 2.0], s0=0.0).tolist() == [np.inf, np.inf]
    assert step_times([1.0, 2.0], np.zeros((3, 2))).tolist() == [np.inf] * 3
    for learning_rate in (None, 0.01):
        assert step_times([1.0, 0.5], s0=[1.0, 1.5], learning_rate=learning_rate).tolist() == [0.0, 0.0]
        times = step_times([1.0, 0.5], np.diag([1.0, 1e-4]), learning_rate)
        assert times[0] == 0
        assert times[1] == pytest.approx(step_times([0.5], s0=1e-4, learning_rate=learning_rate)[0], rel=1e-3)


def test_more_dimensions_than_inputs() -> None:
    gamma = np.array([1.0, 0.3])
    W0 = 1e-3 * np.random.default_rng(0).normal(size=(5, 2))
    for method in ("auto", "rows", "qr", "simulation"):
        times = step_times(gamma, W0, method=method)
        assert times.shape == (5,)
        assert np.isfinite(times).tolist() == [True, True, False, False, False]
    assert times[:2] == pytest.approx(flow_step_times(np.diag(gamma), W0, 10.0)[:2], rel=1e-3)


def test_a_dormant_direction_behind_a_faster_one() -> None:
    # The first mode of the row is nearly absent, so the second, twenty times slower, is learned.
    time = step_times([1.0, 0.05], [[1e-200, 1e-2]], weight_decay=0.02)[0]
    slow = step_times([0.05], s0=1e-2, weight_decay=0.02)[0]
    assert time == pytest.approx(slow, rel=1e-3)


def test_many_eigenvalues_that_are_zero_but_for_rounding() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 80))
    gamma = cross_correlation(X, X + 1e-3 * rng.normal(size=X.shape)) / 80
    W0 = 1e-4 * rng.normal(size=(4, 80))
    assert step_times(gamma, W0, method="rows") == pytest.approx(simulate(gamma, W0).step_times, rel=0.02)


sizes = st.floats(1e-8, 1e-2)
strengths = st.floats(0.05, 5.0)


@settings(max_examples=40, deadline=None)
@given(sizes, strengths, st.floats(1.01, 3.0), st.floats(0.0, 0.1))
def test_larger_weights_and_eigenvalues_are_learned_sooner(s0, gamma, factor, decay) -> None:
    for options in ({}, {"learning_rate": 0.5 * max_learning_rate(factor * gamma)}):
        one, wider, stronger = (
            step_times([g], s0=s, weight_decay=decay, **options)[0]
            for g, s in ((gamma, s0), (gamma, factor * s0), (factor * gamma, s0))
        )
        assert wider < one
        assert stronger < one


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), sizes, st.sampled_from([None, 0.02]), st.floats(0.0, 0.1))
def test_rotations_of_embedding_and_inputs_change_nothing(seed, size, learning_rate, decay) -> None:
    rng = np.random.default_rng(seed)
    gamma = np.cumprod(1 / rng.uniform(1.3, 2.0, size=5))
    W0 = size * rng.normal(size=(3, 5))
    assume(effective_init(gamma, W0).s0.min() > 0.2 * size)
    Q, V = rotation(3, seed + 1), rotation(5, seed + 2)
    options = {"weight_decay": decay, "method": "rows"}
    times = step_times(gamma, W0, learning_rate, **options)
    assert step_times(gamma, Q @ W0, learning_rate, **options) == pytest.approx(times, rel=1e-6)
    assert step_times((V * gamma) @ V.T, W0 @ V.T, learning_rate, **options) == pytest.approx(times, rel=1e-6)
    order = rng.permutation(5)
    assert step_times(gamma[order], W0[:, order], learning_rate, **options) == pytest.approx(times, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(sizes, strengths, st.floats(0.0, 0.15))
def test_trajectories_are_half_way_at_the_step_times(s0, gamma, decay) -> None:
    ceiling = 1 - decay / (4 * gamma)
    time = step_times([gamma], s0=s0, weight_decay=decay)
    assert trajectory([gamma], s0, time, weight_decay=decay)[0, 0] == pytest.approx(ceiling / 2, rel=1e-6)


BAD = [
    (lambda: step_times([1.0, 0.5]), "expected initial weights: W0"),
    (lambda: step_times([1.0], np.ones((1, 1)), s0=1.0), "and not both"),
    (lambda: step_times([1.0, 0.5], np.ones((2, 3))), r"W0 has shape \(2, 3\)"),
    (lambda: step_times(np.ones((2, 3)), np.ones((2, 3))), r"gamma has shape \(2, 3\)"),
    (lambda: step_times([1.0, np.nan], s0=1e-3), "gamma must be numbers; got nan"),
    (lambda: step_times([1.0, np.inf], s0=1e-3), "gamma has 1 value"),
    (lambda: step_times([1.0], [[np.inf]]), "W0 has 1 value"),
    (lambda: step_times(np.eye(2), s0=1e-3), "expected eigenvalues"),
    (lambda: step_times([1.0, 0.5], s0=[1e-3] * 3), r"s0 has shape \(3,\)"),
    (lambda: step_times([1.0], s0=-1.0), "s0 must be at least 0"),
    (lambda: step_times([1.0], s0=1e-3, momentum=0.9), "momentum was given without a learning rate"),
    (lambda: step_times([1.0], s0=1e-3, learning_rate=0.1, momentum=1.0), "momentum is 1"),
    (lambda: step_times([1.0], s0=1e-3, learning_rate=0.3), "not stable above 0.25"),
    (lambda: step_times([1.0], s0=1e-3, learning_rate=0.0), "learning_rate must be above 0"),
    (lambda: step_times([1.0], s0=1e-3, weight_decay=-1), "weight_decay must be at least 0"),
    (lambda: step_times([1.0], [[1e-3]], method="exact"), "unknown method 'exact'"),
    (lambda: trajectory([1.0], 1e-3, [-1.0]), "times must be at least 0"),
    (lambda: trajectory([1.0], 1e-3, [1.0], learning_rate=1.0), "not stable above 0.25"),
    (lambda: trajectory([], 1e-3, [1.0]), "gamma is empty"),
    (lambda: max_learning_rate(["a"]), "gamma must be numbers"),
    (lambda: max_learning_rate([1.0], momentum=1.5), "momentum is 1.5"),
    (lambda: simulate([1.0], [[1e-3]], momentum=0.5), "momentum was given without a learning rate"),
    (
        lambda: simulate([1.0], [[1e-3]], 0.1, off_diagonal_weight=-1),
        "off_diagonal_weight must be at least 0",
    ),
    (lambda: simulate([1.0], [[1e-3]], 1e-9), "training takes about"),
    (lambda: simulate([1.0], [[0.5]], 3.0, until=500), "training diverges"),
    (lambda: simulate([1.0], [[1e-3]], until=-1), "until must be at least 0"),
    (lambda: terminal_weights(np.diag([1.0, -1.0]), 2), "dim is 2; expected a number from 1 to 1"),
    (lambda: effective_init(np.eye(2), np.ones((2, 5))), r"W0 has shape \(2, 5\)"),
    (lambda: cross_correlation(np.ones((4, 2))), "got 1 view"),
    (lambda: cross_correlation(np.ones((4, 2)), np.ones((4, 3))), r"shapes \(4, 2\) and \(4, 3\)"),
    (lambda: cross_correlation(np.ones((1, 2)), np.ones((1, 2))), "one row"),
    (lambda: cross_correlation(np.ones((4, 2, 2)), np.ones((4, 2, 2))), "flatten images first"),
    (lambda: cross_correlation(np.full((4, 2), np.nan), np.ones((4, 2))), "view 1 has 8 values"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_input_is_one_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)
