r"""Content of the page (`page.py`), without marimo or torch: searches of the toy from one start, and an autoencoder."""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import nan

import numpy as np
from numpy.typing import NDArray

from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import readable
from solvable.landscapes import linear_autoencoder, toy
from solvable.landscapes.classification import classify
from solvable.landscapes.finders import find_critical_points
from solvable.landscapes.losses import Loss, numpy_loss
from solvable.landscapes.theory import CRITICAL

Numbers = NDArray[np.float64]
Fact = tuple[str, str, str]
Legend = tuple[tuple[str, str], ...]

METHODS = {
    "lm": ("", "Levenberg–Marquardt"),
    "newton_mr": ("other", "Newton-MR"),
    "damped_newton": ("asked", "damped Newton"),
    "gnm": ("norm", "gradient descent on |g|²"),
}
"""Method -> class of its curve and its name on the page, in the order in which they are drawn."""
COORDINATES = tuple(round(-4 + 0.1 * i, 1) for i in range(81))
"""Values of the sliders of the start, which cover the field."""
MAX_STEPS = 30
"""Newton-MR creeps along the flat line for hundreds of steps; these are enough to see where it goes."""

STYLE = """
#field .band { fill: var(--page-soft); opacity: .1; }
#field svg.chart { cursor: crosshair; }
#toy .facts { margin-top: 1rem; }
#toy .formula { margin: 0; align-self: start; }
svg.chart .curve.norm { stroke: #2a8a57; }
.dark svg.chart .curve.norm { stroke: #74d3a0; }
svg.chart circle.critical { fill: currentColor; stroke: var(--background, #fff); }
svg.chart circle.flat { fill: var(--background, #fff); stroke: currentColor; stroke-width: 1.5; }
#field circle.start { r: 9px; fill: var(--page-accent); stroke: var(--background, #fff); cursor: grab; }
.solvable .legend .norm::before { border-color: #2a8a57; }
.dark .solvable .legend .norm::before { border-color: #74d3a0; }
.solvable .legend .zero::before { border-top: 1px solid var(--page-soft); }
.solvable .legend :is(.critical, .flat, .start)::before { width: .65rem; height: .65rem; border-radius: 50%;
  border: 1.5px solid currentColor; vertical-align: 0; }
.solvable .legend .critical::before { background: currentColor; }
.solvable .legend .start::before { background: var(--page-accent); border-color: var(--page-accent); }
"""
"""Look of the marks and curves that only this page has."""

INPUTS = tuple(range(2, 9))
HIDDEN = tuple(range(1, 5))
DECAYS = tuple(round(0.6 + 0.05 * i, 2) for i in range(7))
"""Values of the sliders of the autoencoder."""
N_STARTS = 60
"""Starts of one search for its critical points; at most a second or so."""

# Values of |g|^2, closer together around its minimum of 11.2 and its saddle at 214.8.
_LEVELS = (1, 4, 12, 35, 100, 214, 700, 2500, 9000, 30000)
_LEAST = 1e-12


@dataclass(frozen=True)
class View:
    """Content of a part of the page: facts, a sentence, charts with their legends, and code."""

    facts: tuple[Fact, ...]
    sentence: str
    charts: tuple[tuple[str, Legend], ...]
    code: str


@dataclass(frozen=True)
class Run:
    """The search of one method.

    Attributes:
        method: key of `METHODS`.
        path: the start and the point after each step (steps + 1, 2).
        squared: $|g|^2$ at them (steps + 1,).
        kind: verdict of `classify` on the last one.
    """

    method: str
    path: Numbers
    squared: Numbers
    kind: str

    @property
    def name(self) -> str:
        """The method's name on the page."""
        return METHODS[self.method][1]

    @property
    def found(self) -> bool:
        """Whether the search ended at the toy's critical point."""
        return self.kind == "minimum"


