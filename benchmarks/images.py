"""What is sent: galaxies, real ones where they are at hand; files that are cut off or no images; traps."""

import struct
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg

ORIGINALS = "images-424-originals.tar"
NUMBER = 300
SIDE = 424
BOUNDARY = "galaxytree-benchmark"


@dataclass(frozen=True)
class Images:
    """Encoded galaxies.

    Attributes
    ----------
    encoded
        The bytes of each JPEG.
    origin
        What they are, in words, with their mean size.
    """

    encoded: tuple[bytes, ...]
    origin: str


def galaxies(folder: Path, number: int = NUMBER) -> Images:
    """Return real galaxies of Galaxy Zoo 2 where the folder has them, else made-up ones of like size in bytes."""
    archive = folder / ORIGINALS
    if archive.is_file():
        encoded, origin = _read(archive, number), "Galaxy Zoo 2's own pictures"
    else:
        encoded, origin = [made(seed) for seed in range(number)], f"made-up galaxies, since {ORIGINALS} is not at hand"
    mean = sum(map(len, encoded)) / len(encoded)
    return Images(
        tuple(encoded), f"{len(encoded)} JPEGs of {SIDE} x {SIDE} px, {mean / 1000:.1f} kB on average: {origin}"
    )


def _read(archive: Path, number: int) -> list[bytes]:
    found: list[bytes] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".jpg") else None
            if file is not None:
                found.append(file.read())
            if len(found) == number:
                break
    return found


def made(seed: int) -> bytes:
    """Draw a galaxy on a noisy sky, and encode it so that it comes to 11 to 17 kB, as the real ones do."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle, flat = random.uniform(0, np.pi), random.uniform(0.3, 1)
    radius = np.hypot(x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat)
    light = 0.8 * np.exp(-radius / random.uniform(0.08, 0.2))[..., None] * random.uniform(0.6, 1, 3)
    light = light + random.normal(0.05, 0.008, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)
    pixels = (255 * light.clip(0, 1)).astype(np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=75)
    return encoded


def as_form(image: bytes) -> bytes:
    """Wrap an image up as the one file of a form, whose boundary is `BOUNDARY`."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="galaxy.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def corrupt(images: Sequence[bytes], number: int = 30) -> list[bytes]:
    """Return bodies that are no whole images: JPEGs that are cut off at some place, text, nothing at all."""
    random = np.random.default_rng(0)
    bad: list[bytes] = []
    for index in range(number):
        image = images[index % len(images)]
        cut = image[: int(len(image) * random.uniform(0.05, 0.98))]
        bad.append((cut, b"not an image\n" * 100, b"")[index % 3])
    return bad


def huge_png(side: int = 10_000) -> bytes:
    """Return a whole, flat, grey PNG: few bytes, and side x side pixels once it is decoded."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(*each) for each in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
