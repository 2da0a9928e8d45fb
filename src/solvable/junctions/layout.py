"""Layouts of junctions as GDS files: cells with their areas on the grid. Test wafers are in `wafer_layout`.

Lengths are in um. Electrodes are rounded so that they stay rectangles at exactly 0 or 45 degrees: their
widths are whole multiples of the grid, or of sqrt(2) times the grid. Rounding corner by corner, as a file
format does otherwise, makes the area of a rotated junction depend on where it lies. The drawings are ours,
not those of a paper.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import radians, sqrt, tan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, numbers, one_number, whole
from solvable.errors import InputError, missing_extra
from solvable.junctions.josephson import (
    ALUMINIUM_GAP_eV,
    josephson_energy,
    josephson_inductance,
    junction_capacitance,
)

if TYPE_CHECKING:
    import gdstk
    import pandas as pd

LAYERS = {"wiring": 1, "junction": 2, "patch": 3, "text": 10}
"""GDS layers by default, all with datatype 0."""

# A rounding error of the area beyond this is a mistake in the grid.
_LARGEST_AREA_ERROR = 0.05
# Wires are so much wider than the patches on each side, for misalignment between the two lithographies.
_WIRE_MARGIN_UM = 1.0
# The format stores a time; a fixed one makes equal layouts equal files.
_TIMESTAMP = datetime(2000, 1, 1)


@dataclass(frozen=True)
class JunctionCell:
    """A cell with one junction, and what is drawn in it.

    Attributes:
        cell: the `gdstk.Cell`; the crossing, or the middle of the bridge, is at the origin.
        label: drawn widths in nm, such as `200x140`.
        w1_um, w2_um: widths of the films that are aimed at; of a Dolan junction, width and overlap length.
        drawn_w1_um, drawn_w2_um: drawn widths, after the bias and rounding to the grid.
        area_error: relative error of the film's area, with the bias added to the drawn widths, against w1 w2.
        ports_um: where the wires end, left and right.
        wire_um, grid_um, layers: width of the wires, database unit, and GDS layers.
    """

    cell: "gdstk.Cell"
    label: str
    w1_um: float
    w2_um: float
    drawn_w1_um: float
    drawn_w2_um: float
    area_error: float
    ports_um: tuple[tuple[float, float], tuple[float, float]]
    wire_um: float
    grid_um: float
    layers: Mapping[str, int]

    @property
    def target_area_um2(self) -> float:
        """The area of the film that is aimed at, w1 w2."""
        return self.w1_um * self.w2_um

    @property
    def drawn_area_um2(self) -> float:
        """The drawn area after rounding to the grid."""
        return self.drawn_w1_um * self.drawn_w2_um


def pict_cell(
    w1_um: float,
    w2_um: float,
    *,
    electrode_length_um: float = 6.0,
    overshoot_um: float = 1.2,
    patch_pad_um: float = 4.0,
    patch_overlap_um: float = 2.0,
    orientation_deg: int = 0,
    width_bias_um: tuple[float, float] = (0.0, 0.0),
    grid_um: float = 1e-4,
    layers: Mapping[str, int] | None = None,
) -> JunctionCell:
    r"""Return a cross-type junction with patches in the same lithography: two trenches at right angles.

    The area is $w_1 w_2$. Trench 1 comes from the left, trench 2 from below; at 45 degrees both come from
    below. Each ends in a patch pad, which overlaps a wire made before.

    Args:
        w1_um: width of the film of the electrode from the left, > 0.
        w2_um: width of the film of the other electrode, > 0.
        electrode_length_um: from the crossing to the patch pads, more than half the wires' width.
        overshoot_um: length of each trench beyond the crossing, at least 0; it should exceed the undercut
            plus the displacement of the film, (t1 + t2 / 2) tan(tilt) for resist layers t1 and t2.
        patch_pad_um: side of the patch pads, at least the larger width.
        patch_overlap_um: length of the patch on the wire, above 0 and less than the pad.
        orientation_deg: 0 (trenches along x and y) or 45.
        width_bias_um: how much wider than drawn the films of the electrodes come out; drawn = width - bias.
        grid_um: the database unit, at least 1e-6.
        layers: GDS layers by name, to replace some of `LAYERS`.

    Raises:
        InputError: for numbers outside these ranges, and if a width rounds to 0 or the area is off by more
            than 5 %.
        MissingExtraError: if gdstk is not installed.

    Source: our own drawing of a patch-integrated cross-type junction (Osman et al., Appl. Phys. Lett. 118,
    064002, 2021), whose layout has not been published in numbers.

    >>> junction = pict_cell(0.2, 0.14)
    >>> junction.label, round(junction.drawn_area_um2, 6)
    ('200x140', 0.028)
    >>> round(100 * pict_cell(0.1, 0.1, orientation_deg=45, grid_um=1e-3).area_error, 2)  # percent
    0.82
    """
    sketch = _Sketch("PICT", (w1_um, w2_um), width_bias_um, orientation_deg, grid_um, layers)
    overshoot = one_number("overshoot_um", overshoot_um, at_least=0)
    pad = sketch.contact(electrode_length_um, patch_pad_um, patch_overlap_um, max(sketch.drawn))
    (low1, high1), (low2, high2) = (sketch.centred(width) for width in sketch.drawn)
    end = -pad.length - pad.joint
    sketch.rectangle("junction", (end, high2 + overshoot), (low1, high1))
    sketch.rectangle("junction", (low2, high2), (end, high1 + overshoot))
    first, second = sketch.pad(pad, along=0, sign=-1), sketch.pad(pad, along=1, sign=-1)
    return sketch.finish(sketch.drawn, (first, second), pad)


def dolan_cell(
    w1_um: float,
    w2_um: float,
    *,
    lower_resist_um: float,
    tilt_deg: float,
    electrode_length_um: float = 6.0,
    patch_pad_um: float = 4.0,
    patch_overlap_um: float = 2.0,
    orientation_deg: int = 0,
    width_bias_um: float = 0.0,
    grid_um: float = 1e-4,
    layers: Mapping[str, int] | None = None,
) -> JunctionCell:
    r"""Return a Dolan-bridge junction: two trenches and between them a bridge $b = 2 t_1 \tan\theta - w_2$.

    The films of two evaporations at tilts of $\pm\theta$ along the trenches overlap on the length $w_2$. The
    drawing fixes the bridge alone; unlike that of a cross, the area depends on the resist's thickness and on
    the tilt.

    Args:
        w1_um: width of the films, > 0.
        w2_um: length of their overlap, above 0 and less than 2 lower_resist_um tan(tilt_deg).
        lower_resist_um: thickness t1 of the lower resist, > 0, less that of the bottom film if this counts.
        tilt_deg: tilt of both beams from the normal of the wafer, above 0 and below 90.
        width_bias_um: how much wider than drawn the films come out.
        electrode_length_um: from the middle of the bridge to the patch pads, as for `pict_cell`.
        patch_pad_um: side of the patch pads, likewise; here they are made in a second lithography.
        patch_overlap_um: length of the patch on the wire, likewise.
        orientation_deg: 0 or 45, of the trenches.
        grid_um: the database unit, likewise.
        layers: GDS layers by name, likewise.

    Raises:
        InputError: for numbers outside these ranges, and if a width or the bridge rounds to 0 or the area is
            off by more than 5 %.
        MissingExtraError: if gdstk is not installed.

    Source: the overlap follows from straight rays (our derivation, for a film much thinner than the resist);
    G. J. Dolan, Appl. Phys. Lett. 31, 337 (1977), for the bridge.

    >>> junction = dolan_cell(0.2, 0.25, lower_resist_um=0.7, tilt_deg=25)
    >>> round(junction.drawn_area_um2, 4), round(1e5 * junction.area_error)
    (0.05, 12)
    """
    t1 = one_number("lower_resist_um", lower_resist_um, above=0)
    tilt = one_number("tilt_deg", tilt_deg, above=0)
    if tilt >= 90:
        raise InputError(f"tilt_deg must be below 90; got {tilt:g}")
    reach = 2 * t1 * tan(radians(tilt))
    bridge = reach - one_number("w2_um", w2_um, above=0)
    if bridge <= 0:
        raise InputError(
            f"w2_um must be below 2 lower_resist_um tan(tilt_deg) = {reach:.4g}, which leaves a bridge; "
            f"got {w2_um:g}"
        )
    sketch = _Sketch("DOLAN", (w1_um, w2_um), (width_bias_um, 0.0), orientation_deg, grid_um, layers)
    pad = sketch.contact(electrode_length_um, patch_pad_um, patch_overlap_um, sketch.drawn[0])
    bridge = sketch.rounded("the bridge", bridge)
    left, right = sketch.centred(bridge)
    if right >= pad.length:
        raise InputError(
            f"electrode_length_um must be above half the bridge of {bridge:g}; got {pad.length:g}"
        )
    end = pad.length + pad.joint
    for along in ((-end, left), (right, end)):
        sketch.rectangle("junction", along, sketch.centred(sketch.drawn[0]))
    ports = sketch.pad(pad, along=0, sign=-1), sketch.pad(pad, along=0, sign=1)
    return sketch.finish((sketch.drawn[0], reach - bridge), ports, pad)


def snapped_area_report(
    designs: ArrayLike, *, grid_um: float = 1e-4, orientation_deg: int = 0, sensitivity: float = 0.5
) -> "pd.DataFrame":
    r"""Return what the grid does to the area and frequency of crosses: $\delta f / f = S \, \delta A / A$.

    Args:
        designs: widths (w1, w2), of shape (n, 2), > 0.
        grid_um: the database unit, at least 1e-6.
        orientation_deg: 0 or 45, of the trenches.
        sensitivity: S = -d ln f01 / d ln R, above 0; 0.5 is its limit for E_J >> E_C, and 0.52 to 0.54 are
            usual.

    Returns:
        Columns w1_um, w2_um, area_um2 (as designed), snapped_w1_um, snapped_w2_um, snapped_area_um2,
        area_error and f01_error, the last two relative, f01 to first order.

    Raises:
        InputError: for numbers outside these ranges, and if a width rounds to 0.

    Source: our own arithmetic.

    >>> report = snapped_area_report([(0.1, 0.1), (0.2, 0.2)], grid_um=1e-3, orientation_deg=45)
    >>> (100 * report.area_error).round(2).tolist()
    [0.82, -0.6]
    """
    import pandas as pd

    w = pairs("designs", designs, "widths (w1_um, w2_um)", above=0)
    S = one_number("sensitivity", sensitivity, above=0)
    pitch = _pitch(grid_um, orientation_deg)
    snapped = whole_units(w, pitch) * pitch
    if (zero := snapped == 0).any():
        raise InputError(
            f"a width of {w[zero][0]:g} um rounds to 0 on a grid of {grid_um:g} um; use a finer grid_um"
        )
    area, snapped_area = w.prod(axis=1), snapped.prod(axis=1)
    error = snapped_area / area - 1
    return pd.DataFrame(
        {
            "w1_um": w[:, 0],
            "w2_um": w[:, 1],
            "area_um2": area,
            "snapped_w1_um": snapped[:, 0],
            "snapped_w2_um": snapped[:, 1],
            "snapped_area_um2": snapped_area,
            "area_error": error,
            "f01_error": S * error,
        }
    )


def lumped_elements(
    R_ohm: ArrayLike,
    area_um2: ArrayLike,
    *,
    gap_eV: ArrayLike = ALUMINIUM_GAP_eV,
    c_s_fF_per_um2: ArrayLike = 50.0,
) -> "pd.DataFrame":
    r"""Return inductance and capacitance of junctions for a circuit or field simulation.

    $L_J = \Phi_0 / (2 \pi I_c)$ with the critical current of Ambegaokar and Baratoff, and $C_J = c_s A$.

    Args:
        R_ohm: normal-state resistances when cold (`cold_resistance`), > 0.
        area_um2: areas of the films, > 0, of a shape that broadcasts with R_ohm.
        gap_eV: gap of the electrodes, > 0.
        c_s_fF_per_um2: capacitance per area, > 0; values in use are 45 to 75, so measure your own.

    Returns:
        Columns R_ohm, area_um2, L_J_nH and C_J_fF, a row for each junction.

    Raises:
        InputError: for numbers outside these ranges.

    Source: Ambegaokar and Baratoff, Phys. Rev. Lett. 10, 486 (1963).

    >>> lumped_elements(8000, 0.04).round(3).to_numpy().tolist()
    [[8000.0, 0.04, 9.312, 2.0]]
    """
    import pandas as pd

    R = numbers("R_ohm", R_ohm, above=0)
    finite("R_ohm", R, "leave open junctions out")
    area = numbers("area_um2", area_um2, above=0)
    columns = {
        "R_ohm": R,
        "area_um2": area,
        "L_J_nH": josephson_inductance(josephson_energy(R, numbers("gap_eV", gap_eV, above=0))),
        "C_J_fF": 1e15 * junction_capacitance(area, numbers("c_s_fF_per_um2", c_s_fF_per_um2, above=0)),
    }
    try:
        shaped = np.broadcast_arrays(*columns.values())
    except ValueError:
        raise InputError(f"R_ohm and area_um2 must have one shape; got {R.shape} and {area.shape}") from None
    return pd.DataFrame({name: column.ravel() for name, column in zip(columns, shaped, strict=True)})


class HasLibrary(Protocol):
    """Whatever has a library of gdstk, such as a `WaferLayout`."""

    @property
    def library(self) -> "gdstk.Library": ...


def write_gds(
    layout: "gdstk.Library | HasLibrary | JunctionCell | Iterable[JunctionCell]", path: str | Path
) -> None:
    """Write a GDS file; equal layouts give equal bytes, and nothing is left half written.

    Args:
        layout: a wafer, a library of gdstk, or cells on one grid.
        path: a file that ends in .gds.

    Raises:
        InputError: for another ending, no cells, cells with equal names or on different grids, and a file
            that cannot be written.
        MissingExtraError: if gdstk is not installed.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "junction.gds"
    >>> write_gds(pict_cell(0.2, 0.2), path)
    >>> content = path.read_bytes()
    >>> write_gds(pict_cell(0.2, 0.2), path)
    >>> path.read_bytes() == content
    True
    """
    from solvable.lab.files import atomically

    gdstk = require_gdstk()
    path = Path(path)
    if path.suffix.lower() != ".gds":
        raise InputError(f"a layout is written to a file that ends in .gds; got {str(path)!r}")
    given: Any = getattr(layout, "library", layout)
    if isinstance(given, gdstk.Library):
        name, precision, cells = given.name, given.precision, list(given.cells)
    else:
        junctions = list(given) if isinstance(given, Iterable) else [given]
        if not all(isinstance(junction, JunctionCell) for junction in junctions):
            raise InputError(
                "a layout must be a JunctionCell or several, a WaferLayout, or a library of gdstk"
            )
        if len(grids := {junction.grid_um for junction in junctions}) > 1:
            raise InputError(f"cells have the grids {sorted(grids)} um; draw them with one grid_um")
        name, precision = "junctions", 1e-6 * max(grids, default=1e-4)
        cells = [junction.cell for junction in junctions]
    names = [cell.name for cell in cells]
    if twice := [one for one in names if names.count(one) > 1]:
        raise InputError(f"two cells are called {twice[0]}; a file needs different names, so write two files")
    if not cells:
        raise InputError("there are no cells to write; expected one or more")
    library = gdstk.Library(name, unit=1e-6, precision=precision)
    library.add(*sorted(cells, key=lambda cell: cell.name))
    with atomically(path) as temporary:
        library.write_gds(temporary, timestamp=_TIMESTAMP)


@dataclass(frozen=True)
class _Pad:
    """A patch pad: the electrode's length to it, its side, and its overlap on the wire, in um."""

    length: float
    side: float
    overlap: float

    @property
    def joint(self) -> float:
        """How far the electrode runs into the pad."""
        return (self.side - self.overlap) / 2

    @property
    def wire(self) -> float:
        return self.side + 2 * _WIRE_MARGIN_UM


