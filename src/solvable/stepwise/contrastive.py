"""Contrastive losses, whole and by their terms; `losses` has them too."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.stepwise.views import off_diagonal, total, two_views


class ContrastiveTerms(NamedTuple):
    """The terms of the contrastive losses.

    Attributes:
        alignment: brings the views of one sample together.
        uniformity: drives different samples apart.
    """

    alignment: Tensor
    uniformity: Tensor


def info_nce(z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.1, cosine: bool = True) -> Tensor:
    r"""Return the InfoNCE loss of anchors `z_a` against all of `z_b`.

    $$ -\frac{1}{B} \sum_i \ln \frac{e^{z_{a,i} \cdot z_{b,i}/T}}{\sum_j e^{z_{a,i} \cdot z_{b,j}/T}} $$

    It is the sum of two terms. Both go to 0 when the views of a sample are equal and all else is far:

    $$ \frac{1}{2TB} \sum_i \|z_{a,i} - z_{b,i}\|^2 \quad \text{(alignment)}, \qquad
       \frac{1}{B} \sum_i \ln \sum_j e^{(z_{a,i} \cdot z_{b,j} - \|z_{a,i}\|^2/2 - \|z_{b,i}\|^2/2)/T} \quad
       \text{(uniformity)}. $$

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        temperature: $T > 0$; a tensor of one number is not checked and can be learned.
        cosine: whether rows are first scaled to length 1.

    Raises:
        InputError: if the embeddings are not two floating matrices of one shape with two rows or more, and for a
            temperature that is not positive.

    Source: van den Oord, Li and Vinyals, 2018, arXiv:1807.03748.

    >>> z = torch.ones(8, 4)
    >>> round(info_nce(z, z).exp().item(), 4)
    8.0
    """
    return total(info_nce_terms(z_a, z_b, temperature, cosine))


def info_nce_terms(
    z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.1, cosine: bool = True
) -> ContrastiveTerms:
    """Return the terms of `info_nce`; arguments and errors are the same.

    >>> z = torch.eye(2)
    >>> [round(term.item(), 4) for term in info_nce_terms(z, z, temperature=1.0)]
    [0.0, 0.3133]
    """
    T = _temperature(temperature)
    with two_views(z_a, z_b) as (a, b):
        if cosine:
            a, b = normalize(a), normalize(b)
        similarities = a @ b.T
        return _terms(a, b, T, _cross_entropies(similarities, similarities.diagonal(), T))


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.5) -> Tensor:
    r"""Return the NT-Xent loss of SimCLR: InfoNCE of each of the 2B views against the 2B - 1 others, by cosines.

    $$ -\frac{1}{2B} \sum_{i=1}^{2B} \ln \frac{e^{\cos(z_i, z_{p(i)})/T}}{\sum_{j \ne i} e^{\cos(z_i, z_j)/T}} $$

    where p(i) is the other view of the same sample.

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        temperature: $T > 0$; a tensor of one number is not checked and can be learned.

    Raises:
        InputError: as for `info_nce`.

    Source: Chen, Kornblith, Norouzi and Hinton, 2020, arXiv:2002.05709.

    >>> z = torch.ones(8, 4)
    >>> round(nt_xent(z, z).exp().item(), 4)
    15.0
    """
    return total(nt_xent_terms(z_a, z_b, temperature))


def nt_xent_terms(z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.5) -> ContrastiveTerms:
    """Return the terms of `nt_xent`, as those of `info_nce`; arguments and errors are the same.

    >>> z = torch.tensor([[1.0], [-1.0]])
    >>> [round(term.item(), 4) for term in nt_xent_terms(z, z, temperature=2.0)]
    [0.0, 0.5514]
    """
    T = _temperature(temperature)
    with two_views(z_a, z_b) as (a, b):
        a, b = normalize(a), normalize(b)
        z = torch.cat([a, b])
        similarities = z @ z.T
        partners = torch.cat([similarities.diagonal(len(a)), similarities.diagonal(-len(a))])
        others = off_diagonal(similarities).reshape(len(z), -1)  # row by row
        return _terms(a, b, T, _cross_entropies(others, partners, T))


def clip(z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.07) -> Tensor:
    r"""Return the loss of CLIP: the mean of `info_nce` from `z_a` to `z_b` and from `z_b` to `z_a`, by cosines.

    Args:
        z_a: embeddings of one kind of input, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).
        temperature: $T > 0$; a tensor of one number is not checked and can be learned.

    Raises:
        InputError: as for `info_nce`.

    Source: Radford et al., 2021, arXiv:2103.00020.

    >>> z = torch.ones(8, 4)
    >>> round(clip(z, z).exp().item(), 4)
    8.0
    """
    return total(clip_terms(z_a, z_b, temperature))


def clip_terms(z_a: Tensor, z_b: Tensor, temperature: float | Tensor = 0.07) -> ContrastiveTerms:
    """Return the terms of `clip`, as those of `info_nce`; arguments and errors are the same.

    >>> z = torch.eye(2)
    >>> [round(term.item(), 4) for term in clip_terms(z, z.flip(0), temperature=1.0)]
    [1.0, 0.3133]
    """
    T = _temperature(temperature)
    with two_views(z_a, z_b) as (a, b):
        a, b = normalize(a), normalize(b)
        similarities = a @ b.T
        both = [_cross_entropies(one, similarities.diagonal(), T) for one in (similarities, similarities.T)]
        return _terms(a, b, T, torch.cat(both))


def spectral_contrastive(z_a: Tensor, z_b: Tensor) -> Tensor:
    r"""Return the spectral contrastive loss, of embeddings as they are.

    $$ -\frac{2}{B} \sum_i z_{a,i} \cdot z_{b,i} + \frac{1}{B (B-1)} \sum_{i \ne j} (z_{a,i} \cdot z_{b,j})^2 $$

    Args:
        z_a: embeddings of one view, (B, d), B at least 2.
        z_b: embeddings of the other, (B, d).

    Raises:
        InputError: if the embeddings are not two floating matrices of one shape with two rows or more.

    Source: HaoChen, Wei, Gaidon and Ma, 2021, arXiv:2106.04156.

    >>> z = 2**0.5 * torch.eye(2)
    >>> round(spectral_contrastive(z, z).item(), 4)
    -4.0
    """
    return total(spectral_contrastive_terms(z_a, z_b))


def spectral_contrastive_terms(z_a: Tensor, z_b: Tensor) -> ContrastiveTerms:
    """Return the two terms of `spectral_contrastive`; arguments and errors are the same.

    >>> z = torch.ones(2, 1)
    >>> [term.item() for term in spectral_contrastive_terms(z, z)]
    [-2.0, 1.0]
    """
    with two_views(z_a, z_b) as (a, b):
        similarities = a @ b.T
        return ContrastiveTerms(
            alignment=-2 * similarities.diagonal().mean(),
            uniformity=off_diagonal(similarities).square().mean(),
        )


def _temperature(temperature: float | Tensor) -> float | Tensor:
    if isinstance(temperature, Tensor):
        if temperature.numel() != 1:
            raise InputError(f"temperature has {temperature.numel()} values; expected one number")
        return temperature.reshape(())  # reading its value would make an accelerator wait
    return one_number("temperature", temperature, above=0)


def _cross_entropies(similarities: Tensor, positives: Tensor, temperature: float | Tensor) -> Tensor:
    """Return the loss of each anchor. Subtracting the pair's own similarity first keeps the digits of small losses."""
    return ((similarities - positives[:, None]) / temperature).logsumexp(1)


def _terms(a: Tensor, b: Tensor, temperature: float | Tensor, cross_entropies: Tensor) -> ContrastiveTerms:
    alignment = (a - b).square().sum(1).mean() / (2 * temperature)
    return ContrastiveTerms(alignment, cross_entropies.mean() - alignment)
