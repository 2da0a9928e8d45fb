"""Whether the electron follows a sweep: against the exact propagator."""

import warnings

import numpy as np
import pytest

from solvable.spins import DonorDevice, Pulse, adiabaticity, crossings, propagator
from solvable.spins.adiabatic import warn_if_too_fast
from solvable.spins.shapes import Ramp, SmoothSweep


@pytest.mark.parametrize("rate", [60e3, 30e3])
def test_the_loss_at_the_ionisation_point_is_that_of_the_exact_propagator(rate) -> None:
    device = DonorDevice(tunnel_coupling_GHz=2, hyperfine_MHz=0, delta_gamma=0, B0_T=0.02)
    pulse = Pulse(2 * 40_000 / rate, E_V_per_m=Ramp(-40_000, 40_000))
    (crossing,) = crossings(device, pulse)
    U = propagator(device, pulse, step_ns=0.002)
    first, last = (
        np.linalg.eigh(device.hamiltonian(E)[np.ix_([3, 7], [3, 7])].real)[1] for E in (-40e3, 40e3)
    )
    exact = abs(last[:, 1] @ U[np.ix_([3, 7], [3, 7])] @ first[:, 0]) ** 2
    assert crossing.what == "charge"
    assert crossing.loss == pytest.approx(exact, rel=0.15, abs=0.01)


def test_k_of_a_sweep() -> None:
    swept = adiabaticity(DonorDevice.preset("sweep"), Pulse(100, E_V_per_m=SmoothSweep(-2500, 2500)))
    assert float(swept.K.idxmax()) == pytest.approx(50, abs=0.1)
    assert adiabaticity(DonorDevice(), Pulse(100, E_V_per_m=10.0)).attrs["largest"] < 1e-12


def test_a_sweep_that_is_too_fast_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"K = 0\.\d+, above 0\.05; stay below 8\.66e\+03 V/m per ns"):
        warn_if_too_fast(DonorDevice.preset("sweep"), Pulse(0.3, E_V_per_m=Ramp(-2500, 2500)))
    slow_qubit = DonorDevice(tunnel_coupling_GHz=4)
    with pytest.warns(
        UserWarning, match=r"flip-flop crossing at 5 V/m per ns, with a Landau-Zener loss of 0\.2[56]"
    ):
        warn_if_too_fast(slow_qubit, Pulse(1000, E_V_per_m=Ramp(-2500, 2500)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_too_fast(DonorDevice.preset("sweep"), Pulse(1000, E_V_per_m=Ramp(-2500, 2500)))
