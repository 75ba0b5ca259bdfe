"""What one writes first: an ``async def`` that decodes and scores inline. uvicorn runs it, with one worker or more."""

from fastapi import FastAPI, Request, Response

from benchmarks.scoring import Scorer

app = FastAPI()
_scorer = Scorer.of_environment()


@app.post("/classify")
async def classify(request: Request) -> Response:
    """Answer the scores of the image that is the body."""
    return Response(_scorer.classify([await request.body()])[0], media_type="application/json")
