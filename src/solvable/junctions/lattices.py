"""Heavy-hexagon lattices of qubits with three frequencies."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from solvable.checks import numbers, whole
from solvable.datasets.files import LONGEST_PATH, existing_file, listed, read_errors
from solvable.datasets.inputs import floats
from solvable.errors import InputError
from solvable.junctions.collisions import Lattice, Rules
from solvable.streams import short

_FALCON = (
    "0-1 1-2 1-4 2-3 3-5 4-7 5-8 6-7 7-10 8-9 8-11 10-12 11-14 12-13 12-15 13-14 14-16 15-18 16-19 17-18 18-21 19-20 "
    "19-22 21-23 22-25 23-24 24-25 25-26"
)
# Qubits of the lowest and of the middle frequency; all others have the highest.
_FALCON_LOW, _FALCON_MIDDLE = (3, 7, 14, 18, 25), (1, 8, 12, 19, 23)


def falcon27(
    frequencies_GHz: ArrayLike = (5.0, 5.07, 5.14),
    anharmonicity_GHz: float = -0.33,
    rules: str | Rules = "hertzberg2021",
) -> Lattice:
    """Return the heavy-hexagon lattice of 27 qubits, with three frequencies; those of the highest are the controls.

    Args:
        frequencies_GHz: three frequencies, ascending.
        anharmonicity_GHz: f12 - f01 < 0.
        rules: as in `Lattice.from_edges`.

    >>> lattice = falcon27()
    >>> len(lattice.names), len(lattice.edges)
    (27, 28)
    """
    low, middle, high = _three(frequencies_GHz)
    f = np.full(27, high)
    f[list(_FALCON_LOW)], f[list(_FALCON_MIDDLE)] = low, middle
    edges = [(int(a), int(b)) for a, b in (pair.split("-") for pair in _FALCON.split())]
    return Lattice.from_edges(edges, f, anharmonicity_GHz, rules=rules, positions=_FALCON_POSITIONS)


# In the two long rows of the device and between them.
_FALCON_POSITIONS = [
    *(
        (0, 2),
        (1, 2),
        (1, 1),
        (1, 0),
        (2, 2),
        (2, 0),
        (3, 3),
        (3, 2),
        (3, 0),
        (3, -1),
        (4, 2),
        (4, 0),
        (5, 2),
    ),
    *(
        (5, 1),
        (5, 0),
        (6, 2),
        (6, 0),
        (7, 3),
        (7, 2),
        (7, 0),
        (7, -1),
        (8, 2),
        (8, 0),
        (9, 2),
        (9, 1),
        (9, 0),
    ),
    (10, 0),
]


def heavy_hex(
    rows: int,
    columns: int,
    frequencies_GHz: ArrayLike = (5.0, 5.07, 5.14),
    anharmonicity_GHz: float = -0.33,
    rules: str | Rules = "hertzberg2021",
) -> Lattice:
    """Return a heavy-hexagon lattice of `rows` times `columns` hexagons: a qubit on each corner and each side.

    Corners have the two lower frequencies in turn; the qubits on the sides have the highest and are the controls.

    Args:
        rows: number of rows of hexagons, 1 to 100.
        columns: number of hexagons in a row, 1 to 100.
        frequencies_GHz: three frequencies, ascending.
        anharmonicity_GHz: f12 - f01 < 0.
        rules: as in `Lattice.from_edges`.

    >>> [len(heavy_hex(n, n).names) for n in (1, 2, 3)]
    [12, 35, 68]
    """
    low, middle, high = _three(frequencies_GHz)
    n, m = whole("rows", rows, at_least=1, at_most=100), whole("columns", columns, at_least=1, at_most=100)
    # Corners of a brick wall: row r of corners has 2 m + 1 of them, and one more in inner rows.
    corners: dict[tuple[int, int], int] = {}
    for r in range(n + 1):
        # Rows of bricks are shifted by one corner in turn.
        first = 0 if r == 0 else min((r - 1) % 2, r % 2) if r < n else (r - 1) % 2
        last = 2 * m + (0 if r == 0 else max((r - 1) % 2, r % 2) if r < n else (r - 1) % 2)
        for x in range(first, last + 1):
            corners[r, x] = len(corners)
    sides = [((r, x), (r, x + 1)) for r, x in corners if (r, x + 1) in corners]
    sides += [
        ((r, x), (r + 1, x))
        for r, x in corners
        if r < n and (x - r % 2) % 2 == 0 and (r + 1, x) in corners and r % 2 <= x <= 2 * m + r % 2
    ]
    f = [low if (r + x) % 2 == 0 else middle for r, x in corners] + [high] * len(sides)
    places = [(2.0 * x, -3.0 * r) for r, x in corners]
    places += [(float(a[1] + b[1]), -1.5 * (a[0] + b[0])) for a, b in sides]
    edges = [(len(corners) + side, corners[end]) for side, ends in enumerate(sides) for end in ends]
    return Lattice.from_edges(edges, f, anharmonicity_GHz, rules=rules, positions=places)


def read_lattice(
    qubits: str | Path,
    edges: str | Path,
    anharmonicity_GHz: float = -0.33,
    rules: str | Rules = "hertzberg2021",
) -> Lattice:
    """Return a lattice from two CSV files.

    Args:
        qubits: FILE.csv with the columns qubit (a name) and f01_GHz, and optionally anharmonicity_MHz.
        edges: FILE.csv with the columns a and b, names of the two qubits of each pair.
        anharmonicity_GHz: f12 - f01 < 0 of qubits without their own.
        rules: as in `Lattice.from_edges`.

    Raises:
        InputError: for missing columns, cells that are no numbers, names that repeat, and pairs of unknown qubits.
    """
    table, pairs = _read(qubits, ("qubit", "f01_GHz")), _read(edges, ("a", "b"))
    names = [str(name).strip() for name in table["qubit"]]
    number = {name: i for i, name in enumerate(names)}
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{str(qubits)!r} has the qubit {short(twice[0])!r} twice; expected each once")
    for end in ("a", "b"):
        for name in pairs[end]:
            if str(name).strip() not in number:
                raise InputError(
                    f"{str(edges)!r} has the qubit {short(name)!r}, which is not in {str(qubits)!r}; expected one of "
                    f"{listed(names)}"
                )
    frequency = floats(table["f01_GHz"], f"f01_GHz of {str(qubits)!r}")
    alpha: Any = anharmonicity_GHz
    if "anharmonicity_MHz" in table:
        alpha = 1e-3 * floats(table["anharmonicity_MHz"], f"anharmonicity_MHz of {str(qubits)!r}")
    found = [tuple(number[str(pair[end]).strip()] for end in ("a", "b")) for pair in pairs.to_dict("records")]
    return Lattice.from_edges(found, frequency, alpha, rules=rules, names=names)  # pyright: ignore[reportArgumentType]


def _read(path: str | Path, columns: tuple[str, ...]) -> Any:
    name = short(path, LONGEST_PATH)
    import pandas as pd

    # Names may be text in all columns, which would hide the header from a guess.
    with read_errors(name, ".csv"):
        file = existing_file(Path(path), name, "a CSV file")
        # Where the comma is the decimal sign, columns are separated by semicolons.
        with file.open(encoding="utf-8-sig") as text:
            semicolons = ";" in text.readline()
        options: dict[str, Any] = {"sep": ";", "decimal": ","} if semicolons else {}
        table: Any = pd.read_csv(file, skipinitialspace=True, **options)
    table.columns = [str(column).strip() for column in table.columns]
    for column in columns:
        if column not in table:
            raise InputError(
                f"{name!r} has no column {column}; expected {' and '.join(columns)}, got {listed(list(table.columns))}"
            )
    return table


def _three(frequencies_GHz: ArrayLike) -> tuple[float, float, float]:
    f = numbers("frequencies_GHz", frequencies_GHz, above=0)
    if f.shape != (3,) or not f[0] < f[1] < f[2]:
        raise InputError(
            f"frequencies_GHz is {np.array2string(f, separator=', ')}; expected three, from low to high, as in "
            "5.0, 5.07, 5.14"
        )
    return float(f[0]), float(f[1]), float(f[2])
