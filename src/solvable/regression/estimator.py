r"""Kernel ridge regression as scikit-learn estimators: the model whose test error `regression` predicts.

$\hat f(x) = b + k(x)^\top (K + \delta I)^{-1} (Y - b)$ with the intercept $b$ that fits best, as in scikit-learn's
`Ridge`; it is not penalised. Its own
`KernelRidge` has no intercept, no ridge of exactly 0, none of these kernels, and does not classify.

With weights $w_i$ of the samples, $\hat f$ minimises $\sum_i w_i (y_i - \hat f(x_i))^2 + \delta \|\hat f - b\|^2$: a
whole weight acts like as many copies of a sample.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from solvable.checks import one_number
from solvable.datasets.estimator_data import class_labels, regression_targets, sample_weights
from solvable.datasets.inputs import check_lengths, check_rows, numeric_inputs
from solvable.datasets.labels import refuse_extreme, refuse_one_class
from solvable.errors import InputError
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.gram import finite_gram
from solvable.kernels.inputs import to_float64
from solvable.regression.experiment import dual_fits

# With which the predictions are the mean, to all digits, and sums do not overflow.
_LARGEST_RIDGE = 1e300
# Rows are predicted in blocks of this size, so that a large table needs no large kernel matrix.
_ROWS = 4096


class _KernelRidge(BaseEstimator):
    """Base of regressor and classifier: fitting columns, and the outputs for new inputs."""

    kernel_: Kernel

    def __init__(self, kernel: Any = "laplace", ridge: float = 1.0) -> None:
        self.kernel = kernel
        self.ridge = ridge

    def _samples(
        self, X: Any, y: Any, sample_weight: Any, read: Callable[[Any], NDArray[Any]], **options: Any
    ) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64] | None]:
        """Return inputs, targets and weights of the samples whose weight is not zero, at least two."""
        check_rows(X=X, y=y, sample_weight=sample_weight)
        X = numeric_inputs(X)
        # Scikit-learn has its own sentences for what is missing or has no rows.
        targets: Any = None if y is None else read(y)
        if y is not None:
            check_lengths(X.shape[0], len(targets))
        X, targets = validate_data(self, X, targets, dtype=np.float64, **options)
        if sample_weight is None:
            return X, targets, None
        weights = sample_weights(sample_weight, len(X))
        rows = np.flatnonzero(weights)
        if len(rows) < 2:
            raise InputError("sample_weight is zero for all samples but one; expected two or more above 0")
        return X[rows], targets[rows], weights[rows]

    def _fit(self, X: NDArray, columns: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        ridge = np.array([one_number("ridge", self.ridge, at_least=0.0)])
        kernel = as_kernel(self.kernel).for_data(X, weights)
        gram = to_float64(kernel(X))
        finite_gram(gram, kernel)
        reflection = None
        if weights is not None:
            # In units of the largest weight, whose product with the kernel stays in the range of floats.
            reflection = _Reflection(weights / weights.max())
            with np.errstate(over="ignore"):
                ridge = np.minimum(ridge / weights.max(), _LARGEST_RIDGE)
            gram, columns = reflection.gram(gram), reflection.columns(columns)
        ((_, alpha, shift, _),) = dual_fits(gram, columns, np.array([len(X)]), ridge, intercept=True)
        self.kernel_, self.dual_coef_, self.intercept_, self.X_fit_ = kernel, alpha[:, 0], shift[0], X
        if reflection is not None:
            self.dual_coef_ = reflection.coefficients(self.dual_coef_)
            self.intercept_ = reflection.intercept(self.intercept_)

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, numeric_inputs(X), reset=False, dtype=np.float64)
        parts = [
            to_float64(self.kernel_(X[i : i + _ROWS], self.X_fit_)) @ self.dual_coef_
            for i in range(0, len(X), _ROWS)
        ]
        return np.concatenate(parts) + self.intercept_


class KernelRegressor(RegressorMixin, _KernelRidge):
    r"""Kernel ridge regression with an intercept.

    Args:
        kernel: as in `LearningSurface.from_kernel`; a missing bandwidth is the median distance of `X`.
        ridge: $\delta \ge 0$, added to the kernel matrix undivided; 0 interpolates.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = KernelRegressor("gaussian", ridge=1.0).fit(X[:300], y[:300])
        >>> round(model.score(X[300:], y[300:]), 1)
        0.5
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to inputs `(n, d)` and targets `(n,)` or `(n, outputs)`, with weights of at least 0 or without."""
        options: Any = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
        X, y, weights = self._samples(X, y, sample_weight, regression_targets, **options)
        columns = y.reshape(len(X), -1)
        refuse_extreme(columns, "y")
        self._fit(X, columns, weights)
        self._flat = y.ndim == 1
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return predictions for inputs `(m, d)`, shaped like the targets."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._flat else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², of weighted samples if weights are given."""
        check_rows(X=X, y=y, sample_weight=sample_weight)
        return float(super().score(numeric_inputs(X), regression_targets(y), sample_weight))


class KernelClassifier(ClassifierMixin, _KernelRidge):
    r"""Kernel ridge regression on one-hot columns; predicts the class of the largest output.

    Args:
        kernel: as in `KernelRegressor`.
        ridge: $\delta \ge 0$, as in `KernelRegressor`.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> round(KernelClassifier(ridge=0.0).fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]), 2)
        0.97
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to inputs `(n, d)` and labels `(n,)`, with weights of at least 0 or without."""
        X, y, weights = self._samples(X, y, sample_weight, class_labels)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        refuse_one_class(classes)
        self._fit(X, np.eye(len(classes))[codes], weights)
        self.classes_ = classes
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the outputs `(m, classes)`; for two classes that of the second minus that of the first, `(m,)`."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of the largest output, `(m,)`."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, of weighted samples if weights are given."""
        check_rows(X=X, y=y, sample_weight=sample_weight)
        return float(super().score(numeric_inputs(X), class_labels(y), sample_weight))


class _Reflection:
    r"""Samples with weights as samples without.

    With $S = \mathrm{diag}(\sqrt{w_i})$ and $\alpha = S \beta$ the conditions of the weighted fit are
    $(S K S + \delta I) \beta = S (Y - b)$ and $s^\top \beta = 0$, with the diagonal $s$ of $S$. The reflection P that
    turns $s / |s|$ into $-1 / \sqrt n$ makes them those of a fit without weights: the kernel matrix is $P S K S P$, the
    targets are $P S Y$, the intercept is $-b |s| / \sqrt n$ and the coefficients are $P \beta$.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        n = len(weights)
        self._root = np.sqrt(weights)
        norm = np.linalg.norm(self._root)
        # A sum of two vectors without negative entries, so that no digits cancel.
        normal = self._root / norm + 1 / np.sqrt(n)
        self._normal = normal / np.linalg.norm(normal)
        self._per_intercept = -np.sqrt(n) / norm

    def _reflected(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values - 2 * np.multiply.outer(self._normal, self._normal @ values)

    def columns(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._reflected(self._root[:, None] * columns)

    def gram(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.columns(self.columns(gram).T)

    def coefficients(self, alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._root[:, None] * self._reflected(alpha)

    def intercept(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        return shift * self._per_intercept
