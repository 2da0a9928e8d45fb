"""Augmentations: known maps of images, torch's own affine grid, laws of the random numbers, and what stays as it is."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from solvable.errors import InputError
from solvable.stepwise import augment
from solvable.stepwise.augment import Augmentation, add_noise, color_jitter, random_affine, random_crop


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.rand(*(shape or (6, 3, 12, 16)), generator=seeded(1))


ALL = {
    "affine": random_affine,
    "reflected": lambda images, generator: random_affine(images, generator, padding="reflection"),
    "noise": lambda images, generator: add_noise(images, generator, 0.1),
    "colour": color_jitter,
    "crop": lambda images, generator: random_crop(images, generator, 8),
    "together": Augmentation(
        degrees=15, shift=0.1, scale=0.1, noise=0.1, gain=0.4, offset=0.2, crop=8, padding="reflection"
    ),
}


class Fixed:
    """In the place of random numbers of U(-1, 1): the same ones for each image."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def __call__(self, images: Tensor, generator: Generator, count: int) -> Tensor:
        assert count == len(self.numbers)
        return images.new_tensor([self.numbers] * len(images))


def affine_with(monkeypatch, images: Tensor, numbers: tuple[float, ...], **options) -> Tensor:
    monkeypatch.setattr(augment, "_uniform", Fixed(*numbers))
    return random_affine(images, seeded(), **options)


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_give_equal_views_and_others_give_others(name) -> None:
    images = pictures()
    copy, state = images.clone(), torch.get_rng_state()
    first, again, other = (ALL[name](images, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Two views of one generator differ, and so do two images of one batch.
    generator = seeded(3)
    assert torch.equal(ALL[name](images, generator), first)
    assert not torch.equal(ALL[name](images, generator), first)
    twice = ALL[name](images[:1].repeat(2, 1, 1, 1), seeded(3))
    assert not torch.equal(twice[0], twice[1])
    assert torch.equal(images, copy)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_give_the_same_view(name, dtype) -> None:
    """Noise is drawn in the precision of the images, so that its numbers are others in double precision."""
    images = pictures()
    view = ALL[name](images.to(dtype), seeded(3))
    assert view.dtype == dtype
    if dtype != torch.float64 or name not in ("noise", "together"):
        expected = ALL[name](images, seeded(3))
        tolerance = {torch.float64: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.003}[dtype]
        torch.testing.assert_close(view.float(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ALL)
def test_views_on_another_device(name) -> None:
    """Tensors without data, on `meta`, with a generator of the CPU."""
    images = pictures().to("meta")
    assert ALL[name](images, seeded()).device.type == "meta"


def test_gradients_pass_through() -> None:
    images = pictures().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ALL["together"](x, seeded()), images[:1, :2], atol=1e-6)


@pytest.mark.parametrize("size", [(12, 16), (16, 12), (9, 9)], ids=str)
@pytest.mark.parametrize("padding", ["zeros", "reflection"])
def test_an_affine_map_is_that_of_torch(size, padding, monkeypatch) -> None:
    """The map as a matrix in pixels, written out, through `F.affine_grid`."""
    images = pictures(4, 2, *size).double()
    height, width = size
    numbers = (0.8, -0.5, 0.3, -0.9)
    moved = affine_with(monkeypatch, images, numbers, degrees=40, shift=0.2, scale=0.3, padding=padding)
    angle, scale = math.radians(0.8 * 40), 1 - 0.5 * 0.3
    A = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    b = np.array([0.3 * 0.2 * width, -0.9 * 0.2 * height])
    # Pixels, relative to the centre, from coordinates between -1 and 1.
    unit = np.diag([width / 2, height / 2])
    back = np.linalg.inv(unit) @ np.linalg.inv(A)
    theta = np.hstack([back @ unit, (-back @ b)[:, None]])
    grid = F.affine_grid(torch.tensor(theta).expand(4, 2, 3), [4, 2, *size], align_corners=False)
    expected = F.grid_sample(images, grid, padding_mode=padding, align_corners=False)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def test_a_quarter_turn_and_whole_shifts_move_pixels(monkeypatch) -> None:
    images = pictures(2, 2, 8, 8).double()
    turned = affine_with(monkeypatch, images, (1.0, 0.0, 0.0, 0.0), degrees=90, scale=0, shift=0)
    torch.testing.assert_close(turned, images.rot90(-1, (2, 3)), rtol=0, atol=1e-12)
    shifted = affine_with(monkeypatch, images, (0.0, 0.0, 1.0, -0.5), degrees=0, scale=0, shift=0.25)
    expected = torch.zeros_like(images)
    expected[:, :, :7, 2:] = images[:, :, 1:, :6]  # two pixels to the right, one up
    torch.testing.assert_close(shifted, expected, rtol=0, atol=1e-12)


def test_magnification_enlarges(monkeypatch) -> None:
    """A smooth spot of variance 4 has the variance 4 · 1.5² when magnified by 1.5."""
    x = torch.arange(65, dtype=torch.float64) - 32
    spot = torch.exp(-(x[:, None] ** 2 + x**2) / 8)[None, None]
    large = affine_with(monkeypatch, spot, (0.0, 1.0, 0.0, 0.0), degrees=0, shift=0, scale=0.5)[0, 0]
    variance = (large * x**2).sum() / large.sum()
    assert variance.item() == pytest.approx(9, rel=0.05)  # interpolation widens it by about 0.17 · 1.5²


def test_reflection_and_zeros_at_the_border(monkeypatch) -> None:
    images = pictures(2, 2, 8, 8).double()
    numbers = (0.0, 0.0, 1.0, 0.0)
    zeros = affine_with(monkeypatch, images, numbers, degrees=0, scale=0, shift=0.25)
    reflected = affine_with(
        monkeypatch, images, numbers, degrees=0, scale=0, shift=0.25, padding="reflection"
    )
    assert (zeros[..., :2] == 0).all()
    torch.testing.assert_close(reflected[..., :2], images[..., :2].flip(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(zeros[..., 2:], reflected[..., 2:], rtol=0, atol=1e-12)


def test_maps_of_an_image_are_within_their_ranges_and_fill_them() -> None:
    """The centre and the size of a spot in 4000 views tell the shift, the angle and the magnification of each."""
    x = torch.arange(33, dtype=torch.float64) - 16
    spots = torch.stack(
        [torch.exp(-((x - u) ** 2 + (x[:, None] - v) ** 2) / 4) for u, v in ((-6, 0), (6, 0))]
    )
    views = random_affine(spots[None].expand(4000, 2, 33, 33), seeded(), degrees=15, shift=0.1, scale=0.15)
    weights = views / views.sum((2, 3), keepdim=True)
    at = torch.stack([(weights.sum(2) * x).sum(2), (weights.sum(3) * x).sum(2)], dim=2)  # (view, spot, xy)
    centre, across = at.mean(1), (at[:, 1] - at[:, 0]) / 12
    angle = torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]))
    magnification = across.norm(dim=1)
    for values, middle, reach in (
        (centre[:, 0], 0.0, 3.3),
        (centre[:, 1], 0.0, 3.3),
        (angle, 0.0, 15.0),
        (magnification, 1.0, 0.15),
    ):
        units = (values - middle) / reach
        assert 0.99 < units.max() < 1.01
        assert -1.01 < units.min() < -0.99
        assert units.mean().abs() < 5 / (3 * 4000) ** 0.5
        assert units.square().mean().item() == pytest.approx(1 / 3, abs=5 * (4 / 45 / 4000) ** 0.5)
    assert (
        np.abs(np.corrcoef(torch.stack([*centre.T, angle, magnification])) - np.eye(4)).max() < 5 / 4000**0.5
    )


def test_noise_has_its_size_and_no_correlation() -> None:
    images = pictures(200, 2, 10, 10)
    noise = (add_noise(images, seeded(), 0.3) - images).flatten(1).double()
    assert noise.mean().abs() < 5 * 0.3 / 40000**0.5
    assert noise.std().item() == pytest.approx(0.3, rel=5 / 80000**0.5)
    correlations = np.corrcoef(noise) - np.eye(200)
    assert np.abs(correlations).max() < 6 / 200**0.5


def test_colours_have_one_gain_and_offset_in_each_channel() -> None:
    images = pictures(500, 3, 4, 5).double()
    jittered = color_jitter(images, seeded(), gain=0.4, offset=0.2)
    x, y = images.flatten(2), jittered.flatten(2)
    x0, y0 = x - x.mean(2, keepdim=True), y - y.mean(2, keepdim=True)
    gain = (x0 * y0).sum(2, keepdim=True) / x0.square().sum(2, keepdim=True)
    offset = y.mean(2, keepdim=True) - gain * x.mean(2, keepdim=True)
    torch.testing.assert_close(gain * x + offset, y, rtol=0, atol=1e-12)
    for values in ((gain - 1) / 0.4, offset / 0.2):
        assert 0.98 < values.max() <= 1 + 1e-9
        assert -1 - 1e-9 <= values.min() < -0.98
        assert values.mean().abs() < 5 / (3 * 1500) ** 0.5
    both = np.corrcoef(torch.cat([gain, offset], 1).flatten(1).T)
    assert np.abs(both - np.eye(6)).max() < 5 / 500**0.5


def test_crops_are_parts_of_their_images_and_all_are_as_likely() -> None:
    size, n = (6, 7), 6000
    names = torch.arange(n * 2 * 42, dtype=torch.float64).reshape(
        n, 2, *size
    )  # each pixel has a number of its own
    crops = random_crop(names, seeded(), 5)
    first = (crops[:, 0, 0, 0] - names[:, 0, 0, 0]).long()
    top, left = first // 7, first % 7
    for i in range(0, n, 500):
        assert torch.equal(crops[i], names[i, :, top[i] : top[i] + 5, left[i] : left[i] + 5])
    counts = torch.bincount(3 * top + left, minlength=6)
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 5 * 1000**0.5
    whole = pictures(3, 1, 6, 6)
    assert torch.equal(random_crop(whole, seeded(), 6), whole)


def test_an_augmentation_is_its_parts_in_order() -> None:
    images = pictures()
    augmentation = ALL["together"]
    generator = seeded(5)
    expected = random_affine(images, generator, 15, 0.1, 0.1, "reflection")
    expected = random_crop(expected, generator, 8)
    expected = color_jitter(expected, generator, 0.4, 0.2)
    expected = add_noise(expected, generator, 0.1)
    assert torch.equal(augmentation(images, seeded(5)), expected)


def test_parts_that_are_off_do_nothing() -> None:
    images, generator = pictures(), seeded()
    state = generator.get_state()
    assert torch.equal(Augmentation()(images, generator), images)
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(Augmentation(noise=0.1)(images, seeded(2)), add_noise(images, seeded(2), 0.1))
    assert torch.equal(Augmentation(offset=0.1)(images, seeded(2)), color_jitter(images, seeded(2), 0, 0.1))
    assert torch.equal(Augmentation(crop=7)(images, seeded(2)), random_crop(images, seeded(2), 7))
    for name in ("degrees", "shift", "scale"):
        one = {"degrees": 0.0, "shift": 0.0, "scale": 0.0, name: 0.1}
        assert torch.equal(
            Augmentation(**{name: 0.1})(images, seeded(2)), random_affine(images, seeded(2), **one)
        )
    with pytest.raises(AttributeError):
        replace(augment.Augmentation(), noise=0.1).noise = 0.2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch(name) -> None:
    assert ALL[name](torch.zeros(0, 3, 12, 16), seeded()).shape[:2] == (0, 3)


@pytest.mark.parametrize(
    ("images", "generator", "words"),
    [
        (torch.ones(8, 784), seeded(), r"images has shape \(8, 784\); .* images.reshape\(-1, 1, 28, 28\)"),
        (torch.ones(8, 28, 28), seeded(), r"images has shape \(8, 28, 28\); expected \(batch, channels"),
        (torch.ones(8, 1, 0, 28), seeded(), r"images has shape \(8, 1, 0, 28\)"),
        (torch.ones(8, 1, 28, 28).byte(), seeded(), "images is torch.uint8; expected a floating tensor"),
        (np.ones((8, 1, 28, 28)), seeded(), "images is ndarray; expected a floating tensor"),
        (torch.ones(8, 1, 28, 28), 0, "generator is 0; expected a torch.Generator"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", ALL)
def test_bad_images_are_one_sentence(name, images, generator, words) -> None:
    with pytest.raises(InputError, match=words):
        ALL[name](images, generator)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"degrees": 181.0}, "degrees must be at least 0 and at most 180; got 181"),
        ({"degrees": math.nan}, "degrees must be at least 0 and at most 180; got nan"),
        ({"shift": -0.1}, "shift must be at least 0 and at most 1; got -0.1"),
        ({"scale": 1.0}, "scale is 1; expected at least 0 and below 1"),
        ({"padding": "mirror"}, "unknown padding 'mirror'; expected one of zeros, reflection"),
        ({"crop": 0}, "crop must be a whole number of at least 1; got 0"),
        ({"gain": 1.5}, "gain must be at least 0 and at most 1; got 1.5"),
        ({"offset": -0.5}, "offset must be at least 0; got -0.5"),
        ({"noise": -0.5}, "noise must be at least 0; got -0.5"),
    ],
)
def test_bad_numbers_are_one_sentence(options, words) -> None:
    """When the augmentation is made, and by the functions that it calls."""
    with pytest.raises(InputError, match=words):
        Augmentation(**options)
    (name,), images = options, pictures()
    functions = {
        "crop": lambda value: random_crop(images, seeded(), value),
        "gain": lambda value: color_jitter(images, seeded(), gain=value),
        "offset": lambda value: color_jitter(images, seeded(), offset=value),
        "noise": lambda value: add_noise(images, seeded(), value),
    }
    call = functions.get(name, lambda value: random_affine(images, seeded(), **{name: value}))
    with pytest.raises(InputError, match=words.replace("crop", "size").replace("noise", "std")):
        call(options[name])


def test_a_crop_larger_than_the_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"size is 13 and the images have \(12, 16\) pixels"):
        Augmentation(crop=13)(pictures(), seeded())
