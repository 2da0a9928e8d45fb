"""The same inputs through every entrance for data: the same answer from all, or the same sentence.

Entrances are the functions that take data in memory and those that take files; the answer is the names of the classes,
or none for a number. A case that a file cannot hold (a mask, row names) is tried in memory only.
"""

import io
import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from solvable.datasets import encode_targets, from_arrays, load
from solvable.errors import InputError
from solvable.kernels import Gaussian
from solvable.overfitting import TrainedUntil, kernel_noise_profile, noise_profile
from solvable.overfitting.label_noise import flip_labels
from solvable.regression import KernelClassifier, KernelRegressor, LearningSurface, diagnose, measure
from solvable.regression.explore import diagnose_upload

pytestmark = pytest.mark.filterwarnings("ignore")

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
FRAME = pd.DataFrame(X, columns=list("abc"))
CODES = (X[:, 0] > 0).astype(int)
TEXT = np.where(CODES == 1, "up", "down")
NUMBER = X[:, 0] + 0.1 * RNG.normal(size=N)
GAP = np.arange(N) == 7
TWO, NONE = ("0", "1"), ()


def _by_kind(classes, classifier, regressor):
    return classifier if classes else regressor


def through_from_arrays(X, y, classes):
    return from_arrays(X, y).classes


def through_diagnose(X, y, classes):
    return diagnose(X, y, kernel="linear").data.classes


def through_noise_profile(X, y, classes):
    estimator = _by_kind(classes, KNeighborsClassifier(1), KNeighborsRegressor(1))
    profile = noise_profile(estimator, X, y, [0.3], train_sizes=[20], n_trials=1, test_size=20)
    return encode_targets(y)[1] if profile.n_classes else ()


def through_kernel_noise_profile(X, y, classes):
    profile = kernel_noise_profile(
        "laplace", X, y, [0.3], train_sizes=[20], n_trials=1, test_size=20, ridge=1.0
    )
    return encode_targets(y)[1] if profile.n_classes else ()


def through_trained_until(X, y, classes):
    model = _by_kind(classes, SGDClassifier(random_state=0), SGDRegressor(random_state=0))
    return tuple(getattr(TrainedUntil(model, 2).fit(X, y), "classes_", ()))


def through_the_kernel_estimator(X, y, classes):
    model = _by_kind(classes, KernelClassifier("laplace"), KernelRegressor("laplace"))
    return tuple(getattr(model.fit(X, y), "classes_", ()))


def through_the_surface(X, y, classes):
    return LearningSurface.from_kernel("laplace", X, y).classes


def through_measure(X, y, classes):
    errors = measure("laplace", X, y, n_train=20, ridge=1.0, splits=1)
    return encode_targets(y)[1] if "error_rate" in errors else ()


IN_MEMORY = {
    "from_arrays": through_from_arrays,
    "diagnose": through_diagnose,
    "noise_profile": through_noise_profile,
    "kernel_noise_profile": through_kernel_noise_profile,
    "TrainedUntil": through_trained_until,
    "kernel estimator": through_the_kernel_estimator,
    "LearningSurface": through_the_surface,
    "measure": through_measure,
}
# A user's kernel or estimator gets the inputs as they are, so that theirs are its own rules.
ENCODING = ("from_arrays", "diagnose")


def _table(X, y):
    table = pd.DataFrame(X) if not isinstance(X, pd.DataFrame) else X.copy()
    table.columns = [f"x{name}" for name in table.columns]
    column = y if hasattr(y, "dtype") else pd.Series(list(y), dtype=object)
    return table.assign(y=pd.Series(column).to_numpy() if isinstance(column, np.ndarray) else column)


def through_csv(X, y, path, **options):
    _table(X, y).to_csv(path / "a.csv", index=False)
    return load(path / "a.csv", **options).classes


def through_parquet(X, y, path, **options):
    _table(X, y).to_parquet(path / "a.parquet")
    return load(path / "a.parquet", **options).classes


def through_npz(X, y, path, **options):
    np.savez(path / "a.npz", X=np.asarray(X), y=np.asarray(y))
    return load(path / "a.npz", **options).classes


def through_the_page(X, y, path):
    buffer = io.BytesIO()
    _table(X, y).to_csv(buffer, index=False)
    return diagnose_upload("a.csv", buffer.getvalue()).data.classes


