r"""The theory of other losses: spectral contrastive, InfoNCE with dot products, a squared VICReg, and two encoders.

For a linear model whose $\Gamma$ (between views) and $\Sigma$ (of one view) share eigenvectors, each mode's size
$u = s^2$ follows a logistic curve, $\dot u = r\,u\,(1 - u/u^*)$. What differs from loss to loss is the rate r, the
final value, and whether a direction that is learned can be replaced by a later one.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from solvable.checks import choice, finite, numbers, one_number, whole
from solvable.errors import InputError

Loss = Literal["barlow_twins", "spectral_contrastive", "info_nce", "squared_vicreg", "two_encoders"]


@dataclass(frozen=True, eq=False)
class LossModes:
    r"""The modes of a linear model under one loss.

    Attributes:
        loss: name of the loss.
        rates: r, rate of growth of $u = s^2$ per flow time `(modes,)`; not positive for modes that are never learned.
        levels: final eigenvalue of the embedding's covariance, $\sigma u^*$ `(modes,)`; 0 if never learned.
        correlation: $\rho = \gamma / \sigma$ `(modes,)`.
        replaces: whether a direction that is learned gives way to one of larger $\rho$.
    """

    loss: str
    rates: Float[NDArray, "modes"]
    levels: Float[NDArray, "modes"]
    correlation: Float[NDArray, "modes"]
    replaces: bool
    _sigma: Float[NDArray, "modes"] = field(repr=False)

    @property
    def order(self) -> NDArray[np.int64]:
        """Modes in the order in which equal small weights learn them, without those that are never learned."""
        order = np.argsort(-self.rates, kind="stable")
        return order[self.rates[order] > 0]

    def final(self, dim: int) -> NDArray[np.int64]:
        r"""Return the modes that an embedding of `dim` dimensions has after long training, ascending.

        The first ones learned; where `replaces`, those of largest $\rho$.
        """
        d = whole("dim", dim, at_least=1)
        order = self.order
        if self.replaces:
            order = order[np.argsort(-self.correlation[order], kind="stable")]
        return np.sort(order[:d])

    def trajectory(self, s0: ArrayLike, times: ArrayLike) -> NDArray[np.float64]:
        """Return the eigenvalues of the embedding's covariance over flow time (times, modes), from aligned weights.

        Args:
            s0: singular values of the initial weights, at least 0: (modes,) or one number.
            times: flow times, at least 0 (times,).

        Raises:
            InputError: for negative numbers, and another number of `s0`.
        """
        start, t = self._start(s0), np.atleast_1d(numbers("times", times, at_least=0))[:, None]
        level = np.where(self.levels > 0, self.levels, 1.0)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            share = 2 * np.log(start) + np.log(self._sigma) - np.log(level)
            logit = share - np.log1p(-np.exp(np.minimum(share, -1e-16)))
            rises = expit(logit + self.rates * t)
            falls = 1 / (1 + np.expm1(-share) * np.exp(-self.rates * t))
            # A mode that is not learned decays, exponentially while it is small.
            decays = np.exp(share + self.rates * t)
        return np.where(self.levels > 0, level * np.where(share < 0, rises, falls), decays)

    def step_times(self, s0: ArrayLike) -> NDArray[np.float64]:
        """Return the flow times at which the modes have half of their final sizes (modes,), `inf` for never.

        Args:
            s0: singular values of the initial weights, at least 0: (modes,) or one number.

        Raises:
            InputError: for negative numbers, and another number of `s0`.
        """
        start = self._start(s0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = 2 * np.log(start) + np.log(self._sigma) - np.log(self.levels)
            times = np.log(np.expm1(-np.minimum(share, -1e-300))) / self.rates
            # exp(-share) may overflow for tiny weights, where the -1 does not matter.
            times = np.where(share < -600, -share / self.rates, times)
        return np.where((self.rates > 0) & (self.levels > 0), np.maximum(times, 0.0), np.inf)

    def _start(self, s0: ArrayLike) -> NDArray[np.float64]:
        start = numbers("s0", s0, at_least=0)
        if start.ndim > 1 or start.size not in (1, len(self.rates)):
            raise InputError(
                f"s0 has shape {start.shape}; expected one number or one for each of {len(self.rates)} modes"
            )
        return np.broadcast_to(start, self.rates.shape)


def loss_modes(
    loss: Loss,
    gamma: ArrayLike,
    sigma: ArrayLike,
    *,
    temperature: float = 1.0,
    invariance: float = 2.0,
) -> LossModes:
    r"""Return rates and final values of the modes of a linear model under a loss.

    | | loss | rate | final eigenvalue of the covariance |
    |---|---|---|---|
    | `barlow_twins` | $\|W\Gamma W^\top - I\|_F^2$ | $8\gamma$ | $1/\rho$ |
    | `spectral_contrastive` | $-2\,\mathrm{tr}\,W\Gamma W^\top + \|W\Sigma W^\top\|_F^2$ | $8\gamma$ | $\rho$ |
    | `info_nce` | with dot products and temperature T, to fourth order | $4\gamma/T$ | $T\rho$ |
    | `squared_vicreg` | $\|W\Sigma W^\top - I\|_F^2 + k\,\mathrm{tr}\,W(\Sigma-\Gamma)W^\top$ | $8\sigma l$ | $l$ |
    | `two_encoders` | $\|W \Sigma_{xy} V^\top - I\|_F^2$, like CLIP | $4\gamma$ | 1 |

    with $\rho = \gamma/\sigma$ and $l = 1 - k(1-\rho)/2$. For two encoders $\gamma$ are the singular values of
    $\Sigma_{xy}$ and the eigenvalue is that of the cross-correlation. All but Barlow Twins and two encoders replace a
    learned direction i by one j of larger $\rho$, whose amplitude grows at the rate $4\sigma_j(\rho_j - \rho_i)$
    (spectral contrastive) or $2k\sigma_j(\rho_j - \rho_i)$ (VICReg). The final value of InfoNCE is off by 20 to 50 %,
    since the fourth order is not enough there.

    Args:
        loss: one of these names.
        gamma: eigenvalues of $\Gamma$ (modes,).
        sigma: eigenvalues of the covariance of one view (modes,), positive, in the same order; at least $\gamma$.
        temperature: T > 0.
        invariance: k >= 0; the weight of the mean squared distance of the views is k/2.

    Raises:
        InputError: for an unknown loss, or numbers out of range.

    Source: derived, and checked by integrating the flows; arXiv:2303.15438 has the first growth of InfoNCE and VICReg.

    >>> modes = loss_modes("spectral_contrastive", [3.0, 1.0, 0.9], [4.0, 2.0, 1.0])
    >>> modes.order.tolist(), modes.final(2).tolist()  # the second direction gives way to the third
    ([0, 1, 2], [0, 2])
    """
    choice("loss", loss, get_args(Loss))
    g = np.atleast_1d(numbers("gamma", gamma)).astype(np.float64)
    s = np.atleast_1d(numbers("sigma", sigma, above=0)).astype(np.float64)
    finite("gamma", g)
    if g.shape != s.shape or g.ndim != 1:
        raise InputError(
            f"gamma has shape {g.shape} and sigma {s.shape}; expected the same number of modes (modes,)"
        )
    T, k = one_number("temperature", temperature, above=0), one_number("invariance", invariance, at_least=0)
    if loss == "two_encoders" and (g < 0).any():
        raise InputError(f"gamma has the value {g.min():g}; expected singular values, which are at least 0")
    rho = g / s
    with np.errstate(divide="ignore"):
        rates, levels = {
            "barlow_twins": (8 * g, 1 / rho),
            "spectral_contrastive": (8 * g, rho),
            "info_nce": (4 * g / T, T * rho),
            "squared_vicreg": (8 * s - 4 * k * (s - g), 1 - k * (1 - rho) / 2),
            "two_encoders": (4 * g, np.ones_like(g)),
        }[loss]
    learned = rates > 0
    # For two encoders what is followed is the cross-correlation, gamma u.
    scale = g if loss == "two_encoders" else s
    replaces = loss in ("spectral_contrastive", "info_nce") or (loss == "squared_vicreg" and k > 0)
    return LossModes(loss, rates, np.where(learned, levels, 0.0), rho, replaces, scale)
