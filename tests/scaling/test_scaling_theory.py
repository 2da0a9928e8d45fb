"""Closed forms of the spectral condition, against singular values of drawn matrices, autograd and simulated descent."""

import mpmath
import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.scaling import (
    depth_multipliers,
    gaussian_spectral_norm,
    init_std,
    lr_multiplier,
    max_lr_richness,
    plateau_exponent,
    spectral_scale,
)

SHAPES = [(7, 7), (40, 5), (3, 60), (1, 9)]


def scaled_norm(M: np.ndarray) -> float:
    """The largest singular value times sqrt(fan_in / fan_out), by LAPACK."""
    return float(np.linalg.norm(M, 2) * np.sqrt(M.shape[1] / M.shape[0]))


@pytest.mark.parametrize(("n_out", "n_in"), SHAPES)
def test_updates_of_each_optimizer_have_the_same_scaled_norm(n_out, n_in) -> None:
    rng = np.random.default_rng(0)
    gradient = np.outer(rng.normal(size=n_out), rng.normal(size=n_in))
    # The sign of a rank-one matrix has the norm sqrt(mn).
    assert np.linalg.norm(np.sign(gradient), 2) == pytest.approx(np.sqrt(n_out * n_in), rel=1e-14)
    for optimizer in ("sign", "adam", "adamw", "lion"):
        update = lr_multiplier(n_in, n_out, optimizer) * np.sign(gradient)
        assert scaled_norm(update) == pytest.approx(1, rel=1e-13)
    U, _, Vh = np.linalg.svd(rng.normal(size=(n_out, n_in)), full_matrices=False)
    for update in (U @ Vh, gradient / np.linalg.norm(gradient, 2)):
        assert scaled_norm(lr_multiplier(n_in, n_out, "orthogonal") * update) == pytest.approx(1, rel=1e-13)
    # SGD: under the condition a gradient has the norm sqrt(n_in / n_out).
    gradient *= np.sqrt(n_in / n_out) / np.linalg.norm(gradient, 2)
    assert scaled_norm(lr_multiplier(n_in, n_out, "sgd") * gradient) == pytest.approx(1, rel=1e-13)


def test_groups_are_the_blocks_of_one_matrix() -> None:
    rng = np.random.default_rng(1)
    G, rows, columns = 4, 3, 5
    gradients = rng.normal(size=(G, rows, 1)) * rng.normal(size=(G, 1, columns))
    for name, updates in (
        ("sign", np.sign(gradients)),
        ("orthogonal", gradients / np.linalg.norm(gradients, 2, axis=(1, 2), keepdims=True)),
    ):
        factor = lr_multiplier(columns, G * rows, name, groups=G)
        for update in updates:
            assert scaled_norm(factor * update) == pytest.approx(1, rel=1e-13)
    # Each block sees 1/G of the gradient that one matrix of its shape would see.
    assert lr_multiplier(columns, G * rows, "sgd", groups=G) == pytest.approx(
        G * lr_multiplier(columns, rows, "sgd")
    )


