"""From tables and arrays in memory to `X`: the encoder repeats what was done, and each refusal has its sentence."""

import pickle
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from solvable.datasets import from_arrays, load, loading
from solvable.errors import InputError

N = 60
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(5, 3, (N, 4))
Y = RNG.normal(size=N)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "Bern"], N),
            "size": rng.normal(3, 2, N),
            "flag": rng.random(N) < 0.5,
            "same": 7,
            "whole": pd.array(rng.integers(0, 9, N), dtype="Int64"),
            "price": [Decimal(i % 7) for i in range(N)],
            "grade": pd.Categorical(rng.integers(1, 4, N)),
        }
    )


def with_gaps() -> pd.DataFrame:
    gaps = table()
    gaps.loc[3:5, "size"] = np.nan
    gaps.loc[7, "city"] = None
    gaps.loc[9, "whole"] = pd.NA
    gaps.loc[9, "price"] = None
    gaps["flag"] = gaps["flag"].astype(object)
    gaps.loc[11, "flag"] = None
    gaps["hollow"] = np.nan
    return gaps


def holed() -> np.ndarray:
    X = NUMBERS.copy()
    X[3, 1] = np.nan
    return X


RAW = {
    "array": (NUMBERS, None),
    "array with a constant column": (np.c_[NUMBERS, np.ones(N)], None),
    "integers": (RNG.integers(0, 9, (N, 3)).astype(np.uint8), None),
    "booleans": (RNG.random((N, 3)) < 0.5, None),
    "table": (table(), None),
    "table with numbers for names": (pd.DataFrame(NUMBERS), None),
    "objects": (np.array([[i % 9, "ab"[i % 2], None] for i in range(N)], dtype=object), "mean"),
    "images": (RNG.integers(0, 256, (N, 4, 5), dtype=np.uint8), None),
    "array with gaps": (holed(), "mean"),
    "table with gaps": (with_gaps(), "mean"),
}


@pytest.mark.parametrize("name", RAW)
def test_encoder_repeats_what_was_done(name):
    raw, missing = RAW[name]
    data = from_arrays(raw, Y, missing=missing)
    assert data.X.dtype == np.float64
    assert np.isfinite(data.X).all()
    assert len(data.X) == data.n_rows == N
    np.testing.assert_array_equal(data.encoder.transform(raw), data.X)
    copy = pickle.loads(pickle.dumps(data.encoder))
    np.testing.assert_array_equal(copy.transform(raw), data.X)
    np.testing.assert_array_equal(clone(data.encoder).fit(raw).transform(raw), data.X)
    np.testing.assert_array_equal(copy.transform(raw[:7]), data.X[:7])
    np.testing.assert_allclose(data.X.mean(), 0, atol=1e-12)


def test_columns_are_scaled_and_each_text_weighs_as_much_as_one_column():
    data = from_arrays(table(), Y)
    names = list(data.encoder.get_feature_names_out())
    assert names == [
        *(
            "size",
            "flag",
            "whole",
            "price",
            "city_Bern",
            "city_Oslo",
            "city_Rome",
            "grade_1",
            "grade_2",
            "grade_3",
        )
    ]
    np.testing.assert_allclose(data.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.X[:, :4].var(axis=0), 1)
    np.testing.assert_allclose(data.X[:, 4:7].var(axis=0).sum(), 1)
    np.testing.assert_allclose(data.X[:, 7:].var(axis=0).sum(), 1)
    assert data.notes[:3] == (
        "1 constant column dropped: same",
        "4 columns scaled to mean 0 and standard deviation 1 each",
        "each text encoded as one-hot columns, scaled to mean 0 and total variance 1: city (3 values), "
        "grade (3 values)",
    )


def test_tables_are_read_by_name_and_new_texts_are_none_of_the_known():
    data = from_arrays(table(), Y)
    turned = table().iloc[:, ::-1].assign(more=1)
    np.testing.assert_array_equal(data.encoder.transform(turned), data.X)
    encoded = data.encoder.transform(table().iloc[:2].assign(city=["Paris", None]))
    np.testing.assert_array_equal(encoded[0, 4:7], encoded[1, 4:7])
    assert (encoded[0, 4:7] < 0).all()
    with pytest.raises(ValueError, match="X lacks the column 'size'"):
        data.encoder.transform(table().drop(columns="size"))


