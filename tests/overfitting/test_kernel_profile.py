"""`kernel_noise_profile`: against refits, other code and exact costs; and a kernel that is benign by its spikes."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from kernel_machine import DIGIT, DIGITS, EVEN, Machine, sphere, weights_of
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge

from cases import representative
from solvable.errors import InputError
from solvable.kernels import Gaussian, Laplace
from solvable.overfitting.build_task import prepare
from solvable.overfitting.kernel_profile import KernelFit, kernel_noise_profile, label_vectors
from solvable.overfitting.linear_smoothers import class_columns, spiky_smooth
from solvable.overfitting.noise_profile import NoiseProfile, noise_profile
from solvable.overfitting.noise_weights import noise_sensitivity

# The profile of a kernel


@pytest.mark.parametrize("labels", [EVEN, DIGIT], ids=["two classes", "ten classes"])
@pytest.mark.parametrize(("ridge", "n_draws"), [(0.01, 3), (0.0, 3), (0.0, 200)])
def test_refits_label_vector_by_label_vector(labels: np.ndarray, ridge: float, n_draws: int) -> None:
    kernel, settings = Laplace(30.0), {"test_size": 300, "random_state": 3}
    task = prepare(DIGITS, labels, **settings)
    levels, K = task.levels([0.1, 0.4]), len(task.classes)
    draw = task.draw(200, levels, 1)
    ((level, vectors),) = label_vectors(task, draw, levels, n_draws, at_once=n_draws)
    assert len(vectors) == 1 + 2 * n_draws
    inputs, (X_test, y_test) = task.train_inputs(draw), task.test_set(draw)
    fit = KernelFit(kernel(inputs), kernel(X_test, inputs), ridge, task, draw, levels, n_draws)
    ours = fit.predictions(class_columns(vectors, K))[0].reshape(300, len(vectors), K - 1)
    model = KernelRidge(kernel="precomputed", alpha=ridge)
    errors = np.zeros((2, len(vectors)))
    for i, codes in enumerate(vectors[:: max(1, n_draws // 3)]):
        i *= max(1, n_draws // 3)
        model.fit(kernel(inputs), np.eye(K)[codes] - 1 / K)
        theirs = model.predict(kernel(X_test, inputs))
        np.testing.assert_allclose(ours[:, i], theirs[:, :-1], atol=1e-8)
        errors[0, i] = (theirs.argmax(axis=1) != y_test).mean()
        errors[1, i] = (model.predict(kernel(inputs)).argmax(axis=1) != codes).mean()
    if n_draws == 3:
        by_level = np.stack([errors[:, level == i].mean(axis=1) for i in range(3)], axis=1)
        np.testing.assert_allclose(fit.errors(), by_level, atol=1e-12)
        profile = kernel_noise_profile(
            kernel, DIGITS, labels, levels, train_sizes=[200], n_trials=2, n_draws=3, ridge=ridge, **settings
        )
        np.testing.assert_allclose(profile.data.test_error[1, 0], by_level[0], atol=1e-12)
        np.testing.assert_allclose(profile.data.train_error[1, 0], by_level[1], atol=1e-12)
    cost = np.square(weights_of(kernel, inputs, X_test, ridge)).sum(axis=1)
    if n_draws == 3:  # 256 of the 300 test points
        assert fit.cost.mean() == pytest.approx(cost.mean(), rel=0.03)
    else:
        np.testing.assert_allclose(fit.cost, cost, rtol=1e-9)


@pytest.mark.parametrize("ridge", representative([0.0, 3.0], fast=[0.0]))
def test_its_first_draw_is_what_noise_profile_measures(ridge: float) -> None:
    kernel, settings = (
        Laplace(30.0),
        {"train_sizes": [50, 150], "n_trials": 12, "random_state": 2, "quiet": True},
    )
    ours = kernel_noise_profile(kernel, DIGITS, DIGIT, ridge=ridge, n_draws=1, **settings)
    theirs = noise_profile(Machine(kernel, ridge), DIGITS, DIGIT, **settings)
    np.testing.assert_array_equal(ours.data.test_error, theirs.data.test_error)
    np.testing.assert_array_equal(ours.data.train_error, theirs.data.train_error)
    assert ours.interpolates.all() == (ridge == 0)
    # More draws: the same expectation.
    more = kernel_noise_profile(kernel, DIGITS, DIGIT, ridge=ridge, n_draws=30, **settings)
    off = (more.data.test_error - theirs.data.test_error)[:, :, 1:]
    assert (np.abs(off.mean("trial")) < 4.5 * off.std("trial", ddof=1) / np.sqrt(12)).all()


def test_single_precision_tables_and_parts_of_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    profile = partial(
        kernel_noise_profile, "laplace", y=DIGIT[:400], noise_levels=0.2, n_trials=4, n_draws=2, quiet=True
    )
    whole = profile(X=DIGITS[:400])
    for X in (DIGITS[:400].astype(np.float32), pd.DataFrame(DIGITS[:400])):
        np.testing.assert_array_equal(profile(X=X).data.test_error, whole.data.test_error)
    # Too little memory for the matrix of all samples: each subset's own.
    monkeypatch.setattr("solvable.overfitting.kernel_profile.free_memory", lambda: 10**6)
    apart = profile(X=DIGITS[:400])
    np.testing.assert_array_equal(apart.data.test_error, whole.data.test_error)
    np.testing.assert_allclose(apart.data.noise_cost, whole.data.noise_cost, rtol=1e-9)
    monkeypatch.setattr("solvable.overfitting.kernel_profile._AT_ONCE", 1)
    np.testing.assert_array_equal(profile(X=DIGITS[:400]).data.test_error, whole.data.test_error)
    monkeypatch.setattr("solvable.machine.free_memory", lambda: 10**6)
    with pytest.raises(InputError, match="lower the largest of train_sizes"):
        profile(X=DIGITS[:400])


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_number_pays_the_square_of_the_weights(ridge: float) -> None:
    X, y = load_diabetes(return_X_y=True)
    profile = kernel_noise_profile(
        "laplace", X, y, train_sizes=[60, 240], n_trials=6, n_draws=60, ridge=ridge, quiet=True
    )
    cost = profile.data.noise_cost.mean("trial")
    off = np.abs(profile.sensitivity - cost) / np.hypot(profile.standard_error, 0.01 * cost)
    assert (off < 4).all()
    assert profile.interpolates.all() == (ridge == 0)
    # One label vector of two outputs, by scikit-learn on centred targets.
    Y = np.stack([y, X[:, 0] * y], axis=1)
    task = prepare(X, Y, test_size=100)
    levels, kernel = task.levels([1.0]), Laplace(0.2)
    draw = task.draw(100, levels, 0)
    inputs, (X_test, y_test) = task.train_inputs(draw), task.test_set(draw)
    fit = KernelFit(kernel(inputs), kernel(X_test, inputs), 0.1, task, draw, levels, 1)
    for found, labels in zip(np.transpose(fit.errors()), draw.labels, strict=True):
        mean = labels.mean(axis=0)
        model = KernelRidge(kernel="precomputed", alpha=0.1).fit(kernel(inputs), labels - mean)
        test = model.predict(kernel(X_test, inputs)) + mean - y_test
        train = model.predict(kernel(inputs)) + mean - labels
        np.testing.assert_allclose(found, [np.square(e).sum(axis=1).mean() for e in (test, train)], rtol=1e-9)


def test_what_it_says_and_keeps(tmp_path: Any) -> None:
    profile = kernel_noise_profile(
        "laplace", DIGITS, DIGIT, 0.2, train_sizes=[50, 400], n_trials=2, quiet=True
    )
    assert profile.estimator.startswith("kernel regression, Laplace(length_scale=4")
    assert profile.estimator.endswith("ridge 0")
    cost = profile.data.noise_cost
    assert cost.dims == ("trial", "n_train")
    said = f"{1 + cost.mean('trial')[1].item():.3g} ("
    assert any(
        note.startswith("squared loss") and said in note and "at n = 400" in note for note in profile.notes
    )
    assert not any("singular" in note or "may not exist" in note for note in profile.notes)
    profile.save(tmp_path / "profile.nc")
    np.testing.assert_array_equal(NoiseProfile.load(tmp_path / "profile.nc").data.noise_cost, cost)
    # A channel of one's own: eights become threes, and nothing else happens.
    matrix = np.eye(10)
    matrix[8, [3, 8]] = 1, 0
    eights = kernel_noise_profile(
        "laplace", DIGITS, DIGIT, 1.0, train_sizes=[400], n_trials=2, channel=matrix, quiet=True
    )
    assert eights.test_error[0, 1] - eights.test_error[0, 0] == pytest.approx((DIGIT == 8).mean(), abs=0.03)


def test_matrices_that_are_singular_are_said() -> None:
    line = np.linspace(0, 1, 150)[:, None]
    above = (line[:, 0] > 0.5).astype(int)
    smooth = kernel_noise_profile(Gaussian(0.3), line, above, 0.2, train_sizes=[60], n_trials=2, quiet=True)
    assert any("numerically singular kernel matrices at n = 60" in note for note in smooth.notes)
    assert not smooth.interpolates.all()
    twice = np.repeat(sphere(60, 3, 0), 2, axis=0)
    doubled = kernel_noise_profile(Laplace(1.0), twice, np.tile([0, 1], 60), 0.2, n_trials=2, quiet=True)
    assert any("rows of X repeat" in note for note in doubled.notes)
    assert any("numerically singular" in note for note in doubled.notes)
    # Two labels of one input: neither is fitted.
    assert (doubled.data.train_error[:, -1, 0] > 0.2).all()


def test_a_matrix_that_somebody_keeps_is_left_alone() -> None:
    class Stored(Laplace):
        """Returns the same array each time."""

        def __call__(self, X: Any, Z: Any = None, out: Any = None) -> Any:
            if Z is not None:
                return super().__call__(X, Z)
            kept.append(np.asarray(super().__call__(X)))
            before.append(kept[-1].copy())
            return kept[-1]

    kept: list[np.ndarray] = []
    before: list[np.ndarray] = []
    kernel_noise_profile(
        Stored(30.0), DIGITS[:300], DIGIT[:300], [0.2], train_sizes=[60], n_trials=1, quiet=True
    )
    assert kept
    np.testing.assert_array_equal(kept, before)


def test_a_heavy_tail_is_noted() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 150)

    def smooth(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
        apart = np.abs(np.arctan2(X[:, 1], X[:, 0])[:, None] - np.arctan2(Z[:, 1], Z[:, 0])) % (2 * np.pi)
        return np.pi**4 / 90 - np.pi**2 * apart**2 / 12 + np.pi * apart**3 / 12 - apart**4 / 48

    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = kernel_noise_profile(smooth, circle, angle, train_sizes=[60], n_trials=3, quiet=True)
    assert any("may not exist (above 3 medians at n = 60)" in note for note in found.notes)
    assert (found.data.noise_cost > found.data.noise_cost_median).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kernel": "laplce"}, "did you mean 'laplace'"),
        ({"ridge": -1.0}, "ridge must be at least 0"),
        ({"n_draws": 0}, "n_draws must be .*; got 0"),
        ({"n_trials": 1.5}, "n_trials must be .*; got 1.5"),
        ({"X": DIGITS.reshape(-1, 8, 8)}, "flatten images first"),
        ({"X": DIGITS.astype(str).astype(object) + "a"}, "X holds text, as in .* expected numbers"),
        ({"X": np.where(DIGITS == 3, np.nan, DIGITS)}, "NaN or infinite"),
        ({"X_test": DIGITS[:5, :3], "y_test": DIGIT[:5]}, "same columns"),
        ({"train_sizes": [5000]}, "5000 is too large"),
        ({"kernel": lambda X, Z: np.full((len(X), len(Z)), np.inf)}, "infinite"),
        ({"task": "number", "channel": np.eye(10)}, "y is a number"),
    ],
)
def test_a_kernel_profile_that_cannot_be(change: dict[str, Any], sentence: str) -> None:
    given = {"kernel": "laplace", "X": DIGITS, "y": DIGIT, "n_trials": 1, "train_sizes": [50], "quiet": True}
    with pytest.raises(InputError, match=sentence):
        kernel_noise_profile(**(given | change))


# Spikes


def test_spikes_interpolate_at_the_cost_of_a_ridge() -> None:
    smooth, n = Laplace(1.0), 400
    X, X_test = sphere(n, 2, 0), sphere(500, 2, 1)
    spiky = spiky_smooth(smooth, height=1.0, width=1e-3 / np.sqrt(n))
    cost = noise_sensitivity(spiky(X), spiky(X_test, X))
    np.testing.assert_allclose(cost, noise_sensitivity(smooth(X), smooth(X_test, X), 1.0), rtol=1e-6)
    assert 1.0 + cost.mean() == pytest.approx(1.0615, abs=0.004)
    np.testing.assert_array_equal(spiky.diag(X), np.diagonal(spiky(X)))
    assert not spiky_smooth("laplace", 1.0, 0.1).resolved
    y = (X[:, 0] > 0).astype(int)
    settings: dict[str, Any] = {"train_sizes": [100, 300], "n_trials": 2, "quiet": True}
    found = kernel_noise_profile(spiky_smooth("laplace", 1.0, 1e-5), X, y, 0.2, **settings)
    ridge = kernel_noise_profile("laplace", X, y, 0.2, ridge=1.0, **settings)
    assert found.interpolates.all()
    assert not ridge.interpolates[:, 1].any()
    np.testing.assert_allclose(found.data.noise_cost, ridge.data.noise_cost, rtol=1e-6)
    np.testing.assert_allclose(found.test_error, ridge.test_error, atol=1e-9)
    with pytest.raises(InputError, match=r"height must be .*; got -1"):
        spiky_smooth("laplace", -1.0, 0.1)
