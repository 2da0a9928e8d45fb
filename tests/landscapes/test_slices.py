"""Slices against the loss itself, point by point."""

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.landscapes.losses import numpy_loss
from solvable.landscapes.slices import loss_slice
from solvable.landscapes.torch_losses import module_loss


def quartic(t: torch.Tensor) -> torch.Tensor:
    x, y, z = t
    return x**4 / 4 - 3 * x**2 + 9 * x + 0.9 * y**4 + 5 * y**2 - z**2


THETA = np.array([0.3, -0.2, 0.1])


def at(theta: np.ndarray) -> float:
    return float(quartic(torch.as_tensor(theta)))


def test_arrays_are_used_as_they_are() -> None:
    d1, d2 = np.array([1.0, 2.0, 0.0]), np.array([0.0, 1.0, -1.0])
    cut = loss_slice(quartic, THETA, d1, extent=2.0, n=5)
    assert cut.coordinates.tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(cut.loss, [at(THETA + a * d1) for a in cut.coordinates], rtol=1e-12)
    plane = loss_slice(quartic, THETA, [d1, torch.as_tensor(d2)], extent=0.5, n=13)
    assert plane.labels == ("direction 1", "direction 2")
    for i, a in enumerate(plane.coordinates):
        for j, b in enumerate(plane.coordinates):
            assert plane.loss[i, j] == pytest.approx(at(THETA + a * d1 + b * d2), rel=1e-12)
    np.testing.assert_array_equal(
        loss_slice(quartic, THETA, np.stack([d1, d2]), extent=0.5, n=13).loss, plane.loss
    )
    np.testing.assert_array_equal(loss_slice(quartic, THETA, d1.tolist(), extent=2.0, n=5).loss, cut.loss)


def test_directions_by_name() -> None:
    x, y, z = THETA
    gradient = np.array([x**3 - 6 * x + 9, 3.6 * y**3 + 10 * y, -2 * z])
    along = loss_slice(quartic, THETA, "gradient", extent=1e-3, n=3)
    np.testing.assert_allclose(along.directions[0], gradient / np.linalg.norm(gradient), rtol=1e-12)
    assert along.loss[0] < along.loss[1] < along.loss[2]
    # The Hessian is diagonal: 3 x^2 - 6, 10.8 y^2 + 10, -2.
    both = loss_slice(quartic, THETA, ["escape", "stiffest"], n=3)
    np.testing.assert_allclose(np.abs(both.directions), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert both.labels == ("escape", "stiffest")
    one, two = (loss_slice(quartic, THETA, ("random", "random"), n=3, random_state=s) for s in (0, 1))
    np.testing.assert_allclose(np.linalg.norm(one.directions, axis=1), 1)
    assert abs(one.directions[0] @ one.directions[1]) < 0.999
    assert not np.allclose(one.directions, two.directions)
    np.testing.assert_array_equal(one.loss, loss_slice(quartic, THETA, ["random", "random"], n=3).loss)


def test_scaling_per_layer_leaves_zero_layers_where_they_are() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with torch.no_grad():
        net[0].bias.zero_()  # pyright: ignore
        net[2].weight.mul_(10)  # pyright: ignore
    X, y = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64)
    loss = module_loss(net, "squared", X, y)
    direction = np.zeros(21)
    direction[:20] = np.random.default_rng(0).standard_normal(20)
    direction[16:20] *= 1e-9  # a part of another size changes nothing
    cut = loss_slice(loss, directions=direction, n=5, per_layer=True)
    d = cut.directions[0]
    for name, part in loss.layers.items():
        # One has no parameters, and the other no part of the direction.
        expected = 0 if name in ("0.bias", "2.bias") else np.linalg.norm(loss.theta0[part])
        assert np.linalg.norm(d[part]) == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(cut.loss).all()
    for a, value in zip(cut.coordinates, cut.loss, strict=True):
        output = loss.module_at(loss.theta0 + a * d)(X).detach()
        assert value == pytest.approx(float((output - y).square().mean()), rel=1e-10)


def test_figures() -> None:
    curve = loss_slice(quartic, THETA, "gradient", n=11)
    (line,) = curve.plot().lines
    np.testing.assert_array_equal(line.get_ydata(), curve.loss)
    plane = loss_slice(quartic, THETA, ["gradient", "escape"], n=11)
    axes = plane.plot()
    assert axes.get_xlabel() == "step along gradient"
    assert axes.get_ylabel() == "step along escape"
    assert curve.plot(axes) is axes


def test_undefined_losses_leave_gaps() -> None:
    def root(t: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.sqrt(t[:, 0])

    loss = numpy_loss(
        root,
        lambda t: 0.5 / root(t)[:, None],
        hess=lambda t: (-0.25 / root(t) ** 3)[:, None, None],
        batched=True,
    )
    with np.errstate(divide="ignore"):
        cut = loss_slice(loss, np.array([1.0]), np.array([2.0]), n=3)
    np.testing.assert_allclose(cut.loss, [np.nan, 1, 3**0.5])
    assert cut.plot().lines


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"directions": "steepest"}, "unknown direction 'steepest'"),
        ({"directions": ["random"] * 3}, "3 of them"),
        ({"directions": []}, "0 of them"),
        ({"directions": np.ones(2)}, "shape \\(2,\\); expected shape \\(3,\\)"),
        ({"directions": np.zeros(3)}, "is zero"),
        ({"directions": np.array([np.inf, 0, 0])}, "infinite"),
        ({"extent": 0.0}, "extent must be above 0"),
        ({"n": 1}, "at least 2"),
        ({"per_layer": True}, "module_loss"),
    ],
)
def test_refusals(options, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        loss_slice(quartic, THETA, **options)


def test_no_gradient_direction_at_a_critical_point() -> None:
    with pytest.raises(InputError, match=r"zero at theta.*choose 'escape'"):
        loss_slice(lambda t: (t**2).sum(), np.zeros(2), "gradient")
