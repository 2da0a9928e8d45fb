"""How long a page takes to answer a slider, measured in the page itself."""

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


def least_median(page: Any, move: Callable[[], None], enough: float = 200.0) -> float:
    """Return the least median of a few rounds of answers, in milliseconds: other work may take the processor a while.

    Args:
        page: to watch.
        move: moves sliders; each of its moves is answered.
        enough: below which no other round is needed.
    """
    page.evaluate(STOPWATCH)
    rounds: list[float] = []
    while len(rounds) < 5 and min(rounds, default=enough) >= enough:
        move()
        answers = page.evaluate("() => window.answers.splice(0)")
        assert len(answers) >= 4
        rounds.append(median(answers))
    print(f"median answer of each round, ms: {', '.join(f'{one:.0f}' for one in rounds)}")
    return min(rounds)
