"""Arc-cosine and network kernels against quadrature, 50 digits, the plain recursion and random networks."""

from typing import Any

import mpmath
import numpy as np
import pytest

from solvable.errors import InputError
from solvable.kernels import NNGP, NTK, ArcCosine
from solvable.kernels.distances import Angles

RNG = np.random.default_rng(0)


def recursion(X, Z, kernel, xp: Any = np, number=float):
    """The textbook recursion on covariances of single pairs, in the arithmetic of `xp`."""
    d = len(X[0])

    def covariance(x, z):
        return w2 * sum((number(a) * number(b) for a, b in zip(x, z, strict=True)), number(0)) / d + b2

    w2, b2 = number(kernel.w_std) ** 2, number(kernel.b_std) ** 2
    value = np.empty((len(X), len(Z)), dtype=object)
    for i, x in enumerate(X):
        for j, z in enumerate(Z):
            a, b, c = covariance(x, x), covariance(z, z), covariance(x, z)
            ntk = c
            for layer in range(kernel.depth):
                s = xp.sqrt(a * b)
                theta = xp.acos(min(max(c / s, number(-1)), number(1)))
                last = layer == kernel.depth - 1
                w = number(kernel.readout_w_std) ** 2 if last else w2
                shift = number(kernel.readout_b_std) ** 2 if last else b2
                c = w * s * (xp.sin(theta) + (xp.pi - theta) * xp.cos(theta)) / (2 * xp.pi) + shift
                ntk = c + w * ntk * (xp.pi - theta) / (2 * xp.pi)
                a, b = w2 * a / 2 + b2, w2 * b / 2 + b2
            value[i, j] = ntk if isinstance(kernel, NTK) else c
    return value


@pytest.mark.parametrize("kind", [NNGP, NTK])
@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.parametrize("b_std", [0.0, 0.3])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_fifty_digits_at_every_separation(kind, depth, b_std, offset):
    kernel = kind(depth, b_std=b_std, readout_w_std=1.3, readout_b_std=b_std / 2)
    rng = np.random.default_rng(depth)
    with mpmath.workdps(50):
        for separation in 10.0 ** -np.arange(0, 9, 2):
            x, e = rng.standard_normal((2, 10))
            x += offset
            # The last one is nearly parallel to the first and twice as long.
            X = np.stack([x, x + separation * e, 2 * x + separation * e])
            exact = recursion(X, X, kernel, mpmath, mpmath.mpf)
            for K in (kernel(X), kernel(X, X.copy())):
                assert max(abs(K[i, j] / exact[i, j] - 1) for i in range(3) for j in range(3)) < 1e-14


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_small_angles_keep_their_digits(offset, stretch):
    rng = np.random.default_rng(1)
    with mpmath.workdps(50):
        for separation in 10.0 ** -np.arange(4, 9):
            x, e = rng.standard_normal((2, 10))
            others = rng.standard_normal((3, 10)) + offset
            x += offset
            z = stretch * x + separation * e
            angles = Angles(np, np.vstack([x, others]), z[None])
            q, difference = angles(slice(0, 1), slice(0, 1), norm_differences=True)
            big = [[mpmath.mpf(float(v)) for v in y] for y in (x, z)]
            xx, zz, xz = (mpmath.fdot(big[i], big[j]) for i, j in ((0, 0), (1, 1), (0, 1)))
            sine = mpmath.sqrt((1 - xz / mpmath.sqrt(xx * zz)) / 2)
            # Close points lose nothing; points far apart on one ray lose what their distance rounds to.
            tolerance = 1e-14 * sine if stretch == 1 else 1e-16
            assert abs(mpmath.sqrt(q[0, 0]) - sine) < tolerance
            assert difference is not None
            assert abs(difference[0, 0] / (mpmath.sqrt(xx) - mpmath.sqrt(zz)) - 1) < 1e-13


@pytest.mark.parametrize(
    "kernel",
    [
        NNGP(1),
        NNGP(2, w_std=1.1, b_std=0.5, readout_b_std=0.2),
        NTK(1, b_std=0.1),
        NTK(3, readout_w_std=2**0.5),
        NTK(4, w_std=0.7, b_std=1.5),
    ],
    ids=str,
)
def test_plain_recursion_several_tiles(kernel):
    import math

    X, Z = RNG.standard_normal((260, 3)), RNG.standard_normal((8, 3)) * 3
    exact = recursion(X, Z, kernel, math).astype(float)
    np.testing.assert_allclose(kernel(X, Z), exact, rtol=1e-13, atol=1e-13 * exact.max())
    K = kernel(X)
    assert (K == K.T).all()
    assert (np.diagonal(K) == kernel.diag(X)).all()
    np.testing.assert_allclose(np.diagonal(kernel(X, X.copy())), kernel.diag(X), rtol=1e-13)
    np.testing.assert_allclose(K[:, :8], kernel(X, X[:8]), rtol=1e-13, atol=1e-13 * K.max())
    assert np.linalg.eigvalsh(K)[0] > -1e-12 * K.max() * len(X)
    cosine = np.linspace(-1, 1, 9)
    on_circle = np.sqrt(2) * np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
    expected = kernel(np.sqrt(2) * np.array([[1.0, 0.0]]), on_circle)[0]
    np.testing.assert_allclose(kernel.curve(cosine), expected, rtol=1e-12, atol=1e-14)


