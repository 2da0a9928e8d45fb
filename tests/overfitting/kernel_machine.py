"""Digits, and kernel regression as an estimator, for the tests of kernels' noise profiles."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge

DIGITS, DIGIT = load_digits(return_X_y=True)
EVEN = DIGIT % 2


def sphere(n: int, dimension: int, seed: int) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, dimension + 1))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def weights_of(kernel: Any, X: np.ndarray, X_test: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    return np.linalg.solve(kernel(X) + ridge * np.eye(len(X)), kernel(X, X_test)).T


class Machine(ClassifierMixin, BaseEstimator):
    """Kernel regression on one-hot columns, by scikit-learn."""

    def __init__(self, kernel: Any = None, ridge: float = 0.0) -> None:
        self.kernel = kernel
        self.ridge = ridge

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Machine":
        self.classes_ = np.unique(y)
        self.X_ = X
        columns = (y[:, None] == self.classes_) - 1.0 / len(self.classes_)
        self.model_ = KernelRidge(kernel="precomputed", alpha=self.ridge).fit(self.kernel(X), columns)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.classes_[self.model_.predict(self.kernel(X, self.X_)).argmax(axis=1)]
