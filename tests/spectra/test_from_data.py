"""The plug-in eigensystem of a sample."""

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.spectra import plug_in_eigensystem


def test_modes_of_a_matrix_made_from_them():
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    values = np.arange(40.0, 0.0, -1.0)
    targets = rng.standard_normal((40, 3))
    task = plug_in_eigensystem((vectors * values) @ vectors.T, targets)
    np.testing.assert_allclose(task.eigenvalues, values / 40, rtol=1e-12)
    np.testing.assert_allclose(task.target_power, np.square(vectors.T @ targets).sum(axis=1) / 40, rtol=1e-10)
    assert task.total_target_power == pytest.approx(np.square(targets).sum(axis=1).mean(), rel=1e-12)
    assert task.noise == 0


def test_leading_modes_are_right():
    rng = np.random.default_rng(1)
    scale = np.arange(1.0, 51.0) ** -1.0  # λ_i = i^-2
    modes = rng.standard_normal((2000, 50))
    task = plug_in_eigensystem((modes * scale**2) @ modes.T, 2.0 * modes[:, 0] + 1.0 * modes[:, 1])
    np.testing.assert_allclose(task.eigenvalues[:3], [1.0, 1 / 4, 1 / 9], rtol=0.1)
    np.testing.assert_allclose(task.target_power[:2], [4.0, 1.0], rtol=0.25)
    # A matrix of 50 modes: what rounding leaves of the others reads as zero.
    assert task.rank == 50


@pytest.mark.parametrize(
    ("gram", "targets", "message"),
    [
        (np.ones((3, 2)), np.ones(3), "square"),
        (np.ones(3), np.ones(3), "square"),
        (np.eye(3), np.ones(4), "one row for each of 3 samples"),
        (np.eye(3), np.ones(6), "one row for each of 3 samples"),
        (np.eye(3) * np.nan, np.ones(3), "gram has"),
        (np.eye(3), np.array([1.0, np.inf, 0.0]), "targets has"),
    ],
)
def test_refused(gram, targets, message):
    with pytest.raises(InputError, match=message):
        plug_in_eigensystem(gram, targets)
