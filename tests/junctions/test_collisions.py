"""Collisions of frequencies: brute-force loops, closed forms against random lattices, windows one by one, refusals."""

from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.junctions import Lattice, falcon27, heavy_hex
from solvable.junctions.collisions import NAMES, RULES, Rules

LISTED_SD = np.array([0.005, 0.010, 0.014, 0.020, 0.030, 0.050])
LISTED_YIELD = np.array([0.9933, 0.7238, 0.5472, 0.2489, 0.0309, 0.0012])


def brute_count(lattice: Lattice, f: Any, alpha: Any, rules: Rules) -> int:
    """Count collisions by the sentences of the rules, in MHz and plain loops."""
    f, alpha = 1e3 * np.asarray(f), 1e3 * np.broadcast_to(alpha, len(f))
    count = 0
    for c, t in lattice.edges:
        count += abs(f[c] - f[t]) < rules.degenerate
        count += abs(2 * f[c] + alpha[c] - 2 * f[t]) < rules.two_photon
        count += abs(f[c] - (f[t] + alpha[t])) < rules.second_level
        count += abs(f[t] - (f[c] + alpha[c])) < rules.second_level
        count += not f[c] + alpha[c] <= f[t] <= f[c]
    for c in range(len(f)):
        targets = [t for one, t in lattice.edges if one == c]
        for place, i in enumerate(targets):
            for k in targets[:place]:
                count += abs(f[i] - f[k]) < rules.targets
                count += abs(f[i] - (f[k] + alpha[k])) < rules.targets_second_level
                count += abs(f[k] - (f[i] + alpha[i])) < rules.targets_second_level
                count += abs(2 * f[c] + alpha[c] - f[i] - f[k]) < rules.targets_two_photon
    return int(count)


def star(fc: float, *targets: float, rules: Any = "hertzberg2021", alpha: Any = -0.33) -> Lattice:
    """Return a control, the first, with some targets."""
    edges = [(0, t + 1) for t in range(len(targets))]
    return Lattice.from_edges(edges, [fc, *targets], alpha, rules=rules, controls="first")


@pytest.mark.parametrize("name", ["hertzberg2021", "brink2018"])
def test_counts_are_those_of_plain_loops(name: str) -> None:
    rng = np.random.default_rng(0)
    # A graph of 9 qubits with cycles, controls of four targets, and anharmonicities that differ.
    edges = [(0, 1), (0, 2), (3, 0), (0, 4), (4, 5), (6, 4), (4, 7), (7, 8), (8, 0), (5, 1)]
    alpha = -0.33 + 0.03 * rng.standard_normal(9)
    design = 5 + 0.1 * rng.standard_normal(9)
    lattice = Lattice.from_edges(edges, design, alpha, rules=name)
    draws = design + 0.15 * rng.standard_normal((300, 9))
    expected = [brute_count(lattice, f, alpha, RULES[name]) for f in draws]
    assert lattice.count(draws).tolist() == expected
    assert lattice.count(draws.reshape(10, 30, 9)).shape == (10, 30)
    assert max(expected) > min(expected)


@pytest.mark.parametrize("sigma", [0.005, 0.014, 0.05])
def test_yield_is_exactly_the_share_of_the_same_draws_without_a_collision(sigma: float) -> None:
    lattice = falcon27(anharmonicity_GHz=-0.31)
    n = 500
    draws = lattice.frequencies_GHz + sigma * np.random.default_rng(7).standard_normal((n, 27))
    free = sum(brute_count(lattice, f, -0.31, RULES["hertzberg2021"]) == 0 for f in draws)
    assert float(lattice.collision_free_yield(sigma, n, 7)) == free / n
    assert free == (lattice.count(draws) == 0).sum()


