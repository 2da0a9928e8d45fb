r"""The loss along one or two directions through a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.checks import choice, finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.losses import Expansion, Numbers
from solvable.landscapes.spectra import extreme_eigenpair, layers_of, one_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIRECTIONS = ("gradient", "escape", "stiffest", "random")
"""Directions by name: the gradient, the lowest and the highest curvature, and a random one."""

# Points of the grid that are evaluated at a time, and numbers in their parameters.
_LANES, _NUMBERS = 64, 1e7


@dataclass(frozen=True, eq=False)
class Slice:
    r"""The loss on a grid through a point, $L(\theta + a\, d_1)$ or $L(\theta + a\, d_1 + b\, d_2)$.

    Attributes:
        coordinates: a, and b (n,), from -extent to extent.
        loss: (n,), or (n, n) with a along the first axis; NaN where the loss is not defined.
        directions: $d_1$, and $d_2$, as they were used (k, N).
        labels: their names, `direction 1` and so on for arrays.
    """

    coordinates: Float[NDArray, "n"]
    loss: Float[NDArray, "..."]
    directions: Float[NDArray, "k N"]
    labels: tuple[str, ...]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss as a curve, or as filled contours, and return the axes, new ones if `ax` is None."""
        from solvable.lab.figure import house_style, subplots

        with house_style():
            axes: Any = subplots(1, 1, width=5.0, height=3.6)[1] if ax is None else ax
            axes.set_xlabel(f"step along {self.labels[0]}")
            if self.loss.ndim == 1:
                axes.plot(self.coordinates, self.loss)
                axes.set_ylabel("loss")
            else:
                # The first axis of the array is the horizontal one.
                filled = axes.contourf(
                    self.coordinates, self.coordinates, np.ma.masked_invalid(self.loss.T), levels=20
                )
                axes.plot(0, 0, "+", color="white")
                axes.set_ylabel(f"step along {self.labels[1]}")
                axes.figure.colorbar(filled, ax=axes, label="loss")
        return axes


def loss_slice(
    loss: Any,
    theta: Any = None,
    directions: Any = "random",
    extent: float = 1.0,
    n: int = 51,
    *,
    per_layer: bool = False,
    random_state: int = 0,
) -> Slice:
    r"""Return the loss along one or two directions through a point.

    Directions by name have length 1: `gradient`; `escape` and `stiffest`, the eigenvectors of the lowest and of the
    highest eigenvalue of the Hessian; `random`, with normal coordinates. Arrays are used as they are. Two directions
    need not be orthogonal, so that distances in a plot are not those between parameters.

    With `per_layer`, the part of a direction in each layer is scaled to the norm of the layer's parameters, so that
    slices of networks whose layers have different scales can be compared. A layer whose parameters are all zero, such
    as a bias at the start of training, does not move.

    Args:
        loss: as in `find_critical_points`.
        theta: parameters (N,); by default those of the module.
        directions: a name, an array (N,), or a sequence of one or two of these.
        extent: largest coordinate > 0, in units of the directions.
        n: points along each direction, at least 2; odd to include theta itself.
        per_layer: whether to scale directions as said, for a `module_loss`.
        random_state: seed of random directions.

    Raises:
        InputError: for a point, a loss or directions that cannot be used.

    Source: scaling after Li, Xu, Taylor, Studer, Goldstein, 2018, arXiv:1712.09913, by parameter instead of filter.

    >>> import torch
    >>> cut = loss_slice(lambda t: t[0] ** 2 - t[1] ** 2, np.zeros(2), ["stiffest", "escape"], n=3)
    >>> cut.loss.tolist()
    [[0.0, 1.0, 0.0], [-1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    function, point = one_point(loss, theta)
    extent, n = one_number("extent", extent, above=0), whole("n", n, at_least=2)
    rng = np.random.default_rng(whole("random_state", random_state, at_least=0))
    layers = layers_of(function) if per_layer else {}
    here = function.at(point[None])
    given = _listed(directions)
    rows = [_direction(one, here, rng) for one in given]
    labels = tuple(one if isinstance(one, str) else f"direction {i + 1}" for i, one in enumerate(given))
    vectors = np.array([_scaled(row, point, layers) for row in rows])
    at = np.linspace(-extent, extent, n)
    shape = (n,) * len(vectors)
    grid = np.stack(np.meshgrid(*[at] * len(vectors), indexing="ij"), axis=-1).reshape(-1, len(vectors))
    size = min(_LANES, max(1, int(_NUMBERS / len(point))))
    values = [function.value(point + part @ vectors) for part in np.split(grid, range(size, len(grid), size))]
    return Slice(at, np.concatenate(values).reshape(shape), vectors, labels)


def _listed(directions: Any) -> list[Any]:
    """Return one or two directions as a list."""
    several = isinstance(directions, Sequence) and not isinstance(directions, str)
    several = several and all(isinstance(one, str) or np.ndim(one) for one in directions)
    listed = list(directions) if several or np.ndim(directions) == 2 else [directions]
    if len(listed) not in (1, 2):
        raise InputError(f"directions holds {len(listed)} of them; expected one or two")
    return listed


def _direction(given: Any, here: Expansion, rng: np.random.Generator) -> Numbers:
    N = here.theta.shape[1]
    if isinstance(given, str):
        name = choice("direction", given, DIRECTIONS)
        if name in ("escape", "stiffest"):
            return extreme_eigenpair(here, "SA" if name == "escape" else "LA")[1]
        vector = here.gradient[0] if name == "gradient" else rng.standard_normal(N)
        if not vector.any():
            raise InputError(
                "direction is 'gradient', which is zero at theta; expected another one; choose 'escape'"
            )
        return vector / np.linalg.norm(vector)
    vector = numbers("direction", given.detach().cpu() if hasattr(given, "detach") else given)
    finite("direction", vector)
    if vector.shape != (N,) or not vector.any():
        what = f"has shape {vector.shape}" if vector.shape != (N,) else "is zero"
        raise InputError(f"a direction {what}; expected shape ({N},), and not all zeros")
    return vector


def _scaled(vector: Numbers, theta: Numbers, layers: dict[str, slice]) -> Numbers:
    scaled = vector.copy()
    for part in layers.values():
        length = np.linalg.norm(vector[part])
        scaled[part] *= np.linalg.norm(theta[part]) / length if length else 0.0
    return scaled
