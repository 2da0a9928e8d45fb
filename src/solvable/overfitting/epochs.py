r"""Training an estimator one pass over its data at a time.

`EpochByEpoch` trains any estimator with `partial_fit`: scikit-learn's `MLPClassifier`, `MLPRegressor` and
`SGDClassifier`, or a skorch net.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.datasets.estimator_data import class_labels, regression_targets
from solvable.errors import InputError
from solvable.overfitting.estimators import is_net, kind_of, name_of, net_inputs, net_targets
from solvable.overfitting.fitting import seeds_of
from solvable.overfitting.task import take

# The first rows nearly always show that labels are not fitted; the others are predicted only if these are fitted.
_FIRST_ROWS = 512


class EpochByEpoch:
    """Training of an estimator, one pass over its data at a time.

    The optimizer's state carries over from pass to pass. Whole-number seeds become streams: with the same seed in every
    pass, scikit-learn would shuffle its batches in the same way each time. A skorch net trains on all of its labels
    (without `train_split`), prints nothing, and takes floats as float32.

    Args:
        model: unfitted, with `partial_fit`; it is trained in place, so pass a copy.
        X: inputs, one row for each sample: array, table or sparse matrix.
        y: labels or numbers, `(n,)` or `(n, outputs)`; floats for a regressor, whatever their type.
        sample_weight: weights of the samples in training and in errors, above 0, `(n,)`; None: all 1.
        classes: all classes, if some are not in y; by default those in y.

    Attributes:
        model: trained so far.
        n_epochs: passes so far.

    Raises:
        InputError: for an estimator that cannot be trained pass by pass, or labels that it does not accept.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import SGDClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> training = EpochByEpoch(SGDClassifier(random_state=0), X, y)
        >>> training.train()
        >>> training.train()
        >>> training.n_epochs, training.fitted()
        (2, False)
    """

    def __init__(
        self,
        model: Any,
        X: Any,
        y: Any,
        *,
        sample_weight: NDArray[np.float64] | None = None,
        classes: NDArray[Any] | None = None,
    ) -> None:
        check_trainable(model)
        y = targets_for(model, y)
        self.model, self.X, self.y = model, inputs_for(model, X), y
        self.n_epochs = 0
        self._classes = predicts_classes(model, y)
        self._weights = np.ones(len(y)) if sample_weight is None else sample_weight
        self._options: dict[str, Any] = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._first_pass: dict[str, Any] = {}
        _prepare(model, len(y))
        if is_net(model):
            self._target = net_targets(model, y)
            model.initialize()
            model.notify("on_train_begin", X=self.X, y=self._target)
        elif self._classes:
            self._first_pass = {"classes": classes_of(y) if classes is None else classes}

    def train(self) -> None:
        """Go through the data once more."""
        if is_net(self.model):
            # Not by partial_fit, which restarts a learning rate schedule in every call and swallows Ctrl-C.
            self.model.fit_loop(self.X, self._target, epochs=1)
        else:
            self.model.partial_fit(self.X, self.y, **self._first_pass, **self._options)
            self._first_pass = {}
            # scikit-learn's nets end only the current pass at Ctrl-C.
            if getattr(self.model, "n_iter_", 1) == 0:
                raise KeyboardInterrupt
        self.n_epochs += 1

    def error(self, X: Any, y: NDArray[Any], sample_weight: NDArray[np.float64] | None = None) -> float:
        """Return the share of wrong answers, or the squared error summed over outputs.

        Raises:
            InputError: when the predictions are not finite, or have another shape.
        """
        return float(np.average(self._losses(X, y), weights=sample_weight))

    def _losses(self, X: Any, y: NDArray[Any]) -> NDArray[np.float64]:
        """Return the share of wrong answers, or the squared error summed over outputs, of each sample.

        Raises:
            InputError: when the predictions are not finite, or have another shape.
        """
        predicted = predictions(self.model, X, y.shape[1:])
        if predicted.shape != y.shape:
            raise InputError(
                f"{name_of(self.model)}.predict returned shape {predicted.shape} for labels of shape {y.shape}; "
                "expected one for each label: with skorch use NeuralNetClassifier or NeuralNetRegressor"
            )
        if self._classes:
            return (predicted != y).reshape(len(y), -1).mean(axis=1)
        losses = np.square(predicted - y).reshape(len(y), -1).sum(axis=1)
        if not np.isfinite(losses).all():
            raise InputError(
                f"{name_of(self.model)} predicts NaN or infinite values after epoch {self.n_epochs}; lower its "
                "learning rate or scale X"
            )
        return losses

    def fitted(self, most: float = 0.0) -> bool:
        """Return whether the training labels are fitted.

        Args:
            most: largest training error that counts as fitted, 0 or above: for classes a share of wrong answers, for
                numbers a squared error, summed over outputs.
        """
        loss, n = 0.0, len(self.y)
        for start, stop in ((0, min(n, _FIRST_ROWS)), (_FIRST_ROWS, n)):
            if start < stop:
                rows = np.arange(start, stop)
                losses = self._losses(take(self.X, rows), self.y[start:stop])
                loss += float(losses @ self._weights[start:stop])
                if loss > most * self._weights.sum():
                    return False
        return True


def predicts_classes(model: Any, y: NDArray[Any]) -> bool:
    """Return whether a model predicts classes; if it does not declare that, whether y holds no floats."""
    kind = kind_of(model, "auto")
    return y.dtype.kind != "f" if kind == "auto" else kind == "classes"


def targets_for(model: Any, y: Any) -> NDArray[Any]:
    """Return labels or numbers as an array of the same shape: floats for a regressor, whatever their type.

    Raises:
        InputError: for missing values, bytes, dates, a mixture of types, and text for a regressor.
    """
    return regression_targets(y) if kind_of(model, "auto") == "number" else class_labels(y)


def classes_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the classes in sorted order; of several columns of labels, the numbers of the columns."""
    return np.unique(labels) if labels.ndim == 1 else np.arange(labels.shape[1])


