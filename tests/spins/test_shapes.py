"""Shapes of controls at places where their values are known."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from solvable.errors import InputError
from solvable.spins.shapes import (
    Constant,
    Joined,
    Ramp,
    Sampled,
    SineSeries,
    SmoothSweep,
    Weighted,
    Windowed,
    as_shape,
)

T = 40.0
T_NS = np.linspace(0, T, 161)


def test_constant_and_ramp() -> None:
    assert (Constant(3.0)(T_NS, T) == 3).all()
    np.testing.assert_allclose(Ramp(-2.0, 6.0)(T_NS, T), np.linspace(-2, 6, 161), atol=1e-14)


def test_a_smooth_sweep_is_at_rest_at_both_ends() -> None:
    values = SmoothSweep(-2.0, 6.0)(T_NS, T)
    np.testing.assert_allclose(values, 2 - 4 * np.cos(np.pi * T_NS / T), atol=1e-13)
    assert abs(np.diff(values)[[0, -1]]).max() < 1e-3 * np.ptp(values)


def test_sine_series_is_its_sum() -> None:
    found = SineSeries((2.0, 0.0, -1.5))(T_NS, T)
    np.testing.assert_allclose(
        found, 2 * np.sin(np.pi * T_NS / T) - 1.5 * np.sin(3 * np.pi * T_NS / T), atol=1e-13
    )
    assert np.abs(found[[0, -1]]).max() < 1e-14
    assert SineSeries((1.0,))(np.zeros((2, 3)), T).shape == (2, 3)


@pytest.mark.parametrize("rise", [0.1, 0.25, 0.5])
def test_a_window_rises_and_falls_over_its_part(rise: float) -> None:
    found = Windowed(5.0, rise)(T_NS, T)
    assert found[0] == found[-1] == 0
    np.testing.assert_allclose(found, found[::-1], atol=1e-13)
    flat = np.abs(T_NS - T / 2) <= (0.5 - rise) * T
    np.testing.assert_allclose(found[flat], 5.0)
    half = float(Windowed(5.0, rise)(np.array(rise * T / 2), T))
    assert half == pytest.approx(2.5)
    np.testing.assert_allclose(Windowed(Ramp(1, 2), rise)(T_NS, T), found / 5 * (1 + T_NS / T), atol=1e-13)


def test_weighted_sum() -> None:
    found = Weighted((Ramp(0, 1), 2.0), (3.0, -1.0))(T_NS, T)
    np.testing.assert_allclose(found, 3 * T_NS / T - 2, atol=1e-14)


def test_samples_are_splines_between_jumps() -> None:
    t = np.array([0, 10, 20, 30, 30, 33, 36, 40.0])
    values = np.array([0, 1, 4, 9, -5, -2, 0, 1.0])
    found = Sampled(t, values)(T_NS, T)
    before = T_NS < 30
    np.testing.assert_allclose(found[before], CubicSpline(t[:4], values[:4])(T_NS[before]), atol=1e-12)
    np.testing.assert_allclose(found[~before], CubicSpline(t[4:], values[4:])(T_NS[~before]), atol=1e-12)
    # A parabola is its own spline, and two points make a straight line.
    np.testing.assert_allclose(found[before], (T_NS[before] / 10) ** 2, atol=1e-12)
    assert Sampled(np.array([0.0, T]), np.array([1.0, 3.0]))(np.array(T / 4), T) == pytest.approx(1.5)


def test_joined_shapes_begin_anew() -> None:
    joined = Joined((Ramp(0, 1), 7.0, Ramp(5, 4)), (10.0, 5.0, 25.0))
    at = np.array([0.0, 5.0, 9.999, 10.0, 14.999, 15.0, 40.0])
    np.testing.assert_allclose(joined(at, T), [0, 0.5, 0.9999, 7, 7, 5, 4], atol=1e-12)


def test_numbers_are_constants() -> None:
    assert as_shape("E_V_per_m", 3)(T_NS, T).shape == T_NS.shape
    with pytest.raises(InputError, match="E_V_per_m must be one number; got 'three'"):
        as_shape("E_V_per_m", "three")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Windowed(1.0, 0.7), "rise must be above 0 and at most 0.5; got 0.7"),
        (lambda: Sampled(np.array([0.0, 1.0]), np.array([1.0])), "of equal length, 2 or more; got 2 and 1"),
        (lambda: Sampled(np.array([0.0, 2.0, 1.0]), np.zeros(3)), "t_ns must ascend"),
        (lambda: Sampled(np.array([0.0, 1.0, 1.0, 1.0, 2.0]), np.zeros(5)), "occurs twice at most"),
        (lambda: Sampled(np.array([0.0, 0.0, 1.0]), np.zeros(3)), "inside the pulse"),
        (lambda: Sampled(np.array([0.0, np.nan]), np.zeros(2)), "t_ns"),
        (lambda: Sampled(np.array([0.0, 1.0]), np.array([0.0, np.inf])), "values has 1 value that is NaN or"),
        (lambda: SineSeries(()), "coefficients"),
    ],
)
def test_shapes_that_cannot_be_are_refused(make, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()
