"""How the service logs: one line an event on standard error, with the id of the request; as text, or as JSON."""

import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

LINE = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def logging_config(level: str, log_format: Literal["text", "json"] = "text") -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``.

    Parameters
    ----------
    level
        What is logged, at least: ``debug``, ``info``, ``warning`` or ``error``.
    log_format
        ``text``, or ``json`` for one object a line.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "app.request_id.RequestIdFilter"},
            "no_secrets": {"()": "app.redacting.RedactingFilter"},
        },
        "formatters": {"text": {"format": LINE}, "json": {"()": "app.logs.JsonFormatter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": log_format,
                "filters": ["request_id", "no_secrets"],
            }
        },
        # It warns of each malformed form, which its sender is told of: strangers could fill the log.
        "loggers": {"python_multipart": {"level": "ERROR"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


class JsonFormatter(logging.Formatter):
    """Writes a record as an object of JSON in one line: time, level, logger, id, message, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "id": getattr(record, "request_id", "worker"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        # A message may hold what was no text, such as a name of a file.
        said = {name: _text(value) if isinstance(value, str) else value for name, value in said.items()}
        return orjson.dumps(said, option=orjson.OPT_UTC_Z).decode()


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
