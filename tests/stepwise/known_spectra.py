"""Embeddings whose spectrum is known: of random pairs, and of a linear model that is trained."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvable.stepwise import SpectrumTracker


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(
    scales: Any, generator: torch.Generator, n: int = 256, noise: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Two views with the cross-correlation diag(scales²), in expectation."""
    scales = torch.as_tensor(scales, dtype=torch.float32)
    shared = torch.randn(n, len(scales), generator=generator)
    a, b = (shared + noise * torch.randn(n, len(scales), generator=generator) for _ in range(2))
    return a * scales, b * scales


def fed(
    tracker: SpectrumTracker, scales: Callable[[int], Any], steps: range, **options: Any
) -> SpectrumTracker:
    generator = seeded(steps.start)
    for step in steps:
        tracker.update(*pairs(scales(step), generator, **options), step=step)
    return tracker


def spectrum(tracker: SpectrumTracker, record: int = -1) -> np.ndarray:
    return tracker.to_dataset().eigenvalue.values[record]


@dataclass
class Linear:
    """Gradient descent on the unnormalised loss of Barlow Twins with a linear model, on fresh pairs at each step.

    The views are x = s + noise with the same s, whose covariance has the eigenvalues `gammas` and zeros. With `exact`,
    the gradient is that of the expected loss.
    """

    gammas: list[float]
    dim: int = 6
    inputs: int = 20
    noise: float = 0.1
    batch_size: int = 256
    scale: float = 1e-3
    seed: int = 0
    exact: bool = False
    lr: float | None = None

    def __post_init__(self) -> None:
        self.generator = seeded(self.seed)
        gammas = torch.zeros(self.inputs, dtype=torch.float64)
        gammas[: len(self.gammas)] = torch.tensor(self.gammas)
        self.gamma, self.root = gammas, gammas.sqrt().float()
        shape = self.dim, self.inputs
        self.weights = self.scale * torch.randn(shape, generator=self.generator).double()
        # Noise in the gradient has to stay small.
        quiet = min(1.0, self.batch_size / max(2 * self.inputs * self.noise**2, 1e-9))
        self.rate = self.lr or 0.1 * quiet / (4 * max(self.gammas))

    def train(self, steps: int) -> Iterator[tuple[int, Tensor, Tensor, np.ndarray]]:
        """Yield each step, the embeddings of a batch, and the true eigenvalues; then change the weights."""
        identity = torch.eye(self.dim, dtype=torch.float64)
        for step in range(steps):
            truth = torch.linalg.eigvalsh((self.weights * self.gamma) @ self.weights.T).flip(0).numpy()
            shared = torch.randn(self.batch_size, self.inputs, generator=self.generator) * self.root
            a, b = (
                shared + self.noise * torch.randn(shared.shape, generator=self.generator) for _ in range(2)
            )
            w = self.weights.float()
            z_a, z_b = a @ w.T, b @ w.T
            yield step, z_a, z_b, truth
            if self.exact:
                w_gamma = self.weights * self.gamma
            else:
                a, b = (a - a.mean(0)).double(), (b - b.mean(0)).double()
                w_gamma = self.weights @ (a.T @ b + b.T @ a) / (2 * self.batch_size)
            c = w_gamma @ self.weights.T
            self.weights = self.weights - self.rate * 4 * (c - identity) @ w_gamma


def crossings(truth: np.ndarray) -> np.ndarray:
    """Steps at which the eigenvalues pass 1/2, by the logit between two steps; those that never do are left out."""
    steps = []
    for values in truth.T:
        after = np.flatnonzero(values >= 0.5)
        if len(after):
            i = after[0]
            low, high = (np.log(x / (1 - x)) for x in values[[i - 1, i]])
            steps.append(i - 1 - low / (high - low))
    return np.array(steps)
