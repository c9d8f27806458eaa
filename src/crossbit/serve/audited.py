"""The audit's queue of the run that is served: opened when it is first asked for, used by one request at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from crossbit.audit.queue import AuditQueue
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.serve.replies import Refused

T = TypeVar("T")
SOON = {"Retry-After": "1"}

log = logging.getLogger("crossbit.serve")


class Audited:
    """A queue that is opened in a thread of its own, which takes seconds; whoever asks meanwhile is told how far it is.

    Args:
        run: the run's folder.

    Attributes:
        stamp: of the run that the queue is about.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._turn, self._beginning = threading.Lock(), threading.Lock()
        self._queue: AuditQueue | None = None
        self._failed: UserError | None = None
        self._opening: threading.Thread | None = None
        self.stamp: object = None
        self._said, self._begun = "beginning", 0.0

    def use(self, function: Callable[[AuditQueue], T]) -> T:
        """What a function makes of the queue, while nobody else uses it.

        Raises:
            Refused: 503 while it is opened.
            UserError: it cannot be opened; what the function raises. No path of this machine is in it.
        """
        try:
            queue = self._opened()
            with self._turn:
                return function(queue)
        except UserError as error:
            raise UserError(str(error).replace(str(self.run.path), "the run")) from error

    def _opened(self) -> AuditQueue:
        with self._beginning:
            stamp = _stamp(self.run)
            if self._queue is not None and stamp == self.stamp:
                return self._queue
            if self._failed is not None:
                failed, self._failed = self._failed, None  # the next one who asks tries again
                raise failed
            if self._opening is None:
                self._queue, self.stamp, self._begun = None, stamp, time.monotonic()
                self._opening = threading.Thread(target=self._open, daemon=True, name="crossbit-audit")
                self._opening.start()
            so_far = f"{time.monotonic() - self._begun:.0f} s so far"
            raise Refused(503, f"the audit is being opened: {self._said} ({so_far})", SOON)

    def _open(self) -> None:
        queue = None
        try:
            self._queue = queue = AuditQueue.open(self.run.path, progress=self._say)
        except UserError as error:
            self._failed = error
        except Exception:
            log.exception("the audit could not be opened")
            self._failed = UserError("the audit could not be opened; the service's log says why")
        finally:
            self._opening = None
        if queue is not None:
            queue.keep()  # while it is used

    def _say(self, line: str) -> None:
        self._said = line.replace(str(self.run.path), "the run")


def _stamp(run: RunFolder) -> object:
    """Changes when another run takes the place of this one."""
    try:
        found = run.arrays_file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
