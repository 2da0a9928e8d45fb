"""Independent truth: the two means of a dual by composite quadrature in two dimensions."""

import numpy as np

_X, _W = np.polynomial.legendre.leggauss(12)


def _panels(ends):
    half = 0.5 * np.diff(ends, axis=-1)[..., None]
    x = ends[..., :-1, None] + half * (1 + _X)
    return x.reshape(*ends.shape[:-1], -1), (half * _W).reshape(*ends.shape[:-1], -1)


def mean_product(f, g, a, b, rho, kinks=(), edge=9.0, panels=48):
    """Return E[f(u) g(v)] for Gaussians of variances a, b and correlation rho; kinks are those of both functions."""
    kinks = np.asarray(kinks, dtype=float)
    spread = np.sqrt((1 - rho) * (1 + rho))
    ends = [np.linspace(-edge, edge, panels + 1), kinks / np.sqrt(a)]
    if rho != 0:
        # Given u, the mean of g(v) turns within the spread around the kinks of v.
        turns = [kinks / (np.sqrt(b) * rho) + m * max(spread, 1e-12) for m in (-9, -5, -2, 0, 2, 5, 9)]
        ends.extend(turns)
    ends = np.unique(np.clip(np.concatenate(ends), -edge, edge))
    x, w = _panels(ends)
    w = w * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    u = np.sqrt(a) * x
    if spread == 0:
        return float(np.sum(w * f(u) * g(np.sqrt(b) * rho * x)))
    inner = np.broadcast_to(np.linspace(-edge, edge, panels + 1), (len(x), panels + 1))
    if len(kinks):
        at = (kinks / np.sqrt(b) - rho * x[:, None]) / spread
        inner = np.sort(np.concatenate([inner, np.clip(at, -edge, edge)], axis=1), axis=1)
    y, v = _panels(inner)
    v = v * np.exp(-0.5 * y * y) / np.sqrt(2 * np.pi)
    means = np.sum(v * g(np.sqrt(b) * (rho * x[:, None] + spread * y)), axis=1)
    return float(np.sum(w * f(u) * means))
