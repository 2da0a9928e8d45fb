"""How many directions views support, on pairs with a known number of them and on noise."""

import numpy as np
import pytest
import torch

from cases import representative
from solvable.errors import InputError
from solvable.stepwise.theory import cross_correlation, held_out_directions, learnable_directions


def pairs(strengths, n: int, m: int, seed: int, noise=1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return two views (n, m) that share random directions of these standard deviations; the rest is white noise."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(m, m)))[0][: len(strengths)]
    shared = rng.normal(size=(n, len(strengths))) * strengths @ basis + 3.0
    return shared + noise * rng.normal(size=(n, m)), shared + noise * rng.normal(size=(n, m))


SIGNALS = np.array([4.0, 3.0, 2.0, 1.5, 1.2])


@pytest.mark.parametrize("seed", representative(range(20), fast=range(3)))
def test_the_number_of_signals_is_found(seed) -> None:
    X, X2 = pairs(SIGNALS, n=1500, m=40, seed=seed)
    found = held_out_directions(X, X2)
    # One of the noise directions may pass two standard errors, as one in forty does.
    assert 5 <= found.directions <= 6
    assert 5 <= learnable_directions(cross_correlation(X, X2)) <= 7
    assert found.held_out[:5] == pytest.approx(SIGNALS**2, rel=0.15)


def test_white_noise_has_no_direction() -> None:
    counts, rules = [], []
    for seed in range(20):
        X, X2 = pairs([], n=300, m=30, seed=seed)
        counts.append(held_out_directions(X, X2).directions)
        rules.append(learnable_directions(cross_correlation(X, X2)))
    # Above two standard errors by chance: one first direction in forty.
    assert np.mean(counts) <= 0.15
    assert np.mean(rules) <= 1.5
    positive = (np.linalg.eigvalsh(cross_correlation(X, X2)) > 0).sum()
    assert positive >= 12  # what fixed pairs would learn


def test_held_out_correlations_are_unbiased_and_those_of_the_sample_are_not() -> None:
    held, sample, errors = [], [], []
    for seed in range(30):
        X, X2 = pairs([1.0], n=200, m=60, seed=seed)
        found = held_out_directions(X, X2)
        # Along the directions found, which are not quite the true one: no more than its variance.
        held.append(found.held_out[0])
        sample.append(found.gamma[0])
        errors.append(found.error[0])
    assert np.mean(sample) > 1.3
    assert np.mean(held) < 1.05
    late = [held_out_directions(*pairs([], n=200, m=20, seed=s)).held_out for s in range(30)]
    assert np.abs(np.mean(late, axis=0)).max() < 5 * np.std(late) / np.sqrt(30)
    # The standard error is that of repetitions, within a half.
    assert np.std(late, axis=0).mean() == pytest.approx(
        np.mean([held_out_directions(*pairs([], n=200, m=20, seed=s)).error for s in range(5)]), rel=0.5
    )


def test_weight_decay_forbids_weak_directions() -> None:
    X, X2 = pairs(SIGNALS, n=3000, m=10, seed=0)
    gamma = cross_correlation(X, X2)
    for w, expected in ((0.0, 5), (4 * 3.0, 3), (4 * 20.0, 0)):
        assert held_out_directions(X, X2, weight_decay=w).directions in (expected, expected + (w == 0))
        if w:
            assert learnable_directions(gamma, weight_decay=w) == expected
    # They agree with a mode that does not grow: 4 gamma < w.
    assert learnable_directions([1.0, 0.5, 1 / 3], weight_decay=1.6) == 2


def test_the_floor_is_the_most_negative_eigenvalue_or_your_own() -> None:
    values = [3.0, 0.5, 0.2, 0.1, -0.2]
    assert learnable_directions(values) == 2
    assert learnable_directions(np.diag(values)) == 2
    assert learnable_directions(values, noise_floor=0.05) == 4
    # Equal views have no negative eigenvalues but by rounding, and those that are 0 do not count.
    X = np.random.default_rng(0).normal(size=(50, 4)) @ np.random.default_rng(1).normal(size=(4, 9))
    assert learnable_directions(cross_correlation(X, X)) == 4
    assert held_out_directions(X, X).directions == 4
    assert learnable_directions(np.zeros((3, 3))) == 0


def test_fewer_pairs_than_dimensions() -> None:
    X, X2 = pairs([6.0, 5.0], n=40, m=200, seed=0)
    found = held_out_directions(X, X2)
    assert found.directions == 2
    assert found.gamma.shape == found.held_out.shape == found.error.shape == (200,)
    assert held_out_directions(X, X2, most=1).directions == 1


def test_constant_views_and_tensors() -> None:
    ones = np.ones((8, 3))
    assert held_out_directions(ones, ones).directions == 0
    # Without centring the mean is a direction.
    assert held_out_directions(ones, ones, center=False).directions == 1
    X, X2 = pairs(SIGNALS, n=100, m=8, seed=1)
    expected = held_out_directions(X, X2)
    tensors = held_out_directions(torch.tensor(X, requires_grad=True), torch.tensor(X2))
    assert tensors.held_out == pytest.approx(expected.held_out, rel=1e-12)
    half = held_out_directions(torch.tensor(X).bfloat16(), torch.tensor(X2).bfloat16())
    assert half.held_out == pytest.approx(expected.held_out, rel=0.1, abs=0.1)


def test_the_seed_decides_the_halves() -> None:
    X, X2 = pairs(SIGNALS, n=60, m=8, seed=2)
    first, again, other = (held_out_directions(X, X2, random_state=seed).held_out for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


BAD = [
    (lambda: learnable_directions(np.ones((2, 3))), r"gamma has shape \(2, 3\)"),
    (lambda: learnable_directions([1.0, np.nan]), "gamma must be numbers; got nan"),
    (lambda: learnable_directions([1.0], weight_decay=-1), "weight_decay must be at least 0"),
    (lambda: learnable_directions([]), "gamma is empty"),
    (lambda: held_out_directions(np.ones((3, 2)), np.ones((3, 2))), "there are 3 pairs; expected at least 4"),
    (lambda: held_out_directions(np.ones((9, 2)), np.ones((8, 2))), "the views have shapes"),
    (lambda: held_out_directions(np.ones((9, 2)), np.full((9, 2), np.nan)), "view 2 has 18 values"),
    (lambda: held_out_directions(np.ones((9, 2)), np.ones((9, 2)), most=0), "most must be a whole number"),
    (lambda: held_out_directions(np.ones((9, 2)), [["a", "b"]] * 9), "expected numbers"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_input_is_one_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
