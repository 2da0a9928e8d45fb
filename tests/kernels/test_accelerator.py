"""The matrix of a large sample goes to a GPU where there is one; here the CPU stands in for it."""

import numpy as np
import pytest

from solvable.kernels import Gaussian, as_kernel, encoded
from solvable.kernels.gram import entry_rounding
from solvable.regression import LearningSurface

torch = pytest.importorskip("torch")


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "accelerator", lambda: torch.device("cpu"))
    monkeypatch.setattr(encoded, "WORTH_IT_FROM", 100)


@pytest.mark.usefixtures("pretended")
def test_large_samples_are_computed_in_single_precision_there() -> None:
    X = np.random.default_rng(0).standard_normal((120, 4))
    kernel = Gaussian(length_scale=2.0)
    found = encoded.large_gram(kernel, X)
    assert torch.is_tensor(found)
    assert entry_rounding(found) > 0
    assert np.abs(found.numpy() - kernel(X)).max() < 1e-6


@pytest.mark.usefixtures("pretended")
def test_small_samples_and_kernels_of_others_stay_here() -> None:
    X = np.random.default_rng(0).standard_normal((90, 4))
    assert isinstance(encoded.large_gram(Gaussian(length_scale=2.0), X), np.ndarray)
    mine = as_kernel(lambda X, Z: X @ Z.T)
    assert isinstance(encoded.large_gram(mine, np.vstack([X, X + 1])), np.ndarray)


@pytest.mark.usefixtures("pretended")
def test_a_surface_from_there_predicts_the_same() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)), rng.standard_normal(200)
    there = LearningSurface.from_kernel("laplace", X, y).predict([50, 200, 800], ridge=[0.01, 1])
    here = LearningSurface.from_gram(as_kernel("laplace").for_data(X)(X), y).predict(
        [50, 200, 800], ridge=[0.01, 1]
    )
    assert float(np.abs(there.test_mse / here.test_mse - 1).max()) < 1e-4
