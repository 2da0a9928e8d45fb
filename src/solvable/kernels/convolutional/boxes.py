r"""Box sums over common shifts of both positions of a pair of pixels, and means over pooling windows.

A tile holds numbers for pairs of pixels of pairs of images, (W, W', H, H', I, J): the columns of the pixel in the first
and in the second image, the rows, the images. Images come last, so that a shift of a pixel moves long contiguous runs.
An axis has size 1 if the second position follows from the first. A convolution shifts both positions alike, so its box
sum is separable: first along the columns, then along the rows.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product

from solvable.kernels.inputs import Array, Namespace

Segment = tuple[slice, slice]
"""Target and source slices of equal length along one axis."""


def output_size(size: int, filter_size: int, padding: str) -> int:
    """Return the number of positions of a convolution along an axis of `size` pixels."""
    return size - filter_size + 1 if padding == "VALID" else size


def offsets(filter_size: int) -> range:
    """Return the shifts of a filter around its position; the extra pixel of an even one comes after it."""
    return range(-((filter_size - 1) // 2), filter_size // 2 + 1)


def segments(size: int, shift: int, padding: str) -> list[Segment]:
    """Return the segments of a shift along an axis: targets t and sources t + shift inside the image."""
    if padding == "CIRCULAR":
        shift %= size
        cut = size - shift
        parts = [(slice(0, cut), slice(shift, size)), (slice(cut, size), slice(0, shift))]
        return [part for part in parts if part[0].start < part[0].stop]
    if abs(shift) >= size:
        return []
    start, stop = max(0, -shift), size - max(0, shift)
    return [(slice(start, stop), slice(start + shift, stop + shift))]


def shifted_sum(xp: Namespace, T: Array, axes: tuple[int, ...], filter_size: int, padding: str) -> Array:
    r"""Return $\sum_\delta T[p + \delta]$ with the same shift on each of `axes`, which have equal size.

    Pixels outside the image are 0 ("SAME"), those of the opposite side ("CIRCULAR"), or not used ("VALID").
    """
    shape = summed_shape(T.shape, axes, filter_size, padding)
    return add_shifted(
        xp.empty(shape, dtype=T.dtype, device=T.device), T, axes, filter_size, padding, fresh=True
    )


def summed_shape(
    shape: tuple[int, ...], axes: tuple[int, ...], filter_size: int, padding: str
) -> tuple[int, ...]:
    """Return the shape of a box sum along `axes`."""
    return tuple(output_size(n, filter_size, padding) if i in axes else n for i, n in enumerate(shape))


def add_shifted(
    total: Array, T: Array, axes: tuple[int, ...], filter_size: int, padding: str, fresh: bool = False
) -> Array:
    """Add the box sum of T to `total`, or set `total` to it if `fresh`; return `total`."""
    for target, source in _plan(T.ndim, T.shape[axes[0]], axes, filter_size, padding):
        if fresh:
            total[target] = T[source]
            fresh = False
        else:
            total[target] += T[source]
    return total


@cache
def _plan(
    ndim: int, size: int, axes: tuple[int, ...], filter_size: int, padding: str
) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Return targets and sources of a box sum; the first target is the whole array."""
    plan = []
    if padding == "VALID":
        n = output_size(size, filter_size, padding)
        for shift in range(filter_size):
            plan.append(
                (_index(ndim, axes, [slice(None)] * 2), _index(ndim, axes, [slice(shift, shift + n)] * 2))
            )
        return plan
    for shift in sorted(offsets(filter_size), key=abs):
        for combination in product(segments(size, shift, padding), repeat=len(axes)):
            targets, sources = zip(*combination, strict=True)
            plan.append((_index(ndim, axes, targets), _index(ndim, axes, sources)))
    return plan


def _index(ndim: int, axes: tuple[int, ...], parts: Sequence[slice]) -> tuple[slice, ...]:
    index = [slice(None)] * ndim
    for axis, part in zip(axes, parts, strict=False):
        index[axis] = part
    return tuple(index)


def add_one_sided(total: Array, x: Array, z: Array, axes: tuple[int, int], filter_size: int) -> None:
    r"""Add to `total` the terms in which one position of a zero-padded filter is outside its image.

    The squared distance is then the variance of the other pixel: `x` of the first image, of size 1 on the second of
    `axes`, or `z` of the second image, of size 1 on the first; both broadcast against the tile `total`.
    """
    size = total.shape[axes[0]]
    for shift in offsets(filter_size):
        outside = slice(0, min(size, -shift)) if shift < 0 else slice(max(0, size - shift), size)
        for to, out_of in segments(size, shift, "SAME") if shift else []:
            total[_index(total.ndim, axes, (to, outside))] += _on(x, axes[:1], out_of)
            total[_index(total.ndim, axes, (outside, to))] += _on(z, axes[1:], out_of)


def pooled(T: Array, axes: tuple[int, ...], size: int) -> Array:
    """Return the means over consecutive windows of `size` along each of `axes`; an incomplete window is dropped."""
    for axis in axes:
        n = T.shape[axis] // size
        parts = [_on(T, (axis,), slice(start, n * size, size)) for start in range(size)]
        T = parts[0] + parts[1] if size > 1 else parts[0] * 1.0
        for part in parts[2:]:
            T += part
    T *= size ** -len(axes)
    return T


def _on(T: Array, axes: tuple[int, ...], part: slice) -> Array:
    return T[_index(T.ndim, axes, [part] * len(axes))]
