"""Convolutional kernels against the definition, in double precision and in fifty digits."""

from typing import Any

import mpmath
import numpy as np
import pytest
from conv_brute_force import conv_kernels

from cases import representative
from solvable.kernels.convolutional import ConvNNGP, ConvNTK
from solvable.kernels.duals.base import Activation
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Erf


def relu(xp: Any, activation: ABReLU) -> Any:
    """Return the dual of a rectifier by the textbook form, in the arithmetic of `xp` (mpmath or its doubles)."""
    bend = (activation.positive - activation.negative) ** 2
    product = activation.negative * activation.positive

    def one(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        s = xp.sqrt(a * b)
        rho = max(-1, min(1, c / s)) if s else 0
        theta = 0 if a == b == c != 0 else xp.acos(rho)
        value = bend * s * (xp.sin(theta) + (xp.pi - theta) * rho) / (2 * xp.pi) + product * c
        return value, bend * (xp.pi - theta) / (2 * xp.pi) + product

    return np.vectorize(one, otypes=[object if xp is mpmath.mp else float] * 2)


def library(activation: Activation) -> Any:
    """Return the library's own dual of smooth activations, tested elsewhere."""

    def dual(a: Any, b: Any, c: Any) -> Any:
        a, b = np.broadcast_to(a, c.shape), np.broadcast_to(b, c.shape)
        return activation.pair(np, activation.prepare(np, a), activation.prepare(np, b), c.copy(), True)

    return dual


def exact(images: np.ndarray) -> np.ndarray:
    return np.vectorize(mpmath.mpf, otypes=[object])(images)


def largest_error(got: np.ndarray, want: np.ndarray) -> float:
    want = want.astype(object)
    scale = max(abs(w) for w in want.flat)
    return float(max(abs(g - w) for g, w in zip(got.astype(object).flat, want.flat, strict=True)) / scale)


def check(
    images: np.ndarray, dual: Any, activation: Any, depth: int, tolerance: float, **network: Any
) -> None:
    """Compare both kernels, symmetric, rectangular and diagonal; images of mpmath's numbers are exact."""
    own = network.pop("own", None)
    options = {name: network.pop(name) for name in ("parametrization", "widths") if name in network}
    b_std = network.pop("b_std", 0.0)
    number = mpmath.mpf if images.dtype == object else float
    b2, w2, r2, s2 = (number(std or 0) ** 2 for std in (b_std, 1.3, 0.7, 0.1))
    want = conv_kernels(images, dual, depth, w2, b2, r2, s2, own=own, **network)
    X = images.astype(float)
    for make, K, more in ((ConvNNGP, want[0], {}), (ConvNTK, want[1], options)):
        kernel = make(depth, activation, 1.3, b_std, 0.7, 0.1, **network, **more)
        assert largest_error(kernel(X), K) < tolerance
        assert largest_error(kernel(X[:1], X[1:]), K[:1, 1:]) < tolerance
        assert largest_error(kernel.diag(X), K.diagonal()) < tolerance


PADDINGS = pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR"])
READOUTS = pytest.mark.parametrize("readout", ["flatten", "global_average"])


@PADDINGS
@READOUTS
@pytest.mark.parametrize(
    ("activation", "filter_size", "b_std"),
    [(ABReLU(), 3, 0.0), (ABReLU(0.2), 2, 0.3), (ABReLU(-1.0), 3, 0.2), (GELU(), 2, 0.2), (Erf(), 3, 0.0)],
)
def test_the_definition(padding: str, readout: str, activation: Any, filter_size: int, b_std: float) -> None:
    images = np.random.default_rng(0).standard_normal((2, 5, 6, 2))
    dual = relu(mpmath.fp, activation) if isinstance(activation, ABReLU) else library(activation)
    network = {"padding": padding, "readout": readout, "filter_size": filter_size, "b_std": b_std}
    check(images, dual, activation, 2, 1e-13, **network)


@PADDINGS
@READOUTS
@pytest.mark.parametrize("activation", [ABReLU(), GELU()])
@pytest.mark.parametrize("pool_after", [(1,), (2,), (1, 2)])
def test_pooling(padding: str, readout: str, activation: Any, pool_after: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).standard_normal((2, 8, 7, 1))
    dual = relu(mpmath.fp, activation) if isinstance(activation, ABReLU) else library(activation)
    network = {"padding": padding, "readout": readout, "pool_after": pool_after, "filter_size": 2}
    check(images, dual, activation, 2, 1e-13, b_std=0.1, **network)


@READOUTS
@pytest.mark.parametrize("b_std", [0.0, 0.3, None])
def test_the_standard_parametrization(readout: str, b_std: float | None) -> None:
    images = np.random.default_rng(2).standard_normal((2, 5, 4, 3))
    width = 10
    bias = 0 if b_std is None else 1

    def own(layer: int, positions: int, raw: Any) -> Any:
        if layer == 2:
            return width * (positions if readout == "flatten" else 1) * raw + 1
        return (3 if layer == 0 else width) * raw + bias

    check(
        images, relu(mpmath.fp, ABReLU()), "relu", 2, 1e-13, own=own, readout=readout, b_std=b_std,
        parametrization="standard", widths=width,
    )  # fmt: skip


@PADDINGS
@READOUTS
@pytest.mark.parametrize(
    ("b_std", "channels"), representative([(0.0, 1), (0.0, 2), (0.3, 1)], fast=[(0.0, 2)])
)
def test_close_and_parallel_images_keep_all_digits(
    padding: str, readout: str, b_std: float, channels: int
) -> None:
    rng = np.random.default_rng(3)
    image = rng.standard_normal((3, 3, channels))
    image[:1] = 0.0  # patches of no or one pixel are parallel across images
    nudge = rng.standard_normal(image.shape)
    images = np.stack([image, image + 1e-7 * nudge, 0.5 * image, -image, 0 * image])
    with mpmath.workdps(30):
        network = {"padding": padding, "readout": readout, "b_std": b_std, "filter_size": 2}
        check(exact(images), relu(mpmath.mp, ABReLU()), "relu", 2, 1e-13, **network)
