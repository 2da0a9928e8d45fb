"""joblib's dask backend, made to end with an error where it would wait for ever."""

import threading
from collections.abc import Callable
from typing import Any

from joblib._dask import DaskDistributedBackend


class EngineError(Exception):
    """A trial failed outside its own code: a worker could not load it, or died of it; the cause says how."""


class WatchedBackend(DaskDistributedBackend):
    """joblib's dask backend for one sweep, whose waiting calls can be failed from outside.

    Args:
        client: of the scheduler.
        scatter: objects that each worker receives once.
    """

    def __init__(self, client: Any, scatter: list[Any]) -> None:
        super().__init__(client=client, scatter=scatter)
        self._waiting: set[Callable[[Any], None]] = set()
        self._guard = threading.Lock()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return 2, whatever the number of workers, since joblib would run the trials of one worker here."""
        return 2

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Submit as joblib does, and see to it that `callback` is called in every case."""

        def done(future: Any) -> None:
            with self._guard:
                self._waiting.discard(callback)
            # joblib tells its callback of what the function raised, but not of what dask itself raised.
            if (error := future.exception()) is not None:
                engine_error = EngineError(str(error))
                engine_error.__cause__ = error
                callback(engine_error)

        with self._guard:
            self._waiting.add(callback)
        future = super().submit(func, callback)
        future.add_done_callback(done)
        return future

    def fail(self, error: Exception) -> None:
        """Raise `error` in the thread that waits for results."""
        with self._guard:
            waiting = list(self._waiting)
        # An exception as the outcome is how a backend tells joblib that a call failed.
        for callback in waiting:
            callback(error)
