r"""When is a point critical, and when only flat: residuals of Newton's system, flatness at a scale, and signs.

$g = \nabla L$ is the gradient, $H = \nabla^2 L$ the symmetric Hessian. Since $\nabla \frac12 |g|^2 = H g$, a method
that makes the gradient small stops where $H g = 0$: at critical points ($g = 0$), and at *gradient-flat* points, where
the gradient is not zero and lies in the kernel of H. Newton steps $-H^+ g$ vanish there, too.

Arrays may have leading axes: g (*batch, N), H (*batch, N, N).

Source: Frye, Simon, Wadia, Ligeralde, DeWeese, Bouchard, 2021, arXiv:2003.10397; the flatness profile is derived here.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, numbers

Numbers = NDArray[np.float64]
Norm = Literal["frobenius", "spectral"]

CRITICAL = 1e-10
"""Squared gradient norm up to which a point counts as critical, as in the papers."""


def relative_residual(
    hessian: Float[ArrayLike, "*batch N N"],
    gradient: Float[ArrayLike, "*batch N"],
    step: Float[ArrayLike, "*batch N"],
    norm: Norm = "frobenius",
) -> Float[NDArray, "*batch"]:
    r"""Return $r(p) = |H p + g| / (|H| |p| + |g|)$ of a candidate Newton step p, in [0, 1].

    It is 0 for an exact step and 1 for p = 0. Of a least-squares step it says how much of the gradient no step can
    remove; but a solver that stopped early leaves a large residual, too, so solve to a tight tolerance first.

    Args:
        hessian: H, symmetric.
        gradient: g.
        step: p.
        norm: of H.

    Returns:
        r, and 0 where g = 0 and p = 0.

    Source: arXiv:2003.10397, section 2.

    >>> float(relative_residual([[2.0, 0.0], [0.0, 0.0]], [2.0, 1.0], [-1.0, 0.0]).round(3))
    0.236
    """
    H, g, p = (np.asarray(a, dtype=np.float64) for a in (hessian, gradient, step))
    return _ratio(_length(_times(H, p) + g), _size(H, norm) * _length(p) + _length(g))


def cokernel_residual(
    hessian: Float[ArrayLike, "*batch N N"],
    gradient: Float[ArrayLike, "*batch N"],
    step: Float[ArrayLike, "*batch N"],
    norm: Norm = "frobenius",
) -> Float[NDArray, "*batch"]:
    r"""Return $r_H(p) = |H (H p + g)| / (|H| |H p + g|)$, in [0, 1].

    It is small if what the step leaves of the gradient lies in the kernel of H: p is a least-squares step.

    Args:
        hessian: H, symmetric.
        gradient: g.
        step: p.
        norm: of H.

    Returns:
        $r_H$, and 0 where the step leaves nothing.

    Source: arXiv:2003.10397, section 2.

    >>> float(cokernel_residual([[2.0, 0.0], [0.0, 0.0]], [2.0, 1.0], [-1.0, 0.0]))
    0.0
    """
    H, g, p = (np.asarray(a, dtype=np.float64) for a in (hessian, gradient, step))
    rest = _times(H, p) + g
    return _ratio(_length(_times(H, rest)), _size(H, norm) * _length(rest))


def curvature_ratio(
    eigenvalues: Float[ArrayLike, "*batch N"], coefficients: Float[ArrayLike, "*batch N"]
) -> Float[NDArray, "*batch"]:
    r"""Return $|H g| / (|H| |g|)$ with the spectral norm: the typical curvature along the gradient, in [0, 1].

    Args:
        eigenvalues: $\lambda_i$ of H.
        coefficients: $v_i^\top g$, the gradient along the eigenvectors.

    Returns:
        The ratio; 0 where g = 0 or H = 0.

    Source: derived.

    >>> float(curvature_ratio([1.0, -1e-3], [0.0, 2.0]))
    0.001
    """
    lam, c = np.asarray(eigenvalues, dtype=np.float64), np.asarray(coefficients, dtype=np.float64)
    return _ratio(_length(lam * c), np.abs(lam).max(axis=-1) * _length(c))


def flatness_profile(
    eigenvalues: Float[ArrayLike, "*batch N"],
    coefficients: Float[ArrayLike, "*batch N"],
    scales: Float[ArrayLike, "scales"] = (1e-6, 1e-5, 1e-4, 1e-3),
) -> Float[NDArray, "*batch scales"]:
    r"""Return $F(\delta) = \sum_{|\lambda_i| \le \delta \max_j |\lambda_j|} (v_i^\top g)^2 / |g|^2$, in [0, 1].

    This is the share of the squared gradient in directions whose curvature is at most $\delta$ times the largest. At a
    strictly gradient-flat point it is 1 for every $\delta$; elsewhere it says at which scale the point looks flat.

    Args:
        eigenvalues: $\lambda_i$ of H.
        coefficients: $v_i^\top g$.
        scales: $\delta$.

    Returns:
        F, one for each scale; 1 where g = 0.

    Source: derived, to replace a residual that depends on the tolerance of a solver.

    >>> flatness_profile([1.0, 1e-4], [1.0, 3.0], [1e-5, 1e-3]).tolist()
    [0.0, 0.9]
    """
    lam, c = np.asarray(eigenvalues, dtype=np.float64), np.asarray(coefficients, dtype=np.float64)
    delta = numbers("scales", scales, at_least=0)
    low = np.abs(lam)[..., None, :] <= delta[:, None] * np.abs(lam).max(axis=-1)[..., None, None]
    power = np.square(c)[..., None, :]
    total = power.sum(axis=-1)
    return np.where(total > 0, (low * power).sum(axis=-1) / np.where(total > 0, total, 1), 1.0)


def count_signs(
    eigenvalues: Float[ArrayLike, "*batch N"], tolerance: float = 1e-8
) -> tuple[Int[NDArray, "*batch"], Int[NDArray, "*batch"]]:
    r"""Return the index and the nullity: how many eigenvalues are below $-\epsilon |H|$, and within $\pm \epsilon |H|$.

    The limit is relative to the Hessian, since an absolute one means nothing once the loss is rescaled. Near a family
    of critical points its zero eigenvalues are as large as $|g|$ times the curvature of the family: count where the
    gradient has gone.

    Args:
        eigenvalues: of H.
        tolerance: $\epsilon$.

    Source: derived.

    >>> [int(count) for count in count_signs([-2.0, -1e-9, 0.0, 3.0])]
    [1, 2]
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    zero: Bool[NDArray, "*batch N"] = np.abs(lam) <= tolerance * np.abs(lam).max(axis=-1)[..., None]
    return ((lam < 0) & ~zero).sum(axis=-1), zero.sum(axis=-1)


def _times(H: Numbers, v: Numbers) -> Numbers:
    return np.einsum("...ij,...j->...i", H, v)


def _length(v: Numbers) -> Numbers:
    # Scaled first: squares of gradients near 1e-160 underflow.
    largest = np.abs(v).max(axis=-1, keepdims=True)
    scaled = v / np.where(largest > 0, largest, 1)
    return largest[..., 0] * np.sqrt(np.square(scaled).sum(axis=-1))


def _size(H: Numbers, norm: str) -> Numbers:
    if choice("norm", norm, ("frobenius", "spectral")) == "spectral":
        return np.abs(np.linalg.eigvalsh(H)).max(axis=-1)
    return np.linalg.norm(H, axis=(-2, -1))


def _ratio(a: Numbers, b: Numbers) -> Numbers:
    return np.where(b > 0, a / np.where(b > 0, b, 1), 0.0)
