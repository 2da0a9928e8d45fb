r"""Symmetric label noise: what a rate means, and how errors on clean and on noisy labels turn into each other.

The channel: with probability $p$ a label becomes one of the $K - 1$ other classes, each equally likely. It shrinks
the information in a label by the factor $1 - pK/(K-1)$, and every formula here is that factor at work. At
$p = 1 - 1/K$ the factor is 0 and labels say nothing; above it they point away from the truth, which no function of
this wing takes for noise.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError, numbers
from solvable.kernels.inputs import whole


def noise_rates(noise_level: ArrayLike, n_classes: int, name: str = "noise_level") -> NDArray[np.float64]:
    """Return flip rates as float64 of the same shape, each in [0, 1 - 1/K].

    Raises:
        InputError: when a rate lies outside.
    """
    rates = numbers(name, noise_level, at_least=0.0)
    most = chance_error(n_classes)
    # Grids such as linspace(0, 1 - 1/K, 5) may end one rounding above the bound.
    if (rates > most + 1e-12).any():
        raise InputError(
            f"{name} is the probability that a label is replaced by another class, at most 1 - 1/K = {most:g} for "
            f"{n_classes} classes; got {rates.max():g}"
            + (
                ": divide percentages by 100"
                if rates.max() > 1.0
                else ", at which labels point away from the truth: convert it with resampled_noise if labels were "
                "redrawn among all classes"
            )
        )
    return np.minimum(rates, most)


def _information(rates: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Return the factor $1 - pK/(K-1)$."""
    return 1.0 - rates / chance_error(n_classes)


def chance_error(n_classes: int) -> float:
    """Return $1 - 1/K$, the error of a guess, and the flip rate at which labels say nothing.

    Args:
        n_classes: $K$, at least 2.

    Raises:
        InputError: when there are fewer than two classes.

    Example:
        >>> chance_error(2), chance_error(10)
        (0.5, 0.9)
    """
    return 1.0 - 1.0 / whole("n_classes", n_classes, at_least=2)


def clean_to_noisy(error: ArrayLike, noise_level: ArrayLike, n_classes: int = 2) -> NDArray[np.float64]:
    r"""Return $\tilde e = p + e\,(1 - pK/(K-1))$, the error against test labels that carry the noise too.

    Exact whenever test labels are flipped independently of the prediction.

    Args:
        error: $e$, test error against clean labels, any shape.
        noise_level: flip rate $p$ of the test labels, in [0, 1 - 1/K]; broadcasts with `error`.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range.

    Example:
        >>> clean_to_noisy(0.2, 0.2).item()  # 1-NN with 20 % noise: 2p(1-p)
        0.32
    """
    rates = noise_rates(noise_level, n_classes)
    return rates + numbers("error", error) * _information(rates, n_classes)


def noisy_to_clean(error: ArrayLike, noise_level: ArrayLike, n_classes: int = 2) -> NDArray[np.float64]:
    r"""Return $e = (\tilde e - p)/(1 - pK/(K-1))$, the error against clean labels, from that against noisy ones.

    A measured $\tilde e$ may fluctuate below $p$; the negative result is kept, so that means over trials stay right.

    Args:
        error: $\tilde e$, any shape.
        noise_level: flip rate $p$ of the test labels, in [0, 1 - 1/K); broadcasts with `error`.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range, or so large that test labels say nothing.

    Example:
        >>> round(noisy_to_clean(0.32, 0.2).item(), 12)
        0.2
    """
    rates = noise_rates(noise_level, n_classes)
    information = _information(rates, n_classes)
    if (information <= 0.0).any():
        raise InputError(
            f"test labels at a noise_level of {rates.max():g} say nothing with {n_classes} classes, so that no clean "
            "error can be read off them; expected a lower rate: test on cleaner labels"
        )
    return (numbers("error", error) - rates) / information


def compose_noise(first: ArrayLike, second: ArrayLike, n_classes: int = 2) -> NDArray[np.float64]:
    r"""Return the flip rate of two channels in a row: $1 - pK/(K-1)$ is the product of both factors.

    Labels that already carry noise `first`, corrupted at rate `second`, carry this much. Order does not matter.

    Args:
        first: a flip rate in [0, 1 - 1/K], any shape.
        second: another; broadcasts with the first.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range.

    Example:
        >>> round(compose_noise(0.1, 0.2).item(), 12)
        0.26
    """
    one, two = (noise_rates(rate, n_classes, name) for rate, name in ((first, "first"), (second, "second")))
    # Multiplied out, so that no noise leaves a small rate as it is, to the last digit.
    return one + two - one * two / chance_error(n_classes)


def resampled_noise(share: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    r"""Return $p = q (K-1)/K$, the flip rate when a share $q$ of labels is redrawn among ALL $K$ classes.

    Args:
        share: $q$, in [0, 1], any shape.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a share is out of range.

    Example:
        >>> round(resampled_noise(0.5, 10).item(), 12)
        0.45
    """
    shares = numbers("share", share, at_least=0.0)
    if (shares > 1.0).any():
        raise InputError(f"share must be at most 1; got {shares.max():g}: divide percentages by 100")
    return shares * chance_error(n_classes)
