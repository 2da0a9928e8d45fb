"""The one loop over tiles of a kernel matrix.

A tile fits the processor's cache, so a chain of elementwise operations on it costs little more than one, and
the peak memory is the result plus a few tiles. A symmetric matrix computes only the tiles on and below its
diagonal.
"""

from collections.abc import Callable, Iterator

from array_api_compat import is_torch_array

from solvable.kernels.inputs import Array, Namespace

TileFunction = Callable[[slice, slice], Array]
"""Computes K[rows, columns] for two slices."""

# 128 x 128 doubles are 128 kB: a handful of them fit a core's second-level cache.
_CPU_TILE = 128
# An accelerator wants few, large launches; 4096 x 4096 floats are 64 MB.
_ACCELERATOR_TILE = 4096


def rectangular(xp: Namespace, tile: TileFunction, X: Array, Z: Array) -> Array:
    """Return the (n, m) matrix whose tiles `tile(rows, columns)` computes."""
    n, m = X.shape[0], Z.shape[0]
    K = xp.empty((n, m), dtype=X.dtype, device=X.device)
    size = _tile_size(X)
    for rows in slices(n, size):
        for columns in slices(m, size):
            K[rows, columns] = tile(rows, columns)
    return K


def symmetric(xp: Namespace, tile: TileFunction, diagonal: Array, X: Array) -> Array:
    """Return the (n, n) matrix from its tiles on and below the diagonal, and its exact `diagonal` (n,)."""
    n = X.shape[0]
    K = xp.empty((n, n), dtype=X.dtype, device=X.device)
    size = _tile_size(X)
    for rows in slices(n, size):
        for columns in slices(rows.start, size):
            block = tile(rows, columns)
            K[rows, columns] = block
            K[columns, rows] = block.T
        K[rows, rows] = _mirrored(xp, tile(rows, rows), diagonal[rows])
    return K


def slices(n: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` that cover range(n)."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _tile_size(X: Array) -> int:
    on_cpu = not is_torch_array(X) or X.device.type == "cpu"
    return _CPU_TILE if on_cpu else _ACCELERATOR_TILE


def _mirrored(xp: Namespace, block: Array, diagonal: Array) -> Array:
    # A matrix product of two equal factors need not round to a symmetric matrix, so the lower half is
    # mirrored.
    below = xp.tril(block, k=-1)
    on_diagonal = xp.eye(block.shape[0], dtype=xp.bool, device=block.device)
    return xp.where(on_diagonal, diagonal[:, None], below + below.T)