def test_wrong_number_of_columns_or_pixels():
    with pytest.raises(ValueError, match="4 features"):
        from_arrays(NUMBERS, Y).encoder.transform(NUMBERS[:, :3])
    images = RNG.normal(size=(N, 3, 3))
    with pytest.raises(InputError, match="images have 4 numbers each; expected 9"):
        from_arrays(images, Y).encoder.transform(images[:, :2, :2])


def test_a_small_spread_about_a_large_mean_is_scaled_too():
    X = 1e9 + 1e-3 * RNG.normal(size=(2000, 1))
    np.testing.assert_allclose(from_arrays(X, RNG.normal(size=2000)).X.std(), 1)


@pytest.mark.parametrize("name", ["digits", "wine", "breast-cancer", "diabetes"])
def test_encoder_of_a_set_takes_the_arrays_of_scikit_learn(name):
    from sklearn import datasets as sets

    raw = getattr(sets, f"load_{name.replace('-', '_')}")().data
    data = load(name)
    np.testing.assert_array_equal(data.encoder.transform(raw), data.X)
    if name == "digits":
        np.testing.assert_array_equal(data.encoder.transform(raw.reshape(-1, 8, 8)), data.X)
        return
    X = raw - raw.mean(axis=0)
    np.testing.assert_allclose(data.X, X / X.std(axis=0), rtol=0, atol=1e-12)


def test_encoder_of_a_file_takes_the_table_in_it(tmp_path):
    frame = table().drop(columns="price").assign(y=Y)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    csv, parquet = load(tmp_path / "a.csv"), load(tmp_path / "a.parquet")
    np.testing.assert_array_equal(csv.encoder.transform(pd.read_csv(tmp_path / "a.csv")), csv.X)
    np.testing.assert_array_equal(parquet.encoder.transform(frame), parquet.X)
    # A CSV file cannot say that numbers are categories.
    assert (csv.X.shape, parquet.X.shape) == ((N, 7), (N, 9))
    csv, parquet = (load(tmp_path / f"a.{kind}", drop=["grade"]) for kind in ("csv", "parquet"))
    assert csv.fingerprint == parquet.fingerprint


@pytest.mark.parametrize(("missing", "rows"), [("drop", N - 6), ("mean", N)])
def test_missing_values(missing, rows):
    raw = with_gaps().drop(columns="hollow")
    data = from_arrays(raw, Y, missing=missing)
    assert len(data.X) == rows
    notes = "\n".join(data.notes)
    if missing == "drop":
        shown = "size (3), flag (1), whole (1), price (1), city (1)"
        assert f"6 of {N} rows dropped because they have missing values: {shown}" in notes
        keep = raw.notna().all(axis=1)
        np.testing.assert_array_equal(data.encoder.transform(raw[keep]), data.X)
        np.testing.assert_allclose(data.y[:, 0] + data.offset, Y[keep])
    else:
        assert "filled with the column's mean: size (3), flag (1), whole (1), price (1)" in notes
        assert "missing text counted as a value of its own: city (1)" in notes
        np.testing.assert_allclose(data.X[3:6, 0], 0, atol=1e-12)
        assert "city_None" in data.encoder.get_feature_names_out()


def test_missing_values_that_cannot_be_mended():
    with pytest.raises(
        InputError, match=r"'hollow' has the fewest values, drop it with X.drop.*missing=\"mean\""
    ):
        from_arrays(with_gaps(), Y, missing="drop")
    notes = from_arrays(with_gaps(), Y, missing="mean").notes
    assert "2 constant columns dropped: same, hollow" in notes
    images = RNG.normal(size=(N, 3, 3))
    images[5, 1, 1] = np.nan
    for missing in (None, "mean"):
        with pytest.raises(InputError, match=r'X in the data has 1 value .* images with missing="drop"'):
            from_arrays(images, Y, missing=missing)
    data = from_arrays(images, Y, missing="drop")
    assert f"1 of {N} images dropped because they have missing values" in data.notes
    images[:] = np.nan
    with pytest.raises(InputError, match="0 of 60 images of the data have no missing values"):
        from_arrays(images, Y, missing="drop")


