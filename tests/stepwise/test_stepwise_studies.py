"""The studies of the wing: what their experiments do, and how close their predictions are to it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from solvable import datasets
from solvable.errors import InputError
from solvable.lab import compare
from solvable.lab.run import stacked
from solvable.stepwise import network_study, study
from solvable.stepwise.experiment import crop_pairs, image_shape, record_steps, train_kernel, train_linear
from solvable.stepwise.theory import cross_correlation


def views(n=14, m=6, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Return centred views that share most of each row."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, m))
    X, X2 = shared + 0.3 * rng.normal(size=(n, m)), shared + 0.3 * rng.normal(size=(n, m))
    mean = (X.mean(axis=0) + X2.mean(axis=0)) / 2
    return X - mean, X2 - mean


def trained_on_data(X, X2, W0, learning_rate, steps) -> np.ndarray:
    """Return the eigenvalues of C in each step of gradient descent of the loss on data, by autograd."""
    W = torch.tensor(W0, requires_grad=True)
    a, b = torch.tensor(X), torch.tensor(X2)
    records = []
    for _ in range(steps + 1):
        f, f2 = a @ W.T, b @ W.T
        C = (f.T @ f2 + f2.T @ f) / (2 * len(a))
        records.append(torch.linalg.eigvalsh(C.detach()).numpy()[::-1])
        (gradient,) = torch.autograd.grad((C - torch.eye(len(C))).square().sum(), W)
        W = (W - learning_rate * gradient).detach().requires_grad_()
    return np.array(records)


# --- The experiment ---------------------------------------------------------------------------------------------------


def test_the_linear_experiment_is_gradient_descent_of_the_loss_on_data() -> None:
    X, X2 = views()
    gamma, V = np.linalg.eigh(cross_correlation(X, X2, center=False))
    W0 = 0.05 * np.random.default_rng(1).normal(size=(3, 6))
    rate = 0.2 / (4 * gamma[-1])
    run = train_linear(gamma, W0 @ V, rate, until=60, most=60)
    expected = trained_on_data(X, X2, W0, rate, 60)
    assert run.steps.tolist() == list(range(61))
    assert run.eigenvalues == pytest.approx(expected, rel=1e-10, abs=1e-13)
    assert run.loss == pytest.approx(np.square(expected - 1).sum(axis=1), rel=1e-10)


def test_the_kernel_experiment_is_gradient_descent_in_the_space_of_its_features() -> None:
    # The features of the kernel (1 + x.z)^2 are known.
    x, x2 = views(m=2)
    first, second = (
        np.c_[np.ones(len(z)), np.sqrt(2) * z, z**2, np.sqrt(2) * z[:, :1] * z[:, 1:]] for z in (x, x2)
    )
    both = np.concatenate([x, x2])
    K = (1 + both @ both.T) ** 2
    W0 = 0.03 * np.random.default_rng(1).normal(size=(2, 6))
    rate = 0.1 / (4 * np.linalg.eigvalsh(cross_correlation(first, second, center=False))[-1])
    run = train_kernel(K, np.concatenate([first, second]) @ W0.T, rate, until=80, most=80)
    expected = trained_on_data(first, second, W0, rate, 80)
    assert run.eigenvalues == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_training_goes_on_until_all_that_can_be_learned_is() -> None:
    gamma = np.array([1.0, 0.2, 0.0, -0.3])
    Y = 1e-3 * np.random.default_rng(0).normal(size=(3, 4))
    run = train_linear(gamma, Y, 0.05, until=20, most=10_000)
    assert 20 < run.steps[-1] < 10_000
    assert (run.eigenvalues[-1, :2] > 0.95).all()
    assert run.step_times[0] < run.step_times[1] < run.steps[-1]
    assert run.step_times[2] == np.inf
    assert np.diff(run.steps).max() <= run.steps[-1] / 200 + 1
    # Time between records does not matter: an eigenvalue is 1/2 between two steps, on a straight line of logits.
    every = train_linear(gamma, Y, 0.05, until=10_000)
    assert every.step_times == pytest.approx(run.step_times, rel=1e-4)


def test_training_that_diverges_is_told() -> None:
    with pytest.raises(InputError, match=r"^training diverges; expected a lower learning rate$"):
        train_linear(np.array([1.0]), np.array([[1.5]]), 2.0, until=50)


def test_times_of_all_sizes_are_recorded_with_the_same_resolution() -> None:
    steps = record_steps(5000, 50)
    assert steps[0] == 0
    assert steps[-1] == 5000
    gaps = np.diff(steps)
    assert gaps.min() == 1
    assert (gaps <= np.maximum(steps[:-1] / 50, 1)).all()
    assert len(steps) < 50 * (2 + np.log(100)) + 20


def test_crops_are_squares_of_their_images_at_any_place() -> None:
    images = np.arange(400 * 5 * 4 * 2.0).reshape(400, 5, 4, 2)
    pair = crop_pairs(images, 3, np.random.default_rng(0))
    places = []
    for view in pair:
        assert view.shape == (400, 18)
        # The first number of a crop tells where it was cut.
        i, top, left, color = np.unravel_index(view[:, 0].astype(int), images.shape)
        assert (i == np.arange(400)).all()
        assert not color.any()
        for k in range(400):
            square = images[k, top[k] : top[k] + 3, left[k] : left[k] + 3]
            assert (view[k] == square.ravel()).all()
        assert np.unique(2 * top + left).size == 6
        places.append(2 * top + left)
    assert 0.1 < np.mean(places[0] == places[1]) < 0.25  # independent: 1/6


def test_images_are_known_by_their_number_of_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    for name, shape, expected in (
        ("grey", (7, 7), (7, 7, 1)),
        ("color", (6, 6, 3), (6, 6, 3)),
        ("no square", (5, 7), None),
    ):
        np.savez(tmp_path / f"{name}.npz", X=rng.normal(size=(40, *shape)), y=y)
        assert image_shape(datasets.load(tmp_path / f"{name}.npz")) == expected
    assert image_shape(datasets.load("breast-cancer")) is None


# --- The study `stepwise` ---------------------------------------------------------------------------------------------


def run_study(one: Any, parameters: Any) -> tuple[Any, Any, Any, str]:
    setting = one.prepare(parameters)
    prediction = one.predict(parameters, setting)
    measurement = stacked([one.trial(parameters, setting, i) for i in range(parameters.trials)])
    comparison = compare(prediction, measurement, one.study.compared)
    return setting, prediction, measurement, one.conclude(prediction, measurement, comparison)


def isolated(gamma: np.ndarray, d: int, gap: float) -> np.ndarray:
    """Return whether each of the first d eigenvalues is further than `gap` from its neighbours."""
    ratios = gamma[1 : d + 1] / gamma[:d]
    below = ratios < 1 - gap
    return below & np.r_[True, below[:-1]]


def check_linear(parameters: study.Parameters) -> None:
    setting, _, measurement, _ = run_study(study, parameters)
    error = np.abs(measurement.ratio - 1).transpose("trial", "theory", "direction")
    assert float(error.sel(theory="simulation").max()) < 1e-3
    apart = isolated(setting.gamma, parameters.dim, 0.1)
    assert apart.sum() >= parameters.dim / 2
    assert float(error.sel(theory=["qr", "rows"])[..., apart].max()) < 0.01


def test_steps_of_a_linear_model_are_as_predicted() -> None:
    check_linear(study.Parameters(dim=6, trials=2))


def test_steps_of_a_kernel_machine_are_as_predicted() -> None:
    parameters = study.Parameters(kernel="gaussian", dim=4, n_pairs=100, trials=2, init_scale=1e-5)
    _, prediction, measurement, _ = run_study(study, parameters)
    assert np.abs(measurement.ratio.sel(theory="simulation") - 1).max() < 1e-3
    assert np.abs(measurement.step_time.mean("trial") / prediction.step_time - 1).max() < 0.005


def test_the_mean_comes_first_where_it_is_left_in() -> None:
    parameters = study.Parameters(dim=2, n_pairs=100, trials=1, uncentred=True)
    setting, prediction, measurement, _ = run_study(study, parameters)
    assert setting.gamma[0] > 3 * setting.gamma[1]
    centred = study.prepare(replace(parameters, uncentred=False))
    assert setting.gamma[1] == pytest.approx(centred.gamma[0], rel=0.3)
    assert measurement.step_time[0].values == pytest.approx(prediction.step_time.values, rel=1e-3)


def test_directions_that_the_data_do_not_have_are_never_learned() -> None:
    parameters = study.Parameters(data="wine", dim=15, init_scale=1e-2, trials=1)
    setting, prediction, measurement, text = run_study(study, parameters)
    positive = int((setting.gamma > 0).sum())
    assert positive <= 13
    assert np.isinf(prediction.step_time[positive:]).all()
    assert np.isnan(measurement.step_time[0, positive:]).all()
    assert np.isfinite(measurement.step_time[0, :positive]).all()
    assert measurement.loss[0, -1] == pytest.approx(15 - positive, abs=0.3)
    assert text.startswith(f"{positive} of 15 directions are learned")
    assert text.endswith("More steps add none, since no other direction has a positive correlation.")


def test_the_conclusion_says_which_directions_held_out_pairs_confirm() -> None:
    parameters = study.Parameters(data="wine", dim=3, noise=8.0, trials=1)
    setting, _, _, text = run_study(study, parameters)
    assert setting.held_out.directions < 3
    assert "may be noise of the sample" in text
    assert "direction 4 needs a wider embedding" in text


def headline(one: Any, prediction: xr.Dataset, measurement: xr.Dataset) -> str:
    return one.headline(prediction, measurement, compare(prediction, measurement, one.study.compared))


def test_the_headline_has_the_last_step_the_error_and_what_is_confirmed() -> None:
    _, prediction, measurement, _ = run_study(study, study.study.tiny)
    last = measurement.step_time.values.mean(axis=0)[2]
    worst = np.abs(measurement.ratio.sel(theory="rows").values - 1).max()
    expected = (
        f"All 3 directions are learned by step {last:.0f}, as a formula predicts within {100 * worst:.2g} %"
    )
    assert headline(study, prediction, measurement) == f"{expected}; unseen pairs confirm all of them"
    few = prediction.assign_attrs(directions_of_data=0)
    unknown = measurement.assign(ratio=np.nan * measurement.ratio)
    expected = f"All 3 directions are learned by step {last:.0f}; unseen pairs confirm none of them"
    assert headline(study, few, unknown) == expected
    nothing = measurement.assign(step_time=np.nan * measurement.step_time)
    assert headline(study, prediction, nothing) == "None of 3 directions is learned"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crop": 1.5}, r"^crop is 1.5; expected at most 1"),
        ({"init_scale": 0.5}, r"^init_scale is 0.5; expected at most 0.1"),
        ({"n_pairs": 1798}, r"^n_pairs is 1798; expected at most 1797, the samples of 'digits'"),
        ({"dim": 16, "learning_rate": 1e-5}, r"takes about .* steps; expected at most 200,000"),
        ({"learning_rate": 9.0}, r"^the learning rate is 9, and training is not stable above"),
        ({"kernel": "sigmoid"}, r"kernel"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(options, words) -> None:
    with pytest.raises(InputError, match=words):
        study.prepare(study.Parameters(**options))


# --- The study `stepwise-network` -------------------------------------------------------------------------------------


def test_networks_are_initialised_as_they_say_and_anew_in_each_trial() -> None:
    parameters = network_study.Parameters(width=400, dim=7, n_samples=50, init_scale=1e-3, learning_rate=1e-3)
    task = network_study.prepare(parameters).task
    before = torch.get_rng_state()
    net, again, other = task.network(0), task.network(0), task.network(1)
    assert torch.equal(before, torch.get_rng_state())
    shapes = [tuple(p.shape) for p in net.parameters()]
    assert shapes == [(400, 64), (400, 400), (7, 400)]
    for p, same, new, gain in zip(
        *(one.parameters() for one in (net, again, other)), (2**0.5, 2**0.5, 1e-3), strict=True
    ):
        assert torch.equal(p, same)
        assert not torch.equal(p, new)
        assert p.std().item() * p.shape[1] ** 0.5 == pytest.approx(gain, rel=0.05)
    convolutional = replace(task, convolutional=True).network(0)
    assert convolutional(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    assert all(name.endswith("weight") for name, _ in convolutional.named_parameters())


def test_a_small_network_learns_when_predicted_and_when_forecast() -> None:
    parameters = network_study.Parameters(width=256, dim=2, n_samples=400, batch_size=128, trials=1)
    _, prediction, measurement, text = run_study(network_study, parameters)
    ratio = measurement.ratio.isel(trial=0)
    assert np.abs(ratio.sel(made="before training") - 1).max() < 0.15
    assert np.abs(ratio.sel(made="in training") - 1).max() < 0.05
    # Growth in training is that of the features' first eigenvalues.
    assert measurement.growth[0].values == pytest.approx(prediction.gamma[:2].values, rel=0.15)
    assert text.startswith("1 network learned 2 directions. Predicted from the features before training")


def test_training_that_is_too_short_says_so() -> None:
    parameters = network_study.Parameters(width=32, dim=2, n_samples=100, batch_size=50, steps=5, trials=1)
    _, _, measurement, text = run_study(network_study, parameters)
    assert np.isnan(measurement.step_time).all()
    assert "learned 0 of 2 directions" in text
    assert text.endswith("More steps may add the others.")


def test_the_headline_of_networks_has_the_best_forecast_that_could_be_checked() -> None:
    early, late = [[0.9, 1.0], [1.25, np.nan]], [[1.02, 0.98], [1.0, np.nan]]
    measurement = xr.Dataset(
        {
            "step_time": (("trial", "direction"), [[50.0, 90.0], [60.0, np.nan]]),
            "ratio": (("trial", "made", "direction"), np.stack([early, late], axis=1)),
            "diverged": ("trial", [False, False]),
        },
        {"direction": [1, 2], "made": list(network_study.MADE)},
    )
    prediction = measurement.mean("trial").assign_attrs(directions_of_data=31)
    counts = "1 to 2 of 2 directions are learned, the features hold 31"
    text = headline(network_study, prediction, measurement)
    assert text == f"Steps on a flat loss are foretold in training within 2 %; {counts}"
    unknown = xr.where(measurement.made == "in training", np.nan, measurement.ratio)
    text = headline(network_study, prediction, measurement.assign(ratio=unknown))
    assert text == f"Steps on a flat loss are foretold before training within 20 %; {counts}"
    # A direction that is learned at step 0 has no relative error.
    assert headline(network_study, prediction, measurement.assign(ratio=0 * measurement.ratio)) == counts
    diverged = measurement.assign(diverged=("trial", [True, False]))
    expected = "Training diverged in 1 of 2 networks: lower the learning rate"
    assert headline(network_study, prediction, diverged) == expected


def test_tables_have_no_convolutions() -> None:
    with pytest.raises(InputError, match=r"^model is conv, and 'wine' has no square images; expected mlp"):
        network_study.prepare(network_study.Parameters(data="wine", model="conv"))


# --- What the wing promises -------------------------------------------------------------------------------------------


def need_data() -> None:
    if not Path(os.environ.get("SOLVABLE_DATA", "nowhere")).is_dir():
        pytest.skip("needs the folder that SOLVABLE_DATA names")


@pytest.mark.slow
def test_steps_on_crops_of_cifar() -> None:
    need_data()
    check_linear(study.Parameters(data="cifar10", crop=0.625, n_pairs=500, dim=10, trials=3))


def check_network(parameters: network_study.Parameters, early: float, late: float, forecast: float) -> None:
    """Check errors relative to the measured steps: of the first five steps, of the others, and of forecasts."""
    from concurrent.futures import ThreadPoolExecutor

    setting = network_study.prepare(parameters)
    with ThreadPoolExecutor(2) as pool:
        trials = pool.map(lambda i: network_study.trial(parameters, setting, i), range(parameters.trials))
    error = np.abs(1 / stacked(list(trials)).ratio - 1).transpose("trial", "made", "direction")
    before, later = (error.sel(made=made).values for made in network_study.MADE)
    assert before[:, :5].max() < early
    assert before[:, 5:].max() < late
    assert later.max() < forecast


@pytest.mark.slow
def test_steps_of_networks_on_digits() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        check_network(network_study.Parameters(trials=1), 0.07, 0.3, 0.03)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_steps_of_a_network_on_mnist() -> None:
    need_data()
    parameters = network_study.Parameters(data="mnist", dim=8, learning_rate=0.004, trials=1)
    check_network(parameters, 0.08, 0.3, 0.07)
