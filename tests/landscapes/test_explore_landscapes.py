"""What the wing's page shows, without a browser."""

import re
from typing import Any

import numpy as np
import pytest

from solvable.landscapes import explore, find_critical_points, linear_autoencoder, toy
from solvable.landscapes.explore import Autoencoder, Search

ENDS = (explore.COORDINATES[0], explore.COORDINATES[-1])
CORNERS = [(x, y) for x in ENDS for y in ENDS]


@pytest.mark.parametrize(("x", "y"), [*CORNERS, toy.CRITICAL, (0.0, 0.0), (-1.4, 0.0), (-0.5, 1.5)])
def test_each_method_is_said_to_have_found_what_it_found(x: float, y: float) -> None:
    view = explore.toy_view(x, y)
    drawn = "".join(chart for chart, _ in view.charts)
    assert not re.search(r"\b(nan|inf)\b", " ".join(word for fact in view.facts for word in fact) + drawn)
    found = []
    for (name, kind, remark), method in zip(view.facts, explore.METHODS, strict=True):
        end = find_critical_points(
            toy.loss(), np.array([x, y]), method, max_iter=explore.MAX_STEPS, quiet=True
        )
        at_minimum = np.linalg.norm(end.theta[0] - toy.CRITICAL) < 1e-4
        assert (kind == "minimum") == at_minimum
        assert re.search(rf"after {end.n_iter[0]} steps?$", remark)
        found += [name] if at_minimum else []
        if kind == "gradient-flat":
            assert abs(abs(end.theta[0, 0]) - 2**0.5) < 0.3
    if 0 < len(found) < 4:
        named = [name for _, name in explore.METHODS.values() if name in view.sentence]
        assert named == found
    assert ("no method finds" in view.sentence) == (not found)
    assert ("all four methods" in view.sentence) == (len(found) == 4)


def test_a_path_leads_from_the_start_to_the_end_and_the_gradient_shrinks() -> None:
    for method in explore.METHODS:
        run = explore.run(method, -1.0, 2.0)
        assert run.path[0].tolist() == [-1.0, 2.0]
        np.testing.assert_allclose((toy.gradient(run.path) ** 2).sum(axis=1), run.squared)
        assert (np.diff(run.squared) < 0).all()


def test_the_shades_of_the_field_are_sets_of_small_gradients() -> None:
    drawn = explore._contours()
    assert len(drawn) > len(explore._LEVELS)
    areas = dict.fromkeys(explore._LEVELS, 0.0)
    for band in drawn:
        x, up = np.asarray(band.x), np.asarray(band.high)
        middle = len(x) // 2
        edge = (toy.gradient(np.array([x[middle], up[middle]])) ** 2).sum()
        level = min(areas, key=lambda one: abs(np.log(one / edge)))
        # The inverse of the gradient is interpolated.
        assert edge == pytest.approx(level, rel=1e-2)
        areas[level] += float(2 * np.trapezoid(np.minimum(up, 4), x))
    axis = np.linspace(-4, 4, 801)
    squared = (toy.gradient(np.stack(np.meshgrid(axis, axis), axis=-1)) ** 2).sum(axis=-1)
    for level, area in areas.items():
        assert area == pytest.approx(64 * float((squared <= level).mean()), rel=0.03)


@pytest.mark.parametrize(
    "code", [explore.toy_view(0.3, -1.2).code, explore.autoencoder_view(Autoencoder(4, 2)).code]
)
def test_the_code_runs_and_says_the_same(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(code, scope)
    printed = capsys.readouterr().out
    if "covariance" in scope:
        assert len(printed.splitlines()) == len(linear_autoencoder.theory(scope["covariance"], 2))
    else:
        assert explore.toy_view(0.3, -1.2).facts[0][1] in printed
    assert max(map(len, code.splitlines())) < 46


def test_the_loss_of_the_autoencoder_is_that_of_the_wing_with_its_derivatives() -> None:
    problem = Autoencoder(5, 2, 0.6)
    loss, peer = explore.autoencoder_loss(problem), linear_autoencoder.loss(problem.covariance, 2)
    rng = np.random.default_rng(0)
    theta, vectors = rng.standard_normal((2, 3, problem.n_parameters))
    here = loss.at(theta)
    np.testing.assert_allclose(here.value, [float(peer(one)) for one in theta])
    step = 1e-5
    for i in range(problem.n_parameters):
        shift = step * np.eye(problem.n_parameters)[i]
        slope = [float(peer(one + shift) - peer(one - shift)) / (2 * step) for one in theta]
        np.testing.assert_allclose(here.gradient[:, i], slope, atol=1e-8)
    change = loss.gradient(theta + step * vectors)[1] - loss.gradient(theta - step * vectors)[1]
    np.testing.assert_allclose(here.product(vectors), change / (2 * step), atol=1e-7)


def test_a_search_goes_on_and_belongs_to_its_autoencoder() -> None:
    problem = Autoencoder(4, 2)
    once = explore.search(Search(problem))
    twice = explore.search(once)
    assert (once.starts, twice.starts) == (explore.N_STARTS, 2 * explore.N_STARTS)
    assert once.critical > 0.9 * once.starts
    assert twice.critical > once.critical
    assert once.mismatches == twice.mismatches == 0
    assert twice.classes >= once.classes
    exact = {point.subset for point in linear_autoencoder.theory(problem.covariance, 2)}
    assert twice.classes <= exact
    assert len(twice.classes) >= 8
    seen = explore.autoencoder_view(problem, twice)
    assert seen.facts[-1][1:] == (f"{len(twice.classes)} of 11", "mismatches with theory: 0")
    assert seen.charts[0][0].count('class="critical"') == len(twice.classes)
    # Another network has another landscape.
    other = explore.autoencoder_view(Autoencoder(4, 1), twice)
    assert other.facts[-1][1] == "–"
    assert 'class="critical"' not in other.charts[0][0]


@pytest.mark.parametrize("inputs", [explore.INPUTS[0], explore.INPUTS[-1]])
@pytest.mark.parametrize("hidden", [explore.HIDDEN[0], explore.HIDDEN[-1]])
@pytest.mark.parametrize("decay", [explore.DECAYS[0], explore.DECAYS[-1]])
def test_every_corner_of_the_sliders_can_be_shown(inputs: int, hidden: int, decay: float) -> None:
    problem = Autoencoder(inputs, hidden, decay)
    seen = explore.autoencoder_view(problem)
    drawn = seen.charts[0][0]
    assert drawn.count('class="flat"') == int(seen.facts[0][1])
    assert not re.search(r"\b(nan|inf)\b", drawn)
    # The minimum reproduces the inputs of the largest variances.
    rest = sum(sorted(problem.variances)[: max(0, inputs - hidden)]) / 2
    assert float(seen.facts[1][1]) == pytest.approx(rest, rel=1e-2)