FILES = {"csv": through_csv, "parquet": through_parquet, "npz": through_npz, "page": through_the_page}
ALL_FILES = tuple(FILES)
TABLES = ("csv", "parquet", "page")

# Name: targets, the answer or the sentence, and the files that can hold them.
TARGETS = {
    "integers": (CODES, TWO, ALL_FILES),
    "small integers": (CODES.astype(np.int8), TWO, ALL_FILES),
    "a column": (CODES[:, None], TWO, ("npz",)),
    "a list of integers": (CODES.tolist(), TWO, TABLES),
    "booleans": (CODES == 1, ("False", "True"), ALL_FILES),
    "text": (TEXT, ("down", "up"), ALL_FILES),
    "a list of text": (TEXT.tolist(), ("down", "up"), TABLES),
    "a pandas column of text": (pd.Series(TEXT), ("down", "up"), TABLES),
    "a polars column of text": (pl.Series("y", TEXT), ("down", "up"), ()),
    "a pyarrow column of integers": (pa.array(CODES), TWO, ()),
    "large unsigned integers": (
        pd.Series(CODES, dtype="UInt64") + 2**63,
        ("9223372036854775808", "9223372036854775809"),
        TABLES,
    ),
    "integers beyond 64 bits": ([10**25, 1] * 30, "integers beyond 64 bits", ()),
    "a category of integers": (pd.Series(CODES, dtype="category"), TWO, ("parquet",)),
    "a category of floats": (pd.Series(CODES + 0.5, dtype="category"), ("0.5", "1.5"), ("parquet",)),
    "a number": (NUMBER, NONE, ALL_FILES),
    "a list of numbers": (NUMBER.tolist(), NONE, TABLES),
    "a number in single precision": (NUMBER.astype(np.float32), NONE, ALL_FILES),
    "text with a gap": (np.where(GAP, None, TEXT), "1 missing values in 60 rows", TABLES),
    "a list of text with a gap": (["a", "b", np.nan] * 20, "20 missing values in 60 rows", TABLES),
    "integers with a gap": (np.where(GAP, np.nan, CODES), "1 missing values in 60 rows", ALL_FILES),
    "booleans with a gap": ([True, None, False] * 20, "20 missing values in 60 rows", TABLES),
    "a category with a gap": (
        pd.Series(np.where(GAP, None, TEXT), dtype="category"),
        "1 missing values in 60 rows",
        TABLES,
    ),
    "a polars column with a gap": (pl.Series([1, None, 2] * 20), "20 missing values in 60 rows", ()),
    "masked integers": (np.ma.masked_array(CODES, GAP), "1 missing values in 60 rows", ()),
    "masked numbers": (np.ma.masked_array(NUMBER, GAP), "1 missing values in 60 rows", ()),
    "numbers and text": ([1, "a"] * 30, "mixes int and str", ()),
    "a pandas column of numbers and text": (pd.Series([1, "a"] * 30), "mixes int and str", ()),
    "bytes": (np.array([b"a", b"b"] * 30), "holds bytes, as in b'a'", ()),
    "a list of bytes": ([b"a", b"b"] * 30, "holds bytes, as in b'a'", ("parquet",)),
    "dates": (pd.Series([date(2024, 1, 1), date(2024, 1, 2)] * 30), "holds dates or times", ("parquet",)),
    "times": (
        pd.to_datetime(pd.Series(["2024-01-01", "2024-01-02"] * 30)),
        "holds dates or times",
        ("parquet",),
    ),
    "complex numbers": (NUMBER + 1j, "holds complex", ("npz",)),
    "one class": (np.ones(N, dtype=int), "one class|1 class", ALL_FILES),
    "a constant number": (np.ones(N), "constant", ("npz",)),
    "infinity": (np.where(GAP, np.inf, NUMBER), r"infinit", ALL_FILES),
    "too few": (CODES[:-1], "has 60 rows and y has 59", ("npz",)),
    "a table with text": (
        pd.DataFrame({"p": NUMBER, "q": TEXT}),
        r"values that are not numbers; expected one label per sample",
        (),
    ),
    "rows in another order": (
        pd.Series(CODES).sample(frac=1, random_state=0),
        "same row names in another order",
        (),
    ),
    "shifted rows": (pd.Series(CODES, index=range(1, N + 1)), "different row names", ()),
}


