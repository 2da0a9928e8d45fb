r"""`param_groups`: parameter groups with which one learning rate holds for all layers and all widths."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.scaling.base import Depth, as_description, blocks_of, row_at_base, scales_of
from solvable.scaling.description import Description, Row, Rules, described, is_matrix
from solvable.scaling.layout import KINDS
from solvable.scaling.names import mapping, matches, unwrapped
from solvable.scaling.optimizers import OptimizerKind, kind_of
from solvable.scaling.pitfalls import warn_of_decay, warn_of_lr, warn_of_weights


class MuonGroups(NamedTuple):
    """Two lists of groups: of the matrices for Muon, and of all other parameters for another optimizer."""

    muon: list[dict[str, Any]]
    rest: list[dict[str, Any]]


def param_groups(
    model: nn.Module,
    optimizer: Any = "adamw",
    *,
    lr: float,
    weight_decay: float = 0.0,
    eps: float | None = None,
    base: nn.Module | Description | None = None,
    depth: Depth | None = None,
    constants: Mapping[str, float] | None = None,
    rules: Rules | None = None,
    groups: Sequence[Mapping[str, Any]] | None = None,
    rest: Any = "adamw",
) -> Any:
    r"""Return parameter groups for an optimizer, in which each layer has the learning rate that the condition asks.

    An update then has a scaled norm of order lr in every layer at every width, so that the best `lr` of a narrow model
    is near the best of a wide one. The model is not changed, and nothing is attached to its parameters; call it before
    or after `torch.compile` and DistributedDataParallel.

    Args:
        model: any module; see `describe` for what each parameter is taken to be.
        optimizer: name, class or kind of the optimizer: `sgd`, `adam`, `adamw`, `nadam`, `adagrad`, `rmsprop`, `lion`,
            `muon`; of others, `sign` for updates of equal entries, `orthogonal` for orthogonalised updates (Shampoo and
            its kin), `spectral` and `frobenius` for updates divided by such a norm.
        lr: the learning rate to tune, in units of the scaled norm of an update: 0.01 to 1 is common. With `base`, the
            learning rate of the base model.
        weight_decay: of matrices; biases, gains and embeddings have none. The weights lose a share lr · weight_decay in
            each step, whatever the layer: it is divided by the layer's multiplier.
        eps: Adam's eps at a layer of one output; by default the optimizer's own. It is divided by the fan-out, since
            gradients are that much smaller.
        base: a narrower model of the same structure (on the meta device, if you like), or its `describe`. All factors
            are then relative to it: on the base itself they are 1, and your own settings stand.
        depth: the residual blocks, for transfer across depth.
        constants: factors of the learning rate to tune once at small width, by kind (`embedding`, `bias`, ...), as
            `readout` (the last dense matrix), or by regular expression of names.
        rules: what a parameter is, where the library cannot know; see `describe`.
        groups: groups of your own, dicts with `params` (parameters, or a regular expression of their names) and any
            options. Each is split by the multipliers; its own `lr` and `weight_decay` come in place of the above.
            Parameters in none of them get the defaults.
        rest: with `muon`, the optimizer of the parameters that Muon does not take.

    Returns:
        a list of dicts with `params`, `names`, `lr`, `lr_scale` (the factor, `lr` over yours), `weight_decay` and,
        where the optimizer has it, `eps`; equal ones are merged, each trainable parameter is in exactly one. For
        `muon`, two such lists, `MuonGroups(muon, rest)`.

    Raises:
        InputError: for parameters without a rule, tied embeddings whose logits have no multiplier, decay that the
            optimizer would couple to the gradient, numbers out of range, and a base of another structure.

    Source: arXiv:2310.17813; eps and decay as in arXiv:2505.01618.

    >>> import torch
    >>> from solvable.scaling import init_
    >>> model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
    >>> _ = init_(model)
    >>> groups = param_groups(model, "adamw", lr=0.1, weight_decay=0.01)
    >>> for group in groups:
    ...     print(group["names"], group["lr_scale"], group["weight_decay"])
    ['0.weight'] 0.015625 0.64
    ['0.bias'] 1.0 0.0
    ['2.weight'] 0.001953125 5.12
    ['2.bias'] 1.0 0.0
    >>> optimizer = torch.optim.AdamW(groups)
    """
    kind = kind_of(optimizer)
    lr = one_number("lr", lr, above=0)
    if eps is not None and kind.eps is None:
        raise InputError(f"eps is {eps:g}, but {kind.name} has none; leave it out")
    weight_decay = one_number("weight_decay", weight_decay, at_least=0)
    description, parameters = described(model, rules)
    refuse_tied(description)
    reference = None if base is None else as_description(base, rules)
    trained = [row for row in description if row.trained]
    if not trained:
        raise InputError(
            "the model has no trainable parameters; expected some; call requires_grad_(True) on those to train"
        )
    if any(row.layout.kind == "embedding" for row in trained):
        _check_sparse(unwrapped(model), kind)
    warn_of_weights(description, parameters, base, reference, depth)
    if weight_decay and kind.decay != "coupled":
        warn_of_decay(lr, weight_decay)
    if base is None:
        warn_of_lr(lr)
    factors = constants_of(mapping("constants", constants), description)
    blocks = None if depth is None else blocks_of(unwrapped(model), depth)
    own = _own_options(groups or (), parameters, description)

    def list_of(rows: Iterable[Row], kind: OptimizerKind) -> list[dict[str, Any]]:
        merged: dict[Any, dict[str, Any]] = {}
        # Most models have few different layers, and each is worked out once.
        seen: dict[Any, dict[str, Any]] = {}
        plain = not own and not factors and reference is None and blocks is None
        which, options, at_base, deep = -1, {}, None, None
        for row in rows:
            # By identity, since layouts compare field by field; equal groups are merged below.
            same: Any = (id(row.layout), row.shape)
            if not plain:
                which, options = own.get(row.name, (-1, {}))
                at_base = None if reference is None else row_at_base(reference, row, depth)
                deep = blocks if blocks is not None and row.name.startswith(f"{blocks[0]}.") else None
                same = (*same, which, factors.get(row.name), deep, at_base and id(at_base.layout))
            group = seen.get(same)
            if group is None:
                scale, eps_scale = scales_of(kind, row, at_base, deep and deep[1], depth)
                scale *= factors.get(row.name, 1.0)
                group = _group(kind, row, options, lr, weight_decay, eps, scale, eps_scale)
                key = (which, *((key, repr(value)) for key, value in group.items()))
                group = seen[same] = merged.setdefault(key, {"params": [], "names": []} | group)
            group["params"].append(parameters[row.name])
            group["names"].append(row.name)
            if "matrices" in group:
                group["matrices"].append(row.layout.stored_matrices(row.shape))
        return list(merged.values())

    if kind.name != "muon":
        return list_of(trained, kind)
    other = kind_of(rest)
    if other.name == "muon":
        raise InputError("rest is 'muon'; expected an optimizer for the parameters that Muon does not take")
    takes = {row.name for row in trained if muon_takes(row)}
    return MuonGroups(
        list_of((row for row in trained if row.name in takes), kind),
        list_of((row for row in trained if row.name not in takes), other),
    )


def _group(
    kind: OptimizerKind,
    row: Row,
    options: Mapping[str, Any],
    lr: float,
    weight_decay: float,
    eps: float | None,
    scale: float,
    eps_scale: float,
) -> dict[str, Any]:
    """Return the options of a parameter's group."""
    own = one_number("lr", options.get("lr", lr), at_least=0)
    # Relative to the learning rate of all, so that lr times lr_scale is right for a group of the user's too.
    scale *= own / lr
    # Decoupled decay removes lr · decay of the weights per step: the product stays the same in all layers.
    decays = is_matrix(row) or "weight_decay" in options
    decay = one_number(
        "weight_decay", options.get("weight_decay", weight_decay if decays else 0.0), at_least=0
    )
    if decay and kind.decay == "coupled" and not options.get("decoupled_weight_decay"):
        remedy = "adamw" if kind.name == "adam" else "adamw, nadam or sgd"
        raise InputError(
            f"weight_decay is {decay:g} with {kind.name}, which adds it to the gradient and then divides by the "
            "gradient's size, so that its strength would depend on width; expected 0, or an optimizer with decoupled "
            f"decay: {remedy}"
        )
    group = {key: value for key, value in options.items() if key not in ("params", "names")}
    group |= {
        "lr": lr * scale,
        "lr_scale": scale,
        "weight_decay": decay / scale * (own / lr) if own else decay,
    }
    if kind.eps is not None:
        chosen = one_number("eps", options.get("eps", kind.eps if eps is None else eps), at_least=0)
        if chosen == 0:
            raise InputError(
                f"eps is 0, with which {kind.name} divides 0 by 0 as soon as one entry of a gradient is 0 (a dead "
                "unit, a constant input); expected a positive number, such as 1e-16"
            )
        group["eps"] = chosen * eps_scale
    if kind.decay == "switch":
        group["decoupled_weight_decay"] = True
    if kind.name == "muon":
        group["adjust_lr_fn"] = "original"
    if kind.name == "spectral":
        group["matrices"] = []
    return group


