"""More is better: kernel ridge and random-feature regression, predicted and measured (arXiv:2311.14646).

Files: `theory` and `power_law` are closed forms. `surface` is the tool, with `surface_file`; it is made from
`targets`, `one_gram` (leave-one-out statistics, with `intercept`), `estimated_curves` (their continuation),
`error_rate`, `halves` (the check), `intervals` and `label_noise`. `diagnose` decides, with `diagnosis` (numbers),
`near_duplicates`, `own_model` and `verdict` (text); `estimator` is the model. `experiment` and `nested` measure,
`study` compares. Shown by `drawing`, `command`, `page` and `explore` (content of the page).
"""

from solvable.regression.diagnose import Diagnosis, diagnose, diagnose_dataset
from solvable.regression.error_rate import ErrorRates
from solvable.regression.estimated_curves import Continuation, EstimatedCurves
from solvable.regression.estimator import KernelClassifier, KernelRegressor
from solvable.regression.experiment import measure
from solvable.regression.halves import HalvesCheck
from solvable.regression.label_noise import with_label_noise
from solvable.regression.one_gram import OneGram
from solvable.regression.power_law import interpolation_threshold, optimal_train_test_ratio, relative_test_mse
from solvable.regression.surface import LearningSurface
from solvable.regression.theory import learned_coefficients, optimal_ridge, predict

__all__ = [
    "Continuation",
    "Diagnosis",
    "ErrorRates",
    "EstimatedCurves",
    "HalvesCheck",
    "KernelClassifier",
    "KernelRegressor",
    "LearningSurface",
    "OneGram",
    "diagnose",
    "diagnose_dataset",
    "interpolation_threshold",
    "learned_coefficients",
    "measure",
    "optimal_ridge",
    "optimal_train_test_ratio",
    "predict",
    "relative_test_mse",
    "with_label_noise",
]