NUMBERS_ONLY = ("masked numbers", "complex numbers", "a constant number", "infinity")


def _agrees(enter, answer):
    if isinstance(answer, str):
        with pytest.raises(ValueError, match=answer) as caught:
            enter()
        assert "\n" not in str(caught.value)
    else:
        assert tuple(map(str, enter())) == answer


@pytest.mark.parametrize("entrance", IN_MEMORY)
@pytest.mark.parametrize("name", TARGETS)
def test_targets_in_memory(name, entrance):
    y, answer, _ = TARGETS[name]
    if name == "a constant number" and entrance in ("TrainedUntil", "kernel estimator"):
        answer = NONE  # scikit-learn's estimators fit it
    classes = answer != NONE and name not in NUMBERS_ONLY
    _agrees(lambda: IN_MEMORY[entrance](FRAME, y, classes), answer)


ABOUT_ROWS = ("too few", "rows in another order", "shifted rows")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (_, answer, _) in TARGETS.items()
        if answer != NONE and name not in (*NUMBERS_ONLY, *ABOUT_ROWS)
    ],
)
def test_labels_to_flip(name):
    y, answer, _ = TARGETS[name]
    _agrees(lambda: np.unique(flip_labels(y, 0.0)), answer)


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, (_, _, files) in TARGETS.items() for file in files]
)
def test_targets_in_files(name, file, tmp_path):
    y, answer, _ = TARGETS[name]
    _agrees(lambda: FILES[file](FRAME, y, tmp_path), answer)


# Name: inputs that are FRAME in another form.
SAME_INPUTS = {
    "an array": X,
    "single precision": X.astype(np.float32).astype(np.float64),
    "a list": X.tolist(),
    "a polars table": pl.DataFrame(FRAME.to_dict("list")),
    "a pyarrow table": pa.table(FRAME),
    "nullable types": FRAME.convert_dtypes(),
    "an array without a masked value": np.ma.masked_array(X, False),
    "objects": X.astype(object),
}


@pytest.mark.parametrize("entrance", IN_MEMORY)
@pytest.mark.parametrize("name", SAME_INPUTS)
def test_inputs_in_another_form(name, entrance):
    assert tuple(map(str, IN_MEMORY[entrance](SAME_INPUTS[name], CODES, True))) == TWO


# Name: inputs that no entrance accepts, and the sentence.
BAD_INPUTS = {
    "a masked array": (np.ma.masked_array(X, X > 2), "missing values|NaN|masked"),
    "a gap": (FRAME.where(FRAME < 2), "missing values|NaN"),
    "a polars gap": (pl.DataFrame({"a": [*X[:-1, 0], None], "b": X[:, 1]}), "missing values|NaN"),
    "infinity": (np.where(X > 2, np.inf, X), "infinit"),
    "one dimension": (X[:, 0], "shape|1D array|one row for each sample"),
    "complex numbers": (X + 1j, "(?i)complex"),
    "dates": (FRAME.assign(c=pd.Timestamp("2024-01-01")), "dates|real numbers|datetime|DType|Timestamp"),
}


@pytest.mark.parametrize("entrance", IN_MEMORY)
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_inputs_that_are_refused(name, entrance):
    bad, sentence = BAD_INPUTS[name]
    with pytest.raises((ValueError, TypeError), match=sentence):
        IN_MEMORY[entrance](bad, CODES, True)


