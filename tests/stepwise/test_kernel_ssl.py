"""`KernelSSL` next to dense linear algebra, primal solutions, kernel PCA and simulated training."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process.kernels import RBF
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from solvable.errors import InputError
from solvable.kernels import ConvNNGP, Gaussian, as_kernel
from solvable.stepwise.kernel_ssl import KernelSSL
from solvable.stepwise.lanczos import top_eigenpairs

DIGITS = load_digits().data / 16


def pairs(n: int, noise: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy views of n digits."""
    rng = np.random.default_rng(seed)
    X = DIGITS[rng.permutation(len(DIGITS))[:n]]
    return X + noise * rng.normal(size=X.shape), X + noise * rng.normal(size=X.shape)


def gram(model: KernelSSL) -> np.ndarray:
    """The kernel matrix of the views, centred as the model does, by matrix products."""
    K = model.kernel_(model.X_fit_)
    H = np.eye(len(K)) - 1 / len(K)
    return H @ K @ H if model.center else K


def textbook(K: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The paper's route: eigenvalues, the embeddings of the training views, and the smallest eigenvalue."""
    n = len(K) // 2
    values, Q = np.linalg.eigh(K)
    kept = values > 1e-12 * values[-1]
    inverse_root = (Q[:, kept] / np.sqrt(values[kept])) @ Q[:, kept].T
    Z = (K[:, :n] @ K[n:] + K[:, n:] @ K[:n]) / (2 * n)
    gamma, B = np.linalg.eigh(inverse_root @ Z @ inverse_root)
    top = np.argsort(gamma)[::-1][:k]
    return gamma[top], K @ inverse_root @ B[:, top] / np.sqrt(gamma[top]), gamma[0]


def correlation(embedding: np.ndarray) -> np.ndarray:
    """The cross-correlation of the two halves (2, n, d)."""
    C = embedding[0].T @ embedding[1] / embedding.shape[1]
    return (C + C.T) / 2


KERNELS = ["gaussian", "laplace", "linear", "relu ntk", 0.1 * RBF(3.0), lambda X, Z: np.exp(-cdist(X, Z))]


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_the_textbook_solution(kernel, center) -> None:
    n = 210 if kernel == "laplace" else 90  # beyond 200 pairs by Lanczos' method, below by dense matrices
    model = KernelSSL(kernel, 6, center).fit(*pairs(n))
    gamma, embedding, smallest = textbook(gram(model), 6)
    ours = model.embedding_.reshape(2 * n, 6)
    np.testing.assert_allclose(model.eigenvalues_, gamma, rtol=1e-9)
    assert model.noise_level_ == pytest.approx(-smallest, rel=1e-3)
    assert subspace_angles(ours, embedding).max() < 1e-7
    np.testing.assert_allclose(np.abs(ours.T @ embedding), np.abs(embedding.T @ embedding), atol=1e-4)
    np.testing.assert_allclose(correlation(model.embedding_), np.eye(6), atol=1e-10)
    np.testing.assert_allclose(gram(model) @ model.dual_coef_, ours, atol=1e-9)


@pytest.mark.parametrize(("kernel", "k"), [("laplace", 8), ("gaussian", 2)])
def test_a_space_much_smaller_than_the_matrix_is_enough(kernel, k) -> None:
    """Without centring, so that the largest eigenvalue is found long before the smallest."""
    K = as_kernel(kernel)(np.concatenate(pairs(300)))
    gamma, _, smallest = textbook(K, k)
    found = top_eigenpairs(K, k)
    np.testing.assert_allclose(found.eigenvalues, gamma, rtol=1e-11)
    assert found.smallest == pytest.approx(smallest, rel=1e-3, abs=1e-3 * gamma[-1])
    S = np.roll(np.eye(600), 300, axis=0)
    np.testing.assert_allclose(S @ found.products, 600 * found.vectors * found.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(found.vectors.T @ K @ found.vectors, np.eye(k), atol=1e-12)


def test_small_eigenvalues_are_found_too() -> None:
    """Features whose scales span five decades, so eigenvalues ten."""
    scales = 10.0 ** -np.arange(6)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)) * scales
    X2 = X + 0.3 * rng.normal(size=(300, 6)) * scales
    model = KernelSSL("linear", 6, center=False).fit(X, X2)
    gamma = np.linalg.eigvalsh((X.T @ X2 + X2.T @ X) / 600)[::-1]
    np.testing.assert_allclose(model.eigenvalues_, gamma, rtol=1e-4)
    np.testing.assert_allclose(correlation(model.embedding_), np.eye(6), atol=1e-8)


