"""Items that are added and removed: those that wait together change the index together, one writer at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crossbit.errors import UserError
from crossbit.index.milvus.calls import until
from crossbit.search.changing import fold
from crossbit.search.journal import Busy, Encoded
from crossbit.serve.replies import Refused
from crossbit.serve.work import AGAIN, BUSY
from crossbit.storage.files import writing

if TYPE_CHECKING:
    from crossbit.serve.state import State

MANY = 1000  # changes, or a hundredth of the items where that is more, from which they are written into the index
PAUSE = 60.0  # seconds to the next try, where that failed

log = logging.getLogger("crossbit.serve")


@dataclass(frozen=True)
class Change:
    """A change of one item.

    Attributes:
        new: what is added; None removes what is there.
        path: where, within the run, the picture is that is added or removed; empty for none.
        picture: the bytes of the one that is added.
        done: ends when the change is on the disk and is found by the next search.
    """

    id: int
    new: Encoded | None
    path: str = ""
    picture: bytes | None = None
    done: Future[None] = field(default_factory=Future)


class Changes:
    """The changes of one service.

    A change is a line of the run's journal, and is made in memory (see `crossbit.search.journal`). Changes that come
    while one is written wait, and are then written together.
    """

    def __init__(self, state: State, queued: int) -> None:
        self._state, self._queued = state, queued
        self._waiting: list[Change] = []
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="crossbit-writer")
        self._folding, self._not_before = threading.Lock(), 0.0

    async def do(self, wanted: Change) -> None:
        """Make a change; returns when it is there for good.

        Raises:
            Refused: 429 where too many wait; 503 where the run was trained anew meanwhile, another worker writes for
                too long, or the disk is full.
            UserError: it cannot be written.
        """
        with self._lock:
            if len(self._waiting) >= self._queued:
                raise Refused(429, BUSY, AGAIN)
            self._waiting.append(wanted)
        self._writer.submit(self._write)
        await asyncio.shield(asyncio.wrap_future(wanted.done))

    def close(self) -> None:
        """Write what waits."""
        self._writer.shutdown()

    def _write(self) -> None:
        with self._lock:
            mine, self._waiting = self._waiting, []
        try:
            if mine:  # else it was written with those before
                with self._alone():
                    self._write_all(mine)
        except OSError as error:  # such as a full disk
            log.warning("what was sent cannot be written: %s", error)
            refused = Refused(503, f"it cannot be written: {error.strerror or 'the disk refuses it'}", AGAIN)
            for each in mine:
                each.done.set_exception(refused)
        except Exception as error:
            for each in mine:
                each.done.set_exception(error)
        else:
            for each in mine:
                each.done.set_result(None)

    def _write_all(self, mine: Sequence[Change]) -> None:
        for each in mine:
            if each.picture is not None and not (target := self._state.run.path / each.path).exists():
                with writing(target) as temporary:
                    temporary.write_bytes(each.picture)
        generations = self._state.generations
        self._state.refresh()  # what others have changed, and another run that may have taken the place of this one
        digest = generations.now.search.model.digest
        if any(each.new is not None and each.new.digest != digest for each in mine):
            raise Refused(503, "the run was trained anew meanwhile; send it again", AGAIN)
        generations.change({each.id: each.new for each in mine})  # of several for one id the last
        if generations.journal is None:  # there will be no new generation, which would look for pictures anew
            self._state.pictures.has_grown()
        for each in mine:
            if each.new is None and each.path:
                try:
                    self._drop(each.path)
                except (OSError, UserError) as error:  # the item is gone, and that is what is answered
                    log.warning("the picture %s of an item that was removed stays: %s", each.path, error)

    def _drop(self, path: str) -> None:
        """Remove the file of a picture that was added, where no item shows it any more."""
        with self._state.generations.use() as generation:
            index = generation.search.opened(generation.search.model.modalities[0]).index
            if not len(index.matching(f"path = '{path}'")):
                (self._state.run.path / path).unlink(missing_ok=True)

    def fold(self) -> None:
        """Write into the index what has come, where it is much. Searches and changes go on meanwhile."""
        now = self._state.generations.now
        index = self._state.generations.index
        if isinstance(index, str):  # a server's has it already
            return
        if now.n - now.held < max(MANY, now.items // 100):
            return
        if not self._folding.acquire(blocking=False):
            return
        try:
            if time.monotonic() >= self._not_before:
                fold(now.search.model, index, log.warning)
        except (UserError, OSError) as error:  # such as another process that changes it, or a full disk
            self._not_before = time.monotonic() + PAUSE
            log.warning("what was added is not written into the index yet: %s", error)
        finally:
            self._folding.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        journal, seconds = self._state.generations.journal, self._state.settings.request_seconds
        if journal is None:  # nothing keeps writers of a server apart
            with until(time.monotonic() + seconds):
                yield
            return
        try:
            with journal.alone(seconds):
                yield
        except Busy:
            raise Refused(503, "another worker changes the index; send it again later", AGAIN) from None
