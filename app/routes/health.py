"""``GET /health/live`` and ``GET /health/ready``: for load balancers and container hosts."""

from fastapi import APIRouter

from app.errors import NotReadyError
from app.problems import documented
from app.routes.dependencies import TheService
from galaxytree.schemas import Health

router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> Health:
    """Whether the process answers at all."""
    return Health(status="live")


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses=documented(NotReadyError))
async def ready(service: TheService) -> Health:
    """Whether images are welcome: the model is loaded and warmed up, nothing is draining, there is room for more."""
    service.check_ready()
    return Health(status="ready")