def run(method: str, x: float, y: float) -> Run:
    """Return the search of a method on the toy from (x, y).

    >>> run("lm", -1.0, 2.0).kind, run("gnm", -1.0, 2.0).kind
    ('minimum', 'gradient-flat')
    """
    path = [np.array([x, y])]
    found = find_critical_points(
        toy.loss(),
        path[0],
        method,
        max_iter=MAX_STEPS,
        callback=lambda _, theta: path.append(theta[0]),
        quiet=True,
    )
    n = int(found.n_iter[0]) + 1
    # Most searches end at one of a few points; rounded, they are the same.
    kind = _kind(*(round(float(t), 8) for t in found.theta[0]))
    return Run(method, np.array(path[:n]), found.traces["squared_gradient"][:n, 0], kind)


@cache
def _kind(x: float, y: float) -> str:
    """Return the kind of a point of the toy."""
    return classify(toy.loss(), np.array([x, y])).kind


def toy_view(x: float, y: float) -> View:
    """Return what the page shows of the toy: how the search of each method from (x, y) ends.

    >>> toy_view(-3.0, 0.0).sentence
    'From (-3, 0) all four methods find the critical point.'
    """
    runs = [run(method, x, y) for method in METHODS]
    facts = tuple((one.name, one.kind, _end(one.squared)) for one in runs)
    code = [
        "import numpy as np",
        "from solvable.landscapes import (",
        "    find_critical_points, toy,",
        ")",
        "",
        f"start = np.array([{x}, {y}])",
        "found = find_critical_points(",
        f'    toy.loss(), start, "lm", max_iter={MAX_STEPS}',
        ")",
        "print(found.classify()[0])",
    ]
    return View(facts, _sentence(runs, x, y), (_field(runs, x, y), _traces(runs)), "\n".join(code))


def _end(squared: Numbers) -> str:
    value, n = readable(squared[-1], 3) if squared[-1] > _LEAST else "0", len(squared) - 1
    return f"|g|² = {value} after {n} step{'s' * (n != 1)}"


def _sentence(runs: list[Run], x: float, y: float) -> str:
    found, place = [one.name for one in runs if one.found], f"From ({x:g}, {y:g})"
    if len(found) == len(runs):
        return f"{place} all four methods find the critical point."
    if not found:
        return f"{place} no method finds the critical point: each stops where the gradient is not zero."
    names = " and ".join(", ".join(found).rsplit(", ", 1))
    rest = "The other one stops" if len(found) == len(runs) - 1 else "The others stop"
    return f"{place} the critical point is found by {names} only. {rest} where the gradient is not zero."


@cache
def _contours() -> tuple[Curve, ...]:
    r"""Return the sets $|g|^2 \le c$ as bands.

    The toy is a sum of a function of x and one of y, so that $|g|^2 = a(x)^2 + b(y)^2$ with b odd and growing: a set
    lies between two roots of $a(x)^2 = c$, and reaches up to $|y| = b^{-1}(\sqrt{c - a(x)^2})$.
    """
    up = np.linspace(0, 5, 200)
    b = toy.gradient(np.stack([0 * up, up], axis=-1))[:, 1]
    low, high = COORDINATES[0], COORDINATES[-1]
    bands = []
    for level in _LEVELS:
        roots = np.concatenate([np.roots([1, 0, -6, 9 + sign * level**0.5]) for sign in (-1, 1)])
        real = roots[np.abs(roots.imag) < 1e-9].real
        ends = np.sort([low, *real[np.abs(real) < high], high])
        for left, right in pairwise(ends):
            # Close together at the ends, where the set is round.
            x = (left + right) / 2 - (right - left) / 2 * np.cos(np.linspace(0, np.pi, 25))
            a = toy.gradient(np.stack([x, 0 * x], axis=-1))[:, 0]
            if a[12] ** 2 < level:
                y = np.interp(np.sqrt(np.maximum(level - a**2, 0)), b, up)
                bands.append(Curve(x, np.full(25, nan), low=-y, high=y))
    # The largest first, so that smaller ones are drawn above it.
    return tuple(reversed(bands))


def _curve(one: Run, x: Numbers, y: Numbers) -> Curve:
    kind = METHODS[one.method][0]
    # Dashed, since it often coincides with another.
    return Curve(x, y, dashed=np.full(len(x), kind == "asked"), classes=kind or "lm")


