r"""Measured test error of kernel regression on labels of pure noise, from its weights.

The prediction at a point is linear in the training labels, $\hat f(x) = w(x) \cdot y$, so pure noise of unit variance
gives exactly $1 + |w(x)|^2$ at noisy test labels. No labels are drawn: their mean is exact, and only training sets and
test points are averaged over.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from solvable.kernels.angular import AngularKernel
from solvable.overfitting.noise_weights import noise_sensitivity


def gaussian_design_cost(
    eigenvalues: Float[NDArray, "modes"],
    n_train: int,
    ridge: float,
    n_test: int,
    generator: np.random.Generator,
) -> float:
    r"""Return $1 + E_x |w(x)|^2$ of one training set, for a kernel with Gaussian eigenfunctions.

    Args:
        eigenvalues: $\lambda$, `(modes,)`, more modes than samples.
        n_train: $n$.
        ridge: $\delta \ge 0$.
        n_test: number of test points to average over.
        generator: random numbers.
    """
    scale = np.sqrt(eigenvalues)
    features = generator.standard_normal((n_train, len(scale))) * scale
    test = generator.standard_normal((n_test, len(scale))) * scale
    if ridge > 0:
        return 1.0 + float(noise_sensitivity(features @ features.T, test @ features.T, ridge).mean())
    # If the spectrum falls by twenty decades, the kernel matrix keeps only the upper half in double precision, while
    # its square root, the features, keeps all of it. With features^T = Q R the weights are R^-1 Q^T x.
    factors: Any = qr(features.T, mode="economic", overwrite_a=True, check_finite=False)
    weights = solve_triangular(factors[1], factors[0].T @ test.T, check_finite=False)
    return 1.0 + float(np.square(weights).sum(axis=0).mean())


def sphere_points(n: int, dimension: int, generator: np.random.Generator) -> Float[NDArray, "n d"]:
    """Return points uniform on the unit sphere of this intrinsic dimension, in `dimension + 1` coordinates."""
    X = generator.standard_normal((n, dimension + 1))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def sphere_cost(
    kernel: AngularKernel,
    radius: float,
    dimension: int,
    n_train: int,
    ridge: float,
    n_test: int,
    generator: np.random.Generator,
) -> float:
    r"""Return $1 + E_x |w(x)|^2$ of one training set on the sphere of this radius, D = `dimension`, n = `n_train`."""
    X = radius * sphere_points(n_train, dimension, generator)
    Z = radius * sphere_points(n_test, dimension, generator)
    return 1.0 + float(noise_sensitivity(np.asarray(kernel(X)), np.asarray(kernel(Z, X)), ridge).mean())


def radius_of(kernel: AngularKernel, dimension: int) -> float:
    r"""Return the norm of the inputs of `kernel.curve`: 1, or $\sqrt d$ for kernels of networks."""
    unit = np.eye(1, dimension + 1)
    of_unit_inputs = float(np.asarray(kernel.diag(unit))[0])
    on_curve = float(np.asarray(kernel.curve(np.ones(1)))[0])
    return 1.0 if np.isclose(of_unit_inputs, on_curve) else float(np.sqrt(dimension + 1))
