"""Escapes for control characters, and ASCII stand-ins for what a terminal or a pipe (Windows' cp1252) cannot show.

A result that took an hour must not be lost because of an arrow in its last line.
"""

import codecs
import re
import sys
import unicodedata
from typing import Any

_NAME = "solvable-stand-ins"
_STAND_INS = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "°": " deg",
        "−": "-",
        "–": "-",
        "—": "-",
        "±": "+/-",
        "×": "x",
        "·": "*",
        "∘": "*",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "∝": "~",
        "√": "sqrt ",
        "∞": "inf",
        "‖": "||",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "€": "EUR",
        "£": "GBP",
        "≠": "!=",
        "⁄": "/",
        "ß": "ss",
        # Unicode spells them without b.
        "λ": "lambda",
        "Λ": "Lambda",
    }
)
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_SUBSCRIPTS = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
# Where 1½ becomes 1 1/2.
_AFTER_DIGIT = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_NOT = "\u0338"
# All but the tab and the line break, with the marks that reverse the direction of text, and halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return text with control characters as escapes, such as those with which a name could clear the terminal.

    >>> print(visible("\x1b[2Jname"))
    \x1b[2Jname
    """
    return _CONTROLS.sub(lambda one: one[0].encode("unicode_escape").decode(), text)


def short(name: object, most: int = 60) -> str:
    """Return a name or value of the user's as a message quotes it, without its middle if it is long.

    >>> short("a" * 100, 9), short("height")
    ('aaa...aaa', 'height')
    """
    text = str(name)
    end = (most - 3) // 2
    return text if len(text) <= most else f"{text[:end]}...{text[-end:]}"


def stand_ins(text: str) -> str:
    """Return text in ASCII: signs as they are typed, Greek letters by name, other letters without accents.

    >>> stand_ins("90° → 10⁻⁵ ± κ₀")
    '90 deg -> 10^-5 +/- kappa_0'
    """
    text = _AFTER_DIGIT.sub(" ", text)
    text = _SUPERSCRIPTS.sub(lambda run: "^" + _compatible(run[0]), text)
    text = _SUBSCRIPTS.sub(lambda run: "_" + _compatible(run[0]), text).translate(_STAND_INS)
    return "".join(one if one.isascii() else _letter(one) for one in text)


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKD", text).translate(_STAND_INS)


def _letter(letter: str) -> str:
    letter = unicodedata.normalize("NFKC", letter)
    words = unicodedata.name(letter, "").split() if len(letter) == 1 else []
    if words[:1] == ["GREEK"] and "LETTER" in words:
        name = words[words.index("LETTER") + 1]
        return name.capitalize() if "CAPITAL" in words else name.lower()
    if words[:1] == ["LATIN"] and "LETTER" in words:
        # Such as o with a stroke, which is no o with a mark for Unicode.
        name = words[words.index("LETTER") + 1]
        if len(name) <= 2:
            return name if "CAPITAL" in words else name.lower()
    if _NOT in unicodedata.normalize("NFD", letter):
        return "?"
    return _compatible(letter).encode("ascii", "ignore").decode() or "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return stand_ins(error.object[error.start : error.end]), error.end


def use_stand_ins() -> None:
    """Make stdout and stderr show stand-ins for what they cannot show; for a program, which owns them."""
    codecs.register_error(_NAME, _replace)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=_NAME)


def can_show(text: str, stream: Any = None) -> bool:
    """Return whether a stream, by default stdout, can show a text."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """Return a text for `print`, with escapes for control characters, and stand-ins if stdout cannot show it."""
    text = visible(text)
    if can_show(text):
        return text
    codecs.register_error(_NAME, _replace)
    encoding = sys.stdout.encoding
    return text.encode(encoding, _NAME).decode(encoding)
