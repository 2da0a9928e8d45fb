"""Bivariate normal probabilities and shifted rectifiers, against mpmath and quadrature."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from cases import representative
from solvable.kernels.duals.shifted_relu import RectifiedMoments, orthant, shifted_relu_dual


def exact_orthant(h, k, r):
    spread = mpmath.sqrt((1 - mpmath.mpf(r)) * (1 + mpmath.mpf(r)))
    turn = k / r if r else 0
    points = [h + m for m in (0, 1, 2, 4, 7, 12, 20)]
    points += [turn + m * spread for m in (-8, -3, -1, 0, 1, 3, 8) if h < turn + m * spread < h + 20]
    return mpmath.quad(lambda x: mpmath.npdf(x) * mpmath.ncdf((r * x - k) / spread), sorted(points))


@pytest.mark.parametrize("h", representative([-3.0, -0.01, 0.0, 1.06, 5.0], fast=[1.06]))
def test_orthant_against_mpmath(h):
    r = np.array([-1 + 1e-12, -0.9999, -0.93, -0.5, 0.3, 0.92, 0.926, 0.999999, 1 - 1e-10])
    for k in (-4.0, 0.0, 1.0599, 1.06):
        ours = orthant(np, np.array(h), np.array(k), r)
        truth = [float(exact_orthant(h, k, value)) for value in r]
        np.testing.assert_allclose(ours, truth, atol=1e-14)


def test_orthant_against_scipy_and_at_the_ends():
    for h, k, r in [(0.3, -0.7, 0.4), (1.0, 2.0, -0.8), (-1.0, 0.2, 0.95)]:
        truth = multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([-h, -k])
        assert orthant(np, np.array(h), np.array(k), np.array([r]))[0] == pytest.approx(truth, abs=1e-7)
    h, k = np.array([-1.0, 0.5, 2.0]), np.array([0.3, -0.5, 2.0])
    np.testing.assert_allclose(orthant(np, h, k, np.ones(3)), ndtr(-np.maximum(h, k)), atol=1e-15)
    np.testing.assert_allclose(orthant(np, h, k, -np.ones(3)), np.maximum(ndtr(-k) - ndtr(h), 0), atol=1e-15)
    np.testing.assert_allclose(orthant(np, 1e9 * h, k, 0 * h), ndtr(-1e9 * h) * ndtr(-k), atol=1e-15)


def test_shifted_relus_against_quadrature():
    for a, b, r, t, s in [
        (1.3, 0.6, 0.5, 1.06, -0.4),
        (2.0, 1.0, -0.97, 0.3, 0.3),
        (1.0, 1.0, 0.9999, 0.5, 0.5001),
    ]:
        h, k, spread = t / np.sqrt(a), s / np.sqrt(b), np.sqrt(1 - r * r)

        def inner(x, r=r, k=k, spread=spread):
            m = (r * x - k) / spread
            return spread * (mpmath.npdf(m) + m * mpmath.ncdf(m))

        points = sorted(
            [h + m for m in (0, 1, 2, 4, 8, 14)] + [k / r + m * spread for m in (-6, -2, 0, 2, 6)]
        )
        points = [point for point in points if point >= h]
        truth = mpmath.quad(lambda x, h=h, inner=inner: (x - h) * mpmath.npdf(x) * inner(x), points)
        value, slope = shifted_relu_dual(np, *(np.array([v]) for v in (a, b, r * np.sqrt(a * b))), t, s)
        assert value[0] == pytest.approx(float(truth) * np.sqrt(a * b), abs=1e-13)
        assert slope[0] == pytest.approx(float(exact_orthant(h, k, r)), abs=1e-14)


@pytest.mark.parametrize("sign", [1, -1])
def test_shifted_relus_next_to_an_end(sign):
    h, gap = 0.8, np.array([0, 2.0**-53, 2.0**-50, 2.0**-40, 2.0**-27])
    moments = RectifiedMoments(np, h, sign * h, sign * (1 - gap))
    # At the end itself (U - h)^p (V - h)^q of one variable; of opposite ones nothing.
    whole = RectifiedMoments(np, h, sign * h, sign * np.ones(1))
    spread = np.sqrt(gap * (2 - gap))
    given = -h * np.sqrt(gap / (2 - gap))
    phi = np.exp(-given * given / 2) / np.sqrt(2 * np.pi)
    mean = -gap * h * ndtr(given) + spread * phi
    expected = mean if sign > 0 else mean + gap * h
    np.testing.assert_allclose(moments._conditional("v", 1), expected, rtol=1e-9, atol=1e-29)
    # The product falls by (1 - |r|) P(U > h), to first order; that of opposite ones stays 0.
    fall = moments(1, 1) - whole(1, 1)
    np.testing.assert_allclose(fall, -gap * ndtr(-h) if sign > 0 else 0 * gap, atol=1e-3 * gap.max() + 3e-16)


def test_moments_of_higher_powers():
    x, w = np.polynomial.legendre.leggauss(400)
    h, k, r = 0.4, -0.6, 0.7
    u, wu = h + 5 * (1 + x), 5 * w * np.exp(-((h + 5 * (1 + x)) ** 2) / 2) / np.sqrt(2 * np.pi)
    v = k + 5.5 * (1 + x)
    spread = np.sqrt(1 - r * r)
    density = 5.5 * w * np.exp(-((v - r * u[:, None]) ** 2) / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))
    moments = RectifiedMoments(np, np.array(h), np.array(k), np.array([r]))
    for p in range(5):
        for q in range(5):
            truth = wu * (u - h) ** p @ density @ (v - k) ** q
            assert moments(p, q)[0] == pytest.approx(truth, rel=1e-11)


def test_torch_gives_the_same():
    from array_api_compat import torch as xp

    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.1, 3, (5, 1)), rng.uniform(0.1, 3, (1, 7))
    c = np.clip(rng.uniform(-1.2, 1.2, (5, 7)), -1, 1) * np.sqrt(a * b)
    ours = shifted_relu_dual(np, a, b, c, 0.5, -0.3)
    theirs = shifted_relu_dual(xp, *(torch.as_tensor(v) for v in (a, b, c)), 0.5, -0.3)
    single = shifted_relu_dual(xp, *(torch.as_tensor(v, dtype=torch.float32) for v in (a, b, c)), 0.5, -0.3)
    for one, two, three in zip(ours, theirs, single, strict=True):
        np.testing.assert_allclose(two.numpy(), one, atol=1e-14)
        np.testing.assert_allclose(three.numpy(), one, atol=1e-5)
