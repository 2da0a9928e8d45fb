"""The server of `solvable app`, which accepts requests from this machine and its own pages only, and not too many."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import marimo
import uvicorn
from filelock import FileLock, Timeout
from marimo._session.model import ConnectionState
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from solvable.app.gallery import Entry, gallery
from solvable.errors import InputError
from solvable.lab.page import LARGEST_FILE_MB

_HERE = "127.0.0.1"
_LOOPBACK = (_HERE, "localhost", "::1")
# Seconds for closing open pages, and until the process ends in any case: Ctrl-C takes at most 3 s.
_CLOSE_WITHIN = 1
_EXIT_WITHIN = 2.5
# Each open page has a thread and about five file descriptors, of which a system may allow 256.
_MOST_PAGES = 20
_MOST_CONNECTIONS = 120
# Files arrive in base 64, with a few words around them.
_LARGEST_REQUEST = LARGEST_FILE_MB * 1_000_000 * 4 // 3 + 100_000
_TEMPORARY = "solvable-app-"
# Pages work without a network, so browsers are told to load nothing from elsewhere.
_POLICY = "; ".join(
    (
        "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'",
        "connect-src 'self' data: blob: ws://127.0.0.1:* ws://localhost:*",
        "frame-ancestors 'self'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on a port of this machine; None means a free one.

    Raises:
        InputError: if the port is taken or not allowed.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Allow the port of a server that has just ended, which is still in TIME_WAIT.
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HERE, port or 0))
        listening.listen()
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot listen on port {port} of {_HERE}: {reason.lower()}; choose another --port, or leave it out"
        ) from None
    return listening


def serve(wings: Sequence[Entry], listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve the gallery and the wings' pages until SIGINT, SIGTERM or SIGHUP, then exit the process with 0.

    `ready` is called when the server accepts requests.
    """
    # All temporary files of pages are in one folder, so that none remain after an interrupt.
    with _own_folder(Path(tempfile.gettempdir())) as folder:
        tempfile.tempdir = str(folder)
        managers: list[Any] = []
        app = OnlyThisMachine(Bounded(_application(wings, managers), managers))
        config = uvicorn.Config(
            app,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=_CLOSE_WITHIN,
            limit_concurrency=_MOST_CONNECTIONS,
        )
        _Server(config, managers, ready).run(sockets=[listening])
        _end()


