"""Mini-batch training with any optimizer and any loss, seeded, with its curves kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solvable.checks import choice, whole
from solvable.errors import InputError
from solvable.machine import need_memory

Loss = Callable[[Any, Tensor], Tensor]

# A loss this many times the first one is taken to diverge.
_DIVERGENCE_FACTOR = 1e3
LOSSES = ("squared", "cross-entropy")


@dataclass(frozen=True, eq=False)
class BatchTraining:
    """Records of a run of mini-batch training.

    Attributes:
        losses: loss of each batch before its step `(steps made,)`.
        test_steps: steps after which the test loss was measured, 0 being the start `(records,)`.
        test_losses: loss on the whole test set `(records,)`.
        diverged: whether the loss grew without bound or became NaN.
        parameters: the flattened trainable parameters at the start and after each step `(steps + 1, N)`, one parameter
            behind the other; None unless they were kept.
    """

    losses: NDArray[np.float64]
    test_steps: NDArray[np.int64]
    test_losses: NDArray[np.float64]
    diverged: bool
    parameters: NDArray[np.float64] | None = None

    def final_loss(self, share: float = 0.1) -> float:
        """Return the mean loss of the last steps, `share` of all of them; infinity if training diverged."""
        last = max(1, round(share * len(self.losses)))
        return np.inf if self.diverged else float(np.mean(self.losses[-last:]))


def train_batches(
    module: nn.Module,
    optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    X: Any,
    y: Any,
    *,
    steps: int,
    stop_at: float = 0.0,
    batch_size: int | None = None,
    loss: str | Loss | None = None,
    random_state: int = 0,
    X_test: Any = None,
    y_test: Any = None,
    test_at: Sequence[int] = (),
    after_step: Callable[[int], bool | None] | None = None,
    keep_parameters: bool = False,
) -> BatchTraining:
    r"""Train a module on mini-batches, each sample once per epoch in an order that `random_state` decides.

    Args:
        module: trained in place, on its own device.
        optimizers: one or several optimizers of its parameters; all of them step on each batch.
        X: inputs, (n, ...): arrays or tensors of numbers; floats are converted to the module's dtype.
        y: targets, (n, ...).
        steps: number of steps, at most; training stops when it diverges.
        stop_at: training stops before a step whose batch has at most this loss.
        batch_size: samples in a batch; by default all. The last incomplete batch of an epoch is left out.
        loss: `squared` (mean over samples of the squared error summed over outputs), `cross-entropy` (the classes
            last), or a function of outputs and targets; by default cross-entropy for integer targets, else squared.
        random_state: seed of the order.
        X_test: inputs of a test set, with `y_test`.
        y_test: its targets.
        test_at: steps after which to measure the test loss, 0 being the start.
        after_step: called with the number of steps made, after each; training stops if it returns True.
        keep_parameters: whether to keep the parameters of all steps, in memory and in float64.

    Raises:
        InputError: for arrays that do not match, an unknown loss, numbers out of range, or too many parameters to keep.

    >>> net = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> run = train_batches(net, optimizer, [[1.0, 0.0], [0.0, 1.0]], [[1.0], [2.0]], steps=50, batch_size=1)
    >>> len(run.losses), run.diverged, run.final_loss() < 1e-2
    (50, False, True)
    """
    steps = whole("steps", steps, at_least=1)
    first = next(module.parameters(), None)
    if first is None:
        raise InputError("module has no parameters; expected some to train")
    inputs, targets = _tensors("X", "y", X, y, first)
    if (X_test is None) != (y_test is None):
        raise InputError("one of X_test and y_test was given; expected both or neither")
    test = None if X_test is None else _tensors("X_test", "y_test", X_test, y_test, first)
    if len(test_at) and test is None:
        raise InputError("test_at was given without X_test and y_test; expected a test set")
    size = len(inputs) if batch_size is None else whole("batch_size", batch_size, at_least=1)
    if size > len(inputs):
        raise InputError(f"batch_size is {size}; expected at most the number of samples, {len(inputs)}")
    criterion = loss_function(loss, targets)
    stepping = [optimizers] if isinstance(optimizers, torch.optim.Optimizer) else list(optimizers)
    wanted = {whole("test_at", one, at_least=0) for one in test_at}
    test_records: list[tuple[int, float]] = []

    def measure(step: int) -> None:
        if test is not None and step in wanted:
            training = module.training
            module.eval()
            with torch.no_grad():
                test_records.append((step, float(criterion(module(test[0]), test[1]))))
            module.train(training)

    trainable = [p for p in module.parameters() if p.requires_grad]
    trajectory: list[NDArray[np.float64]] = []
    if keep_parameters:
        # The list of the steps and the array made of it.
        n_bytes = 2 * 8.0 * (steps + 1) * sum(p.numel() for p in trainable)
        need_memory(n_bytes, f"the parameters of {steps} steps", "take fewer steps, or do not keep them")

    def keep() -> None:
        if keep_parameters:
            trajectory.append(torch.cat([p.detach().flatten() for p in trainable]).cpu().double().numpy())

    losses: list[float] = []
    diverged = False
    order = batch_order(len(inputs), size, random_state)
    measure(0)
    keep()
    for step in range(steps):
        batch = next(order).to(inputs.device)
        value = criterion(module(inputs[batch]), targets[batch])
        for optimizer in stepping:
            optimizer.zero_grad(set_to_none=True)
        value.backward()
        number = float(value.detach())
        if not number < _DIVERGENCE_FACTOR * (1.0 + abs(losses[0] if losses else number)):
            diverged = True
            break
        losses.append(number)
        if number <= stop_at:
            break
        for optimizer in stepping:
            optimizer.step()
        keep()
        stop = after_step is not None and after_step(step + 1)
        measure(step + 1)
        if stop:
            break
    parameters = np.array(trajectory) if keep_parameters else None
    records = np.array(test_records, dtype=np.float64).reshape(-1, 2)
    return BatchTraining(
        np.array(losses), records[:, 0].astype(np.int64), records[:, 1], diverged, parameters
    )


def batch_order(n: int, batch_size: int, random_state: int) -> Iterator[Tensor]:
    """Yield the indices of one batch after the other: all samples in random order, then again in another."""
    generator = torch.Generator().manual_seed(whole("random_state", random_state, at_least=0))
    while True:
        order = torch.randperm(n, generator=generator) if batch_size < n else torch.arange(n)
        yield from (order[i : i + batch_size] for i in range(0, n - batch_size + 1, batch_size))


def loss_function(loss: str | Loss | None, targets: Tensor) -> Loss:
    """Return a loss by name, or by the type of the targets."""
    if loss is not None and not isinstance(loss, str):
        return loss
    if loss is None:
        loss = "squared" if targets.is_floating_point() else "cross-entropy"
    return {"squared": _squared, "cross-entropy": _cross_entropy}[choice("loss", loss, LOSSES)]


def _squared(output: Tensor, target: Tensor) -> Tensor:
    if output.shape != target.shape:
        raise InputError(
            f"the module returns shape {tuple(output.shape)} for targets of shape {tuple(target.shape)}; expected the "
            "same"
        )
    return (output - target).square().sum() / len(output)


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    if output.shape[:-1] != target.shape:
        raise InputError(
            f"the module returns shape {tuple(output.shape)} for classes of shape {tuple(target.shape)}; expected that "
            "shape and the classes last"
        )
    return nn.functional.cross_entropy(output.flatten(0, -2), target.flatten())


def _tensors(name_X: str, name_y: str, X: Any, y: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    try:
        inputs, targets = (torch.as_tensor(a) for a in (X, y))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"{name_X} or {name_y} holds no numbers; expected arrays or tensors of numbers"
        ) from None
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets) or not len(inputs):
        raise InputError(
            f"{name_X} has shape {tuple(inputs.shape)} and {name_y} {tuple(targets.shape)}; expected the same number "
            "of samples, at least 1"
        )
    return tuple(  # pyright: ignore[reportReturnType]
        one.to(like.device, like.dtype if one.is_floating_point() else torch.int64)
        for one in (inputs, targets)
    )
