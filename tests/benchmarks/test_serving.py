"""Who does not serve, or not what the network says, is not measured."""

import math
from dataclasses import replace

import pytest

from benchmarks import serving
from benchmarks.failures import NotServedError
from benchmarks.serving import check_answer
from benchmarks.serving import serving as serve
from tests.benchmarks.fake import SCORES
from tests.benchmarks.made_up import fake

IMAGE = b"image"


@pytest.mark.parametrize("manner", ["well", "form"])
def test_who_answers_as_the_network_does_is_right(manner: str) -> None:
    with serve(fake(manner), IMAGE) as server:
        check_answer(server, IMAGE, SCORES)
        check_answer(server, IMAGE, SCORES)
        with pytest.raises(NotServedError, match="not what the network does"):
            check_answer(server, IMAGE, {**SCORES, "smooth": 0.26})
        with pytest.raises(NotServedError, match="not what the network does"):
            check_answer(server, IMAGE, {**SCORES, "smooth": math.nan})


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("resets", "does not answer with scores: "),
        ("hangs", "does not answer with scores: TimeoutError"),
        ("text", "does not answer with scores: JSONDecodeError"),
        ("none", "not what the network does"),
        ("two", "not what the network does"),
        ("words", "not what the network does"),
        ("nothing", "not what the network does"),
        ("refuses", "answers 503"),
    ],
)
def test_who_answers_once_and_then_otherwise_is_told_of(
    manner: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a path that says when it is ready, an image does.
    with serve(fake(manner, ready=False), IMAGE) as server:
        monkeypatch.setattr(serving, "_ANSWER_SECONDS", 0.3)
        with pytest.raises(NotServedError, match=said):
            check_answer(server, IMAGE, SCORES)


def test_who_ends_at_its_start_or_never_comes_up_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(fake("well"), command=("sh", "-c", "echo no such module"))
    with pytest.raises(NotServedError, match="ended at its start: no such module"), serve(broken, IMAGE):
        pass
    monkeypatch.setattr(serving, "_PATIENCE_SECONDS", 0.3)
    silent = replace(fake("well"), command=("sleep", "60"))
    with pytest.raises(NotServedError, match="answered nothing for"), serve(silent, IMAGE):
        pass


def test_a_form_is_posted_to_who_takes_forms() -> None:
    form = replace(fake("well"), form=True)
    assert form.content_type.startswith("multipart/form-data")
    assert IMAGE in form.body(IMAGE) != IMAGE
    assert fake("well").body(IMAGE) == IMAGE
