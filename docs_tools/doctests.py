"""Examples of the documentation: what a docstring shows as a doctest becomes a block of code.

An extension for Python-Markdown, named in `mkdocs.yml`. Without it `>>>` would be three nested quotations.
"""

from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

# Before fenced blocks (25 in Python-Markdown and in pymdownx) and after whitespace is made uniform (30).
_PRIORITY = 29


class _Doctests(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        """Fence each run of lines from a prompt to the next blank one."""
        fenced: list[str] = []
        inside, in_fence = False, False
        for line in [*lines, ""]:
            in_fence ^= line.lstrip().startswith("```")
            if not inside and not in_fence and line.startswith(">>> "):
                fenced += ["", "```pycon"]
                inside = True
            elif inside and not line.strip():
                fenced.append("```")
                inside = False
            fenced.append(line)
        return fenced


class DoctestExtension(Extension):
    """Doctests as blocks of code."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register the preprocessor."""
        md.preprocessors.register(_Doctests(md), "doctests", _PRIORITY)


def makeExtension(**options: Any) -> DoctestExtension:
    """Return the extension; Python-Markdown looks for this name."""
    return DoctestExtension(**options)
