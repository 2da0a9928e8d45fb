"""Logos from a user's files, as pictures that a poster can hold."""

import re
from pathlib import Path
from typing import Any

from solvable.errors import InputError

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
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"logo {str(path)!r} cannot be read ({error.strerror}); name a picture file"
        ) from None
    alt = f"Logo {path.stem}"
    if b"<svg" in data[:4096].lower():
        text = data.decode("utf-8", errors="replace")
        name = f"logo-{index}.svg"
        (folder / name).write_text(text, encoding="utf-8")
        return {"file": name, "aspect": _proportions(text, path), "alt": alt}
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


def _proportions(svg: str, path: Path) -> float:
    """Return width / height of an SVG."""
    if found := _LINK.search(_comments_out(svg)):
        raise InputError(
            f"logo {path.name!r} refers to {found[1][:80]!r}; an SVG must hold all that it shows: embed that, "
            "or save a PNG"
        )
    if _ENTITY.search(svg):
        raise InputError(f"logo {path.name!r} has entities or style sheets; save it as a plain SVG or a PNG")
    head = svg[svg.lower().index("<svg") :].split(">", 1)[0]
    box = re.search(r"viewBox\s*=\s*[\"']\s*[-\d.e]+[\s,]+[-\d.e]+[\s,]+([\d.e]+)[\s,]+([\d.e]+)", head)
    sides = (
        [box[1], box[2]]
        if box
        else [
            found[1] if (found := re.search(rf"\b{side}\s*=\s*[\"']\s*([\d.]+)", head)) else "0"
            for side in ("width", "height")
        ]
    )
    width, height = map(float, sides)
    if width <= 0 or height <= 0:
        raise InputError(f"logo {path.name!r} says no size; give its <svg> a viewBox, or save a PNG")
    return width / height


def _comments_out(svg: str) -> str:
    # Links in comments and names of schemas are no files.
    return re.sub(r"<!--.*?-->|\sxmlns(?::\w+)?\s*=\s*[\"'][^\"']*[\"']", "", svg, flags=re.DOTALL)
