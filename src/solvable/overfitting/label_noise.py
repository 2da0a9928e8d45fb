r"""Label noise: conversions of error and flip rates, channels, noise levels, and nested corruptions of labels.

A noise level $p$ is the share of samples whose label is corrupted. Under the symmetric channel a corrupted sample gets
one of the $K - 1$ *other* classes, each equally likely; resampling among all $K$ classes with probability $q$ is the
same with $p = q (K - 1)/K$. Any other channel is a matrix; row $i$ holds the distribution of the new label of a
corrupted sample of class $i$.

One draw fixes a random order of the samples and the new label of each; level $p$ corrupts the first $\lfloor pn + U
\rfloor$ samples, $U$ uniform on [0, 1). So the share is exact to one sample and unbiased, and two levels differ only by
the samples between them: curves over $p$ differ by noise alone.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, grid, numbers, one_number, whole
from solvable.datasets.labels import as_declared, complete_labels, refuse_one_class
from solvable.errors import InputError


def noise_rates(noise_level: ArrayLike, n_classes: int, name: str = "noise_level") -> NDArray[np.float64]:
    """Return flip rates as float64 of the same shape, each in [0, 1 - 1/K].

    Raises:
        InputError: when a rate lies outside.
    """
    rates = numbers(name, noise_level, at_least=0.0)
    most = chance_error(n_classes)
    # Grids such as linspace(0, 1 - 1/K, 5) may exceed the bound by rounding.
    if (rates > most + 1e-12).any():
        remedy = ", at which labels point away from the truth: convert it with resampled_noise if labels were redrawn "
        remedy = ": divide percentages by 100" if rates.max() > 1.0 else f"{remedy}among all classes"
        raise InputError(
            f"{name} is the probability that a label is replaced by another class, at most 1 - 1/K = {most:g} for "
            f"{n_classes} classes; got {rates.max():g}{remedy}"
        )
    return np.minimum(rates, most)


def shares(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as float64, each in [0, 1].

    Raises:
        InputError: when one lies outside.
    """
    array = numbers(name, values, at_least=0.0)
    if (array > 1.0).any():
        raise InputError(
            f"{name} must be at most 1, a share of the labels; got {array.max():g}: divide percentages by 100"
        )
    return array


