r"""Sums $\sum_k A_{ik} B_{jk} \rho_{ij}^k$ over tiles, by Horner's rule in place."""

from math import ceil, sqrt
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from solvable.kernels.inputs import Array, Namespace, to_float64

# Terms this small relative to the largest are skipped, which halves the work for odd and even functions.
_NEGLIGIBLE = 1e-20
# A little more than -log of the rounding of doubles.
_FORGOTTEN = 40.0
_POINTS = 1024


def mehler_sums(
    xp: Namespace, factors: list[tuple[Array, Array]], rho: Array, derivative: bool
) -> tuple[Array, Array | None]:
    r"""Return $\sum_k c_k \rho^k$ and, with `derivative`, $\sum_k k\, c_k \rho^{k-1}$, $c_k = \sum_m A^m_k B^m_k$.

    `factors` are pairs A, B with k along their last axes, whose other axes broadcast against `rho`: correlations, real
    or complex, of the full shape, with at least one axis.

    >>> ones = np.ones((1, 4))
    >>> mehler_sums(np, [(ones, ones)], np.array([0.5]), True)
    (array([1.875]), array([2.75]))
    """
    if all(_constant(A) and _constant(B) for A, B in factors):
        numbers = sum(_row(A) * _row(B) for A, B in factors)
        active = _active(np.abs(numbers))
        return _horner(active, _Numbers(numbers), rho, derivative)
    sizes = sum(_largest(xp, A) * _largest(xp, B) for A, B in factors)
    return _horner(_active(sizes), _Products(xp, factors, rho), rho, derivative)


def complex_sums(A: Array, B: Array, rho: Any, derivative: bool) -> tuple[Any, Any]:
    r"""Return `mehler_sums` at complex correlations, fast for long sums with common coefficients.

    At each $\rho$ these end where $|\rho|^k$ is below rounding, and are computed as matrix products of blocks of
    $\sqrt K$ terms.
    """
    if not (_constant(A) and _constant(B)):
        return mehler_sums(np, [(A, B)], rho, derivative)
    numbers = _row(A) * _row(B)
    active = _active(np.abs(numbers))
    numbers = numbers[: active[-1] + 1 if active else 1]
    flat = np.ravel(rho)
    with np.errstate(divide="ignore"):
        decay = np.maximum(-np.log(np.abs(flat)), _FORGOTTEN / len(numbers))
    n_terms = np.ceil(_FORGOTTEN / decay).astype(int) + 1
    value = np.empty(flat.shape, complex)
    slope = np.empty(flat.shape, complex) if derivative else None
    # Points with similar numbers of terms together.
    order = np.argsort(n_terms)
    for start in range(0, len(flat), _POINTS):
        part = order[start : start + _POINTS]
        terms = int(n_terms[part[-1]])
        value[part] = _blocks(numbers[:terms], flat[part])
        if slope is not None:
            slope[part] = _blocks((np.arange(len(numbers)) * numbers)[1:terms], flat[part])
    shape = np.shape(rho)
    return value.reshape(shape), None if slope is None else slope.reshape(shape)


def _blocks(numbers: Any, rho: Any) -> Any:
    """Return the power series with these coefficients at complex numbers (n,)."""
    if len(numbers) == 0:
        return np.zeros_like(rho)
    width = ceil(sqrt(len(numbers)))
    blocks = np.zeros((ceil(len(numbers) / width), width))
    blocks.flat[: len(numbers)] = numbers
    powers = np.ones((width + 1, len(rho)), complex)
    np.cumprod(np.broadcast_to(rho, (width, len(rho))), axis=0, out=powers[1:])
    sums = blocks @ powers[:-1].view(float)
    total = np.zeros_like(rho)
    for block in sums[::-1].view(complex):
        total = total * powers[-1] + block
    return total


class _Numbers:
    """Coefficients common to all entries."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = [float(number) for number in numbers]

    def start(self, k: int) -> Any:
        return self.numbers[k]

    def __call__(self, k: int) -> Any:
        return self.numbers[k]


class _Products:
    """Coefficients that are outer products; each call may overwrite the last result."""

    def __init__(self, xp: Namespace, factors: list[tuple[Array, Array]], rho: Array) -> None:
        # With k first the numbers of a term are contiguous, as the loop over the tile needs.
        self.factors = [tuple(_k_first(xp, side) for side in pair) for pair in factors]
        real = not is_torch_array(rho) and rho.dtype.kind == "f"
        self.buffers = [np.empty(rho.shape) for _ in range(2)] if real else None

    def start(self, k: int) -> Any:
        return self(k)

    def __call__(self, k: int) -> Any:
        if self.buffers is None:
            return sum(A[k] * B[k] for A, B in self.factors)
        total, other = self.buffers
        for m, (A, B) in enumerate(self.factors):
            np.multiply(A[k], B[k], out=other if m else total)
            if m:
                total += other
        return total


def _horner(active: list[int], term: Any, rho: Array, derivative: bool) -> tuple[Array, Array | None]:
    value = rho * 0
    slope = rho * 0 if derivative else None
    powers: dict[int, Array] = {1: rho}
    above = None
    for k in reversed(active):
        coefficient = term(k)
        if above is not None:
            power = _power(powers, above - k)
            value *= power
            if slope is not None and k:
                slope *= power
        value += coefficient
        if slope is not None and k:
            coefficient *= k
            slope += coefficient
        above = k
    if active and active[0] > 0:
        value *= _power(powers, active[0])
    positive = [k for k in active if k]
    if slope is not None and positive and positive[0] > 1:
        slope *= _power(powers, positive[0] - 1)
    return value, slope


def integer_power(rho: Array, exponent: int) -> Array:
    """Return a new array of rho to an exponent >= 1, by repeated squaring, which is faster than `**`."""
    return _power({1: rho}, exponent) * 1


def _power(powers: dict[int, Array], exponent: int) -> Array:
    if exponent not in powers:
        powers[exponent] = _power(powers, exponent // 2) * _power(powers, exponent - exponent // 2)
    return powers[exponent]


def _active(sizes: Any) -> list[int]:
    largest = float(np.max(sizes, initial=0.0))
    return [int(k) for k in np.nonzero(sizes > _NEGLIGIBLE * largest)[0]]


def _constant(A: Array) -> bool:
    strides = A.stride() if is_torch_array(A) else A.strides
    return all(size == 1 or stride == 0 for size, stride in zip(A.shape[:-1], strides[:-1], strict=True))


def _row(A: Array) -> Any:
    return to_float64(A[(0,) * (A.ndim - 1)])


def _largest(xp: Namespace, A: Array) -> Any:
    return to_float64(xp.max(abs(A), axis=tuple(range(A.ndim - 1))))


def _k_first(xp: Namespace, A: Array) -> Array:
    moved = xp.moveaxis(A, -1, 0)
    return moved.contiguous() if is_torch_array(A) else np.ascontiguousarray(moved)
