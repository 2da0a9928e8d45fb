"""What the wing's page shows, without a browser; and surfaces for noisier labels, against training on such labels."""

from itertools import product

import numpy as np
import pytest

from cases import representative
from solvable.errors import InputError
from solvable.regression import LearningSurface, explore, measure
from solvable.regression.label_noise import with_label_noise


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 6))
    return X, np.tanh(X[:, 0]) + 0.5 * X[:, 1] * X[:, 2], rng.standard_normal(900)


def test_noisier_labels_are_predicted_as_training_on_them_measures(task):
    X, y, noise = task
    surface = LearningSurface.from_kernel("laplace", X[:400], y[:400])
    predicted = with_label_noise(surface, 0.25).predict([100, 400], ridge=[0, 1])
    measured = measure(
        "laplace", X, y + 0.5 * noise, n_train=[100, 400], ridge=[0, 1], splits=4, random_state=0
    )
    for name in ("test_mse", "train_mse"):
        ours, theirs = predicted[name].squeeze(), measured[name].mean("trial").squeeze()
        np.testing.assert_allclose(ours, theirs, rtol=0.12, atol=1e-9)


def test_noise_lies_on_top_and_none_changes_nothing(task):
    X, y, _ = task
    surface = LearningSurface.from_kernel("laplace", X[:200], y[:200])
    assert with_label_noise(surface, 0.0) is surface
    clean, noisy = (
        one.predict([100, 3200], ridge=[0, 10]) for one in (surface, with_label_noise(surface, 1.0))
    )
    assert (noisy.test_mse > clean.test_mse + 1.0).all()
    assert (noisy.test_mse_low < noisy.test_mse).all()
    optimum = with_label_noise(surface, 1.0).optimal_ridge(200)
    assert float(optimum) > float(surface.optimal_ridge(200))
    with pytest.raises(InputError, match="variance of the label noise must be at least 0; got -1"):
        with_label_noise(surface, -1.0)
    classes = LearningSurface.from_kernel("laplace", X[:200], (y[:200] > 0).astype(int))
    assert "error_rate" in classes.predict(100)
    assert "error_rate" not in with_label_noise(classes, 0.1).predict(100)


@pytest.mark.parametrize(
    ("name", "kernel"),
    representative(
        product(explore.DATA, explore.KERNELS),
        fast=[("wine", "relu-ntk"), *product(explore.DATA, ["laplace"])],
    ),
)
def test_every_choice_of_the_page_can_be_shown(name, kernel):
    surface = explore.named_surface(name, kernel)
    assert explore.named_surface(name, kernel) is surface
    steps = explore.Steps.of(surface)
    assert steps.start[0] == surface.n_samples
    assert steps.start[1] == np.inf
    assert steps.ridge[0] == 0
    for noise in (0.0, 0.5):
        noisy = with_label_noise(surface, noise * steps.variance)
        for n, k, ridge in ((32, np.inf, 0.0), (steps.n_train[-1], 32, steps.ridge[-1]), (100.0, 100.0, 0.0)):
            seen = explore.view(noisy, steps, n, k, ridge)
            assert "nan" not in seen.learning_curve + seen.ridge_curve
            assert len(seen.facts) == 4


def test_the_numbers_in_words_are_those_of_the_surface():
    surface = explore.named_surface("digits", "laplace")
    steps = explore.Steps.of(surface)
    seen = explore.view(surface, steps, 100, np.inf, 1.0)
    facts = {name: (number, remark) for name, number, remark in seen.facts}
    here, best = (
        surface.predict(100, ridge=ridge).squeeze() for ridge in (1.0, float(surface.optimal_ridge(100)))
    )
    assert float(facts["test error"][0]) == pytest.approx(float(here.test_mse), rel=0.01)
    assert float(facts["training error"][0]) == pytest.approx(float(here.train_mse), rel=0.01)
    assert float(facts["wrong class"][0].rstrip(" %")) == pytest.approx(
        100 * float(here.error_rate), rel=0.01
    )
    more = 100 * (float(here.test_mse) / float(best.test_mse) - 1)
    assert facts["best ridge"][1] == f"ridge 1 costs {more:.0f} % more error"
    assert explore.view(surface, steps, 100, np.inf, 0.0).facts[2][2] == "fits exactly"
    assert explore.mean_answer_error(surface) == pytest.approx(0.9, rel=0.01)


def test_a_file_is_diagnosed_under_its_own_name_and_with_the_fields_of_the_page():
    rows = [f"{i},{i * i % 7},{i % 2},n{i}" for i in range(80)]
    contents = "\n".join(["a,b,y,name", *rows]).encode()
    stages = []
    found = explore.diagnose_upload("my file.CSV", contents, "y", drop=["name"], watch=stages.append)
    assert found.data.name == "my file.CSV"
    assert found.surface.n_samples == 80
    assert stages[0] == "reading the file"
    assert len(stages) > 2
    with pytest.raises(InputError, match=r"'name' of 'my file.CSV' .* drop it with “Columns to leave out”"):
        explore.diagnose_upload("my file.CSV", contents, "y")
    with pytest.raises(InputError, match=r"'my file.txt', a file ending in '.txt'"):
        explore.diagnose_upload("my file.txt", contents)
    hole = contents.replace(b"\n5,4", b"\n5,")
    with pytest.raises(InputError, match=r"'b' of 'f.csv' .* with “Missing values”"):
        explore.diagnose_upload("f.csv", hole, "y", drop=["name"])
    assert explore.diagnose_upload("f.csv", hole, "y", "mean", ["name"]).surface.n_samples == 80
