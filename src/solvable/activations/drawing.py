"""A designed activation as a figure: its kernel beside the one asked for, and the function itself."""

from typing import TYPE_CHECKING

import numpy as np

from solvable.activations.designed import DesignedActivation
from solvable.activations.target import ANGLES, COSINES
from solvable.kernels.inputs import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(designed: DesignedActivation, width: int = 4096) -> "Figure":
    """Return a figure of the kernel asked for, the one that is had with its spread at a width, and the function.

    Args:
        designed: the activation.
        width: number of neurons of the network whose kernel's standard deviation is the band.
    """
    from solvable.lab.figure import COLORS, house_style, prediction_line, subplots

    width = whole("width", width, at_least=1)
    with house_style():
        figure, (left, right) = subplots(1, 2)
        degrees = np.rad2deg(ANGLES)
        realised, std = designed.curve(COSINES), designed.finite_width_std(COSINES, width)
        prediction_line(
            left,
            degrees,
            realised,
            realised - std,
            realised + std,
            color=COLORS[1],
            label=f"one hidden layer, N = {width}: ± 1 std",
        )
        left.plot(degrees, designed.target, linestyle="--", color=COLORS[0], label="asked for")
        left.set(
            xlabel="angle between inputs (degrees)",
            ylabel={"ntk": "NTK", "nngp": "NNGP kernel", "first layer": "NTK of the first layer"}[
                designed.kind
            ],
            title=f"off by {100 * designed.kernel_error:.2g} % of K(1) at worst",
        )
        left.legend()
        z = np.linspace(-4, 4, 801)
        right.plot(z, designed(z), color=COLORS[1])
        right.set(xlabel="pre-activation z (standard deviations)", ylabel="φ(z)", title=designed.family)
    return figure
