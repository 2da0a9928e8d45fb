"""User-supplied estimators: validation, one-line descriptions, summaries of their warnings, and inputs for nets."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.datasets.labels import Task as Kind
from solvable.errors import InputError

# Limits on characters of a description and of a warning, and on the number of warnings reported.
_LONGEST_NAME, _LONGEST_WARNING, _MOST_WARNINGS = 160, 200, 5


def maker(estimator: Any) -> Callable[[int], Any]:
    """Return a function from the number of samples to a validated estimator.

    Raises:
        InputError: for a class, or an object that can neither be fitted nor called.
    """
    if isinstance(estimator, type):
        raise InputError(
            f"{estimator.__name__} is a class; expected an instance of it: {estimator.__name__}(...)"
        )
    if hasattr(estimator, "fit"):
        _check_estimator(estimator, name_of(estimator))
        return lambda n: estimator
    expected = "a function of the number of training samples that returns an estimator"
    if not callable(estimator):
        raise InputError(
            f"got {estimator!r} for an estimator; expected one with fit and predict, or {expected}"
        )

    def make(n: int) -> Any:
        call = f"{_function_name(estimator)}({n})"
        try:
            model = estimator(n)
        except InputError:
            raise
        except (Exception, SystemExit) as problem:
            raise InputError(
                f"{call} raised {type(problem).__name__}: {problem}; expected {expected}"
            ) from problem
        _check_estimator(model, f"the return value of {call}, {name_of(model)},")
        return model

    return make


def _check_estimator(estimator: Any, name: str) -> None:
    if isinstance(estimator, type):
        raise InputError(f"{name} is a class; expected an instance")
    for method in ("fit", "predict"):
        if not hasattr(estimator, method):
            raise InputError(
                f"{name} has no {method}; expected a classifier or regressor with fit and predict, as in scikit-learn"
            )


def kind_of(estimator: Any, task: str) -> Kind:
    """Return the type of target that an estimator predicts; `auto` if it does not declare one."""
    from sklearn.base import is_classifier, is_regressor

    choice("task", task, ("auto", "classes", "number"))
    try:
        own = "classes" if is_classifier(estimator) else "number" if is_regressor(estimator) else "auto"
    except AttributeError:  # no estimator of scikit-learn, and without its tags
        own = "auto"
    if "auto" not in (own, task) and own != task:
        predicts = "classes" if own == "classes" else "numbers"
        raise InputError(
            f"the task is {task}, but {name_of(estimator)} predicts {predicts}; leave the task out, or give "
            f"{'a regressor' if task == 'number' else 'a classifier'}"
        )
    return own if task == "auto" else task  # pyright: ignore[reportReturnType]


def takes_missing(estimator: Any) -> bool:
    """Return whether an estimator, or the first step of a pipeline, accepts missing inputs."""
    from sklearn.utils import get_tags

    if getattr(estimator, "steps", None):
        return takes_missing(estimator.steps[0][1])
    if hasattr(estimator, "transformers") or hasattr(estimator, "transformer_list"):
        return True  # each column has its own transformer, which raises if it does not accept them
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
    """Return an estimator's repr in one line of at most 160 characters, or its name if it has no repr of its own."""
    try:
        text = " ".join(repr(estimator).split())
    except Exception:  # it was measured, so its errors are worth more than its description
        return name_of(estimator)
    # Python's default repr, and that of skorch's nets.
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
    """Yield a sentence for each different warning of these fits, with the number of fits that gave it."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    total = 0
    for texts in fits:
        total += 1
        # Warnings that differ only in their numbers count as one.
        for kind, text in {re.sub(r"\d[\d.e+-]*", "#", one): one for one in texts}.items():
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
    """Return whether an estimator is a skorch net, or a pipeline that ends in one."""
    return any(kind.__module__.split(".")[0] == "skorch" for kind in type(_last_step(estimator)).__mro__)


def net_inputs(X: Any) -> Any:
    """Return inputs for a net: floats as float32, like its weights; integers may be tokens and stay as they are."""
    array = X if hasattr(X, "tocsr") or hasattr(X, "iloc") else np.asarray(X)
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    return array.astype(np.float32, copy=False) if kind == "f" else array


def net_targets(net: Any, labels: NDArray[Any]) -> NDArray[Any]:
    """Return targets for a net: numbers as float32, one column for each output; classes as whole numbers.

    Raises:
        InputError: for classes that are not numbers from 0.
    """
    if labels.dtype.kind == "f":
        return labels.astype(np.float32).reshape(len(labels), -1)
    if labels.dtype.kind not in "iub" or (labels.dtype.kind != "b" and labels.min() < 0):
        raise InputError(
            f"{type(_last_step(net)).__name__} takes classes as numbers from 0; got {labels[0]!s}: encode them first, "
            "for example by sklearn's LabelEncoder"
        )
    # A binary classifier has a threshold, one output, and a loss that takes floats.
    return labels.astype(np.float32 if hasattr(_last_step(net), "threshold") else np.int64)


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if getattr(estimator, "steps", None) else estimator