def muon_takes(row: Row) -> bool:
    """Return whether Muon takes a parameter; raise for packed matrices, which it would take as one."""
    if len(row.shape) != 2 or not is_matrix(row):
        return False
    if row.layout.blocks > 1:
        raise InputError(
            f"{row.name} packs {row.layout.blocks} matrices, which Muon would orthogonalise as one; expected separate "
            "matrices; split the layers, use SpectralSGD, or accept it by "
            f'rules={{"{".".join(row.name.split(".")[-2:])}": "dense"}}'
        )
    return True


def refuse_tied(description: Description) -> None:
    """Raise for an embedding that is also the readout if the logits have no multiplier."""
    for row in description:
        if row.reads_out and row.trained:
            readout = row.tied_to[0]
            raise InputError(
                f"{row.name} is both an embedding and the readout {readout}, so no learning rate suits both; expected "
                f"logits that are multiplied by a number of order 1/{row.layout.fan_out}; call scale_logits(model), "
                "or, if "
                f'your forward pass does so, say rules={{"{row.name}": "embedding"}}'
            )


def _check_sparse(model: nn.Module, kind: OptimizerKind) -> None:
    for name, module in model.named_modules():
        sparse = isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.sparse
        if sparse and module.weight.requires_grad:
            if kind.name in ("sgd", "adagrad"):
                return
            raise InputError(
                f"{f'{name}.weight' if name else 'weight'} has sparse gradients, which {kind.name} does not take; "
                "expected dense ones; use sparse=False, or give this parameter to torch.optim.SparseAdam, without a "
                "factor, and freeze it here"
            )


