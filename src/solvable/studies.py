"""Where each wing's study lives; a study is imported when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from solvable.errors import choice

if TYPE_CHECKING:
    from solvable.lab import Study

STUDIES: Mapping[str, str] = {
    "regression": "solvable.regression.study:study",
    "overfitting": "solvable.overfitting.study:study",
    "noise-profiles": "solvable.overfitting.noise_profiles:study",
    "two-losses": "solvable.overfitting.two_losses:study",
    "activations": "solvable.activations.study:study",
    "parity": "solvable.activations.parity:study",
    "kernel-convergence": "solvable.activations.kernel_convergence:study",
}


def load_study(name: str, studies: Mapping[str, str] = STUDIES) -> "Study":
    """Return a study by its name.

    Args:
        name: one of the keys of `studies`.
        studies: name -> `module:attribute`.

    Raises:
        InputError: when there is no such study.
    """
    choice("study", name, studies)
    module, attribute = studies[name].split(":")
    return getattr(import_module(module), attribute)
