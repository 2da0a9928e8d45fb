"""Evaluation of a user's function on NumPy arrays and torch tensors, with error messages."""

import sys
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels.inputs import Array


def values_of(function: Any, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return function(z) as float64; NumPy arrays are tried first, then torch tensors if torch is loaded.

    Raises:
        InputError: if it fails on arrays, or does not return real numbers of the shape of z (finite or not).
    """
    torch = sys.modules.get("torch")
    with np.errstate(all="ignore"):
        try:
            # A copy, since the function may work in place.
            result = function(z.copy())
        except Exception as error:
            if torch is None:
                raise _failed(function, error) from error
            try:
                with torch.no_grad():
                    result = function(torch.from_numpy(z.copy()))
            except Exception as second:
                # The failure of a NumPy function on tensors is uninformative.
                cause = second if type(function).__module__.startswith("torch") else error
                raise _failed(function, cause) from error
    if torch is not None and isinstance(result, torch.Tensor):
        result = result.detach().cpu().resolve_neg().numpy()
    if not isinstance(result, np.ndarray | np.generic):
        raise InputError(
            f"{name_of(function)} returned a {type(result).__name__}; expected an array of the shape of its input; "
            "pass an elementwise function of arrays"
        )
    if result.dtype.kind not in "biuf":
        raise InputError(
            f"{name_of(function)} returned {result.dtype} numbers; expected real ones; take the real part"
        )
    if result.shape != z.shape:
        raise InputError(
            f"{name_of(function)} returned shape {result.shape} for an input of shape {z.shape}; expected the same "
            "shape; pass an elementwise function (a constant: lambda z: 0 * z + 1)"
        )
    return np.asarray(result, dtype=np.float64)


def apply(function: Any, z: Array) -> Array:
    """Return function(z) for a NumPy array or a torch tensor, which is converted for a NumPy function."""
    if not is_torch_array(z):
        array = np.asarray(z, dtype=np.float64)
        return values_of(function, array)
    try:
        result = function(z)
    except Exception:
        result = None
    if is_torch_array(result) and result.shape == z.shape:
        return result
    import torch

    values = values_of(function, z.detach().cpu().to(torch.float64).numpy())
    return torch.as_tensor(values, dtype=z.dtype, device=z.device)


def check_elementwise(function: Any) -> None:
    """Raise if a function is random or mixes the entries of its input."""
    many = np.linspace(-3.1, 3.2, 100)
    if not np.array_equal(values_of(function, many), values_of(function, many), equal_nan=True):
        raise InputError(
            f"{name_of(function)} returns other values when it is called again; expected a deterministic function; "
            "disable its randomness, e.g. with module.eval()"
        )
    z = np.array([[-2.3, -0.7, 0.0], [0.4, 1.1, 3.2]])
    once = values_of(function, z)
    part = values_of(function, z[:1, 1::-1].copy())
    if not np.allclose(part, once[:1, 1::-1], rtol=1e-6, atol=1e-12, equal_nan=True):
        raise InputError(
            f"{name_of(function)} is not elementwise: the value at one entry depends on the others; "
            "expected an activation function; layers such as softmax or normalisation have no dual"
        )


def name_of(function: Any) -> str:
    """Return the name of a function for messages, or its repr."""
    name = getattr(function, "__name__", None)
    return repr(function) if name is None else "the function" if name == "<lambda>" else str(name)


def _failed(function: Any, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()
    return InputError(
        f"{name_of(function)} fails on arrays ({type(error).__name__}: {reason[0][:120] if reason else 'no message'}); "
        "expected a function of NumPy arrays or torch tensors, elementwise; use np.maximum and np.where in place of "
        "max and if"
    )
