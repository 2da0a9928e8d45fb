"""`solvable app` as a process: how it ends, whom it answers, and its sentences."""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

import solvable.app
from solvable.cli import main


@pytest.mark.parametrize(
    ("ask", "busy"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
    ],
)
def test_it_ends_within_three_seconds_with_a_page_open(browser, gallery, tmp_path, ask, busy):
    (temporary := tmp_path / "temporary").mkdir()
    with gallery(TMPDIR=str(temporary)) as (process, address):
        page = browser.new_page()
        page.goto(f"{address}regression/")
        page.wait_for_selector("#learning-curve svg", timeout=60_000)
        if busy:
            rng = np.random.default_rng(0)
            np.savetxt(tmp_path / "large.csv", rng.standard_normal((4000, 30)), delimiter=",")
            page.locator("input[type=file]").set_input_files(tmp_path / "large.csv")
            page.get_by_text("Diagnosing large.csv").wait_for()
        family = psutil.Process(process.pid).children(recursive=True)
        asked = time.perf_counter()
        process.send_signal(ask)
        process.wait(timeout=10)
        seconds = time.perf_counter() - asked
        page.close()
        assert seconds < 3.0
        assert process.returncode == 0
        assert process.stderr.read() == ""
        assert process.stdout.read() == ""
        _, alive = psutil.wait_procs(family, timeout=1)
        assert alive == []
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        # Requests of other web sites for images or styles, and by fetch with `no-cors`, have no origin.
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_only_this_machine_and_its_own_pages_are_answered(address, headers, status):
    port = urlsplit(address).port
    headers = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("/", "/regression/"):
        assert ask_for(port, path, headers) == status
    if status == 403:
        assert ask_for(port, "/regression/ws?session_id=s_abcdef", headers | UPGRADE) == 403
        assert ask_for(port, "/regression/api/kernel/instantiate", headers, "POST") == 403


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def ask_for(port, path, headers=None, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        with contextlib.suppress(BrokenPipeError):  # answered before all of it was sent
            connection.request(method, path, body, headers or {}, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()


def _open_page(port: int, number: int) -> tuple[socket.socket, bytes]:
    """Open a session as a page does, and return its connection and the first line of the answer."""
    connection = socket.create_connection(("127.0.0.1", port))
    headers = UPGRADE | {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"}
    lines = [
        f"GET /regression/ws?session_id=s_{number:06d} HTTP/1.1",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection, connection.makefile("rb").readline()


def test_pages_connections_and_requests_are_bounded(gallery):
    with gallery() as (process, address):
        port, server = urlsplit(address).port, psutil.Process(process.pid)
        # Before any page is open, since pages take memory as they start.
        before = server.memory_info().rss
        path = "/regression/api/kernel/set_ui_element_value"
        assert ask_for(port, path, method="POST", body=b"x" * 34_000_000) == 413
        pieces = (b"x" * 1_000_000 for _ in range(60))
        assert ask_for(port, path, {"Transfer-Encoding": "chunked"}, "POST", pieces) == 413
        assert server.memory_info().rss - before < 100e6
        # marimo's other channel would open sessions by plain requests.
        assert ask_for(port, "/regression/sse?session_id=s_abcdef") == 404
        # All at once, before a session exists.
        with ThreadPoolExecutor(24) as pool:
            opened = list(pool.map(lambda number: _open_page(port, number), range(24)))
        answers = sorted(line.split()[1] for _, line in opened)
        assert answers == [b"101"] * 20 + [b"403"] * 4
        assert server.num_threads() < 120
        assert server.num_fds() < 160
        assert ask_for(port, "/regression/") == 503
        assert ask_for(port, "/") == 200
        for connection, _ in opened:
            connection.close()
        # Sessions of closed pages make room.
        while ask_for(port, "/regression/") == 503:
            time.sleep(0.1)


@pytest.fixture
def sighup_ends():
    """Undo `nohup`, by which the tests may have been started and whose choice children inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_nothing_remains_of_a_closed_terminal_and_of_a_crash(gallery, tmp_path, sighup_ends):
    with gallery(TMPDIR=str(tmp_path)) as (first, _), gallery(TMPDIR=str(tmp_path)) as (second, _):
        assert (
            len(list(tmp_path.iterdir())) == 4
        )  # two folders and their locks: the second leaves the first alone
        second.send_signal(signal.SIGHUP)
        assert second.wait(timeout=60) == 0
        (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "secret.csv").write_text("a file that was dropped on the page")
        first.kill()
        first.wait()
        with gallery(TMPDIR=str(tmp_path)) as (third, _):
            assert not folder.exists()
            third.terminate()
            third.wait(timeout=60)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_nohup_is_heeded(gallery):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the child inherits
    try:
        with gallery() as (process, address):
            process.send_signal(signal.SIGHUP)
            assert ask_for(urlsplit(address).port, "/") == 200
            assert process.poll() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_code_is_not_shown(address):
    port = urlsplit(address).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/regression/")
    html = connection.getresponse().read().decode()
    connection.close()
    assert "named_surface" not in html
    assert "More is better" in html


@pytest.mark.parametrize(
    ("port", "sentence"),
    [
        ("0", "the port must be a whole number from 1 to 65535; got 0"),
        ("65536", "the port must be a whole number from 1 to 65535; got 65536"),
        ("80x", "Invalid value for --port: '80x'; expected a whole number"),
    ],
)
def test_a_bad_port_gets_its_sentence(capsys, port, sentence):
    with pytest.raises(SystemExit) as stop:
        main(["app", "--port", port])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_port_in_use_gets_its_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stop:
            main(["app", "--port", str(port)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(
        f"error: cannot listen on port {port} of 127.0.0.1: address already in use"
    )


def test_a_missing_extra_gets_its_sentence(capsys, monkeypatch):
    monkeypatch.setattr(solvable.app, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        main(["app"])
    assert stop.value.code == 2
    assert (
        "the gallery needs marimo, which is not installed: pip install 'solvable[app]'"
        in capsys.readouterr().err
    )


def test_help_does_not_wait_for_marimo():
    code = (
        "import sys; from solvable.cli import main\n"
        "try: main(['app', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('marimo', 'uvicorn', 'starlette', 'scipy') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    assert "--no-browser" in out
