r"""Content of the page (`page.py`), without marimo: the chain from a width to f01, a lattice, and a user's wafer."""

import re
import tempfile
import warnings
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions import transmon
from solvable.junctions.collisions import NAMES, Lattice
from solvable.junctions.josephson import (
    charging_energy,
    cold_resistance,
    josephson_energy,
    junction_capacitance,
)
from solvable.junctions.lattices import falcon27
from solvable.junctions.synthetic import synthetic_wafer
from solvable.junctions.wafer import Qubit, WaferReport, read_csv, report, select_wafer
from solvable.junctions.wafer_statistics import Z95
from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.streams import short

Numbers = NDArray[np.float64]
Fact = tuple[str, str, str]
Legend = tuple[tuple[str, str], ...]

WIDTHS_um = tuple(round(0.1 + 0.005 * i, 3) for i in range(61))
RHOS_ohm_um2 = (*range(100, 400, 10), *range(400, 1020, 20))
SHUNTS_fF = tuple(range(40, 122, 2))
GAPS_ueV = tuple(range(150, 245, 5))
_PERCENTS = "0.1 0.12 0.15 0.2 0.25 0.3 0.4 0.5 0.6 0.7 0.8 1 1.2 1.4 1.7 2 2.4 2.7 3 3.7 4.5 5.5 7 8.5 10"
SPREADS = tuple(round(0.01 * float(one), 6) for one in _PERCENTS.split())
"""Relative standard deviations of R."""
STEPS_MHz = tuple(30 + 2.5 * i for i in range(37))
"""Steps between the three frequencies of the lattice."""
N_DRAWS = 2000
"""Random lattices per point: a standard error of at most 1.1 %."""

# Capacitance of the junction, whose quoted values are 45 to 75.
_SPECIFIC_fF_PER_um2 = 50.0
_LOWEST_GHz = 5.0
# Gives an anharmonicity of -0.33 GHz, that of the lattice, within 1 % for its frequencies.
_LATTICE_EC_GHz = 0.2845
# Every other spread is counted, and the one that is chosen.
_COUNTED = SPREADS[::2]
_FEWEST_RATIO = 5.0


@dataclass(frozen=True)
class View:
    """Content of a part of the page: facts, a sentence, charts with their legends, code, and a warning or nothing."""

    facts: tuple[Fact, ...]
    sentence: str
    charts: tuple[tuple[str, Legend], ...]
    code: str
    warning: str = ""


@dataclass(frozen=True)
class Chain:
    """A square junction and its qubit.

    Attributes:
        width_um: both widths as drawn.
        rho_ohm_um2: resistance times area at room temperature.
        shunt_fF: capacitance of the qubit without the junction.
        gap_ueV: gap of both electrodes.
    """

    width_um: float = 0.2
    rho_ohm_um2: float = 320
    shunt_fF: float = 78
    gap_ueV: float = 180

    def energies(self, width_um: Numbers | float) -> tuple[Numbers, Numbers]:
        """Return E_J and E_C in GHz of junctions with these widths."""
        area = np.square(width_um)
        EJ = josephson_energy(cold_resistance(self.rho_ohm_um2 / area), 1e-6 * self.gap_ueV)
        capacitance = 1e-15 * self.shunt_fF + junction_capacitance(area, _SPECIFIC_fF_PER_um2)
        return EJ, charging_energy(capacitance)


