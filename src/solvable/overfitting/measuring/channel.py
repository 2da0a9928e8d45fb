r"""Label noise: which label a corrupted sample gets, and corruptions that are nested from one noise level to the next.

A noise level $p$ is the share of samples whose label is corrupted. Under the symmetric channel a corrupted sample gets
one of the $K - 1$ *other* classes, each as likely; resampling among all $K$ classes with probability $q$ is the same
with $p = q (K - 1)/K$. Any other channel is a matrix whose row $i$ says what a corrupted sample of class $i$ becomes.

Within one draw every sample has a place in line and the class it would get; level $p$ corrupts the first $\lfloor pn +
U \rfloor$ in line, $U$ uniform on [0, 1). So the share is exact to one sample and unbiased, and two levels differ only
by the samples between them: curves over $p$ differ by noise alone.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.datasets.labels import split_missing
from solvable.errors import InputError, finite, grid, one_number

Channel = Literal["symmetric"]

_MOST_NOISE = 10.0


def channel_matrix(channel: "Channel | ArrayLike", n_classes: int) -> NDArray[np.float64]:
    r"""Return the matrix whose row i holds the probabilities of the label that a corrupted sample of class i gets.

    Args:
        channel: `symmetric`, or a matrix `(K, K)` with rows that sum to 1; its diagonal says how often a corrupted
            sample keeps its label.
        n_classes: $K \ge 2$.

    Raises:
        InputError: for another word, shape, or rows that are no probabilities.

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
        columns = not (matrix < 0).any() and bool((np.abs(matrix.sum(axis=0) - 1.0) <= 1e-6).all())
        got = (
            f"row {int(off.argmax())} sums to {matrix[off.argmax()].sum():.4g}"
            if off.any()
            else "one is negative"
        )
        raise InputError(
            f"rows of the channel must be probabilities that sum to 1; {got}"
            + ("; its columns do, so give its transpose" if columns else "")
        )
    return matrix


def check_levels(
    noise_levels: ArrayLike, n_classes: int | None, matrix: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    r"""Return noise levels in rising order, each once, with 0 among them.

    Args:
        noise_levels: shares of corrupted labels, at most $1 - 1/K$ under the symmetric channel; for a number, standard
            deviations of the noise in units of the target's.
        n_classes: K, or None for a number.
        matrix: the channel, where it is not the symmetric one.

    Raises:
        InputError: for levels out of range, or none above 0.
    """
    levels = grid("noise_levels", noise_levels, at_least=0.0)
    finite("noise_levels", levels, "leave them out")
    if n_classes is not None:
        most = 1.0 - 1.0 / n_classes if matrix is None else 1.0
        if (levels > most + 1e-12).any():
            why = (
                f"at 1 - 1/K = {most:.4g} labels of {n_classes} classes are pure noise, and anti-informative above"
                if matrix is None
                else "it is the share of samples that pass through the channel"
            )
            why += "; it is a share: 20 % is 0.2" if levels.max() > 1 else ""
            raise InputError(f"noise level {levels.max():g} is too high; expected at most {most:.4g}: {why}")
    elif (levels > _MOST_NOISE).any():
        raise InputError(
            f"noise level {levels.max():g} is in standard deviations of the target; expected at most {_MOST_NOISE:g}, "
            "beyond which nothing can be learned: for 20 % of a standard deviation give 0.2"
        )
    if not (levels > 0).any():
        raise InputError("noise_levels has no level above 0; expected at least one, as in (0, 0.2)")
    return np.union1d(levels, [0.0])


def nested_flips(
    codes: NDArray[np.int64],
    noise_levels: NDArray[np.float64],
    matrix: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the labels at each noise level, `(levels, n)`; see the head of this file.

    Args:
        codes: clean labels as numbers from 0, `(n,)`.
        noise_levels: `(levels,)` in [0, 1].
        matrix: from `channel_matrix`.
        generator: of random numbers.
    """
    n = len(codes)
    place, shift = generator.permutation(n), generator.random()
    # Which class it would get: the inverse of the row's distribution function.
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
    r"""Return labels of which a share is corrupted; the share is exact to one sample.

    Args:
        y: labels `(n,)`: integers, text or booleans, of two classes or more.
        noise_level: share of labels to corrupt, from 0 to $1 - 1/K$ (a matrix: to 1).
        channel: what a corrupted label becomes: `symmetric`, one of the other classes, each as likely; or a matrix
            `(K, K)`, its rows in the sorted order of the classes, that sum to 1.
        random_state: seed; with the same seed the labels that a low level corrupts are among those of a higher one.

    Raises:
        InputError: for a level out of range, one class only, or a channel that is none.

    Example:
        >>> import numpy as np
        >>> clean = np.repeat(["cat", "dog"], 50)
        >>> int((flip_labels(clean, 0.2, random_state=0) != clean).sum())
        20
    """
    labels, absent = split_missing(y)
    if absent.any():
        raise InputError(
            f"y has {int(absent.sum())} missing labels, the first at row {int(absent.argmax())}; drop these samples"
        )
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise InputError(
            f"labels must be one integer, text or boolean for each sample; got shape {labels.shape} of {labels.dtype}; "
            "add noise to numbers by hand"
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"labels hold {len(classes)} class; expected two or more, so that one can become another"
        )
    matrix = channel_matrix(channel, len(classes))
    level = one_number("noise_level", noise_level, at_least=0.0)
    if level == 0:
        return labels.copy()
    levels = check_levels(level, len(classes), None if isinstance(channel, str) else matrix)
    return classes[nested_flips(codes, levels, matrix, np.random.default_rng(random_state))[-1]]
