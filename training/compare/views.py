"""How a system looks at an image: which part of it, at how many pixels, in colour or grey, and how training varies it.

Sides and shifts are in pixels of Galaxy Zoo's pictures, which have 424 a side. The array file holds their central 288
at half scale, so a crop of 169 of these pixels is one of 84.5 pixels there. Every view is sampled from the array's
pixels in one bilinear step: what has more pixels than the array is magnified, and holds no more detail for it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from galaxytree.imaging import Framing
from training.augment import Augmentation
from training.compare.region import region_of_interest
from training.networks import classifier
from training.networks.classic.maxout import PARTS, SIDE

PICTURE = 424
"""Side of Galaxy Zoo's pictures in pixels."""

Look = Callable[[Tensor, Framing, torch.Generator | None], Tensor]
"""Images uint8 [N, S, S, 3] to what a network sees, in a random way if there is a generator, else in the plain one."""

# Dieleman et al. cut 69 px from each galaxy and took four overlapping patches of 45 px, one at each corner, each turned
# so that the galaxy's centre lies at the same place in it.
_PARTS_FIELD = 69

# With its defaults, which are those of our training.
_OURS = Augmentation()


@dataclass(frozen=True)
class View:
    """A square of the image, sampled at some number of pixels.

    Attributes
    ----------
    crop
        Side of the square in pixels of Galaxy Zoo's pictures.
    size
        Side of what the network sees in pixels.
    grey
        Whether the colours are averaged.
    region
        Whether the square is the image's region of interest, wherever and however large it is, in place of `crop`.
    parts
        Whether 16 parts are seen in place of the whole: the patch at one corner, of the galaxy turned by every multiple
        of 45 degrees, as it is and mirrored (Dieleman, Willett & Dambre 2015, section 6.2).
    turns
        Whether training turns the view by random quarters.
    rotation
        Largest random angle in degrees to either side, beside the quarters.
    mirror
        Probability of a mirror image.
    zoom
        Largest random magnification, and its inverse.
    shift
        Largest random shift along each axis in pixels of Galaxy Zoo's pictures.
    """

    crop: float
    size: int
    grey: bool = False
    region: bool = False
    parts: bool = False
    turns: bool = True
    rotation: float = 0.0
    mirror: float = 0.5
    zoom: float = 1.0
    shift: float = 0.0

    def __call__(self, images: Tensor, framing: Framing, generator: torch.Generator | None) -> Tensor:
        """Look at each image in a random way of its own, or in the plain one.

        Returns
        -------
        float32, shape [N, 1 or 3, size, size], or [N, 16, 1 or 3, size, size] with `parts`
            From 0 to 1.
        """
        count, field = len(images), PICTURE * framing.field
        if self.region:
            square = region_of_interest(images)
        else:
            square = torch.tensor([0, 0, self.crop / field], device=images.device).expand(count, 3)
        turned, shift = self._varied(count, field, generator)
        linear = square[:, 2, None, None] * turned.to(images.device)
        offset = square[:, :2] + shift.to(images.device)
        inner, corner = _parts() if self.parts else (torch.eye(2)[None], torch.zeros(1, 2, 1))
        affine = torch.cat(
            [
                linear[:, None] @ inner.to(images.device),
                linear[:, None] @ corner.to(images.device) + offset[:, None, :, None],
            ],
            dim=3,
        )
        seen = affine.shape[1]
        pixels = images.permute(0, 3, 1, 2).float() / 255
        if self.grey:
            pixels = pixels.mean(dim=1, keepdim=True)
        grid = functional.affine_grid(
            affine.flatten(0, 1), [count * seen, pixels.shape[1], self.size, self.size], align_corners=False
        )
        sampled = functional.grid_sample(
            pixels, grid.view(count, seen * self.size, self.size, 2), padding_mode="reflection", align_corners=False
        )
        if not self.parts:
            return sampled
        return sampled.reshape(count, -1, seen, self.size, self.size).transpose(1, 2)

    def _varied(self, count: int, field: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Return a random turn, mirror and zoom [N, 2, 2], and shift [N, 2] in units of half the image."""
        if generator is None:
            return torch.eye(2).expand(count, 2, 2), torch.zeros(count, 2)

        def uniform(largest: float) -> Tensor:
            return (2 * torch.rand(count, generator=generator) - 1) * largest

        angle = uniform(math.radians(self.rotation))
        if self.turns:
            angle = angle + torch.randint(4, (count,), generator=generator) * (math.pi / 2)
        zoom = torch.exp(uniform(math.log(self.zoom)))
        mirrored = 1 - 2 * (torch.rand(count, generator=generator) < self.mirror).float()
        shift = torch.stack([uniform(self.shift), uniform(self.shift)], dim=1) * 2 / field
        return _rotation(angle, mirrored) / zoom[:, None, None], shift


def _rotation(angle: Tensor, mirrored: Tensor) -> Tensor:
    """Return the matrices [N, 2, 2] that turn by an angle what has been mirrored where `mirrored` is -1."""
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return torch.stack(
        [torch.stack([cosine * mirrored, -sine], dim=1), torch.stack([sine * mirrored, cosine], dim=1)], dim=1
    )


def _parts() -> tuple[Tensor, Tensor]:
    """Return the 16 parts as maps from a patch into the square: matrices [16, 2, 2] and offsets [16, 2, 1]."""
    angle = torch.arange(PARTS) % (PARTS // 2) * (math.pi / 4)
    turned = _rotation(angle, 1 - 2 * (torch.arange(PARTS) >= PARTS // 2).float())
    scale = SIDE / _PARTS_FIELD
    return turned * scale, turned @ torch.full((2, 1), scale - 1)


@dataclass(frozen=True)
class AsOurs:
    """Look as our own training does: the inner 7 / 9 of the array at its own scale, varied in the same ways.

    Attributes
    ----------
    brightest
        What the brightest pixel value becomes: ours takes pixels from 0 to 255.
    augmentation
        How training varies the view.
    """

    brightest: float = 255.0
    augmentation: Augmentation = _OURS

    def __call__(self, images: Tensor, framing: Framing, generator: torch.Generator | None) -> Tensor:
        """Return float32 [N, 3, R, R], 0 to `brightest`."""
        crop = round(framing.size * 7 / 9)
        views: Tensor = (
            classifier.View(crop, crop)(images)
            if generator is None
            else self.augmentation.views(images, crop, crop, generator)
        )
        return views * (self.brightest / 255)


def nothing(images: Tensor, framing: Framing, generator: torch.Generator | None) -> Tensor:
    """Do not look at all: float32 [N, 0]."""
    del framing, generator
    return torch.empty(len(images), 0, device=images.device)


def central_pixel(images: Tensor, framing: Framing, generator: torch.Generator | None) -> Tensor:
    """Return the colour at the centre, the mean of the four pixels that meet there: float32 [N, 3], 0 to 1."""
    del generator
    return View(1, 1)(images, framing, None).flatten(1)


def average_colour(images: Tensor, framing: Framing, generator: torch.Generator | None) -> Tensor:
    """Return the mean colour of the whole image: float32 [N, 3], 0 to 1."""
    del framing, generator
    return images.float().mean(dim=(1, 2)) / 255