def test_a_large_mean_does_no_harm() -> None:
    X, X2 = pairs(60)
    near = KernelSSL("linear", 3).fit(X, X2).transform(DIGITS[:20])
    far = KernelSSL("linear", 3).fit(X + 1e4, X2 + 1e4).transform(DIGITS[:20] + 1e4)
    np.testing.assert_allclose(far, near, atol=1e-4)


@pytest.mark.parametrize("center", [True, False])
def test_a_linear_kernel_is_the_primal_solution(center) -> None:
    X, X2 = pairs(200)
    model = KernelSSL("linear", 5, center).fit(X, X2)
    mean = (X.mean(axis=0) + X2.mean(axis=0)) / 2 * center
    gamma, V = np.linalg.eigh(((X - mean).T @ (X2 - mean) + (X2 - mean).T @ (X - mean)) / 400)
    np.testing.assert_allclose(model.eigenvalues_, gamma[::-1][:5], rtol=1e-11)
    assert model.noise_level_ == pytest.approx(-gamma[0], rel=1e-3)
    new = DIGITS[-50:]
    expected = (new - mean) @ V[:, ::-1][:, :5] / np.sqrt(gamma[::-1][:5])
    ours = model.transform(new)
    np.testing.assert_allclose(ours, expected * np.sign((ours * expected).sum(axis=0)), atol=1e-9)


def test_equal_views_are_whitened_kernel_pca() -> None:
    X, new = pairs(150)
    model = KernelSSL(Gaussian(2.0), 6).fit(X, X)
    peer = KernelPCA(6, kernel="rbf", gamma=1 / 8).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, peer.eigenvalues_ / 150, rtol=1e-10)
    expected = peer.transform(new) / np.sqrt(peer.eigenvalues_ / 150)
    ours = model.transform(new)
    np.testing.assert_allclose(ours, expected * np.sign((ours * expected).sum(axis=0)), atol=1e-8)
    assert model.noise_level_ == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 9),
    st.integers(1, 5),
    st.integers(1, 7),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 10**6),
)
def test_any_shape_and_rank(n, d, k, center, rank, seed) -> None:
    """Linear kernels of views whose second is a copy, the opposite, constant, or another draw."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X2 = [X, -X, np.ones((n, d)), rng.normal(size=(n, d))][rank]
    model = KernelSSL("linear", k, center).fit(X, X2)
    mean = (X.mean(axis=0) + X2.mean(axis=0)) / 2 * center
    gamma = np.linalg.eigvalsh(((X - mean).T @ (X2 - mean) + (X2 - mean).T @ (X - mean)) / (2 * n))[::-1]
    expected = np.zeros(k)
    expected[: min(k, d)] = np.maximum(gamma[:k], 0)
    np.testing.assert_allclose(model.eigenvalues_, expected, atol=1e-12 * max(np.abs(gamma).max(), 1))
    assert model.noise_level_ == pytest.approx(max(0.0, -gamma[-1]), rel=1e-3, abs=1e-12)
    learned = model.eigenvalues_ > 1e-6
    np.testing.assert_allclose(
        correlation(model.embedding_)[learned][:, learned], np.eye(learned.sum()), atol=1e-9
    )
    assert not model.embedding_[..., model.eigenvalues_ == 0].any()
    np.testing.assert_allclose(
        model.transform(X), model.embedding_[0], atol=1e-6 * np.abs(model.embedding_).max()
    )


def far_apart(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of numbers far from each other: the eigenvalues are (+-1 + k(x, x')) / 2n, one of each for every pair."""
    X = 1e3 * np.arange(len(distances))[:, None]
    return X, X + distances[:, None]


