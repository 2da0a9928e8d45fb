"""Solvable theories of learning, next to the real thing.

Submodules load on first use, so `import solvable` is cheap: `solvable.kernels`, `solvable.spectra`,
`solvable.datasets`, `solvable.networks`, `solvable.lab`, and the wings, such as `solvable.regression`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __dir__():
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from pkgutil import iter_modules

    return sorted(["__version__", *(module.name for module in iter_modules(__path__) if module.ispkg)])
