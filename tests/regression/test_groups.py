"""Leaving groups out: against refits without the group, and against training on some groups and testing on others."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from solvable.datasets.groups import group_codes
from solvable.errors import InputError
from solvable.kernels import Kernel, Laplace, as_kernel
from solvable.regression import LearningSurface, diagnose, one_gram
from solvable.regression.one_gram import OneGram, decompose

RIDGES = np.array([0.01, 1.0, 10.0])


def patients(n_groups: int, size: int, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return inputs clustered by group, a target with an offset for each group, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), size)
    X = rng.normal(size=(n_groups, 4))[group] + 0.3 * rng.normal(size=(len(group), 4))
    y = np.sin(X[:, 0]) + 0.3 * X[:, 1] * X[:, 2] + rng.normal(size=n_groups)[group]
    return X, y + 0.1 * rng.normal(size=len(group)), group


def one_kernel() -> Kernel:
    return as_kernel("laplace").for_data(np.random.default_rng(9).normal(size=(300, 4)))


def error_on_new_groups(kernel: Kernel, n_groups: int, size: int) -> NDArray:
    """Return the mean squared error of training on some groups and testing on 200 others, for each ridge."""
    found = []
    for seed in range(12):
        X, y, group = patients(n_groups + 200, size, 1000 + seed)
        train = group < n_groups
        inner, cross = kernel(X[train]), kernel(X[~train], X[train])
        fits = [np.linalg.solve(inner + ridge * np.eye(len(inner)), y[train]) for ridge in RIDGES]
        found.append([np.square(cross @ fit - y[~train]).mean() for fit in fits])
    return np.mean(found, axis=0)


def test_groups_tell_the_error_on_new_groups_and_single_points_do_not() -> None:
    kernel, n_groups, size = one_kernel(), 80, 5
    measured = error_on_new_groups(kernel, n_groups, size)
    by_group, by_point, inside = [], [], []
    for seed in range(8):
        X, y, group = patients(n_groups, size, seed)
        grouped = LearningSurface.from_kernel(kernel, X, y, groups=group).predict(len(X), ridge=RIDGES)
        alone = LearningSurface.from_kernel(kernel, X, y).predict(len(X), ridge=RIDGES)
        by_group.append(np.log(grouped.test_mse.squeeze() / measured))
        by_point.append(np.log(alone.test_mse.squeeze() / measured))
        low, high = grouped.test_mse_low.squeeze(), grouped.test_mse_high.squeeze()
        inside.append((low <= measured) & (measured <= high))
    # 80 groups know a variance to 16 %, eight samples of them their mean to 6 %.
    assert np.abs(np.mean(by_group, axis=0)).max() < 0.1
    assert np.median(np.abs(by_group)) < 0.16
    assert np.mean(inside) >= 0.8
    # Leaving single points out sees the group's offset in its other points: half the error or less at small ridges.
    assert (np.mean(by_point, axis=0)[:2] < np.log(0.65)).all()
    assert np.mean(np.abs(by_point)) > 3 * np.mean(np.abs(by_group))


def auxiliary_ridges(s: OneGram) -> NDArray:
    return np.exp(s.log_kappa) * (s.n_samples - s.learned_modes)


def fold_means(values: NDArray, groups: NDArray) -> NDArray:
    return np.array([values[groups % 20 == fold].mean() for fold in np.unique(groups % 20)])


def weights_of_a_refit(gram: NDArray, out: NDArray, ridge: float, intercept: bool) -> NDArray:
    """Return one row of weights for each point left out: its prediction is their product with the others' targets.

    From the equations of the saddle point: (K + ridge) a + b = Y, and the sum of a is 0 (without an intercept, b is).
    """
    n = int((~out).sum())
    saddle = np.zeros((n + 1, n + 1))
    saddle[:n, :n] = gram[np.ix_(~out, ~out)] + ridge * np.eye(n)
    saddle[:n, n] = saddle[n, :n] = intercept
    saddle[n, n] = not intercept
    cross = np.column_stack([gram[out][:, ~out], np.full(out.sum(), float(intercept))])
    return cross @ np.linalg.inv(saddle)[:, :n]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("way", ["as it chooses", "blocks", "blocks in pieces", "the others"])
def test_residuals_are_those_of_refits_without_the_group(
    outputs: int, intercept: bool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"blocks": (1.0, 10**7), "blocks in pieces": (1.0, 500), "the others": (0.0, 10**7)}
    if way in limits:
        for name, value in zip(("_LARGE", "_MOST_NUMBERS"), limits[way], strict=True):
            monkeypatch.setattr(one_gram, name, value)
    rng = np.random.default_rng(0)
    # Many small groups, and one of a third of the points.
    groups = np.repeat(np.arange(26), [*(rng.permutation(25) % 5 + 1), 38])
    n = len(groups)
    X, Y = rng.normal(size=(n, 3)), rng.normal(size=(n, outputs)) + 2.0 * groups[:, None] / 26
    gram = 7.0 * np.asarray(Laplace(length_scale=2.0)(X))
    s = one_gram.one_gram(decompose(gram, groups=groups, intercept=intercept), Y)
    steps = np.flatnonzero(s.n_samples - s.learned_modes > 0.01)[::9]
    assert len(steps) > 5
    for step in steps:
        ridge = auxiliary_ridges(s)[step]
        error, noise = np.empty(n), np.empty(n)
        for group in np.unique(groups):
            out = groups == group
            weights = weights_of_a_refit(gram, out, ridge, intercept)
            error[out] = np.square(Y[out] - weights @ Y[~out]).sum(axis=1)
            noise[out] = 1.0 + np.square(weights).sum(axis=1)
        np.testing.assert_allclose(s.squared_error[:, step], fold_means(error, groups), rtol=1e-8)
        np.testing.assert_allclose(s.error_amplification[:, step], fold_means(noise, groups), rtol=1e-8)


def test_single_points_are_refits_too_and_the_effective_ridge_is_what_it_says() -> None:
    rng = np.random.default_rng(1)
    n = 45
    X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    gram = np.asarray(Laplace(length_scale=2.0)(X))
    s = one_gram.one_gram(decompose(gram), y[:, None])
    for step in range(0, len(s.log_kappa), 20):
        ridge = auxiliary_ridges(s)[step]
        if s.n_samples - s.learned_modes[step] < 0.01:
            continue
        assert np.exp(-s.log_kappa[step]) == pytest.approx(
            np.linalg.inv(gram + ridge * np.eye(n)).trace(), rel=1e-8
        )
        error = np.empty(n)
        for i in range(n):
            rest = np.arange(n) != i
            fit = np.linalg.solve(gram[np.ix_(rest, rest)] + ridge * np.eye(n - 1), y[rest])
            error[i] = (y[i] - gram[i, rest] @ fit) ** 2
        np.testing.assert_allclose(s.squared_error[:, step], fold_means(error, np.arange(n)), rtol=1e-8)


@pytest.mark.parametrize("labels", ["numbers", "classes"])
def test_groups_of_one_are_no_groups(labels: str) -> None:
    X, y, _ = patients(20, 6, 0)
    target = y if labels == "numbers" else (y > 0).astype(int)
    grid = {"n_train": [40, 120, 400], "ridge": [0.0, 0.1, 3.0]}
    alone = LearningSurface.from_kernel("laplace", X, target).predict(**grid)
    grouped = LearningSurface.from_kernel("laplace", X, target, groups=np.arange(len(X))).predict(**grid)
    np.testing.assert_allclose(grouped.test_mse, alone.test_mse, rtol=1e-9)
    if labels == "classes":
        np.testing.assert_allclose(grouped.error_rate, alone.error_rate, rtol=0.02)


@pytest.mark.filterwarnings("ignore:theory does not hold well here")
def test_large_groups_are_computed_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, group = patients(6, 30, 0)
    found = []
    for large in (0.0, 1.0):
        monkeypatch.setattr(one_gram, "_LARGE", large)
        surface = LearningSurface.from_kernel("laplace", X, (y > 0).astype(int), groups=group)
        found.append(surface.predict([50, 180], ridge=[0.0, 1.0]))
    np.testing.assert_allclose(found[1].test_mse, found[0].test_mse, rtol=1e-6)
    np.testing.assert_allclose(found[1].error_rate, found[0].error_rate, rtol=1e-2)


@pytest.mark.parametrize("kind", ["text", "permuted", "floats", "series", "booleans of a table", "dates"])
def test_names_of_groups_do_not_matter(kind: str) -> None:
    X, y, group = patients(30, 4, 0)
    order = np.random.default_rng(0).permutation(30)
    names = {
        "text": np.array([f"patient {i}" for i in group]),
        "permuted": order[group],
        "floats": group / 7,
        "series": pd.Series(order[group], index=np.arange(len(group))[::-1]),
        "booleans of a table": pd.Series([str(i) for i in group], dtype="category"),
        "dates": pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(order[group], unit="D")),
    }[kind]
    grid = {"n_train": [40, 120, 400], "ridge": [0.0, 0.1, 3.0]}
    expected = LearningSurface.from_kernel("laplace", X, y, groups=group).predict(**grid)
    found = LearningSurface.from_kernel("laplace", X, y, groups=names).predict(**grid)
    np.testing.assert_allclose(found.test_mse, expected.test_mse, rtol=1e-9)
    # The names decide which groups share a fold and a half, so the intervals move a little.
    assert float(abs(np.log(found.test_mse_high / expected.test_mse_high)).max()) < 0.25


def test_the_order_of_points_does_not_matter() -> None:
    X, y, group = patients(30, 4, 0)
    order = np.random.default_rng(0).permutation(len(X))
    one = LearningSurface.from_kernel(one_kernel(), X, y, groups=group)
    other = LearningSurface.from_kernel(one_kernel(), X[order], y[order], groups=group[order])
    np.testing.assert_allclose(one.statistics.squared_error, other.statistics.squared_error, rtol=1e-7)


def test_repeated_points_leave_groups_in_step() -> None:
    X, y, group = patients(30, 4, 0)
    found = diagnose(
        np.r_[X, X[:3]], np.r_[y, y[:3]], "laplace", groups=np.r_[group, group[:3]], drop_repeats=True
    )
    expected = diagnose(X, y, "laplace", groups=group)
    np.testing.assert_allclose(
        found.surface.statistics.squared_error.mean(),
        expected.surface.statistics.squared_error.mean(),
        rtol=0.05,
    )


def test_repeated_points_do_not_hide_bad_groups() -> None:
    X, y, group = patients(30, 4, 0)
    X, y = np.r_[X, X[:3]], np.r_[y, y[:3]]
    for groups in (group, np.full(len(X), np.nan)):
        with pytest.raises(InputError, match="groups has"):
            LearningSurface.from_kernel("laplace", X, y, groups=groups)


def test_diagnose_takes_groups() -> None:
    X, y, group = patients(60, 5, 3)
    alone, grouped = (diagnose(X, y, "laplace", groups=g) for g in (None, group))
    assert (alone.n_groups, grouped.n_groups) == (None, 60)
    assert grouped.forecast([300]).rmse.item() > 1.2 * alone.forecast([300]).rmse.item()
    assert "new groups like these 60" in " ".join(str(grouped).split())
    assert "assumed to be independent" in str(alone)
    compared = diagnose(X, y, groups=group)
    assert "leave-one-group-out" in " ".join(str(compared).split())
    # The model itself knows nothing of groups.
    assert compared.estimator.predict(X).shape == (300,)


def test_groups_follow_the_rows_that_are_drawn_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvable.regression import diagnose as module  # the function

    X, y, group = patients(40, 5, 0)
    X[::50, 0] = np.nan
    with pytest.raises(InputError, match="missing"):
        module(X, y, "laplace", groups=group)
    found = module(X, y, "laplace", groups=group, missing="drop")
    keep = ~np.isnan(X[:, 0])
    expected = module(X[keep], y[keep], "laplace", groups=group[keep])
    assert found.n_samples == int(keep.sum())
    np.testing.assert_allclose(found.forecast([100]).rmse, expected.forecast([100]).rmse, rtol=1e-9)


BAD = {
    "too few": (np.arange(100) % 4, "there are 4 groups; expected at least 5"),
    "one": (np.zeros(100), "there are 1 groups"),
    "too short": (np.arange(99), r"shape \(99,\); expected one group for each of the 100 points"),
    "a column": (np.arange(100)[:, None], r"shape \(100, 1\)"),
    "NaN": (np.where(np.arange(100) < 2, np.nan, np.arange(100)), "groups has 2 missing values"),
    "None": ([None, *range(99)], "groups has 1 missing values"),
    "NaN among names": (pd.Series(["a", np.nan] * 50, dtype=object), "groups has 50 missing values"),
    "pandas NA": (pd.Series([pd.NA, *range(99)], dtype="Int64"), "groups has 1 missing values"),
    "NaT": (pd.to_datetime(pd.Series([None, *["2020-01-01"] * 99])), "groups has 1 missing values"),
    "NA among text": (pd.Series(["a", pd.NA] * 50, dtype="string"), "groups has 50 missing values"),
    "a word": ("patient", r"shape \(\)"),
    "rows of different length": ([[1], [2, 3]] * 50, "groups cannot be read as an array"),
}


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("call", ["surface", "diagnose", "codes"])
def test_bad_groups_are_one_sentence(bad: str, call: str) -> None:
    X, y, _ = patients(20, 5, 0)
    groups, sentence = BAD[bad]
    calls = {
        "surface": lambda: LearningSurface.from_kernel("laplace", X, y, groups=groups),
        "diagnose": lambda: diagnose(X, y, "laplace", groups=groups),
        "codes": lambda: group_codes(groups, 100),
    }
    with pytest.raises(InputError, match=sentence) as caught:
        calls[call]()
    assert "\n" not in str(caught.value)


def test_groups_are_counted_again_without_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    groups = np.repeat([0, 1, 2, 3, 4], [40, 8, 8, 8, 8])
    rows = np.concatenate([np.arange(40), *[np.arange(8)] * 4])
    with pytest.raises(InputError, match="there are 1 groups without the repeated rows; expected at least 5"):
        diagnose(X[rows], X[rows, 0], "laplace", groups=groups, drop_repeats=True)


@pytest.mark.parametrize("seed", [1, 5])
def test_the_forecast_for_the_samples_size_is_the_error_on_groups_left_out(seed: int) -> None:
    # Visits of a patient are nearly equal, and so is their label: at a small ridge, single visits are easy.
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(50), 6)
    levels = rng.normal(size=(50, 4))
    sick = np.where(levels[:, 0] + rng.normal(size=50) > 0, "yes", "no")[patient]
    X = levels[patient] + 0.1 * rng.normal(size=(300, 4))
    found = diagnose(X, sick, "laplace", groups=patient)
    s = found.surface.statistics
    errors = s.fold_sizes @ s.squared_error / 300
    ridges = np.exp(s.log_kappa) * (300 - s.learned_modes)
    steps = np.flatnonzero((s.learned_modes > 5) & (s.learned_modes < 0.9 * 300))[::5]
    with warnings.catch_warnings(action="ignore"):
        forecast = found.surface.predict(300, ridge=ridges[steps]).test_mse.squeeze()
    np.testing.assert_allclose(forecast, errors[steps], rtol=1e-3)
    # With two one-hot columns, each wrong answer costs at least a half.
    now = found.forecast([300]).isel(n_train=0)
    assert float(now.test_mse) > 0.45 * float(now.error_rate)
