"""The log: a JSON object a line on standard error, which never holds what was searched for."""

from __future__ import annotations

import json
import logging
import os
import select
import stat
import sys
import time
from contextlib import suppress
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


class Dropping(logging.Handler):
    """Writes a line a record, and waits for nobody: of a pipe that nobody reads lines are dropped once it is full. How
    many is said when there is room again.

    Args:
        to: the file descriptor that lines go to.
    """

    def __init__(self, to: int) -> None:
        super().__init__()
        self._to, self._rest, self._dropped = _never_waiting(to), b"", 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it."""
        if self._dropped and self._write(b""):
            said = f"{self._dropped:,} lines of the log were dropped, as nobody read them"
            about = logging.LogRecord(record.name, logging.WARNING, "", 0, said, None, None)
            self._dropped = 0 if self._write(f"{self.format(about)}\n".encode()) else self._dropped
        if self._dropped or not self._write(f"{self.format(record)}\n".encode()):
            self._dropped += 1

    def _write(self, line: bytes) -> bool:
        """Whether a line is written, or its beginning: the rest goes before the next one."""
        if self._rest and not self._push():
            return False
        self._rest = line
        if self._push() or len(self._rest) < len(line):
            return True
        self._rest = b""
        return False

    def _push(self) -> bool:
        """Write what is left of a line, as far as there is room; whether that is all."""
        with suppress(OSError, ValueError):  # such as nobody being there any more
            while self._rest and select.select([], [self._to], [], 0)[1]:
                self._rest = self._rest[os.write(self._to, self._rest[: select.PIPE_BUF]) :]  # so much never waits
        return not self._rest


def _never_waiting(to: int) -> int:
    """A pipe opened once more, so that whoever else has it waits as before; anything else as it is."""
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(to).st_mode):
            return os.open(f"/proc/self/fd/{to}", os.O_WRONLY | os.O_NONBLOCK)
    return to


def start_logging() -> None:
    """Send the logs of the service and of uvicorn to standard error."""
    handler: logging.Handler
    try:
        handler = Dropping(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # in a notebook
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