def test_draws_are_the_same_for_all_spreads_and_beyond_one_block() -> None:
    lattice = falcon27()
    together = lattice.collision_free_yield(LISTED_SD[:4].reshape(2, 2), 9000, 3)
    assert together.shape == (2, 2)
    singly = [float(lattice.collision_free_yield(sd, 9000, 3)) for sd in LISTED_SD[:4]]
    assert together.ravel().tolist() == singly
    draws = np.random.default_rng(3).standard_normal((9000, 27))
    free = (lattice.count(lattice.frequencies_GHz + 0.014 * draws) == 0).mean()
    assert singly[2] == free


def test_yields_of_twenty_seven_qubits_are_those_listed() -> None:
    got = falcon27().collision_free_yield(LISTED_SD, 50_000, 11)
    # Both have a binomial error; the listed ones of 100,000 draws.
    error = np.sqrt(LISTED_YIELD * (1 - LISTED_YIELD) * (1 / 50_000 + 1 / 100_000))
    assert (np.abs(got - LISTED_YIELD) < 4 * error + 5e-5).all()


def test_expected_counts_are_those_listed_and_those_of_random_lattices() -> None:
    lattice = falcon27()
    got = lattice.expected(LISTED_SD[1:])
    np.testing.assert_allclose(got, [0.3358, 0.6189, 1.5332, 3.895, 7.311], rtol=2e-4)
    normal = np.random.default_rng(0).standard_normal((20_000, 27))
    for sd, mean in zip(LISTED_SD[1:], got, strict=True):
        counts = lattice.count(lattice.frequencies_GHz + sd * normal)
        assert counts.mean() == pytest.approx(mean, abs=4 * counts.std() / np.sqrt(20_000))
    # A Poisson estimate is near above a half, and a lower guess below.
    poisson = np.exp(-got)
    np.testing.assert_allclose(poisson[:2], LISTED_YIELD[1:3], atol=0.012)
    assert (poisson[2:4] < LISTED_YIELD[3:5]).all()


@pytest.mark.parametrize("sd", [0.02, 0.08])
def test_expected_counts_on_random_lattices(sd: float) -> None:
    rng = np.random.default_rng(5)
    for n in (5, 8):
        every = [(a, b) for a in range(n) for b in range(a)]
        edges = [every[i] for i in rng.choice(len(every), n + 1, replace=False)]
        alpha = -0.3 + 0.02 * rng.standard_normal(n)
        lattice = Lattice.from_edges(edges, 5 + 0.1 * rng.standard_normal(n), alpha)
        counts = lattice.count(lattice.frequencies_GHz + sd * rng.standard_normal((40_000, n)))
        error = 4 * counts.std() / 200
        assert counts.mean() == pytest.approx(float(lattice.expected(sd)), abs=error)


@pytest.mark.parametrize(
    ("step", "listed"), [(0.05, 0.354), (0.06, 0.658), (0.065, 0.660), (0.07, 0.546), (0.08, 0.264)]
)
def test_yields_by_step_between_the_frequencies(step: float, listed: float) -> None:
    lattice = falcon27((5.0, 5.0 + step, 5.0 + 2 * step))
    assert float(lattice.collision_free_yield(0.014, 20_000)) == pytest.approx(listed, abs=0.015)


def test_yield_by_spread_of_the_resistance() -> None:
    cv = np.array([0.3, 0.5, 0.75, 1.0, 2.7, 3.7]) / 100
    got = falcon27((5.0, 5.06, 5.12)).collision_free_yield(0.522 * cv * 5.05, 20_000)
    np.testing.assert_allclose(got, [0.997, 0.738, 0.199, 0.038, 1e-4, 0], atol=0.012)


def test_a_common_shift_changes_nothing_and_a_common_scale_hardly_anything() -> None:
    lattice = falcon27((5.0, 5.06, 5.12))
    shifted = falcon27((5.1, 5.16, 5.22))
    f = lattice.frequencies_GHz + 0.02 * np.random.default_rng(0).standard_normal((5000, 27))
    assert lattice.count(f).tolist() == lattice.count(f + 0.1).tolist()
    np.testing.assert_allclose(shifted.expected(LISTED_SD), lattice.expected(LISTED_SD), rtol=1e-9)
    scaled = falcon27(tuple(1.013 * np.array((5.0, 5.06, 5.12))))
    yields = [float(one.collision_free_yield(0.01, 20_000)) for one in (lattice, shifted, scaled)]
    assert yields[0] == yields[1]
    np.testing.assert_allclose(yields, [0.9624, 0.9624, 0.9616], atol=0.006)


