"""The headlines of the studies of gates."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.lab import Comparison
from solvable.spins import noise_study, study, two_qubit_study

# None of these headlines needs it.
NOTHING = Comparison(pd.DataFrame(), {})


def test_the_best_gate_is_told_next_to_the_worst() -> None:
    prediction = xr.Dataset(
        {"infidelity": (("gate", "sigma_V_per_m"), [[0.1, 0.12], [1e-5, 4e-5], [1e-3, 1e-2]])},
        {"gate": ["naive", "robust", "amplitude"], "sigma_V_per_m": [10.0, 90.0]},
    )
    text = "At 90 V/m of slow charge noise the {} gate errs by {}"
    expected = text.format("robust", "4e-05") + ", 3000 times less than the naive gate"
    assert study.headline(prediction, prediction, NOTHING) == expected
    one = prediction.sel(gate=["naive"])
    assert study.headline(one, one, NOTHING) == text.format("naive", "0.12")


def test_the_gate_that_withstands_most_slow_noise_is_told_with_both_kinds() -> None:
    sigma = [1.0, 10.0, 100.0]
    prediction = xr.Dataset(
        {
            "quasi_static": (("gate", "sigma_V_per_m"), [[1e-2] * 3, [1e-6, 1e-4, 1e-2]]),
            "pink": (("gate", "f_high_MHz", "sigma_V_per_m"), [[[1e-2] * 3] * 3, [[1e-4, 1e-2, 1e-1]] * 3]),
        },
        {"gate": ["naive", "robust"], "sigma_V_per_m": sigma, "f_high_MHz": [1.0, 10.0, 100.0]},
    )
    # Straight in logarithms: half of a decade of noise, and of two decades of infidelity.
    text = "The {} gate reaches an error of 0.001 {} V/m of slow noise, and {} V/m of 1/f noise up to 10 MHz"
    expected = text.format("robust", "at 32", "at 3.2")
    assert noise_study.headline(prediction, prediction, NOTHING) == expected
    quiet = prediction * 1e-3
    expected = text.format("naive", "above 100", "above 100")
    assert noise_study.headline(quiet, quiet, NOTHING) == expected
    loud = prediction.sel(gate=["naive"])
    expected = "The error of each gate is above 0.001 even at 1 V/m of slow noise"
    assert noise_study.headline(loud, loud, NOTHING) == expected


@pytest.mark.parametrize(
    ("infidelity", "expected"),
    [
        (
            [[1e-4, 1e-2, 0.1], [1e-6, 1e-4, 1e-2]],
            "For a two-qubit error of 0.001 fields may fluctuate by 0.32 V/m at most, with ideal echoes by 3.2 V/m",
        ),
        (
            [[1e-2, 0.1, 0.5], [1e-6, 1e-5, 1e-4]],
            "At 10 V/m of noise the two-qubit gate errs by 0.5, with ideal echoes by 0.0001",
        ),
        (
            [[1e-6, 1e-5, 1e-4], [1e-4, 1e-2, 0.1]],
            "At 10 V/m of noise the two-qubit gate errs by 0.0001, and no echo errs less",
        ),
    ],
)
def test_a_two_qubit_gate_is_told_with_its_best_echo(infidelity: list[list[float]], expected: str) -> None:
    prediction = xr.Dataset(
        {"infidelity": (("gate", "sigma_V_per_m"), np.array(infidelity))},
        {"gate": ["no echo", "2 segments, periodic"], "sigma_V_per_m": [0.1, 1.0, 10.0]},
    )
    assert two_qubit_study.headline(prediction, prediction, NOTHING) == expected
