"""Losses as the finders see them: a batch of parameter vectors in, NumPy arrays of values and derivatives out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError

Numbers = NDArray[np.float64]

GAUSS = np.polynomial.legendre.leggauss(8)
"""Nodes from -1 to 1 and weights, for integrals along a line."""

# A bilinear form of a Hessian and its mirror image differ by no more, unless second derivatives are wrong.
_ASYMMETRY = 1e-6
# Errors of what a user's functions change by in a step, and these steps, relative to 1 + |theta|.
_DISAGREEMENT, _STEPS = 1e-3, (1e-5, 1e-7, 1e-9)
# Of directions; a user's start is seldom drawn with it.
_SEED = 20_210_333


class Expansion(ABC):
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

    @abstractmethod
    def product(self, vectors: Numbers) -> Numbers:
        """Return the Hessian of each point times a vector (B, N)."""

    def hessian(self) -> Numbers:
        """Return the Hessians (B, N, N)."""
        B, N = self.theta.shape
        columns = np.empty((B, N, N))
        for j in range(N):
            unit = np.zeros((B, N))
            unit[:, j] = 1
            columns[:, j] = self.product(unit)
        return _symmetric(columns)


class Loss(ABC):
    """A function of a parameter vector (N,) with its derivatives, for many vectors at once.

    Subclasses define `gradient` and `at`; the finders need nothing else.
    """

    # What a loss of a module knows of it: its parameters, and the slices of its layers.
    theta0: Any = None
    layers: Any = None
    # Names of functions in it whose gradient jumps, as far as they are known.
    kinks: tuple[str, ...] = ()

    @abstractmethod
    def gradient(self, theta: Numbers) -> tuple[Numbers, Numbers]:
        """Return the losses (B,) and their gradients (B, N) at a batch of points (B, N)."""

    @abstractmethod
    def at(self, theta: Numbers) -> Expansion:
        """Return the expansion to second order at a batch of points (B, N)."""

    def value(self, theta: Numbers) -> Numbers:
        """Return the losses (B,) at a batch of points (B, N)."""
        return self.gradient(theta)[0]

    def __call__(self, theta: Any) -> Any:
        """Return the loss at theta (N,), or the losses at several points (B, N)."""
        points = np.asarray(theta, dtype=np.float64)
        values = self.value(np.atleast_2d(points))
        return values if points.ndim == 2 else float(values[0])

    def check(self, theta: Numbers, batch_size: int | None = None) -> None:
        """Raise `InputError` if the loss cannot be used at the starts (B, N): no scalar, not finite, random.

        So many starts are evaluated at a time; by default all.
        """
        size = batch_size or len(theta)
        for first in range(0, len(theta), size):
            self._check_values(theta[first : first + size], first)
        # Where outputs are saturated rounding is all there is of second derivatives, so that two points have to agree.
        aside = np.random.default_rng(_SEED + 1).standard_normal(theta[:1].shape)
        near = theta[:1] / (1 + np.linalg.norm(theta[0])) + aside / np.linalg.norm(aside)
        if self._asymmetric(theta[:1]) and self._asymmetric(near):
            raise InputError(
                "the second derivatives are not those of a function: the Hessian is not symmetric; expected a correct "
                "double backward, which torch's fused weight_norm, for one, does not have, or a symmetric hess"
            )

    def _asymmetric(self, theta: Numbers) -> bool:
        """Return whether bilinear forms of the Hessian at a point (1, N) differ from their mirror images."""
        with np.errstate(all="ignore"):
            here = self.at(theta)
            u, v = np.random.default_rng(_SEED).standard_normal((2, *theta.shape))
            Hu, Hv = here.product(u)[0], here.product(v)[0]
            size = float(max(np.linalg.norm(a) * np.linalg.norm(b) for a, b in ((Hu, v), (Hv, u))))
        return bool(np.isfinite(size) and abs(float(Hu @ v[0] - Hv @ u[0])) > _ASYMMETRY * size)

    def _check_values(self, theta: Numbers, offset: int) -> None:
        value, gradient = self.gradient(theta)
        bad = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        if bad.any():
            first = int(np.argmax(bad))
            at = offset + first
            what = "loss" if not np.isfinite(value[first]) else "gradient"
            raise InputError(
                f"the {what} is NaN or infinite at start {at}; expected finite numbers; begin where the loss is "
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
        # Copies both ways: functions may reuse their arrays, or change those that they get.
        if self.batched:
            return np.array(function(*(a.copy() for a in arguments)), dtype=np.float64)
        rows = zip(*arguments, strict=True)
        return np.array([np.array(function(*(a.copy() for a in row)), dtype=np.float64) for row in rows])

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

    def check(self, theta: Numbers, batch_size: int | None = None) -> None:
        # What users differentiate by hand is compared with differences, at the first start.
        N = theta.shape[1]
        for name, function, arguments, shape in (
            ("hess", self.hess, (theta[:1],), (1, N, N)),
            ("hessp", self.hessp, (theta[:1], theta[:1]), (1, N)),
        ):
            if function is not None and (got := self.each(function, *arguments).shape) != shape:
                raise InputError(f"{name} returns shape {got[1:]} for {N} parameters; expected {shape[1:]}")
        super().check(theta, batch_size)
        u = np.random.default_rng(_SEED).standard_normal(N)
        u *= (1 + np.linalg.norm(theta[0])) / np.linalg.norm(u)
        # The scale of a function is unknown: right derivatives agree at one of the steps at least.
        failures = [self._disagreement(theta[0], step * u) for step in _STEPS]
        if all(failures):
            raise InputError(
                f"{failures[0]} do not agree at the first start; expected derivatives of the same smooth function"
            )

    def _disagreement(self, theta: Numbers, u: Numbers) -> str:
        """Return which functions differ from integrals of their derivatives from theta - u to theta + u, if any do."""
        nodes, weights = GAUSS
        here = self.at(theta + nodes[:, None] * u)
        (low, high), (g_low, g_high) = self.gradient(theta + np.array([[-1.0], [1.0]]) * u)
        images = here.product(np.broadcast_to(u, here.theta.shape))
        slopes = here.gradient @ u
        size = weights @ np.linalg.norm(here.gradient, axis=1) * np.linalg.norm(u) / np.sqrt(len(u))
        for names, error, allowed, largest in (
            ("fun and grad", abs(high - low - weights @ slopes), size, np.abs([low, high]).max()),
            (
                "grad and hess",
                np.linalg.norm(g_high - g_low - weights @ images),
                weights @ np.linalg.norm(images, axis=1),
                np.abs([g_low, g_high]).max(),
            ),
        ):
            if error > _DISAGREEMENT * allowed + 1e-13 * largest * len(u):
                return names
        return ""


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
