"""What somebody's estimator is: checked at the door, told in a line, and what its fits warned of.

Everything that trains estimators on noisy labels comes through here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.datasets.labels import Task as Kind
from solvable.errors import InputError

# Estimators can be configured at length, and warn at length and of many things.
_LONGEST_NAME, _LONGEST_WARNING, _MOST_WARNINGS = 160, 200, 5


def maker(estimator: Any) -> Callable[[int], Any]:
    """Return a function from the number of samples to an estimator, checked.

    Raises:
        InputError: for a class, and for what can neither be fitted nor be called.
    """
    if isinstance(estimator, type):
        raise InputError(
            f"{estimator.__name__} is a class; expected an instance of it: {estimator.__name__}(...)"
        )
    if hasattr(estimator, "fit"):
        _check_estimator(estimator, name_of(estimator))
        return lambda n: estimator
    if not callable(estimator):
        raise InputError(
            f"got {estimator!r} for an estimator; expected one with fit and predict, or a function of the number of "
            "training samples that returns one"
        )

    def make(n: int) -> Any:
        try:
            made = estimator(n)
        except InputError:
            raise
        except Exception as problem:
            raise InputError(
                f"{_function_name(estimator)}({n}) raised {type(problem).__name__}: {problem}; expected a function of "
                "the number of training samples that returns an estimator"
            ) from problem
        _check_estimator(made, f"what {_function_name(estimator)}({n}) returned, {name_of(made)},")
        return made

    return make


def _check_estimator(estimator: Any, shown: str) -> None:
    if isinstance(estimator, type):
        raise InputError(f"{shown} is a class; expected an instance")
    for method in ("fit", "predict"):
        if not hasattr(estimator, method):
            raise InputError(
                f"{shown} has no {method}; expected a classifier or regressor with fit and predict, as scikit-learn's "
                "are"
            )


def kind_of(estimator: Any, task: str) -> Kind:
    """Return what an estimator predicts, where it says so."""
    from sklearn.base import is_classifier, is_regressor

    choice("task", task, ("auto", "classes", "number"))
    try:
        own = "classes" if is_classifier(estimator) else "number" if is_regressor(estimator) else "auto"
    except AttributeError:  # not one of scikit-learn's, and silent about it
        own = "auto"
    if "auto" not in (own, task) and own != task:
        predicts = "classes" if own == "classes" else "numbers"
        raise InputError(
            f"the task is {task}, but {name_of(estimator)} predicts {predicts}; leave the task out, or give "
            f"{'a regressor' if task == 'number' else 'a classifier'}"
        )
    return own if task == "auto" else task  # pyright: ignore[reportReturnType]


def takes_missing(estimator: Any) -> bool:
    """Return whether an estimator takes missing inputs; of a pipeline, whether its first step does."""
    from sklearn.utils import get_tags

    if getattr(estimator, "steps", None):
        return takes_missing(estimator.steps[0][1])
    if hasattr(estimator, "transformers") or hasattr(estimator, "transformer_list"):
        return True  # each column has its own way; what does not, says so
    if hasattr(getattr(estimator, "estimator", None), "fit"):
        return takes_missing(estimator.estimator)
    try:
        return bool(get_tags(estimator).input_tags.allow_nan)
    except AttributeError:
        return False


def name_of(estimator: Any) -> str:
    return type(estimator).__name__


def _function_name(function: Any) -> str:
    return str(getattr(function, "__name__", name_of(function)))


def described(estimator: Any) -> str:
    """Return an estimator in a line: what is not at its default, where it says so itself."""
    text = " ".join(repr(estimator).split())
    # What Python says of objects that say nothing, and skorch's nets, which say it like that.
    if text.startswith("<"):
        return name_of(estimator)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def described_over_sizes(estimator: Any, estimators: dict[int, Any]) -> str:
    if hasattr(estimator, "fit"):
        return described(estimator)
    sized = list(estimators.items())
    (low, least), (high, most) = sized[0], sized[-1]
    return f"{_function_name(estimator)}(n): {described(least)} at n = {low}, {described(most)} at n = {high}"


def warnings_of(fits: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give what estimators warned of, each once, and in how many fits.

    Args:
        fits: the warnings of each fit.
    """
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    total = 0
    for warned in fits:
        total += 1
        # Warnings that differ in their numbers only are one.
        for kind, text in {re.sub(r"\d[\d.e+-]*", "#", one): one for one in warned}.items():
            counts[kind] += 1
            first.setdefault(kind, text)
    for kind, count in counts.most_common(_MOST_WARNINGS):
        text = first[kind]
        if len(text) > _LONGEST_WARNING:
            text = f"{text[: _LONGEST_WARNING - 1]}…"
        yield f"in {count} of {total} fits the estimator warned: {text}"
    if len(counts) > _MOST_WARNINGS:
        yield f"the estimator warned of {len(counts) - _MOST_WARNINGS} other things"


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