def chain_view(chain: Chain, spread: float) -> View:
    """Return what the page shows of a junction: its resistance, energies and frequency, and f01 against the width.

    Args:
        chain: the junction.
        spread: relative standard deviation of R.

    >>> chain_view(Chain(), 0.027).facts[3]
    ('f01', '5.211 GHz', '± 74 MHz by the spread of R')
    """
    w = chain.width_um
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # the page has its own warning
        EJ, EC = chain.energies(w)
        f, S = float(transmon.f01(EJ, EC)), float(transmon.sensitivity(EJ, EC))
        wider = float(transmon.f01(*chain.energies(w + 1e-3)))
        anharmonicity = float(transmon.anharmonicity(EJ, EC))
        drawn, at_5GHz = _width_chart(chain, spread, f)
    R, ratio = chain.rho_ohm_um2 / w**2, float(EJ / EC)
    own = _SPECIFIC_fF_PER_um2 * w**2
    facts = (
        ("R at 300 K", f"{readable(R / 1e3)} kohm", f"{readable(float(cold_resistance(R)) / 1e3)} kohm cold"),
        ("E_J / h", f"{readable(float(EJ))} GHz", f"{readable(ratio, 3)} times E_C"),
        (
            "E_C / h",
            f"{1e3 * float(EC):.1f} MHz",
            f"{readable(chain.shunt_fF + own, 3)} fF, the junction {readable(own, 2)} fF of them",
        ),
        ("f01", f"{f:.3f} GHz", f"± {readable(1e3 * S * spread * f, 2)} MHz by the spread of R"),
        ("anharmonicity", f"{1e3 * anharmonicity:.0f} MHz".replace("-", "−"), "f12 − f01"),
        ("sensitivity S", f"{S:.3f}", f"1 % more R: −{readable(10 * S * f, 2)} MHz"),
    )
    sentence = f"1 nm more in both widths raises f01 by {1e3 * (wider - f):.0f} MHz. "
    sentence += f"A spread of R of {percent(spread, 2)} is what widths that vary together by "
    sentence += f"{readable(500 * spread * w, 2)} nm cause."
    if np.isfinite(at_5GHz):
        sentence += f" For 5 GHz draw {1e3 * at_5GHz:.0f} nm."
    code = [
        "from solvable.junctions import (",
        "    charging_energy, cold_resistance,",
        "    josephson_energy, transmon,",
        ")\n",
        f"area = {w:g}**2  # µm²",
        f"R = cold_resistance({chain.rho_ohm_um2:g} / area)",
        f"EJ = josephson_energy(R, gap_eV={chain.gap_ueV:g}e-6)",
        f"C = {chain.shunt_fF:g}e-15 + {_SPECIFIC_fF_PER_um2:g}e-15 * area",
        "EC = charging_energy(C)",
        "print(transmon.f01(EJ, EC))  # GHz",
    ]
    warning = (
        f"E_J / E_C is {readable(ratio, 2)}. Below {_FEWEST_RATIO:g} the levels depend on the offset charge, here 1/4, "
        "and the device is no transmon."
    )
    legend = (("", "f01"), ("band", "95 % of junctions"))
    return View(
        facts, sentence, ((drawn, legend),), "\n".join(code), warning if ratio < _FEWEST_RATIO else ""
    )


@lru_cache(maxsize=512)
def _curve(chain: Chain) -> tuple[Numbers, Numbers, Numbers]:
    """Return widths with f01 and S at each, whatever the chain's own width."""
    widths = np.array(WIDTHS_um[::2])
    energies = chain.energies(widths)
    return widths, transmon.f01(*energies), transmon.sensitivity(*energies)


def _width_chart(chain: Chain, spread: float, f_here: float) -> tuple[str, float]:
    """Return f01 against the width as a chart, and the width in µm for 5 GHz, NaN outside of it."""
    widths, f, S = _curve(replace(chain, width_um=WIDTHS_um[0]))
    # R is lognormal and f goes as R to the power -S.
    reach = Z95 * spread * S
    # The axis has room for a band of 10 %, so that it stays the same while width and spread change.
    top = LinearAxis.around("f01 (GHz)", 0.0, 1.1 * float(f[-1]))
    axis = LinearAxis("width of the square junction as drawn (µm)", WIDTHS_um[0], WIDTHS_um[-1], 0.05)
    drawn = chart(
        "Frequency by width",
        axis,
        top,
        [Curve(widths, f, f * np.exp(-reach), f * np.exp(reach))],
        [Mark(chain.width_um, f_here, "here")],
    )
    return drawn, float(np.interp(5.0, f, widths, left=np.nan, right=np.nan))


