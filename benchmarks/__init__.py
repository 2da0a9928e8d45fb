"""Benchmarks: one file per ratio that we claim, the peer timed in the same run.

`python -m benchmarks` runs every module here whose name does not begin with an underscore: its `run()` yields
`Result`s. `python -m benchmarks surface` runs that one.
"""
