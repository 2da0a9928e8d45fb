"""The kernel matrix of images, tile by tile: sums over pairs of pixels, before the readout."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock, local
from typing import Any

from array_api_compat import is_torch_array

from solvable.kernels.convolutional import covariances, distances, schedule
from solvable.kernels.convolutional.cost import Cost, seconds_per_number
from solvable.kernels.convolutional.layers import Pairing, Stack
from solvable.kernels.convolutional.schedule import Workspace
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.tiles import slices
from solvable.progress import progress

# Limit in bytes of the activations' prepared numbers, beyond which they are recomputed for every tile.
_PREPARED = 2**29


@dataclass(frozen=True)
class _Task:
    """One displacement of one block of pairs of images; the `last` one completes the block's sums."""

    rows: slice
    columns: slice
    displacement: int
    last: bool


def tiles(
    xp: Namespace, stack: Stack, X: Array, Z: Array | None, title: str, show: bool
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield blocks of the matrix: rows, columns, and the sums over pairs of pixels, (1, I, J), with the NTK (2, I, J).

    Without Z the blocks are on and below the diagonal, those on it exactly symmetric. Tiles are added in a fixed order,
    so that the sums do not depend on the number of threads.
    """
    work = _Work(xp, stack, X, Z)
    x_blocks, z_blocks = work.x_blocks, work.z_blocks

    def tasks() -> Iterator[_Task]:
        for rows in x_blocks:
            for columns in z_blocks:
                if Z is None and columns.start > rows.start:
                    break
                shifts = _displacements(stack, X, Z is None and rows == columns)
                for shift in shifts:
                    yield _Task(rows, columns, shift, shift == shifts[-1])

    n, m = len(x_blocks), len(z_blocks)
    n_shifts = len(_displacements(stack, X, False))
    n_tasks = n * m * n_shifts
    if Z is None:
        n_tasks = n * (n - 1) // 2 * n_shifts + n * len(_displacements(stack, X, True))
    with progress(title, n_tasks, quiet=not show, always=True) as advance:
        total = None
        for task, sums in schedule.in_order(work.sums, tasks(), schedule.workers(X)):
            symmetric = Z is None and task.rows == task.columns
            if symmetric:
                # The opposite displacement, which is omitted, has the pixels exchanged.
                sums = sums + xp.permute_dims(sums, (0, 2, 1))
                sums *= 1.0 if _has_opposite(stack, X, task.displacement) else 0.5
            total = sums if total is None else total + sums
            if task.last:
                yield task.rows, task.columns, total
                total = None
            advance()


def diagonal(xp: Namespace, stack: Stack, X: Array) -> Iterator[tuple[slice, Array]]:
    """Yield rows of the diagonal and their sums over pairs of pixels, (1 or 2, I, 1)."""
    work = _Work(xp, stack, X, None, each_itself=True)
    shifts = _displacements(stack, X, True)
    tasks = (_Task(rows, rows, shift, shift == shifts[-1]) for rows in work.x_blocks for shift in shifts)
    total = None
    for task, sums in schedule.in_order(work.sums, tasks, schedule.workers(X)):
        sums = sums * (2.0 if _has_opposite(stack, X, task.displacement) else 1.0)
        total = sums if total is None else total + sums
        if task.last:
            yield task.rows, total
            total = None


def cost(xp: Namespace, stack: Stack, X: Array, Z: Array | None, allocate: bool, probe: bool) -> Cost:
    """Return the cost of the matrix; its seconds are 0 without `probe`."""
    n, m = X.shape[0], X.shape[0] if Z is None else Z.shape[0]
    n_pairs = n * (n + 1) / 2 if Z is None else n * m
    numbers = [n_pairs * pairs for pairs in stack.pixel_pairs(X.shape[1], X.shape[2])]
    itemsize = 4 if X.dtype == xp.float32 else 8
    n_threads = schedule.workers(X)
    pixels = (n if Z is None else n + m) * X.shape[1] * X.shape[2]
    # Pixels, the numbers of each layer and about eight arrays of a tile at a time.
    per_pixel = X.shape[3] + 4 * len(stack.layers)
    block = _block(stack, X)
    memory = itemsize * (pixels * per_pixel + 8 * n_threads * block**2 * _per_pair(stack, X))
    if not stack.by_distance:
        # Some activations prepare one number per term of their series.
        memory += min(_PREPARED, 100 * itemsize * pixels * len(stack.layers))
    if allocate:
        memory += itemsize * n * m
    seconds = 0.0
    if probe:
        rates = seconds_per_number(stack, "float32" if itemsize == 4 else "float64")
        seconds = sum(count * rate for count, rate in zip(numbers, rates, strict=True)) / n_threads
    flops = sum(numbers) * (75 + 4 * stack.filter_size)
    return Cost(flops, memory, seconds)


class _Work:
    """The numbers of blocks of images, computed once, and the recursion on one tile."""

    def __init__(
        self, xp: Namespace, stack: Stack, X: Array, Z: Array | None, each_itself: bool = False
    ) -> None:
        self.xp, self.stack, self.same, self.each_itself = xp, stack, Z is None, each_itself
        size = _block(stack, X) ** (2 if each_itself else 1)
        self.x_blocks = list(slices(X.shape[0], size))
        self.z_blocks = self.x_blocks if Z is None else list(slices(Z.shape[0], size))
        self._x = {rows.start: self._numbers(X[rows, ...]) for rows in self.x_blocks}
        self._z = (
            self._x if Z is None else {rows.start: self._numbers(Z[rows, ...]) for rows in self.z_blocks}
        )
        self._prepared: dict[tuple[bool, int], covariances.Variances] = {}
        self._held, self._lock = 0, Lock()
        self._local, self._like = local(), X

    def sums(self, task: _Task) -> tuple[_Task, Array]:
        """Return the task and its sums over pairs of pixels, (1 or 2, I, J)."""
        stack, xp = self.stack, self.xp
        displaced = "displaced" if stack.global_average else "equal"
        pairing = Pairing(
            "all" if stack.last_pool >= 0 else displaced,
            circular=stack.padding == "CIRCULAR",
            each_itself=self.each_itself,
            same=self.same and task.rows == task.columns,
            displacement=task.displacement,
        )
        x, z = self._ready(task.rows.start, second=False), self._ready(task.columns.start, second=True)
        if stack.by_distance:
            K, T = distances.DistanceTile(xp, stack, pairing, self._workspace()).run(x, z)
        else:
            K, T = covariances.CovarianceTile(xp, stack, pairing).run(x, z)
        return task, xp.stack([K] if T is None else [K, T])

    def _workspace(self) -> Workspace:
        if not hasattr(self._local, "space"):
            self._local.space = Workspace(self.xp, self._like)
        return self._local.space

    def _numbers(self, block: Array) -> Any:
        compute = distances.norms if self.stack.by_distance else covariances.variances
        return compute(self.xp, self.stack, block)

    def _ready(self, start: int, second: bool) -> Any:
        numbers = (self._z if second else self._x)[start]
        if isinstance(numbers, distances.Norms):
            return numbers
        key = second and not self.same, start
        with self._lock:
            if key in self._prepared:
                return self._prepared[key]
        ready = covariances.prepare(self.xp, self.stack, numbers)
        size = 0
        for array in (array for layer in ready.prepared for array in layer):
            size += 8 * int(array.numel() if is_torch_array(array) else array.size)
        with self._lock:
            if self._held + size <= _PREPARED and key not in self._prepared:
                self._prepared[key] = ready
                self._held += size
        return ready


def _displacements(stack: Stack, X: Array, symmetric: bool) -> list[int]:
    """Return the row displacements of tiles; if `symmetric`, only those of one sign."""
    if stack.last_pool >= 0 or not stack.global_average:
        return [0]
    n_rows = stack.sizes(X.shape[1])[-1][1]
    if stack.padding == "CIRCULAR":
        return list(range(n_rows // 2 + 1 if symmetric else n_rows))
    return list(range(0 if symmetric else 1 - n_rows, n_rows))


def _has_opposite(stack: Stack, X: Array, displacement: int) -> bool:
    n_rows = stack.sizes(X.shape[1])[-1][1]
    return displacement != 0 and not (stack.padding == "CIRCULAR" and 2 * displacement == n_rows)


def _per_pair(stack: Stack, X: Array) -> int:
    """Return how many numbers a tile has per pair of images."""
    H, W = (stack.sizes(X.shape[axis])[0][0] for axis in (1, 2))
    if stack.last_pool >= 0:
        return (H * W) ** 2
    return H * W * W if stack.global_average else H * W


def _block(stack: Stack, X: Array) -> int:
    """Return the number of images on a side of a tile."""
    numbers = schedule.tile_numbers(X)
    return max(1, min(256, round((numbers / _per_pair(stack, X)) ** 0.5)))
