"""The engine that asks services: what is answered is handed on, whatever becomes of the rest."""

import asyncio
from typing import Any

import pytest

from galaxytree.batch_calls import BatchAnswer, BatchCaller
from galaxytree.client import UnreachableError
from galaxytree.score_table import score_schema
from galaxytree.service_engine import ServiceEngine
from galaxytree.survey_engine import Asking, Chunk
from tests.galaxytree.survey.stand_in import COLUMNS, scores_of


class Together(BatchCaller):
    """Answers one chunk, and fails another, at the same moment."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.now = asyncio.Event()

    async def score(self, items: Any, **_: Any) -> BatchAnswer:  # noqa: ANN401
        if items[0].url == "fails":
            await self.now.wait()
            msg = "nobody is there any more"
            raise UnreachableError(msg)
        self.now.set()
        row = {"index": 0, "id": None, "status": "ok", "classification": scores_of(items[0].url)}
        return BatchAnswer([row], "a" * 64)


def test_what_is_answered_at_the_moment_at_which_another_chunk_fails_is_not_lost() -> None:
    schema = score_schema(COLUMNS, uncertainty=True, uncertainty_95=True, out_of_domain=True, full=False)

    async def first_two() -> None:
        engine = ServiceEngine(Together(), 2)
        # The third is not begun: something has failed already.
        chunks = iter([Chunk(0, ["fails"]), Chunk(1, ["is well"]), Chunk(2, ["is well"])])
        answers = engine.score(chunks, Asking(schema, files=False, detail="scores", views=1))
        try:
            assert (await anext(answers)).first == 1
            with pytest.raises(UnreachableError):
                await anext(answers)
        finally:
            await engine.aclose()

    asyncio.run(first_two())
