r"""`predict_from_features`: the steps of a network before it is trained, from the features before its small head."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solvable.checks import finite, one_number
from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.stepwise.theory import (
    cross_correlation,
    held_out_directions,
    max_learning_rate,
    modes_of,
    step_times,
)

_BATCH = 512
# Heads whose first eigenvalues are above this are not small, and hidden layers that have to move by more than that
# share of their own norm do not stay what they are.
_NOT_SMALL, _MOVES = 0.05, 0.3


@dataclass(frozen=True, eq=False)
class StepPrediction:
    r"""When a network will learn each direction, if the features before its head stay what they are.

    Attributes:
        gamma: eigenvalues of the features' $\Gamma$, descending (width,).
        weights: the head's weights in its eigenbasis (d, width).
        step_times: number of steps until the j-th direction is learned, ascending, or flow times without a learning
            rate (d,).
        learning_rate: of the prediction, or None.
        max_learning_rate: the largest stable one.
        learnable: number of directions that these pairs support, measured on pairs that were not used to find them.
        change_of_features: an estimate of how far the last hidden layer has to move, as a share of its norm; NaN if
            there is none. Above 0.3 features are learned too, and the later steps come earlier than predicted.
        notes: one sentence for each caveat.
    """

    gamma: NDArray[np.float64]
    weights: NDArray[np.float64]
    step_times: NDArray[np.float64]
    learning_rate: float | None
    max_learning_rate: float
    learnable: int
    change_of_features: float
    notes: tuple[str, ...]

    def verdict(self) -> Verdict:
        """Return the prediction in words."""
        unit = "step" if self.learning_rate else "flow time"
        rows = tuple(
            (str(j + 1), readable(float(self.gamma[j]), 3), readable(float(time), 3))
            for j, time in enumerate(self.step_times)
        )
        known = self.step_times[np.isfinite(self.step_times)][: self.learnable]
        text = f"The largest stable learning rate is {readable(self.max_learning_rate, 3)}. "
        text += f"These pairs support {self.learnable} direction{'s' * (self.learnable != 1)}."
        title = (
            f"{len(known)} of {len(self.step_times)} directions will be learned, the last at {unit} "
            f"{readable(float(known[-1]), 3)}"
            if len(known)
            else "These pairs support no direction above their noise"
        )
        table = Table(("direction", "γ", f"{unit} of learning"), rows)
        return Verdict(title, (Section("", text, table),), self.notes)

    def __str__(self) -> str:
        return str(self.verdict())


def predict_from_features(
    model_or_features: nn.Module | Callable[[Any], Any],
    pairs: tuple[Any, Any],
    *,
    head: nn.Linear | Any = None,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    center: bool = True,
) -> StepPrediction:
    r"""Predict, before training, when a network with a small last layer will learn each direction.

    The head's weights W follow the theory of a linear model on the features h before it, with
    $\Gamma = \frac{1}{2n} \sum (h h'^\top + h' h^\top)$, as long as the features change little. The loss is the
    unnormalised Barlow Twins loss with off-diagonal weight 1, `losses.barlow_twins(..., 1, normalize=False)`.

    Args:
        model_or_features: a network whose last `nn.Linear` is the head; or a function from inputs to features, with
            `head`. A network is copied and left as it is.
        pairs: two views of a few hundred samples or more, tensors or arrays as the network takes them.
        head: the head, a module in the network or of your own, or its weights (d, width).
        learning_rate: of SGD, for numbers of steps; None for flow times, which are sums of small learning rates.
        momentum: of `torch.optim.SGD`.
        weight_decay: of `torch.optim.SGD`.
        center: whether the loss subtracts the mean embedding.

    Raises:
        InputError: for a network without a linear layer, features that are not (n, width), and as for `step_times`.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> net = nn.Sequential(nn.Linear(8, 512, bias=False), nn.ReLU(), nn.Linear(512, 2, bias=False))
    >>> with torch.no_grad():
    ...     _ = net[2].weight.mul_(1e-3)
    >>> X = torch.randn(500, 8)
    >>> prediction = predict_from_features(net, (X, X + 0.1 * torch.randn(500, 8)), learning_rate=1e-3)
    >>> prediction.step_times.shape, bool(prediction.step_times[0] > 100)
    ((2,), True)
    """
    if not isinstance(pairs, (tuple, list)) or len(pairs) != 2:
        raise InputError(f"pairs is a {type(pairs).__name__}; expected two views, as in (X, X2)")
    features, weights, before = _parts(model_or_features, head)
    # Dropout in a copy must not change the user's random numbers, and each view needs a mask of its own.
    with torch.random.fork_rng(devices=[]):
        H, H2 = (_features(features, view) for view in pairs)
    if H.ndim != 2 or H.shape[1] != weights.shape[1]:
        raise InputError(
            f"the features have shape {H.shape} and the head {weights.shape}; expected (n, {weights.shape[1]}): "
            "flatten them, or name the head"
        )
    gamma = cross_correlation(H, H2, center=center)
    modes, rotated = modes_of(gamma, weights)
    times = step_times(modes, rotated, learning_rate, momentum=momentum, weight_decay=weight_decay)
    held_out = held_out_directions(H, H2, weight_decay=weight_decay, center=center) if len(H) >= 8 else None
    learnable = 0 if held_out is None else held_out.directions
    limit = max_learning_rate(modes, momentum=momentum, weight_decay=weight_decay)
    change = _change_of_features(modes, len(weights), before)
    return StepPrediction(
        modes,
        rotated,
        times,
        None if learning_rate is None else one_number("learning_rate", learning_rate, above=0),
        limit,
        learnable,
        change,
        tuple(_notes(modes, rotated, times, held_out, change, len(H))),
    )


def _parts(
    model: Any, head: Any
) -> tuple[Callable[[Any], Any], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the function from inputs to features, the head's weights, and those of the layer before, if known."""
    if not callable(model):
        raise InputError(
            f"model_or_features is a {type(model).__name__}; expected a torch.nn.Module, or a function from inputs to "
            "features"
        )
    layers: list[nn.Linear] = []
    if isinstance(model, nn.Module):
        layers = [one for one in model.modules() if isinstance(one, nn.Linear)]
    if head is None:
        if not layers:
            raise InputError(
                "the network has no nn.Linear; expected one as its head, or head=weights (d, width)"
            )
        head = layers[-1]
    weights = getattr(head, "weight", None) if isinstance(head, nn.Module) else head
    if weights is None or (isinstance(head, nn.Module) and weights.ndim != 2):
        raise InputError(
            f"the head is a {type(head).__name__}; expected an nn.Linear, or its weights (d, width)"
        )
    weights = np.atleast_2d(_array(weights))
    if not isinstance(model, nn.Module):
        return model, weights, None
    # A copy in its own mode: batch norms see the batch, as in training, and the network itself is not changed.
    twin = copy.deepcopy(model)
    like = next(iter(twin.parameters()), torch.zeros(0))

    def run(x: Tensor) -> Any:
        return twin(x.to(like) if x.is_floating_point() else x.to(like.device))

    index = next((i for i, one in enumerate(model.modules()) if one is head), None)
    others = [one for one in layers if one is not head]
    before = _array(others[-1].weight) if others else None
    if index is None:
        return run, weights, before
    seen: list[tuple[Tensor, Any]] = []
    own = list(twin.modules())[index]
    own.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].detach(), output)))

    def features(x: Tensor) -> Tensor:
        seen.clear()
        output = run(x)
        if not seen or (isinstance(output, Tensor) and not _same(output, seen[-1][1])):
            raise InputError(
                "the network's output is not that of its head; expected the head as the last layer: pass the part up "
                "to it, or head= another layer"
            )
        return seen[-1][0]

    return features, weights, before


