"""The documentation site: it builds without a warning, needs no network, and its links and formulas lead somewhere."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from inspect import ismodule
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from docs_tools.posters import GALLERY

from solvable import hunt
from solvable.lab.mathml import to_mathml

pytest.importorskip("zensical")

ROOT = Path(__file__).parent.parent
# The page of the hunt, which is not made from Markdown.
PLAYED = Path("hunt/play.html")
# What a browser fetches by itself, as attributes of tags; `a` is not among them.
FETCHED = {"src", "srcset", "poster", "data", "background"}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Page(HTMLParser):
    """What the tests want to know of a page."""

    text: str
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    formulas: int = 0
    _within: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self.fetched += [value for name, value in values.items() if name in FETCHED]
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("link", "use", "image") and "href" in values:
            self.fetched.append(values["href"])
        self.formulas += tag == "math"
        if tag in ("pre", "code", "script", "style", "math", "svg"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and tag == self._within[-1]:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.prose.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy, so that nothing of an earlier build takes part, and none is left behind."""
    copy = tmp_path_factory.mktemp("docs")
    for name in ("docs", "docs_tools", "src"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, copy / name)
    _stand_in_posters(copy / "docs" / "posters")
    hunt.page(copy / "docs" / PLAYED)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)
    output = ANSI.sub("", done.stdout + done.stderr)
    assert done.returncode == 0, output
    # griffe, which reads the docstrings, says what is wrong with them without the word.
    assert not re.search(r"warning|error|griffe:", output, re.IGNORECASE), output
    return copy / "site"


def _stand_in_posters(folder: Path) -> None:
    """Write something to link to: `tests/poster/test_poster_gallery.py` makes the real ones."""
    folder.mkdir(exist_ok=True)
    for name in GALLERY:
        shutil.copy(ROOT / "docs" / "images" / "regression.png", folder / f"{name}.png")
        (folder / f"{name}.pdf").write_bytes(b"%PDF-1.7")


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there(site: Path, pages: dict[Path, Page]) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {path.relative_to(site) for path in pages} == written | {Path("404.html"), PLAYED}
    in_the_menu = {(site / link.split("#")[0]).resolve() for link in pages[site / "index.html"].links}
    assert {site / path for path in written} <= in_the_menu


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        outside = [url for url in page.fetched if re.match(r"(https?:)?//", url)]
        assert outside == [], path
        assert "@import" not in page.text, path
        assert 'class="mermaid"' not in page.text, path  # the theme's script would fetch a library for it
    for path in site.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert re.findall(r"@import[^;]*|url\(\s*['\"]?(?:https?:)?//[^)]*", style) == [], path


def test_links_and_anchors_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        if path.name == "404.html":  # a server answers with it anywhere, so its links begin at the root
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
            ):
                dead.append((str(path.relative_to(site)), link))
    assert dead == []


def test_mathematics_is_mathml(site: Path, pages: dict[Path, Page]) -> None:
    assert pages[site / "regression.html"].formulas > 50
    assert pages[site / "api" / "regression.html"].formulas > 50
    assert pages[site / "api" / "spectra.html"].formulas > 50
    for path, page in pages.items():
        left = [text for text in page.prose if "$" in text or re.search(r"\\[a-zA-Z]", text)]
        assert left == [], path


def test_examples_are_code(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not any(">>>" in text for text in page.prose), path


def test_the_reference_has_an_entry_for_each_name(site: Path, pages: dict[Path, Page]) -> None:
    for source in (ROOT / "docs" / "api").glob("*.md"):
        names = re.findall(r"^::: (\S+)", source.read_text(encoding="utf-8"), re.MULTILINE)
        ids = pages[site / "api" / f"{source.stem}.html"].ids
        assert [name for name in names if name not in ids] == []
        # `solvable.lab.run` is a function, and not the file that defines it.
        files = [name for name in names if f"{name}.{name.rpartition('.')[2]}" in ids]
        assert [name for name in files if not ismodule(resolve_name(":".join(name.rsplit(".", 1))))] == []


def test_a_formula_is_spaced_as_tex_does() -> None:
    assert '<mi>d</mi><mspace width="0.167em" /><mi>ln</mi><mspace width="0.167em" /><mi>κ</mi>' in to_mathml(
        r"d\ln\kappa"
    )
    assert "<mrow><mi>x</mi><mo " in to_mathml("x'")  # a prime is no exponent
    assert to_mathml("a < b", block=True).count("&lt;") == 1


def test_an_unknown_command_stops_the_build() -> None:
    with pytest.raises(ValueError, match=r"does not know \\nonsense"):
        to_mathml(r"\nonsense{x}")


@pytest.mark.slow
def test_a_browser_shows_it_from_a_disk(site: Path, browser: Any) -> None:
    """Formulas have a size, nothing is asked of a network, no page is wider than a telephone, and search answers."""
    view = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    view.on("request", lambda request: asked.append(request.url))
    for path in sorted(site.rglob("*.html")):
        view.goto(path.as_uri())
        assert view.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    view.goto((site / "regression.html").as_uri())
    assert view.evaluate(
        "[...document.querySelectorAll('math')].every(m => m.getBoundingClientRect().height > 5)"
    )
    view.set_viewport_size({"width": 1280, "height": 800})
    view.keyboard.press("Control+k")
    view.keyboard.type("effective ridge")
    view.get_by_text("log_effective_ridge").first.wait_for(timeout=60_000)
    view.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
