"""The commands `solvable spins ...`, and the studies' commands as reports print them."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from solvable.lab import find_record
from solvable.lab.parameters import as_json
from solvable.lab.parameters import command_line as printed_command
from solvable.spins import DonorDevice, Gate, Pulse, read_gate, robust_x90, write_gate
from solvable.spins.fidelity import X90
from solvable.spins.shapes import Windowed
from solvable.wings import load_study

SPINS = ("spins", "spins-noise", "spins-two-qubit")


@pytest.mark.parametrize("name", SPINS)
def test_the_printed_command_of_a_study_runs_it_with_the_same_parameters(command_line, name) -> None:
    study = load_study(name)
    parameters = study.tiny
    if name == "spins":
        parameters = replace(parameters, tunnel_coupling_GHz=15.0, B0_T=0.3, depth_nm=12.0)
    words = shlex.split(printed_command(name, parameters))
    if name == "spins":
        assert {"--tunnel-coupling-GHz", "--B0-T", "--depth-nm"} <= set(words)
    code, _, err = command_line(*words[1:])
    assert (code, "error" in err) == (0, False)
    assert find_record("latest", "runs").parameters == as_json(parameters)


def test_levels_of_a_device(command_line) -> None:
    code, out, _ = command_line(
        "spins", "spectrum", "--tunnel-coupling-GHz", 10, "--field-V-per-m", "0,5000", "--json"
    )
    facts = json.loads(out)
    assert code == 0
    assert facts["f_n_MHz"] == pytest.approx([32.925191, 7.097927], abs=1e-5)
    assert facts["levels_GHz"][0][4] == pytest.approx(10.00031129, abs=1e-8)
    _, text, _ = command_line(
        "spins", "spectrum", "--tunnel-coupling-GHz", 30, "--B0-T", 0.4, "--figure", "levels.svg"
    )
    assert "30 GHz, 0.4 T" in text
    assert "written: levels.svg" in text


def test_a_saved_gate_has_its_infidelity_again(command_line, tmp_path) -> None:
    code, out, _ = command_line(
        "spins", "gate", "--kind", "naive", "--target", "H", "--save", "h.csv", "--figure", "h.svg", "--json"
    )
    facts = json.loads(out)
    assert code == 0
    assert 0.05 < facts["mean_infidelity"] < 0.5
    gate = read_gate("h.csv")
    assert gate.infidelity(np.array(facts["offset_V_per_m"])) == pytest.approx(facts["infidelity"], rel=1e-4)
    code, out, _ = command_line("spins", "gate", "--pulse", "h.csv", "--quiet")
    assert float(out) == pytest.approx(facts["mean_infidelity"], rel=1e-3)
    _, out, _ = command_line("spins", "gate", "--pulse", "h.csv", "--target", "X180", "--quiet")
    assert float(out) > 0.1


def test_gates_say_what_they_withstand(command_line) -> None:
    _, naive, _ = command_line("spins", "gate", "--kind", "naive", "--sigma-V-per-m", 100, "--quiet")
    assert 0.05 < float(naive) < 0.2
    _, out, _ = command_line("spins", "gate", "--against", "amplitude", "--json")
    facts = json.loads(out)
    assert max(facts["amplitude_E_infidelity"] + facts["amplitude_B_infidelity"]) < 1e-4


def test_a_pulse_is_optimised_for_the_donor_of_its_file(command_line, tmp_path) -> None:
    device = DonorDevice(tunnel_coupling_GHz=12, B0_T=0.35)
    shape = Windowed(500.0, 0.5)
    f = device.transitions(0.0)
    nu_E, nu_B = float(f.f_ff_MHz) / 1e3, float(f.f_esr_MHz) / 1e3
    pulse = Pulse(60.0, E_c_V_per_m=shape, B_x_T=Windowed(3e-4, 0.5), nu_E_GHz=nu_E, nu_B_GHz=nu_B)
    write_gate(Gate("mine", device, pulse, X90), tmp_path / "mine.csv")
    code, out, _ = command_line(
        *("spins", "optimise", tmp_path / "mine.csv", "--n-iterations", 2, "--sigma-V-per-m", 10),
        *("--save", "better.csv", "--json"),
    )
    facts = json.loads(out)
    assert code == 0
    assert facts["device"]["tunnel_coupling_GHz"] == 12
    assert any("before and after each round" in line for line in facts["optimisation"])
    assert read_gate("better.csv").infidelity() == pytest.approx(facts["infidelity"][2], rel=1e-3)


def test_the_lab_frame_is_used_throughout(command_line) -> None:
    _, out, _ = command_line("spins", "gate", "--kind", "naive", "--json")
    _, lab, _ = command_line("spins", "gate", "--kind", "naive", "--lab-frame", "--json")
    found, other = json.loads(out), json.loads(lab)
    for name in ("mean_infidelity", "leakage"):
        assert found[name] != other[name]


def test_a_sweep_of_noise_is_a_table(command_line) -> None:
    code, out, _ = command_line(
        "spins", "noise-sweep", "--gate", "naive", "--sigma-V-per-m", "30,100", "--save", "n.csv", "--quiet"
    )
    assert code == 0
    table = pd.read_csv("n.csv")
    assert table["infidelity"].tolist() == pytest.approx([float(line) for line in out.split()[:2]], rel=1e-4)
    code, out, _ = command_line(
        *(
            "spins",
            "noise-sweep",
            "--sigma-V-per-m",
            "30",
            "--kind",
            "pink",
            "--n-traces",
            50,
            "--figure",
            "n.svg",
        )
    )
    assert code == 0
    assert "±" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("spectrum", "--B0-T", "200"), "B0_T is 200; expected 0.02 to 2 T; this looks like mT"),
        (("spectrum", "--tunnel-coupling-GHz", "1e10"), "this looks like Hz"),
        (("spectrum", "--tunnel-coupling-GHz", "-3"), "tunnel_coupling_GHz must be positive; got -3"),
        (("spectrum", "--hyperfine-MHz", "0.117"), "expected MHz, and this looks like GHz"),
        (("spectrum", "--field-V-per-m", "2.5e6"), "did you pass kV/m twice, or V/m for V/µm?"),
        (("gate", "--target", "Q"), "expected X90, X180, Y90, H, or three angles"),
        (("gate", "--pulse", "none.csv"), "none.csv"),
        (("gate", "--kind", "naive", "--against", "amplitude"), "the naive gate withstands nothing"),
        (("gate", "--pulse", "none.csv", "--kind", "naive"), "leave out --kind and --against"),
        (("optimise", "none.csv", "--duration-ns", "500"), "a start brings its own length"),
        (("optimise", "--tunnel-coupling-GHz", "12", "--amplitude-error", "1"), "amplitude_error must be"),
        (("gate", "--hyperfine-MHz", "0"), "without it no drive turns the nuclear spin"),
        (("gate", "--save", "g.txt"), ".csv"),
        (("noise-sweep", "--gate", "magic"), "unknown gate 'magic'"),
        (("noise-sweep", "--sigma-V-per-m", "-1"), "sigma_V_per_m must be at least 0"),
    ],
)
def test_bad_input_is_one_sentence(command_line, words, sentence) -> None:
    code, _, err = command_line("spins", *words)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_a_gate_of_an_own_pulse_gets_its_rotations(tmp_path) -> None:
    gate = robust_x90()
    gate.pulse.to_csv(tmp_path / "own.csv")
    read = read_gate(tmp_path / "own.csv")
    assert read.device == gate.device
    assert read.infidelity() < 6e-5
    (tmp_path / "bad.csv").write_text("# device = {1}\nt_ns,B_x_T\n0,0\n1,0\n2,0\n")
    with pytest.raises(ValueError, match="comments of a gate cannot be understood"):
        read_gate(tmp_path / "bad.csv")
