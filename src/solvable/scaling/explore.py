r"""Content of the page (`page.py`), without marimo: what each layer of a network needs, and how its features change.

All of it is in closed form and needs no torch. The measurement is in `explore_measured.py`.
"""

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import readable
from solvable.scaling.parametrizations import exponents
from solvable.scaling.theory import init_std, lr_multiplier, max_lr_richness, plateau_exponent

OPTIMIZERS = {
    "AdamW or Adam": "adamw",
    "SGD, with momentum or not": "sgd",
    "Muon (orthogonal updates)": "muon",
}
"""Optimizers by their names on the page."""
BASES = {str(2**k): 2**k for k in range(6, 11)} | {"none: absolute factors": None}
"""Widths at which the learning rate was tuned, by their names on the page."""
INPUTS = (2, 8, 32, 64, 128, 256, 784, 1024, 3072, 4096)
WIDTHS = tuple(2**k for k in range(6, 15))
DEPTHS = tuple(range(2, 9))
OUTPUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
GAMMAS = (*(float(f"{m}e{power}") for power in range(-3, 3) for m in (1, 2, 5)), 1000.0)
"""Values of the sliders."""

_POWERS = {-0.5: "as 1/√n", 0.0: "constant", 0.5: "as √n", 1.0: "as n", 1.5: "as n√n"}
_CLOSE = 1.05

Legend = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layer:
    """A row of the table: its name there and in sentences, the sizes, and whether it is a bias."""

    name: str
    words: str
    fan_in: int
    fan_out: int
    bias: bool = False

    @property
    def std(self) -> float:
        """Standard deviation of the initial entries."""
        return 0.0 if self.bias else init_std(self.fan_in, self.fan_out)

    @property
    def default_factor(self) -> float:
        """Scaled norm of torch's default initialisation over that of the condition; NaN for biases."""
        return float("nan") if self.bias else (3 * self.fan_in) ** -0.5 / self.std


@dataclass(frozen=True)
class Network:
    """Settings of the page's controls: a fully connected network, and how it is trained.

    Attributes:
        inputs: number of inputs d.
        width: neurons n of each hidden layer.
        depth: number of layers of weights L.
        outputs: number of outputs k.
        optimizer: a value of `OPTIMIZERS`.
        base: width at which the learning rate was tuned, or None for factors without reference to a narrow network.
    """

    inputs: int
    width: int
    depth: int
    outputs: int
    optimizer: str
    base: int | None

    @property
    def layers(self) -> list[Layer]:
        """The layers of weights from the input on, then the biases."""
        d, n, k, deep = self.inputs, self.width, self.outputs, self.depth - 2
        hidden = ("hidden", "hidden layer") if deep == 1 else (f"{deep} hidden", "hidden layers")
        return [
            Layer("input", "input layer", d, n),
            *([Layer(*hidden, n, n)] if deep else []),
            Layer("output", "output layer", n, k),
            Layer("biases", "biases", 1, n, bias=True),
            Layer("output bias", "output bias", 1, k, bias=True),
        ]

    @property
    def multipliers(self) -> list[float]:
        """Factor of the learning rate of each of `layers`, relative to the base width if there is one."""
        # Muon takes matrices only, and leaves biases to AdamW.
        biases = "adamw" if self.optimizer == "muon" else self.optimizer
        factors = [
            lr_multiplier(layer.fan_in, layer.fan_out, biases if layer.bias else self.optimizer)
            for layer in self.layers
        ]
        if self.base is None:
            return factors
        at_base = replace(self, width=self.base, base=None).multipliers
        return [factor / other for factor, other in zip(factors, at_base, strict=True)]

    @property
    def too_large(self) -> dict[str, float]:
        """Layer of weights, in words -> how many times too large its update is with one learning rate for all.

        Without a base width that is the hidden layers' rate, or with two layers the input's.
        """
        found = zip(self.layers, self.multipliers, strict=True)
        factors = {layer.words: factor for layer, factor in found if not layer.bias}
        unit = 1.0 if self.base is not None else list(factors.values())[1 if self.depth > 2 else 0]
        return {words: unit / factor for words, factor in factors.items()}


