r"""Torch functions and modules as losses, with the derivatives of a whole batch of starts at once.

The losses of the starts are summed: the gradient of the sum with respect to one start is that of its own loss, so
differentiating the sum twice gives the Hessian-vector products of all starts exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.landscapes.losses import Expansion, Loss, Numbers
from solvable.networks.minibatch import Loss as Criterion
from solvable.networks.minibatch import loss_function

# Vectors multiplied by Hessians at a time, over starts and columns: fewer cost overhead, more leave the cache.
_LANES, _MOST_COLUMNS = 400, 100
# Samples that go through a module at a time, over these vectors.
_SAMPLES_AT_ONCE = 80_000
# Functions whose gradient jumps, by the name of their node in the graph.
_KINKS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Prelu": "prelu",
    "Threshold": "threshold",
    "Hardtanh": "hardtanh",
    "Abs": "abs",
    "Clamp": "clamp",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "MaxPool": "max pooling",
    "MaxBackward": "max",
    "MinBackward": "min",
    "Amax": "amax",
    "Amin": "amin",
    "LinalgVectorNorm": "norm",
    "NormBackward": "norm",
    "Sort": "sort",
    "Topk": "topk",
    "SmoothL1": "smooth_l1",
    "Huber": "huber",
    "Hardswish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
}


class TorchLoss(Loss):
    """The sum of functions of one float64 vector (N,), each a differentiable torch scalar."""

    def __init__(
        self, pieces: Sequence[Callable[[Tensor], Tensor]], device: Any = None, lanes: int = _LANES
    ) -> None:
        self.pieces = tuple(pieces)
        self.device = device
        self.lanes = lanes
        self._vmap = True

    def check(self, theta: Numbers, batch_size: int | None = None) -> None:
        first = self._tensor(theta[:1])[0]
        for piece in self.pieces:
            try:
                value = piece(first)
            except (RuntimeError, IndexError) as error:
                if "dtype" in str(error) or "Float" in str(error):
                    raise InputError(
                        f"the loss cannot compute with float64 parameters ({_first_line(error)}); expected a loss in "
                        "float64; convert its data with .double() (integers stay integers, for embeddings)"
                    ) from None
                raise InputError(
                    f"the loss fails at the first start ({_first_line(error)}); expected one that can be computed from "
                    f"{theta.shape[1]} parameters; check their number, the data and the targets"
                ) from error
            _check_scalar(value)
        self.kinks = tuple(sorted({name for piece in self.pieces for name in _kinks(piece(first))}))
        try:
            super().check(theta, batch_size)
        except RuntimeError as error:
            raise InputError(
                f"the loss has no second derivatives ({_first_line(error)}); expected a function that torch "
                "differentiates twice; attention needs `with torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` around "
                "the call, and a transformer layer train mode without dropout"
            ) from error

    def gradient(self, theta: Numbers) -> tuple[Numbers, Numbers]:
        value, gradient = np.zeros(len(theta)), np.zeros(theta.shape)
        for piece in self.pieces:
            point = self._tensor(theta)
            losses = self._losses(piece, point)
            (part,) = torch.autograd.grad(losses.sum(), point, allow_unused=True, materialize_grads=True)
            value += _array(losses)
            gradient += _array(part)
        return value, gradient

    def at(self, theta: Numbers) -> Expansion:
        return _TorchExpansion(self, theta)

    def value(self, theta: Numbers) -> Numbers:
        parts = (_array(self._losses(piece, self._tensor(theta, False))) for piece in self.pieces)
        return sum(parts, np.zeros(len(theta)))

    def linear(self, piece: Callable[[Tensor], Tensor], theta: Numbers) -> tuple[Tensor, Tensor, Tensor]:
        """Return the points, their losses and gradients, which can be differentiated once more."""
        point = self._tensor(theta)
        losses = self._losses(piece, point)
        (gradient,) = torch.autograd.grad(
            losses.sum(), point, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return point, losses, gradient

    def _tensor(self, theta: Numbers, differentiable: bool = True) -> Tensor:
        tensor = torch.as_tensor(theta, dtype=torch.float64, device=self.device)
        return tensor.clone().requires_grad_(differentiable)

    def _losses(self, piece: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
        if self._vmap and len(theta) > 1:
            try:
                return torch.vmap(piece)(theta)
            except RuntimeError:
                # What vmap has no rule for, such as a branch on a value, is computed for one start after the other.
                self._vmap = False
        return torch.stack([piece(one) for one in theta])


class _TorchExpansion(Expansion):
    """With one piece the graph is kept for all products; with several each is built anew, which saves memory."""

    def __init__(self, loss: TorchLoss, theta: Numbers) -> None:
        self._loss = loss
        self._graph: tuple[Tensor, Tensor] | None = None
        # Of one point only, since a batch may fill the memory.
        self._hessian: Numbers | None = None
        if len(loss.pieces) == 1:
            point, losses, gradient = loss.linear(loss.pieces[0], theta)
            self._graph = point, gradient
            super().__init__(theta, _array(losses), _array(gradient))
        else:
            super().__init__(theta, *loss.gradient(theta))

    def product(self, vectors: Numbers) -> Numbers:
        return self._products(torch.as_tensor(vectors, dtype=torch.float64, device=self._loss.device), False)

    def hessian(self) -> Numbers:
        if self._hessian is not None:
            return self._hessian.copy()
        B, N = self.theta.shape
        width = min(max(1, self._loss.lanes // B), _MOST_COLUMNS)
        H = np.empty((B, N, N))
        for start in range(0, N, width):
            stop = min(start + width, N)
            units = torch.zeros((stop - start, B, N), dtype=torch.float64, device=self._loss.device)
            units[torch.arange(stop - start), :, torch.arange(start, stop)] = 1.0
            H[:, start:stop] = self._products(units, True).swapaxes(0, 1)
        H = (H + H.swapaxes(1, 2)) / 2
        if B == 1:
            self._hessian = H.copy()
        return H

    def _products(self, vectors: Tensor, several: bool) -> Numbers:
        total = np.zeros(vectors.shape)
        for piece in self._loss.pieces:
            point, gradient = self._graph or self._loss.linear(piece, self.theta)[::2]
            # A loss that is linear in its parameters has a gradient without a graph.
            if not gradient.requires_grad:
                continue
            total += _array(_vector_products(gradient, point, vectors, several))
        return total


def _vector_products(gradient: Tensor, point: Tensor, vectors: Tensor, several: bool) -> Tensor:
    options: dict[str, Any] = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    if several:
        try:
            return torch.autograd.grad(gradient, point, vectors, is_grads_batched=True, **options)[0]
        except RuntimeError:  # no batching rule
            return torch.stack([torch.autograd.grad(gradient, point, one, **options)[0] for one in vectors])
    return torch.autograd.grad(gradient, point, vectors, **options)[0]


class ModuleLoss(TorchLoss):
    """What `module_loss` returns; `loss(theta)` is its value, `loss.module_at(theta)` the module there.

    Attributes:
        theta0: the module's parameters when the loss was made (N,).
        layers: name of each parameter -> its slice of the vector.
    """

    def __init__(
        self, module: nn.Module, pieces: Sequence[Callable[[Tensor], Tensor]], device: Any, lanes: int
    ) -> None:
        super().__init__(pieces, device, lanes)
        self._module = module
        parameters = dict(_trainable(module))
        self.theta0 = _array(torch.cat([p.detach().flatten() for p in parameters.values()]))
        self.layers, start = {}, 0
        for name, parameter in parameters.items():
            self.layers[name] = slice(start, start + parameter.numel())
            start += parameter.numel()

    def module_at(self, theta: Any) -> nn.Module:
        """Return a float64 copy of the module with the parameters theta (N,)."""
        module = deepcopy(self._module)
        vector = torch.as_tensor(np.asarray(theta), dtype=torch.float64, device=self.device)
        with torch.no_grad():
            for name, parameter in _trainable(module):
                parameter.copy_(vector[self.layers[name]].view(parameter.shape))
        return module


def module_loss(
    module: nn.Module,
    criterion: str | Criterion | None,
    X: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    l2: float = 0.0,
) -> ModuleLoss:
    r"""Return the loss of a module on fixed data as a function of its parameter vector.

    $$L(\theta) = \frac{1}{n} \sum_{i=1}^{n} \ell(f_\theta(x_i), y_i) + \lambda_2 |\theta|^2$$

    It is computed in float64 on a copy of the module, which is not changed; parameters that do not require gradients
    stay what they are.

    Args:
        module: in eval mode if it has dropout or batch normalisation.
        criterion: `squared` (summed over outputs), `cross-entropy`, or a function of outputs and targets that returns
            the mean over samples; by default cross-entropy for integer targets, else squared.
        X: inputs (n, ...): an array, a tensor, or a dict of them, whose entries are the module's keyword arguments.
        y: targets (n, ...).
        batch_size: samples at a time; by default all. Losses and derivatives are those of all samples in any case.
        l2: $\lambda_2 \ge 0$. Without it the cross-entropy of separable data has its critical points at infinity.

    Raises:
        InputError: for a module without parameters or with layers that make its loss random, or for data that do not
            match.

    >>> loss = module_loss(torch.nn.Linear(2, 1), "squared", [[1.0, 0.0], [0.0, 1.0]], [[1.0], [2.0]])
    >>> loss.layers["weight"], len(loss.theta0)
    (slice(0, 2, None), 3)
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    if not _trainable(module):
        raise InputError("module has no trainable parameters; expected some")
    for name, part in module.named_modules():
        random = isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
        if part.training and (random or isinstance(part, nn.modules.batchnorm._BatchNorm)):
            raise InputError(
                f"layer {name!r} ({type(part).__name__}) is in training mode, so that the loss is random or depends on "
                "the batch; expected eval mode; call module.eval() first"
            )
    if complex_ones := [name for name, p in module.named_parameters() if p.is_complex()]:
        raise InputError(f"parameter {complex_ones[0]!r} is complex; expected real parameters")
    module = deepcopy(module).double()
    device = next(module.parameters()).device
    inputs = (
        {k: _double(k, v, device) for k, v in X.items()}
        if isinstance(X, Mapping)
        else _double("X", X, device)
    )
    targets = _double("y", y, device)
    n = len(targets)
    for name, one in inputs.items() if isinstance(inputs, dict) else [("X", inputs)]:
        if len(one) != n or not n:
            raise InputError(
                f"{name} has {len(one)} samples and y has {n}; expected the same number, at least 1"
            )
    size = n if batch_size is None else whole("batch_size", batch_size, at_least=1)
    penalty = one_number("l2", l2, at_least=0)
    function = loss_function(criterion, targets)
    shapes = {name: p.shape for name, p in _trainable(module)}

    def piece(rows: slice, share: float, penalty: float) -> Callable[[Tensor], Tensor]:
        part: Any = {k: v[rows] for k, v in inputs.items()} if isinstance(inputs, dict) else (inputs[rows],)
        target = targets[rows]

        def value(theta: Tensor) -> Tensor:
            parts = theta.split([shape.numel() for shape in shapes.values()])
            weights = {
                name: one.view(shape) for (name, shape), one in zip(shapes.items(), parts, strict=True)
            }
            arguments, keywords = ((), part) if isinstance(part, dict) else (part, {})
            output = torch.func.functional_call(module, weights, arguments, keywords)
            loss = share * function(output, target)
            return loss + penalty * theta.square().sum() if penalty else loss

        return value

    def pieces(most: int, penalty: float) -> list[Callable[[Tensor], Tensor]]:
        """Return the losses of the batches of the first samples; the penalty belongs to the first batch."""
        ends = [(start, min(start + size, most)) for start in range(0, most, size)]
        return [piece(slice(a, b), (b - a) / most, penalty * (a == 0)) for a, b in ends]

    loss = ModuleLoss(
        module, pieces(n, penalty), device, max(1, min(_LANES, _SAMPLES_AT_ONCE // min(size, n)))
    )
    if size < n:
        # Two batches of different sizes tell whether the criterion is a mean.
        some = min(n, size + max(1, size // 2))
        # Off the parameters, where a network that fits its data has no loss to compare.
        noise = np.random.default_rng(0).standard_normal(len(loss.theta0))
        typical = 1 + float(np.linalg.norm(loss.theta0)) / len(noise) ** 0.5
        theta = torch.as_tensor(loss.theta0 + 0.1 * typical * noise, device=device)
        whole_value = float(piece(slice(some), 1.0, 0.0)(theta).detach())
        parts = sum(float(one(theta).detach()) for one in pieces(some, 0.0))
        if not np.isclose(parts, whole_value, rtol=1e-9, atol=0, equal_nan=True):
            raise InputError(
                f"the loss of {some} samples is {whole_value:.6g} at once and {parts:.6g} in batches; expected a "
                "criterion that is the mean over samples, and a module that treats each by itself; leave batch_size out"
            )
    return loss


def _trainable(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in module.named_parameters() if p.requires_grad]


def _double(name: str, values: Any, device: torch.device) -> Tensor:
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} holds no numbers; expected an array or a tensor of numbers") from None
    if tensor.ndim == 0:
        raise InputError(f"{name} is one number; expected an array with one row for each sample")
    if tensor.is_complex():
        raise InputError(f"{name} is complex; expected real numbers")
    kept = tensor.dtype == torch.bool
    return tensor.to(
        device, tensor.dtype if kept else torch.float64 if tensor.is_floating_point() else torch.int64
    )


def _array(tensor: Tensor) -> Numbers:
    return tensor.detach().cpu().double().numpy()


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise InputError(
            f"the loss returns a {type(value).__name__}; expected a torch scalar; a NumPy function goes into numpy_loss"
        )
    if value.ndim:
        raise InputError(
            f"the loss returns shape {tuple(value.shape)}; expected one number; take the mean or the sum"
        )
    if value.dtype != torch.float64:
        raise InputError(
            f"the loss returns {value.dtype}; expected torch.float64, since squared gradients of critical points are "
            "below what other types resolve; convert its data with .double()"
        )
    if not value.requires_grad:
        raise InputError(
            "the loss does not depend on the parameters through torch operations; expected a differentiable function "
            "of the vector; do not detach it or convert it to NumPy"
        )


def _kinks(value: Tensor) -> set[str]:
    """Return the names of the functions with kinks in the graph of a value."""
    found, seen, stack = set(), set(), [value.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name()
        found |= {word for key, word in _KINKS.items() if name.startswith(key)}
        stack += [after for after, _ in node.next_functions]
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
