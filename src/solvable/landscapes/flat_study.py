r"""The study `gradient-flat`: searches for critical points that end where the gradient is not zero.

- *Toy*: from a grid of starts on a loss of two parameters, each method ends at the critical point or at a minimum of
  the gradient norm, whose loss and $|g|^2$ are known; `toy_loss` and `toy_squared_gradient` are compared.
- *Networks*: each trial trains a small network on principal components of the data, and searches from points of the
  trajectory by Newton-MR and by LM. Each end is classified. At each, Newton's system is solved to the paper's
  tolerance, 5e-4, and to rounding: the paper calls a point flat if the residual r that the solver reports is above 0.9.

Source: Frye et al., 2021, arXiv:2003.10397.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.parameters import seed_of
from solvable.lab.text import percent, readable
from solvable.landscapes.drawing import plot_flat
from solvable.landscapes.experiment import (
    CRITICAL_KINDS,
    KIND_NAMES,
    METHOD_NAMES,
    NetworkSearch,
    network_loss,
    principal_components,
    search_network,
    search_toy,
)
from solvable.landscapes.methods import LM, Method, NewtonMR
from solvable.landscapes.result import labels_by_loss
from solvable.landscapes.sampling import descend, sample_starts

TOY_METHODS = ("newton_mr", "lm", "gnm")
"""Methods that are compared on the toy."""

SEARCHES = ("newton_mr", "lm")
"""Methods that are compared on networks."""

LARGE = 0.9
"""Residuals r above this are a sign of flat points, by the paper."""

_SAMPLES, _STEPS, _LEARNING_RATE, _MOMENTUM, _NOISE_STD = 100, 3000, 0.05, 0.9, 0.05
_L2_OF_CLASSIFIERS = 1e-2


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The data, the network and the search."""

    model: Literal["auto", "classifier", "autoencoder"] = "auto"
    """Network: classifier with a hidden layer of 4 swish units, the default for classes; autoencoder, 4 and 8 units."""

    n_components: int = 8
    """Number of principal components of the data, each scaled to variance 1: the inputs."""

    n_samples: int | None = None
    """Number of samples; by default all, at most 100."""

    l2: float | None = None
    """Weight of the squared norm of the parameters in the loss; by default 0.01 for a classifier, else 0."""

    steps: int = 3000
    """Number of steps of training on whose trajectory the starts are."""

    starts: int = 6
    """Number of starts in each trial, half of them with noise."""

    max_iter: int = 100
    """Number of steps of the search from each start, at most."""

    trials: int = 2
    """Number of networks."""

    random_state: int = 0
    """Seed of the samples, the weights and the starts."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "n_components": 1,
                "n_samples": 10,
                "l2": 0,
                "steps": 1,
                "starts": 1,
                "max_iter": 1,
                "trials": 1,
            },
            at_most={"l2": 1e6, "steps": 100_000, "starts": 10_000, "max_iter": 100_000},
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """What the networks are trained on.

    Attributes:
        X: inputs (n, components).
        y: targets: the inputs, or the numbers of the classes (n,).
        classifier: whether the targets are classes.
        sizes: of the layers.
        l2: weight of the squared norm of the parameters.
        notes: on the data and the network.
        fingerprint: of the data.
    """

    X: Float[NDArray, "n components"]
    y: NDArray
    classifier: bool
    sizes: tuple[int, ...]
    l2: float
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data, and compute the principal components of some samples."""
    import solvable.networks  # noqa: F401  # says so if torch is missing

    data = parameters.load("auto", None, parameters.random_state)
    n = parameters.n_samples or min(len(data.X), _SAMPLES)
    classifier = parameters.model == "classifier" or (parameters.model == "auto" and bool(data.classes))
    if n > len(data.X):
        raise InputError(
            f"n_samples is {n}; expected at most {len(data.X)}, the samples of {parameters.data!r}"
        )
    if classifier and not data.classes:
        raise InputError(
            f"model is classifier, and the target of {parameters.data!r} is a number; expected auto or autoencoder"
        )
    rows = np.random.default_rng(parameters.random_state).permutation(len(data.X))[:n]
    X = principal_components(data.X[rows], parameters.n_components)
    d = X.shape[1]
    if d < parameters.n_components:
        raise InputError(
            f"n_components is {parameters.n_components}; expected at most {d}, the rank of {n} samples of "
            f"{parameters.data!r}"
        )
    y = data.y[rows].argmax(axis=1) if classifier else X
    sizes = (d, 4, len(data.classes)) if classifier else (d, 4, 8, d)
    l2 = parameters.l2
    if l2 is None:
        l2 = _L2_OF_CLASSIFIERS if classifier else 0.0
    n_parameters = sum((m + 1) * k for m, k in pairwise(sizes))
    name = _name(classifier)
    note = (
        f"network: {name} with layers of {', '.join(map(str, sizes))} units, swish and biases, "
        f"{n_parameters} parameters, on {n} samples; loss: "
        f"{'cross-entropy' if classifier else 'mean squared error per entry'}{f' + {l2:g} |θ|²' * (l2 > 0)}"
    )
    return Setting(X, y, classifier, sizes, l2, (*data.notes, note), data.fingerprint)