def _information(rates: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Return the factor $1 - pK/(K-1)$."""
    return 1.0 - rates / chance_error(n_classes)


def chance_error(n_classes: int) -> float:
    """Return $1 - 1/K$, the error of a guess, and the flip rate at which labels carry no information.

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

    A measured $\tilde e$ may fluctuate below $p$; the result is then negative, so that means over trials are unbiased.

    Args:
        error: $\tilde e$, any shape.
        noise_level: flip rate $p$ of the test labels, in [0, 1 - 1/K); broadcasts with `error`.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range, or so large that test labels carry no information.

    Example:
        >>> round(noisy_to_clean(0.32, 0.2).item(), 12)
        0.2
    """
    rates = noise_rates(noise_level, n_classes)
    information = _information(rates, n_classes)
    if (information <= 0.0).any():
        raise InputError(
            f"test labels at a noise_level of {rates.max():g} carry no information with {n_classes} classes, so the "
            "clean error is unknown; test on cleaner labels"
        )
    return (numbers("error", error) - rates) / information


def compose_noise(first: ArrayLike, second: ArrayLike, n_classes: int = 2) -> NDArray[np.float64]:
    r"""Return the flip rate of two channels in a row: $1 - pK/(K-1)$ is the product of both factors.

    This is the noise of labels with noise `first` that are corrupted at rate `second`. Order does not matter.

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
    # Multiplied out, so that composition with no noise is exact even for small rates.
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
    return shares("share", share) * chance_error(n_classes)


Channel = Literal["symmetric"]

_MOST_NOISE = 10.0
_LEAST_NOISE = 1e-6


def channel_matrix(channel: "Channel | ArrayLike", n_classes: int) -> NDArray[np.float64]:
    r"""Return the matrix whose row i holds the probabilities of the label that a corrupted sample of class i gets.

    Args:
        channel: `symmetric`, or a matrix `(K, K)` with rows that sum to 1; on its diagonal are the probabilities that a
            corrupted sample keeps its label.
        n_classes: $K \ge 2$.

    Raises:
        InputError: for another word, shape, or rows that are not probabilities.

    Example:
        >>> channel_matrix("symmetric", 3).tolist()
        [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    """
    if isinstance(channel, str):
        if channel != "symmetric":
            raise InputError(
                f"unknown channel {channel!r}; expected 'symmetric' or a matrix of shape ({n_classes}, {n_classes})"
            )
        return (1.0 - np.eye(n_classes)) / (n_classes - 1)
    matrix = np.asarray(channel)
    if matrix.shape != (n_classes, n_classes) or matrix.dtype.kind not in "fiu":
        raise InputError(
            f"the channel has shape {matrix.shape}; expected one row and one column for each of {n_classes} classes"
        )
    matrix = matrix.astype(np.float64)
    finite("the channel", matrix, "give probabilities")
    off = np.abs(matrix.sum(axis=1) - 1.0) > 1e-6
    if (matrix < 0).any() or off.any():
        row = int(off.argmax())
        got = f"row {row} sums to {matrix[row].sum():.4g}" if off.any() else "one is negative"
        if not (matrix < 0).any() and (np.abs(matrix.sum(axis=0) - 1.0) <= 1e-6).all():
            got += "; its columns do, so give its transpose"
        raise InputError(f"rows of the channel must be probabilities that sum to 1; {got}")
    return matrix


def check_levels(
    noise_levels: ArrayLike, n_classes: int | None, matrix: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    r"""Return noise levels in rising order, each once, with 0 among them.

    Args:
        noise_levels: shares of corrupted labels, at most $1 - 1/K$ under the symmetric channel; for a number, standard
            deviations of the noise in units of the target's.
        n_classes: K, or None for a number.
        matrix: the channel, None for the symmetric one.

    Raises:
        InputError: for levels out of range, or none above 0.
    """
    levels = grid("noise_levels", noise_levels, at_least=0.0)
    finite("noise_levels", levels, "leave them out")
    if n_classes is not None:
        most, why = 1.0, "it is the share of samples that pass through the channel"
        if matrix is None:
            most = 1.0 - 1.0 / n_classes
            why = f"at 1 - 1/K labels of {n_classes} classes are pure noise, and anti-informative above"
        if (levels > most + 1e-12).any():
            why += "; it is a share: 20 % is 0.2" if levels.max() > 1 else ""
            raise InputError(f"noise level {levels.max():g} is too high; expected at most {most:.4g}: {why}")
    elif (levels > _MOST_NOISE).any():
        raise InputError(
            f"noise level {levels.max():g} is in standard deviations of the target; expected at most {_MOST_NOISE:g}, "
            "above which nothing can be learned: for 20 % of a standard deviation give 0.2"
        )
    if (low := (levels > 0) & (levels < _LEAST_NOISE)).any():
        raise InputError(
            f"noise level {levels[low].max():g} is too low to be measured; expected 0 or at least {_LEAST_NOISE:g}"
        )
    if not (levels > 0).any():
        raise InputError("noise_levels has no level above 0; give at least one, as in (0, 0.2)")
    return np.union1d(levels, [0.0])


def nested_flips(
    codes: NDArray[np.int64],
    noise_levels: NDArray[np.float64],
    matrix: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the labels at each noise level, `(levels, n)`; see the docstring of this module.

    Args:
        codes: clean labels as numbers from 0, `(n,)`.
        noise_levels: `(levels,)` in [0, 1].
        matrix: from `channel_matrix`.
        generator: random numbers.
    """
    n = len(codes)
    place, shift = generator.permutation(n), generator.random()
    # The new class, by the inverse of the row's distribution function.
    steps = np.cumsum(matrix, axis=1)
    steps[:, -1] = 1.0
    wrong = (generator.random(n)[:, None] >= steps[codes]).sum(axis=1)
    counts = np.floor(noise_levels * n + shift)
    return np.where(place < counts[:, None], wrong, codes)


def flip_labels(
    y: ArrayLike,
    noise_level: float,
    *,
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int | None = None,
) -> NDArray[Any]:
    r"""Return labels with a share of them corrupted; the share is exact to one sample.

    Args:
        y: labels `(n,)`: integers, text or booleans, of two classes or more.
        noise_level: share of labels to corrupt, from 0 to $1 - 1/K$ (a matrix: to 1).
        channel: distribution of a corrupted label: `symmetric`, one of the other classes, each equally likely; or a
            matrix `(K, K)` with a row for each class, in sorted order, that sums to 1.
        random_state: seed; with the same seed, labels corrupted at a low level are corrupted at a higher one too.

    Raises:
        InputError: for a level out of range, one class only, or an invalid channel.

    Example:
        >>> import numpy as np
        >>> clean = np.repeat(["cat", "dog"], 50)
        >>> int((flip_labels(clean, 0.2, random_state=0) != clean).sum())
        20
    """
    labels = as_declared(complete_labels(y), y)
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise InputError(
            f"labels must be one integer, text or boolean for each sample; got shape {labels.shape} of {labels.dtype}; "
            "add noise to numbers by hand"
        )
    classes, codes = np.unique(labels, return_inverse=True)
    refuse_one_class(classes)
    matrix = channel_matrix(channel, len(classes))
    level = one_number("noise_level", noise_level, at_least=0.0)
    if level == 0:
        return labels.copy()
    levels = check_levels(level, len(classes), None if isinstance(channel, str) else matrix)
    return classes[nested_flips(codes, levels, matrix, np.random.default_rng(random_state))[-1]]
