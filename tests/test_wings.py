"""The table of wings: a new wing takes a folder and one line, and is available everywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import solvable
from solvable.errors import InputError
from solvable.wings import WINGS, Wing, load_study, study_names

HERE = Path(__file__).parent
LINE = '    Wing("toy_wing", {"toy": "study"}, {"toy-size": "Say how many draws a mean needs."}),\n'
# One process for all, since each would import the library again.
COMMANDS_AND_GALLERY = """
import sys
from solvable.cli import main
for words in sys.argv[1:]:
    print(">", words)
    try:
        main(words.split())
    except SystemExit as stop:
        assert not stop.code, words
import solvable.toy_wing.theory
from solvable.app.gallery import entries, gallery
print(">", [(entry.name, entry.page.name) for entry in entries()][-1], "toy_wing/" in gallery(entries()))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library with the toy wing added: its folder, and one line in the table."""
    root = tmp_path_factory.mktemp("library")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(solvable.__file__).parent, root / "solvable", ignore=ignore)
    wing = root / "solvable" / "toy_wing"
    shutil.copytree(HERE / "toy_wing", wing, ignore=ignore)
    for path in wing.glob("*.py"):
        path.write_text(path.read_text().replace("from toy_wing", "from solvable.toy_wing"))
    table = root / "solvable" / "wings.py"
    text = table.read_text()
    start = text.index("WINGS = (")
    end = text.index("\n)\n", start) + 1
    table.write_text(text[:end] + LINE + text[end:])
    return root


def run_in(library: Path, *words: str, cwd: Path | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": str(library), "COLUMNS": "120"}
    options = {"env": environment, "cwd": cwd or library, "capture_output": True, "text": True}
    result = subprocess.run([sys.executable, *words], **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_new_wing_is_on_the_command_line_and_in_the_gallery(library: Path) -> None:
    commands = ("list --quiet", "--help", "toy-size 0.1 --quiet", "run toy --trials 1 --quiet")
    out = run_in(library, "-c", COMMANDS_AND_GALLERY, *commands)
    _, studies, usage, size, path, entry = out.split("> ")
    assert "toy\n" in studies
    assert "Say how many draws a mean needs." in usage
    assert size.splitlines()[1:] == ["100"]
    assert (library / path.splitlines()[1] / "report.html").is_file()
    assert entry == "('toy_wing', 'page.py') True\n"


def test_a_new_wing_keeps_the_contract(library: Path) -> None:
    tests = [str(HERE / "test_studies.py"), "-k", "contract and toy or refused and toy"]
    out = run_in(library, "-m", "pytest", "-n", "0", *tests, cwd=HERE.parent)
    assert " passed" in out


def test_help_imports_no_wing() -> None:
    code = (
        "import sys; from solvable.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {[wing.name for wing in WINGS]} if f'solvable.{{name}}' in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert all(name in out for wing in WINGS for name in wing.commands)


def test_studies_are_found_by_name() -> None:
    assert study_names()[0] == "regression"
    assert {load_study(name).name for name in study_names()} == set(study_names())
    with pytest.raises(InputError, match=r"unknown study 'regresion'; .* did you mean 'regression'"):
        load_study("regresion")
    assert Wing("nowhere", {}).page() is None
