"""``GET /decision-tree``: the questions that the model's scores answer."""

from fastapi import APIRouter

from app.errors import UnknownModelError
from app.problems import documented
from app.routes.dependencies import NamedModel, TheService
from galaxytree.decision_tree import DecisionTree

router = APIRouter(tags=["model"])


@router.get("/decision-tree", responses=documented(UnknownModelError))
async def decision_tree(service: TheService, model: NamedModel = None) -> DecisionTree:  # type: ignore[assignment]
    """Return the questions, their wording, answers and labels, and what each question's scores add up to."""
    return service.roster.folder(model).tree