def few_digits(change: float) -> tuple[np.ndarray, np.ndarray]:
    X = DIGITS[:250]
    return X, X + change * np.random.default_rng(0).normal(size=X.shape)


RANDOM = np.random.default_rng(0).normal(size=(250, 40))
SHARED = 3 * RANDOM[:, :1] * np.eye(300)[:1]
HARD = {
    "one direction above the noise": (
        "linear",
        tuple(SHARED + np.random.default_rng(i).normal(size=(250, 300)) for i in (1, 2)),
    ),
    "a wide kernel of few views": (
        Gaussian(50.0),
        (RANDOM[:30, :4], RANDOM[30:60, :4]),
    ),
    "few features": ("linear", (RANDOM[:, :3], RANDOM[:, 3:6])),
    "opposite views": ("linear", (RANDOM, -RANDOM)),
    "equal views": ("laplace", few_digits(0.0)),
    "almost equal views": ("gaussian", few_digits(1e-6)),
    "views that share nothing": ("gaussian", (RANDOM[:, :4], RANDOM[:, 4:8])),
    "a wide kernel": (Gaussian(100.0), few_digits(0.2)),
    "a narrow kernel": (Gaussian(0.05), few_digits(0.02)),
    "a narrow kernel of almost equal views": (Gaussian(0.05), few_digits(1e-6)),
    "every pair five times": (
        "gaussian",
        (np.tile(RANDOM[:50, :5], (5, 1)), np.tile(RANDOM[:50, 5:10], (5, 1))),
    ),
    "40 equal eigenvalues of 300": (
        Gaussian(1.0),
        far_apart(np.r_[np.full(40, 0.3), np.linspace(0.5, 3, 260)]),
    ),
    "two eigenvalues, 125 times each": (Gaussian(1.0), far_apart(np.repeat([0.5, 1.0], 125))),
    "points as far from each other as all others": (Gaussian(1.0), (np.eye(250), np.eye(250))),
}


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("name", HARD)
def test_every_eigenvalue_is_found_in_hard_cases(name, center) -> None:
    kernel, views = HARD[name]
    for k in (1, 30):
        model = KernelSSL(kernel, k, center).fit(*views)
        values, Q = np.linalg.eigh(gram(model))
        root = Q * np.sqrt(np.maximum(values, 0))
        operator = root.T @ np.roll(root, len(values) // 2, axis=0) / len(values)
        gamma = np.linalg.eigvalsh((operator + operator.T) / 2)
        scale = np.abs(gamma).max()
        np.testing.assert_allclose(
            model.eigenvalues_, np.maximum(gamma[::-1][:k], 0), atol=1e-11 * scale + 1e-13
        )
        limit = 1e-3 * max(abs(gamma[0]), gamma[-k], 1e-9 * scale)
        assert model.noise_level_ == pytest.approx(max(-gamma[0], 0), abs=limit)
        learned = model.eigenvalues_ > 1e-8 * scale
        C = correlation(model.embedding_)[learned][:, learned]
        np.testing.assert_allclose(C, np.eye(len(C)), atol=1e-8)


def test_repeated_pairs_change_nothing() -> None:
    X, X2 = pairs(60)
    once = KernelSSL(Gaussian(2.0), 5).fit(X, X2)
    thrice = KernelSSL(Gaussian(2.0), 5).fit(np.tile(X, (3, 1)), np.tile(X2, (3, 1)))
    np.testing.assert_allclose(thrice.eigenvalues_, once.eigenvalues_, rtol=1e-11)
    assert thrice.noise_level_ == pytest.approx(once.noise_level_, rel=1e-3)
    np.testing.assert_allclose(thrice.transform(DIGITS[:9]), once.transform(DIGITS[:9]), atol=1e-8)


def test_what_is_never_learned_is_zero() -> None:
    X, X2 = pairs(30)
    model = KernelSSL("linear", 5).fit(X[:, 20:23], X2[:, 20:23])
    assert (model.eigenvalues_ > 0).tolist() == [True, True, True, False, False]
    assert not model.transform(X[:, 20:23])[:, 3:].any()
    assert not model.transform(X[:, 20:23], time=100.0, init_scale=1e-3)[:, 3:].any()
    assert np.isinf(model.step_times(1e-3)).tolist() == [False, False, False, True, True]
    opposite = KernelSSL("linear", 3).fit(X, -X)
    assert not opposite.eigenvalues_.any()
    assert not opposite.transform(X).any()
    assert opposite.noise_level_ > 0
    same = np.full((7, 3), 0.1)
    constant = KernelSSL("linear", 2).fit(same, same)
    assert not constant.eigenvalues_.any()
    assert not constant.transform(np.eye(3)).any()


def test_simulated_training_takes_the_predicted_steps() -> None:
    """Flow of the loss in function space from small random functions, on digits, without centring."""
    n, d, alpha = 150, 5, 1e-5
    model = KernelSSL("gaussian", d, center=False).fit(*pairs(n))
    K = gram(model)
    for seed in range(2):
        start = (
            alpha
            * np.linalg.cholesky(K + 1e-10 * np.eye(2 * n))
            @ np.random.default_rng(seed).normal(size=(2 * n, d))
        )
        vectors = model.dual_coef_ * np.sqrt(model.eigenvalues_)
        predicted = model.step_times(np.abs(np.diag(np.linalg.qr(start.T @ vectors, mode="r"))))

        def flow(_: float, flat: np.ndarray) -> np.ndarray:
            F = flat.reshape(2 * n, d)
            C = (F[:n].T @ F[n:] + F[n:].T @ F[:n]) / (2 * n)
            return (-2 / n * K @ np.concatenate([F[n:], F[:n]]) @ (C - np.eye(d))).ravel()

        times = np.linspace(0, 1.2 * predicted.max(), 4000)
        run = solve_ivp(flow, times[[0, -1]], start.ravel(), "RK45", times, rtol=1e-6, atol=1e-6 * alpha)
        F = run.y.T.reshape(-1, 2, n, d)
        C = np.einsum("tia,tib->tab", F[:, 0], F[:, 1]) / n
        values = np.linalg.eigvalsh((C + C.transpose(0, 2, 1)) / 2)[:, ::-1]
        measured = [np.interp(0.5, values[:, j], times) for j in range(d)]
        np.testing.assert_allclose(measured, np.sort(predicted), rtol=0.005)


@pytest.mark.parametrize("center", [True, False])
def test_embeddings_on_the_way_are_those_of_simulated_training(center) -> None:
    n, d, time = 40, 3, 300.0
    model = KernelSSL("gaussian", d, center).fit(*pairs(n))
    K, scales = gram(model), np.array([1e-2, 2e-2, 3e-2])

    def flow(_: float, flat: np.ndarray) -> np.ndarray:
        """Coefficients of f = sum_i k(x, x_i) A_i."""
        A = flat.reshape(2 * n, d)
        F = K @ A
        C = (F[:n].T @ F[n:] + F[n:].T @ F[:n]) / (2 * n)
        return (-2 / n * np.concatenate([F[n:], F[:n]]) @ (C - np.eye(d))).ravel()

    start = model.dual_coef_ * np.sqrt(model.eigenvalues_) * scales
    for t in (0.0, model.step_times(scales)[1], time):
        A = solve_ivp(flow, (0, t), start.ravel(), "DOP853", rtol=1e-9, atol=1e-12).y[:, -1].reshape(2 * n, d)
        k = model.kernel_(DIGITS[-20:], model.X_fit_)
        if center:
            k = k - model.kernel_(model.X_fit_).mean(axis=0)
            A = A - A.mean(axis=0)
        np.testing.assert_allclose(model.transform(DIGITS[-20:], t, scales), k @ A, atol=1e-6)
    np.testing.assert_allclose(
        model.transform(DIGITS[:5], time=1e6, init_scale=1e-2), model.transform(DIGITS[:5]), rtol=1e-12
    )


def test_new_points_come_in_blocks_and_old_ones_are_where_they_were() -> None:
    X, X2 = pairs(50)
    model = KernelSSL(n_components=4).fit(X, X2)
    many = np.tile(np.concatenate([X, X2]), (30, 1))
    expected = np.tile(model.embedding_.reshape(100, 4), (30, 1))
    np.testing.assert_allclose(model.transform(many), expected, atol=1e-9)
    np.testing.assert_allclose(KernelSSL(n_components=4).fit_transform(X, X2), model.embedding_[0], atol=1e-9)


def test_fits_are_repeatable_and_signs_are_fixed() -> None:
    X, X2 = pairs(60)
    first, second = (KernelSSL(n_components=5).fit(X, X2) for _ in range(2))
    np.testing.assert_array_equal(first.embedding_, second.embedding_)
    flat = first.embedding_.reshape(120, 5)
    assert (flat.max(axis=0) >= -flat.min(axis=0)).all()
    # Odd functions of symmetric points are as large at x as at -x.
    odd = KernelSSL("linear", 20, center=False).fit(np.r_[X, -X], np.r_[X2, -X2]).embedding_.reshape(240, 20)
    size = np.abs(odd)
    assert (odd[(size > 0.999999 * size.max(axis=0)).argmax(axis=0), np.arange(20)] > 0).all()
    exchanged = KernelSSL(n_components=5).fit(X2, X)
    np.testing.assert_allclose(exchanged.embedding_[::-1], first.embedding_, atol=1e-8)


class OfEqualViews(KernelSSL):
    """Scikit-learn's checks have no second views."""

    def fit(self, X, y=None):
        return super().fit(X, X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([OfEqualViews(n_components=2), OfEqualViews("linear", 1, center=False)])
def test_scikit_learn_is_content(estimator, check) -> None:
    check(estimator)


def test_it_is_a_transformer_of_scikit_learn() -> None:
    X, X2 = pairs(40)
    model = clone(KernelSSL("laplace", 2, center=False)).set_params(n_components=3)
    assert model.get_params() == {"kernel": "laplace", "n_components": 3, "center": False}
    pipeline = make_pipeline(MinMaxScaler(feature_range=(0, 3)), model).fit(X, X2)
    expected = clone(model).fit(MinMaxScaler((0, 3)).fit_transform(X), X2)
    np.testing.assert_allclose(pipeline[:-1].transform(X), expected.X_fit_[:40])
    np.testing.assert_allclose(pipeline.transform(X), expected.embedding_[0], atol=1e-9)
    table, other = pd.DataFrame(X).add_prefix("pixel "), pd.DataFrame(X2).add_prefix("pixel ")
    model.set_output(transform="pandas").fit(table, other)
    assert model.transform(table).columns.tolist() == ["kernelssl0", "kernelssl1", "kernelssl2"]
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).transform(table), model.transform(table))
    np.testing.assert_allclose(
        KernelSSL().fit(table, X2).eigenvalues_, KernelSSL().fit(X, other).eigenvalues_
    )
    with pytest.raises(ValueError, match="feature names"):
        model.fit(table, other.iloc[:, ::-1])
    with pytest.raises(ValueError, match="feature names"):
        model.transform(table.iloc[:, ::-1])


