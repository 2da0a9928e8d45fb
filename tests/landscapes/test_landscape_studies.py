"""The studies of the wing: what they measure, and that they measure what the paper found."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Comparison, compare
from solvable.lab.run import stacked
from solvable.landscapes import find_critical_points, flat_study, linear_autoencoder, minres_qlp, study, toy
from solvable.landscapes.drawing import plot_loss_index, plot_traces
from solvable.landscapes.experiment import (
    KIND_NAMES,
    gaussian_covariance,
    network_loss,
    principal_components,
    search,
    search_network,
    search_toy,
    stop_early,
)
from solvable.landscapes.methods import NewtonMR


def measured(module: Any, parameters: Any) -> tuple[xr.Dataset, xr.Dataset, str]:
    """Return prediction, measurement and conclusion of a study."""
    setting = module.prepare(parameters)
    prediction = module.predict(parameters, setting)
    measurement = stacked([module.trial(parameters, setting, i) for i in range(parameters.trials)])
    comparison = compare(prediction, measurement, module.study.compared)
    return prediction, measurement, module.conclude(prediction, measurement, comparison)


def headline(module: Any, prediction: xr.Dataset, measurement: xr.Dataset) -> str:
    return module.headline(prediction, measurement, compare(prediction, measurement, module.study.compared))


def at(measurement: xr.Dataset, name: str, cutoff: float) -> float:
    return float(measurement[name].sel(cutoff=cutoff, method="nearest").mean("trial"))


# --- The linear autoencoder -------------------------------------------------------------------------------------------


def test_data_are_gaussian_with_growing_variances() -> None:
    covariance = gaussian_covariance(5, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(covariance, np.diag(np.arange(1.0, 6.0)), atol=0.1)
    # Removed means make the covariance of two samples singular.
    assert np.linalg.matrix_rank(gaussian_covariance(3, 2, np.random.default_rng(0))) == 1


def test_the_prediction_lists_the_losses_of_each_index() -> None:
    parameters = replace(study.study.tiny, n_inputs=5, n_hidden=2)
    setting = study.prepare(parameters)
    prediction = study.predict(parameters, setting)
    values = np.linalg.eigvalsh(setting.covariance)
    by_index: dict[int, list[float]] = {}
    for size in range(3):
        for S in combinations(range(5), size):
            rest = [j for j in range(5) if j not in S]
            index = sum(j > i for i in S for j in rest) + (2 - size) * (5 - size)
            by_index.setdefault(index, []).append(values[rest].sum() / 5)
    assert prediction.sizes["exact"] == 16
    for index in range(11):
        row = prediction.sel(index=index)
        expected = by_index.get(index)
        if expected is None:
            assert np.isnan([row.loss, row.loss_low, row.loss_high]).all()
        else:
            assert float(row.loss) == pytest.approx(np.mean(expected), rel=1e-12)
            assert float(row.loss_low) == pytest.approx(min(expected), rel=1e-7)
            assert float(row.loss_high) == pytest.approx(max(expected), rel=1e-7)


def test_points_of_a_search_are_those_that_shorter_searches_end_at() -> None:
    covariance = np.diag([1.0, 2.0, 4.0])
    loss = linear_autoencoder.loss(covariance, 1, 1 / 3)
    starts = np.random.default_rng(0).standard_normal((4, 6))
    found, points = search(loss, starts, "lm", 30)
    assert len(set(found.n_iter.tolist())) > 1
    np.testing.assert_array_equal(points[-1], found.theta)
    for steps in (0, 1, 5, 12):
        shorter = find_critical_points(loss, starts, max_iter=steps, quiet=True)
        np.testing.assert_array_equal(points[steps], shorter.theta)


def test_errors_of_early_stops_by_hand() -> None:
    covariance = np.diag([1.0, 2.0, 4.0])
    loss = linear_autoencoder.loss(covariance, 1, 1 / 3)
    starts = np.random.default_rng(1).standard_normal((6, 6))
    found, points = search(loss, starts, "lm", 200)
    ends = linear_autoencoder.identify(found.theta, covariance, 1, 1 / 3)
    assert all(end is not None for end in ends)
    errors, loss_errors = [], []
    for row, end in enumerate(ends):
        for theta in points[:, row]:
            point = torch.tensor(theta, requires_grad=True)
            (gradient,) = torch.autograd.grad(loss(point), point)
            if float(gradient @ gradient) < 1e-2:
                values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, point.detach()))
                errors.append(abs(int((values < -1e-5).sum()) - end.n_negative))
                loss_errors.append(abs(float(loss(theta)) - end.loss) / end.loss)
                break
    assert any(errors)
    stop = stop_early(loss, found, points, ends, 1e-2)
    assert stop.right == pytest.approx(np.mean(np.array(errors) == 0))
    assert stop.index_error == pytest.approx(np.mean(errors))
    assert stop.loss_error == pytest.approx(np.mean(loss_errors), rel=1e-6)
    # A search without an exact end does not count, and without any there are no errors.
    one = stop_early(loss, found, points, [ends[0], *[None] * 5], 1e-2)
    assert one.index_error == errors[0]
    assert np.isnan(stop_early(loss, found, points, [None] * 6, 1e-2)).all()


def test_a_small_search_finds_classes_with_their_loss_and_index() -> None:
    prediction, measurement, text = measured(study, study.study.tiny)
    kinds = measurement.found_class.values.ravel()
    assert (kinds >= 0).all()
    np.testing.assert_array_equal(
        measurement.found_index.values.ravel(), prediction.exact_index.values[kinds]
    )
    np.testing.assert_allclose(
        measurement.found_loss.values.ravel(), prediction.exact_loss.values[kinds], rtol=1e-9
    )
    assert f"from 12 of 12 starts and found {len(set(kinds))} of the 11 classes" in text
    assert "Each has exactly the index and the loss of its class." in text


def test_ends_that_are_not_critical_are_no_classes() -> None:
    parameters = replace(study.study.tiny, method="gnm", max_iter=2)
    prediction, measurement, text = measured(study, parameters)
    assert (measurement.found_class == -1).all()
    assert np.isnan(measurement.loss).all()
    assert np.isnan(measurement.index_right).all()
    assert text.startswith("GNM reached |g|² ≤ 1e-10 from 0 of 12 starts: it found none of the 11 classes")
    (legend,) = study.plot(prediction, measurement).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["all 11 classes", "not critical: 12 ends", "counted as critical"]
    expected = "GNM finds none of 11 classes of critical points from 12 starts"
    assert headline(study, prediction, measurement) == expected


def test_the_headline_counts_starts_classes_and_exact_points() -> None:
    prediction, measurement, _ = measured(study, study.study.tiny)
    classes = len(set(measurement.found_class.values.ravel()))
    text = "LM finds critical points from 12 of 12 starts, {} with a loss and index of theory: {} of all 11 classes"
    assert headline(study, prediction, measurement) == text.format("each", classes)
    wrong = measurement.copy(deep=True)
    wrong.found_index[0, 0] += 1
    wrong.found_loss[1, 2] *= 1 + 1e-6
    assert headline(study, prediction, wrong) == text.format(10, classes)
    wrong.squared_gradient[0, 1], wrong.found_class[0, 1] = 1.0, -1
    assert "from 11 of 12 starts" in headline(study, prediction, wrong)
    assert " starts, 9 with a loss and index of theory: " in headline(study, prediction, wrong)


def test_mismatches_are_told() -> None:
    prediction, measurement, _ = measured(study, study.study.tiny)
    wrong = measurement.copy(deep=True)
    wrong.found_index[0, 0] += 1
    wrong.found_loss[1, 2] *= 1 + 1e-6
    text = study.conclude(prediction, wrong, compare(prediction, wrong, ("loss",)))
    assert "2 of them have another index or loss than the class." in text


@pytest.mark.slow
def test_lm_succeeds_from_nearly_all_starts_and_finds_many_classes() -> None:
    prediction, measurement, _ = measured(study, study.Parameters())
    kinds = measurement.found_class.values.ravel()
    known = kinds >= 0
    assert known.mean() >= 0.98
    assert len(set(kinds[known])) >= 30
    np.testing.assert_array_equal(
        measurement.found_index.values.ravel()[known], prediction.exact_index.values[kinds[known]]
    )
    assert compare(prediction, measurement, ("loss",)).summary["loss"].coverage == 1


@pytest.mark.slow
def test_an_early_stop_of_newton_mr_spoils_the_index_long_before_the_loss() -> None:
    _, measurement, _ = measured(study, study.Parameters(method="newton_mr", max_iter=300, trials=2))
    assert at(measurement, "index_right", 1e-4) < 0.5
    assert at(measurement, "index_right", 1e-6) < 0.8
    assert at(measurement, "index_right", 1e-10) == 1
    assert at(measurement, "index_error", 1e-2) > 2
    assert at(measurement, "loss_error", 1e-6) < 1e-4


# --- Flat ground ------------------------------------------------------------------------------------------------------


def test_the_toys_prediction_is_its_flat_point() -> None:
    prediction = flat_study.predict(flat_study.study.tiny, flat_study.prepare(flat_study.study.tiny))
    point = np.array(toy.FLAT)
    np.testing.assert_allclose(prediction.toy_loss, toy.value(point), rtol=1e-14)
    np.testing.assert_allclose(
        prediction.toy_squared_gradient, np.square(toy.gradient(point)).sum(), rtol=1e-13
    )


@pytest.mark.parametrize(("method", "critical"), [("newton_mr", 56), ("lm", 32), ("gnm", 32)])
def test_searches_of_the_toy_end_at_two_points(method, critical) -> None:
    found = search_toy(method)
    minimum, flat = (found.kinds == KIND_NAMES.index(kind) for kind in ("minimum", "gradient-flat"))
    assert abs(minimum.sum() - critical) <= 4
    assert (minimum | flat).all()
    assert found.loss[flat].mean() == pytest.approx(47.728, rel=0.01)
    assert np.median(found.squared_gradient[flat]) == pytest.approx(11.1766, rel=0.05)
    assert found.points.shape == (51, 100, 2)
    np.testing.assert_allclose(found.points[-1, minimum], np.array([toy.CRITICAL] * minimum.sum()), atol=1e-4)


def test_principal_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(30, 4)) @ rng.normal(size=(4, 6)), np.full(30, 7.0)])
    X += 0.1 * rng.normal(size=X.shape) * (X != 7)
    expected = PCA(3).fit_transform(StandardScaler().fit_transform(X[:, :6]))
    found = principal_components(X, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected / expected.std(axis=0)), atol=1e-10)
    assert principal_components(X[:, [0, 0, 1]], 3).shape == (30, 2)


@pytest.mark.parametrize("classifier", [False, True])
def test_the_networks_loss_written_out(classifier) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(7, 3))
    y = rng.integers(2, size=7) if classifier else X
    sizes = (3, 4, 2) if classifier else (3, 4, 3)
    loss = network_loss(sizes, X, y, classifier, 0.01, 5)
    W1, b1, W2, b2 = (loss.theta0[part] for part in loss.layers.values())
    hidden = X @ W1.reshape(4, 3).T + b1
    output = (hidden / (1 + np.exp(-hidden))) @ W2.reshape(-1, 4).T + b2
    if classifier:
        shares = np.exp(output) / np.exp(output).sum(axis=1, keepdims=True)
        expected = -np.log(shares[np.arange(7), y]).mean()
    else:
        expected = np.square(output - X).mean()
    expected += 0.01 * np.square(loss.theta0).sum()
    assert loss.value(loss.theta0[None])[0] == pytest.approx(expected, rel=1e-6)
    again = network_loss(sizes, X, y, classifier, 0.01, 5)
    np.testing.assert_array_equal(again.theta0, loss.theta0)
    assert np.abs(W1).max() < 3**-0.5
    assert np.abs(W2).max() < 0.5


def test_growth_and_loose_residuals_by_hand() -> None:
    X = np.random.default_rng(0).normal(size=(9, 2))
    loss = network_loss((2, 2, 2), X, X, False, 0.0, 0)
    starts = loss.theta0 + 0.3 * np.random.default_rng(1).normal(size=(3, len(loss.theta0)))
    end = search_network(loss, starts, NewtonMR(), 4)
    np.testing.assert_allclose(
        end.growth, np.linalg.norm(end.found.theta, axis=1) / np.linalg.norm(starts, axis=1)
    )
    for row, theta in enumerate(end.found.theta):
        here = loss.at(theta[None])
        _, info = minres_qlp(here.hessian()[0], -here.gradient[0], rtol=5e-4)
        np.testing.assert_allclose(end.loose_residual[row], info.relative_residual, atol=5e-4)


def test_the_conclusion_counts_kinds_and_large_residuals() -> None:
    prediction, measurement, _ = measured(flat_study, flat_study.study.tiny)
    shape = (2, 2)  # trials and starts
    saddle, flat, far = (KIND_NAMES.index(k) for k in ("saddle", "gradient-flat", "not converged"))
    one = xr.concat([measurement, measurement], "start", data_vars="minimal")
    one.kind[:] = far
    newton = {"trial": slice(None), "search": 0}
    one.kind[newton] = np.array([saddle, saddle, flat, flat]).reshape(shape)
    one.loss[newton] = np.array([1.0, 1.0 + 1e-9, 3.0, 4.0]).reshape(shape)
    one.index_fraction[newton] = 0.25
    one.curvature_ratio[newton] = np.array([0.1, 0.2, 3e-5, 1e-9]).reshape(shape)
    one.loose_residual[newton] = np.array([0.95, 0.99, 0.95, 0.2]).reshape(shape)
    one.residual[newton] = np.array([0.0, 0.95, 1e-3, 0.5]).reshape(shape)
    text = flat_study.conclude(prediction, one, compare(prediction, one, flat_study.study.compared))
    assert "Newton-MR ended critical from 2 of 4 starts at 1 distinct point by loss and index" in text
    assert "gradient-flat from 2, otherwise from 0. On the classifier, LM" in text
    assert (
        "At the 2 gradient-flat ends the curvature along the gradient is at most 3e-05 of the largest."
        in text
    )
    assert (
        "leaves r > 0.9 at 1 of them, and solved to rounding at 0: r alone does not tell flat points." in text
    )
    assert "Newton-MR 56 % and 44 %" in text


def test_the_headline_counts_critical_and_flat_ends_of_all_searches() -> None:
    _, measurement, _ = measured(flat_study, flat_study.study.tiny)
    saddle, flat, far = (KIND_NAMES.index(k) for k in ("saddle", "gradient-flat", "not converged"))
    kinds = np.array([saddle, flat, flat, far]).reshape(measurement.kind.shape)
    one = measurement.assign(kind=(measurement.kind.dims, kinds))
    text = "On {}, {} of 4 searches end at a critical point, and {} on flat ground whose gradient is not zero"
    for model, words in (("classifier", "a classifier"), ("autoencoder", "an autoencoder")):
        prediction = xr.Dataset(attrs={"model": model})
        assert flat_study.headline(prediction, one, Comparison(pd.DataFrame(), {})) == text.format(
            words, 1, 2
        )
    none = one.assign(kind=far + 0 * one.kind)
    assert flat_study.headline(prediction, none, Comparison(pd.DataFrame(), {})) == text.format(words, 0, 0)


def test_a_result_is_drawn() -> None:
    covariance = np.diag([1.0, 2.0, 4.0])
    starts = np.random.default_rng(0).standard_normal((6, 6))
    loss = linear_autoencoder.loss(covariance, 1)
    found = find_critical_points(loss, starts, quiet=True)
    ax = plot_loss_index(found, linear_autoencoder.theory(covariance, 1))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["all 4 classes", "critical: 6 ends"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), found.index / 6)
    stopped = find_critical_points(loss, starts, max_iter=2, quiet=True)
    assert [line.get_label() for line in plot_loss_index(stopped).lines] == ["not critical: 6 ends"]
    assert len(plot_traces(found).lines) == 7  # and the line of the tolerance


def test_data_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="n_samples is 16; expected more than n_inputs"):
        study.Parameters(n_samples=16)
    tiny = flat_study.study.tiny
    for change, words in (
        ({"data": "diabetes", "model": "classifier"}, "target of 'diabetes' is a number"),
        ({"n_components": 14}, "n_components is 14; expected at most 13"),
        ({"n_samples": 179}, "n_samples is 179; expected at most 178"),
    ):
        with pytest.raises(InputError, match=words):
            flat_study.prepare(replace(tiny, **change))


def test_a_classifier_is_trained_on_the_classes_with_a_penalty() -> None:
    setting = flat_study.prepare(replace(flat_study.study.tiny, n_samples=178))
    assert setting.sizes == (2, 4, 3)
    assert np.bincount(setting.y).tolist() == [59, 71, 48]
    assert setting.l2 == 1e-2
    assert setting.notes[-1].endswith("27 parameters, on 178 samples; loss: cross-entropy + 0.01 |θ|²")
    setting = flat_study.prepare(replace(flat_study.study.tiny, data="diabetes"))
    assert setting.sizes == (2, 4, 8, 2)
    assert setting.l2 == 0


@pytest.mark.slow
def test_flat_ground_on_a_network_of_digits() -> None:
    _, measurement, text = measured(flat_study, flat_study.Parameters(trials=2))
    kinds = measurement.kind.values
    critical = np.isin(kinds, [KIND_NAMES.index(k) for k in ("minimum", "saddle")])
    flat = kinds == KIND_NAMES.index("gradient-flat")
    # Both occur, and no end is called critical that is not.
    assert critical.sum() >= 4
    assert flat.sum() >= 4
    assert (measurement.squared_gradient.values[critical] <= 1e-10).all()
    assert (measurement.squared_gradient.values[flat] > 1e-10).all()
    assert "gradient-flat ends" in text