DAYS = pd.date_range("2024-01-01", periods=N)
RECORDS = np.array([tuple(row) for row in X], dtype=[(name, float) for name in "abc"])
ONLY_NUMBERS = ("kernel_noise_profile", "TrainedUntil", "kernel estimator", "LearningSurface", "measure")
# Name: inputs that entrances for numbers refuse, and the sentence; those that encode inputs take some of them.
NO_NUMBERS = {
    "dates": (np.array([DAYS, DAYS]).T, "X holds dates or times, as in '2024-01-01"),
    "differences of dates": (np.array([DAYS - DAYS[0]] * 2).T, "X holds dates or times, as in '0 days"),
    "a column of dates": (FRAME.assign(c=DAYS), "column 'c' of X holds dates or times"),
    "a column of dates with a zone": (FRAME.assign(c=DAYS.tz_localize("UTC")), "column 'c' of X holds dates"),
    "a column of months": (FRAME.assign(c=DAYS.to_period("M")), "column 'c' of X holds dates or times"),
    "a column of Python's dates": (
        FRAME.assign(c=[day.date() for day in DAYS]),
        "column 'c' of X holds dates",
    ),
    "a polars column of dates": (
        pl.DataFrame({"a": DAYS.to_list(), "b": NUMBER}),
        "column 'a' of X holds dates",
    ),
    "intervals": (FRAME.assign(c=pd.interval_range(0, N)), "column 'c' of X holds Interval values"),
    "dictionaries": (FRAME.assign(c=[{"a": 1}] * N), "column 'c' of X holds dict values"),
    "lists": (FRAME.assign(c=[[1, 2]] * N), "column 'c' of X holds list values"),
    "bytes": (np.array([[b"1", b"2"]] * N), "X holds bytes values"),
    "text": (FRAME.assign(c=TEXT), "column 'c' of X holds text, as in "),
    "numbers as text": (X.astype(str), r"X holds text, as in '\d"),
    "numbers as text among objects": (
        FRAME.assign(c=FRAME.c.astype(str)),
        r"column 'c' of X holds text, as in '",
    ),
    "categories of numbers": (FRAME.assign(c=pd.Categorical(CODES)), "column 'c' of X holds categories"),
    "records": (RECORDS, "X has the type .* expected numbers, "),
    "two columns of one name": (FRAME.set_axis(["a", "a", "c"], axis=1), "X has more than one column 'a'"),
    "names of two kinds": (FRAME.set_axis(["a", 1, "c"], axis=1), "some column names of X are text"),
    "an integer beyond floats": (
        np.array([[10**400, 1]] * N, dtype=object),
        "holds numbers that floats do not reach",
    ),
    "a fraction beyond floats": (
        np.array([[Fraction(10**400), 1]] * N),
        "holds numbers that floats do not reach",
    ),
    "a signalling NaN": (np.array([[Decimal("sNaN"), 1]] * N), "holds numbers that floats do not reach"),
}


@pytest.mark.parametrize("entrance", ONLY_NUMBERS)
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_inputs_that_are_no_numbers(name, entrance):
    bad, sentence = NO_NUMBERS[name]
    with pytest.raises(InputError, match=sentence):
        IN_MEMORY[entrance](bad, CODES, True)


ENCODED = ("text", "categories of numbers")


@pytest.mark.parametrize("entrance", ENCODING)
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_inputs_that_are_encoded_or_refused(name, entrance):
    inputs, _ = NO_NUMBERS[name]
    if name in ENCODED:
        assert IN_MEMORY[entrance](inputs, CODES, True) == TWO
    else:
        with pytest.raises(InputError, match=r"expected|dates"):
            IN_MEMORY[entrance](inputs, CODES, True)


@pytest.mark.parametrize("entrance", ONLY_NUMBERS)
def test_exact_numbers_are_numbers(entrance):
    exact = np.array([[Fraction(i, 3), Decimal(int(k)), bool(k)] for i, k in enumerate(CODES)], dtype=object)
    assert tuple(map(str, IN_MEMORY[entrance](exact, CODES, True))) == TWO


# Name: columns beside FRAME's, and the files that can hold them.
COLUMNS = {
    "nothing": ({}, ALL_FILES),
    "single precision": ({"c": FRAME.c.astype(np.float32)}, ("parquet", "npz")),
    "integers": ({"c": np.arange(N)}, ALL_FILES),
    "large integers": ({"c": 10**18 + 3 * np.arange(N)}, TABLES),
    "unsigned integers": ({"c": np.uint64(2**63) + np.arange(N, dtype=np.uint64)}, TABLES),
    "large numbers": ({"c": 1e307 * FRAME.c}, ALL_FILES),
    "small numbers": ({"c": 1e-200 * FRAME.c}, ALL_FILES),
    "booleans": ({"c": FRAME.c > 0}, TABLES),
    "text": ({"c": TEXT}, TABLES),
    "text with quotes": ({"c": np.where(CODES, 'a "b", c', "d\ne")}, TABLES),
    "the word missing": ({"c": np.where(CODES, "missing", "here")}, TABLES),
    "a category of text": ({"c": pd.Categorical(TEXT)}, TABLES),
    "a category of integers": ({"c": pd.Categorical(CODES)}, ("parquet",)),
    "a gap": ({"c": np.where(GAP, np.nan, FRAME.c)}, ALL_FILES),
    "text with a gap": ({"c": np.where(GAP, None, TEXT)}, TABLES),
    "integers with a gap": ({"c": pd.array([None, *range(1, N)], dtype="Int64")}, TABLES),
    "large integers with a gap": (
        {"c": pd.array([None, *(10**18 + np.arange(1, N))], dtype="Int64")},
        ("parquet",),
    ),
    "booleans with a gap": ({"c": pd.array([None, *(FRAME.c[1:] > 0)], dtype="boolean")}, TABLES),
}


