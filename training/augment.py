"""Random views of galaxies: the sky has no up, and a survey no fixed exposure."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may differ from the plain one.

    Attributes
    ----------
    rotation
        Largest angle in degrees to either side; 180 turns by any angle.
    mirror
        Probability of a mirror image.
    zoom
        Largest factor by which a galaxy is magnified or shrunk; 1 leaves it alone.
    shift
        Largest shift along each axis in pixels of the input.
    brightness
        Largest factor by which pixel values are multiplied or divided; 1 leaves them alone.
    """

    rotation: float = 180.0
    mirror: float = 0.5
    zoom: float = 1.1
    shift: float = 4.0
    brightness: float = 1.15

    def views(self, images: Tensor, crop: int, resolution: int, generator: torch.Generator) -> Tensor:
        """Look at each image in a random way of its own.

        Parameters
        ----------
        images : uint8, shape [N, S, S, 3]
        crop, resolution : int
            As in `training.networks.classifier.View`.
        generator : torch.Generator
            On the CPU, so that views are the same on every device.

        Returns
        -------
        float32, shape [N, 3, resolution, resolution], 0 to 255
        """
        count, side = images.shape[0], images.shape[1]

        def uniform(largest: float) -> Tensor:
            return (2 * torch.rand(count, generator=generator) - 1) * largest

        angle = uniform(math.radians(self.rotation))
        zoom = torch.exp(uniform(math.log(self.zoom)))
        gain = torch.exp(uniform(math.log(self.brightness)))
        shift = torch.stack([uniform(self.shift), uniform(self.shift)], dim=1) * 2 / side
        mirrored = 1 - 2 * (torch.rand(count, generator=generator) < self.mirror).float()

        # From a pixel of the view to the place in the image that it shows, both from -1 to 1.
        reach = crop / side / zoom
        cosine, sine = reach * torch.cos(angle), reach * torch.sin(angle)
        rows = [
            torch.stack([cosine * mirrored, -sine, shift[:, 0]], 1),
            torch.stack([sine * mirrored, cosine, shift[:, 1]], 1),
        ]
        affine = torch.stack(rows, dim=1).to(images.device)
        grid = functional.affine_grid(affine, [count, 3, resolution, resolution], align_corners=False)
        pixels = images.permute(0, 3, 1, 2).float()
        views = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return (views * gain.to(images.device)[:, None, None, None]).clamp_(0, 255)