DAYS = [f"2024-05-{1 + i % 28:02d}" for i in range(N)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (DAYS, "dates, as in '2024-05-01'; .* leave-one-out wrong: drop it with .*'my col'"),
        (["05/01/2024", "06/01/2024"] * 30, "dates, as in '05/01/2024'"),
        (["2024-05-01T10:00"] * N, "dates"),
        (["1.5.2024", "May 1, 2024", "-"] + ["3 June 2024"] * (N - 3), "dates"),
        (pd.date_range("2024-01-01", periods=N), "dates, as in '2024-01-01"),
        (pd.period_range("2024-01", periods=N, freq="M"), "dates"),
        ([date(2024, 5, 1)] * N, "dates"),
        (["1,234.5", "2"] * 30, "numbers written as text, as in '1,234.5'; expected plain numbers"),
        (["?"] * 3 + ["12"] * (N - 3), r"numbers written as text, as in '\?'"),
        (["3 %", "4 %"] * 30, "numbers written as text, as in '3 %'"),
        (
            [f"name {i}" for i in range(N)],
            f"text column 'my col' .* {N} different values; expected at most 30",
        ),
        ([1 + 2j] * N, "complex128 values"),
        ([[1]] * N, "list values"),
        ([1, "a"] * 30, "int and str values"),
        (pd.to_timedelta(np.arange(N), unit="s"), "timedelta"),
        ([1.0, np.inf] * 30, "30 infinite values, the first in data row 2"),
        ([1.0, np.nan] * 30, r"missing values in 30 of 60 rows \(50.0%\), the first in data row 2"),
    ],
)
def test_columns_that_are_no_inputs(values, sentence):
    with pytest.raises(InputError, match=f"column 'my col' of the data .*{sentence}|{sentence}") as caught:
        from_arrays(table().assign(**{"my col": values}), Y)
    assert "column 'my col' of the data" in str(caught.value)


@pytest.mark.parametrize(
    "values", [["May", "June"], ["10-20", "20-30"], ["10:30", "11:45"], ["A1", "B2"], ["yes", "no"]]
)
def test_texts_that_are_neither_dates_nor_numbers(values):
    assert from_arrays(table().assign(more=values * 30), Y).X.shape == (N, 12)


def test_a_column_of_a_file_is_dropped_with_an_option(tmp_path):
    table().assign(**{"my day": DAYS, "y": Y}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=r"with --drop 'my day' \(in Python: drop=\['my day'\]\)"):
        load(tmp_path / "a.csv")
    assert load(tmp_path / "a.csv", drop="my day").X.shape == (N, 8)