def test_lists_tensors_and_images() -> None:
    import torch

    X, X2 = pairs(20)
    expected = KernelSSL(n_components=3).fit(X, X2)
    for views in ((X.tolist(), X2.tolist()), (torch.tensor(X, requires_grad=True), torch.tensor(X2))):
        np.testing.assert_allclose(KernelSSL(n_components=3).fit(*views).embedding_, expected.embedding_)
    np.testing.assert_allclose(expected.transform(torch.tensor(X)), expected.transform(X))
    images = X.reshape(20, 8, 8, 1), X2.reshape(20, 8, 8, 1)
    with pytest.raises(InputError, match="flatten images first"):
        KernelSSL().fit(*images)
    model = KernelSSL(ConvNNGP(1), 3).fit(*images)
    np.testing.assert_allclose(model.transform(images[1]), model.embedding_[1], atol=1e-8)


X, X2 = pairs(12)
HOLE = np.where(np.arange(64) == 3, np.nan, X)


@pytest.mark.parametrize(
    ("options", "views", "sentence"),
    [
        ({}, (X, X2[:-1]), r"X has shape \(12, 64\) and X2 has \(11, 64\); expected the same, row i of each"),
        ({}, (X, X2[:, :-1]), r"X2 has \(12, 63\)"),
        ({}, (X, np.arange(12)), r"X2 has \(12,\)"),
        ({}, (X, None), "X2 is missing"),
        ({}, (HOLE, X2), "X has 12 values that are NaN or infinite, the first at row 0, column 3"),
        ({}, (X, HOLE), "X2 has 12 values that are NaN or infinite, the first at row 0, column 3"),
        ({}, (X[:1], X2[:1]), "minimum of 2"),
        ({}, (X[0], X2[0]), "Expected 2D array"),
        ({"n_components": 0}, (X, X2), "n_components must be a whole number of at least 1; got 0"),
        ({"kernel": "gausian"}, (X, X2), "did you mean 'gaussian'"),
        ({"kernel": lambda X, Z: -X @ Z.T}, (X, X2), "the kernel matrix has the eigenvalue -"),
        ({"kernel": lambda X, Z: np.tanh(X @ Z.T - 2), "center": False}, (X, X2), "has the eigenvalue -"),
        ({"kernel": lambda X, Z: -cdist(X, Z), "center": False}, (X, X2), "has the eigenvalue -"),
        (
            {"kernel": lambda X, Z: X[:, :3] @ Z[:, :3].T - 1e-5 * (cdist(X, Z) == 0)},
            (X, X2),
            "has the eigenvalue -",
        ),
        ({"kernel": lambda X, Z: X}, (X, X2), "returned shape"),
    ],
)
def test_bad_input_is_one_sentence(options, views, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        KernelSSL(**options).fit(*views)


def test_bad_times_and_scales() -> None:
    model = KernelSSL(n_components=2).fit(X, X2)
    for arguments, sentence in (
        ({"time": 1.0}, "only one of time and init_scale"),
        ({"init_scale": 1.0}, "only one of time and init_scale"),
        ({"time": -1.0, "init_scale": 1e-3}, "time must be at least 0"),
        ({"time": 1.0, "init_scale": -1e-3}, "init_scale must be at least 0"),
        ({"time": 1.0, "init_scale": [1e-3] * 3}, "expected one number or 2, one for each"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.transform(X, **arguments)
    with pytest.raises(InputError, match="init_scale must be at least 0"):
        model.step_times(-1.0)


def test_a_kernel_that_only_centring_makes_positive_is_taken() -> None:
    model = KernelSSL(lambda X, Z: -cdist(X, Z), 4).fit(*pairs(60))
    np.testing.assert_allclose(model.eigenvalues_, textbook(gram(model), 4)[0], rtol=1e-8)


def test_too_little_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solvable.machine.free_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"KernelSSL on 120 pairs needs about .* fit fewer pairs"):
        KernelSSL().fit(*pairs(120))
