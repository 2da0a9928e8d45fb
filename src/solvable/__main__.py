"""Run the command `solvable` as `python -m solvable`."""

from solvable.cli import main

main()