@contextlib.contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Yield a new temporary folder of this user, after removing those of processes that were killed."""
    for file in parent.glob(f"{_TEMPORARY}*.lock"):
        # Those of other users cannot be opened.
        with contextlib.suppress(OSError, Timeout), FileLock(file, blocking=False):
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            file.unlink()
    folder = parent / f"{_TEMPORARY}{uuid4().hex}"
    lock = FileLock(f"{folder}.lock")
    with lock:
        folder.mkdir(mode=0o700)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _application(wings: Sequence[Entry], managers: list[Any]) -> ASGIApp:
    """Return gallery and pages as one application, and append the session manager of each page to `managers`."""

    def remember(app: Any) -> ASGIApp:
        managers.append(app.state.session_manager)
        return app

    pages = marimo.create_asgi_app(include_code=False, quiet=True)
    for wing in wings:
        pages = pages.with_app(path=f"/{wing.name}", root=str(wing.page), middleware=[remember])
    html = gallery(wings)

    async def show(request: Any) -> HTMLResponse:
        return HTMLResponse(html)

    return Starlette(routes=[Route("/", show), Mount("/", pages.build())])


class OnlyThisMachine:
    """Middleware that rejects requests with a foreign host or origin, and keeps pages from loading external resources.

    Any web site can send requests to 127.0.0.1, or let its own name point there. Since pages accept files and compute,
    only the gallery itself may send requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on local requests."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = HTTPConnection(scope).headers
        sites = headers.getlist("sec-fetch-site")
        if reason := _refusal(headers.getlist("host"), headers.getlist("origin"), sites):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
            else:
                await PlainTextResponse(f"{reason}\n", status_code=403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", _POLICY.encode())
                message = {**message, "headers": [*message.get("headers", ()), policy]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Bounded:
    """Middleware that bounds the number of open pages and the size of requests."""

    def __init__(self, app: ASGIApp, managers: Sequence[Any]) -> None:
        self.app = app
        self._managers = managers
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, unless it is too large, or opens one page too many."""
        path = scope.get("path", "").rstrip("/")
        # marimo's other channel, which its pages do not use.
        if scope["type"] == "http" and path.endswith("/sse"):
            await PlainTextResponse("there is no such page\n", status_code=404)(scope, receive, send)
        elif scope["type"] == "websocket" and path.endswith("/ws"):
            if self._full():
                await send({"type": "websocket.close", "code": 1013, "reason": "too many open pages"})
                return
            # Counted before the first `await`, since marimo adds the session later.
            self._open += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._open -= 1
        elif scope["type"] == "http" and path.count("/") == 1 and self._full():
            text = f"{_MOST_PAGES} pages are open, and no more are allowed: close one, wait a moment and reload\n"
            await PlainTextResponse(text, status_code=503)(scope, receive, send)
        elif scope["type"] == "http":
            await self._bounded(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _full(self) -> bool:
        """Return whether as many pages are open as allowed, after closing sessions whose page was closed."""
        left = [
            (manager, key)
            for manager in self._managers
            for key, session in manager.sessions.items()
            if session.connection_state() in (ConnectionState.CLOSED, ConnectionState.ORPHANED)
        ]
        if self._open + len(left) >= _MOST_PAGES:
            for manager, key in left:
                manager.close_session(key)
        return self._open >= _MOST_PAGES

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        received, answered = 0, False

        async def refuse() -> None:
            nonlocal answered
            text = f"a request of more than {LARGEST_FILE_MB} MB; choose a smaller file, or a part of it\n"
            await PlainTextResponse(text, status_code=413)(scope, receive, send)
            answered = True

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _LARGEST_REQUEST and not answered:
                await refuse()
            return {"type": "http.disconnect"} if answered else message

        async def send_unless_answered(message: Message) -> None:
            if not answered:
                await send(message)

        declared = HTTPConnection(scope).headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > _LARGEST_REQUEST:
            await refuse()
            return
        try:
            await self.app(scope, counted, send_unless_answered)
        except ClientDisconnect:  # as it was told
            if not answered:
                raise


def _refusal(hosts: Sequence[str], origins: Sequence[str], sites: Sequence[str] = ()) -> str:
    """Return why a request is refused, or an empty string.

    Args:
        hosts: values of the header `Host`.
        origins: values of `Origin`, which some requests of other web sites do not have.
        sites: values of `Sec-Fetch-Site`, which browsers add to all requests.

    >>> _refusal(["127.0.0.1:8000"], []), _refusal(["localhost:8000"], ["http://localhost:8000"])
    ('', '')
    >>> _refusal(["evil.example:8000"], [])
    "this server accepts requests to localhost only; got the host 'evil.example:8000'"
    >>> _refusal(["127.0.0.1:8000"], ["http://evil.example"])
    "this server accepts requests from its own pages only; got the origin 'http://evil.example'"
    """
    host = hosts[0] if len(hosts) == 1 else ""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in _LOOPBACK:
        return f"this server accepts requests to localhost only; got the host {host!r}"
    for origin in origins:
        try:
            place = urlsplit(origin).netloc if origin.startswith("http:") else None
        except ValueError:
            place = None
        if place != host:
            return f"this server accepts requests from its own pages only; got the origin {origin!r}"
    if foreign := [site for site in sites if site not in ("same-origin", "none")]:
        return (
            f"this server accepts requests from its own pages only; got one of a {foreign[0]!r} page: type the "
            "address, rather than following a link"
        )
    return ""


class _Server(uvicorn.Server):
    """A uvicorn server that closes the sessions of open pages first, and ends within a bounded time."""

    def __init__(self, config: uvicorn.Config, managers: Sequence[Any], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._managers = managers
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for manager in self._managers:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(manager.shutdown(), 0.5)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signal again at the end, which would print a traceback; here Ctrl-C is the regular exit.
        # SIGHUP is sent when the terminal is closed; Windows has none.
        heard = [signal.SIGINT, signal.SIGTERM]
        # `nohup` lets it be ignored.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            heard.append(signal.SIGHUP)
        before = {one: signal.signal(one, self.handle_exit) for one in heard}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.should_exit:
            # If anything hangs, the process still ends.
            timer = threading.Timer(_EXIT_WITHIN, _end)
            timer.daemon = True
            timer.start()
        super().handle_exit(sig, frame)


def _end() -> None:
    """End the process and its children, without waiting for pages that are still computing."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    if tempfile.tempdir is not None:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
        Path(f"{tempfile.tempdir}.lock").unlink(missing_ok=True)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Session threads cannot be stopped, and Python would wait for those of a pool.
    os._exit(0)
