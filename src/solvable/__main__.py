"""`python -m solvable` is the command `solvable`."""

from solvable.cli import main

main()
