"""Arrays that are used again: fresh ones would cost more in page faults than the arithmetic on them."""

import numpy as np
from numpy.typing import DTypeLike

from solvable.kernels.inputs import Array, Namespace


class Workspace:
    """Arrays of one dtype that come back; one for each thread. Tensors are left to torch, which keeps its own."""

    def __init__(self, xp: Namespace, like: Array) -> None:
        self.xp = xp
        self.dtype: DTypeLike = like.dtype
        self.device = like.device
        self._numpy = isinstance(like, np.ndarray)
        self._free: list[Array] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return an array of this shape, of any content."""
        if not self._numpy:
            return self.xp.empty(shape, dtype=self.dtype, device=self.device)
        size = int(np.prod(shape))
        for i in range(len(self._free) - 1, -1, -1):
            if self._free[i].size >= size:
                return self._free.pop(i)[:size].reshape(shape)
        self._free.clear()
        return np.empty(size, dtype=self.dtype).reshape(shape)

    def give(self, *arrays: Array) -> None:
        """Take back arrays that nobody uses any more."""
        # Others than its own, results of a pooling, say, are left to themselves.
        if self._numpy:
            self._free.extend(
                array.base for array in arrays if array.base is not None and array.base.ndim == 1
            )