def test_semi_orthogonal_weights_have_a_scaled_norm_of_exactly_one() -> None:
    for n_out, n_in in SHAPES:
        W = torch.empty(n_out, n_in, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        torch.nn.init.orthogonal_(W, gain=spectral_scale(n_in, n_out), generator=generator)
        assert scaled_norm(W.numpy()) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(("n_out", "n_in"), [(512, 512), (32, 512), (512, 32), (10, 1024)])
def test_weights_drawn_with_init_std_have_a_scaled_norm_between_one_and_two(n_out, n_in) -> None:
    rng = np.random.default_rng(0)
    gain = 1.7
    norms = [
        scaled_norm(rng.normal(0, init_std(n_in, n_out, gain), size=(n_out, n_in))) / gain for _ in range(8)
    ]
    expected = 1 + np.sqrt(min(n_in, n_out) / max(n_in, n_out))
    assert np.mean(norms) == pytest.approx(expected, rel=0.03)
    mean, _ = gaussian_spectral_norm(n_out, n_in, init_std(n_in, n_out))
    assert mean * np.sqrt(n_in / n_out) == pytest.approx(np.mean(norms), rel=0.01)


def test_init_std_keeps_the_size_of_features_of_wide_layers() -> None:
    """He's and LeCun's variance where the layer does not narrow; a kernel's positions count as inputs only."""
    for n_in, n_out in ((64, 64), (64, 1024)):
        assert init_std(n_in, n_out, 2**0.5) == pytest.approx((2 / n_in) ** 0.5)
    assert init_std(9 * 64, 64, kernel_size=9) == pytest.approx(1 / 24)
    assert init_std(9 * 64, 16, kernel_size=9) == pytest.approx(1 / 48)
    np.testing.assert_allclose(init_std([4, 16], [1, 1]), [0.25, 0.0625])


# The claims: 0.2 % from 64 x 64 on, 2.5 % at 4 x 4. The error of the mean of the draws is below a third of that.
@pytest.mark.parametrize(
    ("shape", "draws", "tolerance"),
    [((4, 4), 20_000, 0.025), ((16, 16), 4000, 0.01), ((64, 64), 1600, 0.002), ((64, 256), 800, 0.002)],
)
def test_tracy_widom_moments_of_the_norm(shape, draws, tolerance) -> None:
    generator = np.random.default_rng(2)
    M = generator.normal(0, 3.0, size=(draws, *shape))
    norms = np.sqrt(np.linalg.eigvalsh(M @ M.transpose(0, 2, 1))[:, -1])
    mean, std = gaussian_spectral_norm(*shape, std=3.0)
    assert mean == pytest.approx(norms.mean(), rel=tolerance)
    assert std == pytest.approx(norms.std(), rel=0.1)
    assert gaussian_spectral_norm(*shape[::-1], std=3.0) == (mean, std)
    edge, same_std = gaussian_spectral_norm(*shape, std=3.0, order="edge")
    assert edge == pytest.approx(3 * (shape[0] ** 0.5 + shape[1] ** 0.5))
    assert edge > mean
    assert same_std == std


def test_the_mean_tends_to_the_edge() -> None:
    for n, tolerance in ((10**3, 0.005), (10**6, 1e-4)):
        mean, _ = gaussian_spectral_norm(n, n)
        edge, _ = gaussian_spectral_norm(n, n, order="edge")
        assert mean == pytest.approx(edge, rel=tolerance)


def test_one_row_has_the_chi_law() -> None:
    assert gaussian_spectral_norm(1, 1) == pytest.approx((0.7979, 0.6028), abs=5e-5)
    assert gaussian_spectral_norm(1, 50) == pytest.approx((7.0358, 0.7053), abs=5e-5)
    for n in (2, 1000, 10**6 - 1, 10**6, 10**9):
        with mpmath.workdps(40):
            exact = mpmath.sqrt(2) * mpmath.gamma(mpmath.mpf(n + 1) / 2) / mpmath.gamma(mpmath.mpf(n) / 2)
            spread = mpmath.sqrt(n - exact**2)
        mean, std = gaussian_spectral_norm(n, 1)
        assert mean == pytest.approx(float(exact), rel=1e-7)
        assert std == pytest.approx(float(spread), rel=2e-3)


def test_the_worked_example() -> None:
    layers = ((64, 512), (512, 512), (512, 10))
    by_hand = {
        "sgd": (8, 1, 0.01953125),
        "adam": (0.015625, 0.001953125, 0.001953125),
        "orthogonal": (8**0.5, 1, 0.1397542),
    }
    for optimizer, expected in by_hand.items():
        assert [lr_multiplier(*fans, optimizer) for fans in layers] == pytest.approx(expected, rel=1e-6)
    assert [lr_multiplier(1, n, "sgd") for n in (512, 512, 10)] == [512, 512, 10]
    assert [lr_multiplier(1, n, "adam") for n in (512, 512, 10)] == [1, 1, 1]
    assert [init_std(*fans) for fans in layers] == pytest.approx([0.125, 0.04419, 0.006176], rel=1e-3)


def test_single_numbers_are_python_floats() -> None:
    """NumPy's would keep a checkpoint from loading with `torch.load(weights_only=True)`."""
    for value in (
        spectral_scale(3, 4),
        init_std(3, 4),
        *(lr_multiplier(3, 4, one) for one in ("sgd", "adam", "muon")),
        *gaussian_spectral_norm(3, 4),
        *gaussian_spectral_norm(1, 4),
        max_lr_richness(1.0, 3),
        *depth_multipliers(1.0, 8),
    ):
        assert type(value) is float


@pytest.mark.parametrize("alpha", [0.5, 0.75, 1.0])
def test_depth_multipliers_keep_the_change_of_a_residual_product(alpha) -> None:
    """One step on log f, f = prod(1 + r w_i) from w = 0: the change does not depend on the number of blocks L."""
    for optimizer in ("sgd", "adam"):
        changes, entries = [], []
        for depth in (2, 8, 64):
            factors = depth_multipliers(alpha, depth, 2, optimizer)
            w = torch.zeros(depth, dtype=torch.float64, requires_grad=True)
            torch.log1p(factors.residual * w).sum().backward()
            assert w.grad is not None
            step = w.grad if optimizer == "sgd" else w.grad.sign()
            changes.append(float(torch.log1p(factors.residual * 1e-6 * factors.lr * step).sum()))
            # The gradient's entries shrink with the branches, and Adam's eps with them.
            entries.append(float(w.grad[0]) / factors.eps)
        assert changes == pytest.approx([2e-6] * 3, rel=1e-5)
        assert entries == pytest.approx([1.0] * 3)
    assert depth_multipliers(alpha, 7, 7) == (1, 1, 1)


def sharpness_at_the_solution(gamma: float, depth: int, y: float) -> float:
    """The largest eigenvalue of the Hessian of (f - y)²/2, by autograd."""

    def loss(a: torch.Tensor) -> torch.Tensor:
        return 0.5 * ((a.prod() - 1) / gamma - y) ** 2

    a = torch.full((depth,), (1 + gamma * y) ** (1 / depth), dtype=torch.float64)
    hessian: torch.Tensor = torch.autograd.functional.hessian(loss, a)  # pyright: ignore
    return float(torch.linalg.eigvalsh(hessian)[-1])


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("gamma", [1e-3, 0.3, 20.0])
def test_the_largest_learning_rate_is_two_over_the_sharpness(gamma, depth) -> None:
    for y in (1.0, 0.4):
        assert max_lr_richness(gamma, depth, y) == pytest.approx(
            2 / sharpness_at_the_solution(gamma, depth, y)
        )


def test_descent_near_the_solution_is_stable_up_to_the_largest_learning_rate() -> None:
    for depth, gamma in ((2, 0.1), (3, 5.0)):
        for share, grows in ((0.98, False), (1.02, True)):
            a = (1 + gamma) ** (1 / depth) * (1 + 1e-7)
            start = abs((a**depth - 1) / gamma - 1)
            for _ in range(60):
                f = (a**depth - 1) / gamma
                a -= share * max_lr_richness(gamma, depth) * (f - 1) * a ** (depth - 1) / gamma
            assert (abs((a**depth - 1) / gamma - 1) > start) is grows


def test_lazy_and_rich_limits_of_the_largest_learning_rate() -> None:
    for depth in (2, 3, 4):
        lazy, rich = 1e-6, 1e8
        assert max_lr_richness(lazy, depth) == pytest.approx(2 * lazy**2 / depth, rel=1e-5)
        assert max_lr_richness(rich, depth) == pytest.approx(2 / depth * rich ** (2 / depth), rel=1e-5)


def plateau(gamma: float, depth: int) -> int:
    """Steps of gradient descent at a tenth of the largest learning rate until half of the target is learnt."""
    a, lr = 1.0, 0.1 * max_lr_richness(gamma, depth)
    for step in range(10**6):
        f = (a**depth - 1) / gamma
        if f > 0.5:
            return step
        a -= lr * (f - 1) * a ** (depth - 1) / gamma
    raise AssertionError


def test_plateaus_lengthen_as_a_power_of_richness() -> None:
    for depth in (3, 4):
        steps = [plateau(gamma, depth) for gamma in (1e5, 1e7)]
        slope = np.log10(steps[1] / steps[0]) / 2
        assert slope == pytest.approx(plateau_exponent(depth), abs=0.02)
    # Two layers: exponent 0, and a logarithm, whose increments are constant.
    steps = [plateau(gamma, 2) for gamma in (1e3, 1e5, 1e7)]
    assert plateau_exponent(2) == 0
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], abs=2)
    assert steps[1] > steps[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spectral_scale(0, 3), "fan_in must be above 0; got 0"),
        (lambda: spectral_scale(3, np.nan), "fan_out must be .*nan"),
        (lambda: init_std(3, 3, gain=-1), "gain must be above 0; got -1"),
        (lambda: init_std("wide", 3), "fan_in must be numbers"),
        (lambda: lr_multiplier(3, 3, "adamax"), "optimizer.*adamax"),
        (lambda: lr_multiplier(3, 3, "sgd", groups=0), "groups must be above 0"),
        (lambda: gaussian_spectral_norm(0, 3), "n_out must be a whole number of at least 1; got 0"),
        (lambda: gaussian_spectral_norm(2.5, 3), "n_out must be a whole number"),
        (lambda: gaussian_spectral_norm(2, 3, order="exact"), "order.*exact"),
        (lambda: gaussian_spectral_norm(2, 3, std=-1), "std must be at least 0; got -1"),
        (lambda: depth_multipliers(1.5, 3), "alpha must be .*got 1.5"),
        (lambda: depth_multipliers(1, 0), "depth must be a whole number of at least 1; got 0"),
        (lambda: depth_multipliers(1, 4, 0), "base_depth must be a whole number of at least 1; got 0"),
        (lambda: max_lr_richness(0, 3), "gamma must be above 0; got 0"),
        (lambda: max_lr_richness(2, 3, y=-1), r"1 \+ gamma \* y must be above 0; got -1"),
        (lambda: plateau_exponent(1), "depth must be a whole number of at least 2; got 1"),
    ],
)
def test_bad_numbers_are_one_sentence(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_zero_deviation_has_norm_zero() -> None:
    assert gaussian_spectral_norm(5, 7, std=0.0) == (0.0, 0.0)


def test_richness_at_the_ends_of_double_precision() -> None:
    assert max_lr_richness(1e300, 3) == pytest.approx(2 / 3 * 1e200, rel=1e-10)
    assert max_lr_richness(1e-150, 3) == pytest.approx(2 / 3 * 1e-300, rel=1e-10)
