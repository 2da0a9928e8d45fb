"""One fit of somebody's estimator: cloned, seeded, silent, on one thread; its error on clean test labels."""

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

# Whether the training labels are fitted is read off so many of them: predicting all would cost more than fitting.
_MOST_CHECKED = 2000
# What speaks to whoever maintains an estimator, not to whoever trains it.
_NOT_FOR_USERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Fit(NamedTuple):
    """What one fit measured.

    Attributes:
        test_error: on clean test labels: share of wrong answers, or squared error summed over outputs.
        train_error: the same on the noisy labels that were trained on, at most 2000 of them.
        seconds: of fitting.
        warnings: what the estimator warned of, each once, as `ConvergenceWarning: ...`.
    """

    test_error: float
    train_error: float
    seconds: float
    warnings: tuple[str, ...] = ()


def fit_and_score(estimator: Any, task: Task, draw: Draw, level: int) -> Fit:
    """Return what `one_fit` does, with the global generators seeded and the estimator silent.

    Both are the whole process's: for trials in threads use `one_fit` and estimators that have seeds.
    """
    with seeded(draw.seed), quietly() as caught:
        fit = one_fit(estimator, task, draw, level)
    return fit._replace(warnings=tuple(dict.fromkeys(caught)))


def fit_in_trial(estimators: dict[int, Any], task: Task, trial: int, n_train: int, level: float) -> Fit:
    """Train and test once, on one thread; this runs in a process of its own.

    Args:
        estimators: number of training samples -> estimator.
        task: from `build_task.prepare`.
        trial: its number.
        n_train: how many samples.
        level: noise level.

    Raises:
        InputError: when the estimator fails.
    """
    estimator = estimators[n_train]
    with one_thread(), naming_failures(estimator, n_train, level):
        return fit_and_score(estimator, task, task.draw(n_train, np.array([level]), trial), 0)


def one_fit(estimator: Any, task: Task, draw: Draw, level: int) -> Fit:
    """Return the errors of a fresh copy of the estimator, trained on the labels of one noise level.

    Args:
        estimator: with scikit-learn's `fit` and `predict`; it is not changed.
        task: from `posing.prepare`.
        draw: from `Task.draw`.
        level: index of the noise level.

    Raises:
        InputError: when it predicts something else than labels or numbers of their shape.
    """
    labels = draw.labels[level]
    net = is_net(estimator)
    # A class can lose its last label to noise, and some estimators ask for 0, 1, 2, ... without a gap.
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

    def error_on(inputs: Any, right: NDArray[Any]) -> float:
        predicted = answers(model, net_inputs(inputs) if net else inputs, task, names)
        if names is None and present is not None and len(present) < len(task.classes):
            # A net of K outputs may name a class that was not there: a wrong answer.
            predicted = np.append(present, -1)[np.minimum(predicted.astype(np.int64), len(present))]
        return error(predicted, right)

    # Fresh copies: an estimator may have written to what it was fitted on, as a scaler with copy=False does.
    test = error_on(*task.test_set(draw))
    train = error_on(task.train_inputs(draw, _MOST_CHECKED), labels[:_MOST_CHECKED])
    return Fit(test, train, seconds)


def names_labels(estimator: Any, classes: tuple[Any, ...]) -> bool:
    """Return whether a parameter names labels as the user has them, as `class_weight={"fraud": 10}` does.

    Such an estimator is given labels, not their numbers.
    """
    if not hasattr(estimator, "get_params") or classes == tuple(range(len(classes))):
        return False
    values = estimator.get_params(deep=True).values()
    return any(isinstance(value, dict) and value and set(value) <= set(classes) for value in values)


def fresh(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy whose seeds, also those of its parts, are set."""
    from sklearn.base import clone

    if not hasattr(estimator, "get_params"):
        return deepcopy(estimator)
    model: Any = clone(estimator)
    seeds = {
        name: seed
        for name in model.get_params(deep=True)
        if name == "random_state" or name.endswith("__random_state")
    }
    return model.set_params(**seeds) if seeds else model


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, for estimators that have no seed of their own, and put them back afterwards."""
    before, plain_before = np.random.get_state(), random.getstate()  # noqa: NPY002
    torch = sys.modules.get("torch")
    torch_before = None if torch is None else torch.get_rng_state()
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
        random.setstate(plain_before)
        if torch is not None:
            torch.set_rng_state(torch_before)


@contextmanager
def naming_failures(estimator: Any, n_train: int, level: float) -> Iterator[None]:
    """Turn what an estimator raises into a sentence that says which fit it was.

    Args:
        estimator: that is fitted.
        n_train: on how many samples.
        level: at which noise level.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as problem:
        lines = str(problem).strip().splitlines()
        raise InputError(
            f"{name_of(estimator)} failed on {n_train} samples at noise level {level:g}: {type(problem).__name__}: "
            f"{lines[0] if lines else 'no message'}"
        ) from problem


@contextmanager
def quietly() -> Iterator[list[str]]:
    """Catch what an estimator prints, which hundreds of fits would repeat, and give what it warns of."""
    warned: list[str] = []
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            yield warned
        finally:
            warned += [
                f"{one.category.__name__}: {' '.join(str(one.message).split())}"
                for one in caught
                if not issubclass(one.category, _NOT_FOR_USERS)
            ]


def answers(model: Any, X: Any, task: Task, names: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return what a fitted model predicts, in the shape of the task's labels.

    Raises:
        InputError: when it predicts something else than labels or numbers of that shape.
    """
    predicted = np.asarray(model.predict(X))
    if names is not None:
        code = np.minimum(np.searchsorted(names, predicted), len(names) - 1)
        predicted = np.where(names[code] == predicted, code, -1)
    elif predicted.dtype.kind in "US" and task.classes:
        raise InputError(
            f"{type(model).__name__}.predict answers with text, as in {str(predicted.flat[0])!r}, but it was trained "
            "on classes as numbers from 0, in sorted order; expected it to answer with what it was given"
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
            f"{type(model).__name__} predicts NaN or infinite values; expected finite ones: where it learns by "
            "gradients, lower its learning rate or scale X"
        )
    return predicted


def error(predicted: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of wrong answers, or for numbers the squared error, summed over outputs."""
    if labels.dtype.kind == "f":
        return float(np.square(predicted - labels).reshape(len(labels), -1).sum(axis=1).mean())
    return float(np.mean(predicted != labels))
