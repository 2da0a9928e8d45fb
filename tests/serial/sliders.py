"""Moving sliders of a page, and how long it takes to answer, measured in the page itself."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

# From the moment a slider's value changes to the moment the new drawing is in the document.
STOPWATCH = """() => {
    window.answers = [];
    let moved = null;
    document.addEventListener("marimo-value-input", () => { moved = performance.now(); }, true);
    const drawn = node => (node.nodeType === 1 ? node : node.parentElement)?.closest("svg.chart");
    new MutationObserver(changes => {
        if (moved !== null && changes.some(change => drawn(change.target))) {
            window.answers.push(performance.now() - moved);
            moved = null;
        }
    }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""


def shown(page: Any, *parts: str) -> str:
    """Return what elements with these ids hold."""
    return "".join(page.locator(f"#{part}").first.inner_html() for part in parts)


def wait_for_change(page: Any, before: str, *parts: str) -> None:
    """Wait until elements with these ids all exist and hold something else than `shown` gave before."""
    page.wait_for_function(
        """([parts, before]) => { const now = parts.map(part => document.getElementById(part));
        return now.every(Boolean) && now.map(one => one.innerHTML).join("") !== before; }""",
        arg=[parts, before],
    )


def press(page: Any, slider: str, key: str, *parts: str) -> None:
    """Move a slider by a key, and wait for the new drawing of one of the parts."""
    before = shown(page, *parts)
    page.get_by_role("slider", name=slider, exact=True).press(key)
    wait_for_change(page, before, *parts)


def choose(page: Any, label: str, option: str, *parts: str) -> None:
    """Choose an option of a menu, and wait for the new drawing of one of the parts."""
    before = shown(page, *parts)
    page.get_by_label(label).select_option(option)
    wait_for_change(page, before, *parts)


def least_median(page: Any, move: Callable[[], None], enough: float = 200.0) -> float:
    """Return the least median of a few rounds of answers, in milliseconds of a processor that nobody else uses.

    Args:
        page: to watch.
        move: moves sliders; each of its moves is answered.
        enough: below which no other round is needed.
    """
    page.evaluate(STOPWATCH)
    rounds: list[float] = []
    while len(rounds) < 5 and min(rounds, default=enough) >= enough:
        before = _share_of_a_processor()
        move()
        share = (before + _share_of_a_processor()) / 2
        answers = page.evaluate("() => window.answers.splice(0)")
        assert len(answers) >= 4
        rounds.append(share * median(answers))
    print(f"median answer of each round, ms: {', '.join(f'{one:.0f}' for one in rounds)}")
    return min(rounds)


def _share_of_a_processor() -> float:
    """Return the part of its time in which a busy process runs: 1 on an idle machine, less beside other work."""
    start, cpu = time.perf_counter(), time.process_time()
    while (used := time.process_time() - cpu) < 0.1:
        pass
    return used / (time.perf_counter() - start)
