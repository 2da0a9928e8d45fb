"""What the wing's page shows, without a browser."""

import re
import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.stepwise import explore, explore_loss, explore_setting, plateau_loss
from solvable.stepwise.explore_loss import EXAMPLE, Reading
from solvable.stepwise.explore_setting import Setting

START = Setting()
SLIDERS = {
    "init": explore_setting.INITS,
    "share": explore_setting.SHARES,
    "decay": explore_setting.DECAYS,
    "gap": explore_setting.GAPS,
    "shared": explore_setting.SHARED,
    "noise": explore_setting.NOISES,
    "dim": explore_setting.DIMS,
    "weight_decay": explore_setting.WEIGHT_DECAYS,
}


def words_of(seen: Any) -> str:
    cells = [
        *seen.facts,
        *getattr(seen, "rows", ()),
        (seen.sentence, seen.code),
        getattr(seen, "remarks", ()),
    ]
    return " ".join(word for row in cells for word in row)


def test_every_corner_of_the_sliders_can_be_shown() -> None:
    corners = product(*((values[0], values[-1]) for values in SLIDERS.values()))
    for i, ends in enumerate(corners):
        setting = Setting(**dict(zip(SLIDERS, ends, strict=True)))
        # Settings that differ in the last slider only are shown from both ends of the first.
        seen = explore.view(setting, (0, 100)[i % 2])
        assert len(seen.facts) == 4
        assert len(seen.rows) == setting.dim
        drawn = seen.loss + seen.eigenvalues + seen.spectrum
        assert not re.search(r"\b(nan|inf)\b", words_of(seen) + drawn)
        learned = sum(row[2] != "never" for row in seen.rows)
        assert seen.loss.count("upright best") == seen.eigenvalues.count("upright best") == learned >= 1


