"""Shared parts of the activation studies: activations by name, networks and their kernels."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.checks import one_number
from solvable.datasets.sphere import Split
from solvable.errors import InputError, missing_extra
from solvable.kernels import NTK
from solvable.kernels.duals import Activation, Sine, as_activation

if TYPE_CHECKING:
    from solvable.networks import FullyConnected, Training

_NUMBER = r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"
_SINUSOID = re.compile(rf"{_NUMBER}?\s*\*?\s*(sin|cos)\s*\(?\s*{_NUMBER}?\s*\*?\s*z?\s*\)?", re.IGNORECASE)


def need_torch() -> None:
    """Raise if torch is not installed, before a study computes its predictions.

    Raises:
        MissingExtraError: with the `pip install` command.
    """
    if find_spec("torch") is None:
        raise missing_extra("torch", "nets", "a study that trains networks")


def activation_of(words: str) -> Activation:
    r"""Return the activation for a text on the command line: a name, or a sinusoid with amplitude and frequency.

    >>> activation_of("0.5 sin 6z")
    Sine(amplitude=0.5, frequency=6.0, phase=0.0)
    >>> activation_of("relu")
    ABReLU(negative=0.0, positive=1.0)
    """
    match = _SINUSOID.fullmatch(words.strip())
    if not match:
        return as_activation(words)
    amplitude, name, frequency = match.groups()
    phase = np.pi / 2 if name.lower() == "cos" else 0.0
    limits = {"at_least": 1e-6, "at_most": 1e6}
    return Sine(
        one_number(f"the amplitude of {words!r}", float(amplitude or 1.0), **limits),
        one_number(f"the frequency of {words!r}", float(frequency or 1.0), **limits),
        phase,
    )


def check_gain(w_std: float, depth: int, largest: float) -> None:
    """Raise unless weights of a standard deviation keep outputs and gradients of a deep network representable.

    Args:
        w_std: standard deviation of the weights, times 1/sqrt(fan in).
        depth: number of hidden layers, each of which may multiply its inputs by `w_std`.
        largest: largest factor over all layers, and inverse of the smallest one.

    Raises:
        InputError: naming `w_std`.
    """
    one_number("w_std", w_std, above=0)
    if depth * abs(np.log(w_std)) > np.log(largest):
        factor = largest ** (1 / depth)
        raise InputError(
            f"w_std is {w_std:g} over {depth} hidden layer{'s' * (depth > 1)}, beyond the range of floats; "
            f"expected between {1 / factor:.2g} and {factor:.2g}"
        )


@dataclass(frozen=True)
class Model:
    """A network of finite width and its infinite-width kernel.

    Attributes:
        name: name in tables and legends.
        activation: activation of the hidden layers.
        depth: number of hidden layers.
        width: width of each hidden layer.
        w_std: standard deviation of the hidden layers' weights.
        b_std: standard deviation of the hidden layers' biases.
    """

    name: str
    activation: Activation
    depth: int
    width: int
    w_std: float
    b_std: float

    def kernel(self) -> NTK:
        """Return the tangent kernel at infinite width."""
        return NTK(self.depth, self.activation, w_std=self.w_std, b_std=self.b_std)

    def n_parameters(self, d: int, n_outputs: int) -> int:
        """Return the number of trained weights and biases."""
        fan = [d, *(self.width,) * self.depth, n_outputs]
        biases = self.width * self.depth if self.b_std else 0
        return sum(a * b for a, b in pairwise(fan)) + biases

    def net(self, d: int, n_outputs: int, seed: int) -> "FullyConnected":
        """Return the network, in single precision."""
        import torch

        from solvable.networks import FullyConnected

        return FullyConnected(
            d,
            (self.width,) * self.depth,
            n_outputs,
            self.activation,
            w_std=self.w_std,
            b_std=self.b_std,
            random_state=seed,
            dtype=torch.float32,
        )

    def train(
        self, split: Split, rate: float, steps: int, record_at: NDArray[np.int64], seed: int
    ) -> "Training":
        """Train the network minus its initial output and return the records."""
        from solvable.networks import centred, train

        net = self.net(split.X.shape[1], split.y.shape[1], seed)
        return train(
            centred(net),
            split.X,
            split.y,
            rate,
            steps,
            X_test=split.X_test,
            y_test=split.y_test,
            record_at=record_at,
        )

    def measured_curve(self, d: int, cosine: Float[NDArray, "m"], seed: int) -> Float[NDArray, "m"]:
        r"""Return the kernel of one network of finite width between a random point and points at the given cosines.

        Args:
            d: number of coordinates of the points, at least 2; they have norm $\sqrt d$.
            cosine: cosines in [-1, 1].
            seed: seed of weights and points.
        """
        from solvable.kernels.empirical import empirical_ntk

        axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, 2)))[0]
        X = np.sqrt(d) * axes.T[:1]
        Z = np.sqrt(d) * (np.outer(cosine, axes[:, 0]) + np.outer(np.sqrt(1 - cosine**2), axes[:, 1]))
        return np.asarray(empirical_ntk(self.net(d, 1, seed).double(), X, Z))[0]
