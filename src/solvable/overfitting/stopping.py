r"""Training until interpolation, until the least validation error, or for a number of epochs.

`TrainedUntil` is an estimator that trains another one epoch by epoch and stops by a rule; `training_profile` records
the errors of each epoch.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from solvable.checks import choice, one_number, whole
from solvable.datasets.estimator_data import readable, sample_weights
from solvable.datasets.inputs import check_lengths, check_rows, numeric_inputs
from solvable.datasets.sampling import draw_rows, number_of
from solvable.errors import InputError
from solvable.machine import WHOLE_PROCESS
from solvable.overfitting.epochs import (
    EpochByEpoch,
    check_trainable,
    classes_of,
    inputs_for,
    predictions,
    predicts_classes,
    targets_for,
)
from solvable.overfitting.estimators import is_net, name_of
from solvable.overfitting.fitting import seeded, seeds_of
from solvable.overfitting.task import take


class NotInterpolatingWarning(UserWarning):
    """Training ended before the labels were fitted."""


class TrainedUntil(BaseEstimator):
    r"""An estimator that is trained pass by pass until a rule stops it.

    Args:
        estimator: with `partial_fit`: scikit-learn's `MLPClassifier`, `MLPRegressor`, `SGDClassifier`, or a skorch net
            (classes as numbers from 0; floats are cast to float32).
        stop: `interpolation`: until no training label is wrong after two passes in a row; for numbers, until the
            training error is below `tolerance`. `validation`: keeps the epoch with the least error on a held-out part
            of the given labels, which may be noisy, so no clean labels are needed. A whole number: for that many
            epochs.
        max_epochs: largest number of epochs; ignored if `stop` is a number.
        patience: number of epochs after the least validation error at which training stops.
        validation_size: share or number of samples held out.
        tolerance: training error of numbers that counts as fitted, in units of the labels' variance, > 0. A profile
            calls a regression interpolating below 0.1 % of the *noise's* variance: at noise level 0.2 set 4e-5.
        random_state: seed of the validation split and of the estimator, also if it has no seed parameter, like a torch
            net; an estimator with a seed of its own keeps it. A whole number, or a generator that it is drawn from.

    Attributes:
        estimator_: the trained estimator.
        classes_: if it predicts classes.
        n_features_in_: number of columns, if the inputs are a table or matrix.
        feature_names_in_: names of the columns, if they are all text; predictions expect the same.
        n_epochs_: passes of `estimator_`.
        reached_: whether the rule stopped it, rather than `max_epochs`.
        validation_errors_: after each epoch; empty under other rules.

    Raises:
        InputError: at `fit`, for an estimator without `partial_fit`, or a parameter out of range.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.neural_network import MLPClassifier
        >>> from solvable.overfitting.label_noise import flip_labels
        >>> X, y = load_iris(return_X_y=True)
        >>> noisy = flip_labels(y, 0.1, random_state=0)
        >>> net = MLPClassifier((64, 64), learning_rate_init=0.01, random_state=0)
        >>> rule = TrainedUntil(net, stop="validation", random_state=0).fit(X, noisy)
        >>> rule.reached_, rule.score(X, y) > 0.9
        (True, True)
    """

    # Asked of an estimator that is to be trained epoch by epoch.
    stops_by_a_rule = True

    def __init__(
        self,
        estimator: Any,
        stop: str | int = "interpolation",
        *,
        max_epochs: int = 1000,
        patience: int = 20,
        validation_size: float | int = 0.2,
        tolerance: float = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.stop = stop
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_size = validation_size
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "TrainedUntil":
        """Train a copy of the estimator until the rule stops it.

        Args:
            X: inputs, one row for each sample.
            y: labels or numbers; a regressor takes them as numbers, whatever their type.
            sample_weight: weights of the samples in training and in the errors that stop it, at least 0; samples of
                weight 0 are left out. For estimators whose `partial_fit` takes it.

        Raises:
            InputError: for an estimator without `partial_fit`, data that cannot be used, or a parameter out of range.
        """
        by_number = not isinstance(self.stop, str)
        if isinstance(self.stop, str):
            choice("stop", self.stop, ("interpolation", "validation"))
            most = whole("max_epochs", self.max_epochs, at_least=1)
        else:
            most = whole("stop", self.stop, at_least=1)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        check_rows(X=X, y=y, sample_weight=sample_weight)
        X = self._inputs(X, reset=True)
        y = self._targets(y)
        check_lengths(X.shape[0], len(y))
        seed = _seed_from(self.random_state)
        model = clone(self.estimator, safe=False)
        X, y, weights = _weighted(model, X, y, sample_weight)
        if self.random_state is not None:
            seed_parts(model, seed)
        self.validation_errors_: list[float] = []
        with _global_seed(model, None if self.random_state is None else seed):
            if self.stop == "validation":
                self._fit_validated(model, X, y, weights, most, seed)
            else:
                self._fit_all(model, X, y, weights, most, by_number)
        if predicts_classes(self.estimator_, y):
            self.classes_ = classes_of(y)
        return self

    def _inputs(self, X: Any, reset: bool) -> Any:
        """Return inputs with the number and the names of columns checked; the estimator checks the rest."""
        X = readable(X)
        # Text is one-dimensional, and some estimators take it.
        X = X if X.ndim == 1 and X.dtype.kind != "V" else numeric_inputs(X)
        return validate_data(self, X, reset=reset, skip_check_array=True) if X.ndim == 2 else X

    def _targets(self, y: Any) -> NDArray[Any]:
        if y is None:
            raise InputError(
                "TrainedUntil requires y to be passed, but the target y is None; expected labels or numbers"
            )
        y = targets_for(self.estimator, y)
        if y.ndim != 2 or y.shape[1] != 1 or is_net(self.estimator):
            self._shape = y.shape[1:]
            return y
        keeps_column = get_tags(self.estimator).target_tags.multi_output
        self._shape = y.shape[1:] if keeps_column else ()
        return column_or_1d(y, warn=not keeps_column)

    def _fit_all(
        self,
        model: Any,
        X: Any,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        most: int,
        by_number: bool,
    ) -> None:
        training, streak = EpochByEpoch(model, X, y, sample_weight=weights), 0
        limit = one_number("tolerance", self.tolerance, above=0.0)
        limit = 0.0 if predicts_classes(model, y) else limit * _variance(y, weights)
        while training.n_epochs < most and streak < 2:
            training.train()
            if not by_number:
                streak = streak + 1 if training.fitted(limit) else 0
        self.estimator_, self.n_epochs_ = model, training.n_epochs
        self.reached_ = by_number or streak == 2
        if not self.reached_:
            warnings.warn(
                f"{name_of(model)} did not fit its {len(y)} labels twice in a row within {most} epochs: allow more "
                "epochs, or a wider net",
                NotInterpolatingWarning,
                stacklevel=3,
            )

    def _fit_validated(
        self,
        model: Any,
        X: Any,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        most: int,
        seed: int,
    ) -> None:
        patience = whole("patience", self.patience, at_least=1)
        held_out = self._held_out(model, y, seed)
        rest = np.delete(np.arange(len(y)), held_out)
        of_held_out, of_rest = (None if weights is None else weights[rows] for rows in (held_out, rest))
        validation = take(X, held_out), y[held_out], of_held_out
        # A class whose only sample is held out stays a class.
        options = {"sample_weight": of_rest, "classes": classes_of(y)}
        training = EpochByEpoch(model, take(X, rest), y[rest], **options)
        best = np.inf
        while training.n_epochs < most:
            training.train()
            self.validation_errors_.append(training.error(*validation))
            if self.validation_errors_[-1] < best:
                best = self.validation_errors_[-1]
                self.estimator_, self.n_epochs_ = deepcopy(model), training.n_epochs
            elif training.n_epochs - self.n_epochs_ >= patience:
                break
        self.reached_ = training.n_epochs - self.n_epochs_ >= patience

    def _held_out(self, model: Any, y: NDArray[Any], seed: int) -> NDArray[np.int64]:
        n_rows = number_of("validation_size", self.validation_size, len(y))
        if n_rows >= len(y):
            raise InputError(
                f"validation_size {self.validation_size!r} holds out all of {len(y)} samples; lower it, so that some "
                "are left to train on"
            )
        # By class, if each sample has one.
        by_class = y.ndim == 1 and predicts_classes(model, y)
        return draw_rows(np.unique(y, return_inverse=True)[1] if by_class else None, len(y), n_rows, seed)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels or numbers, in the shape of the training labels."""
        check_is_fitted(self)
        X = self._inputs(X, reset=False)
        with _exclusive(self.estimator_):
            return predictions(self.estimator_, X, self._shape)

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class, if the estimator has `predict_proba`."""
        return self._outputs("predict_proba", X)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the scores of the classes, if the estimator has `decision_function`."""
        return self._outputs("decision_function", X)

    def _outputs(self, method: str, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        X = inputs_for(self.estimator_, self._inputs(X, reset=False))
        with _exclusive(self.estimator_):
            return getattr(self.estimator_, method)(X)

    @available_if(lambda self: hasattr(self.estimator, "score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the estimator's own score: accuracy, or R², of weighted samples if weights are given."""
        check_is_fitted(self)
        check_rows(X=X, y=y, sample_weight=sample_weight)
        X, y = inputs_for(self.estimator_, self._inputs(X, reset=False)), targets_for(self.estimator_, y)
        options = {} if sample_weight is None else {"sample_weight": sample_weights(sample_weight, len(y))}
        with _exclusive(self.estimator_):
            return float(self.estimator_.score(X, y, **options))

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the estimator: classifier or regressor, and its inputs."""
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = own.estimator_type
        tags.classifier_tags, tags.regressor_tags = own.classifier_tags, own.regressor_tags
        tags.input_tags, tags.target_tags = own.input_tags, own.target_tags
        return tags


def _weighted(
    model: Any, X: Any, y: NDArray[Any], sample_weight: Any
) -> tuple[Any, NDArray[Any], NDArray[np.float64] | None]:
    """Return inputs, labels and weights of the samples whose weight is not zero."""
    if sample_weight is None:
        return X, y, None
    weights = sample_weights(sample_weight, len(y))
    check_trainable(model)
    if "sample_weight" not in signature(model.partial_fit).parameters:
        raise InputError(
            f"{name_of(model)}.partial_fit takes no sample_weight; leave it out, or use an estimator such as "
            "SGDClassifier or MLPClassifier"
        )
    if weights.all():
        return X, y, weights
    rows = np.flatnonzero(weights)
    return take(X, rows), y[rows], weights[rows]


def _variance(y: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
    """Return the variance of numbers, summed over outputs."""
    squares = np.square(y - np.average(y, axis=0, weights=weights))
    return float(np.average(squares, axis=0, weights=weights).sum())


def _seed_from(random_state: Any) -> int:
    """Return a seed of 31 bits, drawn from a generator if one is given.

    Raises:
        InputError: for something that is neither a seed nor a generator.
    """
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except (ValueError, TypeError):
        raise InputError(
            f"random_state is {random_state!r}; expected None, a whole number from 0 to 2**32 - 1, or a "
            "numpy.random.Generator or RandomState"
        ) from None


def seed_parts(model: Any, seed: int) -> None:
    """Set the seed of all parts of a model that have none."""
    if unset := {name: seed for name, value in seeds_of(model).items() if value is None}:
        model.set_params(**unset)


@contextmanager
def _global_seed(model: Any, seed: int | None) -> Iterator[None]:
    """Seed the global generators, unless seed is None, if a model draws from them; other such threads wait."""
    if seed is None or not _draws_from_globals(model):
        yield
    else:
        with WHOLE_PROCESS, seeded(seed):
            yield


def _exclusive(model: Any) -> AbstractContextManager[Any]:
    """Let predictions that draw random numbers, as torch's data loaders do, wait while another thread trains."""
    return WHOLE_PROCESS if _draws_from_globals(model) else nullcontext()


def _draws_from_globals(model: Any) -> bool:
    """Return whether some part of a model has no seed; torch has one global seed for all nets."""
    if is_net(model) or not hasattr(model, "get_params"):
        return True
    parts = [model, *(part for part in model.get_params(deep=True).values() if hasattr(part, "fit"))]
    seeds = [hasattr(part, "get_params") and "random_state" in part.get_params(deep=False) for part in parts]
    return not all(seeds)
