r"""Augmentations of batches of images, in plain torch and seeded by a generator.

Each takes images (B, C, H, W) and a `torch.Generator`, draws numbers of its own for each image and returns new images.
The global random state is never touched. The generator may be on another device than the images: one on the CPU draws
the same numbers for images on any device.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError

_PADDINGS = ("zeros", "reflection")


def random_affine(
    images: Tensor,
    generator: Generator,
    degrees: float = 15.0,
    shift: float = 0.12,
    scale: float = 0.15,
    padding: str = "zeros",
) -> Tensor:
    r"""Return images that are rotated, magnified and shifted, by bilinear interpolation.

    The angle is of $U(-a, a)$, the magnification of $1 + U(-s, s)$, and the shifts of $U(-t, t)$ times the width and
    the height.

    Args:
        images: (B, C, H, W), floating.
        generator: gives the random numbers.
        degrees: a, in degrees, between 0 and 180.
        shift: t, between 0 and 1.
        scale: s, at least 0 and below 1.
        padding: what is outside an image: `zeros`, or its `reflection`.

    Raises:
        InputError: if the images are no floating tensor (B, C, H, W), and for numbers out of range.

    >>> images = torch.eye(5)[None, None]
    >>> moved = random_affine(images, torch.Generator().manual_seed(0))
    >>> tuple(moved.shape), bool((moved <= 1).all())
    ((1, 1, 5, 5), True)
    """
    _check(images, generator)
    degrees = one_number("degrees", degrees, at_least=0, at_most=180)
    shift = one_number("shift", shift, at_least=0, at_most=1)
    scale = _share("scale", scale)
    choice("padding", padding, _PADDINGS)
    work = _wide(images)
    angle, growth, right, down = _uniform(work, generator, 4).T
    angle, magnification = angle * (degrees * torch.pi / 180), 1 + scale * growth
    height, width = images.shape[-2:]
    cosine, sine = angle.cos() / magnification, angle.sin() / magnification
    # The inverse map: from where each pixel of the result is taken, in coordinates from -1 to 1. A column of the grid
    # depends on x and a row on y alone, so sums of both take a tenth of the time of F.affine_grid.
    x = _positions(width, work) - 2 * shift * right[:, None]
    y = _positions(height, work) - 2 * shift * down[:, None]
    grid = work.new_empty(len(images), height, width, 2)
    from_x, from_y = cosine[:, None] * x, (sine * (height / width))[:, None] * y
    torch.add(from_x[:, None, :], from_y[:, :, None], out=grid[..., 0])
    from_x, from_y = (-sine * (width / height))[:, None] * x, cosine[:, None] * y
    torch.add(from_x[:, None, :], from_y[:, :, None], out=grid[..., 1])
    moved = grid_sample(work, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return moved.to(images.dtype)


def add_noise(images: Tensor, generator: Generator, std: float) -> Tensor:
    """Return images plus independent N(0, std²) noise in every pixel.

    Args:
        images: (B, C, H, W), floating.
        generator: gives the random numbers.
        std: standard deviation, at least 0, in the unit of the images.

    Raises:
        InputError: if the images are no floating tensor (B, C, H, W), and for a negative `std`.

    >>> images = torch.zeros(100, 1, 10, 10)
    >>> round(add_noise(images, torch.Generator().manual_seed(0), 0.5).std().item(), 2)
    0.5
    """
    _check(images, generator)
    std = one_number("std", std, at_least=0)
    noise = torch.randn(images.shape, generator=generator, device=generator.device, dtype=_dtype(images))
    return images.add(noise.to(images), alpha=std)


def color_jitter(images: Tensor, generator: Generator, gain: float = 0.4, offset: float = 0.2) -> Tensor:
    r"""Return images with each channel multiplied by $1 + U(-g, g)$ and moved by $U(-o, o)$.

    Args:
        images: (B, C, H, W), floating, best standardised.
        generator: gives the random numbers.
        gain: g, between 0 and 1.
        offset: o, at least 0, in the unit of the images.

    Raises:
        InputError: if the images are no floating tensor (B, C, H, W), and for numbers out of range.

    >>> images = torch.ones(2, 3, 4, 4)
    >>> jittered = color_jitter(images, torch.Generator().manual_seed(0))
    >>> bool((jittered - 1).abs().max() <= 0.6), jittered.unique().numel()
    (True, 6)
    """
    _check(images, generator)
    gain = one_number("gain", gain, at_least=0, at_most=1)
    offset = one_number("offset", offset, at_least=0)
    channels = images.shape[1]
    drawn = _uniform(_wide(images), generator, 2 * channels).to(images.dtype)[:, :, None, None]
    return images * (1 + gain * drawn[:, :channels]) + offset * drawn[:, channels:]


def random_crop(images: Tensor, generator: Generator, size: int) -> Tensor:
    """Return a square of each image, at a place of its own; all places within the image are as likely.

    Args:
        images: (B, C, H, W), floating.
        generator: gives the random numbers.
        size: side of the square in pixels, at least 1 and at most H and W.

    Raises:
        InputError: if the images are no floating tensor (B, C, H, W), or smaller than the square.

    >>> tuple(random_crop(torch.zeros(2, 3, 32, 32), torch.Generator(), 20).shape)
    (2, 3, 20, 20)
    """
    _check(images, generator)
    size = whole("size", size, at_least=1)
    n_rows, n_columns = (side - size + 1 for side in images.shape[-2:])
    if min(n_rows, n_columns) < 1:
        raise InputError(
            f"size is {size} and the images have {tuple(images.shape[-2:])} pixels; expected size within"
        )
    count, where = (len(images),), generator.device
    top = torch.randint(n_rows, count, generator=generator, device=where).to(images.device)
    left = torch.randint(n_columns, count, generator=generator, device=where).to(images.device)
    squares = images.unfold(2, size, 1).unfold(3, size, 1)
    return squares[torch.arange(len(images), device=images.device), :, top, left]


@dataclass(frozen=True)
class Augmentation:
    """A random view of images: affine map, crop, colours and noise, in this order.

    Each part is off by default, and what is off draws no random numbers. Call it as `augmentation(images, generator)`,
    with images (B, C, H, W), as often as views are needed.

    Attributes:
        degrees: largest rotation, as in `random_affine`.
        shift: largest shift, as a share of the width and of the height.
        scale: largest change of scale.
        padding: of the affine map, `zeros` or `reflection`.
        crop: side of the square that is cut out, in pixels; None for the whole image.
        gain: largest change of a channel's gain, as in `color_jitter`.
        offset: largest offset of a channel.
        noise: standard deviation of the noise in each pixel.

    Raises:
        InputError: for numbers out of range.

    >>> augmentation = Augmentation(degrees=15, shift=0.12, scale=0.15, noise=0.1)
    >>> images, generator = torch.rand(8, 1, 28, 28), torch.Generator().manual_seed(0)
    >>> views = augmentation(images, generator), augmentation(images, generator)
    >>> [tuple(view.shape) for view in views]
    [(8, 1, 28, 28), (8, 1, 28, 28)]
    """

    degrees: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    padding: str = "zeros"
    crop: int | None = None
    gain: float = 0.0
    offset: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        one_number("degrees", self.degrees, at_least=0, at_most=180)
        one_number("shift", self.shift, at_least=0, at_most=1)
        _share("scale", self.scale)
        choice("padding", self.padding, _PADDINGS)
        if self.crop is not None:
            whole("crop", self.crop, at_least=1)
        one_number("gain", self.gain, at_least=0, at_most=1)
        one_number("offset", self.offset, at_least=0)
        one_number("noise", self.noise, at_least=0)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return one random view of each image; the images themselves if all is off."""
        _check(images, generator)
        if self.degrees or self.shift or self.scale:
            images = random_affine(images, generator, self.degrees, self.shift, self.scale, self.padding)
        if self.crop is not None:
            images = random_crop(images, generator, self.crop)
        if self.gain or self.offset:
            images = color_jitter(images, generator, self.gain, self.offset)
        if self.noise:
            images = add_noise(images, generator, self.noise)
        return images


