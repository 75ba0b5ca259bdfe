"""``POST /admin/reload``: what only an administrator may have the service do."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.errors import InternalError, NotReadyError, ReloadRefusedError
from app.problems import GUARDED, documented
from app.routes.dependencies import TheService
from app.routes.model import ServedModel, ServedModels

router = APIRouter(prefix="/admin", tags=["admin"])


class Reloaded(ServedModels):
    """The models that are asked here now."""

    reloaded: Annotated[
        tuple[str, ...],
        Field(description="Names of those that are others than before; of the rest the files had not changed"),
    ]


@router.post(
    "/reload",
    responses=documented(*GUARDED, ReloadRefusedError, InternalError, NotReadyError),
)
async def reload(service: TheService) -> Reloaded:
    """Have what lies in the models' folders now take the place of what runs, once it is loaded, verified and warm.

    Nobody waits for it meanwhile. If one of them is no good nothing changes, and the answer says why.
    """
    changed = await service.reloader.reload()
    return Reloaded(models=ServedModel.all_of(service), reloaded=tuple(sorted(changed)))
