"""Typst: compile a template with its content, and say in a sentence what does not fit or cannot be shown."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from solvable.errors import InputError, missing_extra

_HERE = Path(__file__).parent
_MISSING = re.compile(r'the text `"(.+?)"` could not be displayed')
# Copied one by one: the folder of matplotlib's fonts holds one that shows boxes for every letter of the world.
_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansDisplay",
    # Calligraphic letters of figures, which have codes of their own: other fonts have other signs there.
    "STIXNonUni",
    "STIXNonUniIta",
)


_PACKAGES = {"typst": "typst", "tylax": "tylax", "segno": "segno", "barcode": "python-barcode"}


class Sheet:
    """A template in a temporary folder, with what it reads.

    Attributes:
        folder: where figures, codes and logos go, named in the content.
    """

    def __init__(self, folder: Path, template: str) -> None:
        import matplotlib
        from typst import Fonts

        self.folder = folder
        shutil.copy(_HERE / template, folder / "sheet.typ")
        fonts = folder / "fonts"
        fonts.mkdir()
        for name in _FONTS:
            shutil.copy(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), fonts)
        self._fonts = Fonts(include_system_fonts=False, font_paths=[fonts])
        self._compiler: Any = None

    def set(self, content: dict[str, Any]) -> None:
        """Give the template its content."""
        from typst import Compiler

        # Names of files that are not UTF-8 have half surrogates, which JSON cannot hold: they become question marks.
        text = json.dumps(content, ensure_ascii=False)
        (self.folder / "content.json").write_bytes(text.encode("utf-8", errors="replace"))
        self._compiler = Compiler(
            str(self.folder / "sheet.typ"),
            root=str(self.folder),
            font_paths=self._fonts,
            ignore_system_fonts=True,
        )

    def query(self, label: str) -> list[Any]:
        """Return the metadata that the template has under a label.

        Raises:
            InputError: if the content cannot be set.
        """
        try:
            return json.loads(self._compiler.query(f"<{label}>", field="value"))
        except RuntimeError as error:
            raise _cannot_be_set(error) from error

    def pdf(self) -> bytes:
        """Return the PDF, accessible (PDF/UA-1) and the same for the same content.

        Raises:
            InputError: if a letter is in none of the fonts, or the content cannot be set.
        """
        from typst import TypstError

        try:
            pdf, warnings = self._compiler.compile_with_warnings(
                format="pdf", pdf_standards="ua-1", timestamp=0
            )
        except TypstError as error:
            if letters := dict.fromkeys(_MISSING.findall(error.diagnostic)):
                raise InputError(
                    f"no font of the poster has {', '.join(repr(one) for one in letters)}; expected Latin, Greek, "
                    "Cyrillic, Arabic or Hebrew letters: write these words in one of them"
                ) from None
            raise _cannot_be_set(error) from error
        if warnings:
            raise RuntimeError(f"typst warns: {warnings[0].message}")
        return pdf

    def png(self, pixels: int, size_mm: float) -> bytes:
        """Return a picture whose side of `size_mm` has so many pixels."""
        return self._compiler.compile(format="png", ppi=pixels / size_mm * 25.4)


def _cannot_be_set(error: RuntimeError) -> InputError:
    # Records come from other versions and other people: their formulas and figures may be anything.
    return InputError(f"typst cannot set this ({error}); look at the formulas and the figure of the record")


@contextmanager
def sheet(template: str) -> Iterator[Sheet]:
    """Open a template.

    Raises:
        MissingExtraError: if typst is not installed.
    """
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise missing_extra(package, "poster", "a poster")
    with TemporaryDirectory(prefix="solvable-poster-") as folder:
        yield Sheet(Path(folder), template)
