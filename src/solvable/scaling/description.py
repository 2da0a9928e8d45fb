"""`describe`: what each parameter of a torch module is, for the rules of the spectral condition."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from solvable.errors import InputError
from solvable.lab.verdict import Section, Table, Verdict
from solvable.scaling.layout import MATRICES, Layout, layout_of_words
from solvable.scaling.names import mapping, matches, plain_name, unwrapped
from solvable.scaling.rules import Rule, built_in, is_plain_linear, of_linear, owner_of

Rules = Mapping[str | type[nn.Module], Rule]

_RESOLVE = (
    'give its rule, as in rules={"%s": "%s"} (or %s, each for a regular expression of names or for a module type), or '
    "register_rule(%s, ...)"
)
_EXAMPLES = (
    "dense",
    "embedding",
    "position",
    "blocks:3",
    "experts",
    "experts transposed",
    "vector",
    "unscaled",
)


class Row(NamedTuple):
    """One parameter.

    Attributes:
        name: as in `named_parameters`, without the prefixes of torch.compile and DistributedDataParallel.
        module: type of the module that owns it.
        shape: its shape.
        layout: its kind, fan-in, fan-out and matrices.
        rule: where the layout comes from.
        tied_to: other names of the same parameter.
        trained: whether it requires gradients.
        reads_out: whether an embedding is also the readout's matrix.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    layout: Layout
    rule: str
    tied_to: tuple[str, ...] = ()
    trained: bool = True
    reads_out: bool = False

    @property
    def numel(self) -> int:
        """Number of entries."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Description:
    """The parameters of a module, as `describe` found them; `print` it.

    Attributes:
        title: type of the module.
        rows: one `Row` for each parameter, tied ones once.
        notes: what deserves attention.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, Row]:
        """Rows by each of their names."""
        return {name: row for row in self.rows for name in (row.name, *row.tied_to)}

    def __getitem__(self, name: str) -> Row:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def readout(self) -> str | None:
        """Name of the readout: an embedding that reads out too, else the last linear layer or convolution
        registered."""
        tied = [row.name for row in self.rows if row.layout.kind == "embedding" and row.tied_to]
        inner = ("MultiheadAttention", "LSTM", "GRU", "RNN")
        names = [
            row.name
            for row in self.rows
            if row.layout.kind in ("dense", "conv") and not row.module.startswith(inner)
        ]
        return tied[0] if tied else names[-1] if names else None

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row for each parameter."""
        return pd.DataFrame(
            {
                "name": row.name,
                "module": row.module,
                "shape": row.shape,
                "kind": row.layout.kind,
                "fan_in": row.layout.fan_in,
                "fan_out": row.layout.fan_out,
                "blocks": row.layout.blocks,
                "groups": row.layout.groups,
                "init_std": row.layout.init_std,
                "tied_to": ", ".join(row.tied_to),
                "trained": row.trained,
                "rule": row.rule,
            }
            for row in self.rows
        )

    def to_json(self) -> str:
        """Return the description as text, which `from_json` reads: a base for `param_groups` without the model."""
        rows = [row._asdict() | {"layout": asdict(row.layout)} for row in self.rows]
        return json.dumps({"title": self.title, "rows": rows, "notes": self.notes})

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Return the description that `to_json` wrote."""
        try:
            facts = json.loads(text)
            rows = tuple(
                Row(
                    **row
                    | {
                        "shape": tuple(row["shape"]),
                        "tied_to": tuple(row["tied_to"]),
                        "layout": Layout(**row["layout"] | {"matrices": tuple(row["layout"]["matrices"])}),
                    }
                )
                for row in facts["rows"]
            )
            return cls(facts["title"], rows, tuple(facts["notes"]))
        except (ValueError, TypeError, KeyError):
            raise InputError(
                "the text is no description; expected what Description.to_json returned"
            ) from None

    def verdict(self) -> Verdict:
        """Return the table in words, for a terminal or a notebook."""
        heads = ("parameter", "kind", "shape", "fan in", "fan out", "init std", "rule")
        table = Table(heads, tuple(_cells(row) for row in self.rows))
        size = sum(row.numel for row in self.rows)
        return Verdict(
            f"{self.title}: {len(self.rows)} parameters, {size:,} numbers",
            (Section("", "", table),),
            self.notes,
        )

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()


