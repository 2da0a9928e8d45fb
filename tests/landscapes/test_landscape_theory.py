"""Residuals, flatness and signs, against the definitions written out and against limits."""

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.landscapes import (
    cokernel_residual,
    count_signs,
    curvature_ratio,
    flatness,
    flatness_profile,
    relative_residual,
    toy,
)


def systems(n: int = 20, size: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, size, size))
    return A + A.swapaxes(1, 2), *rng.standard_normal((2, n, size))


@pytest.mark.parametrize(("norm", "order"), [("frobenius", "fro"), ("spectral", 2)])
def test_residuals_of_single_systems(norm: str, order: str | int) -> None:
    H, g, p = systems()
    r, r_H = relative_residual(H, g, p, norm), cokernel_residual(H, g, p, norm)  # pyright: ignore[reportArgumentType]
    assert ((r >= 0) & (r <= 1) & (r_H >= 0) & (r_H <= 1)).all()
    for i in range(len(H)):
        size, rest = np.linalg.norm(H[i], order), H[i] @ p[i] + g[i]  # pyright: ignore[reportCallIssue, reportArgumentType]
        np.testing.assert_allclose(
            r[i], np.linalg.norm(rest) / (size * np.linalg.norm(p[i]) + np.linalg.norm(g[i]))
        )
        np.testing.assert_allclose(r_H[i], np.linalg.norm(H[i] @ rest) / (size * np.linalg.norm(rest)))


def test_limits_of_the_residuals() -> None:
    H, g, _ = systems()
    exact = -np.linalg.solve(H, g[..., None])[..., 0]
    np.testing.assert_allclose(relative_residual(H, g, exact), 0, atol=1e-12)
    np.testing.assert_allclose(relative_residual(H, g, np.zeros_like(g)), 1)
    assert relative_residual(H, 0 * g, 0 * g).tolist() == [0.0] * len(H)
    # The least-squares step of a singular system leaves what lies in the kernel.
    singular = np.diag([3.0, -2.0, 0.0])
    gradient = np.array([1.0, 1.0, 2.0])
    step = -np.linalg.pinv(singular) @ gradient
    assert cokernel_residual(singular, gradient, step) < 1e-15
    assert relative_residual(singular, gradient, step) > 0.3


def test_ratio_and_profile_from_eigenvectors() -> None:
    H, g, _ = systems()
    lam, V = np.linalg.eigh(H)
    c = np.einsum("bij,bi->bj", V, g)
    expected = [
        np.linalg.norm(a @ b) / (np.linalg.norm(a, 2) * np.linalg.norm(b)) for a, b in zip(H, g, strict=True)
    ]
    np.testing.assert_allclose(curvature_ratio(lam, c), expected)
    profile = flatness_profile(lam, c, (0.0, 0.3, 1.0))
    np.testing.assert_allclose(profile[:, 2], 1)
    assert (profile[:, 0] == 0).all()
    assert (np.diff(profile, axis=1) >= 0).all()
    # Chebyshev: |Hg| <= delta |H| |g| leaves at most 1/4 of |g|^2 above the curvature 2 delta |H|.
    ratio = curvature_ratio(lam, c)
    shares = [flatness_profile(lam[i], c[i], [2 * ratio[i]])[0] for i in range(len(lam))]
    assert min(shares) >= 0.75
    # Tiny numbers do not underflow.
    np.testing.assert_allclose(curvature_ratio(lam, 1e-200 * c), ratio)


def test_flatness_of_a_loss_is_that_of_its_eigenvectors() -> None:
    theta = np.array([1.3, 0.4])
    found = flatness(toy.loss(), theta)
    g, H = toy.gradient(theta), toy.hessian(theta)
    norm = np.linalg.norm(H, 2)
    np.testing.assert_allclose(found.ratio, np.linalg.norm(H @ g) / (norm * np.linalg.norm(g)))
    np.testing.assert_allclose(found.rayleigh, g @ H @ g / (norm * (g @ g)))
    assert found.profile == {1e-6: 0.0, 1e-5: 0.0, 1e-4: 0.0, 1e-3: 0.0}
    large = flatness(lambda t: (t[:2600] ** 2).sum() + 1e-5 * (t[2600:] ** 2).sum(), np.full(5200, 1.0))
    np.testing.assert_allclose(large.profile[1e-4], 1e-10, rtol=1e-3)


def test_the_gradient_of_half_the_squared_norm_is_h_g() -> None:
    theta = np.random.default_rng(0).standard_normal((5, 2))
    H, g = toy.hessian(theta), toy.gradient(theta)
    for axis in range(2):
        step = np.zeros(2)
        step[axis] = 1e-6
        change = [(toy.gradient(theta + s * step) ** 2).sum(axis=1) / 2 for s in (1, -1)]
        np.testing.assert_allclose(
            (change[0] - change[1]) / 2e-6, np.einsum("bij,bj->bi", H, g)[:, axis], rtol=1e-6
        )


def test_signs() -> None:
    lam = np.array([[-1.0, -1e-9, 1e-9, 2.0], [-3e-9, 1e-11, 1e-10, 3e-2]])
    index, nullity = count_signs(lam)
    assert index.tolist() == [1, 1]
    assert nullity.tolist() == [2, 2]
    # Rescaling the loss changes nothing.
    assert count_signs(1e-9 * lam)[0].tolist() == [1, 1]
    assert [int(n) for n in count_signs(lam[1], 1e-9)] == [1, 1]


def test_the_toy_s_points() -> None:
    np.testing.assert_allclose(toy.gradient(np.array(toy.CRITICAL)), 0, atol=1e-12)
    for at, squared, value in ((toy.FLAT, 11.1766, 47.728), (toy.FLAT_SADDLE, 214.82, 22.272)):
        g, H = toy.gradient(np.array(at)), toy.hessian(np.array(at))
        np.testing.assert_allclose(H @ g, 0, atol=1e-12)
        np.testing.assert_allclose(g @ g, squared, rtol=1e-4)
        np.testing.assert_allclose(toy.value(np.array(at)), value, rtol=1e-4)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="unknown norm"):
        relative_residual(np.eye(2), np.ones(2), np.ones(2), "nuclear")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="scales must be at least 0"):
        flatness_profile([1.0], [1.0], [-1.0])
