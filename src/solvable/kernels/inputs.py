"""Validation of the points and images that kernels are called on."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from numpy.typing import NDArray

from solvable.checks import finite
from solvable.errors import InputError

Array = Any
"""A NumPy array or a torch tensor; docstrings state the shapes."""
Namespace = Any
"""The Array API namespace of an array."""


def points(name: str, X: Array) -> tuple[Namespace, Array]:
    """Return the Array API namespace of `X`, and `X` as floating-point points of shape (n, d).

    Array-likes become float64 arrays. A torch tensor keeps its device and floating dtype, and is detached, since
    kernels work in place and carry no gradient.

    Raises:
        InputError: if `X` does not hold real numbers, is not (n, d), is empty, or holds NaN or infinity.
    """
    xp, X = real_numbers(name, X, "(points, coordinates)")
    if X.ndim != 2:
        remedy = (
            "flatten images first: X.reshape(len(X), -1)"
            if X.ndim > 2
            else "one point is X[None, :], points of one coordinate are X[:, None]"
        )
        raise InputError(f"{name} has shape {tuple(X.shape)}; expected (points, coordinates); {remedy}")
    if 0 in X.shape:
        raise InputError(
            f"{name} has shape {tuple(X.shape)}; expected at least one point of at least one coordinate; "
            "check the selection that made it"
        )
    if not bool(xp.all(xp.isfinite(X))):
        finite(name, to_float64(X))
    return xp, X


def real_numbers(name: str, X: Array, axes: str, keep_single: bool = False) -> tuple[Namespace, Array]:
    """Return the Array API namespace of `X`, and `X` as dense floating-point numbers of any shape.

    Errors name the expected `axes`; with `keep_single`, NumPy's float32 is kept.

    Raises:
        InputError: if `X` does not hold dense real numbers.
    """
    if is_torch_array(X):
        xp = array_namespace(X)
        X = X.detach()
        if str(X.layout) != "torch.strided":
            raise InputError(
                f"{name} is a sparse tensor; expected a dense one; convert it with {name}.to_dense() first"
            )
        if xp.isdtype(X.dtype, "complex floating"):
            raise _not_real(name, X, axes)
        if not xp.isdtype(X.dtype, "real floating"):
            raise InputError(
                f"{name} is a tensor of {str(X.dtype).removeprefix('torch.')}; expected floating-point numbers; "
                f"convert it with {name}.float() or {name}.double() first"
            )
        return xp, X
    if np.ma.is_masked(X):
        raise InputError(
            f"{name} has masked values; expected numbers everywhere; drop or fill these rows first"
        )
    try:
        X = X if keep_single and getattr(X, "dtype", None) == "float32" else to_float64(X)
    except (TypeError, ValueError, ArithmeticError):
        raise _not_real(name, X, axes) from None
    return array_namespace(X), X


def check_alike(xp: Namespace, X: Array, xp_z: Namespace, Z: Array) -> None:
    """Raise if two arrays differ in library, dtype or device."""
    if xp is not xp_z:
        raise InputError(
            "X and Z are from different array libraries; expected both NumPy or both torch; "
            "convert one, e.g. with torch.as_tensor"
        )
    if X.dtype != Z.dtype:
        raise InputError(f"X has dtype {X.dtype} and Z has {Z.dtype}; expected the same; convert one of them")
    if X.device != Z.device:
        raise InputError(f"X is on {X.device} and Z is on {Z.device}; expected one device; move one of them")


def is_half(X: Array) -> bool:
    """Return whether `X` is a tensor in half precision, float16 or bfloat16."""
    return is_torch_array(X) and str(X.dtype) in ("torch.float16", "torch.bfloat16")


def point_pair(X: Array, Z: Array) -> tuple[Namespace, Array, Array]:
    """Return the common namespace and the checked `X` (n, d) and `Z` (m, d); raise if they do not match."""
    if hasattr(X, "columns") and hasattr(Z, "columns") and list(X.columns) != list(Z.columns):
        raise InputError(
            "the columns of the tables X and Z differ in name or order; expected the same in the same order: use "
            "Z[X.columns]"
        )
    xp, X = points("X", X)
    xp_z, Z = points("Z", Z)
    check_alike(xp, X, xp_z, Z)
    if X.shape[1] != Z.shape[1]:
        raise InputError(
            f"X has {X.shape[1]} coordinates and Z has {Z.shape[1]}; expected the same columns in both"
        )
    return xp, X, Z


def to_float64(X: Array) -> NDArray[np.float64]:
    """Return `X` as a float64 NumPy array; raise TypeError or ValueError if it is not a dense, real rectangle."""
    if is_torch_array(X):
        if X.is_complex():
            raise TypeError("complex numbers are not real")
        X = X.detach().cpu()
        return X.to(array_namespace(X).float64).numpy()
    array = np.asarray(X)
    # NumPy would read text as numbers, and dates as the time since 1970.
    if array.dtype.kind not in "fiubO" or (
        array.dtype.kind == "O" and any(isinstance(one, str) for one in array.flat)
    ):
        raise TypeError(f"{array.dtype} is not a type of real numbers")
    return np.asarray(array, dtype=np.float64)


def _not_real(name: str, X: Array, axes: str) -> InputError:
    kind = f"{type(X).__name__}" + (f" of {X.dtype}" if hasattr(X, "dtype") else "")
    return InputError(
        f"{name} is a {kind} that does not hold a dense rectangle of real numbers; "
        f"expected an array of shape {axes}; convert it with np.asarray(..., dtype=float) first"
    )


def images(name: str, X: Any) -> tuple[Namespace, Array]:
    """Return the Array API namespace of `X`, and `X` as floating-point images (n, height, width, channels).

    Array-likes become float64, except float32 arrays; a torch tensor keeps its device and floating dtype, detached.

    Raises:
        InputError: if `X` does not hold real numbers, is not (n, height, width, channels), looks like
            (n, channels, height, width), is empty, or holds NaN or infinity.
    """
    xp, X = real_numbers(name, X, "(images, height, width, channels)", keep_single=True)
    if X.dtype not in (xp.float32, xp.float64):
        X = xp.astype(X, xp.float64)
    shape = tuple(X.shape)
    expected = "expected (images, height, width, channels)"
    if X.ndim != 4:
        remedy = {
            2: "reshape flat images: X.reshape(len(X), height, width, channels)",
            3: "images of one channel are X[..., None], one image is X[None]",
        }.get(X.ndim, "reshape it to these four axes")
        raise InputError(f"{name} has shape {shape}; {expected}; {remedy}")
    if 0 in shape:
        raise InputError(
            f"{name} has shape {shape}; {expected}, none of them 0; check the selection that made it"
        )
    if shape[1] in (1, 3) and shape[2] == shape[3] >= 8:
        raise InputError(
            f"{name} has shape {shape}, which looks like (images, channels, height, width); {expected}; "
            "move the channels: np.moveaxis(X, 1, -1) or, in torch, X.permute(0, 2, 3, 1)"
        )
    if not bool(xp.all(xp.isfinite(X))):
        finite(name, to_float64(X))
    return xp, X


def image_pair(X: Any, Z: Any) -> tuple[Namespace, Array, Array]:
    """Return the common namespace and the checked images; raise if the two do not match."""
    xp, X = images("X", X)
    xp_z, Z = images("Z", Z)
    check_alike(xp, X, xp_z, Z)
    if X.shape[1:] != Z.shape[1:]:
        raise InputError(
            f"X has images of shape {tuple(X.shape[1:])} and Z of {tuple(Z.shape[1:])}; expected the same height, "
            "width and channels; crop, pad or resize one of them"
        )
    return xp, X, Z