def train(setting: Setting, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of C (steps, d) and the loss of gradient descent on full weights, from aligned ones."""
    gamma, d = np.diag(setting.gamma), setting.dim
    W, eigenvalues, losses = setting.init * np.eye(d, len(gamma)), [], []
    for _ in range(steps):
        C = W @ gamma @ W.T
        eigenvalues.append(np.sort(np.linalg.eigvalsh(C))[::-1])
        losses.append(((C - np.eye(d)) ** 2).sum())
        gradient = 4 * (C - np.eye(d)) @ W @ gamma + setting.weight_decay * W
        W = W - setting.learning_rate * gradient
    return np.array(eigenvalues), np.array(losses)


@pytest.mark.parametrize(
    "setting",
    [
        START,
        Setting(share=0.9),
        Setting(share=0.5, weight_decay=0.2, init=1e-3),
        Setting(decay=0.5, gap=5.0, share=0.3, dim=8),
        Setting(shared=3, dim=5, noise=0.2, share=0.5, init=0.01),
    ],
)
def test_the_model_is_learned_at_the_steps_shown(setting) -> None:
    end = setting.step_at(100)
    eigenvalues, loss = train(setting, round(end))
    final = 1 - setting.weight_decay / (4 * setting.gamma[: setting.dim])
    for j, (learned, half) in enumerate(zip(setting.times, final / 2, strict=True)):
        if half > 0:
            assert int((eigenvalues[:, j] >= half).argmax()) == pytest.approx(learned, abs=1.5)
            assert explore.view(setting, 0).rows[j][2] == f"{learned:,.0f}"
        else:
            assert learned == np.inf
            assert eigenvalues[-1, j] < 1e-3
    # Halfway between two steps; in the middle of a step the drawn curve may be late by one.
    between = np.round((setting.times[1:] + setting.times[:-1])[:2] / 2)
    np.testing.assert_allclose(setting.loss(between), loss[between.astype(int)], atol=0.05)


@pytest.mark.parametrize(
    "setting",
    [
        START,
        Setting(share=0.5, weight_decay=0.3, dim=9),
        Setting(gap=3.0, noise=0.0, shared=5, decay=0.5, init=1e-3, dim=7),
        Setting(noise=0.2, weight_decay=0.1, dim=8),
    ],
)
def test_the_code_gives_the_same_numbers(setting) -> None:
    scope: dict[str, Any] = {}
    seen = explore.view(setting, 30)
    exec(seen.code, scope)
    np.testing.assert_allclose(scope["gamma"], setting.gamma)
    # Closed forms come half a step later than the iterated map.
    np.testing.assert_allclose(scope["times"], setting.times, rtol=1e-9)
    now = round(setting.step_at(30))
    assert scope["loss"][now] == pytest.approx(float(setting.loss(np.array([float(now)]))[0]))
    assert scope["n"] == setting.learnable
    assert [row[1] for row in seen.rows] == [f"{g:.3g}" for g in scope["gamma"][: setting.dim]]
    assert max(map(len, seen.code.splitlines())) < 65


@pytest.mark.parametrize(
    ("setting", "place", "sentence"),
    [
        (
            START,
            36,
            "At step 360 the loss is 3.99, and 2 of 6 directions are learned. Wait: direction 3 comes at step 438.",
        ),
        (
            Setting(shared=7),
            100,
            "At step 1,000 the loss is almost 0, and 6 of 6 directions are learned. Stop: the embedding is full, and a "
            "wider one would learn 1 more.",
        ),
        (
            Setting(dim=1, shared=1),
            90,
            "At step 180 the loss is almost 0, and 1 of 1 direction is learned. Stop: the embedding is full.",
        ),
        (
            Setting(dim=7, shared=6),
            70,
            "At step 2,375 the loss is 1, and 6 of 7 directions are learned. Stop: direction 7 comes at step 7,893, "
            "and it is noise.",
        ),
        (
            Setting(weight_decay=2.0),
            100,
            "At step 200 the loss is 5.25, and 1 of 6 directions is learned. Stop: weight decay forbids the others.",
        ),
        (
            Setting(noise=0.0, dim=8, shared=6),
            100,
            "At step 1,000 the loss is 2, and 6 of 8 directions are learned. Stop: the views share no other direction.",
        ),
    ],
)
def test_the_sentence(setting, place, sentence) -> None:
    assert explore.view(setting, place).sentence == sentence


def test_the_facts() -> None:
    coming, learned, pause, twice = explore.view(START, 36).facts
    assert coming[1:] == ("step 438", "number 3, in 78 steps")
    assert learned[1:] == ("2 of 6", "loss 3.99")
    assert pause[1:] == ("148 steps", "from 2 to 3")
    saved = START.times[2] - Setting(init=2e-6).times[2]
    assert twice[1] == f"{saved:.0f} steps"
    # ln 4 / (8 gamma lr), with a largest stable rate of 1/4 of which 10 % are used.
    assert saved == pytest.approx(np.log(4) / (8 / 3 * 0.025), rel=0.03)
    decayed = explore.view(Setting(weight_decay=0.1), 36).facts
    assert "8γ\u00a0−\u00a02w" in decayed[3][2]


def test_remarks_are_made_where_they_hold() -> None:
    def remarks(**changes: Any) -> str:
        return " ".join(explore.view(Setting(**changes), 0).remarks)

    assert remarks() == ""
    # The pause between steps has to be longer than the rise, ln 81 / (8 gamma lr): here from 1e-4, 105 and 111 steps.
    assert remarks(init=1e-4).startswith("From direction 5 on, steps run into each other")
    assert remarks(decay=0.0) == "Directions with the same γ are learned at once."
    forbidden = remarks(weight_decay=1.0)
    assert "γ ≤ w/4 = 0.25: directions 4 to 6 of this embedding" in forbidden
    assert "the last at 0.25" in forbidden  # 1 - 1/(4/3)
    assert "this embedding has none" in remarks(weight_decay=0.1)
    assert "Direction 6 is noise of a finite sample, γ ≤ 0.02" in remarks(shared=5)
    assert "Directions 3 to 6 are noise" in remarks(shared=8, noise=0.4)


def paths(chart: str, kind: str) -> list[np.ndarray]:
    """Return the curves of a kind in a chart, in pixels."""
    found = re.findall(rf'<path class="curve {kind}" d="(M[^"]+)"', chart)
    return [
        np.array([[float(one) for one in pair.split(",")] for pair in re.split("[ML]", path)[1:]])
        for path in found
    ]


def test_the_charts_show_the_staircase() -> None:
    seen = explore.view(START, 36)
    (loss,) = paths(seen.loss, "first")
    assert (np.diff(loss[:, 1]) >= 0).all()  # it falls, and pixels count downwards
    # A plateau at each whole number: the gridlines of the axis are as high as many points of the curve.
    grid = [float(y) for y in re.findall(r'class="grid" d="M0,([\d.]+)H', seen.loss)]
    assert len(grid) == 7
    flat = [(np.abs(loss[:, 1] - y) < 2).sum() for y in grid]
    assert min(flat[2:6]) >= 5
    assert len(paths(seen.eigenvalues, "shared")) == 6
    # On the way up a curve is straight.
    (*_, last) = paths(seen.eigenvalues, "shared")
    rising = last[(last[:, 1] > 60) & (np.diff(last[:, 0], append=np.inf) > 1)]
    slopes = np.diff(rising[:, 1]) / np.diff(rising[:, 0])
    assert slopes.std() < 0.1 * abs(slopes.mean())
    noisy = explore.view(Setting(shared=4, dim=7, noise=0.1), 36)
    assert len(paths(noisy.eigenvalues, "shared")) == 4
    assert len(paths(noisy.eigenvalues, "other")) == 3
    assert len(paths(noisy.spectrum, "stem many shared")) == 4
    assert "logarithmic" not in noisy.loss
    assert "logarithmic" in explore.view(Setting(shared=4, dim=7), 36).loss


def read(**changes: str) -> explore_loss.LossView:
    return explore_loss.loss_view(EXAMPLE._replace(**changes))


@pytest.mark.parametrize("batch", ["", "2", "512", "1000000"])
def test_every_corner_of_the_fields_can_be_shown(batch) -> None:
    numbers = product(
        ("0", "1e-9", "1", "4000", "1e9"), ("1", "2", "100000"), ("1e-6", "1", "30"), ("1e-3", "100")
    )
    for loss, dim, weight, factor in numbers:
        try:
            seen = explore_loss.loss_view(Reading(loss, dim, weight, batch, factor))
        except InputError:
            assert batch
            assert float(loss) < float(dim)  # less than the share of the batch
            continue
        assert len(seen.facts) == 4
        assert not re.search(r"\b(nan|inf)\b", words_of(seen) + seen.chart)
        assert bool(seen.warning) is (not batch)


@pytest.mark.parametrize(
    ("changes", "directions", "sentence"),
    [
        (
            {"batch_size": ""},
            "44 to 85",
            "No embedding with fewer than 44 directions has a loss of 4000. The number is 85",
        ),
        (
            {"loss": "41.9", "dim": "2048", "batch_size": "512"},
            "1958 to 2048",
            "No embedding with fewer than 1958 directions",
        ),
        (
            {"loss": "8100"},
            "0 to 43",
            "A loss of 8100 needs no learned direction: with one it can be 8000. The number is 43",
        ),
        (
            {"loss": "10000"},
            "0",
            "A loss of 10000 needs no learned direction: with one it can be 8000. Above d",
        ),
        ({"loss": "164.5"}, "8192", "All 8192 directions are learned."),
        ({"loss": "100", "factor": "0.025", "batch_size": ""}, "44 to 85", "No embedding with fewer than 44"),
        (
            {"loss": "3", "dim": "8", "off_diagonal_weight": "1", "batch_size": ""},
            "5 to 6",
            "No embedding with fewer than 5 directions has a loss of 3",
        ),
    ],
)
def test_a_loss_is_read(changes, directions, sentence) -> None:
    seen = read(**changes)
    assert seen.facts[0][1] == directions
    assert seen.sentence.startswith(sentence)


def test_a_further_direction_lowers_the_loss_by_the_distance_of_plateaus() -> None:
    seen = read(loss=str(plateau_loss(50, 8192, 0.0051)), batch_size="")
    drop = plateau_loss(50, 8192, 0.0051) - plateau_loss(51, 8192, 0.0051)
    assert seen.sentence.endswith(f"One more direction lowers the loss by {drop:.0f}.")


def test_the_marks_are_on_the_curves() -> None:
    seen = read()
    marks = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', seen.chart)]
    assert len(marks) == 2
    for kind, (x, y) in zip(("least", "other"), marks, strict=True):
        (curve,) = paths(seen.chart, kind)
        assert np.interp(y, curve[:, 1], curve[:, 0]) == pytest.approx(x, abs=1)
    # Without a finite batch the lower curve is that of the plateaus.
    (curve,) = paths(read(batch_size="").chart, "least")
    k, width = np.geomspace(1, 4000, 20), 354 / np.log(1.25 * 8192 / 0.8)
    rise = np.diff(np.interp(np.log(k / 0.8) * width, curve[:, 0], curve[:, 1]))
    expected = -np.diff(np.log(plateau_loss(k, 8192, 0.0051)))
    np.testing.assert_allclose(rise / rise.sum(), expected / expected.sum(), atol=0.01)


@pytest.mark.parametrize("changes", [{}, {"batch_size": ""}, {"loss": "100.5", "factor": "0.025"}])
def test_code_and_command_give_the_same_number(changes, command_line) -> None:
    seen = read(**changes)
    code, shell = seen.code.split("\n\nsolvable ")
    scope: dict[str, Any] = {}
    exec(code.replace("stepwise.directions_from_loss(", "found = stepwise.directions_from_loss("), scope)
    assert seen.facts[0][1] == f"{scope['found'].low:.0f} to {scope['found'].high:.0f}"
    exit_code, out, _ = command_line(*shell.replace("\\\n", " ").split(), "--quiet")
    assert exit_code == 0
    assert float(out) == pytest.approx(scope["found"].directions)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("loss", "", r"the loss is missing; expected a number"),
        ("loss", "4,000", r"the loss is “4,000”; expected a number such as 4000"),
        ("loss", "nan", r"the loss is “nan”"),
        ("loss", "-3", r"the loss must be at least 0"),
        ("dim", "2.5", r"the dimension is 2\.5; expected a whole number"),
        ("dim", "0", r"the dimension is 0; expected a whole number from 1 to"),
        ("off_diagonal_weight", "0", r"the weight λ must be at least"),
        ("batch_size", "many", r"the batch size is “many”"),
        ("batch_size", "1", r"batch_size is 1; expected at least 2"),
        ("factor", "0", r"the factor must be at least"),
        ("loss", "41.9", r"the loss is 41.9, and correlations of a batch of 2048 alone make 167"),
    ],
)
def test_fields_that_are_no_numbers_get_a_sentence(field, text, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        read(**{field: text})


def test_the_page_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from solvable.stepwise import explore, explore_loss, explore_setting\n"
        "explore.view(explore_setting.Setting(), 30); explore_loss.loss_view(explore_loss.EXAMPLE)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
