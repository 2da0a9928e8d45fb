"""Process flows for junction fabrication: lithographies, vacuum cycles and hours, with the waiting for tools.

The hours of the built-in flows are illustrative, our own and from no paper: replace them by those of your
cleanroom.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from solvable.checks import choice, one_number
from solvable.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# The kinds of steps, with their colours in a Gantt chart.
_KIND_COLORS = {
    "lithography": "#0072B2",
    "develop": "#56B4E9",
    "descum": "#CC79A7",
    "load_pump": "#999999",
    "evaporate": "#E69F00",
    "oxidise": "#D55E00",
    "ion_mill": "#000000",
    "lift_off": "#009E73",
    "anneal": "#882255",
    "measure": "#44AA99",
}
KINDS = tuple(_KIND_COLORS)
_IN_AIR = ("lithography", "develop", "lift_off")
_COLUMNS = ("name", "kind", "hours", "tool", "vacuum_cycle")

Queue = float | Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """A step of a process flow.

    Attributes:
        name: what is done, in words.
        kind: one of `KINDS`.
        hours: how long it takes, without waiting; at least 0.
        tool: the tool to be booked; empty if none is.
        vacuum_cycle: a name or number that the steps between one pump-down and the next venting share; None
            in air.

    Raises:
        InputError: for hours that are negative or no number, and for an unknown kind.

    >>> Step("expose", "lithography", 4, tool="e-beam").hours
    4
    """

    name: str
    kind: str
    hours: float
    tool: str = ""
    vacuum_cycle: str | int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError(
                f"a step of kind {self.kind!r} has no name; give each step one, such as 'develop'"
            )
        choice(f"kind of step {self.name!r}:", self.kind, KINDS)
        one_number(f"hours of step {self.name!r}", self.hours, at_least=0)


@dataclass(frozen=True)
class Flow:
    """A process flow: its steps in the order in which they are done.

    Consecutive steps with the same tool are one booking, consecutive steps of kind `lithography` (such as
    coating and exposing) one lithography, and likewise for lift-off.

    Attributes:
        name: what the flow is called in tables and figures.
        steps: the steps; a flow without steps has zero of everything.
        illustrative: whether the hours are an example rather than those of a cleanroom.

    Raises:
        InputError: naming the step, if a vacuum cycle reappears after venting, an evaporation has no vacuum
            cycle, a step that is done in air has one, or a lift-off precedes any evaporation.

    >>> round(PICT.process_hours, 1), PICT.n_lithographies, PICT.n_vacuum_cycles
    (23.3, 1, 1)
    >>> round(PICT.hours_with_queue({"e-beam": 24, "evaporator": 24}), 1)
    71.3
    """

    name: str
    steps: tuple[Step, ...]
    illustrative: bool = False

    def __post_init__(self) -> None:
        # A list would leave the checked steps open to change.
        object.__setattr__(self, "steps", tuple(self.steps))
        finished, current, evaporated = set(), None, False
        for step in self.steps:
            cycle = step.vacuum_cycle
            if cycle != current:
                finished.add(current)
                current = cycle
            if cycle is not None and cycle in finished:
                raise InputError(
                    f"step {step.name!r} is in vacuum cycle {cycle!r}, which ended with an earlier step; "
                    f"after venting, a new cycle begins: give it another name"
                )
            if step.kind in _IN_AIR and cycle is not None:
                raise InputError(
                    f"step {step.name!r} of kind {step.kind} is in vacuum cycle {cycle!r}, but it is done in "
                    f"air; leave its vacuum_cycle out"
                )
            if step.kind == "evaporate" and cycle is None:
                raise InputError(
                    f"step {step.name!r} evaporates without a vacuum_cycle; give it that of its pump-down"
                )
            evaporated |= step.kind == "evaporate"
            if step.kind == "lift_off" and not evaporated:
                raise InputError(
                    f"step {step.name!r} is a lift-off before any evaporation; put the evaporation before it"
                )

    @classmethod
    def from_csv(cls, path: str | Path) -> "Flow":
        """Return the flow in a CSV file, named as the file.

        Args:
            path: a file with the columns name, kind, hours, tool and vacuum_cycle in any order, a row for
                each step; the cells of tool and vacuum_cycle may be empty.

        Raises:
            InputError: naming the row as a spreadsheet numbers it (the header is row 1), for a file that
                cannot be read, missing columns, and steps that `Step` or `Flow` refuse.
        """
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot read the flow {str(path)!r} ({reason}); expected a CSV file") from error
        header = [cell.strip() for cell in rows[0]] if rows else []
        if sorted(header) != sorted(_COLUMNS):
            raise InputError(
                f"{path.name} has the columns {', '.join(header) or 'of an empty file'}; "
                f"expected {', '.join(_COLUMNS)}, separated by commas"
            )
        steps = []
        for number, row in enumerate(rows[1:], start=2):
            if not any(row):
                continue
            try:
                steps.append(_step(dict(zip(header, (cell.strip() for cell in row), strict=True))))
                cls(path.stem, tuple(steps))
            except ValueError as error:
                what = (
                    str(error)
                    if isinstance(error, InputError)
                    else f"{len(row)} cells; expected {len(header)}"
                )
                raise InputError(f"{path.name}, row {number}: {what}") from None
        return cls(path.stem, tuple(steps))

    @property
    def n_lithographies(self) -> int:
        """The number of lithographies."""
        return self._runs("lithography")

    @property
    def n_lift_offs(self) -> int:
        """The number of lift-offs."""
        return self._runs("lift_off")

    @property
    def n_vacuum_cycles(self) -> int:
        """The number of vacuum cycles."""
        return len({step.vacuum_cycle for step in self.steps} - {None})

    @property
    def process_hours(self) -> float:
        """The hours of all steps, without waiting."""
        return math.fsum(step.hours for step in self.steps)

    @property
    def bookings(self) -> dict[str, int]:
        """How often each tool is booked."""
        runs = [tool for tool, _ in groupby(step.tool for step in self.steps) if tool]
        return {tool: runs.count(tool) for tool in dict.fromkeys(runs)}

    def hours_with_queue(self, queue_hours: Queue) -> float:
        """Return the hours from start to end: process hours + sum over bookings of queue hours.

        Args:
            queue_hours: the hours of waiting for each booking: one number for all tools, or a mapping from
                tools to numbers, in which a tool that is left out has no queue; at least 0.

        Raises:
            InputError: for negative hours and for a tool that the flow does not use.
        """
        queue = _checked_queue([self], queue_hours)
        return self.process_hours + math.fsum(queue[tool] * n for tool, n in self.bookings.items())

    def _runs(self, kind: str) -> int:
        return sum(one == kind for one, _ in groupby(step.kind for step in self.steps))


def compare(flows: Iterable[Flow], *, queue_hours: Queue = 0.0) -> "pd.DataFrame":
    """Return a table of flows: counts, hours and days with the waiting for tools.

    Args:
        flows: the flows, one row each.
        queue_hours: as in `Flow.hours_with_queue`; a tool of a mapping must be used by one of the flows at
            least.

    Returns:
        Columns flow, lithographies, vacuum_cycles, lift_offs, tool_bookings, process_hours, elapsed_hours,
        elapsed_days (of 24 hours) and illustrative.

    Raises:
        InputError: for negative hours and for a tool that no flow uses.

    Source:
        Our own count; the abstract of Osman et al. (2021, Applied Physics Letters 118, 064002) says that
        patch-integrated junctions need one lithography and one vacuum cycle, and has no hours.

    >>> table = compare([MANHATTAN_WITH_PATCH, PICT], queue_hours={"e-beam": 24, "evaporator": 24})
    >>> table[["flow", "lithographies", "elapsed_hours"]].round(1).to_numpy().tolist()
    [['Manhattan with patch', 2, 137.1], ['PICT', 1, 71.3]]
    """
    import pandas as pd

    flows = list(flows)
    queue = _checked_queue(flows, queue_hours)
    rows = []
    for flow in flows:
        elapsed = flow.hours_with_queue({tool: queue[tool] for tool in flow.bookings})
        rows.append(
            {
                "flow": flow.name,
                "lithographies": flow.n_lithographies,
                "vacuum_cycles": flow.n_vacuum_cycles,
                "lift_offs": flow.n_lift_offs,
                "tool_bookings": sum(flow.bookings.values()),
                "process_hours": flow.process_hours,
                "elapsed_hours": elapsed,
                "elapsed_days": elapsed / 24,
                "illustrative": flow.illustrative,
            }
        )
    return pd.DataFrame(rows)


def plot_gantt(flows: Iterable[Flow], *, queue_hours: Queue = 0.0) -> "Figure":
    """Draw a Gantt chart of each flow, one line for each step, on a common axis of hours.

    Args:
        flows: one flow or more, each with a step at least.
        queue_hours: as in `compare`; waiting is hatched, before the first step of a booking.

    Raises:
        InputError: as `compare`, and if there is nothing to draw.
    """
    from matplotlib.patches import Patch

    from solvable.lab.figure import house_style, subplots

    flows = list(flows)
    for name in [flow.name for flow in flows if not flow.steps] or ([] if flows else ["none"]):
        raise InputError(f"there is nothing to draw in flow {name!r}; expected flows with a step or more")
    table = compare(flows, queue_hours=queue_hours)
    queue = _checked_queue(flows, queue_hours)
    lines = [len(flow.steps) for flow in flows]
    waiting = {"facecolor": "#f2f2f2", "edgecolor": "#aaaaaa", "hatch": "////", "linewidth": 0.3}
    with house_style():
        figure, axes = subplots(
            len(flows),
            height=0.8 + 0.14 * sum(lines) + 0.25 * len(flows),
            sharex=True,
            squeeze=False,
            gridspec_kw={"height_ratios": [n + 1.5 for n in lines]},
        )
        for flow, ax, (_, row) in zip(flows, axes[:, 0], table.iterrows(), strict=True):
            end = 0.0
            tools = ["", *(step.tool for step in flow.steps)]
            for line, (step, (before, tool)) in enumerate(zip(flow.steps, pairwise(tools), strict=True)):
                if tool not in ("", before) and (wait := queue[tool]):
                    ax.barh(line, wait, left=end, height=0.8, **waiting)
                    end += wait
                color = _KIND_COLORS[step.kind]
                # The edge keeps a step of minutes visible on an axis of days.
                ax.barh(line, step.hours, left=end, height=0.8, color=color, edgecolor=color, linewidth=0.8)
                end += step.hours
            ax.set(yticks=range(len(flow.steps)), yticklabels=[step.name for step in flow.steps])
            ax.set_ylim(len(flow.steps) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
            note = " (illustrative hours)" if flow.illustrative else ""
            ax.set_title(f"{flow.name}{note}: {row.elapsed_hours:.1f} h, {row.elapsed_days:.1f} days")
        axes[-1, 0].set(xlabel="time since the start (h)", xlim=(0, None))
        used = {step.kind for flow in flows for step in flow.steps}
        handles = [
            Patch(color=color, label=kind.replace("load_pump", "load, pump").replace("_", " "))
            for kind, color in _KIND_COLORS.items()
            if kind in used
        ]
        if any(queue.values()):
            handles.append(Patch(**waiting, label="waiting"))
        figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _step(cells: Mapping[str, str]) -> Step:
    try:
        hours = float(cells["hours"])
    except ValueError:
        raise InputError(
            f"hours of step {cells['name']!r} must be a number with a decimal point; got {cells['hours']!r}"
        ) from None
    return Step(cells["name"], cells["kind"], hours, cells["tool"], cells["vacuum_cycle"] or None)


def _checked_queue(flows: Iterable[Flow], queue_hours: Queue) -> dict[str, float]:
    """Return the hours of waiting for each tool that the flows book."""
    tools = list(dict.fromkeys(tool for flow in flows for tool in flow.bookings))
    if not isinstance(queue_hours, Mapping):
        return dict.fromkeys(tools, one_number("queue_hours", queue_hours, at_least=0))
    for tool in queue_hours:
        choice("tool in queue_hours", tool, tools)
    return {
        tool: one_number(f"queue_hours of {tool!r}", queue_hours.get(tool, 0.0), at_least=0) for tool in tools
    }


def _junctions_with_patch(name: str, bottom: str, top: str) -> Flow:
    return Flow(
        name,
        (
            Step("coat junction resist", "lithography", 1.0),
            Step("expose junctions", "lithography", 4.0, "e-beam"),
            Step("develop junctions", "develop", 0.5),
            Step("descum junctions", "descum", 0.3),
            Step("load and pump", "load_pump", 2.0, "evaporator", 1),
            Step(f"bottom electrode, {bottom}", "evaporate", 0.5, "evaporator", 1),
            Step("oxidise barrier", "oxidise", 1.0, "evaporator", 1),
            Step(f"top electrode, {top}", "evaporate", 0.5, "evaporator", 1),
            Step("lift off junctions", "lift_off", 12.0),
            Step("coat patch resist", "lithography", 1.0),
            Step("expose patches", "lithography", 2.0, "e-beam"),
            Step("develop patches", "develop", 0.5),
            Step("descum patches", "descum", 0.3),
            Step("load and pump again", "load_pump", 2.0, "evaporator", 2),
            Step("mill native oxide", "ion_mill", 0.5, "evaporator", 2),
            Step("evaporate patches", "evaporate", 1.0, "evaporator", 2),
            Step("lift off patches", "lift_off", 12.0),
        ),
        illustrative=True,
    )


# The first two differ in the direction of the beam, not in their steps, so their hours are equal.
DOLAN_WITH_PATCH = _junctions_with_patch("Dolan with patch", "tilted one way", "tilted the other way")
MANHATTAN_WITH_PATCH = _junctions_with_patch("Manhattan with patch", "along trench 1", "along trench 2")
PICT = Flow(
    "PICT",
    (
        Step("coat resist", "lithography", 1.0),
        Step("expose junctions and patches", "lithography", 4.0, "e-beam"),
        Step("develop", "develop", 0.5),
        Step("descum", "descum", 0.3),
        Step("load and pump", "load_pump", 2.0, "evaporator", 1),
        Step("bottom electrode, along trench 1", "evaporate", 0.5, "evaporator", 1),
        Step("oxidise barrier", "oxidise", 1.0, "evaporator", 1),
        Step("top electrode, along trench 2", "evaporate", 0.5, "evaporator", 1),
        Step("mill native oxide", "ion_mill", 0.5, "evaporator", 1),
        Step("evaporate patches", "evaporate", 1.0, "evaporator", 1),
        Step("lift off", "lift_off", 12.0),
    ),
    illustrative=True,
)
