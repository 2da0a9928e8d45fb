"""The gallery as started by a user: through the command line, in its own process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

# The hunt to test with, of which the page is driven in a browser.
from tests.hunt.conftest import answers, hunt_folder, hunt_key, make_hunt, test_hunt  # noqa: F401


@contextmanager
def gallery(**variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `solvable app` with these environment variables, yield its process and address, and end it."""
    command = [sys.executable, "-m", "solvable", "app", "--quiet", "--no-browser"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | variables
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), process.communicate(timeout=10)
            yield process, address
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(name="gallery")
def _gallery():
    """A function that starts a separate gallery."""
    return gallery


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Address of a gallery shared by all tests."""
    with gallery() as (_, address):
        yield address


@pytest.fixture(scope="session")
def page_of(browser: Any, address: str) -> Iterator[Callable[[str], Any]]:
    """A function that returns the page of a wing in a wide window, opened once for all tests.

    At the end no page has used a network or raised an error.
    """
    pages: dict[str, Any] = {}
    requests: dict[str, list[str]] = {}
    errors: list[tuple[str, str]] = []

    def page_of(wing: str) -> Any:
        if wing not in pages:
            page = pages[wing] = browser.new_page()
            asked = requests[wing] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append((wing, str(error))))
            page.goto(f"{address}{wing}/")
            page.wait_for_selector("dl.facts", timeout=60_000)
            page.wait_for_selector("svg.chart")
        pages[wing].set_viewport_size({"width": 1280, "height": 1000})
        pages[wing].emulate_media(color_scheme="light")
        return pages[wing]

    yield page_of
    for wing, urls in requests.items():
        assert len(urls) > 10
        hosts = {urlsplit(url).netloc for url in urls if urlsplit(url).scheme not in ("data", "blob")}
        assert hosts == {urlsplit(address).netloc}, wing
        pages[wing].close()
    assert errors == []