def _cells(row: Row) -> tuple[str, ...]:
    layout = row.layout
    extra = [f"{layout.blocks} blocks"] * (layout.blocks > 1) + [f"{layout.groups} groups"] * (
        layout.kind == "conv" and layout.groups > 1
    )
    kind = ", ".join([layout.kind, *extra, *(["frozen"] if not row.trained else [])])
    std = {None: "1" if layout.kind == "gain" else "–", 0.0: "0"}.get(
        layout.init_std
    ) or f"{layout.init_std:.4g}"
    std = std if row.trained else "kept"
    shape = " x ".join(map(str, row.shape)) or "one number"
    rule = row.rule + (f"; same as {', '.join(row.tied_to)}" if row.tied_to else "")
    return (row.name, kind, shape, str(layout.fan_in), str(layout.fan_out), std, rule)


def describe(model: nn.Module, rules: Rules | None = None) -> Description:
    """Return what each parameter of a module is: its kind, fan-in and fan-out, and the rule that says so.

    Nothing is changed, no data are needed, and a model on the meta device will do. Call it first: everything else in
    `solvable.scaling` follows from this table.

    Args:
        model: any module, compiled or wrapped for distributed training too.
        rules: what a parameter is, where the library cannot know: a regular expression of names (`re.search`) or a
            module type -> `dense`, `dense transposed`, `blocks:3`, `experts`, `embedding`, `position`, `bias`, `gain`,
            `vector` or `unscaled`; for a module type also a mapping from its parameters' names, or a function as for
            `register_rule`. These come first.

    Raises:
        InputError: for a parameter of two or more dimensions on a module that has no rule, for one that is not yet
            initialised (lazy), complex or quantised, for a rule that fits no parameter, and for tied ones with
            different rules.

    >>> print(describe(nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))))
    Sequential: 4 parameters, 38,410 numbers
    <BLANKLINE>
      parameter    kind      shape   fan in   fan out   init std     rule
       0.weight   dense   512 x 64       64       512      0.125   Linear
         0.bias    bias        512        1       512          0   Linear
       2.weight   dense   10 x 512      512        10   0.006176   Linear
         2.bias    bias         10        1        10          0   Linear
    """
    return described(model, rules)[0]


def described(model: nn.Module, rules: Rules | None = None) -> tuple[Description, dict[str, nn.Parameter]]:
    """Return the description of a module, and its parameters by each of their names in it."""
    model = unwrapped(model)
    rules = mapping("rules", rules)
    named: dict[str, nn.Parameter] = {}
    first: dict[int, Row] = {}
    uses: dict[int, list[tuple[str, nn.Module, Layout, str]]] = {}
    notes: list[str] = []
    used: set[Any] = set()
    unknown: list[tuple[str, int]] = []
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, module in modules.items():
        own_parameters = module._parameters
        if not own_parameters:
            continue
        prefix = plain_name(f"{path}.") if path else ""
        owner = owner_of(modules, path) if "parametrizations" in path else None
        # Most parameters of most models are of linear layers, and a thousand of them should take no time.
        linear = not rules and is_plain_linear(module, prefix)
        kind = type(module).__name__
        for own, parameter in own_parameters.items():
            if parameter is None:
                continue
            name, key = prefix + own, id(parameter)
            named[name] = parameter
            if type(parameter) is not nn.Parameter or not parameter.is_floating_point():
                _check(parameter, name)
            shape = tuple(parameter.shape)
            if 0 in shape:
                raise InputError(f"{name} has no entries, shape {shape}; expected sizes of at least 1")
            if linear and own in ("weight", "bias"):
                found = of_linear(own, shape)
            else:
                found = _layout(rules, used, name, module, own, parameter, owner)
            if found is None:
                unknown.append((f"{name} {shape} of {kind}", parameter.ndim))
            elif key not in first:
                # `_make` takes half of the time.
                first[key] = Row._make((name, kind, shape, *found, (), parameter.requires_grad, False))
            else:
                row = first[key]
                one = row.name, _owner(modules, parameter), row.layout, row.rule
                uses.setdefault(key, [one]).append((name, module, *found))
    for key in rules:
        if key not in used:
            expected = "part of a name" if isinstance(key, str) else "a type of its modules"
            raise InputError(
                f"the rule for {key!r} fits no parameter, or only some that an earlier rule has; expected {expected} "
                "that describe(model) lists"
            )
    if unknown:
        example, n_dims = unknown[0]
        others = f" (and {len(unknown) - 1} more: {', '.join(one for one, _ in unknown[1:6])})" * (
            len(unknown) > 1
        )
        likely = "experts" if n_dims == 3 else "dense"
        rest = ", ".join(f'"{one}"' for one in _EXAMPLES if one != likely)
        remedy = _RESOLVE % (example.split()[0], likely, rest, example.rsplit(" ", 1)[1])
        raise InputError(f"no rule says what parameter {example} is{others}; {remedy}")
    if not first:
        raise InputError(f"{type(model).__name__} has no parameters; expected a module with some")
    rows = tuple(first.values())
    if uses:
        rows = tuple(_tied(row, uses[key], notes) if key in uses else row for key, row in first.items())
    vectors = [
        row.name
        for row in rows
        if row.layout.kind == "vector" and row.trained and row.rule == "at most one dimension"
    ]
    if vectors:
        notes.append(
            f"{', '.join(vectors[:5])}{' and others' * (len(vectors) > 5)}: no rule is known, so the learning rate is "
            "that of a bias; rules={...} says otherwise"
        )
    return Description(type(model).__name__, rows, tuple(notes)), named