def _name(classifier: bool) -> str:
    return "classifier" if classifier else "autoencoder"


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    r"""Return loss and $|g|^2$ at the toy's flat minimum of $|g|$, where $x = \sqrt2$ and y = 0."""
    root = np.sqrt(2)
    ones = np.ones(len(TOY_METHODS))
    return xr.Dataset(
        {
            "toy_squared_gradient": ("method", (9 - 4 * root) ** 2 * ones),
            "toy_loss": ("method", (35 + 9 * root) * ones),
        },
        {"method": list(TOY_METHODS)},
        {"model": _name(setting.classifier)},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train one network and search from points of its trajectory; the toy is searched alike in each trial."""
    loss = network_loss(
        setting.sizes,
        setting.X,
        setting.y,
        setting.classifier,
        setting.l2,
        seed_of(parameters.random_state, index, 0),
    )
    trajectory, heights = descend(
        loss, learning_rate=_LEARNING_RATE, momentum=_MOMENTUM, n_steps=parameters.steps
    )
    starts = sample_starts(
        trajectory,
        heights,
        parameters.starts,
        noise_std=_NOISE_STD,
        random_state=seed_of(parameters.random_state, index, 1),
    )
    methods: tuple[Method, ...] = NewtonMR(), LM()
    ends = [search_network(loss, starts, method, parameters.max_iter) for method in methods]
    arrays = [_arrays(end, parameters.max_iter + 1) for end in ends]
    numbers = {name: (("search", "start"), np.array([a[name] for a in arrays])) for name in _NUMBERS}
    traces = {name: (("search", "start", "step"), np.array([a[name] for a in arrays])) for name in _TRACES}
    coordinates = {
        "search": list(SEARCHES),
        "start": np.arange(parameters.starts),
        "step": np.arange(parameters.max_iter + 1),
    }
    measured = xr.Dataset({**numbers, **traces}, coordinates)
    return measured.merge(_toy())


_NUMBERS = (
    *("loss", "index_fraction", "squared_gradient", "kind"),
    *("loose_residual", "residual", "curvature_ratio", "growth"),
)
_TRACES = {
    "trace": "squared_gradient",
    "residual_trace": "residual",
    "cokernel_trace": "cokernel_residual",
}


def _arrays(end: NetworkSearch, records: int) -> dict[str, NDArray]:
    """Return numbers (starts,) and traces (starts, records) of a search on a network."""
    found, verdicts = end.found, end.verdicts
    recorded, traces = len(found.traces["residual"]), {}
    for name, source in _TRACES.items():
        traces[name] = np.full((len(found), records), np.nan)
        traces[name][:, :recorded] = found.traces[source].T
    return traces | {
        "loss": found.loss,
        # Of critical points, the index where polishing ends: it is not yet settled where |g|^2 = 1e-10.
        "index_fraction": np.array(
            [np.nan if v.index is None else v.index / v.n_parameters for v in verdicts]
        ),
        "squared_gradient": found.squared_gradient,
        "kind": np.array([KIND_NAMES.index(verdict.kind) for verdict in verdicts]),
        "loose_residual": end.loose_residual,
        "residual": np.array([verdict.residual for verdict in verdicts]),
        "curvature_ratio": np.array([verdict.curvature_ratio for verdict in verdicts]),
        "growth": end.growth,
    }


# Starts on the toy whose paths are drawn: pairs of rows and columns of the grid.
_PATHS = ((9, 8), (4, 2), (2, 0))


@lru_cache
def _toy() -> xr.Dataset:
    """Return what the methods find on the toy; it is the same each time."""
    searches = [search_toy(method) for method in TOY_METHODS]
    flat = [_flat(one.kinds) for one in searches]
    shown = [10 * i + j for i, j in _PATHS]
    ends = [
        (np.median(one.squared_gradient[f]), np.median(one.loss[f])) if f.any() else (np.nan, np.nan)
        for one, f in zip(searches, flat, strict=True)
    ]
    return xr.Dataset(
        {
            "toy_squared_gradient": ("method", [end[0] for end in ends]),
            "toy_loss": ("method", [end[1] for end in ends]),
            "toy_critical": ("method", [float(_critical(one.kinds).mean()) for one in searches]),
            "toy_flat": ("method", [float(f.mean()) for f in flat]),
            "toy_path": (
                ("method", "path", "toy_step", "axis"),
                np.array([one.points[:, shown].swapaxes(0, 1) for one in searches]),
            ),
        },
        {"method": list(TOY_METHODS), "axis": ["x", "y"]},
    )


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how many searches on networks end at critical points, and how many on gradient-flat ground."""
    kind = measurement.kind.values.ravel()
    critical, flat = int(_critical(kind).sum()), int(_flat(kind).sum())
    model = prediction.attrs["model"]
    article = "an" if model[0] in "aeiou" else "a"
    return (
        f"On {article} {model}, {critical} of {kind.size} searches end at a critical point, and {flat} on flat ground "
        "whose gradient is not zero"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the ends of all methods, and on the residuals of Newton's system at the flat ones."""
    first = measurement.isel(trial=0)
    shares = zip(TOY_METHODS, first.toy_critical.values, first.toy_flat.values, strict=True)
    toy = [f"{METHOD_NAMES[name]} {percent(one)} and {percent(other)}" for name, one, other in shares]
    text = (
        "Shares of the toy's starts that end at its critical point and on gradient-flat ground: "
        f"{', '.join(toy[:-1])}, {toy[-1]}."
    )
    model = prediction.attrs["model"]
    for name in SEARCHES:
        text += f" On the {model}, {METHOD_NAMES[name]} {_ends(measurement.sel(search=name))}."
    flat = _flat(measurement.kind.values.ravel())
    if flat.any():
        ratio, loose, exact = (
            measurement[name].values.ravel()[flat]
            for name in ("curvature_ratio", "loose_residual", "residual")
        )
        n = int(flat.sum())
        text += (
            f" At the {n} gradient-flat end{'s' * (n != 1)} the curvature along the gradient is at most "
            f"{readable(float(ratio.max()), 2)} of the largest. Newton's system solved to the paper's tolerance, 5e-4, "
            f"leaves r > {LARGE:g} at {int((loose > LARGE).sum())} of them, and solved to rounding at "
            f"{int((exact > LARGE).sum())}: r alone does not tell flat points."
        )
    return text


def _critical(kind: NDArray) -> NDArray[np.bool_]:
    return np.isin(kind, [KIND_NAMES.index(name) for name in CRITICAL_KINDS])


def _flat(kind: NDArray) -> NDArray[np.bool_]:
    return kind == KIND_NAMES.index("gradient-flat")


def _ends(measurement: xr.Dataset) -> str:
    """Return words on the kinds of the ends of a search on networks."""
    kind = measurement.kind.values.ravel()
    critical = _critical(kind)
    flat = int(_flat(kind).sum())
    n, found = len(kind), int(critical.sum())
    loss, index = (measurement[name].values.ravel()[critical] for name in ("loss", "index_fraction"))
    distinct = len(set(labels_by_loss(loss, index)))
    points = f" at {distinct} distinct point{'s' * (distinct != 1)} by loss and index" if found else ""
    text = f"ended critical from {found} of {n} starts{points}, gradient-flat from {flat}"
    return f"{text}, otherwise from {n - found - flat}"


study = Study(
    name="gradient-flat",
    title="Where searches for critical points end on a toy and on networks: critical, flat, or on the way",
    paper=(
        "C. G. Frye, J. Simon, N. S. Wadia, A. Ligeralde, M. R. DeWeese, K. E. Bouchard, Critical point-finding "
        "methods reveal gradient-flat regions of deep network losses, Neural Computation 33(6), 2021, arXiv:2003.10397"
    ),
    question="Which of the points that such a search returns are critical?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", n_components=2, n_samples=30, steps=100, starts=1, max_iter=3, trials=2),
    compared=("toy_squared_gradient", "toy_loss"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot_flat,
    conclude=conclude,
    headline=headline,
    equations=(
        r"for the gradient $g$ and the Hessian $H$ of a loss $L$: $\nabla \frac{1}{2} \left| g \right|^2 = H g$, so "
        r"that searches for small gradients stop where $H g = 0$, critical ($g = 0$) or gradient-flat ($g \ne 0$)",
        r"a toy with both: $L = \frac{1}{4} x^4 - 3 x^2 + 9 x + \frac{9}{10} y^4 + 5 y^2 + 40$",
        r"it is critical at $x = -3$, $y = 0$, and gradient-flat at $x = \sqrt{2}$, $y = 0$, with "
        r"$\left| g \right|^2 = (9 - 4 \sqrt{2})^2$ and $L = 35 + 9 \sqrt{2}$",
    ),
)
