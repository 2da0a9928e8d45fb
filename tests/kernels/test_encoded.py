"""`EncodedKernel`: the kernel of raw inputs is the kernel of what its encoder makes of them, features too."""

import pickle

import numpy as np
import pandas as pd
import pytest

from solvable.datasets import from_arrays
from solvable.errors import InputError
from solvable.kernels import ArcCosine, CallableKernel, Gaussian, Laplace, Linear, as_kernel
from solvable.kernels.encoded import EncodedKernel
from solvable.regression import LearningSurface, measure

RNG = np.random.default_rng(0)
N = 80
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(50, 9, N),
        "city": RNG.choice(["Rome", "Oslo", "Bern"], N),
        "year": RNG.integers(1990, 2020, N),
    }
)
Y = RNG.normal(size=N)
DATA = from_arrays(TABLE, Y)
IMAGES = RNG.random((40, 5, 5))


def scaled_by_hand(table: pd.DataFrame) -> np.ndarray:
    """Return numbers scaled to mean 0 and deviation 1, one-hot columns centred to total variance 1."""
    numbers = TABLE[["size", "year"]].to_numpy(dtype=float)
    hot, all_hot = (
        np.stack([frame.city == city for city in ("Bern", "Oslo", "Rome")], axis=1).astype(float)
        for frame in (table, TABLE)
    )
    hot = (hot - all_hot.mean(axis=0)) / np.sqrt(all_hot.var(axis=0).sum())
    return np.hstack(
        [(table[["size", "year"]].to_numpy(dtype=float) - numbers.mean(axis=0)) / numbers.std(axis=0), hot]
    )


@pytest.mark.parametrize(
    "kernel", [Linear(), Gaussian(length_scale=2.0), Laplace(length_scale=1.5), ArcCosine()]
)
def test_it_is_the_kernel_of_scaled_inputs(kernel) -> None:
    raw = EncodedKernel(kernel, DATA.encoder)
    some, others = TABLE.iloc[:30], TABLE.iloc[30:]
    np.testing.assert_allclose(
        raw(some, others), kernel(scaled_by_hand(some), scaled_by_hand(others)), atol=1e-10
    )
    np.testing.assert_allclose(raw(some), kernel(scaled_by_hand(some)), atol=1e-10)
    np.testing.assert_allclose(raw.diag(some), np.diagonal(raw(some)), rtol=1e-12)
    matrix = raw(some)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(raw(some, some), matrix)


def test_columns_come_in_any_order_with_others_beside_them() -> None:
    raw = EncodedKernel(Gaussian(length_scale=2.0), DATA.encoder)
    other = TABLE[["year", "city", "size"]].assign(more="x")
    np.testing.assert_array_equal(raw(other), raw(TABLE))


def test_images_are_flattened() -> None:
    data = from_arrays(IMAGES, RNG.normal(size=40))
    raw = EncodedKernel(Gaussian(length_scale=5.0), data.encoder)
    flat = (IMAGES.reshape(40, 25) - IMAGES.mean()) / IMAGES.std()
    np.testing.assert_allclose(raw(IMAGES), Gaussian(length_scale=5.0)(flat), rtol=1e-10)


@pytest.mark.parametrize("kernel", [Gaussian(length_scale=2.0), ArcCosine()])
def test_random_features_estimate_it(kernel) -> None:
    raw = EncodedKernel(kernel, DATA.encoder)
    phi = raw.features(20_000, random_state=0)
    assert phi.n_features == 20_000
    Z = phi(TABLE)
    exact = raw(TABLE)
    scale = np.abs(np.diagonal(exact)).max()
    # Each entry is a mean of 20 000 terms.
    assert np.abs(Z @ Z.T - exact).max() < 0.05 * scale
    np.testing.assert_array_equal(Z, kernel.features(20_000, random_state=0)(DATA.encoder.transform(TABLE)))
    np.testing.assert_array_equal(phi(TABLE), Z)


def test_a_kernel_without_features_has_none_here_either() -> None:
    brought = CallableKernel(lambda X, Z: X @ Z.T)
    with pytest.raises(InputError, match="CallableKernel has no random features"):
        EncodedKernel(brought, DATA.encoder).features(10)


def test_it_is_a_value() -> None:
    one, other = (EncodedKernel(Gaussian(length_scale=2.0), DATA.encoder) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != EncodedKernel(Gaussian(length_scale=3.0), DATA.encoder)
    assert repr(one) == "EncodedKernel(kernel=Gaussian(length_scale=2.0))"
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again(TABLE), one(TABLE))


def test_it_serves_where_a_kernel_does() -> None:
    X = RNG.normal(3, 5, (N, 4))
    data = from_arrays(X, Y)
    raw = EncodedKernel(as_kernel("laplace").for_data(data.X), data.encoder)
    assert as_kernel(raw) is raw
    assert raw.resolved
    one = LearningSurface.from_kernel(raw, X, Y).predict([20, 80], ridge=[0.1, 1]).test_mse
    other = LearningSurface.from_kernel(raw.kernel, data.X, Y).predict([20, 80], ridge=[0.1, 1]).test_mse
    np.testing.assert_allclose(one, other, rtol=1e-9)
    grid = {"n_train": [20, 40], "n_features": [30, np.inf], "ridge": 1.0}
    np.testing.assert_allclose(
        measure(raw, X, Y, **grid).test_mse, measure(raw.kernel, data.X, Y, **grid).test_mse, rtol=1e-9
    )


def test_an_unresolved_kernel_says_so_and_takes_its_numbers_from_encoded_data() -> None:
    raw = EncodedKernel(Gaussian(), DATA.encoder)
    assert not raw.resolved
    found = raw.for_data(TABLE)
    assert found.resolved
    assert found.kernel == Gaussian().for_data(DATA.encoder.transform(TABLE))