class _Sketch:
    """Rectangles along and across the trenches, with corners on the grid."""

    def __init__(
        self,
        kind: str,
        widths: tuple[float, float],
        biases: tuple[float, float],
        orientation_deg: int,
        grid_um: float,
        layers: Mapping[str, int] | None,
    ) -> None:
        self.kind, self.orientation, self.grid = kind, orientation_deg, grid_um
        self.pitch = _pitch(grid_um, orientation_deg)
        self.layers = dict(LAYERS)
        for name, number in (layers or {}).items():
            self.layers[choice("layer", name, LAYERS)] = whole(
                f"layer {name!r}", number, at_least=0, at_most=32767
            )
        self.widths = tuple(one_number(f"w{i}_um", w, above=0) for i, w in enumerate(widths, 1))
        self.biases = tuple(one_number("width_bias_um", bias) for bias in biases)
        self.drawn = tuple(
            self.rounded(f"w{i}_um - bias", width - bias)
            for i, (width, bias) in enumerate(zip(self.widths, self.biases, strict=True), 1)
        )
        self.shapes: list[gdstk.Polygon] = []

    def rounded(self, name: str, length: float) -> float:
        number = int(whole_units(one_number(name, length, above=0), self.pitch))
        if number == 0:
            raise InputError(
                f"{name} = {length:g} um rounds to 0 on a grid of {self.grid:g} um; use a finer grid_um"
            )
        return number * self.pitch

    def centred(self, width: float) -> tuple[float, float]:
        low = -self.pitch * (round(width / self.pitch) // 2)
        return low, low + width

    def contact(self, length: float, side: float, overlap: float, widest: float) -> _Pad:
        pad = _Pad(
            one_number("electrode_length_um", length, above=0),
            one_number("patch_pad_um", side, above=0),
            one_number("patch_overlap_um", overlap, above=0),
        )
        if pad.side < widest:
            raise InputError(
                f"patch_pad_um must be at least {widest:g}, the width of its electrode; got {side:g}"
            )
        if pad.overlap >= pad.side:
            raise InputError(f"patch_overlap_um must be below patch_pad_um = {side:g}; got {overlap:g}")
        if pad.length <= pad.wire / 2:
            raise InputError(
                f"electrode_length_um must be above {pad.wire / 2:g}, half the wires' width, so that the "
                f"wires stay apart; got {length:g}"
            )
        return pad

    def point(self, along: float, across: float) -> tuple[float, float]:
        u, v = (int(whole_units(value, self.pitch)) for value in (along, across))
        x, y = (u - v, u + v) if self.orientation else (u, v)
        return self.grid * x, self.grid * y

    def rectangle(self, layer: str, along: tuple[float, float], across: tuple[float, float]) -> None:
        (u0, u1), (v0, v1) = along, across
        corners = [self.point(u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))]
        self.shapes.append(require_gdstk().Polygon(corners, self.layers[layer]))

    def pad(self, pad: _Pad, *, along: int, sign: int) -> tuple[float, float]:
        """Draw a patch and the wire below it, and return where the wire ends."""
        outer = pad.length + pad.side
        end = outer + pad.wire
        for layer, ends, width in (
            ("patch", (pad.length, outer), pad.side),
            ("wiring", (outer - pad.overlap, end), pad.wire),
        ):
            sides = [tuple(sorted(sign * value for value in ends)), (-width / 2, width / 2)]
            self.rectangle(layer, sides[along], sides[1 - along])
        return self.point(*((sign * end, 0.0) if along == 0 else (0.0, sign * end)))

    def finish(
        self, drawn: tuple[float, ...], ports: tuple[tuple[float, float], tuple[float, float]], pad: _Pad
    ) -> JunctionCell:
        (w1, w2), (d1, d2), (b1, b2) = self.widths, drawn, self.biases
        error = (d1 + b1) * (d2 + b2) / (w1 * w2) - 1
        if abs(error) > _LARGEST_AREA_ERROR:
            raise InputError(
                f"on a grid of {self.grid:g} um the area of {w1:g} x {w2:g} um is off by "
                f"{100 * error:+.1f} %, more than {100 * _LARGEST_AREA_ERROR:g} %; use a finer grid_um"
            )
        label = f"{round(1e3 * d1, 2):g}x{round(1e3 * d2, 2):g}"
        cell = require_gdstk().Cell(f"{self.kind}_{label}_{self.orientation}".replace(".", "p"))
        cell.add(*self.shapes)
        return JunctionCell(cell, label, w1, w2, d1, d2, error, ports, pad.wire, self.grid, self.layers)


def require_gdstk() -> Any:
    try:
        import gdstk
    except ModuleNotFoundError:
        raise missing_extra("gdstk", "qubits", "drawing a layout") from None
    return gdstk


def _pitch(grid_um: float, orientation_deg: int) -> float:
    """Return the step of widths that keep a rectangle's corners on the grid."""
    if orientation_deg not in (0, 45):
        raise InputError(f"orientation_deg must be 0 or 45; got {orientation_deg!r}")
    return one_number("grid_um", grid_um, at_least=1e-6) * (sqrt(2) if orientation_deg else 1.0)


def whole_units(lengths: ArrayLike, unit: float) -> NDArray[np.float64]:
    # Halves go up on both sides of zero; the inner rounding removes what the division adds to a half.
    return np.floor(np.round(np.asarray(lengths) / unit, 6) + 0.5)


def pairs(name: str, values: ArrayLike, what: str, *, above: float = -np.inf) -> NDArray[np.float64]:
    array = numbers(name, values, above=above)
    finite(name, array)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"{name} must be {what}, of shape (n, 2); got shape {array.shape}")
    return array
