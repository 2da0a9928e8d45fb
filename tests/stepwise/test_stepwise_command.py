"""The command `solvable stepwise directions`."""

import json

import pytest

from solvable.stepwise import directions_from_loss


def run(command_line, *options: object) -> tuple[int, str, str]:
    code, out, err = command_line("stepwise", "directions", *options)
    return code, " ".join(out.split()), err


def test_a_loss_is_read_in_words(command_line) -> None:
    code, out, _ = run(command_line, "--loss", 4000, "--dim", 8192, "--lambda", 0.0051)
    assert code == 0
    assert out.startswith(
        "44 to 85 of 8192 directions are learned No embedding with fewer than 44 directions has"
    )
    assert "pass --batch-size" in out
    code, out, _ = run(command_line, "--loss", 100, "--scale", 0.025, "--dim", 8192)
    assert out.startswith("44 to 85 of 8192")
    assert "100 / 0.025 = 4000" in out


def test_nothing_learned_is_told(command_line) -> None:
    _, out, _ = run(command_line, "--loss", 8192, "--dim", 8192)
    assert "needs no learned direction: with one it can be 8000" in out
    assert "embeddings that do not depend on the input" in out


def test_json_has_the_numbers_of_the_library(command_line) -> None:
    _, out, _ = run(command_line, "--loss", 41.9, "--dim", 2048, "--batch-size", 512, "--json")
    found, expected = json.loads(out), directions_from_loss(41.9, 2048, 0.0051, 512)
    for name in ("directions", "low", "high", "floor"):
        assert found[name] == getattr(expected, name)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--loss", -1, "--dim", 8), "loss must be at least 0"),
        (("--loss", "nan", "--dim", 8), "loss must be"),
        (("--loss", 1, "--dim", 0), "dim must be a whole number of at least 1"),
        (("--loss", 1, "--dim", 8, "--lambda", 0), "off_diagonal_weight must be above 0"),
        (("--loss", 1, "--dim", 8, "--batch-size", 1), "expected at least 2"),
        (("--loss", 1, "--dim", 8, "--scale", 0), "scale must be above 0"),
        (("--loss", 1000, "--dim", 8192, "--batch-size", 256), "correlations of a batch of 256 alone make"),
    ],
)
def test_bad_numbers_are_one_sentence(options, sentence, command_line) -> None:
    code, out, err = run(command_line, *options)
    assert (code, out) == (2, "")
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err
