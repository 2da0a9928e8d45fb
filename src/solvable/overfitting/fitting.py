"""Fit a cloned, seeded estimator to the noisy labels of a draw, silently, and return its errors."""

import io
import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.machine import one_thread
from solvable.overfitting.estimators import is_net, name_of, net_inputs, net_targets
from solvable.overfitting.task import Draw, Task
from solvable.streams import short

# The training error is measured on at most this many samples: predicting all could cost more than fitting.
_MOST_CHECKED = 2000
# Warnings for the maintainers of an estimator.
_NOT_FOR_USERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Fit(NamedTuple):
    """Measurements of one fit.

    Attributes:
        test_error: on clean test labels: share of wrong answers, or squared error summed over outputs.
        train_error: the same on the noisy training labels, at most 2000 of them.
        seconds: duration of the fit.
        warnings: of the estimator, each once, as `ConvergenceWarning: ...`.
    """

    test_error: float
    train_error: float
    seconds: float
    warnings: tuple[str, ...] = ()


def fit_and_score(estimator: Any, task: Task, draw: Draw, level: int) -> Fit:
    """Return `one_fit`, with the global generators seeded and the estimator silent.

    Both affect the whole process: for trials in threads use `one_fit` and estimators that have seeds.
    """
    with seeded(draw.seed), quietly() as messages:
        fit = one_fit(estimator, task, draw, level)
    return fit._replace(warnings=tuple(dict.fromkeys(messages)))


def fit_in_trial(estimators: dict[int, Any], task: Task, trial: int, n_train: int, level: float) -> Fit:
    """Train and test the estimator of size `n_train` once, on one thread; this runs in its own process.

    Raises:
        InputError: when the estimator fails.
    """
    estimator = estimators[n_train]
    with one_thread(), naming_failures(estimator, on_fit(trial, n_train, level)):
        return fit_and_score(estimator, task, task.draw(n_train, np.array([level]), trial), 0)


def one_fit(estimator: Any, task: Task, draw: Draw, level: int) -> Fit:
    """Return the errors of a fresh copy of the estimator, trained on the labels of one noise level.

    Args:
        estimator: with scikit-learn's `fit` and `predict`; it is not changed.
        task: from `build_task.prepare`.
        draw: from `Task.draw`.
        level: index of the noise level.

    Raises:
        InputError: when predictions are not labels or numbers of the right shape.
    """
    labels = draw.labels[level]
    net = is_net(estimator)
    # Noise can remove the last label of a class, and some estimators need 0, 1, 2, ... without gaps.
    present = np.unique(labels) if task.classes else None
    targets = labels if present is None else np.searchsorted(present, labels)
    names = np.array(task.classes) if names_labels(estimator, task.classes) else None
    if names is not None:
        targets = names[labels]
    model = fresh(estimator, draw.seed)
    X = task.train_inputs(draw)
    start = time.perf_counter()
    model.fit(*((net_inputs(X), net_targets(model, targets)) if net else (X, targets.copy())))
    seconds = time.perf_counter() - start

    def error_on(inputs: Any, truth: NDArray[Any]) -> float:
        predicted = answers(model, net_inputs(inputs) if net else inputs, task, names)
        if names is None and present is not None and len(present) < len(task.classes):
            # A net of K outputs may predict a class that was not present: a wrong answer.
            predicted = np.append(present, -1)[np.minimum(predicted.astype(np.int64), len(present))]
        return error(predicted, truth)

    # Fresh copies: an estimator may have written to its training inputs, as a scaler with copy=False does.
    test = error_on(*task.test_set(draw))
    train = error_on(task.train_inputs(draw, _MOST_CHECKED), labels[:_MOST_CHECKED])
    return Fit(test, train, seconds)


def names_labels(estimator: Any, classes: tuple[Any, ...]) -> bool:
    """Return whether a parameter refers to the original labels, as `class_weight={"fraud": 10}` does.

    Such an estimator is trained on the original labels, not on numbers from 0.
    """
    if not hasattr(estimator, "get_params") or classes == tuple(range(len(classes))):
        return False
    values = estimator.get_params(deep=True).values()
    return any(isinstance(value, dict) and value and set(value) <= set(classes) for value in values)


def fresh(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy with its seeds set, those of its parts included."""
    from sklearn.base import clone

    if not hasattr(estimator, "get_params"):
        return deepcopy(estimator)
    model: Any = clone(estimator)
    seeds = dict.fromkeys(seeds_of(model), seed)
    return model.set_params(**seeds) if seeds else model


def seeds_of(model: Any) -> dict[str, Any]:
    """Return the `random_state` parameters of a model and its parts: name -> value."""
    parameters = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    return {name: value for name, value in parameters.items() if name.split("__")[-1] == "random_state"}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, for estimators without a seed of their own, and restore them afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.get_rng_state()
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        if torch is not None:
            torch.set_rng_state(torch_state)


@contextmanager
def naming_failures(estimator: Any, when: str) -> Iterator[None]:
    """Turn an estimator's exceptions, and its attempts to end the program, into an `InputError` that names the fit."""
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as problem:
        try:
            lines = str(problem).strip().splitlines()
        except Exception:  # the exception is the user's, too
            lines = []
        reason = short(lines[0], 300) if lines else "no message"
        raise InputError(
            f"{name_of(estimator)} failed {when}: {type(problem).__name__}: {reason}"
        ) from problem


def on_fit(trial: int, n_train: int, level: float) -> str:
    """Return words for a fit.

    >>> on_fit(0, 200, 0.1)
    'on 200 samples at noise level 0.1 (trial 0)'
    """
    return f"on {n_train} samples at noise level {level:g} (trial {trial})"


@contextmanager
def quietly() -> Iterator[list[str]]:
    """Suppress printed output, which hundreds of fits would repeat, and yield a list that collects warnings."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            yield messages
        finally:
            messages += [
                f"{one.category.__name__}: {' '.join(str(one.message).split())}"
                for one in caught
                if not issubclass(one.category, _NOT_FOR_USERS)
            ]


def answers(model: Any, X: Any, task: Task, names: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return the predictions of a fitted model, in the shape of the task's labels.

    Raises:
        InputError: when they are not labels or numbers of that shape.
    """
    predicted = np.asarray(model.predict(X))
    if names is not None:
        code = np.minimum(np.searchsorted(names, predicted), len(names) - 1)
        predicted = np.where(names[code] == predicted, code, -1)
    elif predicted.dtype.kind in "US" and task.classes:
        raise InputError(
            f"{type(model).__name__}.predict returned text, as in {str(predicted.flat[0])!r}, but it was trained on "
            "classes as numbers from 0, in sorted order; expected these numbers"
        )
    shape = (X.shape[0] if hasattr(X, "shape") else len(X), *task.y.shape[1:])
    if predicted.size == np.prod(shape):
        predicted = predicted.reshape(shape)
    if predicted.shape != shape or predicted.dtype.kind not in "fiub":
        raise InputError(
            f"{type(model).__name__}.predict returned shape {predicted.shape} of {predicted.dtype}; expected {shape}, "
            "one label or number for each sample"
        )
    if not np.isfinite(predicted).all():
        raise InputError(
            f"{type(model).__name__} predicts NaN or infinite values; if it learns by gradients, lower its learning "
            "rate or scale X"
        )
    return predicted


def error(predicted: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of wrong answers, or for numbers the squared error, summed over outputs."""
    if labels.dtype.kind == "f":
        return float(np.square(predicted - labels).reshape(len(labels), -1).sum(axis=1).mean())
    return float(np.mean(predicted != labels))