def _owner(modules: Mapping[str, nn.Module], parameter: Tensor) -> nn.Module:
    """Return the first module that has a parameter as its own."""
    return next(one for one in modules.values() if any(own is parameter for own in one._parameters.values()))


def _layout(
    rules: Rules,
    used: set[Any],
    name: str,
    module: nn.Module,
    own: str,
    parameter: Tensor,
    owner: tuple[nn.Module, str] | None,
) -> tuple[Layout, str] | None:
    for key, rule in rules.items():
        fits = matches("rules", key, name) if isinstance(key, str) else isinstance(module, key)
        if fits and (layout := _by_rule(rule, module, own, parameter, name)) is not None:
            used.add(key)
            return layout, "your rule"
    return built_in(module, own, parameter, name, owner)


def _by_rule(rule: Any, module: nn.Module, own: str, parameter: Tensor, name: str) -> Layout | None:
    if callable(rule):
        rule = rule(module, own)
    elif isinstance(rule, Mapping):
        rule = rule.get(own)
    if rule is None or isinstance(rule, Layout):
        return rule
    return layout_of_words(rule, tuple(parameter.shape), name)


def _tied(row: Row, uses: list[tuple[str, nn.Module, Layout, str]], notes: list[str]) -> Row:
    """Return the row of a parameter with several names."""
    name, module, layout, rule = uses[0]
    kinds = {use[2].kind for use in uses}
    reads_out = False
    if len({use[2] for use in uses}) > 1:
        embedding = next((use for use in uses if use[2].kind == "embedding"), None)
        if embedding is None or kinds != {"embedding", "dense"}:
            names = " and ".join(f"{use[0]} ({use[2].kind})" for use in uses)
            raise InputError(
                f"{names} are one parameter with two rules; expected the same rule for both; give it by rules={{...}}"
            )
        name, module, layout, rule = embedding
        reads_out = not any(use[3] == "your rule" for use in uses)
        readout = next(use for use in uses if use[2].kind == "dense")
        if any(type(hook).__name__ == "LogitsMultiplier" for hook in readout[1]._forward_pre_hooks.values()):
            reads_out = False
            rule = f"{rule}, logits scaled"
    tied = tuple(use[0] for use in uses if use[0] != name)
    if reads_out:
        notes.append(
            f"{name} is also the readout {tied[0]}: its logits need a multiplier of order 1/{layout.fan_out}, which "
            "scale_logits(model) adds"
        )
    return Row(name, type(module).__name__, row.shape, layout, rule, tied, row.trained, reads_out)


def _check(parameter: Tensor, name: str) -> None:
    if isinstance(parameter, (UninitializedParameter, UninitializedBuffer)):
        raise InputError(
            f"{name} is lazy and has no shape yet; expected an initialised module; run one batch through the model "
            "first"
        )
    if type(parameter).__name__ == "FlatParameter":
        raise InputError(
            f"{name} holds several parameters that FSDP has flattened; expected the parameters themselves; call this "
            "before wrapping, or wrap with use_orig_params=True"
        )
    if parameter.is_complex():
        raise InputError(
            f"{name} is complex ({parameter.dtype}); expected real parameters; store real and imaginary part as two"
        )
    if not parameter.is_floating_point():
        raise InputError(
            f"{name} is of type {parameter.dtype}; expected floating-point parameters, not quantised ones"
        )


def is_matrix(row: Row) -> bool:
    """Return whether a parameter maps features to features."""
    return row.layout.kind in MATRICES
