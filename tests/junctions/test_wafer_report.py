"""Reports on wafers: the truth of synthetic ones, a letter read back from the map, the sentences, missing columns."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.junctions import transmon, wafer
from solvable.junctions.synthetic import chip_centres, synthetic_wafer
from solvable.junctions.wafer_words import facts_of
from solvable.lab.parameters import as_json

LETTER = [
    "..........................",
    ".########################.",
    ".########################.",
    ".###......................",
    ".###......................",
    ".###......................",
    ".###############..........",
    ".###############..........",
    ".###......................",
    ".###......................",
    ".###......................",
    "..........................",
]


@pytest.fixture(scope="module")
def standard() -> Any:
    made = synthetic_wafer(0)
    return wafer.report(made.table), made.truth, made.table


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def lettered(seed: int) -> tuple[pd.DataFrame, str]:
    """Return a wafer with a letter of junctions of 15 % more resistance, and the map that shows it.

    Of 44 chips with 6 x 6 junctions, 5/6 mm apart throughout, of four interleaved designs, under a strong map.
    """
    rng = np.random.default_rng(seed)
    rows, picture = [], np.full((48, 48), " ")
    for chip, (X, Y) in enumerate(chip_centres(44)):
        for place in range(36):
            i, j = place % 6, place // 6
            column, row = round((X + 17.5) / 5) * 6 + i, 47 - (round((Y + 17.5) / 5) * 6 + j)
            top, left = row - 18, column - 11
            inside = 0 <= top < len(LETTER) and 0 <= left < len(LETTER[0])
            picture[row, column] = LETTER[top][left] if inside else "."
            w1, w2 = [(0.1, 0.2), (0.2, 0.1), (0.2, 0.2), (0.3, 0.1)][(i + 2 * j) % 4]
            x_um, y_um = ((i - 2.5) * 5000 / 6, (j - 2.5) * 5000 / 6)
            x, y = X + x_um / 1e3, Y + y_um / 1e3
            z = np.log(320 / (w1 * w2)) + 9e-3 * x - 6e-3 * y + 3.5e-4 * (x**2 + y**2)
            z += 0.01 * rng.standard_normal() + 0.15 * (picture[row, column] == "#")
            rows.append((f"C{chip}", X, Y, f"J{place}", x_um, y_um, w1, w2, np.exp(z)))
    names = ["chip", "chip_x_mm", "chip_y_mm", "junction", "x_um", "y_um", "w1_um", "w2_um", "R_ohm"]
    table = pd.DataFrame(rows, columns=pd.Index(names)).sample(frac=1, random_state=seed)
    return table, "\n".join("".join(line).rstrip() for line in picture)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_letter_under_a_strong_map_is_read_back_exactly(seed: int) -> None:
    table, picture = lettered(seed)
    report = wafer.report(table)
    assert report.text_map() == picture
    assert picture.count("#") == "".join(LETTER).count("#")
    # Places in whole micrometres, as a file may have them, give the same picture.
    rounded = table.assign(x_um=table.x_um.round(), y_um=table.y_um.round())
    assert wafer.report(rounded).text_map() == picture


def test_the_map_has_spaces_for_junctions_that_are_none_and_north_is_up() -> None:
    table, picture = lettered(0)
    north = (table.chip_y_mm == 17.5) & (table.y_um > 2000) & (table.chip_x_mm == -2.5)
    broken = table.index[north & (table.x_um < -1000)]
    table.loc[broken, "R_ohm"] = [0.0, np.inf]
    lines = wafer.report(table).text_map().split("\n")
    expected = picture.split("\n")
    column = int((-2.5 + 17.5) / 5) * 6
    assert lines[0] == expected[0][:column] + "  " + expected[0][column + 2 :]
    assert lines[1:] == expected[1:]


def test_truth_of_the_standard_wafer_is_found(standard: Any) -> None:
    report, truth, table = standard
    made = pd.Series(truth["flag"])
    assert report.counts["open"] == (made == "open").sum()
    assert report.counts["short"] == (made == "short").sum()
    assert sum(report.counts.values()) == 4000
    assert (report.junctions.flag[made == "ok"] == "ok").all()
    assert report.notes == ()
    for value, error, true in (
        (
            np.log(report.widths.rho_ohm_um2),
            report.widths.errors[0] + 0.006,
            np.log(320),
        ),  # the map has a mean
        (report.map.gradient_x_per_mm, report.map.errors[0], 2e-3),
        (report.map.gradient_y_per_mm, report.map.errors[1], -1e-3),
        (report.map.curvature_per_mm2, report.map.errors[2], -2e-5),
    ):
        assert abs(value - true) < 3 * error
    share = report.model.area_share(0.19, 0.17)
    area = 9e-6 * (0.19**-2 + 0.17**-2)
    assert share.low < area / (area + 1e-5 / 0.19 / 0.17 + 4e-6) < share.high
    # One design by hand.
    one = table[(table.w1_um == 0.2) & (table.w2_um == 0.14) & (made == "ok")]
    row = report.designs[(report.designs.w1_um == 0.2) & (report.designs.w2_um == 0.14)].iloc[0]
    assert row.R_ohm == one.R_ohm.median()
    assert (row.n, row.n_ok) == (160, len(one))
    # Chips have equal weight in neither, so that the plain deviation differs by little.
    assert row.wafer_sd == pytest.approx(np.log(one.R_ohm).std(), rel=0.03)
    on_chip = np.sqrt(one.groupby("chip").R_ohm.agg(lambda R: np.log(R).var()).mean())
    assert row.on_chip_sd == pytest.approx(on_chip, rel=0.1)


@pytest.mark.parametrize("wafers", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_biases_within_half_a_nanometre_and_components_over_seeds(wafers: int) -> None:
    found, gradients = [], []
    for seed in range(100, 100 + wafers):
        report = wafer.report(synthetic_wafer(seed).table)
        assert report.widths is not None
        assert report.map is not None
        assert report.widths.bias1_um == pytest.approx(-0.010, abs=5e-4)
        assert report.widths.bias2_um == pytest.approx(-0.030, abs=5e-4)
        found.append((report.widths.rho_ohm_um2, 1e3 * report.widths.bias1_um, 1e3 * report.widths.bias2_um))
        gradients.append(report.map[:3])
    rho, one, two = np.transpose(found)
    # The map lowers ln R by 0.5 % in the mean; chips of 2 % give 0.3 % per wafer.
    assert rho.mean() == pytest.approx(318.4, abs=3 * 0.0043 * 318 / np.sqrt(wafers))
    assert one.mean() == pytest.approx(-10, abs=3 * 0.2 / np.sqrt(wafers))
    # Errors of 3 nm raise the mean of 1 / width as a width less by (3 nm)² / (2 w) does: 0.06 nm at 70 nm.
    assert two.mean() == pytest.approx(-30.06, abs=3 * 0.2 / np.sqrt(wafers))
    np.testing.assert_allclose(np.mean(gradients, 0), [2e-3, -1e-3, -2e-5], atol=0, rtol=4 / np.sqrt(wafers))


def test_a_wafer_with_two_thirds_of_its_rows_missing_gives_the_same() -> None:
    made = synthetic_wafer(3)
    # Unequal numbers by chip and design: a quarter of some chips, all of others.
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.1, 0.6, 40)[pd.factorize(made.table.chip)[0]] * np.where(
        made.table.w1_um > 0.15, 1.5, 0.7
    )
    report = wafer.report(made.table[rng.uniform(size=4000) < chance])
    assert report.widths is not None
    assert report.components is not None
    assert report.widths.bias1_um == pytest.approx(-0.010, abs=1.2e-3)
    assert report.widths.bias2_um == pytest.approx(-0.030, abs=1.2e-3)
    assert report.components.among_chips.low < np.hypot(0.02, 0.0225) < report.components.among_chips.high
    assert report.chips.n.nunique() > 10


def test_spreads_of_a_wafer_without_designs_are_those_of_the_components() -> None:
    rng = np.random.default_rng(0)
    chip = np.repeat(np.arange(40), 90)
    u = 0.0253 * rng.standard_normal(40)[chip] + 0.027 * rng.standard_normal(3600)
    R = 8000 * np.exp(u)
    w = np.tile([[0.2, 0.2], [0.1, 0.4]], (1800, 1))
    report = wafer.report({"chip": chip, "w1_um": w[:, 0], "w2_um": w[:, 1], "R_ohm": R})
    assert report.components is not None
    chips = u.reshape(40, 90).std(axis=1, ddof=1)
    assert report.on_chip_sd == pytest.approx(chips.mean() * (1 + 1 / 4 / 89), rel=2e-3)
    assert report.on_chip_rms == pytest.approx(np.sqrt(np.square(chips).mean()), rel=2e-3)
    assert report.components.on_chip.sd == pytest.approx(report.on_chip_rms, rel=2e-3)
    assert report.wafer_sd == pytest.approx(u.std(), rel=2e-3)
    assert report.wafer_sd**2 == pytest.approx(0.027**2 + 0.0253**2, rel=0.2)


def areas(table: Any, widths: Any) -> np.ndarray:
    return ((table.w1_um + widths.bias1_um) * (table.w2_um + widths.bias2_um)).to_numpy()


def test_frequencies_are_those_of_the_chain_with_the_error_of_the_gap(standard: Any) -> None:
    report = standard[0]
    good = report.junctions[report.junctions.flag == "ok"].head(30)
    # 140.434 GHz kohm at 180 µeV, and 19.370 GHz fF with 50 fF/µm² of junction.
    EC = 19.370229 / (78 + 50 * areas(good, report.widths))
    f = transmon.f01(140433.95 / 1.1385 / good.R_ohm.to_numpy(), EC)
    np.testing.assert_allclose(good.f01_GHz, f, rtol=1e-6)
    high = transmon.f01((180 + 1.96 * 5) / 180 * 140433.95 / 1.1385 / good.R_ohm.to_numpy(), EC)
    # The interval of 3 % is taken in the logarithm of f, which here is 0.1 % more.
    np.testing.assert_allclose(good.f01_high_GHz, high, rtol=1.5e-3)
    assert (good.f01_low_GHz < good.f01_GHz).all()
    assert report.junctions.f01_GHz[report.junctions.flag.isin(["open", "short"])].isna().all()


def test_intervals_of_designs_cover_new_junctions(standard: Any) -> None:
    report = standard[0]
    new = synthetic_wafer(0, open_share=0, short_share=0).table
    merged = new.merge(report.designs, on=["w1_um", "w2_um"], suffixes=("", "_design"))
    EC = 19.370229 / (78 + 50 * areas(merged, report.widths))
    f = transmon.f01(140433.95 / 1.1385 / merged.R_ohm.to_numpy(), EC)
    assert ((f > merged.f01_low_GHz) & (f < merged.f01_high_GHz)).mean() == pytest.approx(0.95, abs=0.01)


def test_the_verdict_says_what_the_report_holds(standard: Any) -> None:
    report = standard[0]
    text = flat(str(report))
    n_ok, n_open, n_short = (report.counts[one] for one in ("ok", "open", "short"))
    for sentence in (
        f"synthetic: {n_ok} of 4000 junctions are good",
        f"of the others {n_open} open, {n_short} short.",
        f"The average spread of R on a chip is {100 * report.on_chip_sd:.2f} %",
        "95 % intervals): on chip",
        "among the means of the 40 chips",
        "The widths differ from the drawn ones by -10.1 ± 0.2 nm (w1) and -30.2 ± 0.2 nm (w2).",
        "Specific resistance: 319.0 ± 1.6 ohm µm²",
        "of the variance on a chip comes from the widths (95 % interval",
        "As a share of the standard deviation that is",
        f"ln R changes by {100 * report.map.gradient_x_per_mm:+.3f}",
        "No junction stands out by more than 5 robust standard deviations",
        "frequencies assume a shunt of 78 fF and 50 fF/µm² of junction, a gap of 180 ± 5 µeV",
    ):
        assert sentence in text, sentence
    headings = ["Yield", "Spread of the resistance", "Designs", "Causes", "Map", "Residuals"]
    assert [section.heading for section in report.verdict().sections] == headings
    assert "<table>" in report._repr_html_()
    assert "0.28 x 0.28" in text


def test_standing_out_is_named_with_its_size() -> None:
    made = synthetic_wafer(1, n_chips=9, open_share=0, short_share=0).table
    row = int(made.index[(made.w1_um == 0.4) & (made.w2_um == 0.4)][5])
    made.loc[row, "R_ohm"] *= 1.25
    report = wafer.report(made)
    text = flat(str(report))
    name = f"{made.chip[row]}/{made.junction[row]}"
    (size,) = re.findall(rf"{name} \(\+(\d+) %\)", text)
    assert int(size) == pytest.approx(25, abs=6)
    assert "1 beyond 5 robust standard deviations" in text
    assert report.junctions.f01_GHz.notna().all()


def test_chips_of_low_yield_are_named() -> None:
    table = synthetic_wafer(0, n_chips=6, per_design=4, open_share=0, short_share=0).table
    table.loc[table.index[table.chip == "C04"][:40], "R_ohm"] = np.inf
    assert "Chips with the lowest yield: C04 (60 of 100)." in flat(str(wafer.report(table)))


def test_facts_are_strict_json(standard: Any) -> None:
    facts = json.loads(json.dumps(as_json(facts_of(standard[0])), allow_nan=False))
    assert facts["counts"]["ok"] == standard[0].counts["ok"]
    assert facts["share_at_um"] == [0.2, 0.2]
    assert len(facts["designs"]) == 25
    assert len(facts["chips"]) == 40


def test_order_of_rows_and_kind_of_table_do_not_matter(standard: Any) -> None:
    report, _, table = standard
    shuffled = wafer.report(table.sample(frac=1, random_state=0))
    assert shuffled.on_chip_sd == pytest.approx(report.on_chip_sd, rel=1e-9)
    assert shuffled.widths is not None
    assert shuffled.widths.bias1_um == pytest.approx(report.widths.bias1_um, rel=1e-6)
    assert shuffled.text_map() == report.text_map()
    assert str(wafer.report(xr.Dataset.from_dataframe(table))) == str(report)


def test_a_wafer_without_places_has_no_map_and_says_so(standard: Any) -> None:
    report, _, table = standard
    bare = wafer.report(table.drop(columns=["chip_x_mm", "chip_y_mm", "x_um", "y_um", "junction", "wafer"]))
    assert bare.map is None
    assert bare.components == report.components
    assert any("no columns chip_x_mm and chip_y_mm, so there is no map" in note for note in bare.notes)
    assert "Map" not in [section.heading for section in bare.verdict().sections]
    assert str(bare).startswith("the wafer: ")
    with pytest.raises(
        InputError, match="no columns chip_x_mm and chip_y_mm, so there is no map; add the places"
    ):
        bare.text_map()
    # With the places of chips alone, a chip is one place.
    chips = wafer.report(table.drop(columns=["x_um", "y_um"]))
    assert chips.text_map().replace(" ", "").replace("\n", "").count(".") == 40


def test_a_wafer_of_one_chip_has_no_spread_among_chips() -> None:
    report = wafer.report(synthetic_wafer(0, n_chips=1, per_design=12, open_share=0, short_share=0).table)
    assert report.components is None
    assert report.map is None
    assert "all junctions are on one chip, so nothing can be said of the spread among chips" in report.notes
    assert "among the means" not in str(report)
    # 18 junctions in a row.
    assert [len(line) for line in report.text_map().split("\n")] == [12] + [18] * 16


@pytest.mark.parametrize("per_design", [4, 12])
def test_the_spread_on_the_only_chip_is_its_pooled_spread(per_design: int) -> None:
    made = synthetic_wafer(0, n_chips=1, per_design=per_design, open_share=0, short_share=0)
    report = wafer.report(made.table)
    assert report.on_chip_sd == pytest.approx(report.on_chip_rms, rel=0.01)


def test_a_wafer_of_squares_says_why_the_cause_is_unknown() -> None:
    squares = [[0.1, 0.1], [0.2, 0.2], [0.4, 0.4]]
    made = synthetic_wafer(0, n_chips=8, per_design=10, designs=squares, bias1_um=-0.02, bias2_um=-0.02)
    report = wafer.report(made.table)
    assert report.model is None
    assert report.widths is not None
    assert report.widths.common
    text = flat(str(report))
    assert (
        "The designs do not tell whether the widths or the barrier cause the spread; see the notes." in text
    )
    assert "all junctions are squares" in text
    (bias,) = re.findall(
        r"If both widths differ from the drawn ones alike, it is by (\S+) ± 0.4 nm, and the specific", text
    )
    assert float(bias) == pytest.approx(-20, abs=1.2)


@pytest.mark.parametrize("n_chips", [1, 8])
def test_a_wafer_of_one_design_is_reported_without_causes(n_chips: int) -> None:
    made = synthetic_wafer(0, n_chips=n_chips, per_design=20, designs=[[0.2, 0.2]])
    report = wafer.report(made.table)
    assert report.widths is None
    assert report.model is None
    assert "cannot tell biases of the widths" in flat(str(report))


def test_conditions_that_vary_are_compared() -> None:
    rng = np.random.default_rng(0)
    n = 400
    late = np.arange(n) % 2 == 1
    R = 8000 * np.exp(0.02 * rng.standard_normal(n) + 0.05 * late)
    w = np.array([[0.2, 0.2], [0.1, 0.4]])[rng.integers(0, 2, n)]
    table = {
        "chip": np.arange(n) // 50,
        "w1_um": w[:, 0],
        "w2_um": w[:, 1],
        "R_ohm": R,
        "date": np.where(late, "2026-04-02", "2026-03-02"),
        "storage": "air",
        "temperature_K": np.where(np.arange(n) % 4 < 2, 295.1, 300.2),
    }
    report = wafer.report(table)
    found = report.conditions.set_index(["condition", "value"])
    assert set(report.conditions.condition) == {"date", "temperature_K"}
    step = found.level["date", "2026-04-02"] - found.level["date", "2026-03-02"]
    assert step == pytest.approx(0.05, abs=0.008)
    assert found.n["date", "2026-03-02"] == 200
    assert found.error["temperature_K", "295.0"] == pytest.approx(
        np.hypot(0.02, 0.025) / np.sqrt(200), rel=0.1
    )
    text = flat(str(report))
    assert "Test conditions Mean of R relative to the wafer, by the conditions of the test" in text
    assert "date 2026-04-02 200 8 +2" in text


def test_a_few_junctions_of_a_charge_qubit_become_a_note() -> None:
    table = synthetic_wafer(0, n_chips=6, per_design=2, designs=[[0.2, 0.2], [0.05, 0.1]]).table
    report = wafer.report(table, wafer.Qubit(shunt_fF=30.0, gap_sd_eV=0.0))
    assert any("junctions have E_J / E_C below 5 with 30 fF" in note for note in report.notes)
    usable = report.junctions.flag == "ok"
    np.testing.assert_allclose(report.junctions.f01_low_GHz[usable], report.junctions.f01_GHz[usable])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"chip": list("ABC"), "R_ohm": [8e3, 8.1e3, 8.2e3]}, {}, "every chip has one good junction"),
        (
            {"chip": list("AAB"), "R_ohm": [8e3, 0, "OL"]},
            {},
            r"1 of 3 junctions are good \(1 open, 1 short\); expected at least 3",
        ),
        ({"chip": list("AAA"), "wafer": list("vww"), "R_ohm": [8e3] * 3}, {}, "has 2 wafers"),
        ({"chip": list("AAA"), "R_ohm": [8e3] * 3}, {"wafer": "v"}, "no column wafer"),
        ({"chip": list("AAA")}, {}, "has no column R_ohm"),
    ],
)
def test_refusals(table: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wafer.report({"w1_um": 0.2, "w2_um": 0.2} | table, **options)


@pytest.mark.parametrize(
    ("name", "value"), [("shunt_fF", 0.0), ("gap_eV", -1.0), ("gap_sd_eV", -1e-6), ("cold_ratio", 0.0)]
)
def test_refusals_of_qubits(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be"):
        wafer.Qubit(**{name: value})


def test_synthetic_wafers_are_made_as_told() -> None:
    made = synthetic_wafer(
        5,
        designs=[[0.2, 0.1]],
        per_design=100,
        chip_sd=0,
        curvature_per_mm2=0,
        open_share=0.01,
        short_share=0.02,
    )
    assert len(made.table) == 4000
    assert (made.truth["flag"] == "open").mean() == pytest.approx(0.01, abs=0.006)
    assert (made.truth["flag"] == "short").mean() == pytest.approx(0.02, abs=0.008)
    ok: Any = made.table[made.truth["flag"] == "ok"]
    rest = np.log(ok.R_ohm * 0.19 * 0.07 / 320) - 2e-3 * ok.chip_x_mm + 1e-3 * ok.chip_y_mm
    assert rest.std() == pytest.approx(
        np.sqrt(9e-6 * (0.19**-2 + 0.07**-2) + 1e-5 / 0.19 / 0.07 + 4e-6), rel=0.04
    )
    assert made.table.groupby("chip").junction.nunique().tolist() == [100] * 40
    assert len(made.table[["chip", "x_um", "y_um"]].drop_duplicates()) == 4000
    again = synthetic_wafer(5, designs=[[0.2, 0.1]], per_design=100, chip_sd=0, curvature_per_mm2=0)
    assert not again.table.equals(made.table)
    pd.testing.assert_frame_equal(synthetic_wafer(5).table, synthetic_wafer(5).table)
    # The chips nearest to the centre; the last ones are at the same distance.
    distance = np.hypot(*chip_centres(40).T)
    assert len(np.unique(chip_centres(40), axis=0)) == 40
    assert distance.max() == pytest.approx(17.678, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias1_um": -0.2}, "the biases leave no width"),
        ({"designs": [0.1, 0.2]}, "designs has shape"),
        ({"n_chips": 0}, "n_chips must be"),
        ({"open_share": 0.6}, "open_share must be"),
        ({"rho_ohm_um2": 0.0}, "rho_ohm_um2 must be"),
        ({"width_sd_um": -1.0}, "width_sd_um must be"),
    ],
)
def test_refusals_of_synthetic_wafers(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_wafer(0, **options)


def test_dead_chips_and_designs_are_reported() -> None:
    made = synthetic_wafer(
        0, n_chips=7, per_design=3, designs=[[0.2, 0.2], [0.1, 0.4], [0.4, 0.1], [0.1, 0.1]]
    ).table
    dead = (made.chip == "C02") | ((made.w1_um == 0.1) & (made.w2_um == 0.1))
    report = wafer.report(made.assign(R_ohm=made.R_ohm.where(~dead, np.inf)))
    text = flat(str(report))
    assert "C02 (0 of 12)" in text
    assert json.dumps(as_json(facts_of(report)), allow_nan=False).count("C02") == 1
    assert "0.1 x 0.1 0 of 21 –" in text
    assert report.map is not None
    chips = report.chips.set_index("chip")
    assert np.isnan(chips.level["C02"])
    assert chips.level.drop("C02").notna().all()
    assert report.components is not None
    assert report.components.n_chips == 6


def test_a_meter_of_few_digits_and_equal_values_are_reported() -> None:
    made = synthetic_wafer(0, n_chips=6, per_design=4, open_share=0, short_share=0).table
    coarse = wafer.report(made.assign(R_ohm=np.maximum(made.R_ohm.round(-3), 1000)))
    assert coarse.counts["open"] == coarse.counts["short"] == 0
    equal = wafer.report(made.assign(R_ohm=8000.0))
    assert equal.counts["ok"] == 600
    assert equal.on_chip_sd == pytest.approx(0, abs=1e-9)
    assert "#" not in equal.text_map()
