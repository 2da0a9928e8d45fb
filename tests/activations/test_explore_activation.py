"""What the wing's page shows of kernel and activation, without a browser."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cases import representative
from solvable.activations import design, explore
from solvable.activations.explore import Choice
from solvable.activations.target import COSINES
from solvable.errors import InputError
from solvable.kernels import NTK

RELU, POLYNOMIAL, IMPOSSIBLE = "NTK of 4 ReLU layers", "polynomial, c⁴ + c", "(3c² − 1)/2, impossible"


def start(preset, **more):
    return Choice(preset, explore.starting_series(preset), **more)


@pytest.mark.parametrize("preset", representative(explore.PRESETS, fast=[RELU, POLYNOMIAL, IMPOSSIBLE]))
@pytest.mark.parametrize("kind", representative(["ntk", "nngp"], fast=["ntk"]))
def test_every_choice_of_the_page_can_be_shown(preset, kind):
    choice = start(preset, kind=kind, project=preset == IMPOSSIBLE)
    assert not choice.shaped
    assert not any(a < 0 for a in choice.series)
    for width in (explore.WIDTHS[0], explore.WIDTHS[-1]):
        seen = explore.view(choice, width)
        assert "nan" not in seen.kernel + seen.activation + seen.coefficients
        assert len(seen.facts) == 4
        assert seen.formula.startswith("φ(z) = ")


def test_the_activation_for_half_sin_6z_is_found():
    phi = explore.shape(start("NTK of ½ sin 6z (parity)")).phi
    z = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(np.abs(phi(z)), np.abs(0.5 * np.sin(6 * z)), atol=2e-3)


def test_sliders_start_at_the_preset_and_shape_a_series_that_a_polynomial_has_exactly():
    for preset in explore.PRESETS:
        for a in explore.starting_series(preset):
            assert a in explore.slider_values(a)
    deep = start(RELU)
    assert deep.chosen_family == "relu+cos"
    assert deep.kernel == NTK(4, w_std=2**0.5, b_std=0.1)
    # The nearest series, not the first terms: those miss 0.24 K(1) at c = 1, where weights are largest.
    assert sum(deep.series) == pytest.approx(float(deep.kernel.curve(1.0)), rel=0.06)
    moved = replace(deep, series=(0.5, *deep.series[1:]))
    assert moved.shaped
    assert not moved.waits
    phi = explore.shape(moved).phi
    np.testing.assert_allclose(phi.curve(COSINES), np.polyval(moved.series[::-1], COSINES), rtol=1e-12)
    assert explore.view(moved, 1024).facts[0][:2] == ("kernel error", "none")


def test_the_numbers_in_words_are_those_of_the_design():
    phi = design(NTK(4, w_std=2**0.5, b_std=0.1), family="relu+cos")
    seen = explore.view(start(RELU), 4096)
    (_, error, _), (_, one, asked), (name, spread, _), (_, neurons, near) = seen.facts
    assert error == f"{100 * phi.kernel_error:.2g} %"
    assert float(one) == pytest.approx(float(phi.curve(1.0)), rel=1e-3)
    assert asked == "target: 5.07"
    assert name == "spread at 4096 neurons"
    relative = float(phi.finite_width_std(0.5, 4096) / phi.curve(0.5))
    assert spread == f"± {100 * relative:.2g} %"
    assert neurons == str(phi.required_width(0.1))
    assert near == f"at 60°; at 26° {phi.required_width(0.1, 0.9)}"
    assert seen.formula == f"φ(z) = {phi.formula}"
    assert seen.source["numpy"] == phi.source("numpy")
    assert "import torch" in seen.source["torch"]


def test_the_code_computes_the_activation():
    choice = start(POLYNOMIAL, signs="positive")
    scope = {}
    exec(explore.view(choice, 64).source["numpy"], scope)
    z = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(scope["activation"](z), explore.shape(choice).phi(z), rtol=1e-12)


def test_the_band_is_one_standard_deviation_and_the_width_moves_nothing_else():
    few, many = (explore.view(start(POLYNOMIAL), width) for width in (256, 1024))
    bands = [re.findall(r'class="band" d="([^"]*)"', seen.kernel)[0] for seen in (few, many)]
    assert bands[0] != bands[1]
    assert few.kernel.replace(bands[0], "") == many.kernel.replace(bands[1], "")
    # Width of the band next to 60°, in pixels of which K = -0.5 … 2.5 takes 226.
    edges = [[float(p.split(",")[1]) for p in re.findall(r"[\d.]+,-?[\d.]+", band)] for band in bands]
    middle = int(np.argmin(np.abs(COSINES - 0.5)))
    heights = [abs(edge[middle] - edge[-1 - middle]) for edge in edges]
    assert heights[0] == pytest.approx(2 * heights[1], rel=0.02)
    phi = explore.shape(start(POLYNOMIAL)).phi
    std = float(phi.finite_width_std(COSINES[middle], 256))
    assert heights[0] == pytest.approx(2 * std * 226 / 3, abs=0.2)


def test_signs_are_of_polynomials_alone():
    assert explore.shape(start(RELU, signs="positive")) is explore.shape(start(RELU))
    one, other = (
        explore.shape(start("Gaussian, e^(c − 1)", signs=signs))
        for signs in ("positive", "minimise variance")
    )
    np.testing.assert_allclose(one.realised, other.realised)
    assert (one.phi.coefficients >= 0).all()
    assert not np.allclose(one.scale, other.scale)


def test_an_impossible_kernel_gets_its_sentence_and_the_nearest_one():
    impossible = start(IMPOSSIBLE)
    with pytest.raises(InputError, match=r"a_0 = -0\.5.*offered below$") as refused:
        explore.shape(impossible)
    assert "project=True" not in str(refused.value)
    chart = explore.asked_chart(impossible)
    assert "curve asked dashed" in chart
    assert "realised" not in chart.split("</text>", 1)[1]
    found = explore.shape(replace(impossible, project=True))
    nearest = design([-0.5, 0.0, 1.5], degree=6, project=True)
    np.testing.assert_allclose(found.phi.coefficients, nearest.coefficients)


def test_all_sliders_at_0_get_a_sentence():
    with pytest.raises(InputError, match="all coefficients are 0"):
        explore.shape(Choice(POLYNOMIAL, (0.0,) * 7))
