"""``GET /decision-tree``: the questions that the model's scores answer."""

from fastapi import APIRouter

from app.routes.dependencies import TheService
from galaxytree.decision_tree import DecisionTree

router = APIRouter(tags=["model"])


@router.get("/decision-tree")
async def decision_tree(service: TheService) -> DecisionTree:
    """Return the questions, their wording, answers and labels, and what each question's scores add up to."""
    return service.folder.tree
