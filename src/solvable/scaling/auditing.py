"""`audit`: the learning rates, decays and eps of an optimizer beside those that the condition asks."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.scaling.base import Depth, as_description, blocks_of, row_at_base, scales_of
from solvable.scaling.description import Row, Rules, describe, is_matrix
from solvable.scaling.groups import constants_of
from solvable.scaling.layout import MATRICES
from solvable.scaling.names import mapping, named_parameters, unwrapped
from solvable.scaling.optimizers import check_optimizer, decay_per_step, kind_of, multiplier, muon_factor
from solvable.scaling.pitfalls import ScalingWarning, broken_multipliers, scheduler_problem

_FAR_DECAY, _FAR_EPS = 1.5, 10.0
# Learning rates within this factor of the rule count as following it.
_CLOSE = 1.05


@dataclass(frozen=True, eq=False)
class Audit:
    """The groups of an optimizer beside the rules; `print` it.

    Attributes:
        table: one row for each parameter: `name`, `kind`, `optimizer`, `lr`, `lr_asked`, `factor` (lr over asked),
            `decay_per_step` (share of the weights that a step removes; NaN where the decay is coupled), `decay_asked`,
            `eps`, `eps_asked`. What is asked is relative: the typical matrix (the median) is taken as right.
        notes: what keeps the learning rates from transferring.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    @cached_property
    def off(self) -> dict[str, float]:
        """Parameters whose learning rate does not follow the rule, and by what factor; the worst first."""
        frame: Any = self.table[["name", "factor"]].dropna()
        factors = dict(zip(frame["name"], frame["factor"], strict=True))
        # A learning rate of 0 is a layer that is not trained, or a warm-up that has not begun.
        off = {name: float(one) for name, one in factors.items() if one > 0 and not 1 / _CLOSE < one < _CLOSE}
        return dict(sorted(off.items(), key=lambda item: -abs(np.log(item[1]))))

    def verdict(self) -> Verdict:
        """Return the table in words, for a terminal or a notebook."""
        heads = ("parameter", "kind", "lr", "lr asked", "factor", "decay per step", "eps", "eps asked")
        rows = []
        for row in self.table.to_dict("records"):
            numbers = [row[key] for key in ("lr", "lr_asked", "factor", "decay_per_step", "eps", "eps_asked")]
            rows.append((row["name"], row["kind"], *(readable(float(one), 3) for one in numbers)))
        known = self.table[self.table["lr"].notna()]
        if self.off:
            kinds = dict(zip(self.table["name"], self.table["kind"], strict=True))
            # A bias with a matrix's learning rate is common and does less harm than a matrix that is off.
            matrices = {name: factor for name, factor in self.off.items() if kinds[name] in MATRICES}
            name, factor = next(iter((matrices or self.off).items()))
            what = f"{len(matrices)} of them of matrices; " if matrices else "none of them of a matrix; "
            text = (
                f"{len(self.off)} of {len(known)} learning rates do not follow the condition, {what}the furthest is "
                f"{name}'s, {readable(factor, 3)} times what is asked relative to the typical matrix. "
                "param_groups(model, ...) sets them; if it did, relative to a base or for a depth, say so here too."
            )
        else:
            text = f"All {len(known)} learning rates follow the condition."
        return Verdict("Learning rates", (Section("", text, Table(heads, tuple(rows))),), self.notes)

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()


def audit(
    model: nn.Module,
    *optimizers: torch.optim.Optimizer,
    rules: Rules | None = None,
    base: Any = None,
    depth: Depth | None = None,
    constants: Mapping[str, float] | None = None,
    scheduler: Any = None,
) -> Audit:
    """Compare the groups of any optimizer with what the spectral condition asks, parameter by parameter.

    Args:
        model: the module.
        optimizers: one or several optimizers of its parameters, with groups made by anyone.
        rules: as for `describe`.
        base: the base model, if the groups were made relative to one.
        depth: the residual blocks, if the groups were made for them.
        constants: the constants, if the groups were made with some.
        scheduler: a learning-rate scheduler of `torch.optim.lr_scheduler`, to be checked too: some set one learning
            rate for all groups.

    Raises:
        InputError: as for `describe`, and for something that is no torch optimizer.

    >>> model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    >>> report = audit(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> {name: round(factor, 3) for name, factor in report.off.items()}
    {'0.bias': 0.002, '2.bias': 0.002, '4.weight': 51.2, '4.bias': 0.1, '0.weight': 0.125}
    """
    if not optimizers:
        raise InputError("no optimizer is given; expected one or more, as in audit(model, optimizer)")
    description = describe(model, rules)
    reference = None if base is None else as_description(base, rules)
    blocks = None if depth is None else blocks_of(unwrapped(model), depth)
    factors = constants_of(mapping("constants", constants), description)
    names = {id(one): name for name, one in reversed(named_parameters(model).items())}
    found: dict[str, dict[str, Any]] = {}
    for optimizer in optimizers:
        kind = kind_of(check_optimizer(optimizer))
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                row = description.by_name.get(names.get(id(parameter), ""))
                if row is None:
                    continue
                other = None if reference is None else row_at_base(reference, row, depth)
                n_blocks = blocks[1] if blocks is not None and row.name.startswith(f"{blocks[0]}.") else None
                asked, eps_asked = scales_of(kind, row, other, n_blocks, depth)
                asked *= own_factor(optimizer, group, row) * factors.get(row.name, 1.0)
                asked /= 1.0 if other is None else own_factor(optimizer, group, other)
                found[row.name] = {
                    "optimizer": type(optimizer).__name__,
                    "lr": float(group["lr"]),
                    "asked": asked,
                    "decay_per_step": decay_per_step(optimizer, group),
                    "eps": float(group["eps"]) if kind.eps is not None and "eps" in group else np.nan,
                    "eps_asked": eps_asked if kind.eps is not None else np.nan,
                }
    rows = [{"name": row.name, "kind": row.layout.kind} | found.get(row.name, {}) for row in description]
    if not found:
        raise InputError(
            "the optimizers have no parameter of the model; expected optimizers of its parameters"
        )
    columns = ["name", "kind", "optimizer", "lr", "asked", "decay_per_step", "eps", "eps_asked"]
    table: Any = pd.DataFrame(rows, columns=columns)
    unit = typical_lr(
        [(found[row.name]["lr"], found[row.name]["asked"], row) for row in description if row.name in found]
    )
    table["lr_asked"] = table["asked"] * unit
    table["factor"] = table["lr"] / table["lr_asked"]
    table["eps_asked"] *= (table["eps"] / table["eps_asked"]).median()
    missing = [row.name for row in description if row.trained and row.name not in found]
    notes = (
        [f"in none of the optimizers: {', '.join(missing[:5])}{' and others' * (len(missing) > 5)}"]
        if missing
        else []
    )
    if bool(table["decay_per_step"].isna().to_numpy()[[row.name in found for row in description]].any()):
        notes.append(
            "the decay is coupled to a normalised gradient, so its strength depends on width: use AdamW instead of Adam"
        )
    notes += _judge_decay_and_eps(table)
    notes += [problem for optimizer in optimizers if (problem := broken_multipliers(optimizer)) is not None]
    if scheduler is not None and (problem := scheduler_problem(scheduler)) is not None:
        notes.append(problem)
        warnings.warn(problem, ScalingWarning, stacklevel=2)
    columns = ["name", "kind", "optimizer", "lr", "lr_asked", "factor"]
    columns += ["decay_per_step", "decay_asked", "eps", "eps_asked"]
    return Audit(table[columns], tuple(dict.fromkeys(notes)))


def _judge_decay_and_eps(table: Any) -> list[str]:
    """Add the decay asked to the table, and return sentences about decays and eps that do not follow the rules."""
    matrix = table["kind"].isin(MATRICES)
    typical = table.loc[matrix, "decay_per_step"].median()
    table["decay_asked"] = np.where(matrix, typical, np.where(table["decay_per_step"].notna(), 0.0, np.nan))
    notes = []
    if (decayed := table.loc[~matrix & (table["decay_per_step"] > 0), "name"].tolist()) and typical >= 0:
        notes.append(f"biases, gains or embeddings decay, which they should not: {', '.join(decayed[:4])}")
    decays = table.loc[matrix & (table["decay_per_step"] > 0), "decay_per_step"]
    if len(decays) and decays.max() > _FAR_DECAY * decays.min():
        notes.append(
            f"the decay per step differs between matrices by a factor of {readable(decays.max() / decays.min(), 2)}; "
            "it should be the same, so that weight_decay has to be divided by each layer's multiplier"
        )
    ratio = (table["eps"] / table["eps_asked"]).dropna()
    if len(ratio) and ratio.max() > _FAR_EPS * ratio.min():
        notes.append(
            "eps is the same for layers whose gradients differ by a factor of "
            f"{readable(ratio.max() / ratio.min(), 2)}; it should be divided by the fan-out, or wide layers stop being "
            "normalised"
        )
    return notes


def own_factor(optimizer: torch.optim.Optimizer, group: dict[str, Any], row: Row) -> float:
    """Return what to multiply the rule by, since the optimizer's group has a factor other than the rule assumes."""
    kind = kind_of(optimizer)
    if kind.name == "muon":
        # The rule compensates for Muon's own factor, which the group chooses.
        return muon_factor(row.shape) / muon_factor(row.shape, group.get("adjust_lr_fn") or "original")
    if type(optimizer).__name__ == "SpectralSGD" and "lr_scale" not in group:
        # For plain parameters it has the rule's factor itself.
        return 1 / multiplier(row.layout, kind, row.shape)
    return 1.0


def typical_lr(rates: list[tuple[float, float, Row]]) -> float:
    """Return the learning rate to tune that the groups amount to: the median over matrices of lr over multiplier."""
    matrices = [lr / asked for lr, asked, row in rates if is_matrix(row) and lr > 0]
    values = matrices or [lr / asked for lr, asked, _ in rates if lr > 0]
    return float(np.exp(np.median(np.log(values)))) if values else float("nan")
