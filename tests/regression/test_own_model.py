"""A model of the user's own beside the kernel: the factor in data, and the file that its errors come in."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from solvable.errors import InputError
from solvable.regression import diagnose
from solvable.regression.diagnose import Diagnosis
from solvable.regression.own_model import read_measured


def plain(words: object) -> str:
    """Return text without line breaks."""
    return " ".join(str(words).split())


@pytest.fixture(scope="module")
def of_diabetes() -> Diagnosis:
    return diagnose(*load_diabetes(return_X_y=True), kernel="gaussian")


@pytest.fixture(scope="module")
def of_tumours() -> Diagnosis:
    return diagnose(*load_breast_cancer(return_X_y=True), kernel="laplace")


def test_percentages_are_refused_as_rates(of_tumours: Diagnosis) -> None:
    with pytest.raises(InputError, match="divide percentages by 100"):
        of_tumours.with_measured([100, 200], [8.0, 5.0])


def test_a_model_of_ones_own(of_diabetes: Diagnosis) -> None:
    curve = of_diabetes.forecast([100, 200, 400])
    # The kernel itself at half the samples: it needs half the data for that, given in another order.
    own = of_diabetes.with_measured([400, 200], [curve.rmse[1].item(), curve.rmse[0].item()])
    assert own.measured is not None
    assert own.measured.n_train.to_numpy().tolist() == [200.0, 400.0]
    np.testing.assert_allclose(own.measured.data_factor, 0.5, rtol=0.05)
    np.testing.assert_allclose(own.measured.kernel_error, curve.rmse[1:], rtol=1e-12)
    assert "Your model is better than the kernel at 0 of 2 sizes (rmse)" in plain(own)
    assert of_diabetes.measured is None
    assert "Your own model" not in str(of_diabetes)
    better = of_diabetes.with_measured([200], [1e-3])
    assert "which the kernel does not reach with 7072 samples" in plain(better)
    assert "at 1 of 1 sizes" in plain(better)


def test_the_measure_can_be_named(of_tumours: Diagnosis) -> None:
    squared = of_tumours.forecast([200]).test_mse.item()
    own = of_tumours.with_measured([400], [squared], measure="test_mse").measured
    assert own is not None
    assert own.attrs["measure"] == "test_mse"
    assert own.data_factor.item() == pytest.approx(0.5, rel=0.05)


def test_a_model_that_learns_faster_gains_with_data(of_diabetes: Diagnosis) -> None:
    n = np.array([50.0, 100.0, 200.0])
    # It needs a half, a third, a quarter of the kernel's data.
    errors = of_diabetes.forecast(n * [2, 3, 4]).rmse
    own = of_diabetes.with_measured(n, errors).measured
    assert own is not None
    np.testing.assert_allclose(own.data_factor, [2, 3, 4], rtol=0.05)
    np.testing.assert_allclose(own.equal_n, n * [2, 3, 4], rtol=0.05)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: d.with_measured([10, 20], [1.0]), "expected one finite error for each size"),
        (lambda d: d.with_measured([10, 0], [1.0, 2.0]), "n_train must be above 0"),
        (lambda d: d.with_measured([10, 20], [1.0, -2.0]), "error must be above 0"),
        (lambda d: d.with_measured([10, 20], [1.0, np.inf]), "expected one finite error"),
        (lambda d: d.with_measured([[10, 20]], [[1.0, 2.0]]), "expected one finite error"),
        (lambda d: d.with_measured([10], [1.0], "accuracy"), "measure is 'accuracy'"),
    ],
)
def test_bad_measurements_are_one_sentence(of_diabetes: Diagnosis, call, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        call(of_diabetes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "n,error\n100,0.5\n200,0.25\n",
        "100,0.5\n200,0.25",
        "# my net\n\n1e2, .5\n200 ,2.5e-1\n",
        "samples,rmse\r\n100,0.5\r\n200,0.25\r\n",
    ],
)
def test_files_with_a_header_or_without(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.csv").write_text(text, newline="")
    n, error = read_measured(tmp_path / "own.csv")
    assert n.tolist() == [100.0, 200.0]
    assert error.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot be read"),
        (b"n,error\n", "not numbers, or none"),
        (b"n,error\n10,low\n", "not numbers"),
        (b"10,1\n20,\n", "not numbers"),
        (b"10,1\nn,error\n20,2\n", "not numbers"),
        (b"10\n20\n", "has 1 columns"),
        (b"10,1,2\n", "has 3 columns"),
        (b"10,1\n20,1,3\n", "cannot be read"),
        (bytes(range(256)), "own.csv"),
        (b"\xff\xfe1\x000\x00", "own.csv"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_measured(tmp_path / "own.csv")
    assert "\n" not in str(caught.value)
    assert "expected a CSV of two columns, n and error" in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_measured(tmp_path)
