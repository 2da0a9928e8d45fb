"""The documentation: its code runs, its commands are understood, its links lead somewhere, no public name is missing.

The Python blocks of a page run in order, as a reader would type them; a page that has passed runs again when it or the
library has changed. Commands are parsed, not run.
"""

import hashlib
import importlib
import pkgutil
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from docs_tools.posters import GALLERY

import solvable
from cases import representative
from solvable.cli import build_app
from solvable.wings import WINGS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PACKAGES = [name for name in dir(solvable) if not name.startswith("_")]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
REFERENCE = re.compile(r"^::: (\S+)", re.MULTILINE)


def commands() -> list[str]:
    """Return each different `solvable` command in blocks of shell."""
    lines = [
        line
        for page in PAGES
        for block in SHELL.findall(page.read_text(encoding="utf-8"))
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return sorted(
        {shlex.join(shlex.split(line, comments=True)) for line in lines if line.startswith("solvable ")}
    )


@cache
def code() -> bytes:
    """Return a hash of the library and of the versions that it is tested with."""
    files = [ROOT / "constraints.txt", *sorted((ROOT / "src").rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


@pytest.mark.parametrize(
    "page", representative(PAGES, fast=[README]), ids=lambda page: str(page.relative_to(ROOT))
)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = ROOT / ".cache" / "docs" / hashlib.sha256(code() + page.read_bytes()).hexdigest()
    if passed.exists():
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOLVABLE_DATA", raising=False)
    names: dict[str, object] = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, f"{page.name}: {block.splitlines()[0]}", "exec"), names)
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()


def test_readme_has_blocks() -> None:
    assert BLOCK.search(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOLVABLE_CLUSTER", raising=False)
    tokens = shlex.split(command)[1:]
    build_app(tokens).parse_args(tokens, exit_on_error=False, print_error=False)  # raises, and runs nothing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
    made = {f"posters/{name}.{end}" for name in GALLERY for end in ("pdf", "png")}  # by `make docs`
    made.add("hunt/play.html")
    assert [link for link in links if not (page.parent / link).exists() and link not in made] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_lists_exactly_the_public_names(package: str) -> None:
    """Those of its sub-packages too, except the ones that it exports itself."""
    page = ROOT / "docs" / "api" / f"{package}.md"
    module = importlib.import_module(f"solvable.{package}")
    if not hasattr(module, "__all__"):
        assert not page.exists()
        return
    inner = [
        importlib.import_module(found.name)
        for found in pkgutil.iter_modules(module.__path__, f"{module.__name__}.")
        if found.ispkg
    ]
    public = [f"{module.__name__}.{name}" for name in module.__all__]
    public += [f"{one.__name__}.{n}" for one in inner for n in one.__all__ if n not in module.__all__]
    assert sorted(REFERENCE.findall(page.read_text(encoding="utf-8"))) == sorted(public)


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing.name)
def test_every_wing_has_a_page_and_a_line_in_the_readme(wing) -> None:
    assert (ROOT / "docs" / f"{wing.name}.md").exists()
    assert f"](docs/{wing.name}.md)" in README.read_text(encoding="utf-8")
