"""`solvable app`: a local gallery of the wings' pages (`page.py`, a marimo notebook).

Files: `gallery` lists the pages, `server` serves them.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from solvable.errors import InputError, missing_extra
from solvable.terminal.output import open_in_browser
from solvable.wings import Wing


def run(
    wings: Sequence[Wing],
    announce: Callable[[str], None],
    *,
    port: int | None = None,
    browser: bool = True,
) -> None:
    """Serve the gallery until SIGINT or SIGTERM, then exit the process with 0.

    Args:
        wings: those with a page are served.
        announce: called with the gallery's address when the server is ready.
        port: port on 127.0.0.1; by default a free one.
        browser: whether to open the gallery in the browser, if there is a display.

    Raises:
        MissingExtraError: if marimo is not installed.
        InputError: if the port is out of range or taken.
    """
    if find_spec("marimo") is None:
        raise missing_extra("marimo", "app", "the gallery")
    if port is not None and not 1 <= port <= 65535:
        raise InputError(
            f"the port must be a whole number from 1 to 65535; got {port}; leave --port out for a free one"
        )
    from solvable.app.gallery import entries
    from solvable.app.server import listen, serve

    listening = listen(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"

    def ready() -> None:
        announce(address)
        sys.stdout.flush()
        if browser:
            open_in_browser(address)

    serve(entries(wings), listening, ready)
