"""What figures of devices and pulses show."""

import numpy as np
import pytest

from solvable.spins.device import DonorDevice
from solvable.spins.drawing import draw_levels
from solvable.spins.gates import sine_pulse
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import Ramp
from solvable.spins.sweep import long_sweep

DEVICE = DonorDevice.preset("sweep")


def labels(figure) -> list[str]:
    return [ax.get_ylabel() for ax in figure.axes]


def test_a_pulse_has_a_panel_for_each_kind_of_control_that_it_uses() -> None:
    kinds = {
        ("field (V/m)",): Pulse(10.0, E_V_per_m=Ramp(-5, 5)),
        ("electric drive (V/m)",): Pulse(10.0, E_c_V_per_m=3.0, nu_E_GHz=5.6),
        ("electric drive (V/m)", "magnetic drive, rotating (µT)"): sine_pulse(DEVICE, np.ones((2, 4)), 99),
        ("field (V/m)", "electric drive (V/m)", "magnetic drive, rotating (µT)"): long_sweep(),
    }
    for expected, pulse in kinds.items():
        figure = pulse.plot()
        assert tuple(labels(figure)) == expected
        assert all(ax.get_xlabel() == "time (ns)" for ax in figure.axes)


def test_the_curves_of_a_pulse_are_its_controls() -> None:
    pulse = sine_pulse(DEVICE, [[100.0, 20.0, 30.0, -40.0]], 99)
    electric, magnetic = pulse.plot().axes
    t, cosine = electric.lines[0].get_data()
    np.testing.assert_allclose(cosine, 100 * np.sin(np.pi * t / pulse.duration_ns), atol=1e-9)
    assert [line.get_label() for line in magnetic.lines] == ["x", "y"]
    assert magnetic.lines[1].get_ydata().min() == pytest.approx(-40, rel=1e-4)  # µT


def test_levels_have_the_qubit_among_them() -> None:
    figure = draw_levels(DEVICE, 10e3)
    left, middle, right = figure.axes
    assert len(left.lines) == 8 + 2
    assert left.get_legend_handles_labels()[1][-2:] == ["state 0", "state 1"]
    assert all(ax.get_xlabel() == "field (kV/m)" for ax in figure.axes)
    E, f_n = middle.lines[0].get_data()
    assert (E[0], E[-1]) == (-10, 10)
    assert f_n[400] == pytest.approx(32.925191)
    slope = np.gradient(f_n, E)  # MHz per kV/m is kHz per V/m
    np.testing.assert_allclose(right.lines[0].get_ydata()[5:-5], slope[5:-5], rtol=2e-3)
