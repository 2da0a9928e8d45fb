"""What the wing's studies share: words for activations, data on the sphere, nets beside kernels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from solvable import datasets
from solvable.activations.experiment import Model, activation_of
from solvable.datasets.sphere import split_on_sphere
from solvable.errors import InputError, MissingExtraError
from solvable.kernels.duals import ABReLU, Sine
from solvable.lab.parameters import seed_of
from solvable.wings import load_study


@pytest.mark.parametrize(
    ("words", "activation"),
    [
        ("0.5 sin 6z", Sine(0.5, 6.0)),
        ("10 sin 6z", Sine(10.0, 6.0)),
        ("sin(6z)", Sine(1.0, 6.0)),
        ("2*cos(0.5*z)", Sine(2.0, 0.5, np.pi / 2)),
        ("sin", Sine()),
        ("ReLU", ABReLU()),
    ],
)
def test_words_for_activations(words, activation) -> None:
    assert activation_of(words) == activation


@pytest.mark.parametrize("words", ["sine wave", "6z", "sin sin", "0 sin z"])
def test_words_that_mean_none(words) -> None:
    with pytest.raises(InputError):
        activation_of(words)


def test_seeds_differ_and_repeat() -> None:
    assert seed_of(0, 1) == seed_of(0, 1)
    assert len({seed_of(0, 1), seed_of(1, 0), seed_of(0, 2), seed_of(0, 1, 0)}) == 4


def test_split_is_stratified_standardised_and_on_the_sphere() -> None:
    data = datasets.load("digits")
    split = split_on_sphere(data, None, 0)
    assert split.X.shape[0] == 400
    assert split.X_test.shape[0] == 899
    d = split.X.shape[1]
    for X in (split.X, split.X_test):
        assert np.allclose(np.linalg.norm(X, axis=1), d**0.5)
    assert set(np.unique(split.y)) == {0.0, 1.0}
    assert (split.y.sum(axis=1) == 1).all()
    whole = data.y.argmax(axis=1)
    for k in range(10):
        assert abs(split.y_test[:, k].mean() - (whole == k).mean()) < 2e-3
    other = split_on_sphere(data, 50, 1)
    assert len(other.X) == 50


def test_split_does_not_look_at_the_test_points() -> None:
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(60, 4)), np.arange(60) % 2
    split = split_on_sphere(datasets.from_arrays(X, labels), None, 3)
    Z = X.copy()
    _, test = train_test_split(np.arange(60), test_size=0.5, stratify=labels, random_state=3)
    Z[test] *= 5
    other = split_on_sphere(datasets.from_arrays(Z, labels), None, 3)
    assert np.allclose(split.X, other.X)
    assert not np.allclose(split.X_test, other.X_test)


def test_split_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n_train is 120; expected at most 89"):
        split_on_sphere(datasets.load("wine"), 120, 0)
    rng = np.random.default_rng(0)
    one = datasets.from_arrays(rng.normal(size=(40, 1)), rng.integers(0, 2, 40))
    with pytest.raises(InputError, match="differ in 1 columns"):
        split_on_sphere(one, None, 0)
    X = np.concatenate([np.ones((10, 2)), -np.ones((10, 2)), np.zeros((20, 2))])
    with pytest.raises(InputError, match="no direction"):
        split_on_sphere(datasets.from_arrays(X * [1.0, 2.0], X[:, 0].astype(int)), None, 0)
    table = pd.DataFrame(rng.normal(size=(30, 3)), columns=list("abc")).assign(
        label=["rare"] + ["x", "y"] * 14 + ["x"]
    )
    table.to_csv(tmp_path / "rare.csv", index=False)
    split = split_on_sphere(datasets.load(tmp_path / "rare.csv"), None, 0)
    assert "one member" in " ".join(split.notes)


def test_measured_curve_is_the_kernel_at_those_cosines() -> None:
    model = Model("net", ABReLU(), 1, 3000, 2**0.5, 0.1)
    cosine = np.linspace(-1.0, 1.0, 9)
    curves = np.array([model.measured_curve(6, cosine, seed) for seed in range(8)])
    exact = model.kernel().curve(cosine)
    assert np.abs(curves.mean(axis=0) - exact).max() < 0.05 * exact[-1]


def test_parameters_are_counted() -> None:
    for depth, b_std in ((1, 0.0), (3, 0.1)):
        model = Model("net", ABReLU(), depth, 7, 1.0, b_std)
        net = model.net(5, 2, 0)
        assert model.n_parameters(5, 2) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", ["activations", "parity", "kernel-convergence"])
def test_studies_say_that_they_need_torch(name, monkeypatch) -> None:
    monkeypatch.setattr("solvable.activations.experiment.find_spec", lambda package: None)
    study = load_study(name)
    with pytest.raises(MissingExtraError, match="a study that trains networks needs torch"):
        study.prepare(study.Parameters())