def _field(runs: list[Run], x: float, y: float) -> tuple[str, Legend]:
    low, high = COORDINATES[0], COORDINATES[-1]
    paths = [_curve(one, one.path[:, 0], one.path[:, 1]) for one in runs]
    marks = [
        Mark(*toy.FLAT, "flat"),
        Mark(*toy.FLAT_SADDLE, "flat"),
        Mark(*toy.CRITICAL, "critical"),
        Mark(x, y, "start"),
    ]
    drawn = chart(
        "Where the searches go",
        LinearAxis("x", low, high),
        LinearAxis("y", low, high),
        [*_contours(), *paths],
        marks,
    )
    points = (("start", "start, drag it"), ("critical", "critical point"), ("flat", "gradient-flat points"))
    return drawn, (*points, *METHODS.values())


def _traces(runs: list[Run]) -> tuple[str, Legend]:
    longest = max(len(one.path) for one in runs) - 1
    x = LinearAxis.around("step", 0, max(longest, 5))
    highest = max(one.squared[0] for one in runs)
    lines = [
        _curve(one, np.arange(len(one.squared), dtype=float), np.maximum(one.squared, _LEAST)) for one in runs
    ]
    limit = Curve([x.low, x.high], [CRITICAL, CRITICAL], classes="zero")
    y = LogAxis("", _LEAST, max(10 * highest, 100))
    drawn = chart("|g|² after each step", x, y, [limit, *lines])
    return drawn, (("zero", "a point below this line is critical"),)


@dataclass(frozen=True)
class Autoencoder:
    """A linear autoencoder whose inputs have the variances 1, r, r², …

    Attributes:
        inputs: k, number of inputs and of outputs.
        hidden: p, number of hidden units.
        decay: r in (0, 1).
    """

    inputs: int = 6
    hidden: int = 3
    decay: float = 0.7

    @property
    def variances(self) -> Numbers:
        """The eigenvalues of the covariance (k,)."""
        return np.float64(self.decay) ** np.arange(self.inputs)

    @property
    def covariance(self) -> Numbers:
        """The covariance of the inputs (k, k)."""
        return np.diag(self.variances)

    @property
    def n_parameters(self) -> int:
        """Number of weights N."""
        return 2 * self.inputs * self.hidden


def autoencoder_loss(problem: Autoencoder) -> Loss:
    r"""Return `linear_autoencoder.loss` for the finders, with derivatives in closed form.

    With $E = (W_2 W_1 - I) \Sigma$,

    $$ \nabla_{W_1} L = W_2^\top E, \qquad \nabla_{W_2} L = E W_1^\top. $$
    """
    k, p, variances = problem.inputs, problem.hidden, problem.variances

    def split(theta: Numbers) -> tuple[Numbers, Numbers]:
        return theta[:, : p * k].reshape(-1, p, k), theta[:, p * k :].reshape(-1, k, p)

    def join(first: Numbers, second: Numbers) -> Numbers:
        return np.concatenate([first.reshape(-1, p * k), second.reshape(-1, p * k)], axis=1)

    def value(theta: Numbers) -> Numbers:
        W1, W2 = split(theta)
        return np.einsum("bij,j->b", np.square(W2 @ W1 - np.eye(k)), variances) / 2

    def gradient(theta: Numbers) -> Numbers:
        W1, W2 = split(theta)
        E = (W2 @ W1 - np.eye(k)) * variances
        return join(W2.swapaxes(1, 2) @ E, E @ W1.swapaxes(1, 2))

    def product(theta: Numbers, vectors: Numbers) -> Numbers:
        (W1, W2), (V1, V2) = split(theta), split(vectors)
        E, change = (W2 @ W1 - np.eye(k)) * variances, (V2 @ W1 + W2 @ V1) * variances
        return join(
            V2.swapaxes(1, 2) @ E + W2.swapaxes(1, 2) @ change,
            change @ W1.swapaxes(1, 2) + E @ V1.swapaxes(1, 2),
        )

    return numpy_loss(value, gradient, hessp=product, batched=True)


@dataclass(frozen=True)
class Search:
    """What searches from random starts found.

    Attributes:
        problem: the autoencoder.
        starts: number of starts so far.
        critical: number of them that ended with $|g|^2$ below 1e-10.
        mismatches: critical ends that are at no class of the theory, or differ in loss, index or nullity.
        classes: subsets of the classes at which the others ended.
    """

    problem: Autoencoder
    starts: int = 0
    critical: int = 0
    mismatches: int = 0
    classes: frozenset[tuple[int, ...]] = field(default_factory=frozenset)


