r"""Whether the electron follows a sweep of the field: adiabaticity in time, and losses at crossings.

The charge follows if $K = |d\varepsilon/dt| V_t / (2 \pi \varepsilon_o^3) \ll 1$. With $V_t < f_{ff}$ a sweep also
passes the two fields at which charge and flip-flop have one frequency, where levels repel each other by $2 g_{so}$.
"""

import warnings
from typing import NamedTuple

import numpy as np
import xarray as xr

from solvable.spins.device import DonorDevice
from solvable.spins.pulses import Pulse
from solvable.spins.theory import adiabaticity as adiabaticity_at
from solvable.spins.theory import landau_zener_loss, safe_rate

_TIMES = 4001
_LARGEST_K, _SMALL_LOSS = 0.05, 1e-4


class Crossing(NamedTuple):
    """One passage of an avoided crossing.

    Attributes:
        what: `charge`, at the ionisation point, or `flip-flop`.
        t_ns: when.
        rate_V_per_m_ns: how fast.
        loss: probability to jump across, by Landau and Zener.
        safe_rate_V_per_m_ns: rate at which that would be 1e-4.
    """

    what: str
    t_ns: float
    rate_V_per_m_ns: float
    loss: float
    safe_rate_V_per_m_ns: float


def adiabaticity(device: DonorDevice, pulse: Pulse) -> xr.Dataset:
    r"""Return K of the slow field of a pulse in time.

    Returns:
        Dataset on `t_ns` with `K` and `E_V_per_m`; the attribute `largest` is the maximum of K.

    >>> from solvable.spins.shapes import Ramp
    >>> swept = adiabaticity(DonorDevice.preset("sweep"), Pulse(100, E_V_per_m=Ramp(-2500, 2500)))
    >>> round(swept.attrs["largest"], 6)
    0.000289
    """
    t = np.linspace(0, pulse.duration_ns, _TIMES)
    E = pulse.controls(t)[:, 0]
    rate = np.gradient(E, t) if pulse.duration_ns > 0 else np.zeros_like(t)
    K = adiabaticity_at(rate, device.tunnel_coupling_GHz, device.detuning_GHz(E), device.depth_nm)
    return xr.Dataset({"K": ("t_ns", K), "E_V_per_m": ("t_ns", E)}, {"t_ns": t}, {"largest": float(K.max())})


def crossings(device: DonorDevice, pulse: Pulse) -> list[Crossing]:
    """Return the passages of a pulse's slow field through avoided crossings, in the order of time."""
    t = np.linspace(0, pulse.duration_ns, _TIMES)
    E = pulse.controls(t)[:, 0]
    V = device.tunnel_coupling_GHz
    f_ff = device.zeeman_GHz  # but for the hyperfine coupling, which changes it by 1e-4
    places = [("charge", 0.0, V, 1.0)]
    if f_ff > V:
        eps = np.sqrt(f_ff**2 - V**2)
        gap = 2 * device.spin_charge_coupling_GHz * V / f_ff
        # The splitting of the charge changes by eps / f_ff of the change of the detuning.
        places += [
            ("flip-flop", float(device.field_V_per_m(sign * eps)), gap, eps / f_ff) for sign in (-1, 1)
        ]
    found = []
    for what, place, gap, factor in places:
        for i in np.flatnonzero(np.diff(place < E)):
            rate = float((E[i + 1] - E[i]) / (t[i + 1] - t[i]))
            in_GHz = factor * device.detuning_GHz_per_V_per_m
            loss = float(landau_zener_loss(gap, abs(rate) * in_GHz))
            safe = (np.pi * gap) ** 2 / -np.log(_SMALL_LOSS) / in_GHz
            found.append(Crossing(what, float(t[i]), rate, loss, float(safe)))
    return sorted(found, key=lambda one: one.t_ns)


def warn_if_too_fast(device: DonorDevice, pulse: Pulse) -> None:
    """Warn if the electron does not follow the slow field, with the largest rate at which it would."""
    if np.ptp(pulse.controls(np.linspace(0, pulse.duration_ns, _TIMES))[:, 0]) == 0:
        return
    largest = adiabaticity(device, pulse).attrs["largest"]
    if largest > _LARGEST_K:
        rate = float(safe_rate(device.tunnel_coupling_GHz, _LARGEST_K, device.depth_nm))
        warnings.warn(
            f"the field changes so fast that the charge does not follow: K = {largest:.2g}, above {_LARGEST_K}; stay"
            f" below {rate:.3g} V/m per ns at the ionisation point",
            stacklevel=3,
        )
    for one in crossings(device, pulse):
        if _SMALL_LOSS < one.loss < 1 - _SMALL_LOSS:
            warnings.warn(
                f"at {one.t_ns:.3g} ns the field passes the {one.what} crossing at {one.rate_V_per_m_ns:.3g} V/m per"
                f" ns, with a Landau-Zener loss of {one.loss:.2g}; below {one.safe_rate_V_per_m_ns:.3g} V/m per ns it"
                f" is less than {_SMALL_LOSS:g}",
                stacklevel=3,
            )
