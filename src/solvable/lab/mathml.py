r"""Formulas as MathML, which browsers show without a script: of reports, and of the documentation when it is built."""

import re
from collections.abc import Iterator
from html import unescape
from xml.etree.ElementTree import Element, tostring

_FUNCTIONS = {"arccos", "arcsin", "cos", "det", "exp", "lim", "ln", "log", "max", "min", "sin", "tan"}
# What TeX sets around these, where browsers have it otherwise.
_SPACES = {"/": "0", "|": "0", "∼": "0.278em"}
_THIN = "0.167em"
# A formula within a line that has more characters than this does not fit a telephone: there it gets its own line.
_LONG = 45
_PRIME = "′"


def to_mathml(latex: str, *, block: bool = False) -> str:
    r"""Return a formula as MathML; one on a line of its own can be scrolled where it is wider than the page.

    Raises:
        ValueError: for a command that latex2mathml does not know.
    """
    from latex2mathml.converter import convert_to_element

    math = convert_to_element(" ".join(latex.split()), display="block" if block else "inline")
    for element in math.iter():
        element.text = unescape(element.text) if element.text else None  # it comes with character references
        if element.text == "~":  # how latex2mathml writes \sim
            element.tag, element.text = "mo", "∼"
        elif element.text == "∞":  # a number, not an operator with space around it
            element.tag = "mi"
    for element in list(math.iter()):
        _lower_prime(element)
    for element in list(math.iter()):
        _space_as_tex_does(element)
    mathml = tostring(math, encoding="unicode")
    if unknown := re.search(r"\\[A-Za-z]+", mathml):
        raise ValueError(f"latex2mathml does not know {unknown[0]}, which stands in {latex!r}")
    if block:
        return f'<span class="formula">{mathml}</span>'
    return f'<span class="long">{mathml}</span>' if len(latex) > _LONG else mathml


def _lower_prime(element: Element) -> None:
    """Put a prime behind its base, not above it: the sign is a raised one already and would be tiny."""
    if element.tag in ("msup", "msubsup") and element[-1].text == _PRIME:
        base = element[0] if element.tag == "msup" else Element("msub")
        if element.tag == "msubsup":
            base.extend(element[:2])
        prime = Element("mo", lspace="0", rspace="0")
        prime.text = _PRIME
        element[:] = [base, prime]
        element.tag = "mrow"


def _space_as_tex_does(row: Element) -> None:
    """Set a thin space between the name of a function and its neighbours, none around a solidus."""
    children = list(row)
    for before, element, after in zip([None, *children], children, [*children[1:], None], strict=False):
        if element.tag == "mo" and element.text in _SPACES:
            element.attrib |= dict.fromkeys(("lspace", "rspace"), _SPACES[element.text])
        if element.text in ("−", "±") and before is not None and before.text in ("(", "[", "{", ",", "="):
            element.attrib |= {"form": "prefix", "lspace": "0", "rspace": "0"}
        if _is_function(element):
            for name in element.iter("mo"):
                name.attrib |= {"lspace": "0", "rspace": "0"}
            if row.tag not in ("mrow", "math", "mtd"):  # a function with an index is spaced as a whole
                continue
            if after is not None and after.tag not in ("mo", "mspace"):
                row.insert(list(row).index(element) + 1, Element("mspace", width=_THIN))
            if before is not None and (
                before.text in (")", "]") or (before.tag not in ("mo", "mspace") and not _is_function(before))
            ):
                row.insert(list(row).index(element), Element("mspace", width=_THIN))


def _is_function(element: Element) -> bool:
    if element.tag in ("msup", "msub", "msubsup", "munder"):
        return _is_function(element[0])
    return element.tag in ("mi", "mo") and element.text in _FUNCTIONS


def formulas_in(text: str) -> Iterator[tuple[bool, str]]:
    r"""Yield the parts of a text with formulas between dollar signs: whether it is a formula, and the part.

    >>> list(formulas_in(r"error $\kappa^2$ at most"))
    [(False, 'error '), (True, '\\kappa^2'), (False, ' at most')]
    """
    for index, part in enumerate(text.split("$")):
        if part:
            yield index % 2 == 1, part
