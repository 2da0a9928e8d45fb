r"""A fully-connected network as affine maps with activations between them.

The variances of an affine map take the second moments of one layer to the next, $K = \sigma_w^2 M + \sigma_b^2$ with M
the mean product over its inputs ($x \cdot x'/d$ for the first map, $E[\phi\phi]$ for the others). Its rates give the
contribution of its parameters to the tangent kernel, $r_w M + r_b$: they equal the variances in the NTK
parametrization; in the standard one $r_w$ = fan in, and $r_b = 1$ if there is a bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.kernels.duals import Activation, as_activation

PARAMETRIZATIONS = ("ntk", "standard")


@dataclass(frozen=True)
class Affine:
    r"""An affine map: $K = \sigma_w^2 M + \sigma_b^2$, and $r_w M + r_b$ in the tangent kernel."""

    w_variance: float
    b_variance: float
    w_rate: float
    b_rate: float


def affine_maps(
    w_stds: Sequence[float],
    b_stds: Sequence[float | None],
    parametrization: str,
    fan_ins: Sequence[int],
) -> list[Affine]:
    """Return the affine maps of a network, the readout last; a `b_std` of None is no bias."""
    maps = []
    for w_std, b_std, fan_in in zip(w_stds, b_stds, fan_ins, strict=True):
        w, b = w_std**2, 0.0 if b_std is None else b_std**2
        if parametrization == "ntk":
            maps.append(Affine(w, b, w, b))
        else:
            maps.append(Affine(w, b, float(fan_in), 0.0 if b_std is None else 1.0))
    return maps


def per_layer(name: str, value: Any, depth: int) -> tuple[Any, ...]:
    """Return one value for each of `depth` layers, from a single value or a sequence."""
    if not _is_sequence(value):
        return (value,) * depth
    if len(value) != depth:
        raise InputError(
            f"{name} has {len(value)} values; expected one, or one for each of the {depth} hidden layers; change depth"
        )
    return tuple(value)


def _is_sequence(value: Any) -> bool:
    return (isinstance(value, Sequence) and not isinstance(value, str)) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )


def checked_stds(name: str, value: Any, depth: int) -> Any:
    """Return the standard deviations of the weights or biases of `depth` layers: a number or a tuple."""
    stds = tuple(
        one_number(name, std, above=0) if "w_std" in name else bias_std(name, std)
        for std in per_layer(name, value, depth)
    )
    return stds if _is_sequence(value) else stds[0]


def bias_std(name: str, value: Any) -> float | None:
    """Return the standard deviation of a bias, at least 0, or None for no bias."""
    return None if value is None else one_number(name, value, at_least=0)


def checked_activations(value: Any, depth: int) -> tuple[Any, tuple[Activation, ...]]:
    """Return `value` in hashable form, and the activation of each of `depth` layers."""
    activations = tuple(as_activation(spec) for spec in per_layer("activation", value, depth))
    return (tuple(value) if _is_sequence(value) else value), activations


def checked_widths(parametrization: str, widths: Any, depth: int) -> tuple[int, ...] | None:
    """Return the widths of the hidden layers, which only the standard parametrization needs."""
    choice("parametrization", parametrization, PARAMETRIZATIONS)
    if parametrization == "ntk":
        return None
    if widths is None:
        raise InputError(
            "widths is None; expected the width of each hidden layer, since in the standard parametrization the "
            "kernel grows with them; pass a number such as widths=512, or a list"
        )
    return tuple(whole("widths", width, at_least=1) for width in per_layer("widths", widths, depth))