@pytest.mark.parametrize(
    ("name", "file"),
    [(name, file) for name, (_, files) in COLUMNS.items() for file in files if file != "page"],
)
def test_inputs_in_files_are_those_in_memory(name, file, tmp_path):
    table = FRAME.assign(**COLUMNS[name][0])
    FILES[file](table, CODES, tmp_path, missing="mean")
    data = load(next(tmp_path.iterdir()), missing="mean", quiet=True)
    expected = from_arrays(table, CODES, missing="mean")
    np.testing.assert_allclose(data.X, expected.X, rtol=1e-9, atol=1e-12)
    if name.startswith("large integers"):
        steps = np.delete(data.X[:, 2], 0)
        np.testing.assert_allclose(np.diff(steps), np.diff(steps).mean(), rtol=1e-9)


# The page reads files by `load`, so that a few are enough.
@pytest.mark.parametrize("name", ["large integers", "booleans", "text with quotes", "a gap"])
def test_inputs_on_the_page_are_those_in_memory(name, tmp_path):
    table = FRAME.assign(**COLUMNS[name][0])
    if table.isna().any(axis=None):
        with pytest.raises(InputError, match=r"'xc' of 'a\.csv' has missing values in 1 of 60 rows"):
            through_the_page(table, CODES, tmp_path)
    else:
        assert through_the_page(table, CODES, tmp_path) == TWO


@pytest.mark.parametrize("entrance", IN_MEMORY)
def test_sparse_inputs_are_used_or_refused(entrance):
    inputs = sparse.csr_array(X)
    if entrance in ("noise_profile", "TrainedUntil"):  # the estimator's own business
        assert tuple(map(str, IN_MEMORY[entrance](inputs, CODES, True))) == TWO
    else:
        with pytest.raises((ValueError, TypeError), match=re.compile("sparse", re.IGNORECASE)):
            IN_MEMORY[entrance](inputs, CODES, True)


@pytest.mark.parametrize("entrance", ENCODING)
def test_large_integers_and_large_numbers_are_scaled_exactly(entrance):
    table = FRAME.assign(stamp=10**18 + 3 * np.arange(N), huge=1e307 * X[:, 1], tiny=1e-200 * X[:, 2])
    data = from_arrays(table, CODES)
    steps = (np.arange(N) - (N - 1) / 2) / np.sqrt((N**2 - 1) / 12)
    np.testing.assert_allclose(data.X[:, 3], steps, rtol=1e-12)
    np.testing.assert_allclose(data.X[:, 4], (X[:, 1] - X[:, 1].mean()) / X[:, 1].std(), rtol=1e-12)
    np.testing.assert_allclose(data.X[:, 5], (X[:, 2] - X[:, 2].mean()) / X[:, 2].std(), rtol=1e-12)
    np.testing.assert_array_equal(data.encoder.transform(table), data.X)
    assert IN_MEMORY[entrance](table, CODES, True) == TWO


def test_the_word_missing_is_a_value_of_its_own():
    words = np.array(["missing", "here", None] * 20, dtype=object)
    data = from_arrays(pd.DataFrame({"word": words}), CODES, missing="mean")
    assert data.X.shape == (N, 3)
    assert len(np.unique(data.X, axis=0)) == 3


def test_a_target_that_is_too_large_to_square():
    for entrance in ("from_arrays", "diagnose", "LearningSurface", "measure", "noise_profile"):
        with pytest.raises(ValueError, match="whose squares are beyond floating point"):
            IN_MEMORY[entrance](FRAME, 1e307 * NUMBER, False)


