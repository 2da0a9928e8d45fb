"""Data sets as plain arrays: `load` reads one by name or from a file, `from_arrays` takes what is in memory.

Nothing is downloaded. What was done to the data (scaling, encoding, dropped columns and rows) is said in
`Dataset.notes`, and `Dataset.encoder` does it to new inputs.
"""

from solvable.datasets.labels import encode_targets
from solvable.datasets.loading import NAMES, Dataset, from_arrays, load

__all__ = ["NAMES", "Dataset", "encode_targets", "from_arrays", "load"]