@cache
def lattice(step_MHz: float) -> Lattice:
    """Return the lattice of 27 qubits whose frequencies are 5 GHz and one and two steps above."""
    step = 1e-3 * step_MHz
    return falcon27((_LOWEST_GHz, _LOWEST_GHz + step, _LOWEST_GHz + 2 * step))


@cache
def _sensitivity() -> float:
    """Return S of the lattice's qubits, which changes by less than 0.3 % among its frequencies."""
    EJ = transmon.josephson_energy_for_frequency(_LOWEST_GHz + 0.07, _LATTICE_EC_GHz)
    return float(transmon.sensitivity(EJ, _LATTICE_EC_GHz))


def sigma_GHz(spread: float, step_MHz: float) -> float:
    """Return the standard deviation of the lattice's frequencies, S times that of R times the middle frequency.

    >>> round(1e3 * sigma_GHz(0.005, 70.0), 1)  # MHz
    13.5
    """
    return _sensitivity() * spread * (_LOWEST_GHz + 1e-3 * step_MHz)


@cache
def counted_yield(step_MHz: float, *spreads: float) -> Numbers:
    """Return the share of random lattices without a collision for each spread; all use the same draws."""
    sigma = [sigma_GHz(one, step_MHz) for one in spreads]
    return lattice(step_MHz).collision_free_yield(sigma, N_DRAWS, 0)


def collision_view(spread: float, step_MHz: float) -> View:
    """Return what the page shows of a lattice: expected collisions, and its yield by spread and by step.

    Args:
        spread: relative standard deviation of R on a chip.
        step_MHz: step between the three frequencies, one of `STEPS_MHz`.

    >>> collision_view(0.005, 70.0).facts[1][:2]
    ('expected collisions', '0.576')
    """
    sigma = sigma_GHz(spread, step_MHz)
    m = float(lattice(step_MHz).expected(sigma))
    counted = float(counted_yield(step_MHz, spread)[0])
    others = counted_yield(step_MHz, *_COUNTED)
    error = float(np.sqrt(counted * (1 - counted) / N_DRAWS))
    along = np.geomspace(SPREADS[0], SPREADS[-1], 81)
    expected = lattice(step_MHz).expected(along * sigma / spread)
    by_step = np.array([float(lattice(one).expected(sigma_GHz(spread, one))) for one in STEPS_MHz])
    best = int(np.argmin(by_step))
    facts = (
        ("spread of f01", f"{readable(1e3 * sigma, 3)} MHz", "standard deviation in the lattice"),
        ("expected collisions", readable(round(m, 6), 3), "per lattice of 27 qubits, closed form"),
        (
            "yield",
            percent(counted, decimals=1),
            f"± {percent(error, decimals=1)}, counted; exp(−m) is {percent(np.exp(-m), decimals=1)}",
        ),
        ("a yield of a half", *_half(lattice(step_MHz), along, expected)),
    )
    ways = lattice(step_MHz).table(sigma)
    sentence = "Collisions are rare. "
    if ways:
        numbers = {
            reason: sum(way.probability for way in ways if way.reason == reason) for reason in NAMES.values()
        }
        reason = max(numbers, key=lambda one: numbers[one])
        sentence = (
            f"The most frequent collision ({readable(numbers[reason], 2)} of {readable(m, 2)}): {reason}. "
        )
    yields = np.exp(-by_step)
    if yields[best] < 1e-3:
        sentence += "With this spread no step leaves lattices without a collision."
    elif yields[best] > 0.999:
        sentence += f"With this spread steps such as {readable(STEPS_MHz[best])} MHz leave hardly any."
    else:
        sentence += (
            f"With this spread a step of {readable(STEPS_MHz[best])} MHz is best, with a yield of about "
        )
        sentence += f"{percent(yields[best], 2)}."
    percents = LinearAxis("lattices without a collision (%)", -4.0, 104.0, 20.0)
    by_spread = chart(
        "Yield by spread",
        LogAxis("spread of R on a chip (%)", 90 * SPREADS[0], 111 * SPREADS[-1]),
        percents,
        [Curve(100 * along, 100 * np.exp(-expected))],
        [
            *(Mark(100 * x, 100 * y, "counted") for x, y in zip(_COUNTED, others, strict=True)),
            Mark(100 * spread, 100 * counted, "here"),
        ],
    )
    step_chart = chart(
        f"Yield by step at a spread of R of {percent(spread, 2)}",
        LinearAxis("step between the three frequencies (MHz)", 28.0, 122.0, 15.0),
        percents,
        [Curve(np.array(STEPS_MHz), 100 * yields)],
        [Mark(step_MHz, 100 * counted, "here")],
    )
    f = lattice(step_MHz).frequencies_GHz
    three = ", ".join(f"{one:g}" for one in np.unique(f.round(6)))
    code = [
        "from solvable.junctions import falcon27\n",
        f"lattice = falcon27([{three}])",
        f"sigma_GHz = {sigma:.4g}",
        "print(lattice.expected(sigma_GHz))",
        "print(lattice.collision_free_yield(",
        f"    sigma_GHz, n_draws={N_DRAWS}, random_state=0",
        "))",
    ]
    theory, here = ("", "exp(−m), m expected collisions"), ("here", "your choice")
    legend = theory, ("counted", f"{N_DRAWS} random lattices"), here
    return View(facts, sentence, ((by_spread, legend), (step_chart, (theory, here))), "\n".join(code))


