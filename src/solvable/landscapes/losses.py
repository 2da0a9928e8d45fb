"""Losses as the finders see them: a batch of parameter vectors in, NumPy arrays of values and derivatives out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError

Numbers = NDArray[np.float64]


class Expansion:
    """A loss to second order at a batch of points.

    Attributes:
        theta: the points (B, N).
        value: the losses (B,).
        gradient: their gradients (B, N).
    """

    def __init__(self, theta: Numbers, value: Numbers, gradient: Numbers) -> None:
        self.theta, self.value, self.gradient = theta, value, gradient

    @property
    def squared_gradient(self) -> Numbers:
        """$|g|^2$ of each point (B,)."""
        return np.einsum("bn,bn->b", self.gradient, self.gradient)

    def product(self, vectors: Numbers) -> Numbers:
        """Return the Hessian of each point times a vector (B, N)."""
        raise NotImplementedError

    def hessian(self) -> Numbers:
        """Return the Hessians (B, N, N)."""
        B, N = self.theta.shape
        columns = np.empty((B, N, N))
        for j in range(N):
            unit = np.zeros((B, N))
            unit[:, j] = 1
            columns[:, j] = self.product(unit)
        return _symmetric(columns)


class Loss:
    """A function of a parameter vector (N,) with its derivatives, for many vectors at once.

    Subclasses define `gradient` and `at`; the finders need nothing else.
    """

    # What a loss of a module knows of it: its parameters, and the slices of its layers.
    theta0: Any = None
    layers: Any = None
    # Names of functions in it whose gradient jumps, as far as they are known.
    kinks: tuple[str, ...] = ()

    def gradient(self, theta: Numbers) -> tuple[Numbers, Numbers]:
        """Return the losses (B,) and their gradients (B, N) at a batch of points (B, N)."""
        raise NotImplementedError

    def at(self, theta: Numbers) -> Expansion:
        """Return the expansion to second order at a batch of points (B, N)."""
        raise NotImplementedError

    def value(self, theta: Numbers) -> Numbers:
        """Return the losses (B,) at a batch of points (B, N)."""
        return self.gradient(theta)[0]

    def check(self, theta: Numbers) -> None:
        """Raise `InputError` if the loss cannot be used at the starts (B, N): no scalar, not finite, random."""
        value, gradient = self.gradient(theta)
        bad = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        if bad.any():
            first = int(np.argmax(bad))
            what = "loss" if not np.isfinite(value[first]) else "gradient"
            raise InputError(
                f"the {what} is NaN or infinite at start {first}; expected finite numbers; begin where the loss is "
                "defined"
            )
        again = self.value(theta)
        if not np.allclose(again, value, rtol=1e-12, atol=1e-300):
            first = int(np.argmax(np.abs(again - value)))
            raise InputError(
                f"the loss is random: {value[first]:.12g}, then {again[first]:.12g} at the same parameters; expected "
                "the same value each time; put the module into eval mode and use fixed data"
            )


class _NumpyExpansion(Expansion):
    def __init__(self, loss: "NumpyLoss", theta: Numbers, value: Numbers, gradient: Numbers) -> None:
        super().__init__(theta, value, gradient)
        self._loss = loss
        self._hessian: Numbers | None = None

    def product(self, vectors: Numbers) -> Numbers:
        if self._loss.hessp is None:
            if self._hessian is None:
                self._hessian = self.hessian()
            return np.einsum("bij,bj->bi", self._hessian, vectors)
        return self._loss.each(self._loss.hessp, self.theta, vectors)

    def hessian(self) -> Numbers:
        if self._loss.hess is None:
            return super().hessian()
        return _symmetric(self._loss.each(self._loss.hess, self.theta))


class NumpyLoss(Loss):
    """See `numpy_loss`."""

    def __init__(self, fun: Any, grad: Any, hess: Any, hessp: Any, batched: bool) -> None:
        if hess is None and hessp is None:
            raise InputError(
                "neither hess nor hessp was given; expected the Hessian, or its product with a vector"
            )
        self.fun, self.grad, self.hess, self.hessp, self.batched = fun, grad, hess, hessp, batched

    def each(self, function: Callable[..., Any], *arguments: Numbers) -> Numbers:
        """Return the function of each point."""
        if self.batched:
            return np.asarray(function(*arguments), dtype=np.float64)
        return np.array([function(*rows) for rows in zip(*arguments, strict=True)], dtype=np.float64)

    def gradient(self, theta: Numbers) -> tuple[Numbers, Numbers]:
        value, gradient = self.each(self.fun, theta), self.each(self.grad, theta)
        if value.shape != (len(theta),):
            raise InputError(
                f"the loss returns shape {value.shape[1:]}; expected one number for each parameter vector"
            )
        if gradient.shape != theta.shape:
            raise InputError(
                f"grad returns shape {gradient.shape[1:]} for {theta.shape[1]} parameters; expected "
                f"({theta.shape[1]},)"
            )
        return value, gradient

    def at(self, theta: Numbers) -> Expansion:
        return _NumpyExpansion(self, theta, *self.gradient(theta))


def numpy_loss(
    fun: Callable[..., Any],
    grad: Callable[..., Any],
    *,
    hess: Callable[..., Any] | None = None,
    hessp: Callable[..., Any] | None = None,
    batched: bool = False,
) -> Loss:
    """Return a loss from NumPy functions, in the convention of `scipy.optimize.minimize`.

    Args:
        fun: theta (N,) -> the loss.
        grad: theta (N,) -> the gradient (N,).
        hess: theta (N,) -> the Hessian (N, N).
        hessp: theta, vector (N,) -> the Hessian times the vector (N,); one of `hess` and `hessp` is enough.
        batched: whether the functions take many points at once: (B, N) -> (B,), (B, N), (B, N, N).

    Raises:
        InputError: if neither `hess` nor `hessp` is given.

    >>> from solvable.landscapes import classify
    >>> saddle = numpy_loss(
    ...     lambda t: t[0] ** 2 - t[1] ** 2, lambda t: [2 * t[0], -2 * t[1]], hess=lambda t: np.diag([2.0, -2.0])
    ... )
    >>> classify(saddle, [0.0, 0.0]).kind
    'saddle'
    """
    return NumpyLoss(fun, grad, hess, hessp, batched)


def _symmetric(H: ArrayLike) -> Numbers:
    H = np.asarray(H, dtype=np.float64)
    return (H + H.swapaxes(-1, -2)) / 2
