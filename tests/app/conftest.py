"""A browser, and the gallery as a user starts it: through the command line, in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of a gallery that all tests share."""
    with gallery() as (_, address):
        yield address


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def open_page(browser, address):
    """A function that opens a wing's page; while it is open it asks nothing of a network and does not complain."""

    @contextmanager
    def opened(wing: str, ready: str, **window: Any) -> Iterator[Any]:
        """Give the page of a wing as soon as there is what `ready` selects."""
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 1000}} | window))
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}{wing}/")
        page.wait_for_selector(ready, timeout=60_000)
        yield page
        assert len(requests) > 10
        asked = {url for url in requests if urlsplit(url).scheme not in ("data", "blob")}
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
        assert complaints == []
        page.close()

    return opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests watch a clock or drive a browser: they run one after the other."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.serial)