def search(earlier: Search) -> Search:
    """Return an earlier search with `N_STARTS` more starts of Levenberg-Marquardt.

    >>> found = search(Search(Autoencoder(3, 1)))
    >>> found.starts, found.critical, found.mismatches, len(found.classes)
    (60, 60, 0, 4)
    """
    problem = earlier.problem
    rng = np.random.default_rng(earlier.starts)
    starts = 0.5 * rng.standard_normal((N_STARTS, problem.n_parameters))
    found = find_critical_points(autoencoder_loss(problem), starts, "lm", max_iter=200, quiet=True)
    critical = np.flatnonzero(found.squared_gradient <= CRITICAL)
    ends = linear_autoencoder.identify(found.theta[critical], problem.covariance, problem.hidden)
    measured = zip(found.loss[critical], found.index[critical], found.nullity[critical], strict=True)
    same = [
        end is not None and abs(end.loss - loss) < 1e-8 and (end.n_negative, end.n_zero) == (index, nullity)
        for end, (loss, index, nullity) in zip(ends, measured, strict=True)
    ]
    return Search(
        problem,
        earlier.starts + N_STARTS,
        earlier.critical + len(critical),
        earlier.mismatches + len(same) - sum(same),
        earlier.classes | {end.subset for end, agrees in zip(ends, same, strict=True) if agrees},
    )


def autoencoder_view(problem: Autoencoder, found: Search | None = None) -> View:
    """Return what the page shows of an autoencoder: all its critical points, and those that a search of it found.

    >>> autoencoder_view(Autoencoder(6, 3)).sentence
    'The loss of these 36 weights has 42 classes of critical points: 1 is the minimum, the other 41 are saddles.'
    """
    points = linear_autoencoder.theory(problem.covariance, problem.hidden)
    n, minimum = len(points), next(point for point in points if not point.n_negative)
    searched = found if found is not None and found.problem == problem else Search(problem)
    many, starts = len(searched.classes), searched.starts
    wrong = f"mismatches with theory: {searched.mismatches}"
    facts = (
        ("classes of critical points", str(n), f"{n - 1} of them saddles"),
        ("the minimum", readable(minimum.loss, 3), f"loss; {minimum.n_zero} directions are flat"),
        (
            "the point at zero",
            readable(points[0].loss, 3),
            f"loss; {points[0].n_negative} directions lead down",
        ),
        (
            "classes found",
            f"{many} of {n}" if starts else "–",
            wrong if starts else "press the button to search",
        ),
    )
    text = (
        f"The loss of these {problem.n_parameters} weights has {n} classes of critical points: 1 is the minimum, the "
        f"other {n - 1} are saddles."
    )
    if starts:
        text += f" {searched.critical} of {starts} starts reached |g|² ≤ 1e-10, at {many} different classes."
    if searched.mismatches:
        text += " At a mismatch the weights are very unequal, and eigenvalues too small to be told from 0."
    # Found ones are drawn last, above the others.
    ordered = sorted(points, key=lambda point: point.subset in searched.classes)
    marks = [
        Mark(point.index_fraction, point.loss, "critical" if point.subset in searched.classes else "flat")
        for point in ordered
    ]
    drawn = chart(
        "All critical points",
        LinearAxis("negative eigenvalues, as a share of all", -0.02, 0.52, 0.1),
        LinearAxis.around("loss", 0, 1.06 * points[0].loss),
        [],
        marks,
    )
    legend = (("flat", "theory"), *((("critical", "found"),) if starts else ()))
    code = [
        "import numpy as np",
        "from solvable.landscapes import (",
        "    linear_autoencoder,",
        ")",
        "",
        f"covariance = np.diag({problem.decay} ** np.arange({problem.inputs}))",
        "for point in linear_autoencoder.theory(",
        f"    covariance, n_hidden={problem.hidden}",
        "):",
        "    print(point.loss, point.n_negative)",
    ]
    return View(facts, text, ((drawn, legend),), "\n".join(code))
