"""Paths of a qubit's Bloch vector under piecewise-constant controls, for many pulses and errors at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, finite, numbers, one_number
from solvable.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PATHS = 7
_MOVES = ("right", "up-right", "up", "up-left", "left", "down-left", "down", "down-right")


def paths(
    controls: ArrayLike,
    dt: ArrayLike,
    initial: ArrayLike,
    offset: ArrayLike = 0.0,
    gain: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Return Bloch vectors before the first step and after each step.

    They obey dr/dt = omega x r, which is H / hbar = omega . sigma / 2, where in each step

        omega = gain u + (0, 0, offset).

    Each step is an exact rotation, so its length does not matter, and lengths of vectors are kept.

    Args:
        controls: u, angular frequencies in rad/us, of shape (..., n_steps, 3), or (..., n_steps, 2)
            if u_z = 0. The leading axes are those of the pulses.
        dt: length of a step in us, at least 0; one number, or an array that broadcasts to (..., n_steps): one for
            each step, or of shape (n_pulses, 1), one for each pulse.
        initial: Bloch vectors, of shape (..., 3) and length at most 1; their leading axes must broadcast with
            those of the pulses.
        offset: detuning in rad/us, any shape.
        gain: factor of all controls, any shape that broadcasts with that of `offset`.

    Returns:
        Array of shape (pulses..., errors..., n_steps + 1, 3): `pulses` is the common shape of the leading
        axes of `controls` and `initial`, `errors` that of `offset` and `gain`.

    Raises:
        InputError: for other shapes, numbers that are not finite, negative steps, and vectors longer than 1.

    Source: textbook (rotation formula of Rodrigues), written in sin(x)/x so that small angles lose no digits.

    Half a turn about x takes |0> to |1>; with the control 10 % too strong it goes 18 degrees too far:

    >>> controls = np.full((4, 2), [np.pi, 0])
    >>> found = paths(controls, 0.25, [0, 0, 1], gain=[1, 1.1])
    >>> found.shape
    (2, 5, 3)
    >>> np.round(found[:, -1], 3) + 0
    array([[ 0.   ,  0.   , -1.   ],
           [ 0.   ,  0.309, -0.951]])
    """
    u, r, detuning, factor, steps = _checked(controls, dt, initial, offset, gain)
    n_steps, errors = u.shape[-2], detuning.shape
    try:
        pulses = np.broadcast_shapes(u.shape[:-2], r.shape[:-1])
    except ValueError:
        raise InputError(
            f"leading axes of controls {u.shape[:-2]} and initial {r.shape[:-1]} do not fit together; "
            "expected one initial vector, or one for each pulse"
        ) from None
    spread = (...,) + (None,) * len(errors)
    # Steps and components come first while computing, so that each operation runs over all paths at once.
    path = np.empty((n_steps + 1, 3, *pulses, *errors))
    path[0] = np.moveaxis(np.broadcast_to(r, (*pulses, 3)), -1, 0)[spread]
    for k in range(n_steps):
        step = steps[..., k][spread]
        x, y, *rest = (u[..., k, axis][spread] * factor * step for axis in range(u.shape[-1]))
        z = detuning * step + (rest[0] if rest else 0.0)
        turn = np.sqrt(x * x + y * y + z * z) / np.pi
        once = _cross((x, y, z), path[k])
        twice = _cross((x, y, z), once)
        first, second = np.sinc(turn), 0.5 * np.sinc(turn / 2) ** 2
        for axis in range(3):
            path[k + 1, axis] = path[k, axis] + first * once[axis] + second * twice[axis]
    return np.moveaxis(path, (0, 1), (-2, -1))


def draw_paths(paths: ArrayLike, labels: Sequence[str]) -> "Figure":
    """Return a figure of paths on the Bloch sphere, each in its colour, with a dot at its end.

    Args:
        paths: of shape (..., n_points, 3), as `paths` returns them; at most seven paths.
        labels: for the legend, one for each path.

    Raises:
        InputError: for another shape, more paths, or a number of labels that is not that of the paths.

    >>> found = paths(np.full((50, 2), [np.pi, 0]), 0.02, [0, 0, 1], offset=[0, 1])
    >>> draw_paths(found, ["resonant", "1 rad/us off"]).axes[0].name
    '3d'
    """
    from solvable.lab.figure import COLORS, house_style, subplots

    points = numbers("paths", paths)
    if points.ndim < 2 or points.shape[-1] != 3:
        raise InputError(f"paths must have the shape (..., n_points, 3); got {points.shape}")
    finite("paths", points.reshape(-1, 3))
    points = points.reshape(-1, *points.shape[-2:])
    if len(points) > _PATHS:
        raise InputError(
            f"at most {_PATHS} paths can be told apart by colour; got {len(points)}; draw some of them"
        )
    if isinstance(labels, str) or len(labels) != len(points):
        raise InputError(
            f"labels must be a list with one text for each of {len(points)} paths; got {labels!r}"
        )
    with house_style():
        figure, ax = subplots(width=3.4, height=3.4, subplot_kw={"projection": "3d"})
        _draw_sphere(ax)
        for (x, y, z), label, color in zip(points.swapaxes(1, 2), labels, COLORS, strict=False):
            ax.plot(x, y, z, color=color, label=label)
            ax.plot(x[-1:], y[-1:], z[-1:], "o", color=color, markersize=5)
        figure.legend(loc="outside lower center", ncols=min(len(points), 3))
    return figure