@torch.no_grad()
def _features(function: Callable[[Any], Any], view: Any) -> NDArray[np.float64]:
    inputs = torch.as_tensor(view)
    # Equal parts, since a batch norm sees one part at a time.
    chunks = inputs.tensor_split(-(-len(inputs) // _BATCH))
    parts = [_array(function(part)) for part in chunks]
    features = np.concatenate(parts)
    finite("the features", features, remedy="check the inputs and the network")
    return features


def _same(output: Tensor, other: Any) -> bool:
    return output.shape == other.shape and torch.equal(output, other)


def _array(values: Any) -> NDArray[np.float64]:
    tensor = torch.as_tensor(values).detach().cpu()
    return tensor.double().numpy()


def _change_of_features(modes: NDArray[np.float64], d: int, before: NDArray[np.float64] | None) -> float:
    r"""Return by how much the layer before has to move, as a share of its spectral norm.

    Gradient flow in a network of ReLU layers keeps the difference of the squared norms of neighbouring layers, and the
    head ends with $\|W\|_F^2 = \sum_j 1/\gamma_j$; directions of the layer before grow by as much.
    """
    learned = modes[:d][modes[:d] > 0]
    if before is None or not len(learned):
        return np.nan
    return float(np.sqrt((1 / learned).max()) / np.linalg.norm(before, 2))


def _notes(
    modes: NDArray[np.float64],
    weights: NDArray[np.float64],
    times: NDArray[np.float64],
    held_out: Any,
    change: float,
    n: int,
) -> list[str]:
    notes = []
    start = float(np.linalg.norm(weights * np.sqrt(np.maximum(modes, 0)), 2) ** 2)
    if start > _NOT_SMALL:
        notes.append(
            f"the head is not small: an eigenvalue of the cross-correlation starts at {readable(start, 2)}, where "
            "steps blur; multiply the head's weights by 1e-2 or less for distinct steps"
        )
    if change > 1:
        notes.append(
            f"the hidden layers are small too, and would move by {readable(change, 2)} times their norm: features "
            "are learned, and steps may come 2 to 10 times earlier than predicted"
        )
    elif change > _MOVES:
        notes.append(
            f"the hidden layers would move by {readable(change, 2)} of their norm, so features change: later steps "
            "come somewhat earlier than predicted"
        )
    if n < modes.size:
        notes.append(
            f"there are {n} pairs for {modes.size} features: late directions are overfitted, and their steps come "
            "later on fresh augmentations"
        )
    if held_out is not None and held_out.directions < len(weights):
        notes.append(
            f"only {held_out.directions} directions are above the noise on held-out pairs; later ones may be learned "
            "on these pairs alone"
        )
    if not np.isfinite(times).all():
        notes.append(
            "directions with infinite times have no positive eigenvalue, or weight decay forbids them"
        )
    return notes
