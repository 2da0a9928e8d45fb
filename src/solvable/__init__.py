"""Solvable theories of learning, next to the real thing.

Every wing of the library is a submodule that loads when it is first used, so `import solvable` is cheap:
`solvable.kernels`, `solvable.spectra`, `solvable.datasets`, `solvable.networks`, `solvable.lab`, and the wings
`solvable.regression`, `solvable.overfitting` and `solvable.activations`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = (
    "activations",
    "datasets",
    "kernels",
    "lab",
    "networks",
    "overfitting",
    "regression",
    "spectra",
)

__all__ = ["__version__", *_SUBMODULES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