def test_columns_of_a_polars_table_are_found_by_name():
    table = pl.DataFrame(FRAME.to_dict("list"))
    data = from_arrays(table, CODES)
    np.testing.assert_array_equal(data.encoder.transform(table.select("c", "a", "b")), data.X)
    model = KernelClassifier().fit(table, CODES)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table.select("c", "a", "b"))
    trained = TrainedUntil(SGDClassifier(random_state=0), 2).fit(table, CODES)
    with pytest.raises(ValueError, match="feature names should match"):
        trained.predict(table.select("c", "a", "b"))


def test_row_names_of_any_kind():
    from solvable.datasets.inputs import check_rows

    names = pd.MultiIndex.from_product([range(6), range(10)])
    check_rows(X=FRAME.set_index(names), y=pd.Series(CODES))
    with pytest.raises(ValueError, match="same row names in another order"):
        check_rows(X=FRAME.set_index(names), y=pd.Series(CODES, index=names[::-1]))
    mixed = [*range(N - 2), "a", None]
    check_rows(X=FRAME.set_axis(mixed), y=pd.Series(CODES, index=mixed))
    with pytest.raises(ValueError, match="different row names, 0 and 1 in row 1"):
        check_rows(X=FRAME.set_axis(mixed), groups=pd.Series(CODES, index=[*range(1, N), "b"]))
    with pytest.raises(ValueError, match="X and groups have 60 and 59 rows"):
        check_rows(X=FRAME, y=CODES, groups=pd.Series(CODES[:-1]))


@pytest.mark.parametrize("seed", [np.random.default_rng(3), np.random.RandomState(3), 3, np.int64(3)])
def test_a_generator_as_random_state(seed):
    options = {"train_sizes": [20], "n_trials": 1, "random_state": seed}
    assert noise_profile(KNeighborsClassifier(1), FRAME, CODES, [0.3], **options).n_classes == 2
    assert diagnose(FRAME, CODES, kernel="linear", random_state=seed).n_samples == N
    assert TrainedUntil(SGDClassifier(), 2, random_state=seed).fit(FRAME, CODES).n_epochs_ == 2
    with pytest.raises(ValueError, match="random_state"):
        noise_profile(KNeighborsClassifier(1), FRAME, CODES, [0.3], random_state="3")


@pytest.mark.parametrize(
    "entrance", [name for name in IN_MEMORY if name not in ("kernel estimator", "TrainedUntil")]
)
@pytest.mark.parametrize("nothing", [None, 3.0, "text", {"a": [1.0, 2.0]}, {1, 2}], ids=repr)
def test_what_has_no_rows(entrance, nothing):
    with pytest.raises(ValueError, match=r"has shape \(\)|without rows"):
        IN_MEMORY[entrance](nothing, CODES, True)


def test_a_type_that_no_other_library_reads():
    column = pl.Series("a", list(range(N)), dtype=pl.Int128)
    with pytest.raises(ValueError, match="the Series cannot be read"):
        from_arrays(FRAME, column)
    with pytest.raises(ValueError, match="the DataFrame cannot be read"):
        from_arrays(pl.DataFrame({"a": column}), CODES)


def test_a_regressor_of_numbers_that_are_too_large_to_square():
    with pytest.raises(ValueError, match="whose squares are beyond floating point"):
        KernelRegressor().fit(FRAME, 1e307 * NUMBER)
    assert KernelRegressor().fit(FRAME, np.ones(N)).predict(FRAME)[0] == pytest.approx(1.0)


SHUFFLED = FRAME.sample(frac=1, random_state=0)


@pytest.mark.parametrize("entrance", IN_MEMORY)
@pytest.mark.parametrize("through", [pa.Table.from_pandas, narwhals.from_native])
def test_row_names_of_other_libraries_tables(entrance, through):
    with pytest.raises(InputError, match="same row names in another order"):
        IN_MEMORY[entrance](through(SHUFFLED), pd.Series(CODES), True)
    y = narwhals.from_native(pd.Series(CODES)[::-1], series_only=True)
    with pytest.raises(InputError, match="same row names in another order"):
        IN_MEMORY[entrance](through(FRAME), y, True)


