"""Calibration of the gap: truth recovered, quoted errors against simulated data sets, refusals."""

from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.junctions import calibrate_gap, transmon

EC = 0.25
GAP = 180e-6 / 1.1385
# E_J in GHz times R in ohm, from 140.434 GHz for 180 µeV and a kohm.
SCALE = 140.43395e3 / 1.1385


def qubits(seed: int, reach: float, n: int = 12, scatter_GHz: float = 0.010) -> tuple[np.ndarray, np.ndarray]:
    """Return resistances within ± `reach` of 9 kohm, and frequencies with an error."""
    rng = np.random.default_rng(seed)
    R = 9000 * (1 + rng.uniform(-reach, reach, n))
    return R, transmon.f01(SCALE / R, EC) + scatter_GHz * rng.standard_normal(n)


@pytest.mark.parametrize(
    ("EC_given", "prior"),
    [(EC, None), (0.2, np.inf), pytest.param(0.3, np.inf, marks=pytest.mark.slow), (EC, 0.01)],
)
def test_exact_frequencies_give_back_the_truth(EC_given: float, prior: float | None) -> None:
    R, f = qubits(0, 0.5, scatter_GHz=0.0)
    found = calibrate_gap(R, f, EC_given, EC_sd_GHz=prior)
    assert found.gap_eV == pytest.approx(GAP, rel=1e-6)
    assert found.EC_GHz == pytest.approx(EC, rel=1e-6)
    assert found.residual_sd_GHz < 1e-6


@pytest.mark.parametrize(
    ("prior", "reach", "sets"),
    [
        (None, 0.2, 20),
        pytest.param(None, 0.2, 200, marks=pytest.mark.slow),
        pytest.param(np.inf, 0.5, 100, marks=pytest.mark.slow),
        pytest.param(0.01, 0.2, 40, marks=pytest.mark.slow),
    ],
)
def test_quoted_errors_are_those_of_simulated_sets(prior: float | None, reach: float, sets: int) -> None:
    gaps, energies, quoted, correlations = [], [], [], []
    for seed in range(sets):
        R, f = qubits(seed, reach)
        # What is known beforehand scatters around the truth by its error.
        given = EC + (0.01 * np.random.default_rng(10_000 + seed).standard_normal() if prior == 0.01 else 0)
        found = calibrate_gap(R, f, given, EC_sd_GHz=prior)
        gaps.append(found.gap_eV)
        energies.append(found.EC_GHz)
        quoted.append((found.gap_sd_eV, found.EC_sd_GHz))
        correlations.append(found.correlation)
    gap, energy = np.array(gaps), np.array(energies)
    gap_sd, energy_sd = np.sqrt(np.square(quoted).mean(axis=0))
    # Three standard errors of a standard deviation, which for 200 values are 15 %.
    width = 3 / np.sqrt(2 * sets)
    assert gap.std(ddof=1) == pytest.approx(gap_sd, rel=width)
    assert gap.mean() == pytest.approx(GAP, abs=4 * gap_sd / np.sqrt(sets))
    if prior is None:
        # 0.1 %: the mean of twelve gaps, each with an error of 10 MHz of 5 GHz, over S = 0.53.
        assert gap_sd / GAP == pytest.approx(0.010 / (np.sqrt(12) * 0.53 * 5.0), rel=0.06)
        assert energy_sd == 0
    else:
        assert energy.std(ddof=1) == pytest.approx(energy_sd, rel=width)
        assert np.mean(correlations) == pytest.approx(np.corrcoef(gap, energy)[0, 1], abs=0.05)
    if prior == np.inf:
        assert 0.04 < gap_sd / GAP < 0.09
        assert -1 < np.mean(correlations) < -0.9


def test_resistances_within_five_percent_cannot_tell_gap_from_charging_energy() -> None:
    R, f = qubits(1, 0.05)
    with pytest.raises(
        InputError, match=r"cannot be told apart by these 12 qubits .*correlation -(1|0\.9).*pass EC_sd_GHz"
    ):
        calibrate_gap(R, f, EC, EC_sd_GHz=np.inf)
    # With the charging energy known they tell the gap.
    found = calibrate_gap(R, f, EC)
    assert found.gap_eV == pytest.approx(GAP, abs=4 * found.gap_sd_eV)
    assert found.correlation == found.EC_sd_GHz == 0


def test_prior_knowledge_goes_from_fixed_to_free() -> None:
    R, f = qubits(3, 0.5)
    errors = [calibrate_gap(R, f, EC, EC_sd_GHz=sd).gap_sd_eV for sd in (1e-6, 1e-2, np.inf)]
    assert (np.diff(errors) > 0).all()
    # A fit of one unknown has one more degree of freedom.
    assert errors[0] == pytest.approx(calibrate_gap(R, f, EC).gap_sd_eV, rel=0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([8000.0], [4.9], EC), "R_ohm has 1 qubits; expected at least 2 to fit 1 unknown$"),
        (([8000.0, 9000.0], [4.9], EC), "expected two lists of one number per qubit"),
        (([8000.0, -1.0], [4.9, 4.8], EC), "R_ohm must be"),
        (([8000.0, 9000.0], [4.9, 0.0], EC), "f01_GHz must be"),
        (([8000.0, 9000.0], [4.9, 4.8], 0.0), "EC_GHz must be"),
    ],
)
def test_refusals(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate_gap(*arguments)


def test_two_unknowns_need_three_qubits() -> None:
    with pytest.raises(InputError, match="2 qubits; expected at least 3 to fit 2 unknowns"):
        calibrate_gap([8000.0, 9000.0], [4.9, 4.6], EC, EC_sd_GHz=np.inf)
    with pytest.raises(InputError, match="EC_sd_GHz must be"):
        calibrate_gap([8000.0, 9000.0], [4.9, 4.6], EC, EC_sd_GHz=-0.1)


def test_an_open_junction_is_refused() -> None:
    with pytest.raises(InputError, match="R_ohm"):
        calibrate_gap([8000.0, np.inf, 9000.0], [4.9, 4.8, 4.6], EC)
