"""The page is played from a disk, by keyboard, and says what Python says; nothing leaves it."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from solvable.errors import InputError
from solvable.hunt.event import export
from solvable.hunt.page import page
from solvable.hunt.play import Hunt
from solvable.hunt.sealing import letters

# Ligatures, letters without a capital, capitals without decomposition, dots, widths, other alphabets.
GUESSES = (
    "  lan-tern 7",
    "Ｌａｎｔｅｒｎ",
    "ﬁn ﬂat",
    "Straße",
    "STRAẞE",
    "İstanbul",
    "ısı",
    "crème brûlée",
    "ŉ ǰ ﬀ ŀ",
    "ⅷ Ⓐ ﷺx",
    "дом house",
    "a\u0301\u200d\ufeffb",
    "x" * 60,
)
TEAMS = (
    "The  Ridge ",
    "Die Straße",
    "DIE STRASSE",
    "STRAẞE",
    "Σίσυφος ΣΟΦΟΣ",
    "ınce İnce",
    "ﬁﬀ \u00a0 ŉ ǰ",
    "\u1fb3\u0345 Ꮳꮳ",
    "日本 チーム ７",
    "\ufeffx\u2003y\u3000z",
)

EVENT = """
name = "Hunt & <friends>"
start = 2027-03-01T10:00:00-05:00
end = 2027-03-01T18:00:00-05:00
contact = "help@example.org"
team_size = 5
"""


@pytest.fixture(scope="module")
def html(hunt_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("page") / "hunt.html", hunt=Hunt(hunt_folder))


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """A page of a browser without history, which fails if anything is asked of a network or an error is logged."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    problems: list[str] = []
    view.on("console", lambda message: problems.append(message.text))
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.on("request", lambda request: problems.append(request.url))
    yield view
    context.close()
    local = ("file:", "data:", "blob:", "http://hunt.example/")
    assert [problem for problem in problems if not problem.startswith(local)] == []


def answer(view: Any, id: str, guess: str) -> str:
    """Type a guess, press Enter, and return what is said."""
    box = view.locator(f"#guess-{id}")
    box.fill(guess)
    box.press("Enter")
    said = view.locator(f"#puzzle-{id} .verdict")
    said.filter(has_not_text="Checking").filter(has_text=re.compile(r"\S")).wait_for()
    return said.inner_text()


