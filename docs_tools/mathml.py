r"""Mathematics of the documentation: `$...$` and `$$...$$` become MathML when the site is built.

An extension for Python-Markdown, named in `mkdocs.yml`, so that pages and docstrings go through it alike. A browser
then shows the formulas without a script and without a network.
"""

import re
from typing import Any

from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor

from solvable.lab.mathml import to_mathml

# A dollar sign that opens touches what it encloses, so that prices in prose stay prices.
_FORMULA = r"(?<![\\$])\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?![\s$])(?P<inline>[^$]+?)(?<![\s\\])\$(?![\d$])"
# After code (190), which may hold dollar signs, and before escapes (180), which would eat backslashes.
_PRIORITY = 185


class _Formula(InlineProcessor):
    # The names of the arguments are those of the class above.
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        block = m["block"] is not None
        mathml = to_mathml(m["block"] if block else m["inline"], block=block)
        assert self.md is not None
        return self.md.htmlStash.store(mathml), m.start(0), m.end(0)


class MathMLExtension(Extension):
    """Formulas between dollar signs, as MathML."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register the pattern."""
        md.inlinePatterns.register(_Formula(_FORMULA, md), "mathml", _PRIORITY)


def makeExtension(**options: Any) -> MathMLExtension:
    """Return the extension; Python-Markdown looks for this name."""
    return MathMLExtension(**options)
