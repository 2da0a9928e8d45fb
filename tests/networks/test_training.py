"""The training loop against closed forms of linear models and wide networks, and against PyTorch's optimiser."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.kernels.empirical import empirical_ntk
from solvable.networks import FullyConnected, centred, train
from solvable.networks.training import error_rate


def problem(n: int = 30, d: int = 5, outputs: int = 2) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n + 20, d))
    X *= np.sqrt(d) / np.linalg.norm(X, axis=1, keepdims=True)
    y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)[:, :outputs]
    return X[:n], y[:n], X[n:], y[n:]


def linear_in_parameters(
    K: np.ndarray, K_test: np.ndarray, y: np.ndarray, y_test: np.ndarray, rate: float, t: int
):
    """Return losses after t steps of f <- f - 2 rate/n K (f - y), by the recursion itself."""
    f, g = np.zeros_like(y), np.zeros_like(y_test)
    for _ in range(t):
        residual = 2 * rate / len(y) * (f - y)
        f, g = f - K @ residual, g - K_test @ residual
    return np.square(f - y).sum() / len(y), np.square(g - y_test).sum() / len(y_test)


def test_linear_model_is_its_recursion() -> None:
    X, y, X_test, y_test = problem()
    net = centred(torch.nn.Linear(5, 2, bias=False).double())
    done = train(net, X, y, 0.3, 25, X_test=X_test, y_test=y_test, record_at=[0, 7, 25])
    for i, t in enumerate((0, 7, 25)):
        expected = linear_in_parameters(X @ X.T, X_test @ X.T, y, y_test, 0.3, t)
        assert done.train_loss[i] == pytest.approx(expected[0], rel=1e-12)
        assert done.test_loss[i] == pytest.approx(expected[1], rel=1e-12)
    assert np.isnan(done.test_error_rate).all()  # the targets are no classes


def test_wide_network_follows_its_infinite_width_kernel() -> None:
    X, y, X_test, y_test = problem()
    net = FullyConnected(5, 2**14, 2, "erf", b_std=0.1)
    kernel = net.kernel()
    done = train(centred(net), X, y, 0.2, 20, X_test=X_test, y_test=y_test, record_at=[5, 20])
    for i, t in enumerate((5, 20)):
        expected = linear_in_parameters(kernel(X), kernel(X_test, X), y, y_test, 0.2, t)
        assert done.train_loss[i] == pytest.approx(expected[0], rel=0.02)
        assert done.test_loss[i] == pytest.approx(expected[1], rel=0.02)
    assert done.movement[0] < done.movement[1] < 0.01


def test_finite_network_follows_its_own_kernel_for_small_steps() -> None:
    X, y, X_test, y_test = problem()
    net = FullyConnected(5, [64, 64], 2, "tanh")
    # One step of a small rate moves no feature: exact to first order for any width.
    K = empirical_ntk(net, np.concatenate([X, X_test]), outputs="full")
    n, rate = len(X), 1e-5
    output = np.einsum("xzab,zb->xa", K[:, :n], 2 * rate / n * y)
    done = train(centred(net), X, y, rate, 1, X_test=X_test, y_test=y_test)
    assert done.train_loss[-1] - done.train_loss[0] == pytest.approx(
        (np.square(output[:n] - y).sum() - np.square(y).sum()) / n, rel=1e-3
    )


@pytest.mark.parametrize("batch", [None, 7, 1000])
def test_is_torch_s_gradient_descent_whatever_the_batch(batch) -> None:
    X, y, _, _ = problem()
    ours = FullyConnected(5, [32, 16], 2, "gelu", b_std=0.2, random_state=3)
    theirs = FullyConnected(5, [32, 16], 2, "gelu", b_std=0.2, random_state=3)
    done = train(ours, X, y, 0.05, 12, batch=batch)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    start = theirs.layers[0].linear.weight.detach().clone()  # pyright: ignore
    for _ in range(12):
        optimizer.zero_grad()
        (theirs(torch.as_tensor(X)) - torch.as_tensor(y)).square().sum(1).mean().backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=0, atol=1e-13)
    moved = (theirs.layers[0].linear.weight.detach() - start).norm() / start.norm()  # pyright: ignore
    assert done.movement[-1] == pytest.approx(float(moved), rel=1e-10)


def test_centred_training_moves_the_module_itself() -> None:
    X, y, _, _ = problem()
    net = FullyConnected(5, 64, 2)
    module = centred(net)
    done = train(module, X, y, 0.1, 5)
    output = module(torch.as_tensor(X)).detach().numpy()
    assert float(np.square(output - y).sum(1).mean()) == pytest.approx(done.train_loss[-1], rel=1e-12)
    assert done.train_loss[0] == pytest.approx(np.square(y).sum(1).mean(), rel=1e-12)


def test_stops_where_it_should_and_says_so() -> None:
    X, y, _, _ = problem(outputs=1)
    net = centred(FullyConnected(5, 256, 1))
    done = train(net, X, y, 0.2, 5000, stop_at=0.05, record_at=[1, 10, 5000])
    assert done.train_loss[-1] <= 0.05 < done.train_loss[-2]
    assert f"reached 0.05 after {done.steps[-1]} steps" in done.stopped
    assert not done.diverged
    assert done.at([1, 5000], "train_loss").tolist() == [done.train_loss[0], done.train_loss[-1]]
    with pytest.raises(InputError, match="step 7 was not recorded"):
        done.at([7], "train_loss")

    lost = train(centred(FullyConnected(5, 256, 1)), X, y, 50.0, 1000)
    assert lost.diverged
    assert lost.steps[-1] < 50
    assert "diverged" in lost.stopped
    assert np.isnan(lost.at([1000], "train_loss")).all()


def test_error_rates() -> None:
    one_hot = np.eye(3)[[0, 1, 2, 2]]
    outputs = np.array([[2.0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0.1]])
    assert error_rate(outputs, one_hot) == 0.25
    assert error_rate(outputs, one_hot - 1 / 3) == 0.25
    assert np.isnan(error_rate(outputs, outputs + np.arange(12.0).reshape(4, 3)))
    assert np.isnan(error_rate(outputs[:, :1], np.array([[1.0], [2.0], [1.0], [2.0]])))
    assert error_rate(outputs[:, :1], np.array([[1.0], [1.0], [-1.0], [-1.0]])) == 0.75


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate": 0.0}, "rate must be .*; got 0"),
        ({"steps": 0}, "steps must be .*; got 0"),
        ({"record_at": [11]}, "from 0 to steps = 10"),
        ({"record_at": [1.5]}, "1.5"),
        ({"batch": 0}, "batch must be .*; got 0"),
        ({"y": np.zeros(29)}, "same n"),
        ({"y": np.zeros((30, 3))}, "change the readout or the targets"),
        ({"X": np.full((30, 5), np.nan)}, "X holds NaN"),
        ({"X": [["a"] * 5] * 30}, "no numbers"),
        ({"X_test": np.zeros((3, 5))}, "without y_test"),
        ({"y_test": np.zeros((3, 2))}, "y_test was given without X_test"),
        ({"module": torch.nn.Linear(5, 2).requires_grad_(False)}, "no trainable parameters"),
    ],
)
def test_refusals(options, sentence) -> None:
    X, y, _, _ = problem()
    given = {"module": torch.nn.Linear(5, 2).double(), "X": X, "y": y, "rate": 0.1, "steps": 10} | options
    with pytest.raises(InputError, match=sentence):
        train(**given)


def test_torch_is_asked_for_only_when_nets_are_trained() -> None:
    code = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("no torch here")

sys.meta_path.insert(0, NoTorch())
import solvable.activations.kernel_convergence, solvable.activations.parity, solvable.activations.study
try:
    import solvable.networks
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "training networks needs torch" in done.stdout, done.stderr
    assert "pip install 'solvable[nets]'" in done.stdout
