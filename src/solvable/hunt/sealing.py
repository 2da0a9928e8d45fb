"""Sealed boxes: the reply to a guess, which only that guess opens.

A key is derived from the letters of a guess; its first bytes name the box, the others open it. Answers and near misses
look alike. It is a game, not a vault: whoever tries all words of a dictionary finds the short answers within an hour.
The page does the same with WebCrypto.
"""

import hashlib
import json
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from solvable.errors import InputError

ITERATIONS = 200_000
"""Rounds of PBKDF2 in the boxes that are shipped."""
NEEDED = 6
"""How many right answers open what is sealed for the meta."""

SALT = "solvable hunt 1:"
"""Before the name of a puzzle, the salt of its keys; another number whenever other texts are sealed.

Two texts sealed with one key would tell each other."""
LONGEST = 60
"""How many letters a guess may have."""
_TAG, _KEY, _CODE = slice(0, 16), slice(16, 48), slice(48, 64)


def letters(guess: str) -> str:
    """Return the letters A to Z of a guess, without accents, in upper case.

    Raises:
        InputError: if there are none, or more than an answer has, or the guess is no text.

    >>> letters("Ma\u00dfst\u00e4be, \ufb01ne!")
    'MASSSTABEFINE'
    """
    if not isinstance(guess, str):
        raise InputError(f"the guess is a {type(guess).__name__}; expected text")
    found = "".join(letter for letter in unicodedata.normalize("NFKD", guess).upper() if "A" <= letter <= "Z")
    if not found or len(found) > LONGEST:
        raise InputError(
            f"the guess has {len(found)} letters from A to Z; expected a word or two, of at most {LONGEST} letters"
        )
    return found


class Key:
    """The key of a guess at a puzzle.

    Attributes:
        tag: names the box.
    """

    def __init__(self, puzzle: str, guess: str, iterations: int = ITERATIONS) -> None:
        self._key = _derived(f"{SALT}{puzzle}", letters(guess), iterations)
        self.tag = self._key[_TAG].hex()

    def box(self, text: bytes) -> bytes:
        """Return a text sealed, or the text of a box: both are XOR with the same stream."""
        return _masked(text, self.secret)

    @property
    def secret(self) -> bytes:
        """The part of the key that boxes are sealed with."""
        return self._key[_KEY]

    @property
    def code_secret(self) -> bytes:
        """The part of the key that finish codes are made with."""
        return self._key[_CODE]


@lru_cache(maxsize=32)
def _derived(salt: str, word: str, iterations: int) -> bytes:
    """Return the bytes of a key; those of the solved puzzles are asked for again and again."""
    return hashlib.pbkdf2_hmac("sha256", word.encode(), salt.encode(), iterations, 64)


def _masked(text: bytes, secret: bytes) -> bytes:
    stream = b"".join(
        hashlib.sha256(secret + i.to_bytes(4, "big")).digest() for i in range(len(text) // 32 + 1)
    )
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def opened(boxes: Iterable[Mapping[str, str]], key: Key) -> dict[str, Any] | None:
    """Return what is in the box that a key opens, or None if there is no such box."""
    for box in boxes:
        if box["tag"] == key.tag:
            return json.loads(key.box(b64decode(box["box"])))
    return None


def sealed(
    contents: Mapping[str, Mapping[str, Mapping[str, Any]]],
    nouns: Sequence[str],
    answers: Mapping[str, str],
    iterations: int = ITERATIONS,
) -> dict[str, Any]:
    """Return the file of boxes.

    Args:
        contents: puzzle -> guess -> the reply; all boxes get the same length.
        nouns: what is sealed for the meta, under any six right answers.
        answers: puzzle -> right answer, of the puzzles that open the meta.
        iterations: rounds of PBKDF2.
    """
    texts = {
        puzzle: {guess: json.dumps(said, ensure_ascii=False).encode() for guess, said in guesses.items()}
        for puzzle, guesses in contents.items()
    }
    length = max(len(text) for guesses in texts.values() for text in guesses.values())
    puzzles = {}
    for puzzle, guesses in texts.items():
        boxes = {}
        for guess, text in guesses.items():
            key = Key(puzzle, guess, iterations)
            boxes[key.tag] = b64encode(key.box(text.ljust(length))).decode()
        if len(boxes) < len(guesses):
            raise ValueError(f"two guesses at puzzle {puzzle} have the same letters")
        puzzles[puzzle] = [{"tag": tag, "box": boxes[tag]} for tag in sorted(boxes)]
    keys = {puzzle: Key(puzzle, answer, iterations) for puzzle, answer in answers.items()}
    return {
        "version": 1,
        "iterations": iterations,
        "puzzles": puzzles,
        "meta": _shared(json.dumps(list(nouns)).encode(), keys),
    }


def _shared(text: bytes, keys: Mapping[str, Key]) -> dict[str, Any]:
    """Return a text sealed under any `NEEDED` of the keys."""
    # From the keys themselves, so that the same answers give the same file.
    secret = _combined(keys, sorted(keys))
    return {
        "box": b64encode(_masked(text, secret)).decode(),
        "check": hashlib.sha256(secret).hexdigest(),
        "keys": {
            " ".join(some): b64encode(_masked(secret, _combined(keys, some))).decode()
            for some in combinations(sorted(keys), NEEDED)
        },
    }


def nouns(meta: Mapping[str, Any], keys: Mapping[str, Key]) -> list[str] | None:
    """Return what is sealed for the meta, or None without `NEEDED` right keys."""
    for some in combinations(sorted(keys), NEEDED):
        secret = _masked(b64decode(meta["keys"][" ".join(some)]), _combined(keys, some))
        if hashlib.sha256(secret).hexdigest() == meta["check"]:
            return json.loads(_masked(b64decode(meta["box"]), secret))
    return None


def _combined(keys: Mapping[str, Key], some: Sequence[str]) -> bytes:
    return hashlib.sha256(b"".join(keys[puzzle].secret for puzzle in some)).digest()