def growth(network: Network, parametrization: str) -> list[float]:
    r"""Return the exponents of width of the change of each layer's output in one step, the input layer first.

    An orthogonal update of norm 1 has a scaled norm of $\sqrt{n_{in}/n_{out}}$: with one learning rate it goes as
    $n^{-1/2}$ at the input, 1 in hidden layers, $n^{1/2}$ at the output, and so do the features.

    >>> growth(Network(784, 1024, 3, 10, "sgd", 64), "sp")
    [-0.5, 0.5, 1.0]
    """
    if network.optimizer != "muon":
        return exponents(parametrization, network.optimizer, network.depth, "feature_change").tolist()
    ends = 0.5 if parametrization == "sp" else 0.0
    return [-ends, *[0.0] * (network.depth - 2), ends]


@dataclass(frozen=True)
class View:
    """Content of the page for a network: facts, a table with a note, sentences, code, charts with their legends."""

    facts: tuple[tuple[str, str, str], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    sentence: str
    warning: str
    code: str
    charts: tuple[tuple[str, Legend], ...]


def view(network: Network) -> View:
    """Return what the page shows of a network.

    >>> view(Network(784, 1024, 4, 10, "adamw", 64)).sentence.partition(": ")[2]
    'with one learning rate, updates would be 16 times too large in the hidden layers and the output layer.'
    """
    heads = ("layer", "fan in", "fan out", "initial std", "learning rate", "torch's default")
    rows = tuple(
        (
            layer.name,
            str(layer.fan_in),
            str(layer.fan_out),
            readable(layer.std, 3),
            f"× {readable(factor, 3)}",
            "–" if layer.bias else f"× {readable(layer.default_factor, 3)}",
        )
        for layer, factor in zip(network.layers, network.multipliers, strict=True)
    )
    many = (
        "There are at least as many outputs as neurons. The factors hold, but the charts are about widths well above "
        "the number of outputs."
    )
    return View(
        _facts(network),
        heads,
        rows,
        _note(network),
        _sentence(network),
        many if network.outputs >= network.width else "",
        _code(network),
        (*_change_charts(network), _rate_chart(network)),
    )


def _facts(network: Network) -> tuple[tuple[str, str, str], ...]:
    worst = max(network.too_large.values(), key=lambda factor: abs(np.log(factor)))
    where = " and ".join(words for words, factor in network.too_large.items() if factor == worst)
    middle, output = (0, 1) if network.depth == 2 else (1, 2)
    outputs = float((network.width / _start(network)) ** growth(network, "sp")[-1])
    layers = network.layers
    return (
        (
            f"rate of the {layers[middle].words}",
            f"× {readable(network.multipliers[middle], 3)}",
            "relative to the tuned one" if network.base else "relative to the one you tune",
        ),
        ("with one rate, updates are", _times(worst), f"in the {where}" if _off(worst) else "in all layers"),
        (
            "torch's initial output layer",
            f"× {readable(layers[output].default_factor, 3)}",
            "the norm that the condition asks",
        ),
        (
            "outputs change in a step",
            f"× {readable(outputs, 3)}",
            f"with one rate, relative to width {_start(network)}",
        ),
    )


def _sentence(network: Network) -> str:
    off = [(words, factor) for words, factor in network.too_large.items() if _off(factor)]
    if network.base == network.width:
        return "At the width of tuning all factors are 1, and your own settings stand."
    if not off:
        return "With one learning rate, updates are of the right size in all layers of weights."
    clauses = [
        f"{_times(factor, ' times')} in the {' and the '.join(words for words, _ in group)}"
        for factor, group in groupby(off, key=lambda item: item[1])
    ]
    unit = (
        "hidden layers'" if network.depth > 3 else "hidden layer's" if network.depth == 3 else "input layer's"
    )
    start = (
        f"Tuned at width {network.base}, used at width {network.width}: with one learning rate"
        if network.base
        else f"At width {network.width}, with the {unit} learning rate everywhere"
    )
    return f"{start}, updates would be {' and '.join(clauses)}."


def _note(network: Network) -> str:
    """Return what the columns of the table mean."""
    rates = f"relative to that at width {network.base}" if network.base else "relative to the one you tune"
    drawn = "as init_(model) draws it"
    if network.base:
        drawn += ", while init_(model, base=narrow) scales your own"
    muon = (
        " Muon's updates count as of norm 1: its usual factor of √max(1, fan out/fan in) is to be divided out, as "
        "muon() does. Biases are AdamW's."
        if network.optimizer == "muon"
        else ""
    )
    return (
        f"Initial std: {drawn}; behind a ReLU, √2 times as much is common. Learning rate: {rates}.{muon} Torch's "
        "default: the norm of its weights, relative to the condition's; a factor that grows with the width is the "
        "problem, a constant one is not."
    )


def _off(factor: float) -> bool:
    return not 1 / _CLOSE < factor < _CLOSE


def _times(factor: float, times: str = " ×") -> str:
    """Return a factor in words, such as 16 × too large."""
    if not _off(factor):
        return "right"
    return f"{readable(max(factor, 1 / factor), 3)}{times} too {'large' if factor > 1 else 'small'}"


def _code(network: Network) -> str:
    """Return the code that initialises the network and makes its optimizer."""
    base = "" if network.base is None else ", base=narrow"
    lines = ["import torch", "from solvable import scaling", ""]
    lines += [f"# narrow: of width {network.base}, untrained"] if base else []
    lines += [f"scaling.init_(model{base})"]
    if network.optimizer == "muon":
        return "\n".join(
            [*lines, "# Muon for matrices, AdamW for biases", f"both = scaling.muon(model, lr=lr{base})"]
        )
    kind = {"adamw": "AdamW", "sgd": "SGD"}[network.optimizer]
    lines += ["groups = scaling.param_groups(", f'    model, "{network.optimizer}", lr=lr{base}', ")"]
    return "\n".join([*lines, f"optimizer = torch.optim.{kind}(groups)"])


def _start(network: Network) -> int:
    """Return the width relative to which changes are drawn."""
    return network.base or WIDTHS[0]


def _width_axis(network: Network) -> LogAxis:
    return LogAxis("width n", min(_start(network), network.width), WIDTHS[-1])


def _change_charts(network: Network) -> list[tuple[str, Legend]]:
    """Return a chart for each kind of layer; all have the same axes."""
    # Dashed and last, since lines may coincide.
    names = {"sp": ("other", "one rate"), "spectral": ("", "spectral"), "ntp": ("asked", "NTK")}
    if network.optimizer == "muon":
        del names["ntp"]
    powers = {name: growth(network, name) for name in names}
    x, marks = _width_axis(network), [Mark(network.width, None, "sample", f"n = {network.width}")]
    grid = np.geomspace(x.low, x.high, 33)
    changes = {name: (grid / _start(network)) ** np.array(found)[:, None] for name, found in powers.items()}
    y = _log_axis(f"relative to width {_start(network)}", np.stack(list(changes.values())))
    titles = {0: "input layer", 1: "hidden layers" if network.depth > 3 else "hidden layer", -1: "output"}
    charts = []
    for index, words in titles.items():
        if index == 1 and network.depth == 2:
            continue
        curves = [
            Curve(grid, changes[name][index], dashed=np.full(33, kind == "asked"), classes=kind or name)
            for name, (kind, _) in names.items()
        ]
        legend = tuple(
            (kind, f"{label}: {_POWERS[powers[name][index]]}") for name, (kind, label) in names.items()
        )
        charts.append((chart(f"Change in one step, {words}", x, y, curves, marks), legend))
    return charts


def _rate_chart(network: Network) -> tuple[str, Legend]:
    """Return the chart of the learning rates of the layers of weights over the width."""
    x, marks = _width_axis(network), [Mark(network.width, None, "sample", f"n = {network.width}")]
    # Sizes between those of the slider; the rules take any.
    grid = np.geomspace(x.low, x.high, 33).round().astype(int).tolist()
    every = np.array([replace(network, width=n).multipliers for n in grid])
    factors = every[:, : min(network.depth, 3)].T
    names = {"input": ("", "input"), "output": ("other", "output")}
    if network.depth > 2:
        # Dashed and last: under Adam it coincides with the output's.
        names["hidden"] = ("asked", "hidden")
    place = {"input": 0, "output": -1, "hidden": 1}
    curves = [
        Curve(grid, factors[place[name]], dashed=np.full(33, kind == "asked"), classes=kind or name)
        for name, (kind, _) in names.items()
    ]
    drawn = chart("Learning rate that each layer needs", x, _log_axis("factor", factors), curves, marks)
    return drawn, tuple(names.values())


def _log_axis(label: str, values: Any) -> LogAxis:
    """Return an axis with room for the values, and for a line of text above them."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = max(high / low, 10.0) ** 0.1
    return LogAxis(label, low / margin, high * margin**2)


@dataclass(frozen=True)
class RichnessView:
    """Content of the page for a richness: facts, a chart with its legend, and what it means for a sweep."""

    facts: tuple[tuple[str, str, str], ...]
    chart: str
    legend: Legend
    advice: str


def richness_view(gamma: float, depth: int) -> RichnessView:
    """Return what the page shows of the largest stable learning rate.

    >>> richness_view(0.001, 3).facts[0][:2]
    ('largest stable rate', '6.66e-07')
    """
    largest = max_lr_richness(gamma, depth)
    regime = "lazy" if gamma <= 0.1 else "rich" if gamma >= 10 else "between"
    remark = {"lazy": "features hardly change", "rich": "features are learnt", "between": "lazy and rich"}[
        regime
    ]
    longer = _power("γ", plateau_exponent(depth)) if depth > 2 else "ln γ"
    facts = (
        ("largest stable rate", readable(largest, 3), f"with {depth} layers of weights"),
        ("training is", regime, remark),
        (
            "at ten times the γ",
            f"× {readable(max_lr_richness(10 * gamma, depth) / largest, 3)}",
            "the stable rate",
        ),
        ("plateau at the start", f"∝ {longer}", "its steps, for large γ, at a fixed share of that rate"),
    )
    grid = np.geomspace(GAMMAS[0] / 1.7, GAMMAS[-1] * 1.7, 61)
    rates = max_lr_richness(grid, depth)
    curves = [
        Curve(grid, 2 * grid**2 / depth, dashed=np.ones(61, bool), classes="asked"),
        Curve(grid, 2 / depth * grid ** (2 / depth), dashed=np.ones(61, bool), classes="other"),
        Curve(grid, rates, classes="rate"),
    ]
    x, y = LogAxis("richness γ", GAMMAS[0] / 1.7, GAMMAS[-1] * 1.7), _log_axis("learning rate", rates)
    drawn = chart("Largest stable learning rate", x, y, curves, [Mark(gamma, largest, "here")])
    legend = (
        ("", "largest stable rate"),
        ("asked", "lazy: 2γ²/L"),
        ("theory other", f"rich: (2/L) {_power('γ', 2 / depth)}"),
    )
    advice = (
        f"When you sweep γ, move the learning rate with it: as γ² up to γ = 1, and as {_power('γ', 2 / depth)} beyond. "
        "If the grid of learning rates is the same for all γ, none is stable at one end, and all are slow at the other."
    )
    return RichnessView(facts, drawn, legend, advice)


def _power(base: str, exponent: float) -> str:
    return base if exponent == 1 else f"{base}^{readable(exponent, 2)}"
