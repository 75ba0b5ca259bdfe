"""How the service logs: one line an event on standard error, with the id of the request."""

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
            "no_secrets": {"()": "app.redacting.RedactingFilter"},
        },
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
                "filters": ["request_id", "no_secrets"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }
