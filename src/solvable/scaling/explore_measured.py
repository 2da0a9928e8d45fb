"""Measurement of the page (`page.py`), without marimo: how the change of each layer grows with the width.

Small networks are trained, with torch, and their exponents stand beside the predicted ones.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from solvable.errors import InputError, missing_extra
from solvable.lab.text import readable
from solvable.scaling.parametrizations import exponents

if TYPE_CHECKING:
    from solvable.scaling.coordinates import CoordinateCheck

WIDTHS, STEPS = (128, 256, 512), 3
"""Networks of the measurement; with width 64 among them, exponents of hidden layers would fall short by 0.2."""

EXPERIMENT = (
    f"Train ReLU networks of three layers of weights and widths {', '.join(map(str, WIDTHS))} on 400 handwritten "
    f"digits for {STEPS} steps, with the optimizer chosen above (AdamW or SGD), under the spectral condition and with "
    "one learning rate for all layers. How fast does the change of each layer's output grow with the width?"
)
"""What the measurement is."""

_SEEDS = 4
# Rates at which the features of the narrowest network change by a few percent in the measured steps.
_RATES = {"adamw": {"spectral": 0.05, "sp": 1e-4}, "sgd": {"spectral": 0.1, "sp": 1e-3}}


def torch_missing() -> str:
    """Return the message about a missing torch, or an empty string if it is installed."""
    return "" if find_spec("torch") is not None else str(missing_extra("torch", "nets", "training a network"))


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured exponents of the change of each layer.

    Attributes:
        optimizer: `adamw` or `sgd`.
        spectral: networks under the spectral condition.
        one_rate: networks with one learning rate for all layers.
    """

    optimizer: str
    spectral: "CoordinateCheck"
    one_rate: "CoordinateCheck"


def measure(optimizer: str) -> Measured:
    """Train ReLU networks of three layers of weights and several widths for some steps on handwritten digits.

    Args:
        optimizer: `adamw` or `sgd`, or what else `explore.OPTIMIZERS` has.

    Raises:
        InputError: for Muon; a sentence about torch if that is missing.
    """
    if optimizer not in _RATES:
        raise InputError(
            "Muon is not measured, since the exponents were published for AdamW and SGD; choose one of them above"
        )
    if missing := torch_missing():
        raise InputError(missing)
    import torch

    from solvable import datasets
    from solvable.datasets.sphere import split_on_sphere
    from solvable.scaling.coordinates import coordinate_check
    from solvable.scaling.experiment import groups_of, initialise, mlp

    split = split_on_sphere(datasets.load("digits"), 400, 0)
    X = torch.as_tensor(split.X, dtype=torch.float32)
    y = torch.as_tensor(split.y.argmax(axis=1))
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    checks = {}
    for name, lr in _RATES[optimizer].items():

        def make_model(width: int, name: str = name) -> Any:
            model = mlp(X.shape[1], width, split.y.shape[1], depth=3)
            # The check seeds torch's own generator for each run.
            initialise(model, name, 2**0.5, int(torch.randint(2**31, ())))
            return model

        def make_optimizer(model: Any, name: str = name, lr: float = lr) -> Any:
            return kind(groups_of(model, name, optimizer, lr), weight_decay=0.0)

        checks[name] = coordinate_check(
            make_model, WIDTHS, make_optimizer, [(X, y)], STEPS, _SEEDS, quiet=True
        )
    return Measured(optimizer, checks["spectral"], checks["sp"])


@dataclass(frozen=True)
class MeasuredView:
    """Content of the page after a measurement: a sentence, and a table with a note."""

    sentence: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def measured_view(measured: Measured) -> MeasuredView:
    """Return the measured exponents beside the predicted ones."""
    predicted = exponents("sp", measured.optimizer, 3, "feature_change")
    rows, found = [], []
    for i, layer in enumerate(("input", "hidden", "output")):
        cells: list[str] = [layer]
        for check, asked in ((measured.spectral, 0.0), (measured.one_rate, predicted[i])):
            row: Any = check.table.iloc[i]
            cells += [f"{row['exponent']:.3f} ± {row['standard_error']:.3f}", f"{float(asked):.1f}"]
            found.append(float(row["exponent"]))
        rows.append(tuple(cells))
    narrow, wide = WIDTHS[0], WIDTHS[-1]
    flat, steep = ((wide / narrow) ** found[i] for i in (4, 5))
    kind = "AdamW" if measured.optimizer == "adamw" else "SGD"
    sentence = (
        f"{kind}: from width {narrow} to {wide}, the change of the outputs is multiplied by {readable(steep, 2)} "
        f"with one learning rate, and by {readable(flat, 2)} under the spectral condition."
    )
    note = (
        f"Exponents p of the change ∝ width^p, with standard errors over {_SEEDS} runs at each width. The predictions "
        "are for large widths; at these, terms of order 1/√n shift the exponents, mostly the output's, by 0.1 to 0.2."
    )
    heads = ("layer", "spectral, measured", "predicted", "one rate, measured", "predicted")
    return MeasuredView(sentence, heads, tuple(rows), note)
