"""The real thing: draws, and their means."""

import numpy as np
from numpy.typing import NDArray


def measured_squared_errors(
    n_train: tuple[int, ...], sd: tuple[float, ...], law: str, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return the squared error of 200 means each, `(n_train, sd)`."""
    mse = np.empty((len(n_train), len(sd)))
    for i, n in enumerate(n_train):
        draws = (
            generator.normal(size=(200, n))
            if law == "normal"
            else generator.uniform(-1, 1, (200, n)) * 3**0.5
        )
        mse[i] = np.square(draws.mean(axis=1)).mean() * np.square(sd)
    return mse
