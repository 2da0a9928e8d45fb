"""Models of the study `noise-profiles`, by name: nearest neighbours, trees, kernels and nets."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from solvable.checks import choice
from solvable.kernels import Gaussian, Kernel, Laplace
from solvable.kernels.names import as_kernel
from solvable.overfitting.stopping import TrainedUntil

_MOST_EPOCHS = 500


@dataclass(frozen=True)
class Machine:
    """A procedure, with the model for each training size.

    Attributes:
        name: in legends.
        estimator: `n_train -> estimator`; None for a kernel machine.
        kernel: `length scale -> kernel`, for a kernel machine.
        ridged: whether a kernel machine has the study's ridge.
        neighbours: `n_train -> k`, for nearest neighbours, whose profile is known.
    """

    name: str
    estimator: Callable[[int], Any] | None = None
    kernel: Callable[[float], Kernel] | None = None
    ridged: bool = False
    neighbours: Callable[[int], int] | None = None


def log_neighbours(n_train: int) -> int:
    """Return the largest odd number up to log2 n, a k whose slow growth makes the cost of noise vanish.

    >>> [log_neighbours(n) for n in (100, 1000, 8000)]
    [5, 9, 11]
    """
    return max(1, (int(math.log2(n_train)) - 1) // 2 * 2 + 1)


def _nearest(name: str, k: Callable[[int], int]) -> Machine:
    def estimator(n_train: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(min(k(n_train), n_train))

    return Machine(name, estimator, neighbours=k)


def _tree(_: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0)


def _forest(_: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(50, random_state=0)


def _perceptron(stop: Any) -> Callable[[int], Any]:
    def estimator(_: int) -> Any:
        from sklearn.neural_network import MLPClassifier

        net = MLPClassifier((256, 256), alpha=0.0, batch_size=64, random_state=0)  # pyright: ignore
        return TrainedUntil(net, stop=stop, max_epochs=_MOST_EPOCHS, random_state=0)

    return estimator


MACHINES: Mapping[str, Machine] = {
    "1-nn": _nearest("1-NN", lambda n: 1),
    "5-nn": _nearest("5-NN", lambda n: 5),
    "log-nn": _nearest("log n-NN", log_neighbours),
    "tree": Machine("tree", _tree),
    "forest": Machine("forest", _forest),
    "laplace": Machine("Laplace", kernel=lambda scale: Laplace(scale)),
    "laplace-ridge": Machine("Laplace, ridge", kernel=lambda scale: Laplace(scale), ridged=True),
    "gaussian": Machine("Gaussian", kernel=lambda scale: Gaussian(scale)),
    "ntk": Machine("ReLU NTK", kernel=lambda _: as_kernel("relu ntk")),
    "ntk-ridge": Machine("ReLU NTK, ridge", kernel=lambda _: as_kernel("relu ntk"), ridged=True),
    "mlp": Machine("MLP, interpolated", _perceptron("interpolation")),
    "mlp-early": Machine("MLP, stopped early", _perceptron("validation")),
}
"""Name on the command line -> machine. Nets have two hidden layers of 256 ReLUs; forests have 50 trees."""


def machine(word: str) -> Machine:
    """Return a machine by its name.

    Raises:
        InputError: for an unknown name.
    """
    return MACHINES[choice("model", word, MACHINES)]
