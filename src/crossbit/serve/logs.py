"""The log: a JSON object a line on standard error, which never holds what was searched for."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from starlette.types import Scope

log = logging.getLogger("crossbit.serve.requests")


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, what is said, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        told: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "said": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told)


def start_logging() -> None:
    """Send the logs of the service and of uvicorn to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("crossbit.serve", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)


def say_request(scope: Scope, route: str, status: int, seconds: float) -> None:
    """A line for a request: its method, the pattern of its address, status and time; no query, no header, no body."""
    fields = {"method": scope["method"][:10], "route": route, "status": status, "ms": round(1000 * seconds, 2)}
    log.info("request", extra={"fields": fields})