def constants_of(constants: Mapping[Any, Any], description: Description) -> dict[str, float]:
    """Return the factor of each parameter that a constant fits."""
    factors: dict[str, float] = {}
    for key, value in constants.items():
        factor = one_number(f"constants[{key!r}]", value, above=0)
        if key == "readout":
            names = [description.readout] if description.readout else []
        elif key in KINDS:
            names = [row.name for row in description if row.layout.kind == key]
        else:
            names = [row.name for row in description if matches("constants", key, row.name)]
        if not names:
            raise InputError(
                f"constants has {key!r}, which is no kind of a parameter here and fits no name; expected 'readout', "
                f"one of {', '.join(sorted({row.layout.kind for row in description}))}, or part of a name"
            )
        for name in names:
            factors[name] = factors.get(name, 1.0) * factor
    return factors


def _own_options(
    groups: Sequence[Mapping[str, Any]], parameters: Mapping[str, Tensor], description: Description
) -> dict[str, tuple[int, Mapping[str, Any]]]:
    """Return for each parameter in a group of the user's the group's number and options."""
    first = {id(parameters[row.name]): row.name for row in description} if groups else {}
    own: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for i, group in enumerate(groups):
        if not isinstance(group, Mapping) or "params" not in group:
            got = f"has only {', '.join(group)}" if isinstance(group, Mapping) else f"is {group!r}"
            raise InputError(f"groups[{i}] {got}; expected a dict with 'params', as for torch.optim")
        params = group["params"]
        one_number(f"lr of groups[{i}]", group.get("lr", 0.0), at_least=0)
        one_number(f"weight_decay of groups[{i}]", group.get("weight_decay", 0.0), at_least=0)
        if isinstance(params, str):
            names = [row.name for row in description if matches(f"groups[{i}]", params, row.name)]
            if not names:
                raise InputError(
                    f"groups[{i}] has params={params!r}, which fits no name; expected part of one"
                )
        else:
            params = [params] if isinstance(params, Tensor) else list(params)
            tensors = [one[1] if isinstance(one, tuple) else one for one in params]
            names = [first.get(id(one), "") for one in tensors]
        if not names or "" in names:
            raise InputError(
                f"groups[{i}] has a parameter that the model does not have, or none; expected parameters of it"
            )
        for name in names:
            if name in own:
                raise InputError(f"{name} is in groups[{own[name][0]}] and groups[{i}]; expected it in one")
            own[name] = i, group
    return own