def describe_path(path: ArrayLike, tolerance: float = 0.03) -> str:
    """Return a path on the Bloch sphere in words, for those who cannot see a figure: seen from +x, with z up.

    Azimuth goes to the right, elevation upwards. The path is straightened where it is within the tolerance of a line.

    Args:
        path: unit vectors, of shape (n_points, 3), with x above 0.
        tolerance: in radians, above 0.

    Raises:
        InputError: for another shape, or a path that leaves the half of the sphere around +x.

    >>> angle = np.linspace(0, 0.5, 20)[:, None]
    >>> up = np.hstack([np.cos(angle), 0 * angle, np.sin(angle)])
    >>> describe_path(np.concatenate([up, up[::-1]]))
    'up 0.50, down 0.50'
    """
    from shapely import LineString

    points = numbers("path", path)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2:
        raise InputError(
            f"path must have the shape (n_points, 3), with two points or more; got {points.shape}"
        )
    finite("path", points)
    if (points[:, 0] <= 0).any():
        raise InputError("path leaves the half of the sphere around +x; expected x above 0 everywhere")
    x, y, z = points.T
    places = np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=1)
    corners = LineString(places).simplify(
        one_number("tolerance", tolerance, above=0), preserve_topology=False
    )
    moves = np.diff(np.asarray(corners.coords), axis=0)
    eighths = np.rint(np.arctan2(moves[:, 1], moves[:, 0]) / (np.pi / 4)).astype(int) % 8
    lengths = np.hypot(*moves.T)
    if not lengths.any():
        return "stays"
    return ", ".join(f"{_MOVES[k]} {length:.2f}" for k, length in zip(eighths, lengths, strict=True))


def _checked(controls: Any, dt: Any, initial: Any, offset: Any, gain: Any) -> list[NDArray[np.float64]]:
    """Return controls, initial vectors, offsets, gains and steps as arrays that fit together."""
    u, steps, r = numbers("controls", controls), numbers("dt", dt, at_least=0), numbers("initial", initial)
    if u.ndim < 2 or u.shape[-1] not in (2, 3):
        raise InputError(
            f"controls must have the shape (..., n_steps, 2) or (..., n_steps, 3); got {u.shape}"
        )
    try:
        steps = np.broadcast_to(steps, u.shape[:-1])
    except ValueError:
        raise InputError(
            f"dt must be one number, or an array that broadcasts to {u.shape[:-1]}, with one for each of "
            f"{u.shape[-2]} steps; got the shape {steps.shape}"
        ) from None
    if r.ndim < 1 or r.shape[-1] != 3:
        raise InputError(f"initial must have the shape (..., 3); got {r.shape}")
    detuning, factor = broadcast(offset=numbers("offset", offset), gain=numbers("gain", gain))
    for name, array in {"controls": u, "dt": steps, "initial": r, "offset": detuning, "gain": factor}.items():
        finite(name, array, "")
    if (length := np.linalg.norm(r, axis=-1).max()) > 1 + 1e-9:
        raise InputError(f"initial must be Bloch vectors of length at most 1; got length {length:g}")
    return [u, r, detuning, factor, steps]


def _cross(a: Any, b: Any) -> tuple[Any, Any, Any]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _draw_sphere(ax: Any) -> None:
    """Draw the unit sphere as three circles, its axes and their names."""
    grey = {"color": "#b0b0b0", "linewidth": 0.6}
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = np.array([np.cos(angle), np.sin(angle), np.zeros_like(angle)])
    for shift in range(3):
        ax.plot(*np.roll(circle, shift, axis=0), **grey)
        ax.plot(*np.roll([[-1, 1], [0, 0], [0, 0]], shift, axis=0), **grey)
    for place, name in (
        ((0, 0, 1.18), r"$|0\rangle$"),
        ((0, 0, -1.18), r"$|1\rangle$"),
        ((1.2, 0, 0), "$x$"),
        ((0, 1.15, 0), "$y$"),
    ):
        ax.text(*place, name, ha="center", va="center")
    ax.set_axis_off()
    ax.set_proj_type("ortho")
    ax.view_init(elev=20, azim=30)
    ax.set_box_aspect((1, 1, 1), zoom=1.3)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
