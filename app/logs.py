"""How the service logs: one line an event on standard error, with the id of the request."""

import logging
from typing import Any


def logging_config(level: str) -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``.

    Parameters
    ----------
    level
        What is logged, at least: ``debug``, ``info``, ``warning`` or ``error``.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "app.request_id.RequestIdFilter"},
            "no_advice": {"()": "app.logs.NoAdviceOnUpgrades"},
        },
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
                "filters": ["request_id"],
            }
        },
        "loggers": {"uvicorn.error": {"filters": ["no_advice"]}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


class NoAdviceOnUpgrades(logging.Filter):
    """Drops uvicorn's advice to install a WebSocket library, which it gives for any request that offers an upgrade."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through everything else."""
        return not str(record.msg).startswith(("Unsupported upgrade request", "No supported WebSocket library"))