@pytest.mark.parametrize(
    ("X", "sentence"),
    [
        (NUMBERS[:, 0], r"X has shape \(60,\); .*reshape\(-1, 1\)"),
        (3.0, r"X has shape \(\)"),
        (np.zeros((N, 0)), "at least one column"),
        ([[1, 2], [3]], "X cannot be read as an array; expected rows of equal length"),
        (pd.DataFrame(NUMBERS, columns=["a", "b", "a", "c"]), "more than one column 'a'"),
        (pd.DataFrame(NUMBERS, columns=["a", 1, 2, 3]), r"X.rename\(columns=str\)"),
        (np.ones((N, 2)), "every input column of the data is constant"),
        (np.ones((N, 2, 2)), "every pixel has the same value"),
        (NUMBERS[:50], "X has 50 rows and y has 60"),
        (np.where(NUMBERS > 9, np.inf, NUMBERS), "column . of X in the data has . infinite value"),
        (holed(), "column 1 of X in the data has missing values in 1 of 60 rows"),
        (NUMBERS + 1j, "type complex128|complex128 values"),
    ],
)
def test_inputs_that_cannot_be_used(X, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        from_arrays(X, Y)
    assert "\n" not in str(caught.value)


def test_sparse_inputs():
    from scipy.sparse import csr_array

    with pytest.raises(InputError, match=r"X is a sparse matrix; .*toarray"):
        from_arrays(csr_array(NUMBERS), Y)


def test_lists_and_tensors():
    rows = [[i % 9, "ab"[i % 2]] for i in range(N)]
    assert from_arrays(rows, Y).X.shape == (N, 3)
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(NUMBERS, requires_grad=True)
    data = from_arrays(tensor, torch.tensor(Y))
    assert data.fingerprint == from_arrays(NUMBERS, Y).fingerprint
    half = from_arrays(tensor.to(torch.bfloat16), torch.arange(N) % 2)
    assert half.classes == ("0", "1")


@pytest.mark.parametrize(
    ("y", "classes", "name"),
    [
        (Y, (), None),
        (np.c_[Y, Y**2], (), None),
        (np.eye(2)[np.arange(N) % 2], (), None),
        (np.arange(N) % 2, ("0", "1"), None),
        (np.arange(N) % 2 == 0, ("False", "True"), None),
        (["a", "b"] * 30, ("a", "b"), None),
        (pd.Series(["a", "b"] * 30, name="kind"), ("a", "b"), "kind"),
        (pd.Series(["a", "b"] * 30, name="kind", dtype="category"), ("a", "b"), "kind"),
        (pd.DataFrame({"size": Y}), (), "size"),
        (pd.DataFrame({"size": Y, "more": Y**2}), (), "size, more"),
        (np.arange(N) ** 2, (), None),
    ],
)
def test_targets(y, classes, name):
    data = from_arrays(NUMBERS, y)
    assert data.classes == classes
    assert data.target_name == name
    np.testing.assert_allclose(data.y.mean(axis=0), 0, atol=1e-12 if not classes else 0.1)
    given = np.asarray(y, dtype=float).reshape(N, -1) if not classes else (data.y > 0).astype(float)
    np.testing.assert_allclose(data.y + data.offset, given, atol=1e-12)


def test_targets_of_which_some_are_missing():
    data = from_arrays(NUMBERS, [None, "b", *["a", "b"] * 29], missing="mean")
    assert len(data.X) == N - 1
    assert data.n_rows == N
    np.testing.assert_array_equal(data.encoder.transform(NUMBERS[1:]), data.X)
    assert from_arrays(NUMBERS, [np.nan, *[1.0] * 30, *[2.0] * 29], missing="drop").classes == ("1", "2")
    two = np.c_[Y, Y]
    two[4, 1] = np.nan
    assert len(from_arrays(NUMBERS, two, missing="drop").X) == N - 1


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.arange(N), 'integers from 0 to 59, each once; .* set task="number"'),
        (pd.Series(np.arange(N) * 2, name="user_id"), "the target 'user_id' looks like an identifier"),
        ([f"n{i}" for i in range(N)], "as many classes as samples"),
        (["a"] * 30 + [f"n{i}" for i in range(30)], "30 of the 31 classes of the target have a single row"),
        ([1.0, np.nan] * 30, 'the target has 30 missing values .* with missing="drop"'),
        ([1.0, np.inf] * 30, "the target has 30 values that are NaN or infinite"),
        (np.array(3.0), r"shape \(n,\) or \(n, c\); got \(\)"),
        (np.zeros((N, 2, 2)), "shape"),
        (np.zeros((N, 2), dtype=int), "ambiguous"),
        (np.ones(N), "constant"),
        (["a"] * N, "one class only"),
        (
            pd.Series(pd.date_range("2024-01-01", periods=N)),
            "the target holds dates or times, as in '2024-01-01",
        ),
        (pd.Series([1, "a"] * 30), "mixes int and str"),
    ],
)
def test_targets_that_cannot_be_used(y, sentence):
    with pytest.raises(InputError, match=sentence):
        from_arrays(NUMBERS, y)


@pytest.mark.parametrize("n", [N - 3, N + 3])
def test_as_many_inputs_as_targets(n):
    with pytest.raises(InputError, match=f"X has {n} rows and y has 60"):
        from_arrays(np.resize(NUMBERS, (n, 4)), [np.nan, *Y[1:]], missing="drop")


def test_rows_are_counted_in_the_source():
    X = NUMBERS.copy()
    X[5, 2] = np.inf
    with pytest.raises(
        InputError, match=r"column 2 of X in the data has 1 infinite value, the first in data row 6"
    ):
        from_arrays(X, [np.nan, *Y[1:]], missing="drop")


def test_rows_in_another_order():
    X, y = pd.DataFrame({"a": NUMBERS[:, 0]}), pd.Series(Y)
    with pytest.raises(InputError, match="same row names in another order"):
        from_arrays(X, y.sample(frac=1, random_state=0))
    with pytest.raises(InputError, match="X and y have different row names, 5 and 0 in row 1"):
        from_arrays(X.set_axis(range(5, N + 5)), y)
    named = X.set_axis([f"patient {i}" for i in range(N)])
    assert from_arrays(named, y).X.shape == (
        N,
        1,
    )  # pandas numbered the rows of y, which says nothing of their order


def test_settings_of_scikit_learn_do_not_matter():
    from sklearn import config_context

    with config_context(transform_output="pandas"):
        data = from_arrays(table(), Y)
        assert isinstance(data.encoder.transform(table()), np.ndarray)


def test_unknown_words():
    with pytest.raises(
        InputError, match=r"unknown treatment of missing values 'men'; .* did you mean 'mean'"
    ):
        loading._check_choices("auto", "men")
    with pytest.raises(InputError, match="unknown task 'class'"):
        loading._check_choices("class", None)
