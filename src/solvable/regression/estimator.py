r"""Kernel ridge regression as scikit-learn estimators: the model whose test error `regression` predicts.

$\hat f(x) = b + k(x)^\top (K + \delta I)^{-1} (Y - b)$ with the intercept $b$ that fits best, as in scikit-learn's
`Ridge`; it is not penalised. Its own
`KernelRidge` has no intercept, no ridge of exactly 0, none of these kernels, and does not classify.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from solvable.checks import one_number
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.inputs import to_float64
from solvable.regression.experiment import dual_fits

# Rows are predicted in blocks of this size, so that a large table needs no large kernel matrix.
_ROWS = 4096


class _KernelRidge(BaseEstimator):
    """Base of regressor and classifier: fitting columns, and the outputs for new inputs."""

    kernel_: Kernel

    def __init__(self, kernel: Any = "laplace", ridge: float = 1.0) -> None:
        self.kernel = kernel
        self.ridge = ridge

    def _fit(self, X: NDArray, columns: NDArray[np.float64]) -> None:
        ridge = np.array([one_number("ridge", self.ridge, at_least=0.0)])
        self.kernel_ = as_kernel(self.kernel).for_data(X)
        gram = to_float64(self.kernel_(X))
        ((_, alpha, shift, _),) = dual_fits(gram, columns, np.array([len(X)]), ridge, intercept=True)
        self.dual_coef_, self.intercept_, self.X_fit_ = alpha[:, 0], shift[0], X

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
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

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to inputs `(n, d)` and targets `(n,)` or `(n, outputs)`."""
        options: Any = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
        X, y = validate_data(self, X, y, dtype=np.float64, **options)
        self._fit(X, np.asarray(y, dtype=np.float64).reshape(len(X), -1))
        self._flat = np.ndim(y) == 1
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return predictions for inputs `(m, d)`, shaped like the targets."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._flat else outputs


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

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to inputs `(n, d)` and labels `(n,)`."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the labels have only one class; expected at least two")
        self._fit(X, np.eye(len(self.classes_))[codes])
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the outputs `(m, classes)`; for two classes that of the second minus that of the first, `(m,)`."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of the largest output, `(m,)`."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]
