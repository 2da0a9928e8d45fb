"""Trials of `noise_profile` side by side, the same to the bit, and kept: only what is missing is measured."""

import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
import xarray as xr
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from solvable.errors import InputError
from solvable.lab.keys import _version, code_of, object_key
from solvable.overfitting.fitting import fit_in_trial
from solvable.overfitting.noise_profile import NoiseProfile, noise_profile

X, Y = load_digits(return_X_y=True)
SMALL = {"train_sizes": [60, 200], "n_trials": 2, "test_size": 200}
NEAREST = KNeighborsClassifier(1)


def small(estimator, inputs=X, labels=Y, levels=(0.2,), **options) -> NoiseProfile:
    return noise_profile(estimator, inputs, labels, levels, **SMALL | options)


def same(one: NoiseProfile, other: NoiseProfile) -> None:
    xr.testing.assert_identical(one.data.drop_vars("seconds"), other.data.drop_vars("seconds"))


FOREST = RandomForestClassifier(5, n_jobs=-1)


def net(kind: str, hidden: int = 32, outputs: int = 10, inputs: int = 64):
    skorch, torch = pytest.importorskip("skorch"), pytest.importorskip("torch")
    torch.manual_seed(0)  # of the initial weights
    module = torch.nn.Sequential
    layers = (torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))
    loss = {"criterion": torch.nn.CrossEntropyLoss} if kind == "NeuralNetClassifier" else {}
    options = {"max_epochs": 20, "lr": 0.1, "train_split": None, "iterator_train__shuffle": True, **loss}
    return getattr(skorch, kind)(module(*layers), **options)


@pytest.mark.parametrize("kind", ["forest", pytest.param("net", marks=pytest.mark.slow)])
def test_processes_change_no_bit(kind: str) -> None:
    # A forest's own threads; a skorch net's seed, which is torch's. (Torch takes each process seconds to import.)
    estimator = FOREST if kind == "forest" else net("NeuralNetClassifier")
    same(small(estimator, n_jobs=1), small(estimator, n_jobs=2))


class Unseeded(KNeighborsClassifier):
    """Draws from the global generator, slowly, and prints."""

    def fit(self, X, y):
        kept = np.random.rand(len(y)) < 0.8  # noqa: NPY002
        time.sleep(1e-3)
        kept &= np.random.rand(len(y)) < 0.8  # noqa: NPY002
        print("fitted")
        return super().fit(X[kept], y[kept])


def test_threads_change_no_bit_and_leave_stdout_alive(capsys) -> None:
    printed_to, serial = sys.stdout, small(Unseeded(1), n_trials=4)
    with joblib.parallel_config(backend="threading", n_jobs=4):
        same(small(Unseeded(1), n_trials=4), serial)
    assert sys.stdout is printed_to
    print("alive")
    assert capsys.readouterr() == ("alive\n", "")


class Counted(KNeighborsClassifier):
    """Counts its fits in a file."""

    def fit(self, X, y):
        with Path("fits").open("a") as file:
            file.write(".")
        return super().fit(X, y)


def fits() -> int:
    n = Path("fits").stat().st_size if Path("fits").exists() else 0
    Path("fits").unlink(missing_ok=True)
    return n


def test_the_cache_measures_only_what_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = small(Counted(1), cache="kept")
    assert fits() == 8
    same(small(Counted(1), cache="kept"), first)
    assert fits() == 0
    more = small(Counted(1), levels=(0.1, 0.2), train_sizes=[60, 100, 200], n_trials=3, cache="kept")
    assert fits() == 3 * 3 * 3 - 8
    xr.testing.assert_equal(more.data.test_error.sel(first.data.coords), first.data.test_error)
    same(more, small(Counted(1), levels=(0.1, 0.2), train_sizes=[60, 100, 200], n_trials=3))
    fits()
    # Other parameters, data or seeds are other trials; a seed of the estimator's own is none.
    for options in (
        {"estimator": Counted(3)},
        {"inputs": X + 1},
        {"labels": (Y + 1) % 10},
        {"random_state": 1},
    ):
        small(**{"estimator": Counted(1), "cache": "kept"} | options)
        assert fits() == 8
    for damage in ("", "{", "[1]", '[[0.0, "x"]]'):
        for path in Path("kept").glob("*/trial-0000-n60-*.json"):
            path.write_text(damage)
        same(small(Counted(1), cache="kept"), first)
        assert fits() == 2


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def stops(self, X, y, after=5):
        if Path("fits").exists() and Path("fits").stat().st_size >= after:
            raise KeyboardInterrupt
        return real(self, X, y)

    real = Counted.fit
    with monkeypatch.context() as patched:
        patched.setattr(Counted, "fit", stops)
        with pytest.raises(KeyboardInterrupt):
            small(Counted(1), cache="kept")
    assert fits() == 5
    whole = small(Counted(1), cache="kept")
    assert fits() == 8 - 5  # each finished one was kept
    same(whole, small(Counted(1)))


