"""Wafers of test junctions as GDS layouts: chips with all designs, probe pads and reference structures.

The drawings are ours, not those of a paper.
"""

# ruff: noqa: PT028 - `test_wafer` draws a wafer of test junctions, and is no test

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.junctions.layout import JunctionCell, pairs, pict_cell, require_gdstk, whole_units
from solvable.junctions.synthetic import CHIP_MM, chip_centres

if TYPE_CHECKING:
    import gdstk
    import pandas as pd

# Of each chip, left for dicing and for the chip's name.
_CHIP_MARGIN_UM = 150.0
_TEXT_UM = 20.0
_LARGEST_COORDINATE = 2**31 - 1


@dataclass(frozen=True)
class WaferLayout:
    """A wafer of test junctions.

    Attributes:
        library: the `gdstk.Library`; its top cell is `WAFER`.
        table: a row for each junction, with the columns wafer, chip, chip_x_mm, chip_y_mm, junction, x_um,
            y_um, w1_um and w2_um: the chip's centre, the junction's place from there, and the drawn widths.
        references: a row for each reference structure, likewise, with the column structure (`short` or
            `open`).
    """

    library: "gdstk.Library"
    table: "pd.DataFrame"
    references: "pd.DataFrame"


def test_wafer(
    designs: ArrayLike,
    *,
    make_cell: Callable[[float, float], JunctionCell] = pict_cell,
    n_per_design: int = 4,
    chips: int | ArrayLike = 40,
    wafer: str = "W01",
    probe_pad_um: float = 100.0,
) -> WaferLayout:
    """Return a wafer of chips that each have all designs, with two probe pads for each junction.

    Repetitions of a design are spread over the chip, so that its position is not mistaken for a design. Each
    chip ends with a short and an open, with the same pads and wires, for the resistances of the leads and of
    the substrate.

    Args:
        designs: widths (w1, w2) in um, of shape (n, 2), > 0.
        make_cell: the function that draws a design; for other options pass, for example,
            `functools.partial(pict_cell, orientation_deg=45)`.
        n_per_design: junctions of each design on each chip.
        chips: how many, those nearest to the wafer's centre, or centres (x, y) in mm of shape (n, 2).
        wafer: the name of the wafer in the table.
        probe_pad_um: side of the probe pads.

    Raises:
        InputError: for designs that get the same label, chips that overlap, and junctions that find no place;
            and whatever `make_cell` refuses.

    Source: our own drawing.

    >>> layout = test_wafer([(0.2, 0.2), (0.1, 0.4)], chips=3)
    >>> len(layout.table), len(layout.references), layout.table.junction[7]
    (24, 6, 'J008')
    """
    gdstk = require_gdstk()
    import pandas as pd

    widths = pairs("designs", designs, "widths (w1_um, w2_um)", above=0)
    cells = [make_cell(float(w1), float(w2)) for w1, w2 in widths]
    _check_labels(cells)
    repeats = whole("n_per_design", n_per_design, at_least=1)
    side = one_number("probe_pad_um", probe_pad_um, above=0)
    centres = _chip_centres(chips)
    one, grid = cells[0], cells[0].grid_um
    if (np.abs(centres).max() + CHIP_MM) * 1e3 / grid > _LARGEST_COORDINATE:
        raise InputError(f"the wafer is too large for GDS on a grid of {grid:g} um; use a coarser grid_um")

    sites = [_site(cell, cell.label, side) for cell in cells]
    shapes = {name: _site(one, name, side) for name in ("short", "open")}
    shapes["short"].add(_box(np.array(one.ports_um), one.wire_um / 2, one))
    labels = [cell.label for cell in cells] * repeats
    names = [f"J{i + 1:03d}" for i in range(len(labels))]
    places = _places(len(labels) + len(shapes), one, side)
    chip = gdstk.Cell("CHIP")
    texts = [f"{name} {label}" for name, label in zip(names, labels, strict=True)] + list(shapes)
    for place, site, text in zip(places, [*sites * repeats, *shapes.values()], texts, strict=True):
        chip.add(gdstk.Reference(site, tuple(place)))
        chip.add(*_text(text, _TEXT_UM, (place[0] - side, place[1] + side / 2 + _TEXT_UM / 4), one))
    top = gdstk.Cell("WAFER")
    rows, references = [], []
    half, margin = 500 * CHIP_MM, _CHIP_MARGIN_UM
    corner = np.array([margin / 2 - half, half - 3 * margin / 4])
    for i, (x, y) in enumerate(centres):
        name, origin = f"C{i + 1:02d}", 1e3 * centres[i]
        top.add(gdstk.Reference(chip, tuple(origin)))
        top.add(*_text(f"{wafer} {name}", margin / 2, origin + corner, one))
        start = {"wafer": wafer, "chip": name, "chip_x_mm": x, "chip_y_mm": y}
        for place, text in zip(places, texts, strict=True):
            top.add(gdstk.Label(f"{name} {text}", tuple(origin + place), layer=one.layers["text"]))
        for junction, place, cell in zip(names, places, cells * repeats, strict=False):
            where = {"junction": junction, "x_um": place[0], "y_um": place[1]}
            drawn = {"w1_um": round(cell.drawn_w1_um, 6), "w2_um": round(cell.drawn_w2_um, 6)}
            rows.append(start | where | drawn)
        for structure, place in zip(shapes, places[len(names) :], strict=True):
            references.append(start | {"structure": structure, "x_um": place[0], "y_um": place[1]})
    library = gdstk.Library(wafer, unit=1e-6, precision=grid * 1e-6)
    library.add(top, *top.dependencies(True))
    return WaferLayout(library, pd.DataFrame(rows), pd.DataFrame(references))


