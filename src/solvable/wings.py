"""The table of wings: each one's studies and commands. A wing that stands here is served by all that serves wings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from solvable.checks import choice

if TYPE_CHECKING:
    from solvable.lab import Study


@dataclass(frozen=True)
class Wing:
    """One result: a folder with a theory, an experiment, a study, a command and a page.

    Attributes:
        name: of the folder.
        studies: name on the command line -> the module in the folder whose `study` it is.
        commands: name on the command line -> a line of help; `command.py` has a function or a `cyclopts.App` of that
            name, with underscores for hyphens.
        package: where the folder is; empty for one that is a package of its own.
    """

    name: str
    studies: Mapping[str, str]
    commands: Mapping[str, str] = field(default_factory=dict)
    package: str = "solvable"

    @property
    def place(self) -> str:
        """The folder's full name."""
        return f"{self.package}.{self.name}".lstrip(".")

    def module(self, name: str) -> str:
        """Return the full name of a module of the folder."""
        return f"{self.place}.{name}"

    def command(self, name: str) -> str:
        """Return where a command is, as `module:attribute`."""
        return f"{self.module('command')}:{name.replace('-', '_')}"

    def page(self) -> Path | None:
        """Return the wing's page, a marimo notebook, if it has one; nothing of the wing is imported."""
        spec = find_spec(self.place)
        folder = None if spec is None or spec.origin is None else Path(spec.origin).parent
        return None if folder is None or not (page := folder / "page.py").is_file() else page


WINGS = (
    Wing(
        "regression",
        {"regression": "study"},
        {"diagnose": "Say what your labelled data tell: what more labels would buy, which kernel and ridge."},
    ),
    Wing(
        "overfitting",
        {"overfitting": "study", "noise-profiles": "noise_profiles", "two-losses": "two_losses"},
        {
            "noise-profile": "Tell which kind of overfitting a model has on your data, and what wrong labels cost it."
        },
    ),
    Wing(
        "activations",
        {"activations": "study", "parity": "parity", "kernel-convergence": "kernel_convergence"},
        {"activations": "Design activations: one hidden layer that behaves like a deep network."},
    ),
)


def study_names(wings: Iterable[Wing] = WINGS) -> list[str]:
    """Return the names of all studies, in the order of the table."""
    return [name for wing in wings for name in wing.studies]


def load_study(name: str, wings: Iterable[Wing] = WINGS) -> "Study":
    """Return a study by its name; only its wing is imported.

    Args:
        name: one of `study_names(wings)`.
        wings: the table.

    Raises:
        InputError: when there is no such study.
    """
    modules = {study: wing.module(module) for wing in wings for study, module in wing.studies.items()}
    return import_module(modules[choice("study", name, modules)]).study