def test_the_cache_knows_all_code_of_ones_own(tmp_path, monkeypatch) -> None:
    files = {
        # One base class that no import tells of.
        "mine_of_cache": "from importlib import import_module\nfrom bag_of_cache import base\n"
        "class Mine(base.Base, import_module('far_' + 'of_cache').Far):\n    pass\n",
        "far_of_cache": "class Far:\n    pass\n",
        "bag_of_cache/__init__": "",
        "bag_of_cache/base": "from sklearn.neighbors import KNeighborsClassifier\nfrom . import constants\n"
        "class Base(KNeighborsClassifier):\n    def fit(self, X, y):\n        import late_of_cache\n",
        "bag_of_cache/constants": "K = 1\n",
        "late_of_cache": "",
        "other_of_cache": "import mine_of_cache\n",
    }
    (tmp_path / "bag_of_cache").mkdir()
    for name, code in files.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import other_of_cache  # pyright: ignore[reportMissingImports]

    mine = other_of_cache.mine_of_cache.Mine(1)
    key = object_key(mine)
    assert key is not None
    for name, code in files.items():
        (tmp_path / f"{name}.py").write_text(code + "# changed\n")
        assert (object_key(mine) == key) == (name == "other_of_cache"), name
        (tmp_path / f"{name}.py").write_text(code)
        assert object_key(mine) == key
    assert _version("sklearn") == f"scikit-learn {sklearn.__version__}"
    assert _version("numpy") == np.__version__


def test_a_key_depends_on_what_is_reached_as_an_attribute(tmp_path, monkeypatch) -> None:
    code = "import solvable as s\nclass Attribute:\n    def fit(self, X, y):\n        return s.kernels.Laplace(1.0)\n"
    (tmp_path / "attribute_of_cache.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import attribute_of_cache  # pyright: ignore[reportMissingImports]

    files, _ = code_of(attribute_of_cache.Attribute)
    assert {"attribute_of_cache", "solvable.kernels.stationary", "solvable.wings"} <= set(files)


def test_what_cannot_be_told_apart_later_is_not_cached(tmp_path) -> None:
    profile = small(make_pipeline(FunctionTransformer(lambda x: 2 * x), NEAREST), cache=tmp_path)
    assert any("were not cached" in note for note in profile.notes)
    assert list(tmp_path.iterdir()) == []


def test_estimators_that_write_to_their_inputs_do_no_harm() -> None:
    # With copy=False the scaler changes what it is given: training inputs, and test inputs in `predict`.
    inputs = X.astype(float)
    kept = inputs.copy()
    given = {"X_test": inputs[1400:], "y_test": Y[1400:], "test_size": None}
    for options in ({}, given):
        clean, careless = (make_pipeline(StandardScaler(copy=copy), NEAREST) for copy in (True, False))
        one = small(clean, inputs[:1400], Y[:1400], **options)
        other = small(careless, inputs[:1400], Y[:1400], **options)
        xr.testing.assert_identical(one.data.test_error, other.data.test_error)
        assert bool(other.interpolates.all())
    np.testing.assert_array_equal(inputs, kept)


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot keep trials in"):
        small(NEAREST, cache=tmp_path / "file")


def test_more_processes_than_trials_are_not_started() -> None:
    same(
        small(NEAREST, n_trials=1, train_sizes=[60], n_jobs=10_000),
        small(NEAREST, n_trials=1, train_sizes=[60]),
    )


def test_the_cache_knows_the_names_of_the_classes(tmp_path) -> None:
    # The parameter names labels, so that the same rows with other names are another task.
    model = LogisticRegression(class_weight={"b": 50})
    inputs, first = X[Y < 2], np.array(["a", "b"])[Y[Y < 2]]
    second = np.array(["b", "c"])[Y[Y < 2]]
    options = {"train_sizes": [20, 60], "levels": (0.3,), "test_size": 100}
    one = small(model, inputs, first, cache=tmp_path, **options)
    other = small(model, inputs, second, cache=tmp_path, **options)
    same(other, small(model, inputs, second, **options))
    assert not np.array_equal(one.test_error, other.test_error)


def test_a_comment_elsewhere_voids_no_trial(tmp_path, monkeypatch) -> None:
    files, _ = code_of(fit_in_trial)
    assert {"solvable.overfitting.fitting", "solvable.overfitting.task", "solvable.machine"} <= set(files)
    for other in ("solvable.regression.theory", "solvable.overfitting.verdict", "solvable.lab.chart"):
        assert other not in files


def test_the_cache_knows_the_groups(tmp_path) -> None:
    options = {"n_trials": 1, "train_sizes": [60], "levels": (0.3,), "test_size": 100}
    groups = np.arange(len(Y)) % 10
    one = small(NEAREST, cache=tmp_path, groups=groups, **options)
    other = small(NEAREST, cache=tmp_path, groups=np.arange(len(Y)) // 180, **options)
    same(other, small(NEAREST, groups=np.arange(len(Y)) // 180, **options))
    assert not np.array_equal(one.test_error, other.test_error)
