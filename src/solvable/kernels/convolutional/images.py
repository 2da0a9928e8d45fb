"""The door of convolutional kernels: images, checked once, with a sentence for each refusal."""

from typing import Any

from solvable.errors import InputError, finite
from solvable.kernels.inputs import Array, Namespace, check_alike, real_numbers, to_float64


def images(name: str, X: Any) -> tuple[Namespace, Array]:
    """Return the Array API namespace of `X` and `X` as floating-point images (n, height, width, channels).

    What NumPy can read becomes float64, but float32 arrays stay as they are; a torch tensor keeps its floating dtype
    and device, and is detached.

    Raises:
        InputError: when `X` holds no real numbers, is not (n, height, width, channels), looks like
            (n, channels, height, width), is empty, or holds NaN or infinity.
    """
    xp, X = real_numbers(name, X, "(images, height, width, channels)", keep_single=True)
    if X.dtype not in (xp.float32, xp.float64):
        X = xp.astype(X, xp.float64)
    shape = tuple(X.shape)
    expected = "expected (images, height, width, channels)"
    if X.ndim != 4:
        mend = {
            2: "flat images are given their shape back: X.reshape(len(X), height, width, channels)",
            3: "images of one channel are X[..., None], one image is X[None]",
        }.get(X.ndim, "bring the axes to these four")
        raise InputError(f"{name} has shape {shape}; {expected}; {mend}")
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
    """Return the common namespace and the checked images.

    Raises:
        InputError: as `images` does, or when the two differ in library, dtype, device or image shape.
    """
    xp, X = images("X", X)
    xp_z, Z = images("Z", Z)
    check_alike(xp, X, xp_z, Z)
    if X.shape[1:] != Z.shape[1:]:
        raise InputError(
            f"X has images of shape {tuple(X.shape[1:])} and Z of {tuple(Z.shape[1:])}; expected the same height, "
            "width and channels; crop, pad or resize one of them"
        )
    return xp, X, Z
