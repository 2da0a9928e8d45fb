"""Finders on losses whose critical points are known; starts do not touch each other; runs go on where they stopped."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import root
from torch import Tensor

from solvable.errors import InputError
from solvable.landscapes import (
    GNM,
    LM,
    CriticalPoints,
    DampedNewton,
    NewtonMR,
    descend,
    find_critical_points,
    linear_autoencoder,
    numpy_loss,
    sample_starts,
    toy,
)

METHODS = ("lm", "newton_mr", "damped_newton", "gnm")


def wavy(theta: Tensor) -> Tensor:
    return torch.sin(theta[0]) * torch.cos(theta[1]) + 0.1 * (theta**2).sum()


def starts(n: int = 8) -> Any:
    return 2 * np.random.default_rng(0).standard_normal((n, 2))


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_finds_is_critical_by_another_library(method: str) -> None:
    found = find_critical_points(wavy, starts(), method, max_iter=2000)
    good = found.status == "converged"
    assert good.sum() >= 3

    def gradient(theta: Any) -> Any:
        x, y = theta
        return [np.cos(x) * np.cos(y) + 0.2 * x, -np.sin(x) * np.sin(y) + 0.2 * y]

    for theta in found.theta[good]:
        assert np.linalg.norm(gradient(theta)) < 1e-9
        np.testing.assert_allclose(root(gradient, theta).x, theta, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_starts_one_by_one(method: str) -> None:
    together = find_critical_points(wavy, starts(), method, max_iter=60)
    in_groups = find_critical_points(wavy, starts(), method, max_iter=60, batch_size=3)
    alone = [find_critical_points(wavy, one, method, max_iter=60) for one in starts()]
    # Chaotic searches would tell rounding apart; these do not differ in their first steps.
    for i, one in enumerate(alone):
        same = min(6, len(one.traces["loss"]), int(together.n_iter[i]) + 1)
        for name in ("loss", "squared_gradient"):
            np.testing.assert_allclose(
                one.traces[name][:same, 0], together.traces[name][:same, i], rtol=1e-6, atol=1e-18
            )
            np.testing.assert_allclose(
                in_groups.traces[name][:same, i], together.traces[name][:same, i], rtol=1e-6, atol=1e-18
            )


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_run_goes_on_as_if_it_had_not_stopped(method: str, tmp_path: Any) -> None:
    whole = find_critical_points(wavy, starts(), method, max_iter=20)
    find_critical_points(wavy, starts(), method, max_iter=7).save(tmp_path / "part.npz")
    part = CriticalPoints.load(tmp_path / "part.npz")
    assert part.n_iter.max() <= 7
    result = find_critical_points(wavy, part, method, max_iter=20)
    np.testing.assert_array_equal(result.theta, whole.theta)
    np.testing.assert_array_equal(result.status, whole.status)
    for name, trace in whole.traces.items():
        np.testing.assert_array_equal(result.traces[name], trace)
    assert part.n_iter.max() <= 7  # the earlier result is as it was
    with pytest.raises(InputError, match="expected the same method"):
        find_critical_points(wavy, part, LM(damping=0.5))


def test_a_smaller_gtol_continues_converged_starts() -> None:
    rough = find_critical_points(wavy, starts(), gtol=1e-4)
    fine = find_critical_points(wavy, rough, gtol=1e-22)
    good = rough.status == "converged"
    assert good.any()
    assert (fine.squared_gradient[good] <= 1e-22).all()


def test_a_start_that_breaks_leaves_the_others_alone() -> None:
    def rooted(theta: Any) -> Any:
        return (theta[..., 0] - 1) ** 2 + np.sqrt(np.abs(theta[..., 1]) ** 3)

    def gradient(theta: Any) -> Any:
        y = theta[..., 1]
        return np.stack([2 * (theta[..., 0] - 1), 1.5 * np.sign(y) * np.sqrt(np.abs(y))], axis=-1)

    def hessian(theta: Any) -> Any:
        H = np.zeros((len(theta), 2, 2))
        H[:, 0, 0] = 2
        with np.errstate(divide="ignore"):
            H[:, 1, 1] = 0.75 / np.sqrt(np.abs(theta[..., 1]))
        return H

    loss = numpy_loss(rooted, gradient, hess=hessian, batched=True)
    for method in METHODS:
        broken, good = np.array([3.0, 0.0]), np.array([2.0, 0.5])
        both = find_critical_points(loss, np.stack([good, broken]), method, max_iter=30)
        alone = find_critical_points(loss, good, method, max_iter=30)
        assert both.status[1] == "nan"
        np.testing.assert_array_equal(both.theta[1], broken)
        np.testing.assert_allclose(both.traces["loss"][:5, 0], alone.traces["loss"][:5, 0], rtol=1e-10)


def test_statuses() -> None:
    found = find_critical_points(wavy, starts())
    at_rest = find_critical_points(wavy, found.theta[found.status == "converged"])
    assert not at_rest.n_iter.any()
    assert (at_rest.status == "converged").all()
    assert find_critical_points(wavy, starts(), max_iter=1, gtol=0.0).status[0] == "iteration limit"
    assert find_critical_points(lambda t: torch.log1p(t**2).sum(), [3.0], "gnm").status[0] in (
        "stalled",
        "diverging",
    )
    assert find_critical_points(toy.loss(), np.array([3.0, 1.0])).status[0] == "stalled"


def test_trace_of_residuals_is_that_of_the_newton_steps() -> None:
    for method in (LM(), NewtonMR(inner_iterations=2)):
        found = find_critical_points(toy.loss(), toy.grid_of_starts(4), method, max_iter=3)
        residual = found.traces["residual"][0]
        assert ((residual >= 0) & (residual <= 1)).all()
        if isinstance(method, NewtonMR):
            # Two steps solve a nonsingular system of two parameters.
            assert residual.max() < 1e-12


@pytest.mark.parametrize(
    ("method", "critical"), [("newton_mr", (52, 60)), ("gnm", (28, 34)), ("lm", (28, 34))]
)
def test_the_toy_of_the_paper(method: str, critical: tuple[int, int]) -> None:
    found = find_critical_points(toy.loss(), toy.grid_of_starts(), method, max_iter=200)
    good = found.squared_gradient < 1e-10
    assert critical[0] <= good.sum() <= critical[1]
    np.testing.assert_allclose(found.theta[good], np.tile(toy.CRITICAL, (good.sum(), 1)), atol=1e-5)
    near = np.linalg.norm(found.theta - toy.FLAT, axis=1) < 0.5
    assert near.sum() >= 30
    assert (good | near).sum() >= 95


def problem_b(seed: int, n: int, learning_rate: float, n_steps: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    X = np.sqrt(np.arange(1.0, 17))[:, None] * rng.standard_normal((16, 10_000))
    X -= X.mean(axis=1, keepdims=True)
    covariance = X @ X.T / 10_000
    loss = linear_autoencoder.loss(covariance, 4, 1 / 16)
    path, losses = descend(loss, 0.1 * rng.standard_normal(128), learning_rate=learning_rate, n_steps=n_steps)
    return covariance, loss, sample_starts(path, losses, n, noise_std=0.1, random_state=seed)


@pytest.mark.parametrize(
    ("method", "n", "share", "classes"),
    [
        pytest.param("lm", 100, 0.98, 30, marks=pytest.mark.slow),
        pytest.param("newton_mr", 100, 0.5, 15, marks=pytest.mark.slow),
        ("lm", 12, 0.9, 5),
    ],
)
def test_linear_autoencoder_of_the_paper(method: str, n: int, share: float, classes: int) -> None:
    # The paper's path, and for a quick run a coarser one.
    covariance, loss, theta = problem_b(0, n, *((0.01, 4000) if n == 100 else (0.05, 800)))
    found = find_critical_points(loss, theta, method)
    good = found.squared_gradient < 1e-10
    assert good.mean() >= share
    points = linear_autoencoder.identify(found.theta[good], covariance, 4, 1 / 16)
    assert len({p.subset for p in points}) >= classes
    assert [p.n_negative for p in points] == found.index[good].tolist()
    assert [p.n_zero for p in points] == found.nullity[good].tolist()
    np.testing.assert_allclose([p.loss for p in points], found.loss[good], rtol=1e-9)

    def subset(theta: Any) -> Any:
        return linear_autoencoder.identify(theta, covariance, 4, 1 / 16).subset

    assert len(found.distinct(subset)) == len({p.subset for p in points}) == len(found.distinct())
    assert f"{good.sum()} of {n} starts" in str(found)
    assert f"{len(found.distinct())} distinct" in str(found)


def test_a_step_that_is_too_long_is_shortened() -> None:
    far = find_critical_points(lambda t: ((t - 2e4) ** 2).sum(), np.array([1.0, 2.0]), "newton_mr")
    np.testing.assert_allclose(far.theta, 2e4)
    assert far.n_iter[0] == 3


def test_a_loss_beyond_its_domain_is_no_step() -> None:
    # The gradient knows nothing of the domain, and its zero is outside.
    loss = numpy_loss(
        lambda t: (t[0] + 1) ** 2 / 2 if t[0] > 0 else np.nan, lambda t: t + 1, hess=lambda t: np.eye(1)
    )
    for method in METHODS:
        found = find_critical_points(loss, [1.0], method, max_iter=30)
        assert 0 < found.theta[0, 0] <= 1
        assert np.isfinite(found.loss[0])


def test_counts_do_not_depend_on_the_scale_of_the_loss() -> None:
    covariance = np.diag([0.5, 1.0, 2.0, 4.0])
    theta = 0.5 * np.random.default_rng(0).standard_normal((20, 16))
    for scale in (1e-4, 1.0, 1e4):
        loss = linear_autoencoder.loss(covariance, 2, scale)
        found = find_critical_points(loss, theta, gtol=1e-12 * scale**2)
        points = linear_autoencoder.identify(found.theta, covariance, 2, scale)
        assert [p.n_negative for p in points] == found.index.tolist()
        assert [p.n_zero for p in points] == found.nullity.tolist()
        rows = found.squared_gradient <= 1e-10
        assert len(found.distinct()) == len(
            {(p.loss, p.n_negative) for p, ok in zip(points, rows, strict=True) if ok}
        )


def test_a_function_may_reuse_its_arrays() -> None:
    buffer = np.zeros(2)

    def gradient(theta: Any) -> Any:
        buffer[:] = 2 * (theta - 1)
        return buffer

    loss = numpy_loss(lambda t: ((t - 1) ** 2).sum(), gradient, hess=lambda t: 2 * np.eye(2))
    np.testing.assert_allclose(find_critical_points(loss, [[3.0, 0.0], [5.0, 5.0]]).theta, 1)


def test_a_result_is_a_table() -> None:
    frame = find_critical_points(wavy, starts()).to_frame()
    assert len(frame) == 8
    assert set(frame.columns) >= {"loss", "squared_gradient", "index", "status"}


def test_only_critical_ends_are_classes() -> None:
    found = find_critical_points(wavy, starts(), max_iter=4)
    near = (found.squared_gradient > 1e-10) & (found.squared_gradient < 1e-2)
    assert near.any()
    rows = np.concatenate([np.zeros(0, dtype=int), *found.distinct().values()])
    assert set(rows.tolist()) == set(np.flatnonzero(found.squared_gradient <= 1e-10).tolist())


def test_steps_are_never_longer_than_newton_s() -> None:
    sizes = find_critical_points(wavy, starts(), "newton_mr", max_iter=60).traces["step_size"]
    assert np.nanmax(sizes) == 1
    assert np.nanmin(sizes) < 1


def test_callback_sees_every_step() -> None:
    seen: list[tuple[int, Any]] = []
    found = find_critical_points(wavy, starts(3), callback=lambda step, theta: seen.append((step, theta)))
    assert [step for step, _ in seen] == list(range(1, len(seen) + 1))
    np.testing.assert_array_equal(seen[-1][1], found.theta)


def test_what_is_refused(tmp_path: Any) -> None:
    def square(theta: Tensor) -> Tensor:
        return (theta**2).sum()

    for method in ("lm", "damped_newton"):
        with pytest.raises(
            InputError, match="forms the Hessian of 5001 parameters; expected at most 5000; choose newton_mr"
        ):
            find_critical_points(square, np.ones(5001), method)
    assert find_critical_points(square, np.ones(5001), "newton_mr").status[0] == "converged"
    refused: list[tuple[dict[str, Any], str]] = [
        ({"method": "newton"}, "unknown method 'newton'"),
        ({"method": 3}, "method is 3"),
        ({"max_iter": -1}, "max_iter must be a whole number"),
        ({"gtol": -1.0}, "gtol must be at least 0"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
    ]
    for options, message in refused:
        with pytest.raises(InputError, match=message):
            find_critical_points(square, np.ones(2), **options)
    for make in (
        lambda: LM(damping=0.0),
        lambda: NewtonMR(inner_iterations=0),
        lambda: NewtonMR(backtracking=1.0),
        lambda: DampedNewton(dampings=(0.0,)),
        lambda: GNM(step=-1.0),
    ):
        with pytest.raises(InputError):
            make()
    (tmp_path / "other.npz").write_bytes(b"no archive")
    for name in ("missing.npz", "other.npz"):
        with pytest.raises(InputError, match="could not be read as a result"):
            CriticalPoints.load(tmp_path / name)
    found = find_critical_points(wavy, starts())
    with pytest.raises(InputError, match=r"could not be written \(No such file or directory\)"):
        found.save(tmp_path / "missing" / "found.npz")
    found.save(tmp_path / "found.npz")
    with pytest.raises(InputError, match="loaded without its loss"):
        CriticalPoints.load(tmp_path / "found.npz").classify()
    np.testing.assert_array_equal(CriticalPoints.load(tmp_path / "found.npz").index, found.index)
