"""Verdicts on points whose kind is known; none is called critical above the tolerance, none flat without flatness."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der, rosen_hess
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.landscapes import (
    classify,
    deep_linear,
    find_critical_points,
    linear_autoencoder,
    module_loss,
    numpy_loss,
    toy,
)
from solvable.landscapes.classification import KINDS

CRITICAL = ("minimum", "saddle", "maximum", "degenerate")


def point(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def quadratic(*curvatures: float) -> Any:
    return lambda t: (point(*curvatures) * t**2).sum() / 2


@pytest.mark.parametrize(
    ("loss", "theta", "kind", "index", "nullity"),
    [
        (quadratic(1, 2), (0, 0), "minimum", 0, 0),
        (quadratic(1, -2), (0, 0), "saddle", 1, 0),
        (quadratic(1, -2, 0), (0, 0, 5), "saddle", 1, 1),
        (quadratic(-1, -2), (0, 0), "maximum", 2, 0),
        (quadratic(1, 0), (0, 3), "minimum", 0, 1),
        (quadratic(-1, 0), (0, 3), "maximum", 1, 1),
        (quadratic(0, 0), (1, 3), "degenerate", 0, 2),
        (lambda t: t[0] ** 3, (0,), "degenerate", 0, 1),
        (lambda t: t[0] ** 3 + t[1] ** 2, (0, 0), "degenerate", 0, 1),
        (lambda t: t[0] ** 3 + t[1] ** 2, (1e-3, 0), "degenerate", 0, 1),
        (lambda t: t[0] ** 4 + t[1] ** 2, (0, 0), "minimum", 0, 1),
        (lambda t: t[0] ** 4 + t[1] ** 2, (5e-4, 0), "minimum", 0, 1),
        (lambda t: t[0] ** 5 - t[1] ** 2, (0, 0), "degenerate", 1, 1),
        # Peano's surface: a minimum along each line, and not a minimum.
        (lambda t: (t[0] - t[1] ** 2) * (t[0] - 3 * t[1] ** 2), (0, 0), "degenerate", 0, 1),
        (lambda t: t.sum(), (1, 2), "gradient-flat", 0, 2),
        (quadratic(1, 2), (1e-4, 0), "not converged", 0, 0),
        (lambda t: torch.exp(-t).sum(), (3,), "diverging", 0, 0),
        (lambda t: torch.exp(-t).sum(), (13,), "diverging", 0, 0),
        (lambda t: t.abs().sum(), (0, 0), "non-smooth", 0, 2),
        (lambda t: (t.abs() + t**2).sum(), (1e-5, 2), "non-smooth", 0, 0),
        (lambda t: torch.where(t > 0, t**2, 3 * t**2).sum(), (0,), "non-smooth", 0, 0),
        (lambda t: (t.abs() ** 1.5).sum(), (0,), "non-smooth", None, None),
        # Below the tolerance only since its scale is small.
        (lambda t: 1e-8 * (t[0] - 1) ** 2, (3,), "not converged", 0, 0),
    ],
)
def test_points_of_known_kind(
    loss: Any, theta: tuple[float, ...], kind: str, index: int | None, nullity: int | None
) -> None:
    verdict = classify(loss, point(*theta))
    assert (verdict.kind, verdict.index, verdict.nullity) == (kind, index, nullity)
    assert verdict.kind in KINDS
    assert "squared gradient norm" in str(verdict)
    if kind in CRITICAL:
        assert verdict.squared_gradient <= 1e-10


def test_certificate_of_a_saddle() -> None:
    verdict = classify(quadratic(4, -1, 1e-12), point(0, 1e-6, 1))
    assert verdict.kind == "saddle"
    assert verdict.n_parameters == 3
    np.testing.assert_allclose(verdict.gap, 0.25)
    np.testing.assert_allclose(verdict.squared_gradient, 1e-12, rtol=1e-6)
    # |H|^2 (1 + |theta|^2) is 16 * 2.
    np.testing.assert_allclose(verdict.scale_free_gradient, 1e-12 / 32, rtol=1e-6)
    rescaled = classify(lambda t: 1e-3 * quadratic(4, -1, 1e-12)(t), point(0, 1e-6, 1))
    np.testing.assert_allclose(rescaled.scale_free_gradient, verdict.scale_free_gradient, rtol=1e-9)


def test_the_flat_points_of_the_toy() -> None:
    flat = classify(toy.loss(), np.array(toy.FLAT))
    assert (flat.kind, flat.strict) == ("gradient-flat", True)
    np.testing.assert_allclose(flat.squared_gradient, (9 - 4 * 2**0.5) ** 2)
    assert flat.profile is not None
    assert min(flat.profile.values()) == 1
    # No Newton step removes anything of the gradient there.
    np.testing.assert_allclose(flat.residual, 1)
    assert flat.cokernel_residual < 1e-12
    saddle = classify(toy.loss(), np.array(toy.FLAT_SADDLE))
    assert (saddle.kind, saddle.strict) == ("gradient-flat", False)
    assert classify(toy.loss(), np.array(toy.CRITICAL)).kind == "minimum"
    # A finder that stopped a little beside it: the verdict says where the flat point is.
    beside = classify(toy.loss(), np.array([1.4, 0.02]))
    assert (beside.kind, beside.strict) == ("gradient-flat", True)
    assert "away" in str(beside)
    assert classify(toy.loss(), np.array([3.0, 1.0])).kind == "not converged"


@pytest.mark.parametrize("method", ["newton_mr", "gnm", "lm", "damped_newton"])
def test_no_finder_s_flat_end_is_called_critical(method: str) -> None:
    found = find_critical_points(toy.loss(), toy.grid_of_starts(), method)
    verdicts = found.classify(quiet=True)
    kinds = [verdict.kind for verdict in verdicts]
    assert [kind in CRITICAL for kind in kinds] == (found.squared_gradient <= 1e-10).tolist()
    for verdict, theta in zip(verdicts, found.theta, strict=True):
        if verdict.kind == "gradient-flat":
            assert np.linalg.norm(theta - toy.FLAT) < 1
    flat = kinds.count("gradient-flat")
    low, high = {"newton_mr": (30, 50), "gnm": (66, 74)}.get(method, (30, 70))
    assert low <= flat <= high


def test_every_kind_of_critical_point_of_a_linear_autoencoder() -> None:
    covariance = np.diag([0.5, 1.0, 2.0, 4.0])
    loss = linear_autoencoder.loss(covariance, 2)
    rng = np.random.default_rng(0)
    for record in linear_autoencoder.theory(covariance, 2):
        theta = linear_autoencoder.representative(record.subset, covariance, 2, rng.standard_normal((2, 2)))
        verdict = classify(loss, theta)
        assert verdict.kind == ("minimum" if record.subset == (2, 3) else "saddle")
        assert (verdict.index, verdict.nullity) == (record.n_negative, record.n_zero)
        if verdict.kind == "minimum":
            assert str(verdict).startswith(f"minimum (flat, nullity {record.n_zero})")


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_a_non_strict_saddle_is_no_minimum(depth: int) -> None:
    eigenvalues = [1.0, 2.0, 3.0, 4.0]
    loss = deep_linear.loss(eigenvalues, 2, depth)
    for record in deep_linear.theory(eigenvalues, 2, depth):
        theta = deep_linear.representative(record.subset, eigenvalues, 2, depth, tight=record.tight)
        verdict = classify(loss, theta)
        if record.subset == (2, 3):
            assert verdict.kind == "minimum"
        elif record.n_negative == 0:
            assert verdict.kind == "degenerate"
        else:
            assert verdict.kind == "saddle"
            assert verdict.index == record.n_negative


def network(activation: type[nn.Module], *widths: int, samples: int = 40, l2: float = 0.0) -> Any:
    generator = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        linear = nn.Linear(a, b)
        for p in linear.parameters():
            torch.nn.init.normal_(p, std=a**-0.5, generator=generator)
        layers += [linear, activation()]
    X = torch.randn(samples, widths[0], generator=generator)
    y = torch.randint(widths[-1], (samples,), generator=generator)
    return module_loss(nn.Sequential(*layers[:-1]), "cross-entropy", X, y, l2=l2)


def test_relu_networks_are_non_smooth() -> None:
    loss = network(nn.ReLU, 4, 6, 3, l2=1e-3)
    theta = loss.theta0 + 0.3 * np.random.default_rng(0).standard_normal((4, len(loss.theta0)))
    found = find_critical_points(loss, theta, "newton_mr", max_iter=100)
    verdicts = found.classify(quiet=True)
    kinds = [v.kind for v in verdicts]
    assert kinds.count("non-smooth") >= 3
    assert set(kinds) <= {"non-smooth", "not converged"}
    assert "relu" in str(verdicts[kinds.index("non-smooth")])
    assert classify(loss, np.zeros_like(loss.theta0)).kind == "non-smooth"
    smooth = network(nn.SiLU, 4, 6, 3, l2=1e-3)
    ends = find_critical_points(smooth, theta, max_iter=100).classify(quiet=True)
    assert "non-smooth" not in [v.kind for v in ends]


def test_separable_data_without_a_penalty_diverge() -> None:
    X, y = [[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1]
    net = nn.Linear(1, 2)
    nn.init.zeros_(net.bias)
    nn.init.eye_(net.weight)
    loss = module_loss(net, "cross-entropy", X, y)
    found = find_critical_points(loss, loss.theta0 + np.array([1.0, 4.0, 0, 0]), max_iter=10)
    assert found.classify(quiet=True)[0].kind == "diverging"
    with_penalty = module_loss(net, "cross-entropy", X, y, l2=1e-3)
    verdict = find_critical_points(with_penalty).classify(quiet=True)[0]
    assert (verdict.kind, verdict.nullity) == ("minimum", 0)


@pytest.mark.parametrize("scale", [1.0, 3.0, 6.0, 10.0, 15.0, 20.0, 30.0])
def test_saturated_outputs_diverge_whatever_is_left_of_the_gradient(scale: float) -> None:
    # Rounding of probabilities near 1 is far above the curvature here, and is no kink.
    X, y = [[-2.0, 0.3], [-1.0, 0.1], [1.0, -0.5], [2.0, 0.2]], [0, 0, 1, 1]
    loss = module_loss(nn.Linear(2, 2), "cross-entropy", X, y)
    assert classify(loss, scale * np.array([-1.0, 0, 1, 0, 0, 0])).kind == "diverging"


def test_a_stalled_run_of_training_needs_one_line() -> None:
    verdict = classify(network(nn.SiLU, 4, 6, 3))
    assert verdict.kind == "not converged"
    assert "continue with find_critical_points(loss, theta, 'lm'" in str(verdict)


def test_flatness_is_measured_and_not_taken_from_a_solver_that_stopped_early() -> None:
    # A curvature of 1e-2 along the gradient: a solver with the tolerance 0.1 returns no step and r = 1.
    loss = quadratic(1, 1e-2)
    verdict = classify(loss, point(0, 1))
    assert verdict.kind == "not converged"
    assert verdict.residual < 1e-10
    # A valley is flat along the gradient, too, but a search reaches its minimum.
    verdict = classify(quadratic(1, 1e-4), point(0, 1))
    assert verdict.kind == "not converged"
    np.testing.assert_allclose(verdict.curvature_ratio, 1e-4)
    assert "A search from here reaches a critical point" in str(verdict)


def rosenbrock(t: Tensor) -> Tensor:
    return 100 * (t[1] - t[0] ** 2) ** 2 + (1 - t[0]) ** 2


@pytest.mark.parametrize(
    "theta", [(0.99235584, 0.98473938), (0.32726277, 0.1040128), (-0.34334505, -0.14934594), (1.5, 2.2)]
)
def test_on_the_way_along_a_valley(theta: tuple[float, float]) -> None:
    assert classify(rosenbrock, point(*theta)).kind == "not converged"
    assert find_critical_points(rosenbrock, point(*theta)).classify(quiet=True)[0].kind == "minimum"


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_scale_of_the_loss_changes_no_verdict(scale: float) -> None:
    def scaled(t: Tensor) -> Tensor:
        return scale * toy.value(t)

    assert classify(scaled, point(*toy.FLAT)).kind == "gradient-flat"
    assert classify(scaled, point(*toy.CRITICAL)).kind == "minimum"

    def with_a_downward_direction(t: Tensor) -> Tensor:
        return scale * (toy.value(t[:2]) - 5 * t[2] ** 2)

    # Not a saddle, however small its gradient is.
    assert classify(with_a_downward_direction, point(*toy.FLAT, 0)).kind == "gradient-flat"
    himmelblau = find_critical_points(
        lambda t: scale * ((t[0] ** 2 + t[1] - 11) ** 2 + (t[0] + t[1] ** 2 - 7) ** 2),
        5 * np.random.default_rng(0).uniform(-1, 1, (60, 2)),
        gtol=scale**2 * 1e-20,
    )
    # Nine points; two pairs of its minima and saddles share neither loss nor index, four minima have loss 0.
    assert len(himmelblau.distinct()) == 6


def falling_along_one_of_many(t: Tensor) -> Tensor:
    signs = torch.ones(len(t), dtype=torch.float64)
    signs[0], signs[7] = 0, -1
    return t[0] ** 2 + (signs * t**4).sum()


@pytest.mark.parametrize(
    ("loss", "N"),
    [
        (falling_along_one_of_many, 20),
        (falling_along_one_of_many, 50),
        (lambda t: t[1] ** 2 - t[0] ** 4 + 1e8, 2),
        (lambda t: t[1] ** 2 - 1e-3 * t[0] ** 6 + 1e3, 2),
        (lambda t: 1 + (t[0] ** 2 - 1e-9 * t[1] ** 2) / 2, 2),
    ],
)
def test_a_small_fall_beside_a_large_loss_is_seen(loss: Any, N: int) -> None:
    assert classify(loss, np.zeros(N)).kind == "degenerate"


@pytest.mark.parametrize(
    "loss",
    [
        lambda t: t[0] ** 2 + t[1] ** 4 - 1e3 * t[1] ** 6,
        lambda t: (t[0] ** 2 - t[1] ** 2) ** 2 + t[2] ** 2,
        lambda t: 1e8 + t[0] ** 2 + t[1] ** 4,
    ],
)
def test_a_rise_nearby_is_a_minimum(loss: Any) -> None:
    assert classify(loss, np.zeros(3)).kind == "minimum"


def test_escaping_beside_a_stiff_direction() -> None:
    def tail(t: Tensor) -> Tensor:
        return t[1] ** 2 + torch.exp(-t[0])

    assert classify(lambda t: torch.exp(990 - t).sum(), point(1003)).kind == "diverging"
    for x in (5.0, 10.0, 15.0, 20.0, 25.0, 30.0):
        assert classify(tail, point(x, 0)).kind in ("diverging", "gradient-flat", "not converged")


def test_strict_is_said_of_minima_of_the_gradient_norm_only() -> None:
    # |g| is constant along x, and has a maximum along x.
    assert classify(lambda t: t[0] + t[1] ** 2, point(0, 0)).strict is None
    assert classify(lambda t: t[1] ** 2 + t[0] - t[0] ** 5 / 5, point(0, 0)).strict is None


def test_right_derivatives_of_any_scale_are_not_refused() -> None:
    for n in (2, 5):
        exact = numpy_loss(rosen, rosen_der, hess=rosen_hess)
        assert classify(exact, np.ones(n)).kind == "minimum"
        assert find_critical_points(exact, np.full(n, 0.3)).status[0] == "converged"
    cubic = numpy_loss(lambda t: t[0] ** 3, lambda t: 3 * t**2, hess=lambda t: np.diag(6 * t))
    assert classify(cubic, [0.0]).kind == "degenerate"
    fine = numpy_loss(
        lambda t: np.cos(1e4 * t).sum(),
        lambda t: -1e4 * np.sin(1e4 * t),
        hess=lambda t: np.diag(-1e8 * np.cos(1e4 * t)),
    )
    assert classify(fine, [np.pi * 1e-4]).kind == "minimum"
    # A start that is the direction of the test itself, where a homogeneous function has no curvature.
    start = np.random.default_rng(0).standard_normal(9)
    assert classify(lambda t: torch.linalg.svdvals(t.view(3, 3)).sum(), start).kind in KINDS


def test_beyond_the_domain_is_no_kink() -> None:
    for x in (5e-5, 1e-8):
        assert classify(lambda t: -torch.log(t[0]) + t[0], point(x)).kind == "not converged"
    assert classify(lambda t: torch.exp(t).sum() - t.sum(), point(360, 1)).kind == "not converged"


def test_separable_data_diverge_wherever_a_search_ended() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    loss = module_loss(nn.Linear(3, 2), "cross-entropy", X, (X[:, 0] > 0).astype(int))
    for seed in range(4):
        theta = 0.3 * np.random.default_rng(seed).standard_normal(8)
        assert find_critical_points(loss, theta).classify(quiet=True)[0].kind == "diverging"


def test_a_network_that_fits_its_data_is_checked_in_batches() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    X = torch.randn(9, 2)
    y = net(X).detach()
    assert classify(module_loss(net, "squared", X, y, batch_size=4)).kind == "minimum"
    with pytest.raises(InputError, match="the mean over samples"):
        module_loss(net, lambda output, target: (output - target).square().sum(), X, y, batch_size=4)


def test_wrong_second_derivatives_are_refused() -> None:
    square: dict[str, Any] = {
        "fun": lambda t: (t**2).sum(),
        "grad": lambda t: 2 * t,
        "hess": lambda t: 2 * np.eye(2),
    }
    theta = np.array([0.1, 0.2])
    assert classify(numpy_loss(**square), np.zeros(2)).kind == "minimum"
    for change, message in (
        ({"hess": lambda t: -2 * np.eye(2)}, "grad and hess do not agree"),
        ({"grad": lambda t: 3 * t}, "fun and grad do not agree"),
        ({"hess": lambda t: np.eye(3)}, r"hess returns shape \(3, 3\) for 2 parameters"),
    ):
        changed: dict[str, Any] = square | change
        with pytest.raises(InputError, match=message):
            classify(numpy_loss(**changed), theta)
    torch.manual_seed(0)
    hidden = torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    net = nn.Sequential(hidden, nn.Tanh(), nn.Linear(3, 1))
    # The double backward of torch's fused weight norm is wrong.
    with pytest.raises(InputError, match="second derivatives are not those of a function"):
        classify(module_loss(net, "squared", torch.randn(30, 2), torch.randn(30, 1)))
    attention = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    loss = module_loss(attention, "squared", torch.randn(3, 5, 4), torch.randn(3, 5, 4))
    with pytest.raises(InputError, match="no second derivatives"):
        classify(loss)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert classify(loss).kind == "not converged"


@pytest.mark.parametrize(
    ("curvature", "kind"), [(1.0, "minimum"), (-1.0, "saddle"), (0.0, "degenerate"), (1e-11, "degenerate")]
)
def test_more_parameters_than_a_dense_hessian_takes(curvature: float, kind: str) -> None:
    N = 5200
    scale = torch.linspace(1, 2, N, dtype=torch.float64)
    scale[-1] = curvature

    def loss(theta: Tensor) -> Tensor:
        return (scale * theta**2).sum() / 2

    verdict = classify(loss, np.zeros(N))
    assert verdict.kind == kind
    assert verdict.index == (0 if kind == "minimum" else None)
    if not curvature:
        assert classify(lambda t: loss(t) + 0.1 * t[-1], np.zeros(N)).kind == "gradient-flat"


def test_a_maximum_of_many_parameters() -> None:
    verdict = classify(lambda t: -(t**2).sum(), np.zeros(5200))
    assert (verdict.kind, verdict.index, verdict.nullity) == ("maximum", 5200, 0)


def test_what_is_refused() -> None:
    square = quadratic(1, 1)
    for theta, options, message in (
        (np.ones((2, 2)), {}, "theta has 2 rows; expected one point"),
        (np.array([1, 2]), {}, "theta holds integers"),
        (np.array([np.nan, 2]), {}, "NaN or infinite"),
        (np.ones(2), {"tolerance": 0.0}, "tolerance must be above 0"),
        (np.ones(2), {"flat_tolerance": 2.0}, "flat_tolerance must be above 0 and at most 1"),
        (np.ones(2), {"index_tolerance": -1.0}, "index_tolerance must be above 0"),
        (None, {}, "theta is missing"),
    ):
        with pytest.raises(InputError, match=message):
            classify(square, theta, **options)
    with pytest.raises(InputError, match="returns shape"):
        classify(lambda t: t**2, point(1, 2))
    with pytest.raises(InputError, match="NaN or infinite at start 0"):
        classify(lambda t: torch.log(t).sum(), point(-1, 2))
