"""Full-batch gradient descent that records losses, error rates and weight movement."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from solvable.checks import grid, one_number, whole
from solvable.errors import InputError

Numbers = NDArray[np.float64]

# A loss that has grown by this factor is taken to diverge.
_DIVERGENCE_FACTOR = 1e3
# Number of activations per part of the batch: a step is up to twice as fast if they fit in a core's cache.
_NUMBERS_AT_ONCE = 2**18


@dataclass(frozen=True, eq=False)
class Training:
    """Records of a training run.

    Attributes:
        steps: numbers of steps of gradient descent, ascending; the last is the end of training `(records,)`.
        train_loss: mean over samples of the squared error summed over outputs `(records,)`.
        test_loss: the loss on the test set; NaN without one.
        train_error_rate: share of samples whose class is wrong (see `train`); NaN if the targets are not classes.
        test_error_rate: the error rate on the test set.
        movement: relative change of the first layer's weights: |W - W_0| / |W_0|, Frobenius norms.
        stopped: reason why training ended, in words.
        diverged: whether training ended because the loss grew without bound.
    """

    steps: NDArray[np.int64]
    train_loss: Numbers
    test_loss: Numbers
    train_error_rate: Numbers
    test_error_rate: Numbers
    movement: Numbers
    stopped: str
    diverged: bool

    def at(self, steps: Sequence[int] | NDArray[np.int64], name: str) -> Numbers:
        """Return one of the records at the given steps.

        Past the end of training this is the last value, or NaN if training diverged.

        Args:
            steps: recorded steps, or steps past the end.
            name: name of the record, such as `test_loss`.
        """
        queries, values = np.asarray(steps), getattr(self, name)
        past = queries > self.steps[-1]
        index = np.searchsorted(self.steps, np.where(past, self.steps[-1], queries))
        if (missing := ~past & (self.steps[index] != queries)).any():
            raise InputError(f"step {queries[missing][0]} was not recorded; add it to record_at")
        return np.where(past & self.diverged, np.nan, values[index])


def train(
    module: nn.Module,
    X: Any,
    y: Any,
    rate: float,
    steps: int,
    *,
    X_test: Any = None,
    y_test: Any = None,
    record_at: Sequence[int] | NDArray[np.int64] | None = None,
    stop_at: float = 0.0,
    batch: int | None = None,
) -> Training:
    r"""Train a module by full-batch gradient descent, $\theta \leftarrow \theta - \eta\, \nabla_\theta L$.

    $$L = \frac{1}{n} \sum_{i=1}^{n} \sum_{a} (f_a(x_i) - y_{ia})^2,$$

    the mean over samples of the *sum* over outputs. Its gradient has a factor of 2: for a wide network
    $f \leftarrow f - \frac{2\eta}{n} \Theta (f - y)$, stable while $\eta < n / \lambda_{max}(\Theta)$.
    (`torch.nn.MSELoss` averages over outputs too; its rate is larger by their number.)

    If the targets have several columns, the class is the largest one. One column of exactly two values of opposite
    sign is two classes, told apart by the sign; an output below a millionth of the targets is undecided and wrong.

    Args:
        module: trained in place, on its own device and in its own dtype; `centred(module)` starts from 0.
        X: inputs, (n, ...): arrays or tensors.
        y: targets, (n, outputs) or (n,) for one output.
        rate: $\eta > 0$.
        steps: maximum number of steps.
        X_test: inputs of a test set, with `y_test`.
        y_test: targets of the test set.
        record_at: steps to record, 0 being the start; by default a logarithmic grid. The last step is always
            recorded.
        stop_at: train until the training loss is at most this.
        batch: number of samples that go through the module at a time. Gradients are summed, so this changes the speed
            and not the result. By default the widest layer fits in a core's cache.

    Raises:
        InputError: for numbers out of range, or arrays that do not match each other or the module.

    Example: a single linear layer, $\Theta = x \cdot x'$, which one step solves exactly.

    >>> net = torch.nn.Linear(1, 1, bias=False).double()
    >>> done = train(net, [[1.0], [-1.0]], [2.0, -2.0], rate=0.5, steps=100, stop_at=1e-20)
    >>> done.steps.tolist(), done.stopped, round(net.weight.item(), 6)
    ([0, 1], 'the training loss reached 1e-20 after 1 steps', 2.0)
    """
    rate, steps = one_number("rate", rate, above=0), whole("steps", steps, at_least=1)
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise InputError(
            "module has no trainable parameters; expected at least one; call requires_grad_(True) on those to train"
        )
    first = next((p for p in parameters if p.ndim > 1), parameters[0])
    data = _Part.of("X", "y", X, y, first)
    if X_test is None and y_test is not None:
        raise InputError("y_test was given without X_test; expected both or neither")
    test = None if X_test is None else _Part.of("X_test", "y_test", X_test, y_test, first)
    if batch is None:
        widest = max(max(p.shape) for p in parameters)
        parts = -(-len(data.X) * widest // _NUMBERS_AT_ONCE)
        batch = -(-len(data.X) // parts)
    batch = whole("batch", batch, at_least=1)
    record_steps = _record_steps(record_at, steps)
    moving: Any = module.module if isinstance(module, Centred) else module
    start: Any = module.start if isinstance(module, Centred) else None
    data, test = data.split(batch, start), None if test is None else test.split(batch, start)

    weights = first.detach().clone()
    rows: list[tuple[float, ...]] = []

    def record(step: int, output: Tensor, loss: float) -> None:
        test_loss, test_rate = (np.nan, np.nan) if test is None else test.scores(test.outputs(moving))
        movement = float((first.detach() - weights).norm() / weights.norm())
        rows.append((step, loss, test_loss, data.scores(output)[1], test_rate, movement))

    stopped, diverged, worst = f"all {steps} steps were taken", False, np.inf
    for step in range(steps + 1):
        last = step == steps
        output, gradients = data.gradients(moving, parameters, none=last)
        loss = data.loss(output)
        worst = _DIVERGENCE_FACTOR * max(loss, data.power) if step == 0 else worst
        if not loss <= worst:
            stopped, diverged, last = (
                f"the training loss diverged after {step} steps; lower the rate",
                True,
                True,
            )
        elif loss <= stop_at:
            stopped, last = f"the training loss reached {stop_at:g} after {step} steps", True
        if last or step in record_steps:
            record(step, output, loss)
        if last:
            break
        with torch.no_grad():
            _add(parameters, gradients, -rate)
    columns = np.array(rows, dtype=np.float64).T
    return Training(columns[0].astype(np.int64), *columns[1:], stopped=stopped, diverged=diverged)


def _add(targets: Sequence[Tensor], terms: Sequence[Tensor], factor: float) -> None:
    for target, term in zip(targets, terms, strict=True):
        target.add_(term, alpha=factor)


def _record_steps(record_at: Any, steps: int) -> set[int]:
    if record_at is None:
        return {0, *np.unique(np.geomspace(1, steps, 40).round().astype(int)).tolist()}
    values = grid("record_at", record_at, at_least=0)
    if (bad := (values != np.floor(values)) | (values > steps)).any():
        raise InputError(
            f"record_at has {values[bad][0]:g}; expected whole numbers from 0 to steps = {steps}"
        )
    return {int(one) for one in values}


@dataclass(frozen=True)
class _Part:
    """Inputs and targets as tensors of the module's dtype and device, in pieces that go through it one at a time."""

    X: Tensor
    y: Tensor
    pieces: tuple[tuple[Tensor, Tensor], ...] = ()

    @classmethod
    def of(cls, name_X: str, name_y: str, X: Any, y: Any, like: Tensor) -> "_Part":
        if y is None:
            raise InputError(f"{name_X} is given without {name_y}; expected both")
        try:
            X, y = (torch.as_tensor(a, dtype=like.dtype, device=like.device).detach() for a in (X, y))
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"{name_X} or {name_y} holds no numbers; expected arrays or tensors of numbers"
            ) from None
        y = y[:, None] if y.ndim == 1 else y
        if X.ndim < 2 or y.ndim != 2 or len(X) != len(y) or not len(X):
            raise InputError(
                f"{name_X} has shape {tuple(X.shape)} and {name_y} {tuple(y.shape)}; expected (n, coordinates) and "
                "(n, outputs) or (n,), with the same n > 0"
            )
        for name, array in ((name_X, X), (name_y, y)):
            if not bool(torch.isfinite(array).all()):
                raise InputError(
                    f"{name} holds NaN or infinity; expected finite numbers; drop or fill these values first"
                )
        return cls(X, y)

    def split(self, batch: int, start: nn.Module | None) -> "_Part":
        """Return the part in pieces, each with the module's output at the start, computed once."""
        pieces = []
        with torch.no_grad():
            for X, y in zip(self.X.split(batch), self.y.split(batch), strict=True):
                pieces.append((X, torch.zeros_like(y) if start is None else start(X)))
        return _Part(self.X, self.y, tuple(pieces))

    @property
    def power(self) -> float:
        return float(self.y.square().sum() / len(self.y))

    def outputs(self, module: nn.Module) -> Tensor:
        with torch.no_grad():
            return torch.cat([self._output(module, X, start) for X, start in self.pieces])

    def _output(self, module: nn.Module, X: Tensor, start: Tensor) -> Tensor:
        output = module(X)
        if output.shape != start.shape:
            raise InputError(
                f"the module returns shape {tuple(output.shape)} for {len(X)} samples whose targets have shape "
                f"{tuple(start.shape)}; expected the same shape; change the readout or the targets"
            )
        return output - start

    def gradients(
        self, module: nn.Module, parameters: list[nn.Parameter], none: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs and the gradient of the loss for each parameter, or no gradients if `none`."""
        if none:
            return self.outputs(module), []
        outputs, gradients = [], []
        targets = self.y.split(len(self.pieces[0][0]))
        for (X, start), y in zip(self.pieces, targets, strict=True):
            output = self._output(module, X, start)
            loss = (output - y).square().sum() / len(self.X)
            part = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            outputs.append(output.detach())
            if gradients:
                _add(gradients, part, 1.0)
            else:
                gradients = list(part)
        return torch.cat(outputs), gradients

    def loss(self, output: Tensor) -> float:
        return float((output - self.y).square().sum() / len(self.y))

    def scores(self, output: Tensor) -> tuple[float, float]:
        """Return loss and error rate; the rate is NaN if the targets are not classes."""
        from solvable.networks.training import error_rate

        return self.loss(output), error_rate(output.cpu().double().numpy(), self.y.cpu().double().numpy())


class Centred(nn.Module):
    r"""$f(x; \theta) - f(x; \theta_0)$: zero everywhere at the start, with the gradients of f.

    Attributes:
        module: the module, which is trained.
        start: its copy at the start, which is not trained.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.start = deepcopy(module).requires_grad_(False)

    def forward(self, X: Tensor) -> Tensor:
        return self.module(X) - self.start(X)


def centred(module: nn.Module) -> Centred:
    r"""Return the module minus its current output, so that training starts from the function 0.

    A wide network starts from a random function of the size of its targets, unlike kernel regression: formulas for
    its training hold for the centred network. Training changes the module itself, not the copy.

    Args:
        module: any module; not changed here.

    Raises:
        InputError: when it is not a `torch.nn.Module`.

    >>> import torch
    >>> net = centred(torch.nn.Linear(3, 2))
    >>> net(torch.ones(1, 3)).tolist()
    [[0.0, 0.0]]
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    return Centred(module)


# Outputs below this fraction of the targets are undecided: an odd kernel returns 1e-17 where the prediction is zero.
UNDECIDED = 1e-6


def error_rate(outputs: Float[NDArray, "n k"], y: Float[NDArray, "n k"]) -> float:
    r"""Return the share of samples whose class is wrong, NaN if the targets are not classes.

    With several columns the class is the largest one, if every row of `y` has a unique largest value. One column is two
    classes if it has exactly two values, one above and one below 0: the sign is the class, and an output smaller than
    a millionth of the smaller of the two in magnitude is undecided, which counts as wrong.

    >>> y = np.array([[1.0], [-1.0], [1.0], [1.0]])
    >>> error_rate(np.array([[0.2], [-3.0], [1e-17], [-0.1]]), y)
    0.5
    """
    if y.shape[1] == 1:
        values = np.unique(y)
        if len(values) != 2 or not values[0] < 0 < values[1]:
            return np.nan
        return float(1 - (outputs * np.sign(y) > UNDECIDED * np.abs(values).min()).mean())
    top = np.sort(y, axis=1)[:, -2:]
    # One-hot columns have two values; targets that are numbers have more.
    if len(np.unique(y.round(9))) > 2 or (top[:, 0] == top[:, 1]).any():
        return np.nan
    return float((outputs.argmax(axis=1) != y.argmax(axis=1)).mean())
