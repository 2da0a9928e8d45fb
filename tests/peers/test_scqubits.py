"""Levels, frequencies and anharmonicities of transmons against scqubits 4.3.1, from `make_scqubits_values.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

from solvable.junctions import transmon

CASES = json.loads(Path(__file__).with_name("scqubits_4_3_1.json").read_text())["cases"]
EJ, EC, NG, F01, ALPHA = (
    np.array([case[key] for case in CASES])
    for key in ("EJ_GHz", "EC_GHz", "ng", "f01_GHz", "anharmonicity_GHz")
)
LEVELS = np.array([case["levels_GHz"] for case in CASES])


def test_one_transmon_at_a_time_is_that_of_scqubits() -> None:
    for case in CASES:
        where = case["EJ_GHz"], case["EC_GHz"], case["ng"]
        assert transmon.energy_levels(*where).tolist() == pytest.approx(case["levels_GHz"], rel=1e-9)
        assert float(transmon.f01(*where)) == pytest.approx(case["f01_GHz"], rel=1e-9)
        assert float(transmon.anharmonicity(*where)) == pytest.approx(case["anharmonicity_GHz"], rel=1e-9)


def test_an_array_of_transmons_with_different_charges_is_that_of_scqubits() -> None:
    np.testing.assert_allclose(transmon.energy_levels(EJ, EC, NG), LEVELS, rtol=1e-9)
    np.testing.assert_allclose(transmon.f01(EJ, EC, NG), F01, rtol=1e-9)
    np.testing.assert_allclose(transmon.anharmonicity(EJ, EC, NG), ALPHA, rtol=1e-9)


@pytest.mark.parametrize("ng", [0.0, 0.1, 0.25, 0.5])
def test_many_transmons_with_one_charge_which_are_interpolated_are_those_of_scqubits(ng: float) -> None:
    mine = ng == NG
    # Five copies of the 22 values, which are more than are diagonalised one by one.
    EJ_GHz, EC_GHz = np.tile(EJ[mine], (5, 1)), np.tile(EC[mine], (5, 1))
    assert EJ_GHz.size > transmon._FEW
    np.testing.assert_allclose(transmon.f01(EJ_GHz, EC_GHz, ng), np.tile(F01[mine], (5, 1)), rtol=1e-9)
    alpha = transmon.anharmonicity(EJ_GHz, EC_GHz, ng)
    np.testing.assert_allclose(alpha, np.tile(ALPHA[mine], (5, 1)), rtol=1e-9)
