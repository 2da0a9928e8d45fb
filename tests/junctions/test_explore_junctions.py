"""What the wing's page shows, without a browser."""

import contextlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.junctions import explore, transmon
from solvable.junctions.explore import Chain, View
from solvable.junctions.synthetic import synthetic_wafer
from solvable.junctions.wafer import Qubit
from solvable.lab.chart import LinearAxis


def first_number(text: str) -> float:
    found = re.search(r"-?\d+(\.\d+)?(e-?\d+)?", text.replace("−", "-"))
    assert found is not None
    return float(found[0])


def levels(EJ: float, EC: float) -> Any:
    """Levels by a dense matrix of 81 charges at an offset of a quarter."""
    n = np.arange(-40, 41)
    hopping = np.diag(np.full(80, EJ / 2), 1)
    return np.linalg.eigvalsh(np.diag(4 * EC * (n - 0.25) ** 2) - hopping - hopping.T)


def assert_can_be_shown(view: View) -> None:
    words = " ".join(word for fact in view.facts for word in fact) + view.sentence
    assert not re.search(r"\b(nan|inf)\b|∞|–", words)
    for drawn, legend in view.charts:
        assert drawn.startswith("<svg")
        assert not re.search(r"\b(nan|inf)\b", drawn)
        assert legend


@pytest.mark.parametrize(
    "chain",
    [
        Chain(),
        *(
            Chain(width, rho, shunt, gap)
            for width in explore.WIDTHS_um[:: len(explore.WIDTHS_um) - 1]
            for rho in explore.RHOS_ohm_um2[:: len(explore.RHOS_ohm_um2) - 1]
            for shunt, gap in ((40, 150), (120, 240))
        ),
    ],
)
def test_the_numbers_of_a_chain_are_those_of_a_hand_computation(chain: Chain) -> None:
    view = explore.chain_view(chain, 0.1)
    assert_can_be_shown(view)
    R_kohm = chain.rho_ohm_um2 / chain.width_um**2 / 1e3
    EJ = 140.434 / (1.1385 * R_kohm) * chain.gap_ueV / 180
    EC = 19.370 / (chain.shunt_fF + 50 * chain.width_um**2)
    low = levels(EJ, EC)
    more, less = levels(1.0001 * EJ, EC), levels(0.9999 * EJ, EC)
    S = np.log((more[1] - more[0]) / (less[1] - less[0])) / np.log(1.0001 / 0.9999)
    f01 = low[1] - low[0]
    expected = (R_kohm, EJ, 1e3 * EC, f01, 1e3 * (low[2] - low[1] - f01), S)
    shown = [first_number(value) for _, value, _ in view.facts]
    np.testing.assert_allclose(shown, expected, rtol=3e-3, atol=1e-3)
    assert (EJ / EC < 5) == bool(view.warning)


def test_the_code_prints_the_frequency() -> None:
    view = explore.chain_view(Chain(0.15, 450, 60, 200), 0.01)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(view.code, {})
    assert f"{float(printed.getvalue()):.3f} GHz" == view.facts[3][1]


def test_the_band_holds_95_percent_of_lognormal_resistances() -> None:
    chain, cv = Chain(), 0.1
    drawn = explore.chain_view(chain, cv).charts[0][0]
    found = re.search(r'class="band" d="([^"]+)Z"', drawn)
    assert found is not None
    points = np.array([[float(one) for one in pair.split(",")] for pair in re.split("[ML]", found[1])[1:]])
    half = len(points) // 2
    place = explore.WIDTHS_um[::2].index(chain.width_um)
    plot_height = 226
    top = LinearAxis.around("", 0.0, 1.1 * float(transmon.f01(*chain.energies(explore.WIDTHS_um[-1])))).high
    low, high = (top * (1 - points[k, 1] / plot_height) for k in (place, 2 * half - 1 - place))
    EJ, EC = chain.energies(chain.width_um)
    z = np.random.default_rng(0).standard_normal(100_000)
    f = transmon.f01(EJ * np.exp(cv * z), EC)
    np.testing.assert_allclose([low, high], np.quantile(f, [0.025, 0.975]), rtol=3e-3)


def test_the_sentence_gives_slope_and_width() -> None:
    chain = Chain()
    f = [float(transmon.f01(*chain.energies(w))) for w in (0.1995, 0.2005)]
    sentence = explore.chain_view(chain, 0.027).sentence
    assert f"raises f01 by {1e3 * (f[1] - f[0]):.0f} MHz" in sentence
    named = re.search(r"For 5 GHz draw (\d+) nm", sentence)
    assert named is not None
    width = float(named[1]) / 1e3
    assert transmon.f01(*chain.energies(width - 0.0006)) < 5 < transmon.f01(*chain.energies(width + 0.0006))
    # No width of the slider gives 5 GHz.
    assert (
        "5 GHz" not in explore.chain_view(Chain(rho_ohm_um2=1000, shunt_fF=120, gap_ueV=150), 0.01).sentence
    )


def test_the_lattice_has_the_anharmonicity_and_sensitivity_it_is_said_to_have() -> None:
    for step in explore.STEPS_MHz[:: len(explore.STEPS_MHz) - 1]:
        for f in np.unique(explore.lattice(step).frequencies_GHz):
            EJ = float(transmon.josephson_energy_for_frequency(f, explore._LATTICE_EC_GHz))
            low = levels(EJ, explore._LATTICE_EC_GHz)
            assert low[1] - low[0] == pytest.approx(f)
            assert low[2] - 2 * low[1] + low[0] == pytest.approx(-0.33, rel=0.01)
            more = levels(1.0001 * EJ, explore._LATTICE_EC_GHz)
            S = np.log((more[1] - more[0]) / f) / np.log(1.0001)
            assert explore.sigma_GHz(0.01, step) == pytest.approx(0.01 * S * f, rel=0.03)


