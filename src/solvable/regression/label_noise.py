r"""Learning surfaces for labels that are noisier than those of the sample.

Independent noise of variance $s$ in the labels, summed over outputs, adds $s$ to both biases, $B_1 \to B_1 + s$ and
$B_2 \to B_2 + s$: no mode can learn it. Nothing else changes, since $z$ and $g$ depend on the inputs alone.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import numbers
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.surface import LearningSurface
from solvable.spectra import SpectralSums


def with_label_noise(surface: LearningSurface, variance: float) -> LearningSurface:
    r"""Return the surface of the same task with more noise in its labels.

    Predicted test errors are measured against equally noisy labels; against labels with the sample's noise they are
    `variance` less. Error rates are not predicted: such noise changes numbers, it does not swap classes.

    Args:
        surface: of the sample with its own labels.
        variance: $s \ge 0$, of the additional noise, summed over outputs, in the units of the test error.

    Raises:
        InputError: when the variance is negative or not finite.

    Example:
        Where nothing is learned, the noise adds to the test error:

        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
        >>> clean = LearningSurface.from_kernel("laplace", X, y)
        >>> noisy = with_label_noise(clean, 1.0)
        >>> more = noisy.predict(100, ridge=1e6).test_mse - clean.predict(100, ridge=1e6).test_mse
        >>> float(more.squeeze().round(3))
        1.0
    """
    variance = float(numbers("the variance of the label noise", variance, at_least=0.0))
    if variance == 0.0:
        return surface
    values: dict[str, Any] = {field.name: getattr(surface, field.name) for field in fields(LearningSurface)}
    values["rates"] = None
    return _NoisySurface(**values, label_noise=variance)


@dataclass(frozen=True, eq=False, repr=False)
class _NoisySurface(LearningSurface):
    label_noise: float = 0.0

    @cached_property
    def curves(self) -> EstimatedCurves:
        return _NoisyCurves(self.statistics, self.label_noise)


@dataclass(frozen=True, eq=False)
class _NoisyCurves(EstimatedCurves):
    label_noise: float = 0.0

    def sums(self, log_kappa: NDArray[np.float64]) -> SpectralSums:
        return _noisier(super().sums(log_kappa), self.label_noise)

    def replicate_sums(self, log_kappa: NDArray[np.float64]) -> SpectralSums:
        return _noisier(super().replicate_sums(log_kappa), self.label_noise)

    def doubt(self, log_kappa: NDArray[np.float64]) -> NDArray[np.float64]:
        # The doubt is about the logarithm of the sample's own B2; the additional noise is known.
        own = super().sums(log_kappa).squared_bias
        return super().doubt(log_kappa) * own / (own + self.label_noise)


def _noisier(sums: SpectralSums, variance: float) -> SpectralSums:
    return sums._replace(linear_bias=sums.linear_bias + variance, squared_bias=sums.squared_bias + variance)
