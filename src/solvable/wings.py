"""The table of wings, with the studies and commands of each; everything that serves wings reads it."""

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
    """One result: a folder with a theory, an experiment, studies, commands and a page.

    Attributes:
        name: name of the folder.
        studies: name on the command line -> module in the folder that defines `study`.
        commands: name on the command line -> line of help; `command.py` defines a function or a `cyclopts.App` of that
            name, with underscores for hyphens.
        package: the parent package; empty for a top-level package.
    """

    name: str
    studies: Mapping[str, str]
    commands: Mapping[str, str] = field(default_factory=dict)
    package: str = "solvable"

    @property
    def place(self) -> str:
        """Full name of the wing's package."""
        return f"{self.package}.{self.name}".lstrip(".")

    def module(self, name: str) -> str:
        """Return the full name of a module of the wing."""
        return f"{self.place}.{name}"

    def command(self, name: str) -> str:
        """Return the location of a command, as `module:attribute`."""
        return f"{self.module('command')}:{name.replace('-', '_')}"

    def page(self) -> Path | None:
        """Return the path of the wing's marimo notebook, or None, without importing the wing."""
        spec = find_spec(self.place)
        folder = None if spec is None or spec.origin is None else Path(spec.origin).parent
        return None if folder is None or not (page := folder / "page.py").is_file() else page


WINGS = (
    Wing(
        "regression",
        {"regression": "study"},
        {
            "diagnose": "Diagnose labelled data: what more labels would buy, and which kernel and ridge to use."
        },
    ),
    Wing(
        "overfitting",
        {"overfitting": "study", "noise-profiles": "noise_profiles", "two-losses": "two_losses"},
        {"noise-profile": "Classify how a model overfits your data, and measure what wrong labels cost it."},
    ),
    Wing(
        "activations",
        {"activations": "study", "parity": "parity", "kernel-convergence": "kernel_convergence"},
        {"activations": "Design activations: one hidden layer that behaves like a deep network."},
    ),
    Wing(
        "scaling",
        {"scaling": "study", "depth": "depth", "richness": "richness"},
        {
            "scaling": "Scale learning rates of your torch model: what each parameter needs to transfer across widths."
        },
    ),
    Wing(
        "stepwise",
        {"stepwise": "study", "stepwise-network": "network_study"},
        {"stepwise": "Read the number of learned directions off a self-supervised loss."},
    ),
    Wing("landscapes", {"landscapes": "study", "gradient-flat": "flat_study"}),
    Wing(
        "junctions",
        {
            "junctions": "study",
            "junction-spread": "spread_study",
            "junction-shadows": "shadow_study",
            "junction-ageing": "ageing_study",
            "collisions": "collision_study",
        },
        {
            "junctions": "Qubits from junctions: a wafer's resistances, frequencies, ageing, shadows, collisions."
        },
    ),
    Wing(
        "spins",
        {"spins": "study", "spins-noise": "noise_study", "spins-two-qubit": "two_qubit_study"},
        {"spins": "Donor nuclear spins: levels of your device, gates, and what charge noise does to them."},
    ),
)


def study_names(wings: Iterable[Wing] = WINGS) -> list[str]:
    """Return the names of all studies, in table order."""
    return [name for wing in wings for name in wing.studies]


def load_study(name: str, wings: Iterable[Wing] = WINGS) -> "Study":
    """Return a study by name, importing only its wing.

    Raises:
        InputError: if there is no such study.
    """
    modules = {study: wing.module(module) for wing in wings for study, module in wing.studies.items()}
    return import_module(modules[choice("study", name, modules)]).study
