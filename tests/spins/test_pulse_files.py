"""Files of pulses as laboratories have them: each fault is named, with its row."""

import warnings

import numpy as np
import pytest

from solvable.spins import DonorDevice, Pulse, propagator, read_pulse

GOOD = "# nu_E_GHz = 5.59\nt_ns,E_c_V_per_m\n0,0\n1,5\n2,0\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("1,5", "1,12a"), r"E_c_V_per_m is '12a', and no number in row 2"),
        (GOOD.replace("1,5", "1,"), r"E_c_V_per_m is blank in row 2"),
        (GOOD.replace("2,0", "2"), r"E_c_V_per_m is blank in row 3"),
        (GOOD.replace("2,0", "0.5,0"), r"t_ns must ascend; row 3 of the samples has 0.5 after 1"),
        (GOOD.replace("0,0\n", "3,0\n"), r"t_ns must begin at 0 .* from \[3.0\]"),
        (GOOD.replace(",", ";"), r"is separated by semicolons; expected commas"),
        (GOOD.replace(",", "\t"), r"is separated by tabs"),
        (GOOD.replace("E_c_V_per_m", "B_x_mT"), r"unknown column 'B_x_mT'.*; convert it to B_x_T"),
        (GOOD.replace("E_c_V_per_m", "E_c_kV_per_m"), r"; convert it to E_c_V_per_m"),
        (GOOD.replace("E_c_V_per_m", "volts"), r"unknown column 'volts'; expected t_ns and any of E_V_per_m"),
        (GOOD.replace("t_ns,E_c_V_per_m", "t_ns,t_ns"), r"has the column 't_ns' twice"),
        (GOOD.replace("t_ns,", "E_s_V_per_m,"), r"no column t_ns"),
        (GOOD.replace("# nu_E_GHz = 5.59\n", ""), r"needs a line such as '# nu_E_GHz = 5.59' at its top"),
        (GOOD.replace("5.59", "5590"), r"this looks like MHz or Hz"),
        (GOOD.replace("5.59", "fast"), r"nu_E_GHz must be a number; got 'fast'"),
        (GOOD.replace("1,5", "1e-9,5").replace("2,0", "2e-9,0"), r"this looks like another unit, such as s"),
        (GOOD.replace("1,5", "1,5e6"), r"p.csv: E_c_V_per_m is .* outside of"),
        ("# nu_B_GHz = 5.56\nt_ns,B_x_T\n0,0.4\n1,0.4\n2,0.4\n", r"this looks like mT"),
        ("t_ns,B_x_T\n", r"has no samples"),
        ("", r"is empty"),
    ],
)
def test_a_fault_is_named(tmp_path, text, sentence) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_pulse(tmp_path / "p.csv")


def test_spaces_around_names_do_not_matter(tmp_path) -> None:
    (tmp_path / "p.csv").write_text(GOOD.replace("t_ns,E_c_V_per_m", " t_ns , E_c_V_per_m "))
    assert read_pulse(tmp_path / "p.csv").sample([1.0])["E_c_V_per_m"][0] == pytest.approx(5)


def test_a_step_between_samples_is_warned_of_and_a_doubled_time_is_a_step(tmp_path) -> None:
    step = "".join(f"{t},{800 if 5 <= t < 15 else 0}\n" for t in range(21))
    (tmp_path / "p.csv").write_text("# nu_E_GHz = 5.59\nt_ns,E_c_V_per_m\n" + step)
    with pytest.warns(UserWarning, match="overshoot them by .*; write the time of a step twice"):
        read_pulse(tmp_path / "p.csv")
    held = "0,0\n5,0\n5,800\n15,800\n15,0\n20,0\n"
    (tmp_path / "p.csv").write_text("# nu_E_GHz = 5.59\nt_ns,E_c_V_per_m\n" + held)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pulse = read_pulse(tmp_path / "p.csv")
    assert pulse.joints_ns == (5.0, 15.0)
    parts = Pulse(5.0) + Pulse(10.0, E_c_V_per_m=800.0, nu_E_GHz=5.59) + Pulse(5.0)
    device = DonorDevice()
    np.testing.assert_allclose(propagator(device, pulse), propagator(device, parts), atol=1e-9)
