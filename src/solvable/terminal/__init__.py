"""Shared parts of the command line: output, options, and the commands that serve all wings.

Files: `output` prints results; `arguments` has lists, checked paths and a study's parameters as options; `estimator`
reads `--estimator` and `--params`; `run` and `records` are the commands `run`, `list`, `show` and `runs`.
"""