def _half(one: Lattice, spreads: Numbers, expected: Numbers) -> tuple[str, str]:
    """Return the spread at which exp(-m) falls to a half, as a number and a remark."""
    if one.expected(0.0) > 0:
        return "never", "the design itself collides"
    target, remark = np.log(2), "spread of R on a chip that leaves it"
    if expected[0] > target:
        return f"below {percent(spreads[0], 2)}", remark
    part = slice(np.argmax(expected > target) - 1, np.argmax(expected > target) + 1)
    return percent(np.exp(np.interp(target, expected[part], np.log(spreads[part]))), 2), remark


def wafer_report(
    name: str, contents: bytes, wafer: str | None = None, qubit: Qubit | None = None
) -> WaferReport:
    """Return the report on a file that was dropped on the page, without leaving it on the disk.

    Args:
        name: of the file.
        contents: its bytes.
        wafer: name of the wafer, if the file has several.
        qubit: what turns resistances into frequencies.

    Raises:
        InputError: as `wafer.read_csv` and `wafer.report`, with the file's name and the page's field in the message.

    >>> rows = [f"A,0.2,{w2},{R}" for w2 in (0.1, 0.2) for R in (8.0, 8.1, 8.3, "OL")]
    >>> wafer_report("ours.csv", "\\n".join(["chip,w1_um,w2_um,R_kohm", *rows]).encode()).counts["open"]
    2
    """
    with tempfile.TemporaryDirectory(prefix="solvable-upload-") as folder:
        path = Path(folder, "file.csv")
        path.write_bytes(contents)
        try:
            return report(select_wafer(read_csv(path), wafer), qubit)
        except InputError as error:
            said = re.sub(r"choose one with --wafer \(.*?\)", "name one in “Wafer”", str(error))
            raise InputError(said.replace(str(path), short(name))) from None


TRUTH = (
    "A synthetic wafer, whose truth is known: 320 ohm µm² in its middle, widths 10 and 30 nm below the drawn ones, and "
    "errors of the widths of 3 nm, which make 64 % of the variance on a chip at 0.2 x 0.2 µm."
)
"""What made the wafer of `synthetic_report`."""


@lru_cache(maxsize=8)
def synthetic_report(qubit: Qubit) -> WaferReport:
    """Return the report on a synthetic wafer, cached for all visitors."""
    return report(synthetic_wafer(0).table, qubit)


def map_html(found: WaferReport) -> str:
    """Return the map of a wafer's residuals as HTML, as wide as its place; empty if the table has no places."""
    if "chip_x_mm" not in found.junctions:
        return ""
    text = found.text_map()
    columns = max(*map(len, text.split("\n")), 30)
    return f'<pre style="font-size: {100 / columns:.3f}cqw" aria-hidden="true">{text.replace("#", "<b>#</b>")}</pre>'
