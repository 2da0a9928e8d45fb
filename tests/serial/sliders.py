"""Moving sliders of a page, and how long it takes to answer, measured in the page itself."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from solvable.lab.figure import log_axes, prediction_line, save, subplots

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


def assert_answered_sooner_than_a_figure(page: Any, move: Callable[[], None], factor: float = 1.0) -> None:
    """Move sliders until a round's median answer takes less than matplotlib takes for one figure, for at most five.

    Args:
        page: to watch.
        move: moves sliders; each of its moves is answered.
        factor: figures that an answer may take.
    """
    page.evaluate(STOPWATCH)
    ratios: list[float] = []
    while len(ratios) < 5 and min(ratios, default=factor) >= factor:
        move()
        answers = page.evaluate("() => window.answers.splice(0)")
        assert len(answers) >= 4
        ratios.append(median(answers) / median(_milliseconds_of_a_figure() for _ in range(3)))
    print("median answer / figure in each round:", ratios)
    assert min(ratios) < factor


def _milliseconds_of_a_figure() -> float:
    """Return how long a small figure with a band and logarithmic axes takes here and now."""
    x = np.geomspace(10, 1000, 61)
    start = time.perf_counter()
    figure, ax = subplots(width=3.4)
    prediction_line(ax, x, x / 100, x / 150, x / 50)
    log_axes(ax)
    with TemporaryDirectory() as folder:
        save(figure, Path(folder, "figure.svg"))
    return 1000 * (time.perf_counter() - start)
