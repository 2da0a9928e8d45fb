r"""Frequency collisions in lattices of fixed-frequency transmons that are coupled by the cross-resonance gate.

A control c drives its neighbours, the targets t; i and k are two targets of one control, and
$\alpha = f_{12} - f_{01} < 0$. Frequencies collide where one of seven rules is broken, each a window on a sum of
frequencies. With independent normal errors of the frequencies the expected number of collisions is a closed form; the
yield, the share of lattices without any, is counted on random lattices. A common shift of all frequencies changes
nothing, so the spread that counts is that within a chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, generator, numbers, one_number, whole
from solvable.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

# Draws at once: a few arrays of this length stay in the cache.
_BLOCK = 4096
# Lattices with collisions from which a yield is known well enough to solve for.
_FEWEST_FAILURES = 30
# A larger number is one of MHz.
_HIGHEST_GHZ = 1000.0


@dataclass(frozen=True)
class Rules:
    """Half-widths of the windows in MHz.

    Attributes:
        degenerate: rule 1, |fc - ft|.
        two_photon: rule 2, |2 fc + α - 2 ft|.
        second_level: rule 3, |f01 - f12| of neighbours, in both orders.
        targets: rule 5, |fi - fk|.
        targets_second_level: rule 6, |f01 - f12| of i and k, in both orders.
        targets_two_photon: rule 7, |2 fc + α - fi - fk|.
    """

    degenerate: float = 17.0
    two_photon: float = 4.0
    second_level: float = 30.0
    targets: float = 17.0
    targets_second_level: float = 25.0
    targets_two_photon: float = 17.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            one_number(name, value, at_least=0)


RULES = {"hertzberg2021": Rules(), "brink2018": Rules(second_level=25.0)}
"""Published sets: Hertzberg et al., npj Quantum Information 7, 129 (2021), and Brink et al., IEDM (2018)."""

NAMES = {
    1: "same frequency",
    2: "two photons reach the control's second level",
    3: "f01 of one is f12 of the other",
    4: "outside the straddling range",
    5: "two targets of one control have the same frequency",
    6: "f01 of one target is f12 of the other",
    7: "control and two targets by two photons",
}
"""The seven rules in words."""


class _Window(NamedTuple):
    """A sum of frequencies that collides inside an interval, or outside of it."""

    rule: int
    qubits: tuple[int, ...]
    weights: tuple[int, ...]
    low: float
    high: float
    inside: bool = True


@dataclass(frozen=True, eq=False)
class Lattice:
    """Qubits with design frequencies, and the pairs of them that are coupled.

    Attributes:
        edges: pairs of control and target, by number of the qubits.
        frequencies_GHz: design frequency of each qubit.
        anharmonicity_GHz: of each qubit, < 0.
        rules: windows of the rules.
        names: of the qubits.
        positions: (qubits, 2), for figures; by default from the distances in the lattice.
    """

    edges: tuple[tuple[int, int], ...]
    frequencies_GHz: Array
    anharmonicity_GHz: Array
    rules: Rules = RULES["hertzberg2021"]
    names: tuple[str, ...] = ()
    positions: Array | None = field(default=None, repr=False)

    @classmethod
    def from_edges(
        cls,
        edges: Sequence[tuple[int, int]],
        frequencies_GHz: ArrayLike,
        anharmonicity_GHz: ArrayLike = -0.33,
        *,
        rules: str | Rules = "hertzberg2021",
        controls: str = "higher",
        names: Sequence[str] = (),
        positions: ArrayLike | None = None,
    ) -> "Lattice":
        """Return a lattice from its coupled pairs.

        Args:
            edges: pairs of qubits, numbered from 0.
            frequencies_GHz: design frequency of each qubit (n,).
            anharmonicity_GHz: f12 - f01 < 0, one number or one per qubit.
            rules: `hertzberg2021`, `brink2018`, or windows of your own.
            controls: `higher`, the qubit of the higher design frequency in each pair, or `first`.
            names: names of the qubits, for tables; by default their numbers.
            positions: (n, 2), for figures.

        Raises:
            InputError: for qubits that do not exist, pairs that repeat, frequencies that are not above 0, and an
                anharmonicity that is not below 0.

        >>> lattice = Lattice.from_edges([(0, 1), (1, 2)], [5.0, 5.14, 5.07])
        >>> lattice.edges
        ((1, 0), (1, 2))
        >>> round(float(lattice.expected(0.014)), 4)
        0.0453
        """
        f = numbers("frequencies_GHz", frequencies_GHz, above=0, at_most=_HIGHEST_GHZ)
        if f.ndim != 1:
            raise InputError(f"frequencies_GHz has shape {f.shape}; expected one frequency per qubit")
        alpha = numbers("anharmonicity_GHz", anharmonicity_GHz)
        finite("anharmonicity_GHz", alpha, "")
        if (alpha >= 0).any():
            raise InputError(
                f"anharmonicity_GHz is {alpha[alpha >= 0].flat[0]:g}; expected f12 - f01 of a transmon, which is "
                "below 0: change the sign"
            )
        if alpha.ndim > 1 or (alpha.ndim == 1 and len(alpha) != len(f)):
            raise InputError(f"anharmonicity_GHz has shape {alpha.shape}; expected one number, or {len(f)}")
        choice("controls", controls, ("higher", "first"))
        windows = rules if isinstance(rules, Rules) else RULES[choice("rules", rules, RULES)]
        pairs = [_pair(edge, len(f)) for edge in edges]
        seen: set[frozenset[int]] = set()
        for pair in pairs:
            if frozenset(pair) in seen:
                raise InputError(f"edges lists the pair {pair} twice; expected each pair once")
            seen.add(frozenset(pair))
        if controls == "higher":
            pairs = [(b, a) if f[b] > f[a] else (a, b) for a, b in pairs]
        labels = tuple(map(str, names)) or tuple(map(str, range(len(f))))
        if len(labels) != len(f) or len(set(labels)) < len(f):
            raise InputError(
                f"names has {len(set(labels))} different names; expected one for each of {len(f)} qubits"
            )
        where = None if positions is None else numbers("positions", positions)
        if where is not None and where.shape != (len(f), 2):
            raise InputError(f"positions has shape {where.shape}; expected ({len(f)}, 2)")
        return cls(tuple(pairs), f, np.broadcast_to(alpha, f.shape), windows, labels, where)

    @cached_property
    def _windows(self) -> list[_Window]:
        windows = [w for c, t in self.edges for w in self._pair_windows(c, t)]
        targets: dict[int, list[int]] = {}
        for c, t in self.edges:
            targets.setdefault(c, []).append(t)
        for c, several in targets.items():
            for place, i in enumerate(several):
                for k in several[place + 1 :]:
                    windows += self._triple_windows(c, i, k)
        return windows

    def _pair_windows(self, c: int, t: int) -> list[_Window]:
        rules, alpha = self.rules, self.anharmonicity_GHz
        difference = ((t, c), (1, -1))
        return [
            _around(1, *difference, 0.0, rules.degenerate),
            _around(2, *difference, alpha[c] / 2, rules.two_photon / 2),
            _around(3, *difference, alpha[c], rules.second_level),
            _around(3, *difference, -alpha[t], rules.second_level),
            _Window(4, *difference, alpha[c], 0.0, inside=False),
        ]

    def _triple_windows(self, c: int, i: int, k: int) -> list[_Window]:
        rules, alpha = self.rules, self.anharmonicity_GHz
        difference = ((i, k), (1, -1))
        return [
            _around(5, *difference, 0.0, rules.targets),
            _around(6, *difference, alpha[k], rules.targets_second_level),
            _around(6, *difference, -alpha[i], rules.targets_second_level),
            _around(7, (c, i, k), (2, -1, -1), -alpha[c], rules.targets_two_photon),
        ]

    def expected(self, sigma_GHz: ArrayLike) -> Array:
        r"""Return the expected number of collisions for independent normal errors of the frequencies.

        Each rule is a window on a normal variable: of standard deviation $\sqrt2 \sigma$ for rules 1 to 6 (rule 2 by
        half of its window) and $\sqrt6 \sigma$ for rule 7. With $m$ collisions, $e^{-m}$ estimates the yield well where
        it is above a half, and is lower than it elsewhere.

        Args:
            sigma_GHz: standard deviation of the frequencies, at least 0; 0 counts the collisions of the design.

        >>> from solvable.junctions.lattices import falcon27
        >>> falcon27().expected([0.01, 0.014, 0.05]).round(3)
        array([0.336, 0.619, 7.311])
        """
        return self._probabilities(sigma_GHz).sum(axis=-1)

    def _probabilities(self, sigma_GHz: ArrayLike) -> Array:
        """Return the probability of each window to be hit, in a last axis."""
        from scipy.special import ndtr

        sigma = numbers("sigma_GHz", sigma_GHz, at_least=0)
        mean, low, high, inside, norm = self._arrays
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = sigma[..., None] * norm
            between = ndtr((high - mean) / scale) - ndtr((low - mean) / scale)
        at_design = np.where(inside, (mean > low) & (mean < high), (mean >= low) & (mean <= high))
        between = np.where(scale > 0, between, at_design)
        return np.where(inside, between, 1 - between)

    @cached_property
    def _arrays(self) -> tuple[Array, ...]:
        f, windows = self.frequencies_GHz, self._windows
        mean = np.array([np.dot(w.weights, f[list(w.qubits)]) for w in windows])
        norm = np.array([np.sqrt(np.dot(w.weights, w.weights)) for w in windows])
        low, high, inside = (
            np.array([getattr(w, name) for w in windows]) for name in ("low", "high", "inside")
        )
        return mean, low, high, inside, norm

    def collision_free_yield(
        self, sigma_GHz: ArrayLike, n_draws: int = 100_000, random_state: int | np.random.Generator = 0
    ) -> Array:
        """Return the share of random lattices without a collision; its standard error is sqrt(y (1 - y) / n_draws).

        Args:
            sigma_GHz: standard deviation of the frequencies, at least 0, of any shape; all use the same draws.
            n_draws: number of random lattices.
            random_state: seed, or a generator.

        >>> from solvable.junctions.lattices import falcon27
        >>> falcon27().collision_free_yield([0.005, 0.014, 0.05], n_draws=20_000).round(2)
        array([0.99, 0.55, 0.  ])
        """
        sigma = numbers("sigma_GHz", sigma_GHz, at_least=0)
        n = whole("n_draws", n_draws, at_least=1, at_most=10**9)
        draws = generator("random_state", random_state)
        checks = self._checks
        free = np.zeros(sigma.size, dtype=np.int64)
        for start in range(0, n, _BLOCK):
            normal = draws.standard_normal((min(_BLOCK, n - start), len(self.frequencies_GHz)))
            errors = np.ascontiguousarray(normal.T)
            for place, one in enumerate(sigma.flat):
                free[place] += _count_free(self.frequencies_GHz[:, None] + one * errors, checks)
        return (free / n).reshape(sigma.shape)

    def count(self, frequencies_GHz: ArrayLike) -> NDArray[np.int64]:
        """Return the number of collisions of lattices with these frequencies.

        Args:
            frequencies_GHz: frequencies (..., n_qubits), such as measured ones.

        >>> lattice = Lattice.from_edges([(0, 1), (1, 2)], [5.0, 5.14, 5.07])
        >>> lattice.count([[5.0, 5.14, 5.07], [5.13, 5.14, 5.07]]).tolist()
        [0, 1]
        """
        f = numbers("frequencies_GHz", frequencies_GHz, above=0)
        n = len(self.frequencies_GHz)
        if f.shape[-1:] != (n,):
            raise InputError(f"frequencies_GHz has shape {f.shape}; expected (..., {n}), one per qubit")
        total = np.zeros(f.shape[:-1], dtype=np.int64)
        by_qubit = np.ascontiguousarray(np.moveaxis(f, -1, 0))
        for (qubits, weights), windows in self._sums.items():
            value = _sum(by_qubit, qubits, weights)
            for w in windows:
                within = (
                    (value > w.low) & (value < w.high) if w.inside else (value < w.low) | (value > w.high)
                )
                total += within
        return total

    @cached_property
    def _checks(self) -> "list[tuple[tuple[int, ...], tuple[int, ...], list[tuple[float, float]]]]":
        """Return each sum of frequencies with the intervals in which it collides with nothing, pairs first."""
        return [(*key, _allowed(windows)) for key, windows in self._sums.items()]

    @cached_property
    def _sums(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], list[_Window]]:
        """Return the windows on each sum of frequencies."""
        sums: dict[tuple[tuple[int, ...], tuple[int, ...]], list[_Window]] = {}
        for window in self._windows:
            sums.setdefault((window.qubits, window.weights), []).append(window)
        return sums

    def required_spread(
        self, target_yield: float, n_draws: int = 20_000, random_state: int | np.random.Generator = 0
    ) -> float:
        """Return the standard deviation of the frequencies in GHz at which the yield falls to a wanted one.

        Args:
            target_yield: share of lattices without a collision, between 0 and 1.
            n_draws: number of random lattices.
            random_state: seed, or a generator.

        Raises:
            InputError: if the design itself collides, and for a yield that is not between 0 and 1.

        >>> from solvable.junctions.lattices import falcon27
        >>> 0.0098 < falcon27().required_spread(0.72) < 0.0103
        True
        """
        from scipy.optimize import brentq

        target = one_number("target_yield", target_yield, above=0)
        if target >= 1:
            raise InputError(f"target_yield is {target:g}; expected a share below 1, such as 0.9")
        if found := self.table():
            raise InputError(
                f"the design frequencies themselves collide ({len(found)} times, first rule {found[0].rule} of qubits "
                f"{', '.join(found[0].qubits)}); change them first"
            )
        whole("n_draws", n_draws, at_least=10, at_most=10**7)
        if (1 - target) * n_draws < _FEWEST_FAILURES:
            raise InputError(
                f"target_yield is {target:g}, of which {n_draws} lattices see {(1 - target) * n_draws:.2g} failures; "
                f"expected at least {_FEWEST_FAILURES}: choose n_draws of {_FEWEST_FAILURES / (1 - target):.0f} or more"
            )
        state = generator("random_state", random_state).integers(2**63)

        def excess(sigma: float) -> float:
            return float(self.collision_free_yield(sigma, n_draws, np.random.default_rng(state))) - target

        high = 1e-3
        while excess(high) > 0:
            high *= 2
            if high > 10:
                raise InputError(
                    f"target_yield is {target:g}, which holds for any spread; there is no collision to avoid"
                )
        root: Any = brentq(excess, high / 2 if high > 1e-3 else 0.0, high, xtol=1e-7)
        return float(root)

    def table(self, sigma_GHz: float = 0.0, least: float = 1e-3) -> "list[Collision]":
        """Return which qubits collide, by which rule and how probably, most probable first.

        Args:
            sigma_GHz: standard deviation of the frequencies; with 0, as for frequencies that were measured, the
                collisions that are there.
            least: smallest probability that is listed.

        >>> lattice = Lattice.from_edges([(0, 1)], [5.0, 5.01])
        >>> lattice.table()[0].reason
        'same frequency'
        """
        probability = self._probabilities(one_number("sigma_GHz", sigma_GHz, at_least=0))
        rows = [
            Collision(w.rule, tuple(self.names[q] for q in w.qubits), NAMES[w.rule], float(p), w.qubits)
            for w, p in zip(self._windows, probability, strict=True)
            if p >= least
        ]
        return sorted(rows, key=lambda row: -row.probability)

    def to_frame(self, sigma_GHz: float = 0.0, least: float = 1e-3) -> "pd.DataFrame":
        """Return the rows of `table` as a pandas table."""
        import pandas as pd

        columns = ["rule", "qubits", "reason", "probability"]
        rows = [(c.rule, "-".join(c.qubits), c.reason, c.probability) for c in self.table(sigma_GHz, least)]
        return pd.DataFrame(rows, columns=pd.Index(columns))

    def layout(self) -> Array:
        """Return the positions of the qubits for a figure: those given, or from their distances in the lattice."""
        if self.positions is not None:
            return self.positions
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import shortest_path

        n = len(self.frequencies_GHz)
        rows, columns = np.array(self.edges).reshape(-1, 2).T
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)).tocsr()
        distance = shortest_path(graph, directed=False)
        distance[np.isinf(distance)] = n
        # Classical scaling: the plane in which squared distances are kept best.
        square = distance**2
        centred = square - square.mean(0) - square.mean(1)[:, None] + square.mean()
        values, vectors = np.linalg.eigh(-centred / 2)
        return vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0)) if n > 1 else np.zeros((n, 2))


class Collision(NamedTuple):
    """One collision: a rule that some qubits break."""

    rule: int
    """1 to 7, as in `NAMES`."""
    qubits: tuple[str, ...]
    """Names of the qubits: target and control, two targets, or control and two targets."""
    reason: str
    """The rule in words."""
    probability: float
    """Probability of the collision; 0 or 1 without a spread."""
    numbers: tuple[int, ...]
    """Numbers of the qubits."""


def _pair(edge: Sequence[int], n: int) -> tuple[int, int]:
    words = tuple(edge) if np.ndim(edge) == 1 else ()
    if len(words) != 2 or any(isinstance(q, bool) or q not in range(n) for q in words):
        raise InputError(f"edges has {edge!r}; expected pairs of qubits, numbered from 0 to {n - 1}")
    if words[0] == words[1]:
        raise InputError(f"edges has {edge!r}, a qubit with itself; expected pairs of two qubits")
    return int(words[0]), int(words[1])


def _around(
    rule: int, qubits: tuple[int, ...], weights: tuple[int, ...], centre: float, half_MHz: float
) -> _Window:
    return _Window(rule, qubits, weights, centre - half_MHz / 1e3, centre + half_MHz / 1e3)


def _allowed(windows: list[_Window]) -> list[tuple[float, float]]:
    """Return the intervals that no window forbids, as pairs of ends; ends at which nothing collides are inside."""
    intervals = [(-np.inf, np.inf)]
    for window in windows:
        if not window.inside:
            cut = [(max(a, window.low), min(b, window.high)) for a, b in intervals]
        else:
            cut = [part for a, b in intervals for part in ((a, min(b, window.low)), (max(a, window.high), b))]
        intervals = [(a, b) for a, b in cut if a <= b]
    return intervals


def _sum(frequencies: Array, qubits: tuple[int, ...], weights: tuple[int, ...]) -> Array:
    if weights == (1, -1):
        return frequencies[qubits[0]] - frequencies[qubits[1]]
    if weights == (2, -1, -1):
        control, i, k = qubits
        return 2 * frequencies[control] - frequencies[i] - frequencies[k]
    raise AssertionError(f"no rule has the weights {weights}")


def _count_free(frequencies: Array, checks: list) -> int:
    """Return the number of lattices (columns) in which each sum of frequencies is in an allowed interval."""
    free = None
    for qubits, weights, intervals in checks:
        value = _sum(frequencies, qubits, weights)
        good: Any = False
        for low, high in intervals:
            if low == -np.inf:
                inside = value <= high
            elif high == np.inf:
                inside = value >= low
            else:
                inside = value >= low
                inside &= value <= high
            good = inside if good is False else np.logical_or(good, inside, out=good)
        free = good if free is None else np.logical_and(free, good, out=free)
        # As an early exit does: what has collided need not be looked at again.
        left = np.count_nonzero(free)
        if left == 0:
            return 0
        if left < 0.7 * len(free):
            frequencies, free = frequencies[:, free], None
    return frequencies.shape[1] if free is None else int(np.count_nonzero(free))
