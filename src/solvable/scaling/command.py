"""The commands `solvable scaling ...`."""

import re
from typing import Any

from cyclopts import App

from solvable.checks import one_number
from solvable.errors import InputError, missing_extra
from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.terminal.arguments import Words
from solvable.terminal.estimator import check_params, imported, params_from
from solvable.terminal.output import OUTPUT, Output, example

scaling = App(
    name="scaling",
    help="Learning rates that transfer across widths: what each parameter of your torch model needs.",
    help_epilogue=example(
        "solvable scaling describe torch.nn:MultiheadAttention --params embed_dim=256,num_heads=4"
    ),
)


@scaling.command(
    name="describe",
    help_epilogue=example(
        "solvable scaling describe torch.nn:MultiheadAttention --params embed_dim=256,num_heads=4"
    ),
)
def describe_command(
    model: str,
    /,
    *,
    params: str = "",
    optimizer: str = "adamw",
    gain: float = 1.0,
    rules: Words = (),
    base_params: str = "",
    output: Output = OUTPUT,
) -> None:
    """Describe the parameters of a model of yours: kind, fan-in and fan-out, learning-rate multiplier, initialisation.

    Args:
        model: MODULE:FACTORY of an importable module or of a FILE.py here: a torch.nn.Module, its class, or a function
            that returns one.
        params: Arguments of the class or function, as in width=512,depth=4.
        optimizer: sgd, adam, adamw, nadam, adagrad, rmsprop, lion, muon; sign or orthogonal for others with such
            updates.
        gain: Gain of the initialisation to compare with, such as 1.414 for ReLU.
        rules: What a parameter is where the library cannot know, as in REGEX=KIND,REGEX=KIND with the kinds dense,
            "dense transposed", embedding, position, blocks:3, experts, "experts transposed", bias, gain, vector,
            unscaled.
        base_params: Arguments of a narrower base model, to print multipliers relative to it.
        output: How the result is printed.
    """
    try:
        from solvable.scaling.description import describe
    except ImportError:
        raise missing_extra("torch", "nets", "describing a model") from None
    gain = one_number("gain", gain, above=0)
    # FILE.py:NAME, as a shell completes it, is FILE:NAME.
    model = re.sub(r"\.py(?=:)", "", model.removeprefix("./"))
    target = imported(model, "MODEL", "mymodels:make_model", "torch.nn.Module, its class or a function")
    own_rules: Any = dict(_rule(word) for word in rules)
    built = _built(target, model, params)
    try:
        description = describe(built, own_rules)
        base = describe(_built(target, model, base_params), own_rules) if base_params else None
        facts, notes = _facts(built, description, base, optimizer, gain)
    except InputError as error:
        # On the command line a rule is written in another way.
        words = re.sub(r'rules=\{"(.*?)": "(.*?)"\}', r"--rules '\1=\2'", str(error))
        raise InputError(words) from None
    output.emit(
        {
            "model": description.title,
            "optimizer": optimizer,
            "parameters": facts,
            "notes": list(description.notes),
        },
        [f"{one['name']} {one['lr_multiplier']!r}" for one in facts],
        lambda: print(_verdict(description, facts, notes, optimizer, base is not None)),
    )


def _rule(word: str) -> tuple[str, str]:
    pattern, equals, kind = word.rpartition("=")
    if not (pattern and equals and kind):
        raise InputError(f"--rules has {word!r}; expected REGEX=KIND, as in head.*weight=dense")
    return pattern, kind


def _built(target: Any, name: str, params: str) -> Any:
    from torch import nn

    keywords = params_from(params)
    attribute = name.partition(":")[2]
    if isinstance(target, nn.Module):
        if keywords:
            raise InputError(f"{attribute} is a module already and takes no --params; leave them out")
        return target
    if not callable(target):
        raise InputError(
            f"{attribute} is of type {type(target).__name__}; expected a torch.nn.Module, its class or a function"
        )
    check_params(target, keywords, attribute)
    try:
        built = target(**keywords)
    except Exception as problem:
        raise InputError(
            f"{attribute} cannot be called with {keywords or 'no params'} ({type(problem).__name__}: {problem}); "
            "expected other --params, as in width=512"
        ) from problem
    if not isinstance(built, nn.Module):
        raise InputError(f"{attribute} returns a {type(built).__name__}; expected a torch.nn.Module")
    return built


