r"""`Monitor`: watch the norms of weights, updates and features during training, and say which layer is off."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor, nn

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.lab.verdict import Verdict
from solvable.scaling.auditing import own_factor, typical_lr
from solvable.scaling.description import Row, Rules, describe, is_matrix
from solvable.scaling.findings import (
    HIGH,
    LOW,
    QUANTITIES,
    Violation,
    figure_of,
    table_of,
    verdict_of,
    violations_in,
)
from solvable.scaling.lines import MEASURED, NORMS, Seen, frobenius, lines_of
from solvable.scaling.names import unwrapped
from solvable.scaling.optimizers import check_optimizer, kind_of, multiplier
from solvable.scaling.pitfalls import ScalingWarning, broken_multipliers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RECORDED = (*MEASURED, "lr")


class Monitor:
    r"""Record the norms of weights, updates and features of every layer while a model trains.

    For each matrix W there are two factors: by how much its scaled norm differs from what `init_` gives for that kind
    of layer, and by how much the scaled norm of its update differs from that of the typical layer. In a model that
    obeys the spectral condition both are of order 1 in every layer.

    Sampled steps cost a copy of the weights, some products of matrices with vectors, and no second forward pass. The
    hooks are removed at the end of the `with` block.

    Args:
        model: the model that trains. Start the `with` block before the first call of a compiled model: hooks registered
            later never run there, and features are not seen.
        optimizers: its optimizer, or several.
        every: number of steps from one sample to the next; the first step is sampled.
        gain: the gain with which weights were initialised.
        rules: as for `describe`.

    Raises:
        InputError: as for `describe`, and for something that is no torch optimizer.

    >>> model = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 10))
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    >>> with Monitor(model, optimizer) as monitor:
    ...     loss = model(torch.randn(32, 784)).square().mean()
    ...     loss.backward()
    ...     optimizer.step()
    >>> round(float(monitor.table().loc["2.weight", "weight_factor"]))  # torch's default readout
    6
    """

    def __init__(
        self,
        model: nn.Module,
        *optimizers: torch.optim.Optimizer,
        every: int = 10,
        gain: float = 1.0,
        rules: Rules | None = None,
    ) -> None:
        if not optimizers:
            raise InputError("no optimizer is given; expected one or more, as in Monitor(model, optimizer)")
        self.model, self.optimizers = unwrapped(model), [check_optimizer(one) for one in optimizers]
        self.every, self.gain = whole("every", every, at_least=1), one_number("gain", gain, above=0)
        where = {id(p): i for i, one in enumerate(optimizers) for g in one.param_groups for p in g["params"]}
        all_lines = list(lines_of(self.model, describe(model, rules).rows))
        self._lines = [line for line in all_lines if id(line.parameter) in where]
        self._missing = [line.label for line in all_lines if id(line.parameter) not in where]
        for line in self._lines:
            line.optimizer = where[id(line.parameter)]
        if not self._lines:
            raise InputError(
                "the optimizers have no parameter of the model; expected optimizers of its parameters"
            )
        self._seen: dict[int, Seen] = {}
        self._handles: list[Any] = []
        self._counts = [0] * len(optimizers)
        self._before: dict[int, Tensor] = {}
        self._scratch: dict[Any, Tensor] = {}
        self._records: dict[int, dict[int, dict[str, float]]] = {}
        self._gradient_norms: list[float] = []
        self._warned: set[str] = set()

    def __enter__(self) -> "Monitor":
        if self._handles:
            raise InputError("this Monitor is in use already; expected a new one for a second block")
        kinds = [line for line in self._lines if is_matrix(line.row) or line.row.layout.kind == "embedding"]
        modules = {id(line.module): line.module for line in kinds}
        # Compiled, the hook would make torch.compile compile the model anew whenever the count of steps changes.
        hook: Any = torch.compiler.disable(self._forward)
        self._handles = [module.register_forward_hook(hook) for module in modules.values()]
        for i, optimizer in enumerate(self.optimizers):
            self._handles.append(optimizer.register_step_pre_hook(lambda *_, i=i: self._pre(i)))
            self._handles.append(optimizer.register_step_post_hook(lambda *_, i=i: self._post(i)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._before, self._scratch, self._seen = [], {}, {}, {}

    def _forward(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        # An evaluation between two steps does not count.
        if self._counts[0] % self.every == 0 and torch.is_grad_enabled():
            self._seen.setdefault(id(module), Seen()).add(module, inputs, output)

    @torch.no_grad()
    def _pre(self, i: int) -> None:
        if self._counts[i] % self.every:
            return
        mine = {id(line.parameter): line.parameter for line in self._lines if line.optimizer == i}
        for key, one in mine.items():
            if key not in self._before:
                self._before[key] = torch.empty_like(one)
            self._before[key].copy_(one)
        gradients = [one.grad for one in mine.values() if one.grad is not None and not one.grad.is_sparse]
        if i == 0 and gradients:
            norms = _numbers([frobenius(one) for one in gradients])
            self._gradient_norms.append(float(np.linalg.norm(norms)))

    @torch.no_grad()
    def _post(self, i: int) -> None:
        step = self._counts[i]
        self._counts[i] += 1
        if step % self.every == 0:
            self._record(i, step)
        # What was seen belongs to the step of all optimizers, in whatever order they make it.
        if len(set(self._counts)) == 1:
            self._seen = {}

    def _record(self, i: int, step: int) -> None:
        mine: dict[int, list[int]] = {}
        for k, line in enumerate(self._lines):
            if line.optimizer == i:
                mine.setdefault(id(line.parameter), []).append(k)
        measured: list[Tensor] = []
        # One parameter after the other, each with its change in memory that is used again: new memory costs more than
        # the norms.
        for key, several in mine.items():
            parameter, before = self._lines[several[0]].parameter.detach(), self._before[key]
            update = torch.sub(parameter, before, out=self._scratch_like(parameter))
            for k in several:
                line = self._lines[k]
                measured += line.measure(before, update, self._seen.get(id(line.module)))
        numbers = iter(_numbers(measured))
        order = [k for several in mine.values() for k in several]
        found = {k: {name: next(numbers) for name in MEASURED} for k in order}
        groups = {id(p): group for group in self.optimizers[i].param_groups for p in group["params"]}
        for k in order:
            found[k]["lr"] = float(groups[id(self._lines[k].parameter)]["lr"])
        self._records.setdefault(step, {}).update(found)
        self._warn_of_traps(i)

    def _scratch_like(self, tensor: Tensor) -> Tensor | None:
        """Return memory of a tensor's shape, the same for all of a device and type; None for distributed ones."""
        if hasattr(tensor, "full_tensor"):
            return None
        key = tensor.dtype, tensor.device
        if key not in self._scratch or self._scratch[key].numel() < tensor.numel():
            self._scratch[key] = torch.empty(tensor.numel(), dtype=tensor.dtype, device=tensor.device)
        return self._scratch[key][: tensor.numel()].view(tensor.shape)

    def _warn_of_traps(self, i: int) -> None:
        if (problem := broken_multipliers(self.optimizers[i])) is not None:
            self._warn("multipliers", problem)
        recent = self._gradient_norms[-3:]
        if len(recent) == 3 and max(recent) - min(recent) < 1e-5 * max(recent) > 0:
            self._warn(
                "clip",
                f"the norm of the gradient is {recent[-1]:.4g} at each sampled step, so a gradient clip acts all the "
                "time: with SGD it sets the learning rate, and since the norm grows with width it does so differently "
                "at every width; raise the clip or clip each layer",
            )

    def _warn(self, trap: str, sentence: str) -> None:
        if trap not in self._warned:
            self._warned.add(trap)
            warnings.warn(sentence, ScalingWarning, stacklevel=6)

    def to_dataset(self) -> xr.Dataset:
        """Return all that was recorded, over the dims `step` and `layer`; see `QUANTITIES`.

        Its coordinates are the `kind` of each parameter, the learning rate's multiplier relative to the typical matrix
        (`lr_multiplier`) and the one that the condition asks (`asked_multiplier`).
        """
        if not self._records:
            raise InputError(
                "no step was recorded; expected optimizer.step() inside `with Monitor(model, optimizer):`"
            )
        steps, lines = sorted(self._records), self._lines
        raw = {
            name: np.array(
                [
                    [self._records[step].get(k, {}).get(name, np.nan) for k in range(len(lines))]
                    for step in steps
                ]
            )
            for name in _RECORDED
        }
        expected = np.array([line.row.layout.expected_norm(self.gain) or np.nan for line in lines])
        scale = np.array([line.row.layout.scale for line in lines])
        matrices = np.array([is_matrix(line.row) for line in lines])
        weight, update = (np.where(raw[name] > 0, raw[name], np.nan) for name in NORMS)
        moved = np.where(matrices, update, np.nan)
        typical = [np.nan if np.isnan(row).all() else np.nanmedian(row) for row in moved]
        weight_frobenius = np.where(raw["weight_frobenius"] > 0, raw["weight_frobenius"], np.nan)
        raw |= {
            "weight_factor": weight / expected,
            "update_factor": moved / np.array(typical)[:, None],
            "relative_change": raw["update_norm"] / weight,
            "relative_frobenius": raw["update_frobenius"] / weight_frobenius,
            "stable_rank": (raw["update_frobenius"] * scale / update) ** 2,
        }
        actual, asked = self._multipliers()
        return xr.Dataset(
            {
                name: (("step", "layer"), raw[name], {"long_name": words})
                for name, words in QUANTITIES.items()
            },
            {
                "step": steps,
                "layer": [line.label for line in lines],
                "kind": ("layer", [line.row.layout.kind for line in lines]),
                "lr_multiplier": ("layer", actual),
                "asked_multiplier": ("layer", asked),
            },
            {
                "model": type(self.model).__name__,
                "every": self.every,
                "gain": self.gain,
                "missing": ", ".join(self._missing),
            },
        )

    def _multipliers(self) -> tuple[list[float], list[float]]:
        """Return for each line the learning rate over the typical one, and the multiplier that the condition asks.

        For an optimizer whose updates are of unknown kind, all are 1.
        """
        groups = [
            {id(p): group for group in optimizer.param_groups for p in group["params"]}
            for optimizer in self.optimizers
        ]
        rates = []
        for line in self._lines:
            which = line.optimizer or 0
            group = groups[which][id(line.parameter)]
            rates.append((float(group["lr"]), _asked(self.optimizers[which], group, line.row), line.row))
        unit = typical_lr(rates)
        return [lr / unit for lr, _, _ in rates], [asked for _, asked, _ in rates]

    def table(self, step: int | None = None) -> pd.DataFrame:
        """Return one row for each layer: its kind and the `QUANTITIES`, at one step or over the samples.

        Over the samples, the weights' norm and factor are those of the first, and all else are medians.
        """
        return table_of(self.to_dataset(), step)

    def violations(self, lo: float = LOW, hi: float = HIGH) -> list[Violation]:
        """Return the layers whose factors lie outside (lo, hi), the worst first, with what to change.

        Only matrices are judged, and at one width only relative to `init_` and to each other. A layer whose weights or
        update are zero is not judged.
        """
        return violations_in(self.to_dataset(), lo, hi)

    def verdict(self) -> Verdict:
        """Return what to change, in words, and the table of matrices, for a terminal or a notebook."""
        return verdict_of(self.to_dataset())

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()

    def plot(self) -> "Figure":
        """Return a figure of both factors, the features' norms and their changes, over the steps."""
        return figure_of(self.to_dataset())


def _asked(optimizer: torch.optim.Optimizer, group: dict[str, Any], row: Row) -> float:
    # Groups of param_groups know their base, depth and constants.
    if group.get("lr_scale"):
        return float(group["lr_scale"])
    try:
        return multiplier(row.layout, kind_of(optimizer), row.shape) * own_factor(optimizer, group, row)
    except InputError:
        return 1.0


def _numbers(tensors: list[Tensor]) -> list[float]:
    """Return tensors of one number as floats, in one transfer from each device."""
    # Distributed tensors are put together first.
    whole: list[Any] = [one.full_tensor() if hasattr(one, "full_tensor") else one for one in tensors]  # pyright: ignore
    values = dict[int, float]()
    for device in {one.device for one in whole}:
        here = [i for i, one in enumerate(whole) if one.device == device]
        values |= zip(here, torch.stack([whole[i].float() for i in here]).tolist(), strict=True)
    return [value if np.isfinite(value := values[i]) else np.nan for i in range(len(whole))]
