"""The command line with this wing alone."""

from solvable.cli import main
from toy_wing.table import TOY

main(wings=TOY)
