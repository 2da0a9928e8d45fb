"""How long a page takes to answer a slider, measured in the page itself."""

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