# Frequencies that break no rule: of a control and two targets.
GOOD = (5.14, 5.0, 5.07)


@pytest.mark.parametrize(
    ("rule", "control", "targets", "edge"),
    [
        # Target, moved by x MHz, is at an edge of its window for x = 0, and collides for x < 0.
        (1, 5.0, lambda x: [4.983 - x], "17 below the control"),
        (2, 5.0, lambda x: [4.837 + x], "2 above the two-photon resonance"),
        (3, 5.0, lambda x: [4.700 + x], "30 above the control's f12"),
        (4, 5.0, lambda x: [4.670 + x], "the control's f12"),
        (4, 5.0, lambda x: [5.000 - x], "the control"),
        (5, 5.14, lambda x: [5.0, 5.017 + x], "17 above the other target"),
        (6, 5.2, lambda x: [4.90, 5.205 - x], "25 below"),
        (7, 5.2, lambda x: [5.0, 5.087 + x], "17 above the sum of both"),
    ],
)
def test_windows_end_where_the_rules_say(rule: int, control: float, targets: Any, edge: str) -> None:
    def broken(shift_GHz: float) -> set[int]:
        f = targets(shift_GHz)
        return {one.rule for one in star(control, *f).table()}

    assert rule in broken(-1e-7), edge
    assert rule not in broken(1e-7), edge


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_difference_equal_to_a_half_width_is_no_collision(sign: int) -> None:
    # Binary fractions, so that edges are exact: windows of 1/8 GHz, and the straddling range ends at its ends.
    rules = Rules(125, 0, 0, 0, 0, 0)
    lattice = star(5.0, 4.875, rules=rules, alpha=-0.5)
    edge = 5.0 - 0.125
    assert lattice.count([5.0, edge]) == 0
    assert lattice.count([5.0, np.nextafter(edge, 6)]) == 1
    assert lattice.count([5.0, 4.5]) == 0
    assert lattice.count([5.0, np.nextafter(4.5, 0)]) == 1
    assert lattice.expected(0.0) == len(lattice.table()) == 0
    assert float(lattice.collision_free_yield(0.0, 10)) == 1
    # Windows of no width never collide, and rule 4 allows equal frequencies.
    degenerate = star(5.0, 5.0, rules=Rules(0, 0, 0, 0, 0, 0))
    assert degenerate.count([5.0, 5.0]) == 0
    assert degenerate.expected(0.0) == 0
    assert degenerate.count([5.0, 5.0 + sign * 1e-9]) == (sign > 0)


def test_sets_of_rules_differ_in_the_third_window() -> None:
    assert star(5.0, 4.697, rules="hertzberg2021").count([5.0, 4.697]) == 1
    assert star(5.0, 4.697, rules="brink2018").count([5.0, 4.697]) == 0
    assert star(5.0, 4.99, rules=Rules(degenerate=5)).count([5.0, 4.99]) == 0


def test_the_spread_that_a_yield_requires() -> None:
    lattice = falcon27()
    sigma = lattice.required_spread(0.7238, 20_000, 1)
    assert sigma == pytest.approx(0.010, abs=2e-4)
    assert float(lattice.collision_free_yield(sigma, 100_000, 2)) == pytest.approx(0.7238, abs=0.016)
    assert (
        lattice.required_spread(0.9, 2000)
        < lattice.required_spread(0.5, 2000)
        < lattice.required_spread(0.1, 2000)
    )
    assert lattice.required_spread(0.5, 2000) == lattice.required_spread(0.5, 2000)


