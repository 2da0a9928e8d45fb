"""Small torch networks in the NTK parametrization, and the training loop of the experiments.

Files: `fully_connected`, `training`.
"""

from solvable.errors import missing_extra

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise missing_extra("torch", "nets", "training networks") from None

from solvable.networks.fully_connected import FullyConnected
from solvable.networks.training import Centred, Training, centred, train

__all__ = ["Centred", "FullyConnected", "Training", "centred", "train"]
