"""What a skorch net takes: told from other estimators by where its class comes from, so that torch is not imported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError


def is_net(estimator: Any) -> bool:
    """Return whether a skorch net does the work, by itself or at the end of a pipeline."""
    return any(kind.__module__.split(".")[0] == "skorch" for kind in type(_last_step(estimator)).__mro__)


def net_inputs(X: Any) -> Any:
    """Return inputs as a net takes them: floats as float32, as its weights are; integers may be tokens and stay."""
    array = X if hasattr(X, "tocsr") or hasattr(X, "iloc") else np.asarray(X)
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    return array.astype(np.float32, copy=False) if kind == "f" else array


def net_targets(net: Any, labels: NDArray[Any]) -> NDArray[Any]:
    """Return targets as a net takes them: numbers as float32, a column for each output; classes as whole numbers.

    Raises:
        InputError: for classes that are not numbers from 0.
    """
    if labels.dtype.kind == "f":
        return labels.astype(np.float32).reshape(len(labels), -1)
    if labels.dtype.kind not in "iub" or (labels.dtype.kind != "b" and labels.min() < 0):
        raise InputError(
            f"{type(_last_step(net)).__name__} takes classes as numbers from 0; got {labels[0]!s}: encode them first, "
            "as by sklearn's LabelEncoder"
        )
    # A binary classifier has a threshold, one output, and a loss of floats.
    return labels.astype(np.float32 if hasattr(_last_step(net), "threshold") else np.int64)


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if getattr(estimator, "steps", None) else estimator
