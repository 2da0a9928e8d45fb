"""Benchmarks: one file per ratio that we claim, the peer timed in the same run. `python -m benchmarks` runs them."""