def test_the_index_of_an_arrow_table_is_no_input():
    data = from_arrays(pa.Table.from_pandas(SHUFFLED), CODES)
    assert list(data.encoder.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(data.X, from_arrays(SHUFFLED, CODES).X)
    category = FRAME.assign(c=pd.Categorical(CODES))
    assert from_arrays(pa.Table.from_pandas(category), CODES).X.shape == (N, 4)


@pytest.mark.parametrize("entrance", IN_MEMORY)
def test_other_rows_of_one_table(entrance):
    other = pd.Series(CODES, index=range(N, 2 * N))
    with pytest.raises(InputError, match="different row names, 0 and 60 in row 1"):
        IN_MEMORY[entrance](FRAME, other, True)
    named = FRAME.set_axis([f"r{i}" for i in range(N)])
    assert tuple(map(str, IN_MEMORY[entrance](named, pd.Series(CODES), True))) == TWO


def test_columns_named_by_numbers_are_found_by_name():
    table = pd.DataFrame(X)
    data = from_arrays(table, CODES)
    np.testing.assert_array_equal(data.encoder.transform(table[[2, 1, 0]]), data.X)
    with pytest.raises(InputError, match=r"column '1' of the data has missing values .* first in data row 8"):
        from_arrays(table.mask(GAP[:, None] & (table.columns == 1)), CODES)


def test_masks_keep_digits_and_are_found_in_lists():
    table = np.ma.array(np.stack([10**18 + 7 * np.arange(N), np.arange(N) % 7], axis=1))
    table[3, 0] = np.ma.masked
    for inputs in (table, list(table)):
        data = from_arrays(inputs, CODES, missing="drop")
        assert len(data.X) == N - 1
        assert not any("duplicates" in note for note in data.notes)


@pytest.mark.parametrize("entrance", IN_MEMORY)
def test_arrays_with_named_axes(entrance):
    xarray = pytest.importorskip("xarray")
    inputs, targets = xarray.DataArray(X, dims=["sample", "column"]), xarray.DataArray(CODES, dims="sample")
    assert tuple(map(str, IN_MEMORY[entrance](inputs, targets, True))) == TWO


def test_columns_of_test_points():
    test = pd.DataFrame(RNG.normal(size=(30, 3)), columns=list("abc"))
    y = (test.a > 0).astype(int)
    options = {"train_sizes": [20], "n_trials": 1, "X_test": test[["c", "b", "a"]], "y_test": y}
    with pytest.raises(InputError, match="columns of X_test are 'c', 'b', 'a' and those of X 'a', 'b', 'c'"):
        kernel_noise_profile("laplace", FRAME, CODES, [0.3], ridge=1.0, **options)
    with pytest.raises(InputError, match="columns of X_test are 'c', 'b', 'a' and those of X 'a', 'b', 'c'"):
        noise_profile(KNeighborsClassifier(1), FRAME, CODES, [0.3], **options)
    wrong = options | {"X_test": test, "y_test": y[::-1]}
    for profile in (
        lambda: noise_profile(KNeighborsClassifier(1), FRAME, CODES, [0.3], **wrong),
        lambda: kernel_noise_profile("laplace", FRAME, CODES, [0.3], ridge=1.0, **wrong),
    ):
        with pytest.raises(InputError, match="X_test and y_test have the same row names in another order"):
            profile()


def test_rows_of_features():
    with pytest.raises(InputError, match="features and y have the same row names in another order"):
        LearningSurface.from_features(FRAME, pd.Series(CODES)[::-1])


@pytest.mark.parametrize("category", [CODES, CODES + 0.5, pd.cut(FRAME.a, 2), TEXT, CODES == 1])
def test_a_category_is_scored_as_it_is_fitted(category):
    y = pd.Series(category).astype("category")
    model = KernelClassifier(ridge=0.0).fit(FRAME, y)
    assert model.score(FRAME, y) == 1.0
    fitted = diagnose(FRAME, y, kernel="laplace").estimator
    kind = y.cat.categories.dtype
    # Floats and intervals are named by their text.
    labels = y.astype(kind if getattr(kind, "kind", "") in "ib" else str)
    assert 0.5 < fitted.score(FRAME, labels) <= 1


def test_integers_of_a_category_stay_integers():
    y = pd.Series(np.arange(N) % 12).astype("category")
    assert from_arrays(FRAME, y).classes == tuple(map(str, range(12)))


def test_scores_look_at_the_order_of_rows():
    shuffled = FRAME.a.sample(frac=1, random_state=0)
    model, classifier = KernelRegressor().fit(FRAME, FRAME.a), KernelClassifier().fit(FRAME, CODES)
    with pytest.raises(InputError, match="same row names in another order"):
        model.score(FRAME, shuffled)
    with pytest.raises(InputError, match="same row names in another order"):
        classifier.score(FRAME, pd.Series(CODES)[::-1])
    with pytest.raises(InputError, match="y has 1 missing values"):
        model.score(FRAME, np.ma.masked_array(NUMBER, GAP))


def test_whole_floats_beside_a_gap_are_noted():
    data = from_arrays(FRAME, np.where(GAP, np.nan, np.arange(N) % 3), missing="drop")
    assert data.classes == ("0", "1", "2")
    assert any("taken for integers" in note for note in data.notes)


def test_digits_beside_gaps_in_arrow_columns():
    column = pa.array([None, 2**64 - 1, 2**64 - 2, *range(N - 3)], pa.uint64())
    from solvable.datasets.inputs import as_pandas

    assert as_pandas(column)[1:3].tolist() == [2**64 - 1, 2**64 - 2]
    assert as_pandas(pa.table({"a": column}))["a"][1] == 2**64 - 1


def test_columns_named_by_numbers_in_another_order():
    named = FRAME.set_axis([1, 2, 3], axis=1)
    turned = named[[3, 1, 2]]
    regressor, trained = KernelRegressor().fit(named, NUMBER), TrainedUntil(SGDRegressor(random_state=0), 2)
    np.testing.assert_array_equal(
        regressor.predict(named), KernelRegressor().fit(FRAME, NUMBER).predict(FRAME)
    )
    for model in (regressor, trained.fit(named, NUMBER)):
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(turned)
    with pytest.raises(
        InputError, match="the columns of X_test are '3', '1', '2' and those of X '1', '2', '3'"
    ):
        noise_profile(KNeighborsRegressor(1), named, NUMBER, [0.3], X_test=turned, y_test=NUMBER)
    with pytest.raises(InputError, match="the columns of the tables X and Z differ in name or order"):
        Gaussian(1.0)(named, turned)


def test_new_rows_of_a_diagnosed_model():
    model = diagnose(FRAME, NUMBER, kernel="laplace").estimator
    expected = model.predict(FRAME)
    for rows in (X, X.tolist(), FRAME[["c", "a", "b"]], pl.DataFrame(FRAME.to_dict("list"))):
        np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-12)
    for rows, sentence in (
        (FRAME.assign(a=pd.Timestamp("2024-01-01")), "column 'a' of X holds dates or times"),
        (FRAME.assign(a=FRAME.a.astype(str)), "column 'a' of X holds text"),
        (FRAME + 1j, "column 'a' of X holds complex numbers"),
        (FRAME.rename(columns={"a": "z"}), "X lacks the column 'a'"),
        (X[:, :2], "expected 3 columns, as in the table fitted to"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.predict(rows)


def test_large_integers_in_lists():
    data = from_arrays([[2**63 + k, k] for k in range(N)], CODES)
    assert data.X.shape == (N, 2)
    np.testing.assert_allclose(data.X[:, 0], data.X[:, 1], rtol=1e-12)
    assert KernelClassifier().fit(FRAME, [2**63, 1] * 30).classes_.tolist() == [1, 2**63]
    groups = [-1] * 6 + [2**63 + k // 6 for k in range(6, N)]
    assert diagnose(FRAME, CODES, groups=groups, kernel="linear").n_samples == N


@pytest.mark.parametrize("order", [">i4", ">i8", ">f8"])
def test_numbers_in_another_byte_order(order):
    assert from_arrays(X.astype(order), CODES.astype(order), task="classes").classes in (TWO, ("0.0", "1.0"))
    groups = (np.arange(N) // 3).astype(order)
    assert diagnose(FRAME, CODES, groups=groups, kernel="linear").n_samples == N


def test_missing_values_that_numpy_made_text():
    words = np.array(["a", "b", np.nan] * 20)
    with pytest.raises(InputError, match="20 missing values in 60 rows"):
        from_arrays(X, words)
    assert from_arrays(X, words, missing="drop").classes == ("a", "b")
    with pytest.raises(InputError, match="groups has 20 missing values"):
        diagnose(FRAME, CODES, groups=words)


@pytest.mark.parametrize("entrance", ["from_arrays", "kernel estimator", "TrainedUntil", "noise_profile"])
def test_booleans_among_integers(entrance):
    with pytest.raises(InputError, match="mixes bool and int"):
        IN_MEMORY[entrance](FRAME, [True, 0, 1] * 20, True)
