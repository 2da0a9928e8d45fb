"""Infrastructure of all studies: define a `Study`, `run` it, and keep the result as a `Record`.

A study predicts and measures the same quantities on the same grid. `run` predicts, measures in parallel trials (each
saved when it finishes), compares, and writes a folder with tables, figure and report.

Files: `study` and `parameters` define a study; `run` runs one, with `trials` (in parallel, on a cluster by `cluster`
and `cluster_backend`), `keys` (equal runs), `files` (atomic writing), `compare`, `record` and `report`. Results are
shown with `figure`, `verdict`, `text` and `mathml`, and on pages with `page` and `chart`.
"""

from solvable.lab.compare import Agreement, Comparison, compare, mean_and_error
from solvable.lab.parameters import (
    DataParameters,
    ParameterField,
    as_text,
    check_parameters,
    parameter_fields,
)
from solvable.lab.record import DamagedRecord, Record, damaged_records, find_record, records
from solvable.lab.run import run
from solvable.lab.study import Study
from solvable.lab.trials import TrialStore, run_trials
from solvable.lab.verdict import Section, Table, Verdict

__all__ = [
    "Agreement",
    "Comparison",
    "DamagedRecord",
    "DataParameters",
    "ParameterField",
    "Record",
    "Section",
    "Study",
    "Table",
    "TrialStore",
    "Verdict",
    "as_text",
    "check_parameters",
    "compare",
    "damaged_records",
    "find_record",
    "mean_and_error",
    "parameter_fields",
    "records",
    "run",
    "run_trials",
]
