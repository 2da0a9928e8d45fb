"""A peer that cannot stand beside our packages: an environment of its own, and a child process in it.

The two processes talk in lines of JSON over the child's standard input and output. The child imports this file too, so
that it needs nothing but the standard library.
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Unavailable(Exception):
    """The peer is not here; the message says why."""


class PeerError(Exception):
    """The child could not do what it was asked for; the message is its own."""


@dataclass(frozen=True)
class Environment:
    """An environment that is made once, where it is first needed.

    Attributes:
        package: the peer's name.
        module: the module to import.
        folder: folder of the environment.
        pinned: what to install.
        options: options of pip.
        sees_ours: whether it sees the packages of our own environment.
    """

    package: str
    module: str
    folder: Path
    pinned: tuple[str, ...]
    options: tuple[str, ...] = ()
    sees_ours: bool = False

    @property
    def variable(self) -> str:
        """Environment variable that names another interpreter."""
        return f"SOLVABLE_{self.module.upper()}_PYTHON"

    def python(self) -> Path:
        """Return the interpreter that imports the peer: that of `variable`, else of an environment made here.

        Raises:
            Unavailable: where there is none and none can be made.
        """
        if named := os.environ.get(self.variable):
            self._call([named, "-c", f"import {self.module}"], f"imported by {named} (${self.variable})")
            return Path(named)
        python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not (self.folder / "complete").exists():
            self._call([sys.executable, "-m", "venv", "--clear", str(self.folder)])
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            self._call([*install, *self.options, *self.pinned])
            if self.sees_ours:
                where = "import sysconfig; print(sysconfig.get_path('purelib'))"
                ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
                path = Path(self._call([str(python), "-c", where]), "ours.pth")
                path.write_text("\n".join(sorted(ours)) + "\n", encoding="utf-8")
            self._call([str(python), "-c", f"import {self.module}"], "imported")
            (self.folder / "complete").touch()
        return python

    def _call(self, command: list[str], what: str = "installed") -> str:
        """Run a command and return what it prints."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{self.package} could not be {what}: {error}") from error
        if done.returncode != 0:
            # pip's reason stands in its lines of errors, Python's in the last one.
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
            raise Unavailable(f"{self.package} could not be {what}: {errors[-1].removeprefix('ERROR: ')}")
        return done.stdout.strip()


class Child:
    """A process that runs a module of `benchmarks` with another interpreter; use it in a `with` statement.

    Args:
        python: the interpreter.
        module: name of the module, which calls `channel`.
    """

    def __init__(self, python: Path, module: str) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Send a job and return the child's answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"its process ended, exit status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def channel() -> Callable[..., None]:
    """Return the function with which a child answers, `answer(seconds=...)`; what its libraries print is dropped."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=out, flush=True)

    return answer


def reason(error: Exception) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
