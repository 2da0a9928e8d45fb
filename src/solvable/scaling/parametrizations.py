r"""Published parametrizations as exponents of width: SP, NTP, mean-field and muP, and muP's three tables.

A layer is $W = a\,w$ with entries of $w$ drawn from N(0, b²) and trained with learning rate c. The same function is
trained, step by step, after $a \to a\theta$, $b \to b/\theta$ and $c \to c/\theta^2$ (SGD) or $c/\theta$ (Adam, with
eps multiplied by $\theta$).

Sources: arXiv:2310.17813; tables 3, 8 and 9 of arXiv:2203.03466 (Tensor Programs V).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.scaling.theory import FAMILIES

ROLES = ("input", "hidden", "output")
TABLES = ("table 3", "table 8", "table 9")
QUANTITIES = ("weight", "feature", "update", "feature_change")

# Exponents of width n^-p, in order of ROLES: multiplier a, standard deviation b, learning rate c by optimizer. The
# fan-in of the input and the fan-out of the output are constants.
_POWERS: dict[str, dict[str, tuple[float, float, float]]] = {
    "sp": {"a": (0, 0, 0), "b": (0, 0.5, 0.5), "sgd": (0, 0, 0), "sign": (0, 0, 0)},
    "ntp": {"a": (0, 0.5, 0.5), "b": (0, 0, 0), "sgd": (0, 0, 0), "sign": (0, 0, 0)},
    "mean-field": {"a": (0, 1, 1), "b": (0, 0, 0), "sgd": (0, 0, 0), "sign": (0, 0, 0)},
    "spectral": {"a": (0, 0, 0), "b": (0, 0.5, 1), "sgd": (-1, 0, 1), "sign": (0, 1, 1)},
}
PARAMETRIZATIONS = (*_POWERS, "mup")


def exponents(parametrization: str, optimizer: str, depth: int, quantity: str) -> NDArray[np.float64]:
    r"""Return how a quantity of each layer grows with the width n in the first steps: exponents p of $n^p$.

    The network has hidden layers of width n, no biases, and inputs and outputs of fixed size; its loss has a gradient
    of order 1 at the outputs; all learning rates are of order 1 apart from the parametrization's factors.

    | quantity | meaning | spectral |
    |---|---|---|
    | `weight` | scaled norm $\sqrt{n_{in}/n_{out}}\,\|W\|_*$ at initialisation | 0 |
    | `feature` | RMS of $h_l$ at initialisation | 0, and -1/2 at the output |
    | `update` | scaled norm of $\Delta W$ | 0 |
    | `feature_change` | RMS of $\Delta h_l$ | 0 |

    Args:
        parametrization: `sp` (standard: variance 1/fan_in, one learning rate), `ntp` (W = w/sqrt(fan_in)),
            `mean-field` (W = w/fan_in), `spectral` or its other name `mup`.
        optimizer: a name in `FAMILIES` with updates like SGD's or Adam's.
        depth: number of layers of weights, at least 2.
        quantity: one of those above.

    Returns:
        exponents, `(depth,)`, the input layer first.

    >>> exponents("sp", "sgd", 4, "update")
    array([-0.5,  0.5,  0.5,  1. ])
    >>> exponents("ntp", "adam", 3, "feature_change")
    array([0. , 0.5, 1. ])
    """
    name = choice("parametrization", parametrization, PARAMETRIZATIONS)
    family = FAMILIES[choice("optimizer", optimizer, FAMILIES)]
    if family == "orthogonal":
        raise InputError(
            f"optimizer is {optimizer!r}, whose updates have norm 1; expected one like SGD or Adam, for which these "
            "parametrizations were published"
        )
    choice("quantity", quantity, QUANTITIES)
    roles = _roles(whole("depth", depth, at_least=2))
    powers = _POWERS["spectral" if name == "mup" else name]
    a, b, c = (np.array([-powers[key][role] for role in roles]) for key in ("a", "b", family))
    wide_in = np.array([role > 0 for role in roles], dtype=float)
    wide_out = np.array([role < 2 for role in roles], dtype=float)
    # A sum of n independent terms is √n times one of them, and the norm of such a matrix √n_in + √n_out entries.
    forward, backward = a + b + wide_in / 2, a + b + wide_out / 2
    weight = a + b + np.maximum(wide_in, wide_out) / 2 + (wide_in - wide_out) / 2
    feature = np.cumsum(forward)
    if quantity == "weight":
        return weight + 0.0
    if quantity == "feature":
        return feature + 0.0
    inputs = np.concatenate([[0.0], feature[:-1]])
    gradient_at_h = np.concatenate([np.cumsum(backward[:0:-1])[::-1], [0.0]])
    # The entries of a low-rank update add up coherently over the fan-in: its scaled norm is n_in of them.
    entries = a + c + (a + gradient_at_h + inputs if family == "sgd" else 0.0)
    update = entries + wide_in
    if quantity == "update":
        return update + 0.0
    change, changes = -np.inf, []
    for layer in range(len(roles)):
        change = max(update[layer] + inputs[layer], weight[layer] + change)
        changes.append(change)
    return np.array(changes) + 0.0


class ABC(NamedTuple):
    """A layer W = a w, with w drawn from N(0, b²) and trained with the learning rate c times the tuned one."""

    a: float
    b: float
    c: float


def abc(table: str, role: str, optimizer: str, fan_in: int, fan_out: int) -> ABC:
    r"""Return multiplier, standard deviation and learning rate of a layer in one of muP's published tables.

    The tables train the same function, step by step; finite constants are kept, so that they do exactly.

    Args:
        table: `table 3` (no multipliers; the spectral rule but for constants), `table 8` (the readout is divided by its
            fan-in, which allows tied weights; the package mup) or `table 9` (equal learning rates).
        role: `input` (and biases, with a fan-in of 1), `hidden` or `output`.
        optimizer: a name in `FAMILIES` with updates like SGD's or Adam's.
        fan_in: number of inputs of the layer.
        fan_out: number of outputs of the layer.

    Source: tables 3, 8 and 9 of arXiv:2203.03466.

    >>> abc("table 8", "output", "adam", fan_in=512, fan_out=10)
    ABC(a=0.001953125, b=1.0, c=1.0)
    """
    choice("table", table, TABLES)
    choice("role", role, ROLES)
    family = FAMILIES[choice("optimizer", optimizer, FAMILIES)]
    if family == "orthogonal":
        raise InputError(f"optimizer is {optimizer!r}; expected one with updates like SGD's or Adam's")
    n_in, n_out = whole("fan_in", fan_in, at_least=1), whole("fan_out", fan_out, at_least=1)
    std = 1 / n_in if role == "output" else n_in**-0.5
    lr = {
        ("input", "sgd"): float(n_out),
        ("input", "sign"): 1.0,
        ("hidden", "sgd"): 1.0,
        ("hidden", "sign"): 1 / n_in,
        ("output", "sgd"): 1 / n_in,
        ("output", "sign"): 1 / n_in,
    }[role, family]
    theta = {
        ("table 8", "output"): 1 / n_in,
        ("table 9", "input"): n_out**0.5,
        ("table 9", "output"): n_in**-0.5,
    }.get((table, role), 1.0)
    return convert_abc(1.0, std, lr, optimizer, theta)


def convert_abc(a: float, b: float, c: float, optimizer: str, theta: float) -> ABC:
    r"""Return the same layer with its multiplier multiplied by $\theta$, for which training gives the same function.

    $a\theta$, $b/\theta$, and $c/\theta^2$ for SGD or $c/\theta$ for Adam, whose eps must be multiplied by $\theta$
    too.

    Args:
        a: multiplier in the forward pass.
        b: standard deviation of the weights.
        c: learning rate.
        optimizer: a name in `FAMILIES` with updates like SGD's or Adam's.
        theta: $\theta > 0$.

    >>> convert_abc(1.0, 0.5, 1.0, "sgd", 2.0)
    ABC(a=2.0, b=0.25, c=0.25)
    """
    family = FAMILIES[choice("optimizer", optimizer, FAMILIES)]
    if family == "orthogonal":
        raise InputError(f"optimizer is {optimizer!r}; expected one with updates like SGD's or Adam's")
    theta = one_number("theta", theta, above=0)
    return ABC(a * theta, b / theta, c / theta ** (2 if family == "sgd" else 1))


def _roles(depth: int) -> list[int]:
    return [0, *[1] * (depth - 2), 2]
