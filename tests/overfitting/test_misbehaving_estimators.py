"""Estimators that exit, crash, cannot be copied or described: a sentence names them and the fit; finished fits stay."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from solvable.cli import main
from solvable.errors import InputError
from solvable.overfitting.noise_profile import NoiseProfile, noise_profile

X, Y = load_digits(return_X_y=True)
SIZES = [60, 200]


def profile(estimator, **options) -> NoiseProfile:
    return noise_profile(
        estimator, X, Y, (0.2,), **{"train_sizes": SIZES, "n_trials": 1, "test_size": 200} | options
    )


class Large(KNeighborsClassifier):
    """Misbehaves on the larger size only, so that the smaller one is finished before."""

    def fit(self, X, y):
        if len(y) == SIZES[-1]:
            self.misbehave()
        return super().fit(X, y)


class Exits(Large):
    def misbehave(self):
        sys.exit(0)


class Dies(Large):
    """Ends its process when a smaller fit has been kept in a folder."""

    def __init__(self, n_neighbors=5, how="killed", folder=""):
        super().__init__(n_neighbors)
        self.how = how
        self.folder = folder

    def misbehave(self):
        while not list(Path(self.folder).rglob("trial-*")):
            time.sleep(0.01)
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "ends":
            os._exit(0)
        else:
            ctypes.string_at(0)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


class RaisesIt(Large):
    def misbehave(self):
        raise Unspeakable


class NoRepr(KNeighborsClassifier):
    def __repr__(self, N_CHAR_MAX=700):
        raise RuntimeError("no repr")


class NoParams(KNeighborsClassifier):
    def get_params(self, deep=True):
        raise RuntimeError("no params")


class NoTags(KNeighborsClassifier):
    def __sklearn_tags__(self):
        raise RuntimeError("no tags")


class NoCopy:
    def __init__(self):
        self.lock = threading.Lock()

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


class NoPickle(NoCopy):
    def __deepcopy__(self, memo):
        return NoPickle()


class Leaves(KNeighborsClassifier):
    def fit(self, X, y):
        os.chdir("/")
        return super().fit(X, y)


class Sleeps(KNeighborsClassifier):
    def fit(self, X, y):
        Path(os.environ["SLEEPERS"], str(os.getpid())).touch()
        time.sleep(600)


WHERE = r"on 200 samples at noise level 0 \(trial 0\)"


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (Exits(1), f"Exits failed {WHERE}: SystemExit: 0"),
        (RaisesIt(1), f"RaisesIt failed {WHERE}: Unspeakable: no message"),
        (NoParams(1), r"NoParams failed .*: RuntimeError: no params"),
        (NoTags(1), "NoTags failed when it was asked what it predicts: RuntimeError: no tags"),
        (NoCopy(), r"NoCopy failed .*: TypeError: cannot pickle '_thread.lock' object"),
        (lambda n: sys.exit(0), r"<lambda>\(1797\) raised SystemExit: 0"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_misbehaviour_is_a_sentence(tmp_path, estimator, sentence, cached):
    with pytest.raises(InputError, match=sentence):
        profile(estimator, cache=tmp_path if cached else None)
    if cached and isinstance(estimator, Large):
        assert len(list(tmp_path.rglob("trial-*"))) == 2


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("killed", r"SIGKILL\(-9\)"),
        pytest.param("ends", r"EXIT\(0\)", marks=pytest.mark.slow),
        pytest.param("crashes", r"SIGSEGV\(-11\)", marks=pytest.mark.slow),
    ],
)
def test_the_end_of_a_process_is_a_sentence(tmp_path, how, code, capfd):
    estimator = Dies(1, how, str(tmp_path))
    with pytest.raises(
        InputError, match=rf"a process ended with {code}.* during .*Dies on 200 samples"
    ) as caught:
        profile(estimator, n_jobs=2, cache=tmp_path)
    assert "\n" not in str(caught.value)
    assert "finished ones are kept: rerun the same command to resume" in str(caught.value)
    assert list(tmp_path.rglob("trial-*"))
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_sent_to_processes_is_a_sentence():
    sentence = (
        r"the trials cannot be sent to other processes \(TypeError: cannot pickle '_thread.lock' object\)"
    )
    with pytest.raises(InputError, match=sentence):
        profile(NoPickle(), n_jobs=2)
    assert profile(NoPickle()).n_trials == 1


def test_an_estimator_without_repr_has_its_name():
    assert profile(NoRepr(1)).estimator == "NoRepr"


def test_a_change_of_the_working_directory_does_not_move_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile(Leaves(1), cache="kept")
    assert Path.cwd() == tmp_path
    assert len(list((tmp_path / "kept").rglob("trial-*"))) == 4


@pytest.mark.slow
def test_processes_end_with_the_main_one(tmp_path):
    code = (
        "from test_misbehaving_estimators import Sleeps, profile\n"
        "if __name__ == '__main__':\n    profile(Sleeps(1), n_jobs=2)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path, "SLEEPERS": str(tmp_path)}
    main_process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    while len(list(tmp_path.iterdir())) < 2:
        assert main_process.poll() is None
        time.sleep(0.05)
    sleepers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    main_process.kill()
    main_process.wait()
    _, alive = psutil.wait_procs(sleepers, timeout=60)
    assert alive == []


def test_a_module_that_exits_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "exits_at_once.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(SystemExit) as stop:
        main(["noise-profile", "digits", "--estimator", "exits_at_once:Model"])
    assert stop.value.code == 2
    assert "module 'exits_at_once' cannot be imported (SystemExit: 0)" in capsys.readouterr().err
