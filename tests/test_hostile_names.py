"""Names that would take over a terminal or a page are shown with escapes: of files, columns, classes and records."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from solvable import datasets
from solvable.cli import main
from solvable.lab import records
from solvable.lab.verdict import Section, Table, Verdict
from solvable.streams import visible

# Clears the terminal, sets its title, colours, reverses, and the 8-bit form of the same.
BAD = ("\x1b[2J", "\x1b]0;title\x07", "\x1b[31m", "\u202e", "\x9b31m", "\x08\x08", "\x7f")
CONTROLS = {
    chr(i) for i in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
} - {"\n"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file whose own name, columns and classes are hostile."""
    X, y = load_wine(return_X_y=True)
    name = "".join(BAD).replace("/", "")
    table = pd.DataFrame(X[:, :4], columns=[f"a{BAD[0]}", f"b{BAD[3]}", f"c{BAD[4]}", "d"])
    table[f"target{BAD[1]}"] = np.array([f"red{BAD[2]}", f"white{BAD[5]}", f"rose{BAD[6]}"])[y]
    path = tmp_path_factory.mktemp("hostile") / f"wine{name}.csv"
    table.to_csv(path, index=False)
    return path


def _controls(text: str) -> set[str]:
    return CONTROLS & set(text)


def test_controls_are_shown_as_escapes():
    assert visible("a\x1b[2Jb\u202ec\x9bd") == r"a\x1b[2Jb\u202ec\x9bd"
    assert visible("rose\u0301 → 10⁻⁵\n\t\u200f") == "rose\u0301 → 10⁻⁵\n\t\u200f"
    assert visible("\udcff") == r"\udcff"
    verdict = Verdict(
        BAD[0], (Section(BAD[1], BAD[3], Table((BAD[4],), ((BAD[5],),)), (BAD[6],)),), (BAD[2],)
    )
    assert _controls(str(verdict)) == set()
    assert _controls(verdict._repr_html_()) == set()


COMMANDS = [
    ("diagnose", "--kernel", "laplace"),
    ("diagnose", "--kernel", "laplace", "--json"),
    ("diagnose", "--kernel", "laplace", "--task", "number"),  # a sentence
    ("diagnose", "--groups", "d\x1b[2J"),
    ("diagnose", "--figure", "\x1b[2J/figure.png"),
    ("diagnose", "--estimator\x1b[2J", "3"),
    ("noise-profile", "--estimator", "sklearn.dummy:DummyClassifier", "--trials", "1"),
    ("noise-profile", "--estimator", "sklearn.dummy:Dummy\x1b[2J"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=range(len(COMMANDS)))
def test_commands_show_no_controls(table, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with suppress(SystemExit):
        main([words[0], str(table), *words[1:]])
    out, err = capsys.readouterr()
    assert out or err
    assert _controls(out) == set()
    assert _controls(err) == set()


def test_reports_show_no_controls(table, tmp_path, capsys):
    options = ["--data", str(table), "--n-train", "16,32", "--trials", "2", "--runs-dir", str(tmp_path)]
    main(["run", "regression", *options])
    main(["show", "latest", "--runs-dir", str(tmp_path)])
    main(["runs", "--runs-dir", str(tmp_path)])
    (record,) = records(tmp_path)
    out, err = capsys.readouterr()
    for text in (out, err, (record.path / "report.html").read_text()):
        assert _controls(text) == set()
    assert r"\x1b[31m" in (record.path / "report.html").read_text()


@pytest.mark.filterwarnings("error")
def test_figures_draw_any_name(table, tmp_path):
    from solvable.lab.figure import save
    from solvable.regression import diagnose

    data = datasets.load(table)
    frame = pd.DataFrame({r"$\frac{$": data.X[:, 0], "b": data.X[:, 1]})
    save(diagnose(frame, data.labels, "laplace").plot(), tmp_path / "figure.svg")