def test_no_spread_is_required_where_nothing_can_collide() -> None:
    with pytest.raises(InputError, match="which holds for any spread"):
        Lattice.from_edges([], [5.0, 5.0]).required_spread(0.9, 1000)
    with pytest.raises(
        InputError, match=r"design frequencies themselves collide \(1 times, first rule 1 of qubits"
    ):
        Lattice.from_edges([(0, 1)], [5.0, 5.01]).required_spread(0.9)
    for target, message in ((1.0, "expected a share below 1"), (0.0, "target_yield must be")):
        with pytest.raises(InputError, match=message):
            falcon27().required_spread(target)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (2, 2), (3, 2), (4, 5), (5, 1)])
def test_heavy_hexagons_have_the_numbers_and_degrees_of_a_honeycomb(rows: int, columns: int) -> None:
    lattice = heavy_hex(rows, columns)
    n = len(lattice.names)
    degree = np.bincount(np.array(lattice.edges).ravel(), minlength=n)
    controls = {c for c, _ in lattice.edges}
    corners = [q for q in range(n) if q not in controls]
    # Each of the sides, of which Euler's formula gives the number, has a control with two corners.
    assert len(controls) == len(corners) + rows * columns - 1
    assert {int(degree[c]) for c in controls} == {2}
    assert set(degree[corners]) <= {2, 3}
    assert len(lattice.edges) == 2 * len(controls)
    assert len(corners) == 2 * (rows + 1) * (columns + 1) - 2
    # Neighbouring corners differ, and controls are highest.
    f = lattice.frequencies_GHz
    for c in controls:
        ends = [t for one, t in lattice.edges if one == c]
        assert sorted(f[ends]) == [5.0, 5.07]
        assert f[c] == 5.14
    # In one piece.
    reached = {0}
    for _ in range(n):
        reached |= {b for pair in lattice.edges for a, b in (pair, pair[::-1]) if a in reached}
    assert len(reached) == n
    assert lattice.layout().shape == (n, 2)
    assert len(np.unique(lattice.layout(), axis=0)) == n
    assert lattice.expected(0.0) == 0


