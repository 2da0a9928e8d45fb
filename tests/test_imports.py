"""Imports run downhill, and nothing imports in a circle, not even for its types."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import solvable
from solvable.wings import WINGS

SOURCE = Path(solvable.__file__).parent
# Packages may import those in earlier rows.
FLOORS = (
    ("errors",),
    ("streams",),
    ("checks", "machine", "progress", "interrupts", "eigh"),
    ("processes",),
    ("datasets", "kernels", "spectra"),
    ("networks",),
    ("lab",),
    ("terminal",),
    tuple(wing.name for wing in WINGS),
    ("wings",),
    ("app", "poster"),
    ("hunt",),
    ("cli",),
    ("__main__",),
)


def module_of(path: Path) -> str:
    return ".".join(("solvable", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imports(source: Path) -> dict[str, set[str]]:
    """Return for each module which modules of the library it imports, inside functions and for types too."""
    modules = {module_of(path): path for path in sorted(source.rglob("*.py"))}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "solvable":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= {name if name in modules else node.module for name in names} - {module}
            elif isinstance(node, ast.Import):
                graph[module] |= {alias.name for alias in node.names if alias.name in modules}
    return graph


GRAPH = imports(SOURCE)


def test_nothing_imports_in_a_circle() -> None:
    try:
        tuple(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


def test_no_wing_hides_the_standard_library() -> None:
    """marimo puts the folder of a page in front of the path, where a `profile.py` would break `import cProfile`."""
    folders = [SOURCE / wing.name for wing in WINGS]
    hidden = [
        path for folder in folders for path in folder.glob("*.py") if path.stem in sys.stdlib_module_names
    ]
    assert hidden == []


def test_imports_run_downhill() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    wings = {wing.name for wing in WINGS}
    wrong = []
    for module, imported in GRAPH.items():
        for other in imported - {"solvable"} if module != "solvable" else ():
            here, there = module.split(".")[1], other.split(".")[1]
            level = here in wings and there in wings and other.endswith(".theory")
            if here != there and not level and floor[there] >= floor[here]:
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_a_theory_is_arrays_in_and_arrays_out() -> None:
    for path in SOURCE.glob("*/theory.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"import {name}" in text or f"from {name}" in text for name in ("torch", "matplotlib"))
        assert "solvable.lab" not in text


@pytest.mark.parametrize(
    "folder", [path.parent for path in sorted(SOURCE.rglob("*/__init__.py"))], ids=lambda p: p.name
)
def test_a_folder_says_what_its_files_are(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    files = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert [name for name in sorted(files - {"__init__"}) if f"`{name}`" not in docstring] == []
