"""A spectral condition for feature learning: learning rates that transfer across widths (arXiv:2310.17813).

Files: `theory` and `parametrizations` are closed forms. `description` says what each parameter is (with `layout`,
`rules` and `names`); from it follow `initialise`, `groups` (learning rates, with `optimizers`, `base` and `pitfalls`)
and `auditing`. `norms` are largest singular values, `steepest` has optimizers that obey the condition. Measured:
`monitor` (with `lines` and `findings`), `coordinates` (features over widths, with `features`) and `sweep` (learning
rates over widths). Studies: `study`, `depth` and `richness`, with `experiment` and `drawing`. Shown by `command`,
`page` and `explore`, `explore_measured` (content of the page).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from solvable.errors import missing_extra
from solvable.scaling.parametrizations import abc, convert_abc, exponents
from solvable.scaling.theory import (
    depth_multipliers,
    gaussian_spectral_norm,
    init_std,
    lr_multiplier,
    max_lr_richness,
    plateau_exponent,
    spectral_scale,
)

if TYPE_CHECKING:
    from solvable.scaling.auditing import Audit, audit
    from solvable.scaling.base import Depth
    from solvable.scaling.coordinates import CoordinateCheck, coordinate_check
    from solvable.scaling.description import Description, Row, describe
    from solvable.scaling.findings import Violation
    from solvable.scaling.groups import MuonGroups, param_groups
    from solvable.scaling.initialise import init_, scale_logits
    from solvable.scaling.layout import KINDS, Layout
    from solvable.scaling.monitor import Monitor
    from solvable.scaling.norms import operator_norm, spectral_norm
    from solvable.scaling.pitfalls import ScalingWarning
    from solvable.scaling.rules import register_rule
    from solvable.scaling.steepest import SpectralSGD, muon
    from solvable.scaling.sweep import Transfer, transfer

_WITH_TORCH = {
    "Audit": "auditing",
    "CoordinateCheck": "coordinates",
    "Depth": "base",
    "Description": "description",
    "KINDS": "layout",
    "Layout": "layout",
    "Monitor": "monitor",
    "MuonGroups": "groups",
    "Row": "description",
    "ScalingWarning": "pitfalls",
    "SpectralSGD": "steepest",
    "Transfer": "sweep",
    "Violation": "findings",
    "audit": "auditing",
    "coordinate_check": "coordinates",
    "describe": "description",
    "init_": "initialise",
    "muon": "steepest",
    "operator_norm": "norms",
    "param_groups": "groups",
    "register_rule": "rules",
    "scale_logits": "initialise",
    "spectral_norm": "norms",
    "transfer": "sweep",
}

__all__ = [
    "KINDS",
    "Audit",
    "CoordinateCheck",
    "Depth",
    "Description",
    "Layout",
    "Monitor",
    "MuonGroups",
    "Row",
    "ScalingWarning",
    "SpectralSGD",
    "Transfer",
    "Violation",
    "abc",
    "audit",
    "convert_abc",
    "coordinate_check",
    "depth_multipliers",
    "describe",
    "exponents",
    "gaussian_spectral_norm",
    "init_",
    "init_std",
    "lr_multiplier",
    "max_lr_richness",
    "muon",
    "operator_norm",
    "param_groups",
    "plateau_exponent",
    "register_rule",
    "scale_logits",
    "spectral_norm",
    "spectral_scale",
    "transfer",
]


def __getattr__(name: str) -> Any:
    # The theory does not need torch, so what does is imported when it is first used.
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("torch") is None:
        raise missing_extra("torch", "nets", f"solvable.scaling.{name}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
