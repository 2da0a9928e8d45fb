"""The journal of a solver: one line for each event, never rewritten, so that nothing acknowledged is lost.

What has been opened, hinted and solved is read from its lines, in order.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NAME = "journal.jsonl"
_WORD = re.compile("[A-Z]{1,60}")


@dataclass
class Progress:
    """What a solver has done.

    Attributes:
        opened: puzzles that were opened.
        hints: puzzle -> how many hints were read before it was solved.
        hints_read: puzzle -> how many were read in all.
        answers: puzzle -> the right answer, as its letters.
        solved_at: puzzle -> time of the right answer, ISO 8601.
        guesses: puzzle -> number of guesses.
    """

    opened: set[str] = field(default_factory=set)
    hints: dict[str, int] = field(default_factory=dict)
    hints_read: dict[str, int] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    solved_at: dict[str, str] = field(default_factory=dict)
    guesses: dict[str, int] = field(default_factory=dict)


class Journal:
    """The journal in a folder; by default that of the user's data."""

    def __init__(self, folder: Path | None = None) -> None:
        self.warning: str | None = None
        """Why the last event could not be written, if it could not."""
        self._unwritten: list[dict[str, Any]] = []
        if folder is None:
            from platformdirs import user_data_path

            folder = user_data_path("solvable") / "hunt"
        self.path = folder / _NAME

    def add(self, puzzle: str, event: str, **facts: Any) -> str | None:
        """Write an event and wait until it is on the disk; what cannot be written is known until the process ends.

        Returns:
            why it could not be written, if it could not.
        """
        time = datetime.now(UTC).isoformat(timespec="seconds")
        line = {"time": time, "puzzle": puzzle, "event": event, **facts}
        self.warning = self._write(json.dumps(line))
        if self.warning is not None:
            self._unwritten.append(line)
        return self.warning

    def _write(self, line: str) -> str | None:
        # In a line of its own: a process that was killed, or a full disk, may have left half a line.
        data = f"\n{line}\n".encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One call writes the whole line at the end, also where another process writes.
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                written = os.write(file, data)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            return f"{self.path} cannot be written ({error.strerror})"
        return None if written == len(data) else f"{self.path} cannot be written (no room)"

    def progress(self) -> Progress:
        """Return what the lines say."""
        progress = Progress()
        for line in [*self._lines(), *self._unwritten]:
            puzzle, event = str(line.get("puzzle")), line.get("event")
            number, word = line.get("number"), line.get("letters")
            if event == "opened":
                progress.opened.add(puzzle)
            elif event == "hint" and isinstance(number, int):
                for hints in (progress.hints_read, *([] if puzzle in progress.answers else [progress.hints])):
                    hints[puzzle] = max(hints.get(puzzle, 0), number)
            elif event == "answer":
                progress.guesses[puzzle] = progress.guesses.get(puzzle, 0) + 1
                right = line.get("verdict") == "right" and isinstance(word, str) and _WORD.fullmatch(word)
                if right and puzzle not in progress.answers:
                    progress.answers[puzzle] = str(word)
                    progress.solved_at[puzzle] = str(line.get("time"))
        return progress

    def reset(self) -> Path | None:
        """Rename the journal, so that the next one is empty, and return its new path."""
        self._unwritten.clear()
        if not self.path.exists():
            return None
        time = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        number, aside = 1, self.path.with_name(f"journal-{time}.jsonl")
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"journal-{time}-{number}.jsonl")
        self.path.rename(aside)
        return aside

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        for line in text.splitlines():
            with suppress(ValueError, TypeError):  # half a line, or not ours
                if isinstance(facts := json.loads(line), dict):
                    yield facts
