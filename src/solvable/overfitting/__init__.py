"""Cost of label noise to a model, and its trend with more data: benign, tempered or catastrophic (arXiv:2207.06569).

Files: `theory`, `asymptotics` and `reference` are closed forms. `noise_profile` and `training_profile` measure any
estimator, with `build_task` and `task` (data), `label_noise`, `estimators`, `fitting`, `epochs`, `stopping` and
`profile_numbers`; `kernel_profile`, `linear_smoothers` and `noise_weights` need no retraining. `classify` judges, with
`sensitivity_curve`, `floor` and `classification` (the verdict). Studies: `study` with `experiment`; `noise_profiles`
with `models`, and `two_losses`, both with `flipped_data`. Shown by `verdict`, `drawing`, `command`, `page` and
`explore`, `explore_labels`, `explore_profile` (content of the page).
"""

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
from solvable.overfitting.classification import Classification
from solvable.overfitting.classify import classify_overfitting
from solvable.overfitting.kernel_profile import kernel_noise_profile
from solvable.overfitting.label_noise import (
    chance_error,
    channel_matrix,
    clean_to_noisy,
    compose_noise,
    flip_labels,
    noisy_to_clean,
    resampled_noise,
)
from solvable.overfitting.linear_smoothers import linear_smoother_profile, spiky_smooth
from solvable.overfitting.noise_profile import NoiseProfile, noise_profile
from solvable.overfitting.noise_weights import (
    HeavyTailWarning,
    loo_noise_costs,
    loo_overfitting_coefficient,
    noise_sensitivity,
)
from solvable.overfitting.reference import (
    bayes_profile,
    knn_excess,
    knn_profile,
    linear_smoother_flip_error,
    nearest_neighbor_torus_mse,
    sampler_profile,
)
from solvable.overfitting.stopping import NotInterpolatingWarning, TrainedUntil
from solvable.overfitting.theory import (
    cost_of_overfitting,
    effective_ranks,
    overfitting_bounds,
    overfitting_coefficient,
)
from solvable.overfitting.training_profile import TrainingProfile, training_profile

__all__ = [
    "Asymptotics",
    "Classification",
    "HeavyTailWarning",
    "LowDimensionWarning",
    "NoiseProfile",
    "NotInterpolatingWarning",
    "TrainedUntil",
    "TrainingProfile",
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
