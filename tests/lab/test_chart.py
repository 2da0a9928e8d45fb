"""The content of charts for pages."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart

X = np.geomspace(10, 1000, 61)


def svg_of(curves, marks=(), *, zero=False):
    x, y = LogAxis("x <units>", 10, 1000, zero=zero), LogAxis("y", 0.1, 10)
    return ET.fromstring(chart('one & "two"', x, y, curves, marks))


def paths(svg, name):
    return [path.get("d") for path in svg.iter("path") if name in path.get("class").split()]


def test_titles_and_labels_are_escaped_and_present():
    svg = svg_of([])
    texts = [text.text for text in svg.iter("text")]
    assert {'one & "two"', "x <units>", "y", "10", "30", "100", "1000", "0.1", "1"} <= set(texts)
    assert svg.get("aria-label") == 'one & "two"'


def test_dashed_and_solid_parts_meet():
    (solid, dashed) = paths(svg_of([Curve(X, X / 100, dashed=X > 100)]), "curve")
    assert solid.split("L")[-1] == dashed[1:].split("L")[0]
    assert solid.count(",") + dashed.count(",") == len(X) + 1


def test_infinite_values_leave_the_chart_and_missing_ones_leave_a_gap():
    y = np.ones(61)
    y[30], y[40] = np.inf, np.nan
    (line,) = paths(svg_of([Curve(X, y, np.zeros(61), np.full(61, np.inf))]), "curve")
    assert line.count("M") == 2
    places = [float(piece.split(",")[1]) for piece in line.replace("M", "L").split("L") if piece]
    assert min(places) < -200
    assert all(abs(place) < 1000 for place in places)
    assert "nan" not in line + paths(svg_of([Curve(X, y, np.zeros(61), np.full(61, np.inf))]), "band")[0]


def test_zero_is_left_of_the_smallest_value_on_a_logarithmic_axis():
    svg = svg_of([], [Mark(0.0, 1.0, "here"), Mark(10.0, None, "best", "best 10")], zero=True)
    at = float(next(svg.iter("circle")).get("cx"))
    upright = paths(svg, "best")[0]
    assert 0 < at < float(upright[1:].split(",")[0])
    assert "0" in [text.text for text in svg.iter("text")]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 1), (2, 1), (1, np.inf), (np.nan, 1)])
def test_invalid_axis_limits_are_refused(low, high):
    with pytest.raises(InputError, match="a logarithmic axis needs 0 < low < high; got"):
        LogAxis("x", low, high)


@pytest.mark.parametrize("ends", [(0.0, 1e-7), (-3.2, 17.0), (5.0, 5.0), (0.0, 0.0), (-1e6, -1.0)])
def test_a_linear_axis_has_room_and_few_round_ticks(ends):
    axis = LinearAxis.around("y", *ends)
    assert axis.low <= ends[0] <= ends[1] <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    assert axis.place(axis.low) == 0
    with pytest.raises(InputError, match="low < high"):
        LinearAxis("y", 1.0, 1.0)


def test_curves_get_their_own_classes():
    axis = LinearAxis("x", 0.0, 1.0)
    curves = [
        Curve([0, 1], [0.5, 0.5], [0.4, 0.4], [0.6, 0.6], classes="one"),
        Curve([0, 1], [0.1, 0.1], dashed=[True, True], classes="two many"),
        Curve([0, 1], [0.9, 0.9]),
    ]

    def classes(curves):
        svg = ET.fromstring(chart("t", axis, axis, curves))
        return [path.get("class") for path in svg.iter("path") if path.get("class").startswith("curve")]

    assert classes(curves) == ["curve one", "curve two many", "curve two many dashed", "curve"]
    assert classes(curves[::-1])[:2] == ["curve first", "curve two many"]
