"""More is better: kernel ridge and random-feature regression, predicted and measured (arXiv:2311.14646)."""

from solvable.regression.diagnose import Diagnosis, diagnose
from solvable.regression.experiment import measure
from solvable.regression.power_law import interpolation_threshold, optimal_train_test_ratio, relative_test_mse
from solvable.regression.surface import LearningSurface
from solvable.regression.theory import learned_coefficients, optimal_ridge, predict

__all__ = [
    "Diagnosis",
    "LearningSurface",
    "diagnose",
    "interpolation_threshold",
    "learned_coefficients",
    "measure",
    "optimal_ridge",
    "optimal_train_test_ratio",
    "predict",
    "relative_test_mse",
]
