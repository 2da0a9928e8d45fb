"""Data sets as plain arrays: `load` reads one by name or from a file, `from_arrays` takes arrays and tables.

Nothing is downloaded. `Dataset.notes` lists the changes to the data (scaling, encoding, dropped columns and rows), and
`Dataset.encoder` applies them to new inputs.

Files: `loading` has both functions, with `files`, `readers` and `csv_files` for files and `inputs` for arrays;
`columns`, `encoding`, `labels` and `groups` turn values into numbers; `estimator_data` has what scikit-learn estimators
take; `sampling` selects rows; `sphere` splits and scales for studies.
"""

from solvable.datasets.labels import encode_targets
from solvable.datasets.loading import NAMES, Dataset, from_arrays, load

__all__ = ["NAMES", "Dataset", "encode_targets", "from_arrays", "load"]
