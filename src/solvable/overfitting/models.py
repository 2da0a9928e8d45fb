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
class Model:
    """A model to compare, for each training size.

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


def _nearest(name: str, k: Callable[[int], int]) -> Model:
    def estimator(n_train: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(min(k(n_train), n_train))

    return Model(name, estimator, neighbours=k)


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


MODELS: Mapping[str, Model] = {
    "1-nn": _nearest("1-NN", lambda n: 1),
    "5-nn": _nearest("5-NN", lambda n: 5),
    "log-nn": _nearest("log n-NN", log_neighbours),
    "tree": Model("tree", _tree),
    "forest": Model("forest", _forest),
    "laplace": Model("Laplace", kernel=lambda scale: Laplace(scale)),
    "laplace-ridge": Model("Laplace, ridge", kernel=lambda scale: Laplace(scale), ridged=True),
    "gaussian": Model("Gaussian", kernel=lambda scale: Gaussian(scale)),
    "ntk": Model("ReLU NTK", kernel=lambda _: as_kernel("relu ntk")),
    "ntk-ridge": Model("ReLU NTK, ridge", kernel=lambda _: as_kernel("relu ntk"), ridged=True),
    "mlp": Model("MLP, interpolated", _perceptron("interpolation")),
    "mlp-early": Model("MLP, stopped early", _perceptron("validation")),
}
"""Name on the command line -> model. Nets have two hidden layers of 256 ReLUs; forests have 50 trees."""


def model_named(word: str) -> Model:
    """Return a model by its name.

    Raises:
        InputError: for an unknown name.
    """
    return MODELS[choice("model", word, MODELS)]
