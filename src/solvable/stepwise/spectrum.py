r"""Streaming covariances of embeddings, and their spectra: what a `SpectrumTracker` sees of a batch."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvable.stepwise.metrics import (
    alpha_req_of,
    effective_rank_of,
    lidar_of,
    participation_ratio,
    rankme_of,
)

# From this dimension on, eigenvalues in double precision take too long, and products too from the smaller one on.
_SINGLE_EIGENVALUES, _SINGLE_PRODUCTS = 512, 128
ROUNDING = {torch.float64: 1e-13, torch.float32: 2e-7}
"""Eigenvalues below this share of the largest one are rounding."""


class StreamedCovariance:
    r"""Means over about the last `window` rows of the covariances within and between pairs of embeddings.

    With $s = (z_a + z_b)/2$ and $t = (z_a - z_b)/2$, each minus its mean over the batch, the cross-correlation of the
    views is $E[s s^\top] - E[t t^\top]$, symmetrised, and the covariance of one view is their sum: two products of
    matrices for both. All rows count alike until there are `window` of them, and then older ones are forgotten
    exponentially.

    Args:
        dim: d, number of dimensions of an embedding.
        window: number of rows.
        center: whether the mean is subtracted.
    """

    def __init__(self, dim: int, window: int, center: bool) -> None:
        self.dim, self.window, self.center = dim, window, center
        self.rows = 0.0
        self.age = 0.0
        self.mean: Tensor | None = None
        self.between: Tensor | None = None
        self.within: Tensor | None = None

    @torch.no_grad()
    def add(self, z_a: Tensor, z_b: Tensor | None, elapsed: float) -> None:
        """Add a batch of rows (B, d) or pairs of rows, `elapsed` time units after the last one."""
        if len(z_a) > self.window:
            # Evenly spaced rows, of the same samples in both views.
            rows = torch.linspace(0, len(z_a) - 1, self.window, device=z_a.device).round().long()
            z_a, z_b = z_a[rows], None if z_b is None else z_b[rows]
        dtype = torch.float64 if z_a.dtype == torch.float64 or self.dim <= _SINGLE_PRODUCTS else torch.float32
        if self.between is not None and self.between.dtype == torch.float64:
            dtype = torch.float64
        if z_a.device.type == "mps":  # has no double precision
            dtype = torch.float32
        z_a = z_a.to(dtype)
        if z_b is None:
            s, t = z_a, None
        else:
            z_b = z_b.to(dtype)
            s, t = (z_a + z_b) / 2, (z_a - z_b) / 2
        mean = s.mean(dim=0)
        n = len(s)
        self.rows = min(self.rows + n, float(self.window))
        share = n / self.rows
        if self.center:
            s = s - mean
            # The mean of a batch is fitted to it, which makes its covariance too small.
            factor = 1 / (n - 1)
            t = None if t is None else t - t.mean(dim=0)
        else:
            factor = 1 / n
        self.between = _mixed(self.between, s, factor, share)
        if t is not None:
            self.within = _mixed(self.within, t, factor, share)
        self.mean = mean if self.mean is None else self.mean.to(mean).lerp_(mean, share)
        self.age = (1 - share) * (self.age + elapsed)

    def eigenvalues(self, standardised: bool = False) -> NDArray[np.float64]:
        """Return the eigenvalues of the cross-correlation, or of the covariance of one view, descending.

        Args:
            standardised: whether each dimension is divided by its standard deviation.
        """
        assert self.between is not None
        cross = self.between if self.within is None else self.between - self.within
        if standardised:
            variance = torch.diagonal(self.between if self.within is None else self.between + self.within)
            scale = variance.clamp_min(1e-12 * variance.max().clamp_min(1e-30)).rsqrt()
            cross = scale[:, None] * cross * scale
        return descending(cross)

    @property
    def rounding(self) -> float:
        """Share of the largest eigenvalue below which others are rounding."""
        assert self.between is not None
        single = self.between.dtype == torch.float32 or self.dim > _SINGLE_EIGENVALUES
        return ROUNDING[torch.float32 if single else torch.float64]

    def scale(self) -> tuple[float, float]:
        """Return the total variance, and the squared norm of the mean."""
        assert self.between is not None
        assert self.mean is not None
        total = torch.trace(self.between) + (0 if self.within is None else torch.trace(self.within))
        variance, mean = torch.stack([total, self.mean.square().sum()]).tolist()
        # Without centring the second moments contain the mean.
        return variance if self.center else variance - mean, mean

    def cheap_metrics(self) -> dict[str, float]:
        """Return effective rank, RankMe and alpha-ReQ of the embeddings of one view."""
        covariance, moments = self._moments()
        values = np.clip(descending(covariance), 0.0, None)
        singular = np.sqrt(np.clip(descending(moments), 0.0, None))
        if not values[0] > 0:
            return dict.fromkeys(("effective_rank", "participation_ratio", "rankme", "alpha_req"), np.nan)
        positive = int((values > self.rounding * values[0]).sum())
        return {
            "effective_rank": effective_rank_of(values),
            "participation_ratio": participation_ratio(values),
            "rankme": rankme_of(singular),
            "alpha_req": alpha_req_of(values) if positive >= 8 else np.nan,
        }

    def lidar(self) -> float:
        """Return LiDAR with two views a source, NaN with one view."""
        if self.within is None or self.between is None:
            return np.nan
        # The views deviate from their mean by t and -t, and their unbiased covariance has one degree of freedom.
        return lidar_of(self.between.double().cpu().numpy(), 2 * self.within.double().cpu().numpy())

    def _moments(self) -> tuple[Tensor, Tensor]:
        assert self.between is not None
        assert self.mean is not None
        total = self.between if self.within is None else self.between + self.within
        outer = torch.outer(self.mean, self.mean)
        return (total, total + outer) if self.center else (total - outer, total)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        tensors = {name: getattr(self, name) for name in ("mean", "between", "within")}
        kept = {name: None if one is None else one.detach().cpu().clone() for name, one in tensors.items()}
        return kept | {"rows": self.rows, "age": self.age}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for name, value in state.items():
            setattr(self, name, value.clone() if isinstance(value, Tensor) else value)


def _mixed(old: Tensor | None, rows: Tensor, factor: float, share: float) -> Tensor:
    """Return the mean of the old second moments and those of new rows, in place where it can be."""
    if old is None:
        return factor * (rows.T @ rows)
    if old.device != rows.device or old.dtype != rows.dtype:
        old = old.to(rows)
    return old.addmm_(rows.T, rows, beta=1 - share, alpha=factor * share)


def descending(matrix: Tensor) -> NDArray[np.float64]:
    """Return the eigenvalues of a symmetric matrix, descending, on the CPU."""
    matrix = matrix.detach().cpu()
    if matrix.shape[0] > _SINGLE_EIGENVALUES:
        return torch.linalg.eigvalsh(matrix.float()).double().numpy()[::-1].copy()
    return np.linalg.eigvalsh(matrix.double().numpy())[::-1].copy()
