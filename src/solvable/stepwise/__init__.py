"""Stepwise self-supervised learning: which direction a model learns when, and whether to wait (arXiv:2303.15438).

Files: `theory` has the closed forms, with `correlation` (of views), `row_times` (times of generic weights),
`simulation`, `plateaus` (of the loss), `learnable` (how many directions data support) and `other_losses`. `kernel_ssl`
(with `lanczos`) solves any kernel exactly. `prediction` predicts a network's steps from its features. In training:
`losses` (with `contrastive`, `views` and `trivial_losses`), `augment`, and `tracker`, which watches the embeddings,
with `spectrum` and `metrics` (what is measured), `history`, `growth` and `assessment` (what follows), and
`callback` for Lightning. Studies: `study` (with `experiment`) and `network_study` (with `network_experiment`); figures
are in `drawing`. Shown by `command` and `page`, with `explore`, `explore_setting` and
`explore_loss` (content of the page).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from solvable.errors import missing_extra
from solvable.stepwise.metrics import alpha_req, effective_rank, lidar, participation_ratio, rankme
from solvable.stepwise.other_losses import LossModes, loss_modes
from solvable.stepwise.theory import (
    Directions,
    EffectiveInit,
    HeldOut,
    Simulation,
    cross_correlation,
    directions_from_loss,
    effective_init,
    held_out_directions,
    learnable_directions,
    max_learning_rate,
    plateau_loss,
    simulate,
    step_times,
    terminal_weights,
    trajectory,
)
from solvable.stepwise.trivial_losses import nothing_learned

if TYPE_CHECKING:
    from solvable.stepwise import losses
    from solvable.stepwise.assessment import TrainingVerdict
    from solvable.stepwise.augment import Augmentation
    from solvable.stepwise.callback import spectrum_callback
    from solvable.stepwise.growth import Forecast
    from solvable.stepwise.history import Step
    from solvable.stepwise.kernel_ssl import KernelSSL
    from solvable.stepwise.prediction import StepPrediction, predict_from_features
    from solvable.stepwise.tracker import SpectrumTracker, TrackerWarning

_WITHOUT_TORCH = {"KernelSSL": "kernel_ssl"}
_WITH_TORCH = {
    "Augmentation": "augment",
    "Forecast": "growth",
    "SpectrumTracker": "tracker",
    "Step": "history",
    "StepPrediction": "prediction",
    "TrackerWarning": "tracker",
    "TrainingVerdict": "assessment",
    "losses": "losses",
    "predict_from_features": "prediction",
    "spectrum_callback": "callback",
}

__all__ = [
    "Augmentation",
    "Directions",
    "EffectiveInit",
    "Forecast",
    "HeldOut",
    "KernelSSL",
    "LossModes",
    "Simulation",
    "SpectrumTracker",
    "Step",
    "StepPrediction",
    "TrackerWarning",
    "TrainingVerdict",
    "alpha_req",
    "cross_correlation",
    "directions_from_loss",
    "effective_init",
    "effective_rank",
    "held_out_directions",
    "learnable_directions",
    "lidar",
    "loss_modes",
    "losses",
    "max_learning_rate",
    "nothing_learned",
    "participation_ratio",
    "plateau_loss",
    "predict_from_features",
    "rankme",
    "simulate",
    "spectrum_callback",
    "step_times",
    "terminal_weights",
    "trajectory",
]


def __getattr__(name: str) -> Any:
    # The theory needs neither scikit-learn nor torch, so what does is imported when it is first used.
    place = _WITHOUT_TORCH.get(name) or _WITH_TORCH.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _WITH_TORCH and find_spec("torch") is None:
        raise missing_extra("torch", "nets", f"solvable.stepwise.{name}")
    module = import_module(f"{__name__}.{place}")
    return module if name == "losses" else getattr(module, name)
