"""The commands `solvable junctions ...`: what they print, write, refuse, and leave alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from solvable.junctions.synthetic import synthetic_wafer


@pytest.fixture
def wafer_file(tmp_path):
    synthetic_wafer(0, n_chips=9, per_design=1).table.to_csv(tmp_path / "w.csv", index=False)
    return tmp_path / "w.csv"


def test_a_wafer_report_is_kept_and_found_again(command_line, wafer_file) -> None:
    code, out, err = command_line("junctions", "wafer-report", wafer_file, "--save", "junctions.csv")
    assert (code, err) == (0, "")
    assert "The widths differ from the drawn ones by" in out
    page = out.split("\n\nwritten")[0].rstrip().rsplit("\n", 1)[1]
    html = Path(page).read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    assert html.index("The widths differ from the drawn ones") < html.index("Accuracy of the prediction")
    assert "None" not in html
    assert Path("junctions.csv").read_text().split("\n")[0].endswith("L_J_nH,C_J_fF")
    code, out, _ = command_line("show", "latest")
    assert code == 0
    assert "solvable run junctions --data" not in out


def test_the_text_map_has_a_character_for_each_junction(command_line, wafer_file) -> None:
    code, out, _ = command_line("junctions", "wafer-report", wafer_file, "--text")
    assert code == 0
    assert set(out) <= {"#", ".", " ", "\n"}
    assert 200 < out.count(".") <= 225


def test_facts_of_a_wafer_as_json(command_line, wafer_file) -> None:
    code, out, _ = command_line("junctions", "wafer-report", wafer_file, "--json")
    facts = json.loads(out)
    assert code == 0
    assert sum(facts["counts"].values()) == 225
    assert abs(1e3 * facts["widths"]["bias2_um"] + 30) < 3


def test_frequencies_both_ways(command_line) -> None:
    _, out, _ = command_line("junctions", "f01", "--resistance-ohm", "9907.12", "--quiet")
    assert float(out) == pytest.approx(4.654957, abs=1e-6)  # the worked example, by hand
    _, out, _ = command_line("junctions", "f01", "--f01-GHz", "4.654957", "--quiet")
    assert float(out) == pytest.approx(9907.12, abs=0.01)
    _, out, _ = command_line("junctions", "f01", "--resistance-ohm", "9,907")
    assert "a resistance outside of 100 ohm to 1 Mohm" in " ".join(out.split())


def test_a_layout_leaves_a_table_of_measurements_alone(command_line, tmp_path) -> None:
    pytest.importorskip("gdstk")
    tokens = ("junctions", "gds", "t.gds", "--chips", "1", "--widths-um", "0.2", "--per-design", "2")
    code, out, _ = command_line(*tokens)
    assert code == 0
    assert "2 junctions of 1 design on 1 chips" in out
    assert (tmp_path / "t-labels.csv").read_text().startswith("wafer,chip,chip_x_mm,chip_y_mm,junction")
    (tmp_path / "t-labels.csv").write_text("measured")
    code, _, err = command_line(*tokens)
    assert code == 2
    assert "exists, and may hold measurements" in err
    assert (tmp_path / "t-labels.csv").read_text() == "measured"
    code, _, err = command_line("junctions", "gds", "u.gds", "--grid-um", "0.05")
    assert code == 2
    assert "use a finer grid_um" in err
    assert not (tmp_path / "u.gds").exists()


def test_ageing_says_what_it_assumes(command_line, tmp_path) -> None:
    days = np.array([0.4, 1, 2, 4, 8, 16, 30])
    lines = [
        f"2026-03-{2 + int(d):02d}T{int(24 * (d % 1)):02d}:00,{name},{7000 * (1 + 0.02 * np.log1p(d / 0.1)):.3f}"
        for name in ("J1", "J2")
        for d in days[:6]
    ]
    (tmp_path / "a.csv").write_text("\n".join(["date,junction,R_ohm", *lines]) + "\n")
    code, out, _ = command_line(
        "junctions", "ageing", "a.csv", "--evaporated", "2026-03-02", "--f01-GHz", "5"
    )
    text = " ".join(out.split())
    assert code == 0
    assert "evaporation was taken to be at midnight of 2026-03-02" in text
    assert "2 junctions are fitted together, by their geometric mean" in text
    assert "5 GHz becomes 4." in text


def test_collisions_of_a_lattice_of_ones_own(command_line, tmp_path) -> None:
    (tmp_path / "q.csv").write_text("qubit,f01_GHz\na,5.0\nb,5.01\nc,5.12\n")
    (tmp_path / "e.csv").write_text("a,b\na,b\nb,c\na,c\n")
    code, out, _ = command_line(
        *("junctions", "collisions", "--qubits", "q.csv", "--edges", "e.csv", "--figure", "l.svg")
    )
    assert code == 0
    assert "same frequency" in out
    assert "3 qubits: 2 collisions" in out
    assert (tmp_path / "l.svg").stat().st_size > 1000
    code, _, err = command_line("junctions", "collisions", "--qubits", "q.csv")
    assert (code, err) == (2, "error: a lattice of your own needs both --qubits and --edges\n")


def test_checks_plans_and_flows(command_line) -> None:
    code, out, _ = command_line("junctions", "pict-check", "--t1-um", "0.6", "--t2-um", "0.3")
    assert code == 0
    assert "12 of 12 checks pass, 2 of them only by the undercut" in out
    code, _, err = command_line("junctions", "pict-check", "--t1-um", "600", "--t2-um", "300")
    assert code == 2
    assert "t1_um must be above 0 and at most 20" in err
    _, out, _ = command_line("junctions", "plan")
    assert "best two, ± 0.037: 0.05 x 0.8, 0.2 x 0.2 µm" in out
    _, out, _ = command_line("junctions", "flows", "--queue-hours", "24", "--json")
    hours = {row["flow"]: row["elapsed_hours"] for row in json.loads(out)["flows"]}
    assert hours["Dolan with patch"] - hours["PICT"] == pytest.approx(65.8)