def test_all_is_in_the_file_and_no_answer_is(html: Path, answers: dict[str, str], hunt_key: Any) -> None:
    text = html.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#|https://)", text)
    for kind in ("script", "style"):
        content = re.search(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    secret = {*answers.values(), *hunt_key["right"].values(), *hunt_key["drawing"].values()}
    assert not any(word.upper() in text.upper() for word in secret)
    assert not any(re.search(rf"\b{noun}\b", text) for noun in ("needle", "syrup", "petal"))


def test_a_file_that_has_changed_is_refused(make_hunt: Callable[..., Hunt], tmp_path: Path) -> None:
    hunt = make_hunt()
    (hunt.folder / "data" / "03_network.npz").write_bytes(b"")
    with pytest.raises(InputError, match="is not as it was shipped"):
        page(tmp_path / "hunt.html", hunt=hunt)
    assert not (tmp_path / "hunt.html").exists()


def test_texts_are_escaped(view: Any, make_hunt: Callable[..., Hunt], hunt_key: Any, tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror=alert(1)> `<b>` & "'
    hunt = make_hunt(right=hunt_key["right"] | {"1": hostile})
    rows = (hunt.folder / "puzzles.toml").read_text(encoding="utf-8")
    for name in ("title", "flavour", "given", "start", "wing"):
        rows = re.sub(f"(?m)^{name} = .*$", f"{name} = '{hostile}'", rows)
    (hunt.folder / "puzzles.toml").write_text(rows, encoding="utf-8")
    view.goto(page(tmp_path / "hunt.html", hunt=hunt).as_uri())
    assert view.locator("img").count() == 1
    assert view.locator("#puzzle-1 .flavour").inner_text() == hostile.replace("`", "")
    assert hostile in answer(view, "1", hunt_key["answers"]["1"])
    assert view.locator("img").count() == 1


def test_it_is_played_by_keyboard(view: Any, html: Path, answers: dict[str, str]) -> None:
    view.goto(html.as_uri())
    # The first stop skips the list; the next one is the file of the first puzzle, then the answer.
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.textContent") == "Skip to the puzzles"
    view.keyboard.press("Enter")
    view.keyboard.press("Tab")
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.id") == "guess-1"
    for _ in range(2):
        view.keyboard.press("Tab")
    view.keyboard.press("Enter")  # the first hint
    view.locator('[data-hints="1"]').filter(has_text="1 of 3").wait_for()
    for _ in range(2):
        view.keyboard.press("Shift+Tab")
    verdict = view.locator("#puzzle-1 .verdict")
    for guess, said in (
        ("harvest", "✗ Wrong. Guesses are never limited"),
        (f"{answers['1']}s", "≈ Close. One letter less."),
        ("12", "0 letters"),
        (f" {answers['1'].lower()}", f"✓ Right. {answers['1']}"),
    ):
        view.keyboard.press("Control+a")
        view.keyboard.type(guess)
        view.keyboard.press("Enter")
        verdict.filter(has_text=said).wait_for()
        assert view.evaluate("document.activeElement.id") == "guess-1"
    assert verdict.get_attribute("aria-live") == "polite"
    assert "Look at 1 & <think>." in verdict.inner_text()
    for _ in range(3):
        view.keyboard.press("Tab")
    view.keyboard.press("Enter")  # the second hint, which is no help any more

    view.reload()
    verdict.filter(has_text=f"✓ Right. {answers['1']}").wait_for()
    assert verdict.get_attribute("aria-live") == "off"
    assert view.locator('td[data-mark="1"]').inner_text() == "✓ solved"
    assert view.locator('[data-hints="1"]').inner_text() == "1 of 3"
    assert view.locator("#solved").inner_text() == "1 of 10 solved"


def test_progress_goes_along_as_a_line(view: Any, html: Path, answers: dict[str, str], browser: Any) -> None:
    view.goto(html.as_uri())
    answer(view, "1", answers["1"])
    answer(view, "2", answers["2"])
    view.get_by_text("Team and progress").click()
    line = view.get_by_label("Your progress").input_value()
    other = browser.new_context().new_page()
    other.goto(html.as_uri())
    other.get_by_text("Team and progress").click()

    def take_over(text: str) -> str:
        other.get_by_label("Progress from another browser").fill(text)
        other.get_by_role("button", name="Import").click()
        return other.locator("#imported").inner_text()

    assert "not a line of progress" in take_over("hello")
    assert "not whole" in take_over(line[:-9])
    forged = {
        "answers": {"1": "HARVEST", "__proto__": "X", "2": 7, "Z": "A"},
        "hints": {"1": 99, "2": "x"},
        "team": 3,
    }
    prefix = line[: line.index(".") + 1]
    take_over(prefix + base64.b64encode(json.dumps(forged).encode()).decode())
    # An answer that is not right is dropped once it is checked.
    other.locator("#solved").filter(has_text="0 of 10").wait_for()
    assert other.locator('[data-hints="1"]').inner_text() == "3 of 3"
    assert take_over(f"  {line}\n") == "Imported: 2 answers."
    other.locator("#puzzle-2 .verdict").filter(has_text="✓ Right").wait_for()
    other.on("dialog", lambda dialog: dialog.accept())
    with other.expect_navigation():
        other.get_by_role("button", name="Forget all progress").click()
    assert other.locator("#solved").inner_text() == "0 of 10 solved"
    other.context.close()


def test_the_meta_opens_with_six(view: Any, html: Path, answers: dict[str, str], hunt_key: Any) -> None:
    view.goto(html.as_uri())
    for count, id in enumerate("234678"):
        assert view.locator("#puzzle-M .count").inner_text() == f"You have {count}."
        assert not view.locator("#guess-M").is_visible()
        assert view.locator(".nouns li").count() == 0
        assert "✓ Right" in answer(view, id, answers[id])
    view.locator("#guess-M").wait_for()
    assert view.locator(".nouns li").all_inner_texts() == hunt_key["nouns"]
    assert "✓ Right" in answer(view, "M", answers["M"].lower())
    view.reload()
    view.locator("#puzzle-M .verdict").filter(has_text="✓ Right").wait_for()
    assert view.locator(".nouns li").all_inner_texts() == hunt_key["nouns"]


def test_letters_are_those_of_python(
    view: Any, make_hunt: Callable[..., Hunt], hunt_key: Any, tmp_path: Path
) -> None:
    """Each guess opens a box that was sealed under its letters as Python has them, and says which these are."""
    words = {letters(guess) for guess in GUESSES} - {hunt_key["answers"]["9"]}
    close = {"9": {word: f"This is {word}." for word in words}}
    hunt = make_hunt(close=hunt_key["close"] | close)
    view.goto(page(tmp_path / "hunt.html", hunt=hunt).as_uri())
    for guess in GUESSES:
        assert answer(view, "9", guess) == f"≈ Close. {hunt.check(9, guess).message}"
    for guess in ("", "дом", "123", "x" * 61):
        with pytest.raises(InputError) as refused:
            letters(guess)
        expected = str(refused.value).removeprefix("the guess has ")
        said = answer(view, "9", guess).removeprefix("This has ").removesuffix(".")
        assert said == expected


def test_finish_codes_are_those_of_python(
    view: Any, html: Path, test_hunt: Hunt, answers: dict[str, str]
) -> None:
    view.goto(html.as_uri())
    answer(view, "1", answers["1"])
    code = view.locator("#puzzle-1 .code")
    assert code.inner_text() == ""
    view.get_by_text("Team and progress").click()
    for team in TEAMS:
        view.get_by_label("Team").fill(team)
        code.filter(has_text=test_hunt.finish_code(1, answers["1"], team)).wait_for()
    view.get_by_label("Team").fill(" ")
    code.filter(has_text=re.compile(r"^\s*$")).wait_for(state="attached")


def test_it_is_printed_one_puzzle_a_sheet(
    view: Any, html: Path, test_hunt: Hunt, answers: dict[str, str]
) -> None:
    import pypdfium2

    view.goto(html.as_uri())
    answer(view, "1", answers["1"])
    view.get_by_text("Hint 1 of 3").first.click()
    document = pypdfium2.PdfDocument(view.pdf(format="A4"))
    sheets = [sheet.get_textpage().get_text_range() for sheet in document]
    document.close()
    assert len(sheets) == len(test_hunt.puzzles)
    for sheet, puzzle in zip(sheets, test_hunt.puzzles, strict=True):
        assert puzzle.title in sheet
        assert sheet.count("Answer:") == 1
        assert not any(word in sheet for word in ("Hint", "Check", "solved", "Right", answers["1"]))
        assert not any(hint[:30] in sheet for hint in puzzle.hints)


def test_files_are_saved_as_they_were_shipped(view: Any, html: Path, test_hunt: Hunt) -> None:
    view.goto(html.as_uri())
    for name in ("01_wafer.csv", "02_poster.svg", "10_herd.npz"):
        with view.expect_download() as download:
            view.locator(f'a[download="{name}"]').dispatch_event("click")
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == (test_hunt.folder / "data" / name).read_bytes()


def test_the_poster_is_there_as_text(view: Any, html: Path) -> None:
    view.goto(html.as_uri())
    image = view.locator("#puzzle-2 img")
    assert image.evaluate("image => image.naturalWidth") > 0
    assert "One result" in image.get_attribute("alt")
    view.get_by_text("The same as text").click()
    assert view.locator("#puzzle-2 figure li").inner_text() == (
        "kernels: There are 7 <of> them. Inputs: dim = 3. Printed: 7."
    )


def test_plain_http_is_said(view: Any, html: Path) -> None:
    view.route("http://hunt.example/**", lambda route: route.fulfill(path=html, content_type="text/html"))
    view.goto("http://hunt.example/hunt.html")
    assert "Answers cannot be checked here" in view.get_by_role("alert").inner_text()
    assert view.locator("#guess-1").is_disabled()


def test_a_browser_that_keeps_nothing_is_said(view: Any, html: Path, answers: dict[str, str]) -> None:
    view.add_init_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    view.goto(html.as_uri())
    for id in "12":
        assert "✓ Right" in answer(view, id, answers[id])
    assert "does not keep progress" in view.get_by_role("alert").inner_text()
    assert view.locator("#solved").inner_text() == "2 of 10 solved"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(browser: Any, html: Path, scheme: str) -> None:
    """No page is wider than a telephone, and all text has a contrast of 4.5, measured where it stands."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    view = context.new_page()
    view.goto(html.as_uri())
    view.evaluate(
        "document.querySelectorAll('details, [hidden]').forEach(e => { e.open = true; e.hidden = false })"
    )
    view.evaluate("document.querySelector('.verdict').innerHTML = '<p>Close</p>'")
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    for kind in ("right", "close", "wrong"):
        view.evaluate(f"document.querySelector('.verdict').dataset.kind = '{kind}'")
        assert view.evaluate(CONTRAST) >= 4.5
    context.close()


CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const shown = [...document.querySelectorAll("main *")].filter((e) => own(e) && e.getClientRects().length);
  return Math.min(...shown.map((element) => {
    const pair = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
}"""


def test_the_site_is_played(
    test_hunt: Hunt,
    answers: dict[str, str],
    hunt_key: Any,
    tmp_path: Path,
    browser: Any,
) -> None:
    """Each puzzle has a page, they share progress, and the meta opens on its own."""
    site = tmp_path / "site"
    (tmp_path / "event.toml").write_text(EVENT, encoding="utf-8")
    paths = export(site, event=tmp_path / "event.toml", hunt=test_hunt)
    assert sorted(paths) == sorted(path for path in site.rglob("*") if path.is_file())
    assert len([path for path in paths if path.suffix == ".html"]) == 1 + len(test_hunt.puzzles)
    text = "".join(path.read_text(encoding="utf-8") for path in site.glob("*.html"))
    assert not any(word in text.upper() for word in answers.values())
    context = browser.new_context(viewport={"width": 390, "height": 800})
    view = context.new_page()
    problems: list[str] = []
    view.on("console", lambda message: problems.append(message.text))
    view.on("request", lambda request: problems.append(request.url))
    view.goto((site / "index.html").as_uri())
    for shown in ("Hunt & <friends>", "1 March 2027, 10:00 UTC-05:00", "of up to 5", "help@example.org"):
        assert view.get_by_text(shown).first.is_visible()
    view.get_by_label("Team").fill("The Ridge")
    for id in "123456":
        view.goto((site / "index.html").as_uri())
        view.get_by_role("link", name=test_hunt.puzzle(id).title, exact=True).click()
        assert view.locator("h1").inner_text().startswith(id)
        view.get_by_label("Answer of").fill(answers[id])
        view.get_by_label("Answer of").press("Enter")
        view.locator(".code").filter(has_text=test_hunt.finish_code(id, answers[id], "The Ridge")).wait_for()
        for link in view.locator(".downloads a").all():
            assert (site / str(link.get_attribute("href"))).is_file()
    view.goto((site / "index.html").as_uri())
    assert view.locator("#solved").inner_text() == "6 of 10 solved"
    view.get_by_role("link", name="Next to the Real Thing").click()
    view.locator("#guess-M").wait_for()
    assert view.locator(".nouns li").all_inner_texts() == hunt_key["nouns"]
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    assert [problem for problem in problems if not problem.startswith(("file:", "data:"))] == []
