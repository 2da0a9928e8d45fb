"""`solvable app`: a gallery that serves each wing's page (`page.py`, a marimo notebook) on this machine."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from solvable.errors import InputError, missing_extra


def run(
    studies: Mapping[str, str],
    announce: Callable[[str], None],
    *,
    port: int | None = None,
    browser: bool = True,
) -> None:
    """Serve the gallery until SIGINT or SIGTERM; does not return: the process ends with 0.

    Args:
        studies: name -> `module:attribute`; those with a `page.py` beside their study are shown.
        announce: called with the gallery's address as soon as it answers.
        port: of 127.0.0.1; a free one when left out.
        browser: whether to open the gallery in the browser, where there is a display.

    Raises:
        MissingExtraError: when marimo is not installed.
        InputError: when the port is out of range or taken.
    """
    if find_spec("marimo") is None:
        raise missing_extra("marimo", "app", "the gallery")
    if port is not None and not 1 <= port <= 65535:
        raise InputError(
            f"the port must be a whole number from 1 to 65535; got {port}; leave --port out for a free one"
        )
    from solvable.app.gallery import wings
    from solvable.app.server import listen, serve

    listening = listen(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"

    def ready() -> None:
        announce(address)
        sys.stdout.flush()
        # Without a display, webbrowser would start a text browser inside the terminal.
        if browser and (
            sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            import webbrowser

            webbrowser.open(address)

    serve(wings(studies), listening, ready)
