"""Tables of wafers: what is read, what is refused and in which words, and the flags of junctions that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.junctions import wafer
from solvable.junctions.wafer_table import as_table, design_codes, flag, out_of_range, read_csv, select_wafer

HEAD = "chip,junction,w1_um,w2_um,R_ohm"
GOOD = ("A,1,0.2,0.2,8000", "A,2,0.2,0.2,8100", "B,1,0.2,0.2,8200")


def written(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "wafer.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def columns(**changes: Any) -> dict[str, Any]:
    table = {"chip": list("AABB"), "w1_um": 0.2, "w2_um": 0.2, "R_ohm": [8000.0, 8100.0, 8200.0, 8300.0]}
    return {key: value for key, value in (table | changes).items() if value is not None}


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, *GOOD))
    assert table.R_ohm.tolist() == [8000, 8100, 8200]
    assert table.chip.tolist() == ["A", "A", "B"]
    assert table.junction.tolist() == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("separator", "decimal"),
    [(";", "."), (";", ","), ("\t", ".")],
    ids=["semicolon", "comma decimals", "tab"],
)
def test_semicolons_tabs_and_decimal_commas_are_read(tmp_path: Path, separator: str, decimal: str) -> None:
    lines = [
        line.replace(",", separator).replace(".", decimal) for line in (HEAD, *GOOD, "B,2,0.2,0.28,8000.5")
    ]
    table = read_csv(written(tmp_path, *lines[1:], head=lines[0]))
    assert table.R_ohm.tolist() == [8000, 8100, 8200, 8000.5]
    assert table.w2_um.tolist() == [0.2, 0.2, 0.2, 0.28]


def test_decimal_commas_stay_numbers_beside_words_for_open_junctions(tmp_path: Path) -> None:
    rows = (*GOOD, "B,2,0.2,0.2,8200.5", "B,3,0.2,0.2,OL")
    lines = [line.replace(",", ";").replace(".", ",") for line in (HEAD, *rows)]
    table = read_csv(written(tmp_path, *lines[1:], head=lines[0]))
    assert table.R_ohm.tolist() == [8000, 8100, 8200, 8200.5, np.inf]


@pytest.mark.parametrize(("unit", "factor"), [("R_ohm", 1.0), ("R_kohm", 1e3), ("R_Mohm", 1e6)])
def test_the_unit_is_that_of_the_column(unit: str, factor: float) -> None:
    table = as_table(columns(**({"R_ohm": None} | {unit: [8.1, 8.2, 8.3, 8.4]})))
    np.testing.assert_allclose(table.R_ohm, factor * np.array([8.1, 8.2, 8.3, 8.4]), rtol=1e-15)
    assert list(table.columns).count("R_ohm") == 1
    assert "R_kohm" not in table


@pytest.mark.parametrize("word", ["OL", "ol", "O.L", "Overload", "inf", "open", " OL "])
def test_words_of_meters_are_open_junctions(tmp_path: Path, word: str) -> None:
    table = read_csv(written(tmp_path, *GOOD, f"B,2,0.2,0.2,{word}"))
    assert np.isinf(table.R_ohm.iloc[-1])
    assert flag(table).flag.tolist() == ["ok", "ok", "ok", "open"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", "invalid"), ("NaN", "invalid"), ("-", "invalid"), ("-5", "invalid"), ("0", "short")],
)
def test_gaps_negative_values_and_zero_are_no_junctions(tmp_path: Path, value: str, expected: str) -> None:
    table = flag(read_csv(written(tmp_path, *GOOD, f"B,2,0.2,0.2,{value}")))
    assert table.flag.tolist() == ["ok", "ok", "ok", expected]


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        (GOOD, HEAD.replace("chip", "die"), "has no column chip; it has die, junction"),
        (GOOD, HEAD.replace("w1_um", "w1"), "has no column w1_um"),
        (GOOD, HEAD.replace("R_ohm", "R"), r"has no column R_ohm \(or R_kohm, R_Mohm\); .* rename or add it"),
        ([f"{g},8" for g in GOOD], HEAD + ",R_kohm", "resistances in R_ohm and R_kohm; expected one unit"),
        (
            (*GOOD, 'B,2,0.2,0.2,"8,100"'),
            HEAD,
            "R_ohm of .* is '8,100' in row 4 of the data; expected a plain number",
        ),
        ((*GOOD, "B,2,0.2,0.2,8 100"), HEAD, "'8 100' in row 4 of the data; .*without spaces or units"),
        ((*GOOD, "B,2,0.2,0.2,8.1k"), HEAD, "'8.1k' in row 4"),
        (
            (*GOOD, "B,2,0,0.2,8000"),
            HEAD,
            "w1_um of .* in row 4 of the data; expected a width above 0, in µm",
        ),
        ((*GOOD, "B,2,0.2,-0.2,8000"), HEAD, "w2_um of .* in row 4 of the data; expected a width above 0"),
        ((*GOOD, "B,2,,0.2,8000"), HEAD, "w1_um of .* in row 4 of the data; expected a number in um"),
        (
            (*GOOD, "B,2,wide,0.2,8000"),
            HEAD,
            "w1_um of .* is 'wide' in row 4 of the data; expected a number in um",
        ),
        ((*GOOD, ",2,0.2,0.2,8000"), HEAD, "chip of .* is empty in row 4 of the data; expected a name"),
        ((*GOOD, GOOD[0]), HEAD, "has junction '1' of chip 'A' twice, again in row 4; .*ageing"),
        (
            [f"{g},03/02/2026" for g in GOOD],
            HEAD + ",date",
            "date of .* '03/02/2026' in row 1 of the data; expected ISO 8601",
        ),
        (
            (GOOD[0] + ",2026-03-02", GOOD[1] + ",2.3.2026"),
            HEAD + ",date",
            "'2.3.2026' in row 2 of the data; expected ISO 8601",
        ),
        (
            (GOOD[0] + ",2026-03-02T10:00+01:00", GOOD[1] + ",2026-03-02T10:00+00:00"),
            HEAD + ",date",
            "mixes time zones; expected the same zone",
        ),
        (
            (GOOD[0] + ",2026-03-02T10:00", GOOD[1] + ",2026-03-02T10:00Z"),
            HEAD + ",date",
            "mixes time zones; expected the same zone",
        ),
        (
            (GOOD[0] + ",1,2", GOOD[1] + ",1,3"),
            HEAD + ",chip_x_mm,chip_y_mm",
            "chip 'A' of .* has two places",
        ),
        (
            (GOOD[0] + ",1", GOOD[1] + ",1"),
            HEAD + ",chip_x_mm",
            "column chip_x_mm and no chip_y_mm; expected both",
        ),
        ((GOOD[0] + ",1", GOOD[1] + ",1"), HEAD + ",y_um", "column y_um and no x_um; expected both, or none"),
        (
            (GOOD[0] + ",1,", GOOD[1] + ",1,2"),
            HEAD + ",chip_x_mm,chip_y_mm",
            "chip_y_mm of .* in row 1 of the data; .* in mm",
        ),
        ((), HEAD, "has no rows; expected one per junction"),
        (GOOD, HEAD.replace("junction", "chip"), "more than one column 'chip'"),
    ],
)
def test_bad_files_are_refused_by_a_sentence_with_row_and_column(
    tmp_path: Path, rows: Any, head: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_csv(written(tmp_path, *rows, head=head))


@pytest.mark.parametrize("few", [8.0, 8.0e6])
def test_ohm_and_kohm_in_one_column_are_refused(few: float) -> None:
    R = np.append(8000 + np.arange(20.0), few * (1 + np.arange(5) / 100))
    table = {"chip": ["A"] * 20 + ["B"] * 5, "w1_um": 0.2, "w2_um": 0.2, "R_ohm": R}
    side = "below" if few < 8000 else "above"
    with pytest.raises(
        InputError, match=f"has 5 values about 1000 times {side} .* in row 21: ohm and kohm are mixed"
    ):
        as_table(table)
    # Two of many are shorts or opens.
    kept = {key: value[:22] if key in ("chip", "R_ohm") else value for key, value in table.items()}
    assert flag(as_table(kept)).flag.value_counts().to_dict() == {
        "ok": 20,
        "short" if few < 8000 else "open": 2,
    }


def test_designs_of_different_size_are_no_mixed_units() -> None:
    table = {"chip": "A", "w1_um": [0.1] * 9 + [3.2] * 9, "w2_um": [0.1] * 9 + [3.2] * 9}
    assert len(as_table(table | {"R_ohm": [32e3] * 9 + [31.0] * 9})) == 18


@pytest.mark.parametrize("bad", [3, "wafer", [1, 2]])
def test_things_that_are_no_tables_are_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"expected a pandas table|has no column chip"):
        as_table(bad)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*none\.csv"):
        read_csv(tmp_path / "none.csv")


def test_columns_twice_in_pandas_are_refused() -> None:
    frame = pd.DataFrame(columns())
    with pytest.raises(InputError, match="two columns 'chip'; expected unique names"):
        as_table(pd.concat([frame, frame[["chip"]]], axis=1))


def test_pandas_with_any_index_and_xarray_give_the_same_table() -> None:
    plain = as_table(columns())
    frame = pd.DataFrame(columns(), index=[7, 3, 3, 1])
    pd.testing.assert_frame_equal(as_table(frame), plain)
    dataset = xr.Dataset.from_dataframe(pd.DataFrame(columns()))
    pd.testing.assert_frame_equal(as_table(dataset).filter(plain.columns), plain, check_dtype=False)
    pd.testing.assert_frame_equal(as_table(plain), plain, check_like=True)


def test_the_table_that_was_passed_stays_as_it_was() -> None:
    frame = pd.DataFrame(columns(R_ohm=None, R_kohm=[8, "OL", 0, ""]))
    before = frame.copy(deep=True)
    as_table(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_numbers_as_names_and_missing_names_of_junctions() -> None:
    table = as_table(columns(chip=[1.0, 1.0, 2.0, 2.0]))
    assert table.chip.tolist() == ["1", "1", "2", "2"]
    # Without names the junctions of a chip are numbered.
    assert table.junction.tolist() == ["1", "2", "1", "2"]


def test_one_wafer_of_several() -> None:
    table = as_table(columns(chip=list("AAAA"), wafer=list("vvww"), junction=list("1212")))
    assert select_wafer(table, "w").R_ohm.tolist() == [8200, 8300]
    with pytest.raises(InputError, match=r"has 2 wafers \(v, w\); choose one"):
        select_wafer(table)
    with pytest.raises(InputError, match="unknown wafer 'x'; expected one of v, w"):
        select_wafer(table, "x")
    plain = as_table(columns())
    assert select_wafer(plain) is plain
    with pytest.raises(InputError, match="no column wafer; leave it out"):
        select_wafer(plain, "v")


def test_unnamed_junctions_are_numbered_by_wafer_and_chip() -> None:
    table = as_table(columns(chip=list("AAAA"), wafer=list("vvww")))
    assert table.junction.tolist() == ["1", "2", "1", "2"]


def test_all_opens_and_shorts_of_3600_junctions_are_found_and_no_other() -> None:
    rng = np.random.default_rng(0)
    z = np.log(8000) + 0.037 * rng.standard_normal(3600)
    bad = rng.permutation(3600)[:36]
    z[bad[:18]] += np.log(10) * rng.uniform(1.5, 4, 18)
    z[bad[18:]] -= np.log(10) * rng.uniform(1.5, 3, 18)
    assert z.std() > 0.4
    table = flag(
        as_table({"chip": [str(i) for i in range(3600)], "w1_um": 0.2, "w2_um": 0.2, "R_ohm": np.exp(z)})
    )
    assert set(np.flatnonzero(table.flag == "open")) == set(bad[:18])
    assert set(np.flatnonzero(table.flag == "short")) == set(bad[18:])
    assert (table.flag == "ok").sum() == 3564
    assert z[table.flag == "ok"].std() == pytest.approx(0.037, abs=0.001)


def test_outliers_are_those_beyond_five_robust_deviations_of_the_rest() -> None:
    # Deviations of -2 to 2 % have a median absolute value of 1 %, so that the bound is 7.41 %.
    z = np.array([-0.02, -0.01, 0, 0.01, 0.02] * 20 + [0.0735, 0.0747, -0.0747, 1.0, 1.2, -1.2])
    table = as_table(
        {"chip": [str(i) for i in range(106)], "w1_um": 0.2, "w2_um": 0.2, "R_ohm": 8e3 * np.exp(z)}
    )
    assert flag(table).flag[100:].tolist() == ["ok", "outlier", "outlier", "outlier", "open", "short"]
    assert (flag(table).flag[:100] == "ok").all()


def test_a_meter_of_few_digits_flags_nothing_by_its_median_deviation_of_zero() -> None:
    R = [8000.0] * 20 + [8100.0] * 3 + [30000.0, 1000.0]
    table = as_table({"chip": [str(i) for i in range(25)], "w1_um": 0.2, "w2_um": 0.2, "R_ohm": R})
    assert flag(table).flag.tolist() == ["ok"] * 23 + ["open", "short"]


def test_designs_are_flagged_by_themselves_and_no_median_is_needed_of_one_without() -> None:
    table = as_table(columns(w2_um=[0.2, 0.2, 0.4, 0.4], R_ohm=[8000, 8100, np.nan, 0.0]))
    assert flag(table).flag.tolist() == ["ok", "ok", "invalid", "short"]
    codes, pairs = design_codes(table)
    assert codes.tolist() == [0, 0, 1, 1]
    assert pairs.tolist() == [[0.2, 0.2], [0.2, 0.4]]


def test_widths_that_differ_by_rounding_are_one_design_and_transposed_ones_are_two() -> None:
    codes, pairs = design_codes(as_table(columns(w1_um=[0.3, 0.1 * 3, 0.2, 0.3], w2_um=[0.2, 0.2, 0.3, 0.2])))
    assert codes.tolist() == [1, 1, 0, 1]
    assert pairs.tolist() == [[0.2, 0.3], [0.3, 0.2]]


def test_implausible_medians_are_noted() -> None:
    pairs = np.array([[0.2, 0.2], [0.1, 0.4]])
    assert out_of_range(pairs, np.array([8000.0, np.nan])) is None
    note = out_of_range(pairs, np.array([8000.0, 8.0]))
    assert note == "the median of 0.1 x 0.4 µm is 8 ohm, outside of 100 ohm to 1 Mohm: check the unit"


def test_a_report_notes_the_implausible_median() -> None:
    table = wafer.synthetic_wafer(0, n_chips=6, per_design=3, designs=[[0.2, 0.2], [0.1, 0.4]]).table
    noted = wafer.report(table.assign(R_ohm=table.R_ohm / 1e3)).notes
    assert any("outside of 100 ohm to 1 Mohm" in note for note in noted)
