"""A browser, and the gallery as a user starts it: through the command line, in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def gallery(**variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `solvable app` with these environment variables, give its process and address, and end it."""
    command = [sys.executable, "-m", "solvable", "app", "--quiet", "--no-browser"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | variables
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
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
    """A function that starts a gallery of the test's own."""
    return gallery


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a gallery that the tests of a file share."""
    with gallery() as (_, address):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Debian's Chromium, driven by Playwright."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        missing = f"no browser: none of {', '.join(_NAMES)} is installed (apt-get install chromium)"
        if os.environ.get("SOLVABLE_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
