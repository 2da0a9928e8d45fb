"""What the wing's page shows of training, without a browser."""

from dataclasses import replace

import numpy as np
import pytest

from solvable.activations import explore, explore_training, training_curve
from solvable.activations.explore import Choice
from solvable.errors import InputError
from solvable.kernels import NNGP, NTK

POLYNOMIAL = "polynomial, c⁴ + c"


def start(preset):
    return Choice(preset, explore.starting_series(preset))


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_two_nets_are_trained_beside_what_their_kernels_say(kind):
    stages = []
    choice = Choice(POLYNOMIAL, (0.5, 1.0, 0.3, 0.0, 0.0, 0.0, 0.0), kind)
    trained = explore_training.train_both(choice, 65536, "zero", stages.append)
    assert trained.width == explore_training.MOST_TRAINED == 1024
    assert len(stages) == 3
    split = explore_training._digits("zero")
    assert np.unique(split.y).tolist() == [-1.0, 1.0]
    own = explore.shape(choice).phi.kernel
    assert isinstance(own, NTK if kind == "ntk" else NNGP)
    curve = training_curve(own, split.X, split.y, split.X_test, split.y_test, trained.rate, trained.steps)
    np.testing.assert_allclose(trained.predicted[0].test_loss, curve.test_loss)
    for measured, predicted in zip(trained.measured, trained.predicted, strict=True):
        assert not measured.diverged
        for name in ("train_loss", "test_loss"):
            np.testing.assert_allclose(
                measured.at(trained.steps, name)[:10], predicted[name][:10], rtol=0.1, err_msg=name
            )
    told = explore_training.trained_view(trained)
    assert "nan" not in told.train_loss + told.test_loss
    assert told.facts[3][2].startswith("hidden layer" if kind == "ntk" else "readout")
    assert float(told.facts[1][1]) == pytest.approx(trained.measured[0].test_loss[-1], rel=0.01)
    assert told.warning == ""


def test_a_net_that_diverges_is_said_so():
    trained = explore_training.train_both(start(POLYNOMIAL), 16, "ten")
    designed = trained.measured[0]
    records = {name: value[:4] for name, value in vars(designed).items() if isinstance(value, np.ndarray)}
    told = explore_training.trained_view(
        replace(trained, measured=(replace(designed, **records, diverged=True), trained.measured[1]))
    )
    assert "The designed net diverged" in told.warning
    assert told.facts[0][1] == "diverged"
    assert "nan" not in told.train_loss


def test_without_torch_there_is_a_sentence(monkeypatch):
    assert explore_training.torch_missing() == ""
    monkeypatch.setattr(explore_training, "find_spec", lambda name: None)
    sentence = "training a network needs torch, which is not installed: pip install 'solvable[nets]'"
    assert explore_training.torch_missing() == sentence
    with pytest.raises(InputError) as missing:
        explore_training.train_both(start(POLYNOMIAL), 64, "ten")
    assert str(missing.value) == sentence
