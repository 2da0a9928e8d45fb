"""Figures of devices and pulses: levels and transitions against the field, controls in time."""

from typing import TYPE_CHECKING, Any

import numpy as np

from solvable.lab.figure import COLORS, COLUMN, FULL, MARKERS, house_style, log_axes, subplots
from solvable.spins.device import DonorDevice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUBIT = {0: COLORS[1], 1: COLORS[2]}


@house_style()
def draw_pulse(pulse: Any) -> "Figure":
    """Draw the controls of a pulse against time: the slow field if it changes, electric and magnetic envelopes.

    Args:
        pulse: a `solvable.spins.pulses.Pulse`, which has this as its method `plot`.
    """
    t = np.linspace(0, pulse.duration_ns, 2001)
    values = pulse.controls(t)
    panels: list[tuple[str, list[tuple[Any, str, str]]]] = []
    if np.ptp(values[:, 0]) > 0 or not any(pulse.drives):
        panels.append(("field (V/m)", [(values[:, 0], "E", COLORS[3])]))
    if pulse.drives[0]:
        panels.append(
            (
                "electric drive (V/m)",
                [(values[:, 1], "cosine", COLORS[1]), (values[:, 2], "sine", COLORS[2])],
            )
        )
    if pulse.drives[1]:
        panels.append(
            (
                "magnetic drive, rotating (µT)",
                [(1e6 * values[:, 3], "x", COLORS[1]), (1e6 * values[:, 4], "y", COLORS[2])],
            )
        )
    figure, axes = subplots(1, len(panels), width=min(FULL, 3.5 * len(panels)), height=2.6, squeeze=False)
    for ax, (label, curves) in zip(axes[0], panels, strict=True):
        for curve, name, color in curves:
            ax.plot(t, curve, color=color, label=name)
        ax.set_xlabel("time (ns)")
        ax.set_ylabel(label)
        if len(curves) > 1:
            _legend_above(ax)
    return figure


@house_style()
def draw_levels(device: DonorDevice, largest_E_V_per_m: float = 20e3) -> "Figure":
    """Draw the eight levels against the field, the qubit coloured, and how f_n and its slope depend on the field.

    Args:
        device: the donor.
        largest_E_V_per_m: the field goes from minus this to this.
    """
    E = np.linspace(-largest_E_V_per_m, largest_E_V_per_m, 801)
    figure, (left, middle, right) = subplots(1, 3, height=2.7)
    left.plot(1e-3 * E, device.spectrum(E), color="#bbbbbb", linewidth=0.8)
    named = device.states(E)[0]
    lowest = np.linalg.eigvalsh(device.hamiltonian(E))[:, 0]
    for state, color in _QUBIT.items():
        left.plot(
            1e-3 * E,
            named[:, state] - lowest,
            color=color,
            linewidth=2.4 - 1.2 * state,
            label=f"state {state}",
        )
    left.set_ylabel("energy above the lowest (GHz)")
    _legend_above(left)
    middle.plot(1e-3 * E, device.transitions(E).f_n_MHz, color=COLORS[0])
    middle.set_ylabel("nuclear frequency (MHz)")
    right.plot(1e-3 * E, device.frequency_slope_kHz_per_V_per_m(E), color=COLORS[0])
    right.set_ylabel("its slope (kHz per V/m)")
    for ax in (left, middle, right):
        ax.set_xlabel("field (kV/m)")
    return figure


@house_style()
def draw_noise(sweeps: "Mapping[str, xr.Dataset]", noise: str) -> "Figure":
    """Draw mean infidelities against the strength of noise, with a line at 1e-3.

    Args:
        sweeps: name of a gate -> what `noise_sweep` returns.
        noise: a few words on the noise, for the axis.
    """
    figure, ax = subplots(width=COLUMN, height=2.6)
    for i, (name, sweep) in enumerate(sweeps.items()):
        style: Any = {"color": COLORS[i], "marker": MARKERS[i], "label": name}
        ax.errorbar(sweep.sigma_V_per_m, sweep.infidelity, sweep.get("infidelity_error"), **style)
    ax.axhline(1e-3, color="#999999", linewidth=0.8, linestyle=":")
    log_axes(ax)
    ax.set_xlabel(f"{noise} (V/m)")
    ax.set_ylabel("mean infidelity")
    _legend_above(ax)
    return figure


def _legend_above(ax: "Axes") -> None:
    """Put a legend of one row above the axes, where it covers no curve."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2, columnspacing=1.2)