def _check(images: Tensor, generator: Generator) -> None:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images is {kind}; expected a floating tensor (batch, channels, height, width)")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise InputError(
            f"images has shape {tuple(images.shape)}; expected (batch, channels, height, width); for rows of 784 "
            "pixels, images.reshape(-1, 1, 28, 28)"
        )
    if not isinstance(generator, Generator):
        raise InputError(f"generator is {generator!r}; expected a torch.Generator")


def _share(name: str, value: float) -> float:
    if (number := one_number(name, value, at_least=0)) >= 1:
        raise InputError(f"{name} is {number:g}; expected at least 0 and below 1")
    return number


def _dtype(images: Tensor) -> torch.dtype:
    return images.dtype if images.dtype in (torch.float32, torch.float64) else torch.float32


def _wide(images: Tensor) -> Tensor:
    """Return images in at least single precision: half precision is too coarse for positions."""
    return images.to(_dtype(images))


def _uniform(images: Tensor, generator: Generator, count: int) -> Tensor:
    """Return `count` numbers of U(-1, 1) for each image, equal for all dtypes of the images."""
    drawn = torch.rand(len(images), count, generator=generator, device=generator.device, dtype=torch.float64)
    return (2 * drawn - 1).to(images)


def _positions(n_pixels: int, images: Tensor) -> Tensor:
    """Return the centres of pixels in coordinates in which the image reaches from -1 to 1."""
    return (2 * torch.arange(n_pixels, device=images.device, dtype=images.dtype) + 1) / n_pixels - 1