def inputs_for(model: Any, X: Any) -> Any:
    """Return inputs in the form that a model accepts."""
    # A net accepts no tables; at the end of a pipeline it gets arrays.
    return net_inputs(np.array(X) if hasattr(X, "iloc") else X) if is_net(model) else X


def predictions(model: Any, X: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a model's predictions, reshaped to `(n, *shape)` if only the layout differs, as a net's `(n, 1)`."""
    X = inputs_for(model, X)
    predicted = np.asarray(model.predict(X))
    expected = (X.shape[0] if hasattr(X, "shape") else len(X), *shape)
    return predicted.reshape(expected) if predicted.size == np.prod(expected) else predicted


def check_trainable(model: Any) -> None:
    """Raise if an estimator cannot be trained pass by pass.

    Raises:
        InputError: when it has no `partial_fit`, or has a stopping rule of its own.
    """
    if getattr(model, "stops_by_a_rule", False):
        raise InputError(
            f"TrainedUntil has its own stopping rule; pass the {name_of(model.estimator)} inside it instead"
        )
    if not hasattr(model, "partial_fit"):
        raise InputError(
            f"{name_of(model)} has no partial_fit, so it cannot be trained epoch by epoch; expected an estimator such "
            "as MLPClassifier(solver='adam'), SGDClassifier or a skorch net (a scaler goes in front: "
            "make_pipeline(StandardScaler(), TrainedUntil(net)))"
        )
    if getattr(model, "early_stopping", False) is True:
        raise InputError(
            f"{name_of(model)} has early_stopping=True, which partial_fit does not support; set it to False and use "
            "TrainedUntil(stop='validation')"
        )


def _prepare(model: Any, n: int) -> None:
    """Set the parameters that training pass by pass needs; see `EpochByEpoch`."""
    changes: dict[str, Any] = {
        name: np.random.RandomState(value)  # the only stream that scikit-learn accepts
        for name, value in seeds_of(model).items()
        if isinstance(value, (int, np.integer))
    }
    if is_net(model):
        changes |= {"train_split": None, "verbose": 0}
    elif isinstance(batch := getattr(model, "batch_size", None), (int, np.integer)) and batch > n:
        changes["batch_size"] = n  # otherwise scikit-learn warns in every pass
    if changes:
        model.set_params(**changes)
