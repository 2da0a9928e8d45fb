"""The gallery as started by a user: through the command line, in its own process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest


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
def open_page(browser, address):
    """A function that opens a wing's page and checks that it uses no network and raises no errors."""

    @contextmanager
    def opened(wing: str, ready: str, **window: Any) -> Iterator[Any]:
        """Yield the page of a wing as soon as an element matches the selector `ready`."""
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 1000}} | window))
        requests: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}{wing}/")
        page.wait_for_selector(ready, timeout=60_000)
        yield page
        assert len(requests) > 10
        urls = {url for url in requests if urlsplit(url).scheme not in ("data", "blob")}
        assert {urlsplit(url).netloc for url in urls} == {urlsplit(address).netloc}
        assert errors == []
        page.close()

    return opened
