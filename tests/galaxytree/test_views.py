"""How many views of an image there can be, and which."""

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from galaxytree.views import MOST_VIEWS, VIEWS, Views, orientations


@pytest.mark.parametrize("given", [1, 8, "1", "8"])
def test_how_many_views_there_can_be(given: object) -> None:
    assert TypeAdapter(Views).validate_python(given) == int(str(given))


@pytest.mark.parametrize("given", [0, 2, 4, "16", "8.0", " 8", "", "all", None, 1.5])
def test_how_many_there_cannot_be(given: object) -> None:
    with pytest.raises(ValidationError, match="1 or 8"):
        TypeAdapter(Views).validate_python(given)


@pytest.mark.parametrize("views", VIEWS)
def test_each_view_is_another_and_the_first_is_the_picture_as_it_is(views: Views) -> None:
    picture = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    seen = [np.asarray(picture if turn is None else picture.transpose(turn)) for turn in orientations(views)]
    assert (seen[0] == np.asarray(picture)).all()
    assert len({(each.shape, each.tobytes()) for each in seen}) == views <= MOST_VIEWS


@pytest.mark.parametrize("views", [0, 2, 7, 9, -1])
def test_a_part_of_the_orientations_is_no_choice(views: int) -> None:
    with pytest.raises(ValueError, match=f"views={views}: an image has 1 or 8 views"):
        orientations(views)  # type: ignore[arg-type]
