"""What all tests share."""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from threadpoolctl import ThreadpoolController

# Annotated shapes are checked in every test, wherever arrays are arrays already; this has to come before anything
# imports these modules. (Public functions take array-likes, and check them themselves.)
install_import_hook(
    (
        "solvable.datasets",
        "solvable.regression.nested",
        "solvable.regression.one_gram",
        "solvable.spectra.compressed",
        "solvable.spectra.sums",
        "solvable.spectra.tails",
    ),
    "beartype.beartype",
)

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_controller: ThreadpoolController | None = None
_CPU_SECONDS = pytest.StashKey[float]()


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep linear algebra on one thread: waking another takes longer than a small product. Slow studies take all."""
    global _controller
    if request.node.get_closest_marker("slow"):
        yield
        return
    if _controller is None:
        import scipy.linalg  # noqa: F401  # its own BLAS is to be found too

        _controller = ThreadpoolController()
    with _controller.limit(limits=1):
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the progress in the hunt of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `solvable` in a folder of its own and returns exit code, stdout and stderr."""
    from solvable.cli import main
    from solvable.wings import WINGS

    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*tokens: object, wings=WINGS) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(token) for token in tokens], wings)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return command


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """The installed Chromium, driven by Playwright."""
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        missing = f"no browser: none of {', '.join(_BROWSERS)} is installed (apt-get install chromium)"
        if os.environ.get("SOLVABLE_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--folders", action="store_true", help="print the CPU time of the tests of each folder")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give each report the CPU time since the one before, of this process and of those it has waited for."""
    report, now = (yield), _cpu_seconds()
    report.cpu_seconds = now - item.config.stash.get(_CPU_SECONDS, now)
    item.config.stash[_CPU_SECONDS] = now
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the CPU time of each folder's tests, the fast ones and the slow ones apart."""
    if not config.getoption("--folders"):
        return
    seconds: dict[str, dict[bool, float]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "cpu_seconds"):
                folder = report.nodeid.split("::")[0].rpartition("/")[0] or "."
                slow = "slow" in report.keywords
                seconds.setdefault(folder, {False: 0.0, True: 0.0})[slow] += report.cpu_seconds
    terminalreporter.section("seconds of CPU time by folder: fast, slow")
    for folder, both in sorted(seconds.items()):
        terminalreporter.write_line(f"{both[False]:8.1f} {both[True]:8.1f}  {folder}")
    total = [sum(both[slow] for both in seconds.values()) for slow in (False, True)]
    terminalreporter.write_line(f"{total[0]:8.1f} {total[1]:8.1f}  in all")
