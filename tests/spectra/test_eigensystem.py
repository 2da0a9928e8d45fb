"""Eigensystems: what is kept, the sums over modes, their compression, and what is refused at the door."""

import numpy as np
import pytest
from scipy.optimize import brentq

from solvable.errors import InputError
from solvable.spectra import Eigensystem, implicit_regularization, learnabilities
from solvable.spectra.compressed import compress
from solvable.spectra.tails import PowerLawTail


def direct_sums(log_eigenvalues, counts, power, noise, log_kappa):
    """Add up the four sums mode by mode, from the definitions."""
    with np.errstate(over="ignore"):
        learned = 1 / (1 + np.exp(log_kappa - log_eigenvalues))
        unlearned = 1 / (1 + np.exp(log_eigenvalues - log_kappa))
    return np.array(
        [
            np.sum(counts * learned),
            np.sum(counts * learned * unlearned),
            np.sum(unlearned * power) + noise,
            np.sum(unlearned**2 * power) + noise,
        ]
    )


def test_modes_are_sorted_together():
    task = Eigensystem([0.1, 0.0, 2.0], [1.0, 2.0, 3.0], multiplicities=[4, 5, 6], noise=0.5)
    assert task.eigenvalues == pytest.approx([2.0, 0.1, 0.0])
    assert task.target_power.tolist() == [3.0, 1.0, 2.0]
    assert task.multiplicities.tolist() == [6.0, 4.0, 5.0]
    assert task.rank == 10
    assert task.trace == pytest.approx(12.4)
    assert task.total_target_power == 6.0
    assert "3 levels" in repr(task)


def test_arrays_cannot_be_changed_and_the_users_own_are_left_alone():
    given = np.array([1.0, 2.0])
    task = Eigensystem([1.0, 2.0], given)
    with pytest.raises(ValueError, match="read-only"):
        task.target_power[0] = 7.0
    given[0] = 5.0
    assert task.target_power.tolist() == [2.0, 1.0]


def test_eigenvalues_and_their_logarithms_are_the_same():
    logs = np.array([0.0, -3.0, -np.inf])
    a, b = Eigensystem(np.exp(logs), [1, 2, 3]), Eigensystem(log_eigenvalues=logs, target_power=[1, 2, 3])
    np.testing.assert_allclose(a.sums([-1.0, -np.inf]), b.sums([-1.0, -np.inf]), rtol=1e-15)


def test_a_level_is_its_modes():
    level = Eigensystem([1.0, 0.1], [6.0, 1.0], multiplicities=[3, 2])
    modes = Eigensystem([1.0] * 3 + [0.1] * 2, [1.0, 2.0, 3.0, 0.5, 0.5])
    np.testing.assert_allclose(level.sums([-5.0, -1.0, 2.0]), modes.sums([-5.0, -1.0, 2.0]), rtol=1e-14)


def test_sums_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    logs, counts, power = rng.normal(-5, 4, 300), rng.integers(1, 9, 300), rng.random(300)
    task = Eigensystem(log_eigenvalues=logs, target_power=power, multiplicities=counts, noise=0.3)
    x = np.array([[-30.0, -5.0], [0.0, 12.0]])
    sums = np.array(task.sums(x))
    assert sums.shape == (4, 2, 2)
    for i, log_kappa in np.ndenumerate(x):
        direct = direct_sums(logs, counts, power, 0.3, log_kappa)
        np.testing.assert_allclose(sums[(slice(None), *i)], direct, rtol=1e-13)


def test_sums_at_ridge_zero_and_unlearnable_power():
    task = Eigensystem([1.0, 0.5, 0.0], [1.0, 1.0, 0.25], multiplicities=[1, 2, 7], noise=0.5)
    assert [float(s) for s in task.sums(-np.inf)] == [3.0, 0.0, 0.75, 0.75]
    learned = learnabilities(task, [-np.inf, 0.0])
    assert learned[0].tolist() == [1.0, 1.0, 0.0]
    np.testing.assert_allclose(learned[1], [0.5, 1 / 3, 0.0], rtol=1e-15)


def test_far_below_the_smallest_double():
    task = Eigensystem(log_eigenvalues=[0.0, -2000.0], target_power=[0.0, 1.0])
    assert task.rank == 2
    z, g, _, bias = task.sums(-2000.0 + np.log(3.0))
    assert float(z) == pytest.approx(1.25, rel=1e-13)
    assert float(g) == pytest.approx(3 / 16, rel=1e-13)
    assert float(bias) == pytest.approx(9 / 16, rel=1e-13)


def _rough(n):
    rng = np.random.default_rng(1)
    return rng.uniform(-25, 0, n), rng.pareto(1.5, n) * (rng.random(n) < 0.01)


