"""Bloch paths against rotations of SciPy, matrix exponentials and Rabi's formula."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from solvable.errors import InputError
from solvable.spins.bloch import describe_path, draw_paths, paths

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def test_paths_follow_rotations_of_scipy():
    rng = np.random.default_rng(0)
    controls, steps = rng.normal(size=(4, 12, 3)), rng.uniform(0, 2, (4, 12))
    initial = rng.normal(size=(4, 3))
    initial /= np.linalg.norm(initial, axis=1, keepdims=True)
    offset, gain = rng.normal(size=(5, 1)), rng.normal(1, 0.1, 3)
    found = paths(controls, steps, initial, offset, gain)
    assert found.shape == (4, 5, 3, 13, 3)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(1, abs=1e-14)
    for pulse, i, j in np.ndindex(4, 5, 3):
        r = initial[pulse]
        for k in range(12):
            omega = controls[pulse, k] * gain[j] + [0, 0, offset[i, 0]]
            r = Rotation.from_rotvec(omega * steps[pulse, k]).apply(r)
            np.testing.assert_allclose(found[pulse, i, j, k + 1], r, atol=1e-14)


@pytest.mark.parametrize("shape", [(), (12,), (4, 1), (1, 12)])
def test_lengths_of_steps_for_all_pulses_or_each(shape):
    rng = np.random.default_rng(2)
    controls, steps = rng.normal(size=(4, 12, 2)), rng.uniform(0, 2, shape)
    found = paths(controls, steps, [0, 0, 1], offset=[0.3, -2])
    for pulse, lengths in enumerate(np.broadcast_to(steps, (4, 12))):
        np.testing.assert_array_equal(found[pulse], paths(controls[pulse], lengths, [0, 0, 1], [0.3, -2]))


def test_paths_follow_states_of_a_spin_half():
    rng = np.random.default_rng(1)
    controls, detuning = rng.normal(size=(20, 2)), 0.7
    found = paths(controls, 0.3, [0, 0, 1], detuning)
    psi = np.array([1, 0], complex)
    for k, (x, y) in enumerate(controls):
        psi = expm(-0.5j * 0.3 * np.tensordot([x, y, detuning], PAULI, 1)) @ psi
        expected = [(psi.conj() @ matrix @ psi).real for matrix in PAULI]
        np.testing.assert_allclose(found[k + 1], expected, atol=1e-13)


def test_rabi_formula():
    rabi, detuning, t = 3.0, np.linspace(-5, 5, 11), np.linspace(0, 4, 41)
    found = paths(np.tile([rabi, 0.0], (40, 1)), 0.1, [0, 0, 1], detuning)
    total = np.hypot(rabi, detuning)[:, None]
    flipped = (rabi / total * np.sin(total * t / 2)) ** 2
    np.testing.assert_allclose((1 - found[..., 2]) / 2, flipped, atol=1e-13)


def test_small_and_zero_angles_lose_no_digits():
    found = paths([[0, 0, 0], [1e-9, 0, 0], [0, 1e-300, 0]], 1.0, [0, 0, 1])
    np.testing.assert_array_equal(found[1], [0, 0, 1])
    assert found[2, 1] == pytest.approx(-1e-9, rel=1e-15)
    np.testing.assert_array_equal(found[3], found[2] + [1e-300, 0, 0])


@pytest.mark.parametrize(
    ("controls", "initial", "offset", "gain", "shape"),
    [
        ((8, 2), (3,), (), (), (9, 3)),
        ((8, 3), (6, 3), (), (4,), (6, 4, 9, 3)),
        ((2, 1, 8, 3), (6, 3), (4, 1), (7,), (2, 6, 4, 7, 9, 3)),
        ((5, 0, 8, 2), (3,), (), (), None),
    ],
)
def test_shapes(controls, initial, offset, gain, shape):
    def call():
        return paths(np.zeros(controls), 0.1, np.zeros(initial), np.zeros(offset), np.ones(gain))

    if shape is None:
        with pytest.raises(InputError, match="controls is empty"):
            call()
    else:
        assert call().shape == shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": [1, 2, 3]}, r"controls must have the shape .* got \(3,\)"),
        ({"controls": np.ones((4, 4))}, r"got \(4, 4\)"),
        ({"controls": [[np.inf, 0]]}, "controls has 1 value that is NaN or infinite"),
        ({"controls": [["a", "b"]]}, "controls must be numbers"),
        ({"dt": -1}, "dt must be at least 0; got -1"),
        ({"dt": [1, 2]}, r"one for each of 3 steps; got the shape \(2,\)"),
        ({"dt": [[1], [2]]}, r"broadcasts to \(3,\), .*; got the shape \(2, 1\)"),
        ({"initial": [0, 1]}, r"initial must have the shape \(..., 3\); got \(2,\)"),
        ({"initial": [0, 0, 2]}, "length at most 1; got length 2"),
        ({"controls": np.ones((2, 3, 2)), "initial": np.zeros((3, 3))}, "do not fit together"),
        ({"offset": [1, 2], "gain": [1, 1, 1]}, r"do not fit together: offset \(2,\), gain \(3,\)"),
        ({"offset": np.nan}, "offset must be numbers; got nan"),
    ],
)
def test_what_is_refused(changes, message):
    arguments = {"controls": np.ones((3, 2)), "dt": 0.1, "initial": [0, 0, 1], "offset": 0.0, "gain": 1.0}
    with pytest.raises(InputError, match=message):
        paths(**(arguments | changes))


def test_drawing():
    found = paths(np.ones((10, 2)), 0.1, [0, 0, 1], [0.0, 1.0])
    figure = draw_paths(found, ["a", "b"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    draw_paths(found[0], ["one"]).canvas.draw()  # pyright: ignore
    for wrong, labels, message in (
        (found, ["a"], "one text for each of 2 paths"),
        (found[0], "a", "must be a list"),
        (found[..., :2], ["a", "b"], "must have the shape"),
        (np.zeros((8, 5, 3)), list("abcdefgh"), "at most 7 paths"),
    ):
        with pytest.raises(InputError, match=message):
            draw_paths(wrong, labels)


def on_sphere(azimuth, elevation):
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)


def test_a_path_is_told_by_its_corners():
    corners = np.array([[0, 0], [0, 0.4], [0.3, 0.4], [0.3, 0.1], [0.1, -0.1], [-0.2, -0.1], [-0.4, 0.1]])
    part = np.linspace(0, len(corners) - 1, 301)
    places = np.stack([np.interp(part, range(len(corners)), column) for column in corners.T])
    said = "up 0.40, right 0.30, down 0.30, down-left 0.28, left 0.30, up-left 0.28"
    assert describe_path(on_sphere(*places)) == said
    wobbly = places + 0.01 * np.sin(40 * part)
    assert [move.split()[0] for move in describe_path(on_sphere(*wobbly)).split(", ")] == [
        move.split()[0] for move in said.split(", ")
    ]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ([1, 0, 0], r"shape \(n_points, 3\), with two points or more; got \(3,\)"),
        ([[1, 0, 0]], "with two points or more"),
        ([[1, 0, 0], [0, 0, 1]], "leaves the half of the sphere around"),
        ([[1, 0, 0], [1, np.nan, 0]], "path"),
    ],
)
def test_what_cannot_be_told_is_refused(path, said):
    with pytest.raises(InputError, match=said):
        describe_path(path)