def test_falcon_has_its_edges_and_triples() -> None:
    lattice = falcon27()
    assert len(lattice.edges) == 28
    degree = np.bincount(np.array(lattice.edges).ravel())
    assert sorted(degree) == [1] * 6 + [2] * 13 + [3] * 8
    targets = np.bincount([c for c, _ in lattice.edges], minlength=27)
    assert (targets * (targets - 1) // 2).sum() == 11
    f = lattice.frequencies_GHz
    assert np.flatnonzero(f == 5.0).tolist() == [3, 7, 14, 18, 25]
    assert np.flatnonzero(f == 5.07).tolist() == [1, 8, 12, 19, 23]


def test_a_lattice_without_positions_is_laid_out_by_its_distances() -> None:
    chain = Lattice.from_edges([(0, 1), (1, 2), (2, 3)], [5.0, 5.1, 5.0, 5.1])
    place = chain.layout()
    gaps = np.linalg.norm(place[:, None] - place, axis=-1)
    np.testing.assert_allclose(gaps, np.abs(np.subtract.outer(range(4), range(4))), atol=1e-6)
    assert Lattice.from_edges([], [5.0]).layout().tolist() == [[0, 0]]


def test_table_names_the_qubits_and_the_rule() -> None:
    lattice = Lattice.from_edges(
        [(0, 1), (1, 2)],
        [5.0, 5.15, 5.005],
        names=("left", "middle", "right"),
        positions=[(0, 0), (1, 0), (2, 0)],
    )
    (only,) = lattice.table()
    assert (only.rule, only.reason, only.probability) == (5, NAMES[5], 1.0)
    assert set(only.qubits) == {"left", "right"}
    assert set(only.numbers) == {0, 2}
    several = lattice.table(0.02, least=0.0)
    assert sum(one.probability for one in several) == pytest.approx(float(lattice.expected(0.02)), rel=1e-12)
    assert [one.probability for one in several] == sorted((one.probability for one in several), reverse=True)
    assert {one.rule for one in several} == set(NAMES)
    assert len(several) == 2 * 5 + 4
    frame = lattice.to_frame(0.02)
    assert list(frame.columns) == ["rule", "qubits", "reason", "probability"]
    assert len(frame) == len(lattice.table(0.02))
    assert frame.probability.min() >= 1e-3
    assert len(Lattice.from_edges([(0, 1)], [5.0, 5.1]).to_frame()) == 0


def test_the_higher_qubit_is_the_control_unless_the_first_is() -> None:
    assert Lattice.from_edges([(0, 1)], [5.0, 5.1]).edges == ((1, 0),)
    assert Lattice.from_edges([(0, 1)], [5.0, 5.1], controls="first").edges == ((0, 1),)
    # Below its target, a control is outside the straddling range.
    assert [one.rule for one in star(5.0, 5.1).table()] == [4]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([(0, 2)], [5.0, 5.1]), {}, r"edges has \(0, 2\); expected pairs of qubits, numbered from 0 to 1"),
        (([(-1, 0)], [5.0, 5.1]), {}, r"edges has \(-1, 0\)"),
        (([(0, 1, 2)], [5.0, 5.1, 5.2]), {}, r"edges has \(0, 1, 2\)"),
        (([(0, 0.5)], [5.0, 5.1]), {}, r"edges has \(0, 0.5\)"),
        (([(1, 1)], [5.0, 5.1]), {}, "a qubit with itself"),
        (([(0, 1), (1, 0)], [5.0, 5.1]), {}, r"edges lists the pair \(1, 0\) twice"),
        (([(0, 1)], [5.0, 5.1], 0.33), {}, "anharmonicity_GHz is 0.33; .* change the sign"),
        (([(0, 1)], [5.0, 5.1], [-0.33, 0.0]), {}, "anharmonicity_GHz is 0; "),
        (([(0, 1)], [5.0, 5.1], [-0.33] * 3), {}, r"anharmonicity_GHz has shape \(3,\)"),
        (([(0, 1)], [5.0, 0.0]), {}, "frequencies_GHz must be"),
        (([(0, 1)], [[5.0, 5.1]]), {}, "expected one frequency per qubit"),
        (([(0, 1)], [5.0, 5.1]), {"rules": "hertzberg"}, "unknown rules 'hertzberg'; .*hertzberg2021"),
        (([(0, 1)], [5.0, 5.1]), {"controls": "lower"}, "unknown controls 'lower'"),
        (([(0, 1)], [5.0, 5.1]), {"names": ("a", "a")}, "names has 1 different names"),
        (([(0, 1)], [5.0, 5.1]), {"names": ("a",)}, "names has 1 different"),
        (([(0, 1)], [5.0, 5.1]), {"positions": [(0, 0)]}, r"positions has shape \(1, 2\)"),
    ],
)
def test_refusals_of_lattices(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Lattice.from_edges(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: falcon27().expected(-0.01), "sigma_GHz must be"),
        (lambda: falcon27().collision_free_yield(0.01, 0), "n_draws must be"),
        (lambda: falcon27().count([5.0, 5.1]), r"shape \(2,\); expected \(..., 27\)"),
        (lambda: falcon27((5.1, 5.0, 5.2)), "expected three, from low to high"),
        (lambda: falcon27((5.0, 5.1)), "expected three, from low to high"),
        (lambda: heavy_hex(0, 1), "rows must be"),
        (lambda: heavy_hex(1, 1.5), "columns must be"),  # type: ignore[arg-type]
        (lambda: Rules(degenerate=-1), "degenerate must be"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("edges", [[1, 0], [(0, np.nan)]])
def test_edges_that_are_no_pairs_of_numbers_are_refused(edges: Any) -> None:
    with pytest.raises(InputError, match="edges has"):
        Lattice.from_edges(edges, [5.0, 5.1])


def test_infinite_frequencies_are_refused() -> None:
    with pytest.raises(InputError, match="frequencies_GHz"):
        Lattice.from_edges([(0, 1)], [5.0, np.inf])
