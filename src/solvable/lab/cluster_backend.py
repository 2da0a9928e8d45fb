"""joblib's dask backend, changed to raise an error where it would wait forever."""

import threading
from collections.abc import Callable
from typing import Any

from joblib._dask import DaskDistributedBackend


class EngineError(Exception):
    """A trial failed outside its own code: a worker could not load it, or died; see `__cause__`."""


class WatchedBackend(DaskDistributedBackend):
    """joblib's dask backend for one set of trials; pending calls can be failed from outside.

    The objects in `scatter` are sent to each worker once.
    """

    def __init__(self, client: Any, scatter: list[Any]) -> None:
        super().__init__(client=client, scatter=scatter)
        self._pending: set[Callable[[Any], None]] = set()
        self._guard = threading.Lock()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return 2 for any number of workers: with 1, joblib would run the trials locally."""
        return 2

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Submit as joblib does, but call `callback` in every case."""

        def on_done(future: Any) -> None:
            with self._guard:
                self._pending.discard(callback)
            # joblib passes errors of the function to its callback, but not those of dask itself.
            if (error := future.exception()) is not None:
                engine_error = EngineError(str(error))
                engine_error.__cause__ = error
                callback(engine_error)

        with self._guard:
            self._pending.add(callback)
        future = super().submit(func, callback)
        future.add_done_callback(on_done)
        return future

    def fail(self, error: Exception) -> None:
        """Raise `error` in the thread that waits for results."""
        with self._guard:
            callbacks = list(self._pending)
        # joblib takes an exception as outcome for a failed call.
        for callback in callbacks:
            callback(error)