_MILLION = np.arange(1.0, 1e6 + 1)
MILLION_MODES = {
    "power law": (-1.5 * np.log(_MILLION), _MILLION**-1.8),
    "slow power law": (-1.05 * np.log(_MILLION), _MILLION**-1.01),
    "rough": _rough(1_000_000),
    # Evenly spaced down to 1e-260.
    "deep": (np.linspace(0.0, -260 * np.log(10.0), 1_000_000), _MILLION**-1.2),
}


@pytest.mark.parametrize("name", MILLION_MODES)
def test_a_million_modes_against_direct_sums(name):
    logs, power = MILLION_MODES[name]
    n, noise = 3000.0, 0.01
    task = Eigensystem(log_eigenvalues=logs, target_power=power, noise=noise)
    counts = np.ones(len(logs))

    for log_kappa in (-40.3, -9.0, -1.2):
        direct = direct_sums(logs, counts, power, noise, log_kappa)
        np.testing.assert_allclose([float(s) for s in task.sums(log_kappa)], direct, rtol=1e-11)

    solution = implicit_regularization(task, n)

    def missing(x):
        return direct_sums(logs, counts, power, noise, x)[0] - n

    x = float(solution.log_effective_ridge)
    log_kappa = brentq(missing, x - 1e-3, x + 1e-3, xtol=1e-13, rtol=1e-15)
    assert abs(np.expm1(x - log_kappa)) < 1e-8
    z, g, _, bias = direct_sums(logs, counts, power, noise, log_kappa)
    coefficient = n / (n - (z - g))  # Σ L² = z - g
    assert float(n / solution.sums.partly_learned_modes) == pytest.approx(coefficient, rel=1e-8)
    assert float(n / solution.sums.partly_learned_modes * solution.sums.squared_bias) == pytest.approx(
        coefficient * bias, rel=1e-8
    )


def test_compression_is_small_and_keeps_totals():
    logs, power = MILLION_MODES["power law"]
    nodes, (counts, node_power) = compress(logs, np.stack([np.ones_like(power), power]))
    assert len(nodes) < 400
    assert counts.sum() == pytest.approx(1e6, rel=1e-13)
    assert node_power.sum() == pytest.approx(power.sum(), rel=1e-13)
    # Sparse bins keep their modes as they are.
    np.testing.assert_array_equal(nodes[:14], logs[:14])


def test_chunks_of_a_long_grid_are_one_grid():
    task = Eigensystem(np.arange(1.0, 301.0) ** -1.5, np.arange(1.0, 301.0) ** -2.0)
    x = np.linspace(-20, 5, 30_000)
    sums = np.array(task.sums(x))
    for i in (0, 13_980, 13_981, 29_999):
        np.testing.assert_allclose(sums[:, i], np.array(task.sums(x[i])), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one"),
        ({"eigenvalues": [1.0], "log_eigenvalues": [0.0]}, "exactly one"),
        ({"eigenvalues": []}, "eigenvalues is empty"),
        ({"eigenvalues": ["a"]}, "eigenvalues must be numbers"),
        ({"eigenvalues": [1.0, -0.1]}, "eigenvalues must be at least 0; got -0.1"),
        ({"eigenvalues": [1.0, np.nan]}, "eigenvalues must be at least 0; got nan"),
        ({"eigenvalues": [np.inf]}, "infinite"),
        ({"log_eigenvalues": [np.nan]}, "log_eigenvalues"),
        ({"log_eigenvalues": [np.inf]}, "infinite"),
        ({"eigenvalues": [1.0, 2.0], "target_power": [1.0]}, "target_power must be one .* for each of 2"),
        ({"eigenvalues": [1.0], "target_power": [-1.0]}, "target_power must be at least 0; got -1"),
        ({"eigenvalues": [1.0], "target_power": [np.inf]}, "target_power .* infinite"),
        ({"eigenvalues": [1.0], "multiplicities": [0]}, "multiplicities must be above 0; got 0"),
        ({"eigenvalues": [1.0], "multiplicities": [1, 2]}, "multiplicities .* got 2 values"),
        ({"eigenvalues": [1.0], "noise": -0.1}, "noise must be at least 0; got -0.1"),
        ({"eigenvalues": [1.0], "noise": np.nan}, "noise must be at least 0; got nan"),
        ({"eigenvalues": [1.0], "noise": np.inf}, "noise must be one finite number"),
        ({"eigenvalues": [1.0], "noise": [0.1, 0.2]}, "noise must be one finite number"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Eigensystem(**arguments)


def test_a_tail_makes_the_rank_infinite():
    task = Eigensystem([1.0], [1.0], tail=PowerLawTail(2.0, 2.0, n_before=2000))
    assert task.rank == np.inf
    assert "tail" in repr(task)
