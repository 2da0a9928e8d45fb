"""CSV files as people and programs write them: read right, or refused by a sentence; the same with `rows=`."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from solvable.datasets import load
from solvable.datasets.readers import read_column
from solvable.errors import InputError

N = 60
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, N)).round(6)
Y = (A > 0).astype(int)
COLOURS = np.array(["red", "green", "blue"])[np.arange(N) % 3]


def _file(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def _lines(*columns, separator=",", end="\n"):
    return "".join(separator.join(map(str, row)) + end for row in zip(*columns, strict=True))


def _expected(tmp_path, **columns):
    path = tmp_path / "plain.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return load(path, target="y")


def _same(data, expected):
    np.testing.assert_allclose(data.X, expected.X, rtol=1e-12)
    np.testing.assert_allclose(data.y, expected.y, rtol=1e-12)
    assert data.classes == expected.classes


@pytest.mark.parametrize("header", ["y,a,b", "y,a,b,", '"y","a","b"', "\ufeffy,a,b", " y, a, b"])
def test_a_separator_at_the_end_of_each_row(tmp_path, header):
    path = _file(tmp_path, f"{header}\n" + _lines(Y, A, B, end=",\n"))
    expected = _expected(tmp_path, y=Y, a=A, b=B)
    _same(load(path, target="y"), expected)
    np.testing.assert_array_equal(read_column(path, "a.csv", "a"), A)
    drawn = load(path, target="y", rows=30)
    np.testing.assert_array_equal(drawn.labels, Y[drawn.rows])


def test_row_names_that_the_header_does_not_count(tmp_path):
    names = [f"r{i}" for i in range(N)]
    _same(
        load(_file(tmp_path, "y,a,b\n" + _lines(names, Y, A, B)), target="y"),
        _expected(tmp_path, y=Y, a=A, b=B),
    )
    twice = _file(tmp_path, "y,a,b\n" + _lines(COLOURS, Y, A, B))
    with pytest.raises(InputError, match="have 4 cells and the header has 3; expected equal numbers"):
        load(twice, target="y")
    later = _file(tmp_path, "y,a,b\n" + _lines(Y, A, B, end=",\n") + "1,2,3,4\n")
    with pytest.raises(InputError, match="have 4 cells and the header has 3"):
        load(later, target="y")


def test_rows_of_another_length(tmp_path):
    with pytest.raises(
        InputError, match="has a row of 4 cells, which starts with '1,2,3', and a header of 3"
    ):
        load(_file(tmp_path, "y,a,b\n1,2,3\n1,2,3,4\n0,1,2\n"))
    long = _file(tmp_path, "y,a,b\n" + _lines(Y, A, B) * 4 + "1,2,3,4\n")
    for rows in (None, 20):
        with pytest.raises(InputError, match="Expected 3 fields in line 242, saw 4"):
            load(long, target="y", rows=rows)
    # pandas would fill what is missing with gaps, also where a file is cut off.
    short = _file(tmp_path, "y,a,b\n" + _lines(Y, A, B) + "1,2\n")
    for options in ({}, {"rows": 20}, {"missing": "drop"}):
        with pytest.raises(
            InputError, match="a row of 2 cells in line 62, which starts with '1,2'; expected 3"
        ):
            load(short, target="y", **options)
    for blank in ("", "\n", "   \n"):
        gaps = load(
            _file(tmp_path, "y,a,b\n" + _lines(Y, A, B) + "1,2,\n" + blank), target="y", missing="mean"
        )
        assert gaps.X.shape == (61, 2)


@pytest.mark.parametrize("header", ["a,y,y", "y,y,a", 'a," y",y'])
def test_names_that_repeat(tmp_path, header):
    path = _file(tmp_path, f"{header}\n" + _lines(A, Y, Y))
    for rows in (None, 20):
        with pytest.raises(InputError, match="more than one column 'y'; expected unique names"):
            load(path, rows=rows)
    with pytest.raises(InputError, match="more than one column 'y'"):
        read_column(path, "a.csv", "y")


def test_names_that_only_look_like_repeats(tmp_path):
    data = load(_file(tmp_path, "y,y.1,a\n" + _lines(Y, A, B)), target="y")
    assert data.X.shape == (N, 2)


@pytest.mark.parametrize("rows", [None, 30])
def test_no_header_and_text(tmp_path, rows):
    path = _file(tmp_path, _lines(COLOURS, A, Y))
    data = load(path, rows=rows)
    assert len(data.X) == (rows or N)
    assert data.X.shape[1] == 4
    assert any("no header" in note for note in data.notes)
    np.testing.assert_array_equal(data.labels, Y[data.rows])
    unique = [f"id{i}" for i in range(N)]
    assert load(_file(tmp_path, _lines(unique, A, Y), "b.csv"), drop=["0"], rows=rows).target_name == "2"
    np.testing.assert_array_equal(read_column(path, "a.csv", "0"), COLOURS)


def test_a_header_is_kept(tmp_path):
    numbered = _file(tmp_path, "label,0,1\n" + _lines(COLOURS, A, B))
    with pytest.raises(InputError, match="may be names or data; expected names"):
        load(numbered, target="label")
    mixed = _file(tmp_path, "label,0,width\n" + _lines(COLOURS, A, B))
    assert load(mixed, target="label").classes == ("blue", "green", "red")
    words = _file(tmp_path, "kind,colour\n" + _lines(np.where(Y, "up", "down"), COLOURS))
    assert load(words).classes == ("blue", "green", "red")


def test_numbers_alone_in_the_first_line(tmp_path):
    assert load(_file(tmp_path, "5.1,3.5,0\n" + _lines(A, B, Y))).n_rows == N + 1
    assert load(_file(tmp_path, "0,1,2\n" + _lines(A, B, Y))).n_rows == N
    with pytest.raises(InputError, match="starts with '2019,2020,2021', may be names or data"):
        load(_file(tmp_path, "2019,2020,2021\n" + _lines(A, B, Y)))


def test_numbers_with_a_decimal_comma(tmp_path):
    expected = _expected(tmp_path, y=Y, a=A, b=B)
    comma = [str(one).replace(".", ",") for one in A]
    power = [f"{one:.12e}".replace(".", ",") for one in B]
    quoted = [f'"{one}"' for one in comma]
    for first in (comma, quoted):
        path = _file(tmp_path, "y;a;b\n" + _lines(Y, first, power, separator=";"))
        _same(load(path, target="y"), expected)
        np.testing.assert_array_equal(read_column(path, "a.csv", "a"), A)
    points = _file(tmp_path, "y;a;b\n" + _lines(Y, comma, B, separator=";"))
    _same(load(points, target="y"), expected)


def test_a_decimal_comma_late_in_a_large_file(tmp_path):
    n = 40_000
    a = np.arange(n) % 1000
    late = [str(one) for one in a]
    late[-1] = "0,5"
    path = _file(tmp_path, "a;y\n" + _lines(late, a % 2, separator=";"))
    assert path.stat().st_size > 200_000
    exact = (a[:-1].sum() + 0.5) / n
    data = load(path, target="a")
    assert data.offset == pytest.approx([exact], rel=1e-12)
    drawn = load(path, target="y", rows=1000)
    assert drawn.X.shape == (1000, 1)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["1,5", "2.5"], "holds '1,5' and '2.5'; expected one decimal sign"),
        (["1.234,5", "2.345,5"], "numbers written as text, as in '1.234,5'"),
        (["1 234", "2 345"], "numbers written as text"),
    ],
)
def test_numbers_that_are_not_guessed(tmp_path, cells, sentence):
    path = _file(tmp_path, "a;b;y\n" + _lines(cells * (N // 2), A, Y, separator=";"))
    with pytest.raises(InputError, match=sentence):
        load(path, target="y")


@pytest.mark.parametrize("rows", [None, 20])
def test_a_point_that_may_separate_thousands(tmp_path, rows):
    comma = [str(one).replace(".", ",") for one in A]
    thousands = ["999", "1.234", "2.500"] * (N // 3)
    for target in ("y", "b"):
        path = _file(tmp_path, "y;a;b\n" + _lines(Y, comma, thousands, separator=";"))
        with pytest.raises(
            InputError, match=r"column 'b' of .* holds '\d\.\d{3}', where the sign may separate thousands"
        ):
            load(path, target=target, rows=rows)
    # The same with commas between thousands, where other columns have decimal points; and with both signs.
    english = [one.replace(".", ",") for one in thousands]
    for first in (A, thousands):
        path = _file(tmp_path, "y;a;b\n" + _lines(Y, first, english, separator=";"))
        with pytest.raises(InputError, match=r"holds '\d[.,]\d{3}', where the sign may separate thousands"):
            load(path, target="y", rows=rows)
    # Without a decimal comma, or with another number of digits, a point is a decimal point.
    for first, second in ((A, thousands), (comma, [*thousands[:-1], "1.5"])):
        path = _file(tmp_path, "y;a;b\n" + _lines(Y, first, second, separator=";"))
        assert load(path, target="y").X.shape[1] == 2
        assert read_column(path, "a.csv", "b")[1] == 1.234


@pytest.mark.parametrize("rows", [None, 30])
def test_blanks_around_text_and_numbers(tmp_path, rows):
    answers = ["yes", "yes ", "  no", "no\t"] * (N // 4)
    gaps = ["1.5", " nan ", "2", " 3 "] * (N // 4)
    path = _file(tmp_path, "a,b,y\n" + _lines(A, gaps, answers))
    data = load(path, missing="mean", rows=rows)
    assert data.classes == ("no", "yes")
    assert data.X.shape[1] == 2
    assert "missing values filled with the column's mean: b" in "\n".join(data.notes)
    column = read_column(path, "a.csv", "b")
    np.testing.assert_array_equal(column[:4], [1.5, np.nan, 2, 3])


@pytest.mark.parametrize("text", ["a,b\0,y\n1,2,3\n4,5,6\n", "a,b,y\n1,2\0,3\n4,5,6\n"])
def test_characters_that_no_text_has(tmp_path, text):
    with pytest.raises(InputError, match="holds characters with the code 0; expected text: save it as UTF-8"):
        load(_file(tmp_path, text))
    (tmp_path / "wide.csv").write_bytes(text.encode("utf-16-le"))
    with pytest.raises(InputError, match="holds characters with the code 0"):
        load(tmp_path / "wide.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["size, m", "size; m", "size\nm", 'the "size"', "größe"])
def test_names_in_quotes(tmp_path, separator, name):
    quoted = name.replace('"', '""')
    text = f'"{quoted}"{separator}b{separator}y\n' + _lines(A, B, Y, separator=separator)
    path = _file(tmp_path, text)
    _same(load(path), _expected(tmp_path, a=A, b=B, y=Y))
    np.testing.assert_array_equal(read_column(path, "a.csv", name), A)
    assert load(path, rows=30).X.shape == (30, 2)


def test_integers_beside_gaps_keep_their_digits(tmp_path):
    large = [10**18 + 1, 10**18 + 2, 10**18 + 3] * 20
    with_gap = [*large[:-1], None]
    table = pd.DataFrame({"a": A, "y": pd.Series(with_gap, dtype="Int64")})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    for file in ("a.csv", "a.parquet"):
        names = load(tmp_path / file, missing="drop").classes
        assert names == ("1000000000000000001", "1000000000000000002", "1000000000000000003")
        column = read_column(tmp_path / file, file, "y")
        assert column[:2].tolist() == large[:2]
        assert pd.isna(column[-1])


def test_booleans_beside_gaps_stay_booleans(tmp_path):
    table = pd.DataFrame({"a": A, "y": pd.Series([True, False, None] * 20, dtype="boolean")})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    for file in ("a.csv", "a.parquet"):
        assert load(tmp_path / file, missing="drop").classes == ("False", "True")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,y\n", "has 0 rows"),
        ('a,y\n1,"2\n3,4\n', "cannot be read as a CSV table"),
        ("a,y\n" + _lines(A, Y) + "x\0,1\n", "holds characters with the code 0"),
        (
            "# made by hand\na,y\n1,2\n3,4\n",
            "expected inputs and a target",
        ),
    ],
)
def test_broken_files(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        load(_file(tmp_path, text))


def test_the_same_rows_with_and_without_drawing(tmp_path):
    comma = [str(one).replace(".", ",") for one in A]
    path = _file(tmp_path, "colour;a;b;y\n" + _lines(COLOURS, comma, B, Y, separator=";"))
    drawn = load(path, rows=30)
    part = pd.DataFrame({"colour": COLOURS, "a": A, "b": B, "y": Y}).iloc[drawn.rows]
    part.to_csv(tmp_path / "part.csv", index=False)
    np.testing.assert_array_equal(drawn.X, load(tmp_path / "part.csv").X)


@pytest.mark.parametrize("rows", [None, 30])
@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["0", "1", "2"] * 19 + ["0", "1", "?"], r"\?"),
        (["0%", "10%", "20%"] * 20, "0%"),
        (["$0", "$10", "$20"] * 20, r"\$0"),
        (['"1,000"', '"2,000"', '"3,000"'] * 20, "1,000"),
    ],
)
def test_a_target_of_numbers_with_signs_or_a_stray_cell(tmp_path, cells, shown, rows):
    path = _file(tmp_path, "a,b,y\n" + _lines(A, B, cells))
    with pytest.raises(InputError, match=f"holds numbers written as text, as in '{shown}'"):
        load(path, rows=rows)


@pytest.mark.parametrize("rows", [None, 20])
def test_views_of_text_in_parquet(tmp_path, rows):
    table = pa.table({"a": A, "b": pa.array(COLOURS, pa.string_view()), "y": Y})
    parquet.write_table(table, tmp_path / "a.parquet")
    expected = pa.table({"a": A, "b": pa.array(COLOURS), "y": Y})
    parquet.write_table(expected, tmp_path / "b.parquet")
    _same(load(tmp_path / "a.parquet", rows=rows), load(tmp_path / "b.parquet", rows=rows))


def test_a_gap_beside_decimal_commas_stays_in_its_row(tmp_path):
    comma = [str(one).replace(".", ",") for one in A]
    comma[7] = ""
    path = _file(tmp_path, "y;a;b\n" + _lines(Y, comma, B, separator=";"))
    np.testing.assert_array_equal(read_column(path, "a.csv", "a"), np.where(np.arange(N) == 7, np.nan, A))


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("NA,2.5,0\n", (A, B, Y)),
        ("?,2.5,0\n", (["?", *A[1:]], B, Y)),
        ("0,1\n", (np.arange(N) % 3, Y)),
        ("paris,yes\n", (["paris", "rome"] * 30, ["yes", "no"] * 30)),
    ],
)
def test_first_rows_that_are_data(tmp_path, first, columns):
    path = _file(tmp_path, first + _lines(*columns))
    assert len(read_column(path, "a.csv", "1")) == N + 1


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("0,1\n", (np.arange(N) % 3 + 2, Y)),
        ("0,1,2\n", (np.arange(N) % 3 + 2, Y, Y)),
        ("paris,red,yes\n", ([f"rome{i}" for i in range(N)], COLOURS, ["yes", "no"] * 30)),
    ],
)
def test_first_rows_that_may_be_names_or_data(tmp_path, first, columns):
    with pytest.raises(InputError, match="may be names or data; expected names"):
        load(_file(tmp_path, first + _lines(*columns)))


def test_counted_names_of_many_columns(tmp_path):
    path = _file(tmp_path, "0,1,2,3\n" + _lines(Y + 1, Y, Y, Y))
    assert len(read_column(path, "a.csv", "3")) == N


def test_row_names_are_noted_and_numbers_are_none(tmp_path):
    rows = _lines([f"r{i}" for i in range(N)], A, B, Y)
    assert (
        "the first column has no name and was taken for the rows' names: not used"
        in load(_file(tmp_path, "a,b,y\n" + rows)).notes
    )
    with pytest.raises(InputError, match=r"a row of 4 cells, .* and a header of 3"):
        load(_file(tmp_path, "a,b,y\n" + _lines(B, A, B, Y)))


@pytest.mark.parametrize("rows", [None, 18])
def test_large_floats_beside_gaps(tmp_path, rows):
    cells = ["" if i == 4 else i * 0.5 if i < 15 else f"{i}e17" for i in range(N)]
    data = load(_file(tmp_path, "a,y\n" + _lines(A, cells)), missing="drop", rows=rows)
    assert data.classes == ()
    names = _lines([f"r{i}" for i in range(N)], A, ["", *[10**18 + i % 3 for i in range(1, N)]])
    data = load(_file(tmp_path, "a,y\n" + names), missing="drop", rows=rows)
    assert data.classes == tuple(str(10**18 + i) for i in range(3))


@pytest.mark.parametrize("rows", [None, 40])
def test_unsigned_integers_beside_gaps(tmp_path, rows):
    cells = ["", *[2**63 + i % 3 for i in range(1, N)]]
    data = load(_file(tmp_path, "a,y\n" + _lines(A, cells)), missing="drop", rows=rows)
    assert data.classes == tuple(str(2**63 + i) for i in range(3))


def test_no_header_and_decimal_commas(tmp_path):
    path = _file(tmp_path, "".join(f"{i},5;{i * i},25;{i % 2}\n" for i in range(N)))
    np.testing.assert_array_equal(read_column(path, "a.csv", "1"), np.arange(N) ** 2 + 0.25)
    assert load(path).classes == ("0", "1")


@pytest.mark.parametrize("rows", [None, 40])
@pytest.mark.parametrize("marker", ["?", "-", "unknown", "#VALUE!", "<5"])
def test_markers_among_numbers(tmp_path, marker, rows):
    cells = [i % 10 + 1 if i % 3 else marker for i in range(N)]
    path = _file(tmp_path, "a,b,y\n" + _lines(A, cells, Y))
    for target in ("y", "b"):
        with pytest.raises(
            InputError, match=r"column 'b' of .* holds numbers and '.*'; expected numbers only"
        ):
            load(path, target=target, rows=rows)
    few = [i % 3 + 1 if i % 4 else marker for i in range(N)]
    assert load(_file(tmp_path, "a,b,y\n" + _lines(A, few, Y))).X.shape == (N, 5)


@pytest.mark.parametrize("cell", ["({})", "{}-", "0x{}", "1.{}D+01", "{}%"])
def test_numbers_in_another_notation(tmp_path, cell):
    path = _file(tmp_path, "a,b,y\n" + _lines(A, [cell.format(i % 9) for i in range(N)], Y))
    with pytest.raises(InputError, match="holds numbers written as text"):
        load(path, target="y")


def test_a_minus_of_a_word_processor(tmp_path):
    path = _file(tmp_path, "a,b\n" + _lines([str(one).replace("-", "−") for one in A], Y))
    np.testing.assert_array_equal(read_column(path, "a.csv", "a"), A)


def test_two_spellings_of_a_number(tmp_path):
    path = _file(tmp_path, "a,y\n" + _lines(A, ["01", "1", "02"] * 20))
    with pytest.raises(InputError, match="holds '01' and '1', which are one number"):
        load(path)
    padded = _file(tmp_path, "a,y\n" + _lines(A, ["01", "03", "02"] * 20))
    assert load(padded).classes == ("1", "2", "3")


def test_integers_beyond_63_bits_beside_others(tmp_path):
    large = [2**64 - 1 - i for i in range(N)]
    data = load(_file(tmp_path, "a,b,y\n" + _lines(large, range(N), Y)))
    np.testing.assert_allclose(data.X[:, 0], -data.X[:, 1], rtol=1e-12)


@pytest.mark.parametrize("rows", [None, 20])
def test_row_numbers_that_were_written_twice(tmp_path, rows):
    table = pd.DataFrame({"a": A, "y": Y})
    for header in (",,a,y", ",Unnamed: 0,a,y", "Unnamed: 0.1,Unnamed: 0,a,y"):
        path = _file(tmp_path, f"{header}\n" + _lines(range(N), range(N), A, Y))
        data = load(path, rows=rows)
        assert data.X.shape[1] == 1
        assert "the first columns have no names and look like row numbers: dropped" in data.notes
    table.insert(0, "", range(N))
    table.to_parquet(tmp_path / "a.parquet", index=False)
    assert load(tmp_path / "a.parquet", rows=rows).X.shape[1] == 1
