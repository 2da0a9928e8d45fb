"""Small torch networks in the NTK parametrization, and the training loops of the experiments.

Files: `fully_connected`; `training` (full batch), `minibatch`.
"""

from solvable.errors import missing_extra

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise missing_extra("torch", "nets", "training networks") from None

from solvable.networks.fully_connected import FullyConnected
from solvable.networks.minibatch import BatchTraining, train_batches
from solvable.networks.training import Centred, Training, centred, train

__all__ = ["BatchTraining", "Centred", "FullyConnected", "Training", "centred", "train", "train_batches"]