def test_known_values_of_deep_kernels():
    # Four hidden layers with the author's variances, from his notebook: K(1) of the NTK is 5.07 and 10.15.
    assert NTK(4, b_std=0.1).curve(1.0) == pytest.approx(5.07, abs=0.005)
    assert NTK(4, b_std=0.1, readout_w_std=2**0.5, readout_b_std=0.1).curve(1.0) == pytest.approx(
        10.15, abs=0.005
    )
    for depth in (1, 2, 3, 8):
        assert NTK(depth, readout_w_std=2**0.5).curve(1.0) == pytest.approx(2 * (depth + 1), rel=1e-14)


def test_nngp_is_the_covariance_of_random_networks():
    kernel = NNGP(2, w_std=1.3, b_std=0.4, readout_w_std=0.9, readout_b_std=0.3)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((4, 3))
    width, n_nets = 400, 200
    sample = np.empty((n_nets, 4, 4))
    for net in range(n_nets):
        h = X
        for _ in range(2):
            W, b = rng.standard_normal((h.shape[1], width)), rng.standard_normal(width)
            h = np.maximum(1.3 / np.sqrt(h.shape[1]) * h @ W + 0.4 * b, 0)
        sample[net] = 0.9**2 * h @ h.T / width + 0.3**2
    standard_error = sample.std(0) / np.sqrt(n_nets)
    # Half a per cent for the finite width.
    assert (np.abs(sample.mean(0) - kernel(X)) < 4 * standard_error + 0.005 * kernel(X)).all()


@pytest.mark.parametrize("order", range(4))
def test_arc_cosine_is_its_expectation(order):
    from scipy.integrate import quad

    kernel = ArcCosine(order)
    X = RNG.standard_normal((5, 4))
    K = kernel(X)
    for i in range(5):
        for j in range(5):
            s = np.linalg.norm(X[i]) * np.linalg.norm(X[j])
            theta = np.arccos(np.clip(X[i] @ X[j] / s, -1, 1))
            # In polar coordinates of their plane: E rho^(2p) = 2^p p!, and both are positive on an arc.
            ends = theta - np.pi / 2, np.pi / 2
            arc = quad(lambda t, theta=theta: (np.cos(t) * np.cos(t - theta)) ** order, *ends)[0]
            radius = [1, 2, 8, 48][order]
            assert K[i, j] == pytest.approx((s / 4) ** order * radius * arc / (2 * np.pi), rel=1e-7)
    assert (K == K.T).all()
    np.testing.assert_array_equal(np.diagonal(K), kernel.diag(X))
    np.testing.assert_allclose(np.diagonal(kernel(X, X.copy())), kernel.diag(X), rtol=1e-14)
    unit = np.array([[2.0, 0, 0, 0]])
    assert kernel.curve(1.0) == pytest.approx(kernel(unit)[0, 0], rel=1e-14)
    assert kernel.curve(-1.0) == 0
    assert np.linalg.eigvalsh(kernel(RNG.standard_normal((40, 4))))[0] > -1e-12


def test_arc_cosine_one_is_half_the_nngp_of_variance_two():
    X = RNG.standard_normal((20, 4))
    np.testing.assert_allclose(ArcCosine()(X), NNGP(1, w_std=1.0)(X), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "kernel", [*map(ArcCosine, range(4)), NNGP(1), NTK(2), NNGP(2, b_std=0.5), NTK(3, b_std=0.5)]
)
def test_zero_vectors(kernel):
    X = np.vstack([np.zeros((2, 3)), RNG.standard_normal((2, 3))])
    K = kernel(X)
    assert np.isfinite(K).all()
    assert np.isfinite(kernel(X, X[:1])).all()
    if getattr(kernel, "b_std", 0) == 0:
        assert (K[:2] == 0).all()
    else:
        # The zero vector's preactivations are the biases: it is the limit of short vectors.
        np.testing.assert_allclose(K, kernel(X + 1e-12), rtol=1e-9)


@pytest.mark.parametrize("kernel", [ArcCosine(0), NTK(1), NTK(3)])
def test_opposite_corners_of_the_cube(kernel):
    corners = RNG.choice([-1.0, 1.0], (10, 30))
    np.testing.assert_allclose(np.diagonal(kernel(corners, -corners)), kernel.curve(-1.0), atol=1e-15)


def test_bad_parameters():
    with pytest.raises(InputError, match="order is 4"):
        ArcCosine(4)
    with pytest.raises(InputError, match=r"depth must be .*; got 0"):
        NTK(0)
    with pytest.raises(InputError, match="unknown activation 'swoosh'; expected one of relu"):
        NNGP(1, activation="swoosh")
    with pytest.raises(InputError, match=r"w_std must be .*; got 0"):
        NNGP(1, w_std=0)
    with pytest.raises(InputError, match=r"readout_b_std must be .*; got -1"):
        NTK(1, readout_b_std=-1)
