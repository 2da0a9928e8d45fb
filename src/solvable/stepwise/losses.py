r"""Losses of joint-embedding self-supervised learning, whole and by their terms.

Each takes the embeddings of two views of the same samples, `z_a` and `z_b` of shape (B, d), and returns a scalar with a
gradient. For each there is a function `..._terms` with the same arguments, which returns the named terms that add up to
the loss, weights included. The contrastive ones are from `contrastive`.

Half precision is computed in float32, and autocast is off inside. A batch that is spread over devices is not gathered.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import batch_norm, mse_loss, relu

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.stepwise.contrastive import (
    ContrastiveTerms,
    clip,
    clip_terms,
    info_nce,
    info_nce_terms,
    nt_xent,
    nt_xent_terms,
    spectral_contrastive,
    spectral_contrastive_terms,
)
from solvable.stepwise.views import off_diagonal, total, two_views

__all__ = [
    "BarlowTwinsTerms",
    "ContrastiveTerms",
    "SquaredVICRegTerms",
    "VICRegTerms",
    "barlow_twins",
    "barlow_twins_terms",
    "clip",
    "clip_terms",
    "info_nce",
    "info_nce_terms",
    "nt_xent",
    "nt_xent_terms",
    "spectral_contrastive",
    "spectral_contrastive_terms",
    "squared_vicreg",
    "squared_vicreg_terms",
    "vicreg",
    "vicreg_terms",
]


class BarlowTwinsTerms(NamedTuple):
    """The terms of `barlow_twins`.

    Attributes:
        invariance: of the diagonal of the cross-correlation matrix.
        redundancy: of the entries off the diagonal, times their weight.
    """

    invariance: Tensor
    redundancy: Tensor


class VICRegTerms(NamedTuple):
    """The terms of `vicreg`, each times its weight.

    Attributes:
        invariance: of the distance between the views.
        variance: of standard deviations below 1.
        covariance: of correlations between dimensions.
    """

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


class SquaredVICRegTerms(NamedTuple):
    """The terms of `squared_vicreg`.

    Attributes:
        invariance: of the distance between the views, times its weight.
        whitening: of the distance between the covariance and the identity.
    """

    invariance: Tensor
    whitening: Tensor


def barlow_twins(
    z_a: Tensor,
    z_b: Tensor,
    off_diagonal_weight: float = 0.0051,
    normalize: bool = True,
    *,
    center: bool = True,
) -> Tensor:
    r"""Return the loss of Barlow Twins.

    $$ \sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \ne j} C_{ij}^2 $$

    With `normalize`, $C = \hat Z_a^\top \hat Z_b / B$ with each feature of each view standardised over the batch:
    $\hat z = (z - m)/\sqrt{v + 10^{-5}}$ with its mean m and its (biased) variance v. This is the original loss.

    Without, $C = (Z_a^\top Z_b + Z_b^\top Z_a)/(2B)$. With $\lambda = 1$ this is $\|C - 1\|_F^2$, which does not change
    under rotations of the embeddings and whose dynamics are solvable.

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        off_diagonal_weight: $\lambda \ge 0$.
        normalize: whether to standardise the features.
        center: without `normalize`, whether to subtract the mean over the batch and both views, as
            `theory.cross_correlation` does.

    Raises:
        InputError: if the embeddings are not two floating matrices of one shape with two rows or more, for a negative
            weight, and for `center=False` with `normalize`.

    Source: Zbontar, Jing, Misra, LeCun and Deny, 2021, arXiv:2103.03230; without `normalize`, arXiv:2303.15438.

    >>> import torch
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> barlow_twins(z, z, 1.0, normalize=False).item()
    0.0
    >>> barlow_twins(z, 0.5 * z, 1.0, normalize=False).item()
    0.5
    """
    return total(barlow_twins_terms(z_a, z_b, off_diagonal_weight, normalize, center=center))


def barlow_twins_terms(
    z_a: Tensor,
    z_b: Tensor,
    off_diagonal_weight: float = 0.0051,
    normalize: bool = True,
    *,
    center: bool = True,
) -> BarlowTwinsTerms:
    """Return the terms of `barlow_twins`; arguments and errors are the same.

    >>> import torch
    >>> z = torch.eye(4) - 0.25
    >>> [round(term.item(), 4) for term in barlow_twins_terms(z, z)]
    [0.0, 0.0068]
    """
    weight = one_number("off_diagonal_weight", off_diagonal_weight, at_least=0)
    if normalize and not center:
        raise InputError(
            "center is False and normalize True; expected normalize=False, as standardising centres"
        )
    with two_views(z_a, z_b) as (a, b):
        if normalize:
            C = _standardised(a).T @ _standardised(b) / len(a)
        else:
            if center:
                a, b = _centred(a, b)
            C = (a.T @ b + b.T @ a) / (2 * len(a))
        return BarlowTwinsTerms(
            invariance=(C.diagonal() - 1).square().sum(),
            redundancy=weight * off_diagonal(C).square().sum(),
        )


def vicreg(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    r"""Return the loss of VICReg, with the factors of its authors' code.

    $$ \frac{s}{B d} \sum_{b,i} (z_{a,bi} - z_{b,bi})^2
       + \frac{v}{2d} \sum_{\text{views}} \sum_i \max\left(0,\, 1 - \sqrt{S_{ii} + \epsilon}\right)
       + \frac{c}{d} \sum_{\text{views}} \sum_{i \ne j} S_{ij}^2, \qquad
       S = \frac{(Z - \bar Z)^\top (Z - \bar Z)}{B - 1}, $$

    with the covariance S of each view around its own mean.

    The paper's formula has $v/d$ in the place of $v/(2d)$. By default the loss is 24.75 when all embeddings are equal.

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        invariance: $s \ge 0$.
        variance: $v \ge 0$.
        covariance: $c \ge 0$.
        eps: $\epsilon > 0$, which keeps the gradient finite where the variance is 0.

    Raises:
        InputError: if the embeddings are not two floating matrices of one shape with two rows or more, and for numbers
            out of range.

    Source: Bardes, Ponce and LeCun, 2022, arXiv:2105.04906.

    >>> import torch
    >>> z = torch.zeros(8, 4)
    >>> round(vicreg(z, z).item(), 4)
    24.75
    """
    return total(vicreg_terms(z_a, z_b, invariance, variance, covariance, eps))


def vicreg_terms(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    eps: float = 1e-4,
) -> VICRegTerms:
    """Return the terms of `vicreg`; arguments and errors are the same.

    >>> import torch
    >>> z = torch.tensor([[2.0, 2.0], [-2.0, -2.0]])
    >>> [round(term.item(), 4) for term in vicreg_terms(z, z + 1)]
    [25.0, 0.0, 128.0]
    """
    invariance = one_number("invariance", invariance, at_least=0)
    variance = one_number("variance", variance, at_least=0)
    covariance = one_number("covariance", covariance, at_least=0)
    eps = one_number("eps", eps, above=0)
    with two_views(z_a, z_b) as (a, b):
        hinges = [relu(1 - (z.var(0) + eps).sqrt()).mean() for z in (a, b)]
        covariances = [off_diagonal(z.T @ z / (len(z) - 1)) for z in (a - a.mean(0), b - b.mean(0))]
        correlations = [one.square().sum() / a.shape[1] for one in covariances]
        return VICRegTerms(
            invariance=invariance * mse_loss(a, b),
            variance=variance * (hinges[0] + hinges[1]) / 2,
            covariance=covariance * (correlations[0] + correlations[1]),
        )


def squared_vicreg(z_a: Tensor, z_b: Tensor, invariance: float = 2.0, center: bool = True) -> Tensor:
    r"""Return a VICReg-like loss that does not change under rotations of the embeddings and is solvable.

    $$ \|\Sigma - 1\|_F^2 + \frac{k}{2B} \sum_b \|z_{a,b} - z_{b,b}\|^2, \qquad
       \Sigma = \frac{Z_a^\top Z_a + Z_b^\top Z_b}{2B} $$

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        invariance: $k \ge 0$.
        center: whether to subtract the mean over the batch and both views.

    Raises:
        InputError: if the embeddings are not two floating matrices of one shape with two rows or more, and for a
            negative weight.

    Source: derived from VICReg (arXiv:2105.04906), with squares in place of the hinges.

    >>> import torch
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> squared_vicreg(z, z).item(), squared_vicreg(z, -z).item()
    (0.0, 8.0)
    """
    return total(squared_vicreg_terms(z_a, z_b, invariance, center))


def squared_vicreg_terms(
    z_a: Tensor, z_b: Tensor, invariance: float = 2.0, center: bool = True
) -> SquaredVICRegTerms:
    """Return the terms of `squared_vicreg`; arguments and errors are the same.

    >>> import torch
    >>> z = torch.tensor([[2.0], [-2.0]])
    >>> [term.item() for term in squared_vicreg_terms(z, z)]
    [0.0, 9.0]
    """
    weight = one_number("invariance", invariance, at_least=0)
    with two_views(z_a, z_b) as (a, b):
        distance = (a - b).square().sum(1).mean()
        if center:
            a, b = _centred(a, b)
        Sigma = (a.T @ a + b.T @ b) / (2 * len(a))
        return SquaredVICRegTerms(
            invariance=weight / 2 * distance,
            whitening=(Sigma.diagonal() - 1).square().sum() + off_diagonal(Sigma).square().sum(),
        )


def _centred(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    mean = (a.mean(0) + b.mean(0)) / 2
    return a - mean, b - mean


def _standardised(z: Tensor) -> Tensor:
    return batch_norm(z, None, None, training=True, eps=1e-5)
