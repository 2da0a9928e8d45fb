"""`solvable activations design`: what it prints and writes, and the sentence for each bad input."""

import json

import numpy as np
import pytest
from cyclopts import CycloptsError

from solvable.activations import design
from solvable.cli import build_app
from solvable.errors import InputError


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs `solvable activations` in a folder of its own and returns stdout."""
    monkeypatch.chdir(tmp_path)

    def run(*tokens: str) -> str:
        words = ["activations", *tokens]
        build_app(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
        return capsys.readouterr().out

    return run


def test_in_words(command) -> None:
    out = command("design", "relu ntk depth 4", "--family", "relu+cos", "--width", "1000")
    assert out.startswith("phi(z) = ")
    for words in ("NTK(depth=4", "target 10", "with 1000 neurons", "10 % needs", "at c = 0.9"):
        assert words in out


def test_files_and_code(command, tmp_path) -> None:
    out = command(
        *(
            "design",
            "relu ntk 2",
            "--family",
            "shifted-relus",
            "--output",
            "phi.py",
            "--figure",
            "phi.svg",
            "--source",
        )
    )
    assert "written: phi.py, phi.svg" in out
    assert "def activation(z):" in out
    assert (tmp_path / "phi.svg").read_text().startswith("<?xml")
    scope: dict = {}
    exec((tmp_path / "phi.py").read_text(), scope)
    z = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(
        scope["activation"](z), design("relu ntk 2", family="shifted relus")(z), rtol=1e-12
    )


def test_json(command) -> None:
    facts = json.loads(command("design", "0,1,0,0,1", "--json", "--signs", "++--+"))
    assert facts["coefficients"] == pytest.approx([0, 0.5**0.5, 0, 0, 0.2**0.5])
    assert facts["kernel_error"] < 1e-14
    assert facts["finite_width"][0]["required_width"] > 1
    assert facts["asked_at_1"] == 2


def test_quiet_prints_the_coefficients(command) -> None:
    lines = command("design", "gaussian:1", "--kind", "nngp", "--quiet").split()
    assert float(lines[0]) == pytest.approx(np.exp(-0.5), rel=1e-2)
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["0,-1"], "a_1 = -1"),
        (["0,x"], "not a number"),
        (["gaussian"], "gaussian:1"),
        (["gaussian:x"], "not a number"),
        (["relu ntk 4:1"], "unknown kernel|no length"),
        (["relu ntk:2"], "no length"),
        (["no kernel"], "unknown kernel"),
        (["relu ntk", "--signs", "random"], "signs"),
        (["relu ntk", "--output", "phi.txt"], ".py"),
        (["relu ntk", "--output", "nowhere/phi.py"], "folder"),
        (["relu ntk", "--figure", "phi.gif"], ".svg"),
        (["relu ntk", "--width", "0"], "width"),
        (["1,1", "--kind", "first-layer"], "a_0 = 1"),
    ],
)
def test_bad_input(command, tokens, words) -> None:
    with pytest.raises(InputError, match=words):
        command("design", *tokens)


def test_unknown_choices(command) -> None:
    with pytest.raises(CycloptsError, match="shifted-relus"):
        command("design", "relu ntk", "--family", "no such")


def test_a_constant_takes_one_neuron(command) -> None:
    assert "10 % needs 1 neuron\n" in command("design", "1")


def test_projection(command) -> None:
    assert "off by" in command("design", "--project", "--", "-0.1,1")


def test_explicit_coefficients_are_had_exactly(command) -> None:
    assert "exact, K(1) included" in command("design", "1,1,1", "--signs", "+++")
    assert "exact, K(1) included" in command("design", "0,0,0,0,0,0,0,1")


def test_a_hint_where_a_polynomial_is_far_off(command) -> None:
    assert "--family relu+cos or shifted-relus" in command("design", "laplace:1")
    assert "--degree 10" in command("design", "exp ntk 2")
    assert "may come closer" not in command("design", "gaussian:1")


def test_coefficients_of_any_size(command) -> None:
    out = command("design", "exp ntk 2")
    assert "b_0 … b_5: 0, 0, 0, 0, 1.597e+48, 1.533e+48" in out
    line = command("design", "gaussian:1", "--degree", "20").splitlines()[2]
    assert "b_20" in line
    assert line.count(",") == 12