def _facts(
    model: Any, description: Any, base: Any, optimizer: str, gain: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the facts of each parameter, and notes; weights are judged as the Monitor would before training."""
    from solvable.scaling.base import row_at_base, scales_of
    from solvable.scaling.description import is_matrix
    from solvable.scaling.groups import muon_takes
    from solvable.scaling.lines import lines_of
    from solvable.scaling.norms import spectral_norm
    from solvable.scaling.optimizers import kind_of

    kind = kind_of(optimizer)
    factors: dict[str, list[float]] = {}
    for line in lines_of(model, description.rows):
        expected = line.row.layout.expected_norm(gain)
        if not line.parameter.is_meta and is_matrix(line.row) and expected:
            stack = line.matrices(line.parameter.detach())
            norm = max(spectral_norm(one, tol=1e-2) for one in stack) * line.row.layout.scale
            factors.setdefault(line.row.name, []).append(norm / expected)
    facts, notes = [], list(description.notes)
    rest = kind_of("adamw")
    for row in description:
        own, takes = kind, True
        if kind.name == "muon":
            try:
                takes = muon_takes(row)
            except InputError as error:
                notes.append(str(error))
        own = kind if takes else rest
        other = None if base is None else row_at_base(base, row, None)
        scale, _ = scales_of(own, row, other, None, None)
        facts.append(
            {
                "name": row.name,
                "kind": row.layout.kind,
                "shape": list(row.shape),
                "fan_in": row.layout.fan_in,
                "fan_out": row.layout.fan_out,
                "blocks": row.layout.blocks,
                "groups": row.layout.groups,
                "init_std": row.layout.init_std,
                "lr_multiplier": scale,
                "optimizer": own.name,
                "weight_factor": max(factors[row.name], default=None) if row.name in factors else None,
                "trained": row.trained,
                "rule": row.rule,
            }
        )
    if kind.name == "muon":
        notes.append("Muon takes matrices only; the other parameters' factors are those for AdamW")
    return facts, notes


def _verdict(
    description: Any, facts: list[dict[str, Any]], notes: list[str], optimizer: str, relative: bool
) -> Verdict:
    heads = ("parameter", "kind", "shape", "fan in", "fan out", "init std", "W factor", f"lr ({optimizer})")
    rows = tuple(
        (
            one["name"],
            one["kind"] + f", {one['blocks']} blocks" * (one["blocks"] > 1),
            " x ".join(map(str, one["shape"])) or "one number",
            str(one["fan_in"]),
            str(one["fan_out"]),
            "1" if one["kind"] == "gain" else readable(one["init_std"], 3),
            readable(one["weight_factor"], 3),
            readable(one["lr_multiplier"], 4)
            + f" ({one['optimizer']})" * (optimizer == "muon" != one["optimizer"]),
        )
        for one in facts
    )
    far = [one for one in facts if one["weight_factor"] is not None and not 1 / 3 < one["weight_factor"] < 3]
    text = "The last column multiplies the learning rate" + (" of the base model." if relative else ".")
    if far:
        worst = max(far, key=lambda one: max(one["weight_factor"], 1 / max(one["weight_factor"], 1e-12)))
        text += (
            f" {worst['name']} has weights {readable(worst['weight_factor'], 3)} times as large as init_(model) makes "
            "them (W factor)."
        )
    notes = ["in Python: init_(model), then optimizer(param_groups(model, ...))", *notes]
    return Verdict(
        f"{description.title}: {len(facts)} parameters",
        (Section("", text, Table(heads, rows)),),
        tuple(notes),
    )
