"""Kinks and jumps, found."""

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.kernels.duals.kinks import Split, find_kinks, kinks_at


@pytest.mark.parametrize(
    ("function", "positions", "order", "jumps"),
    [
        (lambda z: np.maximum(z, 0), [0], 1, [1]),
        (lambda z: np.clip(z, 0, 6), [0, 6], 1, [1, -1]),
        (lambda z: 3.8 * np.maximum(z - 1.06, 0) - 0.08 * np.cos(11.8 * z), [1.06], 1, [3.8]),
        (lambda z: np.abs(np.sin(z) - 0.1) * np.exp(-((z - 1) ** 2)), None, 1, None),
        (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), [0], 2, [-1]),
        (lambda z: np.maximum(z - 1 / 3, 0) ** 2 + z, [1 / 3], 2, [2]),
        (lambda z: z / (1 + np.abs(z)), [0], 2, [-4]),
        (np.sign, [0], 0, [2]),
        (lambda z: np.where(z > np.pi, np.cos(z), 0.5), [np.pi], 0, [-1.5]),
        (lambda z: np.maximum(z - 25, 0), [25], 1, [1]),
        (lambda z: 1e-6 * np.abs(z + 2), [-2], 1, [2e-6]),
    ],
)
def test_found(function, positions, order, jumps):
    kinks = find_kinks(function)
    if positions is None:
        roots = np.arcsin(0.1) + np.array([0]), np.pi - np.arcsin(0.1)
        at = [kink.position for kink in kinks]
        for root in np.hstack(roots):
            assert np.min(np.abs(np.array(at) - root)) < 1e-11
        return
    np.testing.assert_allclose([kink.position for kink in kinks], positions, atol=2e-11)
    np.testing.assert_allclose([kink.jumps[order] for kink in kinks], jumps, rtol=1e-6)
    assert all(kink.jumps[p] == 0 for kink in kinks for p in range(order))


@pytest.mark.parametrize(
    "function",
    [
        *(lambda z, s=s: np.tanh(s * z) for s in (1, 5, 20, 100, 1000)),
        lambda z: np.sin(30 * z),
        lambda z: np.logaddexp(0, 50 * z),
        lambda z: z**3 - 5 * z,
        np.exp,
        lambda z: np.exp(-100 * z * z),
        lambda z: np.tanh(z.astype(np.float32)),
        lambda z: 0 * z + 1,
    ],
)
def test_smooth_functions_have_none(function):
    assert find_kinks(function) == ()


def test_known_kinks_and_the_smooth_rest():
    kinks = kinks_at(lambda z: np.abs(z) + np.maximum(z - 2, 0) ** 2, (0.0, 1.0, 2.0))
    assert [kink.position for kink in kinks] == [0, 2]
    split = Split(lambda z: np.abs(z) + np.maximum(z - 2, 0) ** 2, kinks)
    z = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(split.smooth(z), -z, atol=1e-9)
    with pytest.raises(InputError, match="not smooth on both sides of its kink at 0;"):
        kinks_at(lambda z: np.sqrt(np.abs(z)), (0.0,))
