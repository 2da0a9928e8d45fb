"""The table that has this wing alone."""

from solvable.wings import Wing

TOY = (Wing("toy_wing", {"toy": "study"}, {"toy-size": "Say how many draws a mean needs."}, package=""),)
