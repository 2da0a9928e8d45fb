"""A stream that cannot show a character gets a stand-in, never a traceback."""

import json
import os
import subprocess
import sys

import pytest

from solvable.streams import stand_ins

SHOWN = "90° → 10⁻⁵ ± κ₀²"


def _python(code: str, encoding: str) -> str:
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(encoding).replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "90° → 10⁻⁵ ± κ₀²"),
        ("cp1252", "90° -> 10^-5 ± kappa_0²"),
        ("ascii", "90 deg -> 10^-5 +/- kappa_0^2"),
    ],
)
def test_a_printed_verdict(encoding, expected):
    code = f"from solvable.lab.verdict import Verdict; print(Verdict({SHOWN!r}, ()))"
    assert _python(code, encoding) == expected


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437"])
def test_commands(encoding):
    code = f"""
from solvable.terminal.output import Output, print_styled, print_table
from solvable.streams import use_stand_ins
from rich.table import Table
use_stand_ins()
table = Table("x → y")
table.add_row({SHOWN!r})
print_table(table)
print_styled({SHOWN!r})
print({SHOWN!r})
"""
    out = _python(code, encoding)
    assert "x -> y" in out
    assert out.splitlines()[-1] == out.splitlines()[-2]
    assert "->" in out.splitlines()[-1]


def test_json_keeps_every_character():
    code = f"""
from solvable.terminal.output import Output
Output(json=True).emit({{"note": {SHOWN!r}}}, [], print)
"""
    assert json.loads(_python(code, "ascii")) == {"note": SHOWN}


def test_an_error_names_what_the_user_typed():
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "solvable", "run", "λ → naïve"], env=environment, capture_output=True
    )
    assert done.returncode == 2
    assert b"lambda -> naive" in done.stderr


def test_what_has_no_stand_in_is_a_question_mark():
    assert stand_ins("日本 naïve Σ 𝛼") == "?? naive Sigma alpha"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1½ of ¾", "1 1/2 of 3/4"),
        ("a ≠ b", "a != b"),
        ("≮", "?"),
        ("Straße, Łódź, Ørsted", "Strasse, Lodz, Orsted"),
    ],
)
def test_the_meaning_stays(text, expected):
    assert stand_ins(text) == expected
