"""Sealed boxes open to the right words only, and tell nothing by their looks."""

import json
from base64 import b64decode

import pytest

from solvable.errors import InputError
from solvable.hunt.sealing import Key, letters, nouns, opened, sealed

ROUNDS = 1000
ANSWERS = {
    str(i): word
    for i, word in enumerate(
        ("LANTERN", "COMPASS", "OCTAGON", "MAPLE", "HARBOUR", "VIOLET", "QUARRY", "SADDLE", "THIMBLE"),
        start=1,
    )
}
CONTENTS = {
    puzzle: {
        word: {"verdict": "right", "say": f"Yes, {puzzle}.", "solution": "By and by."},
        f"{word}S": {"verdict": "close", "say": "Only one."},
    }
    for puzzle, word in ANSWERS.items()
}
THINGS = ["door", "needle", "figure"]


@pytest.fixture(scope="module")
def boxes():
    return sealed(CONTENTS, THINGS, ANSWERS, ROUNDS)


@pytest.mark.parametrize(
    ("guess", "expected"),
    [
        ("lantern", "LANTERN"),
        (" Lan-tern! 7", "LANTERN"),
        ("Ｌａｎｔｅｒｎ", "LANTERN"),
        ("ﬁn", "FIN"),
        ("Straße", "STRASSE"),
        ("Masẞ", "MAS"),  # the capital has no letters A to Z in it
        ("İstanbul", "ISTANBUL"),
        ("ısı", "ISI"),
        ("crème brûlée", "CREMEBRULEE"),
    ],
)
def test_only_letters_count(guess: str, expected: str) -> None:
    assert letters(guess) == expected


@pytest.mark.parametrize("guess", ["", "   ", "123", "дом", "x" * 61, "\ud800"])
def test_a_guess_needs_letters_and_not_too_many(guess: str) -> None:
    with pytest.raises(InputError, match=r"letters from A to Z; expected a word or two"):
        letters(guess)


def test_a_box_opens_to_its_word(boxes) -> None:
    for puzzle, word in ANSWERS.items():
        said = opened(boxes["puzzles"][puzzle], Key(puzzle, word.lower(), ROUNDS))
        assert said == CONTENTS[puzzle][word]
        assert opened(boxes["puzzles"][puzzle], Key(puzzle, f"{word}s", ROUNDS))["verdict"] == "close"
        assert opened(boxes["puzzles"][puzzle], Key(puzzle, f"{word}X", ROUNDS)) is None
    # A word opens nothing elsewhere.
    assert opened(boxes["puzzles"]["2"], Key("2", ANSWERS["1"], ROUNDS)) is None


def test_answers_and_near_misses_look_alike(boxes) -> None:
    all_boxes = [box for some in boxes["puzzles"].values() for box in some]
    assert len({len(b64decode(box["box"])) for box in all_boxes}) == 1
    for some in boxes["puzzles"].values():
        assert [box["tag"] for box in some] == sorted(box["tag"] for box in some)
    text = json.dumps(boxes).upper()
    assert not any(word in text for word in (*ANSWERS.values(), *(thing.upper() for thing in THINGS)))


def test_the_same_words_give_the_same_file(boxes) -> None:
    assert sealed(CONTENTS, THINGS, ANSWERS, ROUNDS) == boxes


def test_two_spellings_of_one_guess_are_refused() -> None:
    with pytest.raises(ValueError, match="same letters"):
        sealed({"1": {"A B": {}, "AB": {}}}, [], {}, ROUNDS)


def test_any_six_answers_open_the_meta(boxes) -> None:
    keys = {puzzle: Key(puzzle, word, ROUNDS) for puzzle, word in ANSWERS.items()}
    for some in ("123456", "456789", "135789", "123456789"):
        assert nouns(boxes["meta"], {puzzle: keys[puzzle] for puzzle in some}) == THINGS
    assert nouns(boxes["meta"], {puzzle: keys[puzzle] for puzzle in "12345"}) is None
    wrong = {puzzle: Key(puzzle, "wrong", ROUNDS) for puzzle in "123456"}
    assert nouns(boxes["meta"], wrong) is None
    six = {puzzle: keys[puzzle] for puzzle in "123456"}
    for puzzle in "123456":
        assert nouns(boxes["meta"], six | {puzzle: wrong[puzzle]}) is None
    # Six right ones among eight.
    assert nouns(boxes["meta"], keys | {"1": wrong["1"], "2": wrong["2"]}) == THINGS
    assert nouns(boxes["meta"], keys | {puzzle: wrong[puzzle] for puzzle in "1234"}) is None
    assert len(boxes["meta"]["keys"]) == 84
