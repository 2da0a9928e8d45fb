"""Wafers with few junctions, few chips, or designs that go with the chips: what is unknown is said to be."""

import numpy as np
import pandas as pd
import pytest

from solvable.errors import InputError
from solvable.junctions import (
    Lattice,
    ageing,
    calibrate_gap,
    evaporation,
    falcon27,
    josephson,
    transmon,
    variability,
    wafer,
)
from solvable.junctions.lattices import read_lattice
from solvable.junctions.wafer_statistics import two_way_effects, variance_components
from solvable.junctions.wafer_table import as_table, flag

PAIRS = variability.designs([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.16)


def made(rng, n_chips, per_design=1, pairs=PAIRS, on_chip=0.027, among=0.025):
    """Return a wafer of junctions with equal relative spreads."""
    drawn = np.tile(np.repeat(pairs, per_design, axis=0), (n_chips, 1))
    chip = np.repeat(np.arange(n_chips), len(pairs) * per_design)
    z = np.log(320 / drawn.prod(axis=1)) + among * rng.standard_normal(n_chips)[chip]
    z += on_chip * rng.standard_normal(len(drawn))
    return pd.DataFrame(
        {"chip": chip.astype(str), "w1_um": drawn[:, 0], "w2_um": drawn[:, 1], "R_ohm": np.exp(z)}
    )


@pytest.mark.parametrize("n_chips", [2, 4])
def test_the_spread_on_few_chips_pays_for_the_designs(n_chips: int) -> None:
    rng = np.random.default_rng(0)
    found = [wafer.report(made(rng, n_chips)).components for _ in range(20)]
    parts = [one.on_chip for one in found if one is not None]
    assert np.sqrt(np.mean([one.sd**2 for one in parts])) == pytest.approx(0.027, rel=0.05)
    covered = np.mean([one.low <= 0.027 <= one.high for one in parts])
    assert covered >= 0.8


def test_intervals_among_few_chips_cover() -> None:
    rng = np.random.default_rng(1)
    chip = np.repeat(np.arange(5), 4)
    inside, above = 0, 0
    for _ in range(600):
        u = 0.02 * rng.standard_normal(5)[chip] + 0.03 * rng.standard_normal(20)
        one = variance_components(u, chip).among_chips
        inside += one.low <= 0.02 <= one.high
        above += one.high < 0.02
    assert 0.93 < inside / 600 < 0.98
    assert above / 600 < 0.045  # the upper end by itself


def test_designs_that_go_with_the_chips_are_said_to() -> None:
    rng = np.random.default_rng(0)
    table = pd.concat(
        [
            made(rng, 1, 30, PAIRS[[k]]).assign(chip=f"C{k}", chip_x_mm=5.0 * k, chip_y_mm=float(k % 3))
            for k in range(8)
        ]
    )
    report = wafer.report(table)
    assert report.components is None
    assert report.map is None
    assert report.widths is None
    assert any("8 groups that share no design" in note for note in report.notes)
    assert report.on_chip_rms == pytest.approx(0.027, rel=0.1)


def test_effects_of_a_chain_of_chips_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    designs = np.concatenate([[k, k, k + 1, k + 1] for k in range(25)])
    chips = np.repeat(np.arange(25), 4)
    z = rng.standard_normal(100)
    of_design, of_chip = two_way_effects(z, designs, chips)
    dummies = np.concatenate([np.eye(26)[designs], np.eye(25)[chips]], axis=1)
    exact = dummies @ np.linalg.lstsq(dummies, z, rcond=None)[0]
    np.testing.assert_allclose(of_design[designs] + of_chip[chips], exact, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("n_chips", "per_design"), [(3, 1), (5, 2), (20, 4)])
def test_intervals_of_new_junctions_cover_with_few(n_chips: int, per_design: int) -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(30):
        report = wafer.report(made(rng, n_chips, per_design), wafer.Qubit(junction_fF_per_um2=0))
        new = made(rng, 40)
        merged = new.merge(report.designs, on=["w1_um", "w2_um"], suffixes=("", "_design"))
        f, _ = report.qubit.frequencies(merged.R_ohm.to_numpy(), 0.04)
        hits.append(((f > merged.f01_low_GHz) & (f < merged.f01_high_GHz)).mean())
    assert 0.91 < np.mean(hits) < 0.995


def test_conditions_of_whole_chips_differ_by_chance_only() -> None:
    rng = np.random.default_rng(0)
    apart = 0
    for _ in range(30):
        table = made(rng, 10, 4, PAIRS[:3])
        table["probe"] = np.where(table.chip.astype(int) % 2, "P1", "P2")
        one, two = wafer.report(table).conditions.itertuples()
        apart += abs(one.level - two.level) > 1.96 * np.hypot(one.error, two.error)
    assert apart < 6  # 1.5 expected; with the errors of junctions alone 20


def test_the_specific_resistance_is_as_uncertain_as_the_sample_of_chips() -> None:
    rng = np.random.default_rng(0)
    found = [wafer.report(made(rng, 20)).widths for _ in range(20)]
    ratio = [np.log(one.rho_ohm_um2 / 320) / one.errors[0] for one in found if one is not None]
    assert 0.6 < np.std(ratio) < 1.45


def test_no_spread_is_known_of_one_junction_each() -> None:
    report = wafer.report(made(np.random.default_rng(0), 1))
    assert np.isnan(report.on_chip_rms)
    assert any("no spread is known" in note for note in report.notes)
    assert "varies by – on chip" in str(report)


def test_most_of_a_design_may_be_open() -> None:
    R = [8000, 8100, 8200, 8150, *[5e7] * 6]
    flags = flag(as_table({"chip": ["A"] * 10, "w1_um": 0.2, "w2_um": 0.2, "R_ohm": R})).flag
    assert flags.tolist() == ["ok"] * 4 + ["open"] * 6


def test_yields_beyond_the_draws_are_refused() -> None:
    with pytest.raises(InputError, match=r"of which 20000 lattices see 0.02 failures"):
        falcon27().required_spread(0.999999)


@pytest.mark.parametrize("edges", [[(0, 1)], [(0, 1), (1, 2), (0, 2)]])
def test_small_lattices_have_a_layout(edges) -> None:
    n = max(map(max, edges)) + 1
    assert np.isfinite(Lattice.from_edges(edges, 5 + 0.06 * np.arange(n)).layout()).all()


def test_a_law_that_falls_to_zero_is_left_out() -> None:
    days = np.array([0.1, 0.5, 1, 2, 5, 10, 20, 40.0])
    found = ageing.fit(days, 7000 * (1 - 0.1 * days**0.45))
    table = found.table([200.0]).set_index("law")["mean"]
    assert table.isna().to_dict() == {"log": False, "stretched": True, "power": True, "average": True}
    with pytest.raises(InputError, match=r"falls to zero before day 200 by laws of weight 1.00"):
        found.predict(200.0, law="average")
    with pytest.raises(InputError, match="gives a resistance of -4484 ohm"):
        ageing.resistance("log", [365], {"R0_ohm": 7000, "A": -0.2, "tau_days": 0.1})


def test_the_scatter_of_a_calibration_with_prior_knowledge_has_its_freedom() -> None:
    R = np.array([7000.0, 8000.0, 9000.0, 10_000.0])
    f = transmon.f01(140434 / 1.1385 / R, 0.24) + np.array([0.01, -0.01, -0.01, 0.01])
    fit = calibrate_gap(R, f, 0.24, EC_sd_GHz=1e-6)
    rest = transmon.f01(140433.95 / 180 * fit.gap_eV * 1e6 / R, fit.EC_GHz) - f
    # With a prior that leaves nothing free, one unknown is fitted.
    assert fit.residual_sd_GHz == pytest.approx(np.sqrt(np.square(rest).sum() / 3), rel=1e-3)


def test_misfits_of_few_degrees_of_freedom_are_uniform() -> None:
    rng = np.random.default_rng(0)
    w1, w2 = PAIRS.T
    V = 9e-6 * (1 / w1**2 + 1 / w2**2) + 1e-5 / (w1 * w2)
    p = [
        variability.fit_variance_model(w1, w2, V * rng.chisquare(2, 25) / 2, np.full(25, 2.0)).misfit_p
        for _ in range(150)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.13


def test_equal_measured_widths_tell_nothing() -> None:
    with pytest.raises(InputError, match="of different resistances and widths"):
        variability.area_share_from_widths(np.linspace(8e3, 9e3, 20), np.full(20, 0.2), np.full(20, 0.2))


def test_files_with_decimal_commas(tmp_path) -> None:
    (tmp_path / "ageing.csv").write_text("t_days;R_kohm\n0,5;7,05\n2;7,1\n")
    readings = ageing.read_csv(tmp_path / "ageing.csv")
    assert readings.t_days.tolist() == [0.5, 2]
    assert readings.R_ohm.tolist() == [7050, 7100]
    (tmp_path / "qubits.csv").write_text("qubit;f01_GHz\na;5,0\nb;5,01\n")
    (tmp_path / "edges.csv").write_text("a;b\na;b\n")
    lattice = read_lattice(tmp_path / "qubits.csv", tmp_path / "edges.csv")
    assert lattice.edges == ((1, 0),)
    (tmp_path / "qubits.csv").write_text("qubit;f01_GHz\na;5,0\na;5,01\n")
    with pytest.raises(InputError, match="has the qubit 'a' twice"):
        read_lattice(tmp_path / "qubits.csv", tmp_path / "edges.csv")


def test_outliers_are_found_under_a_strong_map() -> None:
    rng = np.random.default_rng(0)
    table = made(rng, 49, 6, PAIRS[[12]], on_chip=0.01, among=0.0)
    chip = table.chip.astype(int)
    table["chip_x_mm"], table["chip_y_mm"] = 5.0 * (chip % 7), 5.0 * (chip // 7)
    table["R_ohm"] *= np.exp(0.01 * table.chip_x_mm)
    table.loc[100, "R_ohm"] *= 1.2
    report = wafer.report(table)
    assert report.junctions.flag[100] == "outlier"
    assert report.counts["outlier"] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transmon.f01([1, 2, 3], [0.2, 0.3]), r"do not fit together: EJ_GHz \(3,\), EC_GHz \(2,\)"),
        (
            lambda: transmon.josephson_energy_for_frequency([5, 5, 5], [0.2, 0.2]),
            "do not fit together: f01_GHz",
        ),
        (lambda: josephson.josephson_energy([1, 2], [1e-4] * 3), "do not fit together: R_n_ohm"),
        (lambda: josephson.probe_correct([8e3, 9e3], [1, 2, 3]), "do not fit together: R_meas_ohm"),
        (lambda: variability.area_variance([1, 2], [1, 2, 3], 0.1), "do not fit together: w1_um"),
        (lambda: evaporation.crossing_leak([0.2, 0.3], [0.2] * 3, 45, 0.3), "do not fit together: w1_um"),
        (lambda: falcon27().collision_free_yield(0.01, 100, -1), "random_state must be"),
        (lambda: wafer.synthetic_wafer("x"), "random_state must be"),
        (lambda: wafer.synthetic_wafer(0, gradient_x_per_mm=np.inf), "gradient_x_per_mm must be finite"),
        (lambda: Lattice.from_edges([(0, 1)], [5, 5.1], rules=None), "unknown rules None"),
    ],
)
def test_shapes_and_seeds_that_do_not_fit_are_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
