"""Logos from a user's files, as pictures that a poster can hold."""

import json
import re
from pathlib import Path
from typing import Any

from solvable.errors import InputError
from solvable.lab.files import regular_bytes

_PICTURES = ("PNG", "JPEG", "WEBP", "GIF")
# A logo is some centimetres wide in print: more pixels would only make the file larger.
_PIXELS = 2400
_LARGEST_BYTES = 40_000_000
# What an SVG may refer to: its own parts, and data that it holds itself.
_LINK = re.compile(
    r"""(?:href\s*=\s*["']|url\(\s*["']?|@import\s+["']?)\s*(?!#|data:image/(?:png|jpeg|gif|webp))([^"')\s]+)""",
    re.I,
)
_ENTITY = re.compile(r"<!ENTITY|<\?xml-stylesheet", re.IGNORECASE)


def logo(path: Path, folder: Path, index: int) -> dict[str, Any]:
    """Copy a logo into a folder, and return its name there, its proportions and its text alternative.

    Raises:
        InputError: if it cannot be read, is no picture, or is an SVG that refers to another file.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"logo {path.name!r} is larger than 40 MB; save a smaller one")
        data = regular_bytes(path.resolve())
    except OSError as error:
        raise InputError(
            f"logo {str(path)!r} cannot be read ({error.strerror}); name a picture file"
        ) from None
    alt = f"Logo {path.stem}"
    if b"<svg" in data[:4096].lower():
        name = f"logo-{index}.svg"
        return {"file": name, "aspect": _as_svg(path, data, folder / name), "alt": alt}
    name = f"logo-{index}.png"
    return {"file": name, "aspect": _as_png(path, folder / name), "alt": alt}


def _as_png(path: Path, target: Path) -> float:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=_PICTURES) as picture:
            # Upright, and with the colours of a screen: printers' CMYK would be shown inverted.
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError(
            f"logo {path.name!r} is no picture that can be read; expected PNG, JPEG, WebP, GIF or SVG"
        ) from None
    upright.thumbnail((_PIXELS, _PIXELS))
    upright.save(target)
    return upright.width / upright.height


def _as_svg(path: Path, data: bytes, target: Path) -> float:
    import typst

    svg = data.decode("utf-8", errors="replace")
    if found := _LINK.search(_comments_out(svg)):
        raise InputError(
            f"logo {path.name!r} refers to {found[1][:80]!r}; an SVG must hold all that it shows: embed that, "
            "or save a PNG"
        )
    if _ENTITY.search(svg):
        raise InputError(f"logo {path.name!r} has entities or style sheets; save it as a plain SVG or a PNG")
    target.write_text(svg, encoding="utf-8")
    source = f'#context {{ let one = measure(image("{target.name}")); [#metadata(one.width / one.height)<aspect>] }}'
    sheet = target.with_suffix(".typ")
    sheet.write_text(source, encoding="utf-8")
    try:
        return json.loads(typst.query(str(sheet), "<aspect>", field="value", ignore_system_fonts=True))[0]
    except RuntimeError as error:
        why = str(error).partition("failed to parse SVG")[2].strip(" ()") or "it has no size"
        raise InputError(
            f"logo {path.name!r} is no SVG that can be read ({why}); save it again, or as a PNG"
        ) from None


def _comments_out(svg: str) -> str:
    # Links in comments and names of schemas are no files.
    return re.sub(r"<!--.*?-->|\sxmlns(?::\w+)?\s*=\s*[\"'][^\"']*[\"']", "", svg, flags=re.DOTALL)
