"""Size, order, threads and memory of the tiles of a kernel matrix of images."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from array_api_compat import is_torch_array
from numpy.typing import DTypeLike

from solvable.kernels import tiles
from solvable.kernels.inputs import Array, Namespace
from solvable.machine import blas_threads

Task = TypeVar("Task")
Result = TypeVar("Result")

# Numbers in one array of a tile, 2 MB of doubles. Measured: with 2^16, which would fit a core's second-level cache,
# global averages take half as long again because of calls into NumPy; flatten hardly differs.
_CPU_TILE = 2**18
_ACCELERATOR_TILE = 2**24


def tile_numbers(X: Array) -> int:
    """Return the number of entries of an array of a tile on the device of X."""
    return _CPU_TILE if tiles.on_cpu(X) else _ACCELERATOR_TILE


def workers(X: Array) -> int:
    """Return how many tiles are computed at a time; torch has threads of its own."""
    return 1 if is_torch_array(X) else blas_threads()


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], n_threads: int) -> Iterator[Result]:
    """Yield the results of tasks in order, with few pending at a time to limit memory."""
    if n_threads == 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(n_threads) as executor:
        pending: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                pending.append(executor.submit(work, task))
                if len(pending) > 2 * n_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class Workspace:
    """A pool of arrays of one dtype for one thread; torch has its own allocator for tensors."""

    def __init__(self, xp: Namespace, like: Array) -> None:
        self.xp = xp
        self.dtype: DTypeLike = like.dtype
        self.device = like.device
        self._numpy = isinstance(like, np.ndarray)
        self._free: list[Array] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return an uninitialised array of this shape."""
        if not self._numpy:
            return self.xp.empty(shape, dtype=self.dtype, device=self.device)
        size = int(np.prod(shape))
        for i in range(len(self._free) - 1, -1, -1):
            if self._free[i].size >= size:
                return self._free.pop(i)[:size].reshape(shape)
        self._free.clear()
        return np.empty(size, dtype=self.dtype).reshape(shape)

    def give(self, *arrays: Array) -> None:
        """Return arrays that are no longer used to the pool; others than its own are ignored."""
        if self._numpy:
            self._free.extend(
                array.base for array in arrays if array.base is not None and array.base.ndim == 1
            )
