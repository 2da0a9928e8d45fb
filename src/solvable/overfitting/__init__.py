"""Benign, tempered or catastrophic: what label noise costs a model, and whether more data help (arXiv:2207.06569)."""

from solvable.overfitting.asymptotics import (
    Asymptotics,
    LowDimensionWarning,
    effective_dimension,
    exponential_asymptotics,
    kernel_asymptotics,
    log_corrected_asymptotics,
    log_normal_asymptotics,
    low_dimension_caveat,
    matern_asymptotics,
    power_law_asymptotics,
    power_law_coefficient,
)
from solvable.overfitting.measuring.channel import channel_matrix, flip_labels
from solvable.overfitting.measuring.noise_profile import noise_profile
from solvable.overfitting.measuring.profile import NoiseProfile
from solvable.overfitting.measuring.stopping import NotInterpolatingWarning, TrainedUntil
from solvable.overfitting.measuring.training_profile import TrainingProfile, training_profile
from solvable.overfitting.nearest_neighbor import nearest_neighbor_torus_mse
from solvable.overfitting.noise_rates import (
    chance_error,
    clean_to_noisy,
    compose_noise,
    noisy_to_clean,
    resampled_noise,
)
from solvable.overfitting.reference import (
    bayes_profile,
    knn_excess,
    knn_profile,
    linear_smoother_flip_error,
    sampler_profile,
)
from solvable.overfitting.smoothers.kernel_profile import kernel_noise_profile
from solvable.overfitting.smoothers.linear_smoothers import linear_smoother_profile
from solvable.overfitting.smoothers.noise_weights import (
    HeavyTailWarning,
    loo_noise_costs,
    loo_overfitting_coefficient,
    noise_sensitivity,
)
from solvable.overfitting.smoothers.spiky import spiky_smooth
from solvable.overfitting.theory import (
    cost_of_overfitting,
    effective_ranks,
    overfitting_bounds,
    overfitting_coefficient,
)
from solvable.overfitting.verdicts.classify import classify_overfitting
from solvable.overfitting.verdicts.regime import Verdict

__all__ = [
    "Asymptotics",
    "HeavyTailWarning",
    "LowDimensionWarning",
    "NoiseProfile",
    "NotInterpolatingWarning",
    "TrainedUntil",
    "TrainingProfile",
    "Verdict",
    "bayes_profile",
    "chance_error",
    "channel_matrix",
    "classify_overfitting",
    "clean_to_noisy",
    "compose_noise",
    "cost_of_overfitting",
    "effective_dimension",
    "effective_ranks",
    "exponential_asymptotics",
    "flip_labels",
    "kernel_asymptotics",
    "kernel_noise_profile",
    "knn_excess",
    "knn_profile",
    "linear_smoother_flip_error",
    "linear_smoother_profile",
    "log_corrected_asymptotics",
    "log_normal_asymptotics",
    "loo_noise_costs",
    "loo_overfitting_coefficient",
    "low_dimension_caveat",
    "matern_asymptotics",
    "nearest_neighbor_torus_mse",
    "noise_profile",
    "noise_sensitivity",
    "noisy_to_clean",
    "overfitting_bounds",
    "overfitting_coefficient",
    "power_law_asymptotics",
    "power_law_coefficient",
    "resampled_noise",
    "sampler_profile",
    "spiky_smooth",
    "training_profile",
]
