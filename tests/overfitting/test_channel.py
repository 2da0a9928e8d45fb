"""Label noise: exact shares, nested levels, the probabilities of the channel, and the sentence for each bad input."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from solvable.errors import InputError
from solvable.overfitting.label_noise import channel_matrix, check_levels, flip_labels, nested_flips

CONFUSED = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.2, 0.8]])


def flips(codes: np.ndarray, levels: list[float], matrix: np.ndarray, seed: int = 0) -> np.ndarray:
    return nested_flips(codes, np.array(levels), matrix, np.random.default_rng(seed))


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 300),
    n_classes=st.integers(2, 12),
    levels=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_shares_are_exact_to_one_sample_and_levels_are_nested(n, n_classes, levels, seed) -> None:
    codes = np.random.default_rng(seed).integers(n_classes, size=n)
    levels = sorted(levels)
    wrong = flips(codes, levels, channel_matrix("symmetric", n_classes), seed) != codes
    assert (np.abs(wrong.sum(axis=1) - n * np.array(levels)) <= 1 + 1e-9).all()
    assert (wrong[:-1] <= wrong[1:]).all()


def test_a_label_that_is_wrong_at_two_levels_is_the_same_wrong_label() -> None:
    codes = np.zeros(500, dtype=np.int64)
    low, high = flips(codes, [0.3, 0.6], channel_matrix("symmetric", 10))
    assert (high[low != 0] == low[low != 0]).all()


def test_the_share_is_unbiased() -> None:
    codes = np.zeros(7, dtype=np.int64)
    matrix = channel_matrix("symmetric", 2)
    counts = [flips(codes, [0.2], matrix, seed).sum() for seed in range(4000)]
    # 1.4 samples: 1 or 2, never others.
    assert set(counts) == {1, 2}
    assert np.mean(counts) == pytest.approx(1.4, abs=4 * np.sqrt(0.24 / 4000))


@pytest.mark.parametrize("matrix", [channel_matrix("symmetric", 3), CONFUSED])
def test_wrong_labels_follow_the_channel(matrix: np.ndarray) -> None:
    codes = np.repeat([0, 1, 2], 20000)
    labels = flips(codes, [1.0], matrix)[0]
    for code, row in enumerate(matrix):
        counts = np.bincount(labels[codes == code], minlength=3)
        assert (counts[row == 0] == 0).all()
        if (row > 0).sum() > 1:
            assert chisquare(counts[row > 0], 20000 * row[row > 0]).pvalue > 1e-4


@pytest.mark.parametrize(
    "y", [["a", "b"] * 50, np.arange(100) % 2, np.arange(100) % 2 == 0, pd.Series([3, 7] * 50)]
)
def test_flipped_labels_are_of_the_same_kind(y) -> None:
    clean = np.asarray(y)
    noisy = flip_labels(y, 0.25, random_state=1)
    assert (noisy != clean).sum() == 25
    assert set(noisy) <= set(clean)
    assert noisy.dtype.kind == clean.dtype.kind
    np.testing.assert_array_equal(flip_labels(y, 0), clean)
    np.testing.assert_array_equal(noisy, flip_labels(y, 0.25, random_state=1))
    lower = flip_labels(y, 0.1, random_state=1)
    assert ((lower != clean) <= (noisy != clean)).all()


def test_levels_are_sorted_with_zero_once() -> None:
    assert check_levels([0.3, 0.1, 0.3], 4).tolist() == [0, 0.1, 0.3]
    assert check_levels(0.5, 2).tolist() == [0, 0.5]
    assert check_levels([2.0], None).tolist() == [0, 2]
    assert check_levels(1.0, 2, CONFUSED).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: flip_labels([0, 1, 0, 1], 0.6), "noise level 0.6 is too high; expected at most 0.5"),
        (lambda: flip_labels([0, 1, 0, 1], -0.1), "at least 0"),
        (lambda: flip_labels([0, 1, 0, 1], np.nan), "at least 0; got nan"),
        (lambda: flip_labels([0, 1, 0, 1], [0.1, 0.2]), "must be one number; got 2"),
        (lambda: flip_labels([0, 0, 0], 0.1), "y has one class only"),
        (lambda: flip_labels([0.5, 1.5], 0.1), "add noise to numbers by hand"),
        (
            lambda: flip_labels(["a", None, "b"], 0.1),
            "1 missing values in 3 rows (33.3%), the first in row 2",
        ),
        (lambda: flip_labels([[0, 1], [1, 0]], 0.1), "shape (2, 2)"),
        (lambda: flip_labels([0, 1], 0.1, channel="pair"), "unknown channel 'pair'"),
        (lambda: channel_matrix(np.eye(2), 3), "has shape (2, 2)"),
        (lambda: channel_matrix([[0, 2], [1, 0]], 2), "row 0 sums to 2"),
        (lambda: channel_matrix([[2, -1], [1, 0]], 2), "one is negative"),
        (lambda: channel_matrix(CONFUSED.T, 3), "give its transpose"),
        (lambda: channel_matrix([[np.nan, 1], [1, 0]], 2), "NaN"),
        (lambda: check_levels([0, 0], 3), "no level above 0"),
        (lambda: check_levels([], 3), "is empty"),
        (lambda: check_levels(["a"], 3), "must be numbers"),
        (lambda: check_levels([np.inf], None), "NaN or infinite"),
    ],
)
def test_bad_inputs_are_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert sentence in str(caught.value)
