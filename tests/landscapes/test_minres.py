"""`minres_qlp` against pseudo-inverses, SciPy's `minres`, and residuals computed apart from it."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator, minres

from solvable.errors import InputError
from solvable.landscapes.minres import minres_qlp, solve_batch

SOLVED = ("solution", "least-squares solution")


def symmetric(eigenvalues, rng):
    """Return a matrix with these eigenvalues and random eigenvectors."""
    Q = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))[0]
    A = Q * eigenvalues @ Q.T
    return (A + A.T) / 2


def systems():
    """Return A, b and the rank of A by name."""
    rng = np.random.default_rng(3)
    normal = rng.standard_normal
    low = symmetric(np.r_[normal(25), np.zeros(15)], rng)
    kernel = np.linalg.svd(low)[0][:, 25:]
    u = normal(20)
    indefinite = symmetric(normal(30), rng)
    path = 2 * np.eye(20) - np.eye(20, k=1) - np.eye(20, k=-1)
    path[0, 0] = path[-1, -1] = 1
    signs = np.sign(normal(30))
    return {
        "definite": (symmetric(rng.uniform(0.5, 3, 30), rng), normal(30), 30),
        "indefinite": (indefinite, normal(30), 30),
        "rank 25, consistent": (low, low @ normal(40), 25),
        "rank 25, inconsistent": (low, normal(40), 25),
        "geometric spectrum": (symmetric(np.geomspace(1e-2, 6, 30), rng), normal(30), 30),
        "rank 1, consistent": (np.outer(u, u), np.outer(u, u) @ normal(20), 1),
        "rank 1, inconsistent": (np.outer(u, u), normal(20), 1),
        "1 x 1": (np.array([[-2.5]]), np.array([2.0]), 1),
        "zero matrix": (np.zeros((7, 7)), normal(7), 0),
        "identity": (np.eye(9), normal(9), 9),
        "plus and minus 1": (np.diag(np.r_[np.ones(4), -np.ones(5)]), normal(9), 9),
        "exchange": (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0]), 2),
        "b in the kernel": (low, kernel @ normal(15), 25),
        "b an eigenvector": (indefinite, 2 * np.linalg.eigh(indefinite)[1][:, 3], 30),
        "path Laplacian": (path, normal(20), 19),
        "condition 1e6": (symmetric(signs * np.geomspace(1e-6, 1, 30), rng), normal(30), 30),
        "singular, condition 1e4": (
            symmetric(np.r_[np.geomspace(1e-2, 1e2, 25), np.zeros(15)], rng),
            normal(40),
            25,
        ),
    }


def pseudo_inverse(A):
    return np.linalg.pinv(A, rcond=1e-12, hermitian=True)


def residuals(A, b, x):
    """Return the two relative residuals, with the exact spectral norm."""
    norm, r = np.linalg.norm(A, 2), b - A @ x
    size = np.linalg.norm(r)
    relative = size / (norm * np.linalg.norm(x) + np.linalg.norm(b))
    return relative, np.linalg.norm(A @ r) / (norm * size) if norm * size else 0.0


@pytest.mark.parametrize("name", systems())
def test_result_is_that_of_the_pseudo_inverse(name):
    # Stopping at rtol = 1e-10 may leave an error of 1e-10 times the condition. For conditions from 1e4 the Krylov space
    # must be all of the range of A before r is that small, and then only rounding times the condition is left.
    A, b, rank = systems()[name]
    x, info = minres_qlp(A, b, rtol=1e-10)
    exact = pseudo_inverse(A) @ b
    scale = np.linalg.norm(exact) if name != "b in the kernel" else np.linalg.norm(b) / np.linalg.norm(A, 2)
    assert np.linalg.norm(x - exact) <= 1e-8 * scale
    consistent = np.linalg.norm(b - A @ exact) < 1e-9 * np.linalg.norm(b)
    assert info == 0
    assert info.status == ("solution" if consistent else "least-squares solution")
    if name != "b in the kernel":  # A b is a rounding error there, and its direction is explored
        assert info.n_iterations <= min(rank + 2, len(b))
    np.testing.assert_allclose(
        info.residual_norm, np.linalg.norm(b - A @ x), atol=1e-14 * float(np.linalg.norm(b))
    )
    assert info.norm <= np.linalg.norm(A, 2) * (1 + 1e-12)
    assert info.length == pytest.approx(np.linalg.norm(x))


@pytest.mark.parametrize(
    "scales", [(1e-200, 1.0), (1e200, 1.0), (1.0, 1e-200), (1e-150, 1e-150), (1e150, 1e150)]
)
def test_result_follows_the_units(scales):
    a, c = scales
    A, b, _ = systems()["rank 25, inconsistent"]
    x, info = minres_qlp(a * A, c * b)
    assert info.status == "least-squares solution"
    np.testing.assert_allclose(x / (c / a), pseudo_inverse(A) @ b, rtol=1e-9, atol=1e-9)
    assert info.norm / a == pytest.approx(np.linalg.norm(A, 2), rel=1e-2)


@pytest.mark.parametrize("consistent", [True, False])
def test_random_singular_systems(consistent):
    rng = np.random.default_rng(int(consistent))
    for _ in range(40):
        N = int(rng.integers(2, 40))
        rank = int(rng.integers(1, N))
        nonzero = rng.choice([-1, 1], rank) * 10 ** rng.uniform(-2, 0, rank)
        A = symmetric(np.r_[nonzero, np.zeros(N - rank)], rng)
        b = rng.standard_normal(N)
        b = A @ b if consistent else b
        x, info = minres_qlp(A, b)
        exact = pseudo_inverse(A) @ b
        assert np.linalg.norm(x - exact) <= 1e-8 * np.linalg.norm(exact)
        assert info.status == SOLVED[not consistent]


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-10, 1e-14, 0.0])
def test_status_is_never_better_than_the_residuals(rtol):
    rng = np.random.default_rng(0)
    for _ in range(40):
        N = int(rng.integers(2, 40))
        eigenvalues = rng.standard_normal(N) * 10 ** rng.uniform(-9, 0, N) * rng.integers(0, 2, N)
        A, b = symmetric(eigenvalues, rng), rng.standard_normal(N)
        x, info = minres_qlp(A, b, rtol=rtol, maxiter=int(rng.integers(1, N + 1)))
        relative, normal = residuals(A, b, x)
        # Rounding in the products with which the residuals are measured.
        slack = 1e-15 * (1 + np.linalg.norm(A, 2) * np.linalg.norm(x) / np.linalg.norm(b - A @ x))
        assert (info == 0) == (info.status in SOLVED)
        assert info.status != "solution" or relative <= rtol + 1e-15
        assert info.status != "least-squares solution" or normal <= rtol + slack
        assert info.relative_residual >= relative - 1e-15
        assert info.relative_normal_residual >= normal - slack


def test_loose_tolerances_are_met_too():
    # Two eigenvalues near the tolerance: whether they count as zeros is open, but the residuals are not.
    rng = np.random.default_rng(0)
    spectra = rng.standard_normal((100, 128))
    spectra[:, 60:] = 0.0
    spectra[:, :2] *= 1e-3
    b = rng.standard_normal((100, 128))
    x, info = minres_qlp(lambda v: spectra * v, b, rtol=5e-4)
    r = b - spectra * x
    norm, size = np.abs(spectra).max(axis=1), np.linalg.norm(r, axis=1)
    relative = size / (norm * np.linalg.norm(x, axis=1) + np.linalg.norm(b, axis=1))
    normal = np.linalg.norm(spectra * r, axis=1) / (norm * size)
    assert info == 0
    assert (np.minimum(relative, normal) <= 5e-4).all()


def test_batch_gives_the_results_of_single_systems():
    rng = np.random.default_rng(0)
    spectra = rng.standard_normal((6, 12))
    spectra[0, 5:] = 0.0
    spectra[1] = 1.0
    spectra[2] = 0.0
    A = np.array([symmetric(one, rng) for one in spectra])
    b = rng.standard_normal((6, 12))
    b[3] = 0.0
    x, info = minres_qlp(A, b)
    x_callable, _ = minres_qlp(lambda v: np.einsum("bij,bj->bi", A, v), b)
    np.testing.assert_allclose(x_callable, x, atol=1e-11)
    for i in range(6):
        x_one, one = minres_qlp(A[i], b[i])
        np.testing.assert_allclose(x[i], x_one, atol=1e-11)
        assert (one.status, one.n_iterations) == (info.status[i], info.n_iterations[i])
        assert one.relative_residual == pytest.approx(info.relative_residual[i], abs=1e-15)
    assert info == 0
    assert (x[3] == 0).all()
    assert info.n_iterations[3] == 0
    x_shared, _ = minres_qlp(A[0], b)
    np.testing.assert_allclose(x_shared, b @ pseudo_inverse(A[0]), atol=1e-9)


@pytest.mark.parametrize("shape", [(40,), (3, 40)])
def test_all_forms_of_a_matrix(shape):
    A = systems()["rank 25, inconsistent"][0]
    b = np.random.default_rng(1).standard_normal(shape)
    x, _ = minres_qlp(A, b)
    vectors_only = aslinearoperator(SimpleNamespace(shape=A.shape, dtype=A.dtype, matvec=lambda v: A @ v))
    for form in (A.tolist(), sparse.csr_array(A), aslinearoperator(A), vectors_only, lambda v: v @ A):
        x_form, info = minres_qlp(form, b)
        assert info == 0
        np.testing.assert_allclose(x_form, x, atol=1e-10)


def test_scipy_agrees_where_the_solution_is_unique():
    for name in ("definite", "indefinite", "geometric spectrum", "rank 25, consistent"):
        A, b, _ = systems()[name]
        x_scipy, failed = minres(A, b, rtol=1e-13, maxiter=1000)
        x, _ = minres_qlp(A, b)
        assert not failed
        np.testing.assert_allclose(x, x_scipy, rtol=1e-6, atol=1e-6 * np.abs(x).max())


def test_iterates_are_those_of_scipy():
    A, b, _ = systems()["geometric spectrum"]
    for k in (1, 2, 5, 10):
        np.testing.assert_allclose(
            minres_qlp(A, b, maxiter=k)[0], minres(A, b, rtol=0, maxiter=k)[0], rtol=1e-8
        )


def test_scipy_reports_success_for_an_arbitrarily_long_vector():
    A, b, _ = systems()["rank 25, inconsistent"]
    x_scipy, failed = minres(A, b, rtol=1e-12)
    x, _ = minres_qlp(A, b, rtol=1e-12)
    assert not failed
    assert np.linalg.norm(x_scipy) > 1e6 * np.linalg.norm(x)


def test_iteration_limit_is_reported_with_the_true_residual():
    A, b, _ = systems()["geometric spectrum"]
    x, info = minres_qlp(A, b, maxiter=5)
    assert info == 5
    assert info.status == "iteration limit"
    assert info.n_iterations == 5
    assert info.residual_norm == pytest.approx(np.linalg.norm(b - A @ x), rel=1e-12)
    # Brute force: no vector of the Krylov space does better.
    krylov = np.linalg.qr(np.array([np.linalg.matrix_power(A, k) @ b for k in range(5)]).T)[0]
    best = krylov @ np.linalg.lstsq(A @ krylov, b)[0]
    np.testing.assert_allclose(x, best, rtol=1e-8)
    assert minres_qlp(A, b, maxiter=500)[1].n_iterations == 30


def test_batch_reports_the_most_iterations_of_a_failure():
    A, b, _ = systems()["geometric spectrum"]
    _, info = minres_qlp(A, np.stack([b, 0 * b, b]), maxiter=7)
    assert info == 7
    assert info.status.tolist() == ["iteration limit", "solution", "iteration limit"]
    assert "iteration limit (2)" in repr(info)


@pytest.mark.parametrize("share", [0.9, 0.3, 1e-3])
def test_length_limit_returns_a_point_between_two_iterates(share):
    A, b, _ = systems()["geometric spectrum"]
    iterates = np.array([minres_qlp(A, b, maxiter=k)[0] for k in range(1, 31)])
    # The matrix is positive definite, for which the length grows with each iteration.
    lengths = np.linalg.norm(iterates, axis=1)
    assert (np.diff(lengths) > 0).all()
    x, info = minres_qlp(A, b, max_norm=share * lengths[-1])
    within = np.flatnonzero(lengths <= share * lengths[-1])
    below = iterates[within[-1]] if len(within) else np.zeros(30)
    above = iterates[len(within)]
    assert np.linalg.norm(x) == pytest.approx(share * lengths[-1], rel=1e-9)
    # On the line between them.
    assert np.linalg.norm(x - below) + np.linalg.norm(above - x) == pytest.approx(
        np.linalg.norm(above - below), rel=1e-9
    )
    assert residuals(A, b, above)[0] < info.relative_residual
    assert info.status == "length limit"
    assert info > 0
    assert info.relative_residual == pytest.approx(residuals(A, b, x)[0], rel=1e-6)
    assert minres_qlp(A, b, max_norm=1.001 * lengths[-1])[1].status == "solution"


def test_asymmetric_function_is_not_called_solved():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((20, 20))
    x, info = minres_qlp(lambda v: A @ v, b := rng.standard_normal(20))
    assert info > 0
    assert info.status == "unconfirmed"
    assert info.residual_norm == pytest.approx(np.linalg.norm(b - A @ x))


def test_a_system_with_nan_ends_alone():
    A, b, _ = systems()["rank 25, inconsistent"]
    calls = []

    def product(v):
        calls.append(len(v))
        result = v @ A
        if len(calls) > 3:
            result[1] = np.nan
        return result

    x, info = minres_qlp(product, np.stack([b, b]))
    assert info > 0
    assert info.status.tolist() == ["least-squares solution", "not finite"]
    np.testing.assert_allclose(x[0], pseudo_inverse(A) @ b, atol=1e-9)
    assert np.isfinite(x).all()
    rows = np.stack([b, np.full_like(b, np.nan)])
    x, info = solve_batch(lambda v: v @ A, rows, rtol=1e-10, maxiter=40)
    assert info > 0
    assert info.status.tolist() == ["least-squares solution", "not finite"]
    np.testing.assert_allclose(x[0], pseudo_inverse(A) @ b, atol=1e-9)


def test_zero_right_hand_side_needs_no_iteration():
    x, info = minres_qlp(np.eye(3), np.zeros(3))
    assert (x == 0).all()
    assert info == 0
    assert info.status == "solution"
    assert info.n_iterations == 0
    assert info.relative_residual == info.relative_normal_residual == 0


def test_info_is_an_integer_that_survives_pickling():
    _, info = minres_qlp(np.diag([1.0, 0.0]), [1.0, 1.0])
    copy = pickle.loads(pickle.dumps(info))
    assert int(copy) == 0
    assert copy.status == "least-squares solution"
    assert isinstance(info.residual_norm, float)
    assert info.residual_norm == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("A", "b", "options", "words"),
    [
        (np.eye(3), np.ones(4), {}, r"A has shape \(3, 3\) and b has shape \(4,\)"),
        (np.ones((3, 4)), np.ones(4), {}, r"expected A of shape \(4, 4\)"),
        (np.ones((2, 3, 3)), np.ones(3), {}, r"expected A of shape \(3, 3\)"),
        (np.ones((2, 3, 3)), np.ones((5, 3)), {}, r"\(3, 3\) or \(5, 3, 3\)"),
        (sparse.eye_array(3), np.ones(4), {}, r"expected A of shape \(4, 4\)"),
        (np.eye(3), np.ones((1, 1, 3)), {}, r"b has shape \(1, 1, 3\); expected \(N,\)"),
        (np.triu(np.ones((3, 3))), np.ones(3), {}, "A is not symmetric: .* differ by 1"),
        (sparse.csr_array(np.triu(np.ones((3, 3)))), np.ones(3), {}, "A is not symmetric"),
        (np.diag([1.0, np.nan]), np.ones(2), {}, "A must be numbers; got nan"),
        (np.diag([1.0, np.inf]), np.ones(2), {}, "A has 1 value that is NaN or infinite"),
        (sparse.diags_array([1.0, np.nan]), np.ones(2), {}, "A has 1 value that is NaN or infinite"),
        (np.eye(2), [1.0, np.nan], {}, "b must be numbers; got nan"),
        (np.eye(2), [1.0, np.inf], {}, "b has 1 value that is NaN or infinite"),
        (np.eye(2) * 1j, np.ones(2), {}, "A must be numbers"),
        (lambda v: v[:1], np.ones(2), {}, r"A returned float64 of shape \(1,\) for v of shape \(2,\)"),
        (lambda v: 1j * v, np.ones(2), {}, "A returned complex128"),
        (np.eye(2), np.ones(2), {"rtol": -1}, "rtol must be at least 0"),
        (np.eye(2), np.ones(2), {"maxiter": 0}, "maxiter must be a whole number of at least 1"),
        (np.eye(2), np.ones(2), {"max_norm": 0}, "max_norm must be above 0"),
    ],
)
def test_refusals(A, b, options, words):
    with pytest.raises(InputError, match=words):
        minres_qlp(A, b, **options)


def test_no_memory_for_the_basis(monkeypatch):
    monkeypatch.setattr("solvable.machine.free_memory", lambda: 1000)
    with pytest.raises(
        InputError, match="the Lanczos basis of 1 systems of size 200 for 32 iterations needs"
    ):
        minres_qlp(np.eye(200), np.ones(200))
