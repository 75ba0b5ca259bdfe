"""What is sent is what it is said to be."""

from pathlib import Path

import pytest

from benchmarks.images import as_form, corrupt, galaxies, huge_png, made
from benchmarks.wrk import write_bodies
from galaxytree.imaging import EncodedImage, UndecodableImageError, decode


def test_the_script_for_wrk_finds_every_body(tmp_path: Path) -> None:
    folder = write_bodies([b"one", b"two"], tmp_path / "bodies")
    listed = (folder / "list").read_text("utf-8").split()
    assert [(folder / name).read_bytes() for name in listed] == [b"one", b"two"]


def test_made_up_galaxies_look_like_real_ones_in_bytes_and_size() -> None:
    image = made(seed=3)
    assert 9_000 < len(image) < 20_000
    assert decode(image).shape == (424, 424, 3)


def test_galaxies_are_made_up_where_there_are_none(tmp_path: Path) -> None:
    found = galaxies(tmp_path, number=2)
    assert len(set(found.encoded)) == 2
    assert "made-up" in found.origin


def test_what_is_called_corrupt_cannot_be_decoded() -> None:
    bodies = corrupt([made(0)], number=9)
    assert b"" in bodies
    for body in bodies:
        with pytest.raises(UndecodableImageError):
            decode(body)


def test_the_huge_png_is_whole_and_small() -> None:
    assert not decode(huge_png(side=50)).any()
    png = huge_png(side=3000)
    assert len(png) < 30_000
    assert (EncodedImage(png).header.width, EncodedImage(png).header.height) == (3000, 3000)


def test_a_form_holds_the_image_once() -> None:
    assert as_form(b"\xff\xd8image").count(b"\xff\xd8image") == 1
