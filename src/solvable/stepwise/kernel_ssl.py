r"""`KernelSSL`: what a kernel machine learns from pairs of views by self-supervised training, exactly."""

from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.kernels import CallableKernel, Kernel, ScikitLearnKernel, as_kernel, check_positive_semidefinite
from solvable.kernels.inputs import to_float64
from solvable.machine import need_memory
from solvable.stepwise.lanczos import top_eigenpairs
from solvable.stepwise.theory import step_times, trajectory

Array = NDArray[np.float64]

# The most negative eigenvalue that a kernel matrix may have, relative to its trace.
_NEGATIVE = 1e-8
# Eigenvalues below this share of the mean of the kernel's diagonal are rounding errors.
_ROUNDING = 10 * float(np.finfo(float).eps)
# Entries within this share of the largest are as large, whatever the rounding.
_AS_LARGE = 1e-6


class KernelSSL(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Self-supervised learning of a kernel machine from pairs of views, solved exactly.

    Trained from small weights with the Barlow Twins loss, $\|C - I\|_F^2$ of the embeddings' cross-correlation C, a
    kernel machine (or an infinitely wide network, with the kernel `NTK`) ends as

    $$ f_j(x) = \gamma_j^{-1/2}\, a_j \cdot k(x), \qquad S K a_j = 2 n \gamma_j a_j, \qquad a_j^\top K a_j = 1, $$

    where k(x) is the kernel of x with the 2n views, K that of the views with each other, and S exchanges the two views
    of each pair. Output j is learned j-th; `step_times` says when. If both views are the same this is whitened kernel
    principal component analysis.

    Args:
        kernel: a name of `KERNEL_NAMES`, a solvable or scikit-learn kernel, or a function (X, Z) -> K. A missing length
            scale is the median distance of the views.
        n_components: number of outputs, at least 1. Where fewer eigenvalues are positive, the outputs beyond them are
            never learned: they are 0, and so are their eigenvalues.
        center: whether features are centred over all views. False is the paper; the first output is then the mean.

    Attributes:
        eigenvalues_: $\gamma_j$, descending, 0 beyond the last positive one (n_components,).
        noise_level_: $|\gamma_{min}|$. In the limit of infinite data no eigenvalue is negative, so that directions with
            $\gamma_j$ below this may be noise of the sample. Exact to about 1e-3 of itself or of the last eigenvalue.
        dual_coef_: $\gamma_j^{-1/2} a_j$ as columns (2n, n_components).
        offset_: what is subtracted from $k(x)$ `dual_coef_`, 0 without centring (n_components,).
        embedding_: the embeddings of X and of X2 (2, n, n_components).
        kernel_: the kernel, with a fixed length scale.
        X_fit_: the views, all of X and then all of X2 (2n, d).

    In a pipeline, earlier steps transform X and not X2: transform both first.

    Source: Simon et al., On the stepwise nature of self-supervised learning, 2023, arXiv:2303.15438. Centring and the
    method of solution (`lanczos`) are derived.

    >>> from sklearn.datasets import load_digits
    >>> X, rng = load_digits().data[:500], np.random.default_rng(0)
    >>> views = [X + 4 * rng.standard_normal(X.shape) for _ in range(2)]
    >>> model = KernelSSL("gaussian", n_components=3).fit(*views)
    >>> C = model.embedding_[0].T @ model.embedding_[1] / len(X)
    >>> np.allclose(C + C.T, 2 * np.eye(3)), model.transform(X).shape
    (True, (500, 3))
    >>> model.step_times(init_scale=1e-3).round().tolist()
    [86.0, 89.0, 108.0]
    """

    kernel_: Kernel

    def __init__(self, kernel: Any = "gaussian", n_components: int = 10, center: bool = True) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.center = center

    def fit(self, X: Any, X2: Any) -> Self:
        """Fit to pairs of views.

        Args:
            X: first views (n, d), at least two.
            X2: second views of the same samples, in the same order (n, d).

        Raises:
            InputError: for shapes that differ, NaN or infinite values, a kernel that is not positive semidefinite, or
                too little memory for the (2n, 2n) kernel matrix.
        """
        n_components = whole("n_components", self.n_components, at_least=1)
        first, second = self._checked_pairs(X, X2)
        n = len(first)
        need_memory(
            2 * 8 * (2 * n) ** 2,
            f"KernelSSL on {n} pairs",
            "fit fewer pairs: the memory grows as their square",
        )
        self.X_fit_ = np.concatenate([first, second])
        self.kernel_ = as_kernel(self.kernel).for_data(self.X_fit_)
        K = to_float64(self.kernel_(self.X_fit_))
        floor = _ROUNDING * float(np.abs(np.diagonal(K)).mean())
        means = K.mean(axis=0) if self.center else np.zeros(2 * n)
        if self.center:
            K -= means
            K -= means[:, None]
            K += means.mean()
        if isinstance(self.kernel_, CallableKernel | ScikitLearnKernel):
            _check_positive_semidefinite(K)
        found = top_eigenpairs(K, n_components, floor)
        positive = len(found.eigenvalues)
        scales = 1 / np.sqrt(found.eigenvalues)
        signs = _signs(found.products)
        self.eigenvalues_ = np.zeros(n_components)
        self.dual_coef_ = np.zeros((2 * n, n_components))
        embedding = np.zeros((2 * n, n_components))
        self.eigenvalues_[:positive] = found.eigenvalues
        self.dual_coef_[:, :positive] = found.vectors * scales * signs
        embedding[:, :positive] = found.products * scales * signs
        if self.center:
            # The centred matrix annihilates constants, and without them its test kernel needs only the means.
            self.dual_coef_ -= self.dual_coef_.mean(axis=0)
        self.offset_ = means @ self.dual_coef_
        self.embedding_ = embedding.reshape(2, n, n_components)
        self.noise_level_ = -found.smallest
        self._n_features_out = n_components
        return self

    def transform(self, X: Any, time: float | None = None, init_scale: ArrayLike | None = None) -> Array:
        r"""Return the embeddings of new points, at the end of training or on the way.

        $f_j(x, t) = s_j(t)\, a_j \cdot k(x)$ at the time t, where $s_j(t)$ grows from `init_scale` to
        $\gamma_j^{-1/2}$.

        Args:
            X: points (m, d).
            time: flow time $t \ge 0$, the sum of the learning rates. None: the end.
            init_scale: $s_j(0) \ge 0$ with `time`, as for `step_times`.

        Returns:
            Embeddings (m, n_components).

        Raises:
            InputError: for bad points, or one of `time` and `init_scale` without the other.
        """
        check_is_fitted(self)
        X = self._checked(X, "X", reset=False)
        if (time is None) != (init_scale is None):
            raise InputError(
                "only one of time and init_scale is given; expected both, or neither for the end of training"
            )
        coefficients, offset = self.dual_coef_, self.offset_
        if time is not None:
            t = one_number("time", time, at_least=0)
            shares = np.sqrt(trajectory(self.eigenvalues_, self._init_scales(init_scale), [t])[0])
            coefficients, offset = coefficients * shares, offset * shares
        embedding = np.empty((len(X), len(self.eigenvalues_)))
        for rows, K in self.kernel_.rows(X, self.X_fit_):
            embedding[rows] = to_float64(K) @ coefficients - offset
        return embedding

    def step_times(self, init_scale: ArrayLike) -> Array:
        r"""Return the flow time at which each output is half learned, $\ln(1/\lambda_j(0) - 1) / 8 \gamma_j$.

        Here $\lambda_j(0) = \gamma_j s_j(0)^2$. Divided by a small learning rate it is a number of steps.

        Args:
            init_scale: $s_j(0) \ge 0$: one number, or one for each output (n_components,). It is the norm of $f_j$ in
                the kernel's space before training, of outputs aligned with the $a_j$. Any other small $f$ acts like
                the aligned one of size $|R_{jj}|$, where QR is the decomposition of the (outputs, n_components) matrix
                $F^\top [a_1 \dots]$ of its values F (2n, outputs) on the views; $a_j$ is column j of `dual_coef_`
                times $\gamma_j^{1/2}$.

        Returns:
            Times (n_components,); `inf` for what is never learned.

        Source: arXiv:2303.15438; the form is exact.
        """
        check_is_fitted(self)
        return step_times(self.eigenvalues_, s0=self._init_scales(init_scale))

    def _init_scales(self, init_scale: Any) -> Array:
        scales = numbers("init_scale", init_scale, at_least=0)
        finite("init_scale", scales, remedy="")
        if scales.shape not in ((), self.eigenvalues_.shape):
            raise InputError(
                f"init_scale has shape {scales.shape}; expected one number or {len(self.eigenvalues_)}, one for each "
                "output"
            )
        return np.broadcast_to(scales, self.eigenvalues_.shape)

    def _checked_pairs(self, X: Any, X2: Any) -> tuple[Array, Array]:
        if X2 is None:
            raise InputError(
                "X2 is missing (scikit-learn's y); expected the second views, (n, d) like X, as in fit(X, X2)"
            )
        first = self._checked(X, "X", reset=True, ensure_min_samples=2)
        # Scikit-learn warns if only one of two tables has names of columns; here both views have them, or none counts.
        named = hasattr(X2, "columns") and hasattr(self, "feature_names_in_")
        second = self._checked(X2, "X2", reset=False if named else None, ensure_2d=False)
        if first.shape != second.shape:
            raise InputError(
                f"X has shape {first.shape} and X2 has {second.shape}; expected the same, row i of each a view of "
                "sample i"
            )
        return first, second

    def _checked(self, X: Any, name: str, reset: bool | None, **options: Any) -> Array:
        """Return points as an array; `reset` as in scikit-learn's `validate_data`, None: without names of columns."""
        # The kernel says which points it takes: most of them rows, some images.
        options |= {"dtype": np.float64, "allow_nd": True, "ensure_all_finite": False}
        X = to_float64(X) if hasattr(X, "detach") else X
        if reset is None:
            X = check_array(X, input_name=name, estimator=self, **options)
        else:
            X = validate_data(self, X, reset=reset, **options)
        finite(name, X)
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = True
        return tags


def _check_positive_semidefinite(K: Array) -> None:
    """Raise if a kernel matrix has an eigenvalue below -1e-8 of its trace."""
    shifted = K.copy(order="F")
    shifted.flat[:: len(K) + 1] += _NEGATIVE * float(np.trace(K))
    try:
        scipy.linalg.cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        check_positive_semidefinite(np.linalg.eigvalsh(K))


def _signs(values: Array) -> Array:
    """Return signs that make the largest entry of each column positive, the first of those that are as large."""
    size = np.abs(values)
    first = (size >= (1 - _AS_LARGE) * size.max(axis=0)).argmax(axis=0)
    return np.sign(values[first, np.arange(values.shape[1])])
