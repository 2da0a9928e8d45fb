import pytest

from solvable.errors import InputError
from solvable.junctions.process import (
    DOLAN_WITH_PATCH,
    KINDS,
    MANHATTAN_WITH_PATCH,
    PICT,
    Flow,
    Step,
    compare,
    plot_gantt,
)

QUEUE = {"e-beam": 24, "evaporator": 24}
EVAPORATE = Step("metal", "evaporate", 1, "evaporator", "a")
WET = Step("wet", "lift_off", 1)


@pytest.mark.parametrize(
    ("flow", "counts", "hours", "elapsed"),
    [
        (DOLAN_WITH_PATCH, (2, 2, 2), 41.1, 137.1),
        (MANHATTAN_WITH_PATCH, (2, 2, 2), 41.1, 137.1),
        (PICT, (1, 1, 1), 23.3, 71.3),
    ],
)
def test_built_in_flows(flow, counts, hours, elapsed):
    assert flow.illustrative
    assert (flow.n_lithographies, flow.n_vacuum_cycles, flow.n_lift_offs) == counts
    assert flow.process_hours == pytest.approx(hours)
    assert flow.hours_with_queue(QUEUE) == pytest.approx(elapsed)
    assert flow.hours_with_queue(24) == pytest.approx(elapsed)
    assert flow.hours_with_queue(0) == flow.process_hours


def test_blocks_have_the_hours_of_their_parts():
    # Added by hand: 1 + 4 + 0.5 + 0.3 + 4 + 12 and 1 + 2 + 0.5 + 0.3 + 3.5 + 12.
    hours = [step.hours for step in MANHATTAN_WITH_PATCH.steps]
    assert sum(hours[:9]) == pytest.approx(21.8)
    assert sum(hours[9:]) == pytest.approx(19.3)


def test_a_booking_is_a_run_of_steps_with_the_same_tool():
    flow = Flow("f", tuple(Step("s", "measure", 1, tool) for tool in ("a", "a", "", "a", "b", "a")))
    assert flow.bookings == {"a": 3, "b": 1}
    assert flow.hours_with_queue({"a": 10}) == 6 + 30
    assert flow.hours_with_queue({"b": 5}) == 6 + 5


def test_an_empty_flow_has_zero_of_everything():
    row = compare([Flow("empty", ())], queue_hours=24).iloc[0]
    assert (row.drop(["flow", "illustrative"]) == 0).all()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([Step("etch", "lift_off", 1)], "'etch' is a lift-off before any evaporation"),
        (
            [EVAPORATE, WET, Step("again", "oxidise", 1, "", "a")],
            "'again' is in vacuum cycle 'a'",
        ),
        ([EVAPORATE, Step("new", "evaporate", 1, "", "b"), EVAPORATE], "'metal' is in vacuum cycle 'a'"),
        ([Step("dip", "develop", 1, "", "a")], "'dip' of kind develop is in vacuum cycle 'a'"),
        ([Step("film", "evaporate", 1)], "'film' evaporates without a vacuum_cycle"),
    ],
)
def test_impossible_flows_are_refused(steps, message):
    with pytest.raises(InputError, match=message):
        Flow("f", tuple(steps))


def test_impossible_steps_are_refused():
    with pytest.raises(InputError, match="hours of step 'pump' must be at least 0; got -1"):
        Step("pump", "load_pump", -1)
    with pytest.raises(InputError, match="hours of step 'pump' must be finite"):
        Step("pump", "load_pump", float("inf"))
    with pytest.raises(InputError, match=r"unknown kind of step 'x': 'evaporat'.*did you mean 'evaporate'"):
        Step("x", "evaporat", 1)
    with pytest.raises(InputError, match="has no name"):
        Step(" ", "measure", 1)


def test_queues_are_checked():
    with pytest.raises(InputError, match=r"unknown tool in queue_hours 'ebeam'.*did you mean 'e-beam'"):
        PICT.hours_with_queue({"ebeam": 24})
    with pytest.raises(InputError, match="at least 0"):
        compare([PICT], queue_hours=-1)
    # A tool of one flow need not be used by the other.
    probe = Flow("probe", (Step("probe", "measure", 2, "prober"),))
    assert list(compare([PICT, probe], queue_hours={"prober": 3}).elapsed_hours) == pytest.approx([23.3, 5])


def write(tmp_path, text):
    (tmp_path / "mine.csv").write_text(text)
    return tmp_path / "mine.csv"


def test_a_flow_is_read_from_a_csv_file(tmp_path):
    text = "kind,name,hours,tool,vacuum_cycle\nevaporate, metal,1.5,evaporator,a\n\nlift_off,wet,12,,\n"
    flow = Flow.from_csv(write(tmp_path, text))
    assert flow == Flow(
        "mine", (Step("metal", "evaporate", 1.5, "evaporator", "a"), Step("wet", "lift_off", 12.0))
    )
    assert not flow.illustrative


HEADER = "name,kind,hours,tool,vacuum_cycle\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mine.csv has the columns of an empty file"),
        ("name,kind,hours\n", "mine.csv has the columns name, kind, hours; expected name"),
        (HEADER + "m,measure,1,,\nm,measure,two,,\n", "mine.csv, row 3: hours of step 'm' must be a number"),
        (HEADER + "m,measure,nan,,\n", "mine.csv, row 2: hours of step 'm'"),
        (HEADER + "\nm,measures,1,,\n", "mine.csv, row 3: unknown kind"),
        (HEADER + "m,measure,1,5,,\n", "mine.csv, row 2: 6 cells; expected 5"),
        (HEADER + "m,measure,1\n", "mine.csv, row 2: 3 cells; expected 5"),
        (HEADER + "m,measure,1,,\nw,lift_off,1,,\n", "mine.csv, row 3: step 'w' is a lift-off"),
    ],
)
def test_bad_files_are_refused_with_the_row(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        Flow.from_csv(write(tmp_path, text))


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read the flow"):
        Flow.from_csv(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read the flow"):
        Flow.from_csv(tmp_path / "binary.csv")


def test_gantt_chart_draws_each_step_and_each_wait_once():
    flows = [MANHATTAN_WITH_PATCH, PICT]
    figure = plot_gantt(flows, queue_hours=QUEUE)
    for flow, ax in zip(flows, figure.axes, strict=True):
        bars = ax.patches
        assert len(bars) == len(flow.steps) + sum(flow.bookings.values())
        # Bars follow each other without a gap up to the end.
        end = 0.0
        for bar in bars:
            assert bar.get_x() == pytest.approx(end)  # pyright: ignore
            end += bar.get_width()  # pyright: ignore
        assert end == pytest.approx(flow.hours_with_queue(QUEUE))
    assert len(plot_gantt([PICT]).axes[0].patches) == len(PICT.steps)


def test_gantt_chart_of_all_kinds_has_a_colour_for_each():
    cycles: dict[str, str] = dict.fromkeys(("load_pump", "evaporate", "oxidise", "ion_mill"), "a")
    order = sorted(KINDS, key=lambda kind: kind not in cycles)
    figure = plot_gantt([Flow("all", tuple(Step(kind, kind, 1, "", cycles.get(kind)) for kind in order))])
    assert len({bar.get_facecolor() for bar in figure.axes[0].patches}) == len(KINDS)


@pytest.mark.parametrize("flows", [[], [Flow("empty", ())]])
def test_nothing_to_draw_is_refused(flows):
    with pytest.raises(InputError, match="nothing to draw"):
        plot_gantt(flows)
