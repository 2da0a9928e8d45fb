"""Kernels by name and from other objects."""

import re
import sys
from collections.abc import Callable
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.adapters import CallableKernel, ScikitLearnKernel
from solvable.kernels.arc_cosine import ArcCosine
from solvable.kernels.base import Kernel
from solvable.kernels.dot_product import Linear
from solvable.kernels.networks import NNGP, NTK
from solvable.kernels.stationary import Gaussian, Laplace, Matern, RationalQuadratic

# All variances are 2, including the readout's, as in the experiments on kernel regression.
_NETWORKS: dict[str, type[NNGP] | type[NTK]] = {"nngp": NNGP, "ntk": NTK}
_DEPTH = 3

_MAKERS: dict[str, Callable[[], Kernel]] = {
    "laplace": Laplace,
    "gaussian": Gaussian,
    "matern32": lambda: Matern(1.5),
    "matern52": lambda: Matern(2.5),
    "rational quadratic": RationalQuadratic,
    "linear": Linear,
    "arc-cosine": ArcCosine,
    "relu nngp": lambda: _network("relu", "nngp", _DEPTH),
    "relu ntk": lambda: _network("relu", "ntk", _DEPTH),
}

KERNEL_NAMES: tuple[str, ...] = tuple(_MAKERS)
"""The names that `as_kernel` accepts; "relu" may be another activation, and a depth may follow: "erf ntk 5"."""


def as_kernel(spec: Any) -> Kernel:
    r"""Return the kernel that `spec` specifies.

    Args:
        spec: a `Kernel`; one of `KERNEL_NAMES` (case, spaces, `-` and `_` do not matter); a kernel of
            `sklearn.gaussian_process.kernels`; or a function (X, Z) -> K. "relu ntk" and "relu nngp" are networks of
            three hidden layers and weight variance 2 throughout, including the readout; "relu ntk 5" or
            "relu-ntk-depth-5" sets the number of hidden layers, "tanh ntk" the activation (one of `ACTIVATION_NAMES`).

    Raises:
        InputError: if it is none of these.

    >>> as_kernel("rational-quadratic")
    RationalQuadratic(alpha=1.0, length_scale=None)
    >>> as_kernel("relu ntk 5").depth
    5
    """
    if isinstance(spec, Kernel):
        return spec
    if isinstance(spec, str):
        return _by_name(spec)
    # A scikit-learn kernel implies that its module is loaded, so there is no need to import it.
    scikit = sys.modules.get("sklearn.gaussian_process.kernels")
    if scikit is not None and isinstance(spec, scikit.Kernel):
        return ScikitLearnKernel(spec)
    if callable(spec) and not isinstance(spec, type):
        return CallableKernel(spec)
    raise InputError(
        f"{spec!r} is not a kernel; expected a name ({', '.join(KERNEL_NAMES)}), a solvable or scikit-learn "
        "kernel, or a function (X, Z) -> K" + ("; add () after the class" if callable(spec) else "")
    )


def _by_name(name: str) -> Kernel:
    words = " ".join(re.split(r"[\s_-]+", name.strip().lower()))
    known = {option.replace("-", " "): option for option in KERNEL_NAMES}
    if words in known:
        return _MAKERS[known[words]]()
    network = re.fullmatch(r"(.+) (nngp|ntk)(?:(?: depth)? (\S+))?", words)
    if network is not None:
        depth = network[3] or str(_DEPTH)
        # A dash joins words; after a space it is a sign.
        if not depth.isdecimal() or re.search(r"\s-\d", name):
            raise InputError(
                f"the depth in {name!r} is not a whole number of at least 1; expected the number of hidden layers, as "
                f"in {network[1]} {network[2]} {_DEPTH}"
            )
        return _network(network[1], network[2], int(depth))
    choice("kernel", name, KERNEL_NAMES)
    raise AssertionError("unreachable: a known name was handled above")


def _network(activation: str, kind: str, depth: int) -> Kernel:
    return _NETWORKS[kind](depth, activation, readout_w_std=2**0.5)
