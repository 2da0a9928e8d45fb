"""Trajectories against gradient descent written out, and the distribution of starts."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.landscapes.losses import numpy_loss
from solvable.landscapes.sampling import descend, sample_starts
from solvable.landscapes.torch_losses import module_loss


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_of_a_module_is_written_out_gradient_descent(momentum) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU(), torch.nn.Linear(4, 2)).double()
    X, y = torch.randn(9, 3, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    loss = module_loss(net, "squared", X, y, batch_size=4, l2=0.01)
    path, losses = descend(loss, learning_rate=0.05, n_steps=20, momentum=momentum)
    parameters = list(net.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    for step in range(21):
        flat = torch.cat([p.detach().flatten() for p in parameters])
        value: torch.Tensor = (net(X) - y).square().sum(1).mean() + 0.01 * sum(
            p.square().sum() for p in parameters
        )
        np.testing.assert_allclose(path[step], flat.numpy(), rtol=0, atol=1e-12)
        assert losses[step] == pytest.approx(value.item(), rel=1e-12)
        for i, g in enumerate(torch.autograd.grad(value, parameters)):
            velocity[i] = momentum * velocity[i] + g
        with torch.no_grad():
            for p, v in zip(parameters, velocity, strict=True):
                p -= 0.05 * v
    assert path.shape == (21, 26)
    np.testing.assert_array_equal(path[0], loss.theta0)


def test_descent_of_functions() -> None:
    start = np.array([1.0, 0.5])
    # A loss below zero, and a saddle.
    path, losses = descend(lambda t: t[0] ** 2 - t[1] ** 2, start, learning_rate=0.1, n_steps=6)
    powers = np.arange(7)[:, None]
    np.testing.assert_allclose(path, start * np.array([0.8, 1.2]) ** powers, rtol=1e-12)
    np.testing.assert_allclose(losses, path[:, 0] ** 2 - path[:, 1] ** 2, rtol=1e-12)
    assert losses[-1] < 0
    same = numpy_loss(
        lambda t: t[0] ** 2 - t[1] ** 2,
        lambda t: np.array([2, -2]) * t,
        hessp=lambda t, v: np.array([2, -2]) * v,
    )
    np.testing.assert_allclose(descend(same, start, learning_rate=0.1, n_steps=6)[0], path, rtol=1e-12)


def test_heights_are_uniform_and_iterations_are_not() -> None:
    losses = np.exp(-np.linspace(0, 10, 2001))
    path = np.stack([losses, np.arange(2001.0)], axis=1)
    by_height = sample_starts(path, losses, 4000)[:, 0]
    # Kolmogorov-Smirnov distance to the uniform distribution: 1.63 / sqrt(n) is its 99 % point.
    assert np.abs(np.sort(by_height) - np.linspace(0, 1, 4000)).max() < 1.63 / np.sqrt(4000)
    by_step = sample_starts(path, losses, 4000, "iteration")[:, 1] / 2000
    assert np.abs(np.sort(by_step) - np.linspace(0, 1, 4000)).max() < 1.63 / np.sqrt(4000)
    np.testing.assert_array_equal(sample_starts(path, losses, 5), sample_starts(path, losses, 5))
    assert not np.array_equal(sample_starts(path, losses, 5), sample_starts(path, losses, 5, random_state=1))


def test_the_nearest_height_of_losses_that_go_up_and_down() -> None:
    losses = np.array([3.0, 1.0, 2.0, 0.0])
    starts = sample_starts(np.arange(4.0)[:, None], losses, 2000)[:, 0].astype(int)
    share = np.bincount(starts, minlength=4) / 2000
    np.testing.assert_allclose(share, [1 / 6, 1 / 3, 1 / 3, 1 / 6], atol=0.04)


def test_half_of_the_starts_are_moved() -> None:
    path, losses = np.zeros((2, 400)), np.array([1.0, 0.0])
    starts = sample_starts(path, losses, 7, noise_std=0.1)
    assert not starts[:4].any()
    assert starts[4:].std() == pytest.approx(0.1, rel=0.1)
    assert not path.any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trajectory": np.zeros(3)}, "shape \\(3,\\)"),
        ({"losses": np.zeros(4)}, "losses \\(4,\\)"),
        ({"losses": [0.0, np.inf, 1.0]}, "after training diverged"),
        ({"how": "loss"}, "unknown how 'loss'"),
        ({"n": 0}, "n must be"),
        ({"noise_std": -1.0}, "noise_std must be"),
    ],
)
def test_refusals(options, sentence) -> None:
    given = {"trajectory": np.zeros((3, 2)), "losses": np.zeros(3), "n": 2} | options
    with pytest.raises(InputError, match=sentence):
        sample_starts(**given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"learning_rate": 3.0}, "diverged after .* steps at learning_rate 3"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"momentum": 1.0}, "below 1"),
        ({"n_steps": 0}, "steps must be"),
        ({"theta0": None}, "theta0 is missing"),
    ],
)
def test_refusals_of_descent(options, sentence) -> None:
    given = {"theta0": np.ones(2), "learning_rate": 0.1, "n_steps": 100} | options
    with pytest.raises(InputError, match=sentence):
        descend(lambda t: (t**2).sum(), **given)


def test_starts_need_no_torch() -> None:
    code = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("no torch here")

sys.meta_path.insert(0, NoTorch())
from solvable.landscapes.sampling import descend, sample_starts
print(sample_starts([[1.0]], [1.0], 1).tolist())
try:
    descend(None, learning_rate=1.0, n_steps=1)
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[[1.0]]"), done.stderr
    assert "pip install 'solvable[nets]'" in done.stdout
