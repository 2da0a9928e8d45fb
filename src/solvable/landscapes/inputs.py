"""A loss and parameter vectors as users have them, as the loss object and the float64 batch of the finders."""

from typing import Any

import numpy as np

from solvable.checks import finite
from solvable.errors import InputError, missing_extra
from solvable.landscapes.losses import Loss, Numbers

DENSE_LIMIT = 5000
"""Methods that form Hessians take at most so many parameters."""


def as_loss(loss: Any, theta0: Any = None) -> Loss:
    """Return a loss object; a function of a torch vector becomes one on the device of `theta0`."""
    if isinstance(loss, Loss):
        return loss
    if hasattr(loss, "named_parameters"):
        raise InputError(
            f"loss is a module ({type(loss).__name__}); expected a function of one parameter vector; call "
            "module_loss(module, criterion, X, y)"
        )
    if not callable(loss):
        raise InputError(
            f"loss is a {type(loss).__name__}; expected a torch function of one parameter vector, or what module_loss "
            "or numpy_loss returns"
        )
    try:
        from solvable.landscapes.torch_losses import TorchLoss
    except ImportError:
        raise missing_extra("torch", "nets", "a loss that is a plain function") from None
    function: Any = loss
    return TorchLoss([function], device=getattr(theta0, "device", None))


def as_batch(theta: Any, loss: Loss, name: str = "theta0") -> Numbers:
    """Return parameter vectors as float64 (B, N); without any, those that the loss has itself.

    Raises:
        InputError: for integers, complex numbers, a wrong shape, NaN or infinity.
    """
    if theta is None:
        if loss.theta0 is None:
            raise InputError(f"{name} is missing; expected a parameter vector (N,) or several (B, N)")
        return loss.theta0[None]
    if hasattr(theta, "detach"):
        theta = theta.detach().cpu().numpy()
    try:
        array = np.asarray(theta)
    except ValueError:
        raise InputError(f"{name} holds rows of different lengths; expected (N,) or (B, N)") from None
    if array.dtype.kind != "f":
        kind = {"i": "integers", "u": "integers", "b": "booleans", "c": "complex numbers"}.get(
            array.dtype.kind
        )
        raise InputError(
            f"{name} holds {kind or f'values of type {array.dtype}'}; expected real floating-point numbers; convert it "
            "to float64"
        )
    if array.ndim not in (1, 2) or not array.size:
        raise InputError(f"{name} has shape {array.shape}; expected (N,), or (B, N) for B starts")
    array = np.atleast_2d(array).astype(np.float64)
    finite(name, array, "")
    if loss.theta0 is not None and array.shape[1] != len(loss.theta0):
        raise InputError(
            f"{name} has {array.shape[1]} parameters for each start; expected {len(loss.theta0)}, those of the module"
        )
    return array


def need_dense(n_parameters: int, what: str, remedy: str) -> None:
    """Raise `InputError` if there are too many parameters to form a Hessian."""
    if n_parameters > DENSE_LIMIT:
        raise InputError(
            f"{what} forms the Hessian of {n_parameters} parameters; expected at most {DENSE_LIMIT}; {remedy}"
        )
