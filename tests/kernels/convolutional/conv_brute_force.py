"""Convolutional kernels by the definition: one covariance matrix of all pixels of all images, loops, no tiles.

Works on floats and on mpmath's numbers alike; the dual takes arrays of either.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

Dual = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(a, b, c) -> E[phi phi], E[phi' phi']."""


def conv_kernels(
    images: Any,
    dual: Dual,
    depth: int,
    w2: Any = 2,
    b2: Any = 0,
    readout_w2: Any = 1,
    readout_b2: Any = 0,
    filter_size: int = 3,
    padding: str = "SAME",
    readout: str = "flatten",
    pool_after: Sequence[int] = (),
    own: Callable[[int, int, Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Return the NNGP kernel and the NTK between all images (n, H, W, C), (n, n) object or float arrays.

    `own` takes (layer, positions, raw) to the layer's own term, raw being the box sum of E[phi phi] (the mean for the
    readout, layer = depth); None is the NTK parametrization. `w2` and so on are variances.
    """
    n, H, W, C = images.shape
    flat = images.reshape(n * H * W, C)
    K = flat @ flat.T / C
    T = K * 0
    for layer in range(depth):
        K, H2, W2 = _convolved(K, n, H, W, filter_size, padding)
        T, _, _ = _convolved(T, n, H, W, filter_size, padding)
        H, W = H2, W2
        raw = K
        K = K * w2 / filter_size**2 + b2
        T = T * w2 / filter_size**2 + (K if own is None else own(layer, H * W, raw))
        a = K.diagonal()
        value, slope = dual(a[:, None], a[None, :], K)
        K, T = value, T * slope
        if layer + 1 in pool_after:
            mean = _pooling(n, H, W)
            K, T = mean @ K @ mean.T, mean @ T @ mean.T
            H, W = H // 2, W // 2
    P = H * W
    NNGP, NTK = np.empty((n, n), dtype=K.dtype), np.empty((n, n), dtype=K.dtype)
    for i, j in product(range(n), repeat=2):
        block, slopes = (M[i * P : (i + 1) * P, j * P : (j + 1) * P] for M in (K, T))
        flatten = readout == "flatten"
        k, t = ((np.trace(b) / P if flatten else b.sum() / P**2) for b in (block, slopes))
        NNGP[i, j] = readout_w2 * k + readout_b2
        NTK[i, j] = readout_w2 * t + (NNGP[i, j] if own is None else own(depth, P, k))
    return NNGP, NTK


def _convolved(K: Any, n: int, H: int, W: int, q: int, padding: str) -> tuple[Any, int, int]:
    before = 0 if padding == "VALID" else (q - 1) // 2
    H2, W2 = (H - q + 1, W - q + 1) if padding == "VALID" else (H, W)
    total = 0
    for dh, dw in product(range(-before, q - before), repeat=2):
        shift = np.zeros((n, H2, W2, n, H, W), dtype=int)
        for i, h, w in product(range(n), range(H2), range(W2)):
            to = h + dh, w + dw
            if padding == "CIRCULAR":
                to = to[0] % H, to[1] % W
            if 0 <= to[0] < H and 0 <= to[1] < W:
                shift[i, h, w, i, to[0], to[1]] = 1
        S = shift.reshape(n * H2 * W2, n * H * W)
        total = total + _select(S, K)
    return total, H2, W2


def _select(S: Any, K: Any) -> Any:
    """Return S K S^T of a matrix S of zeros and at most one 1 a row, without arithmetic."""
    source, inside = S.argmax(axis=1), S.any(axis=1)
    return np.where(inside[:, None] & inside, K[source[:, None], source], K.flat[0] * 0)


def _pooling(n: int, H: int, W: int) -> Any:
    mean = np.zeros((n, H // 2, W // 2, n, H, W))
    for i, h, w, dh, dw in product(range(n), range(H // 2), range(W // 2), range(2), range(2)):
        mean[i, h, w, i, 2 * h + dh, 2 * w + dw] = 0.25
    return mean.reshape(n * (H // 2) * (W // 2), n * H * W)