@pytest.mark.parametrize("step", [explore.STEPS_MHz[0], 70.0, 80.0, 82.5, explore.STEPS_MHz[-1]])
def test_each_spread_of_a_lattice_can_be_shown(step: float) -> None:
    for spread in explore.SPREADS[::8]:
        view = explore.collision_view(spread, step)
        assert_can_be_shown(view)
        assert all(0 <= float(y) <= 226 for y in re.findall(r'cy="([^"]+)"', view.charts[0][0]))
        # Two photons of a control of the highest frequency reach a target of the lowest: 2 x 82.5 = 330 / 2.
        assert ("never" in view.facts[3]) == (step == 82.5)
        assert view.facts[3][1].startswith("below") == (step == 80.0)


def test_yields_are_those_of_lattices_drawn_one_by_one() -> None:
    spread, step = 0.005, 70.0
    view = explore.collision_view(spread, step)
    lattice = explore.lattice(step)
    sigma = 1e-3 * first_number(view.facts[0][1])
    f = lattice.frequencies_GHz + sigma * np.random.default_rng(1).standard_normal((20_000, 27))
    counts = lattice.count(f)
    assert first_number(view.facts[1][1]) == pytest.approx(counts.mean(), abs=0.02)
    assert first_number(view.facts[2][1]) / 100 == pytest.approx((counts == 0).mean(), abs=0.045)
    half = first_number(view.facts[3][1]) / 100
    assert lattice.expected(half / spread * sigma) == pytest.approx(np.log(2), rel=0.03)
    named = re.search(r"a step of ([\d.]+) MHz is best", view.sentence)
    assert named is not None
    best = float(named[1])
    for other in (best - 2.5, best + 2.5):
        assert explore.lattice(other).expected(sigma) > explore.lattice(best).expected(sigma)
    assert "no step leaves" in explore.collision_view(0.1, step).sentence
    assert explore.collision_view(0.001, 62.5).sentence.startswith(
        "Collisions are rare. With this spread steps such"
    )


def csv_of(table: Any) -> bytes:
    return table.to_csv(index=False).encode()


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_dropped_wafer_gets_its_report_and_leaves_nothing(empty_folder: Path) -> None:
    table, truth = synthetic_wafer(3, n_chips=6, per_design=2)
    row = int(np.flatnonzero(truth["flag"] == "ok")[7])
    table.loc[row, "R_ohm"] *= 1.6
    found = explore.wafer_report("ours.csv", csv_of(table), qubit=Qubit(shunt_fF=88, gap_eV=170e-6))
    assert not list(empty_folder.iterdir())
    assert found.counts["open"] + found.counts["short"] == (truth["flag"] != "ok").sum()
    assert found.qubit.EC_GHz(0.04) == pytest.approx(19.370 / 90, rel=1e-4)
    drawn = explore.map_html(found)
    assert "<b>#</b>" in drawn
    assert drawn.count(".") > 200
    no_places = table.drop(columns=["chip_x_mm", "chip_y_mm", "x_um", "y_um"])
    assert explore.map_html(explore.wafer_report("ours.csv", csv_of(no_places))) == ""


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "empty"),
        (b"\x00\xff\x13binary", "ours.csv"),
        (b"a,b\n1,2\n", "has no column chip"),
        (b"chip,w1_um,w2_um,R_ohm\n", "has no rows"),
        (b'chip,w1_um,w2_um,R_ohm\nA,0.2,0.2,"8,100 ohm"\n', "row 1"),
        (b"chip,w1_um,w2_um,R_ohm\nA,0.2,-0.2,8100\n", "a width above 0"),
        (b"wafer,chip,w1_um,w2_um,R_ohm\nV,A,0.2,0.2,8100\nW,A,0.2,0.2,8200\n", "name one in “Wafer”"),
        (b"chip,w1_um,w2_um,R_ohm\nA,0.2,0.2,8100\nA,0.2,0.2,8200\n", "at least 3"),
    ],
)
def test_a_bad_file_gets_its_sentence(empty_folder: Path, contents: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        explore.wafer_report("ours.csv", contents)
    assert words in str(caught.value)
    assert str(empty_folder) not in str(caught.value)
    assert "--wafer" not in str(caught.value)
    assert not list(empty_folder.iterdir())


def test_one_of_several_wafers_is_chosen_by_its_name() -> None:
    rows = [f"{w},A,0.2,{w2},{R * 0.2 / w2}" for w in "VW" for w2 in (0.1, 0.2) for R in (8000, 8100, 8300)]
    contents = "\n".join(["wafer,chip,w1_um,w2_um,R_ohm", *rows]).encode()
    assert explore.wafer_report("two.csv", contents, "W").name == "W"
    with pytest.raises(InputError, match="wafer"):
        explore.wafer_report("two.csv", contents, "X")


def test_the_truth_of_the_synthetic_wafer_is_as_told() -> None:
    truth = synthetic_wafer(0, n_chips=1, per_design=1).truth
    w1, w2 = 0.2 + truth["bias1_um"], 0.2 + truth["bias2_um"]
    area = truth["width_sd_um"] ** 2 * (w1**-2 + w2**-2)
    share = area / (area + truth["barrier_um2"] / (w1 * w2) + truth["probe_sd"] ** 2)
    for words in (
        f"{truth['rho_ohm_um2']:g} ohm",
        f"widths {-1e3 * truth['bias1_um']:g} and {-1e3 * truth['bias2_um']:g} nm below",
        f"of {1e3 * truth['width_sd_um']:g} nm, which make {100 * share:.0f} %",
    ):
        assert words in explore.TRUTH
    assert explore.synthetic_report(Qubit()) is explore.synthetic_report(Qubit())
