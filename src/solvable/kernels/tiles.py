"""The loop over tiles of a kernel matrix.

A tile fits the processor's cache, so a chain of elementwise operations on it costs little more than one, and the peak
memory is the result plus a few tiles. Of a symmetric matrix only the tiles on and below the diagonal are computed.
Threads share large matrices by bands of rows (NumPy releases the GIL); the result does not depend on their number.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from array_api_compat import is_torch_array

from solvable.errors import InputError
from solvable.kernels.inputs import Array, Namespace
from solvable.machine import blas_threads, limited_blas_threads

TileFunction = Callable[[slice, slice], Array]
"""Computes K[rows, columns] for two slices; called from several threads at once."""

# 192 x 192 doubles are 288 kB: a few fit a core's second-level cache, and there are few calls into NumPy.
_CPU_TILE = 192
# An accelerator needs few, large launches; 4096 x 4096 floats are 64 MB.
_ACCELERATOR_TILE = 4096
# Numbers in the matrix product of a band (4 MB in float64).
_BAND = 2**19
# Number of entries from which threads pay off.
_WORTH_THREADS = 100_000


def rectangular(
    xp: Namespace,
    tile: TileFunction,
    X: Array,
    Z: Array,
    out: Array | None = None,
    block: slice | None = None,
) -> Array:
    """Return the (n, m) matrix of tiles `tile(rows, columns)`, or its rows `block`, written to `out` if passed."""
    m = Z.shape[0]
    block = block or slice(0, X.shape[0])
    K = result(xp, X, (block.stop - block.start, m), out)

    def fill(rows: slice, columns: slice) -> None:
        K[rows.start - block.start : rows.stop - block.start, columns] = tile(rows, columns)

    _fill_tiles(fill, X, m, lambda rows: slices(m, tile_size(X)), block)
    return K


def symmetric(
    xp: Namespace, tile: TileFunction, diagonal: Array, X: Array, out: Array | None = None
) -> Array:
    """Return the (n, n) matrix from its tiles on and below the diagonal and its exact `diagonal` (n,)."""
    n = X.shape[0]
    K = result(xp, X, (n, n), out)

    def fill(rows: slice, columns: slice) -> None:
        block = tile(rows, columns)
        if columns.start == rows.start:
            K[rows, rows] = _mirrored(xp, block, diagonal[rows])
        else:
            K[rows, columns] = block
            K[columns, rows] = block.T

    _fill_tiles(fill, X, n, lambda rows: slices(rows.stop, tile_size(X)), slice(0, n))
    return K


def slices(n: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` that cover range(n)."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def tile_size(X: Array) -> int:
    """Return the number of rows and columns of a tile of points `X`."""
    return _CPU_TILE if on_cpu(X) else _ACCELERATOR_TILE


def on_cpu(X: Array) -> bool:
    """Return whether `X` is in CPU memory."""
    return not is_torch_array(X) or X.device.type == "cpu"


def bands(n: int, n_columns: int) -> Iterator[slice]:
    """Yield slices that cover range(n), each for one matrix product: about 2^19 numbers, at least one tile high.

    Many small products are slow, and each thread needs several bands.
    """
    height = min(_BAND // (n_columns * _CPU_TILE), n // (8 * _CPU_TILE))
    yield from slices(n, max(1, height) * _CPU_TILE)


def _fill_tiles(
    fill: Callable[[slice, slice], None],
    X: Array,
    n_columns: int,
    columns_of: Callable[[slice], Iterator[slice]],
    block: slice,
) -> None:
    """Fill the tiles of the rows `block`, with threads if that pays off; torch has threads of its own."""
    size = tile_size(X)

    def fill_rows(part: slice) -> None:
        # Tile and band boundaries do not depend on `block`.
        for rows in slices(part.stop, size):
            if rows.stop > part.start:
                here = slice(max(rows.start, part.start), rows.stop)
                for columns in columns_of(here):
                    fill(here, columns)

    n_threads = (
        1 if is_torch_array(X) or (block.stop - block.start) * n_columns < _WORTH_THREADS else blas_threads()
    )
    if n_threads == 1:
        fill_rows(block)
        return
    parts = [
        slice(max(band.start, block.start), min(band.stop, block.stop))
        for band in bands(X.shape[0], n_columns)
        if band.start < block.stop and band.stop > block.start
    ]
    # BLAS threads would wait for each other at every product; threads that work on separate tiles do not.
    with limited_blas_threads(1), ThreadPoolExecutor(n_threads) as pool:
        # The last rows of a symmetric matrix are the longest, so they come first.
        for future in [pool.submit(fill_rows, part) for part in parts[::-1]]:
            future.result()


def result(xp: Namespace, X: Array, shape: tuple[int, int], out: Array | None) -> Array:
    """Return a new array for a kernel matrix of points `X`, or `out`; raise if that does not fit or is read-only."""
    if out is None:
        return xp.empty(shape, dtype=X.dtype, device=X.device)
    if getattr(getattr(out, "flags", None), "writeable", True) is False:
        raise InputError(
            "out is read-only; expected an array that can be written; open a memory map with mode='r+' or 'w+'"
        )
    got = (
        (tuple(out.shape), out.dtype)
        if hasattr(out, "shape") and hasattr(out, "dtype")
        else type(out).__name__
    )
    if is_torch_array(out) != is_torch_array(X) or got != (shape, X.dtype) or out.device != X.device:
        raise InputError(
            f"out is {got}; expected an array of shape {shape} and dtype {X.dtype} of the same library as X; "
            f"create it with np.empty({shape}) or np.memmap"
        )
    return out


def _mirrored(xp: Namespace, block: Array, diagonal: Array) -> Array:
    # A matrix product of two equal factors need not round to a symmetric matrix.
    below = xp.tril(block, k=-1)
    on_diagonal = xp.eye(block.shape[0], dtype=xp.bool, device=block.device)
    return xp.where(on_diagonal, diagonal[:, None], below + below.T)