# pytest takes functions of this name for tests where they are imported.
test_wafer.__dict__["__test__"] = False


def _chip_centres(chips: Any) -> NDArray[np.float64]:
    if np.ndim(chips) == 0:
        return chip_centres(whole("chips", chips, at_least=1))
    centres = pairs("chips", chips, "a whole number or centres (x, y) in mm")
    distance = np.abs(centres[:, None] - centres).max(axis=2) + CHIP_MM * np.eye(len(centres))
    if distance.min() < CHIP_MM:
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        raise InputError(f"chips {i + 1} and {j + 1} overlap; centres must be {CHIP_MM:g} mm apart in x or y")
    return centres


def _check_labels(cells: list[JunctionCell]) -> None:
    seen: dict[str, JunctionCell] = {}
    for cell in cells:
        if (other := seen.setdefault(cell.label, cell)) is not cell:
            raise InputError(
                f"designs {other.w1_um:g} x {other.w2_um:g} and {cell.w1_um:g} x {cell.w2_um:g} um are both "
                f"drawn as {cell.label} nm; leave one out or use a finer grid_um"
            )


def _reach(cell: JunctionCell) -> NDArray[np.float64]:
    """Return how far the cell reaches from its origin along x and y."""
    return np.abs(np.array(cell.cell.bounding_box())).max(axis=0)


def _gap(cell: JunctionCell) -> float:
    """Return the space between the two probe pads of a junction."""
    return 20.0 * ceil((_reach(cell)[0] + cell.wire_um) / 10)


def _box(points: NDArray[np.float64], margin: float, cell: JunctionCell) -> Any:
    """Return the rectangle around points, with a margin, in the layer of the wiring."""
    corners = [points.min(axis=0) - margin, points.max(axis=0) + margin]
    low, high = whole_units(corners, cell.grid_um) * cell.grid_um
    return require_gdstk().rectangle(tuple(low), tuple(high), cell.layers["wiring"])


def _site(cell: JunctionCell, name: str, side: float) -> Any:
    """Return a cell of probe pads and wires; around the junction, unless it is for a reference structure."""
    site = require_gdstk().Cell(f"SITE_{name}".replace(".", "p"))
    inner = _gap(cell) / 2
    if (least := 2 * _reach(cell)[1] + cell.wire_um) > side:
        raise InputError(f"probe_pad_um must be at least {least:.3g}, the height of the cell; got {side:g}")
    for sign, port in zip((-1, 1), cell.ports_um, strict=True):
        pad = np.array([(sign * inner, -side / 2), (sign * (inner + side), side / 2)])
        site.add(_box(pad, 0, cell))
        site.add(_box(np.array([port, (sign * inner, port[1])]), cell.wire_um / 2, cell))
    if name == cell.label:
        site.add(require_gdstk().Reference(cell.cell))
    return site


def _places(n: int, cell: JunctionCell, side: float) -> NDArray[np.float64]:
    """Return places all over a chip, from its centre in um, by rows from the lower left."""
    least = np.array([2 * side + _gap(cell) + 2 * _TEXT_UM, side + 3 * _TEXT_UM])
    usable = 1e3 * CHIP_MM - 2 * _CHIP_MARGIN_UM
    most_columns, most_rows = (floor(usable / step) for step in least)
    if n > most_columns * most_rows:
        raise InputError(
            f"{n} structures on a chip, the two references included, but {most_columns * most_rows} find "
            f"a place; have fewer designs, a smaller n_per_design or smaller probe pads"
        )
    columns = min(max(ceil(sqrt(n * least[1] / least[0])), ceil(n / most_rows)), most_columns)
    shape = np.array([columns, ceil(n / columns)])
    index = np.stack([np.arange(n) % columns, np.arange(n) // columns], axis=1)
    place = (index - (shape - 1) / 2) * np.floor(usable / shape)
    return whole_units(place, cell.grid_um) * cell.grid_um


def _text(text: str, size: float, position: ArrayLike, cell: JunctionCell) -> list[Any]:
    gdstk = require_gdstk()
    shapes = gdstk.text(text, size, tuple(np.asarray(position)), layer=cell.layers["text"])
    return [gdstk.Polygon(whole_units(one.points, cell.grid_um) * cell.grid_um, one.layer) for one in shapes]
