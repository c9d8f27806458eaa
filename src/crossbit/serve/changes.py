"""Items that are added and removed: those that wait together change the index together, one writer at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from crossbit.errors import UserError
from crossbit.search.changing import Encoded, OtherModel, change
from crossbit.serve.replies import Refused
from crossbit.serve.work import AGAIN, BUSY
from crossbit.storage.files import writing

if TYPE_CHECKING:
    from crossbit.serve.state import State

LOCK = ".added.lock"  # held by the service, of several on one run, that changes its index and its added pictures
PAUSE = 0.05  # seconds between two tries, while another process changes the index


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

    Every state of the index is a copy of the one before, so the time of a change grows with the index. Changes that
    come while one is written wait, and are then written together.
    """

    def __init__(self, state: State, queued: int) -> None:
        self._state, self._queued = state, queued
        self._waiting: list[Change] = []
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="crossbit-writer")

    async def do(self, wanted: Change) -> None:
        """Make a change; returns when it is there for good.

        Raises:
            Refused: 429 where too many wait, 503 while another process changes the index.
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
        self._change({each.id: each.new for each in mine})  # of several for one id the last
        if not self._state.generations.refresh():
            self._state.pictures.has_grown()  # of an address there is no new generation
        for each in mine:
            if each.new is None and each.path:
                self._drop(each.path)

    def _change(self, changes: Mapping[int, Encoded | None]) -> None:
        until = time.monotonic() + self._state.settings.request_seconds
        while True:
            try:
                self._state.generations.refresh()  # another run may have taken the place of this one
                with self._state.generations.use() as generation:
                    return change(generation.search.model, self._state.generations.index, changes)
            except OtherModel:
                raise Refused(503, "the run was trained anew meanwhile; send it again", AGAIN) from None
            except UserError as error:
                if "another process changes" not in str(error):
                    raise
                if time.monotonic() > until:
                    raise Refused(503, "another process changes the index; send it again later", AGAIN) from None
                time.sleep(PAUSE)

    def _drop(self, path: str) -> None:
        """Remove the file of a picture that was added, where no item shows it any more."""
        with self._state.generations.use() as generation:
            index = generation.search.opened(generation.search.model.modalities[0]).index
            if not len(index.matching(f"path = '{path}'")):
                (self._state.run.path / path).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self._state.run.path / LOCK)
        try:
            lock.acquire(timeout=self._state.settings.request_seconds)
        except Timeout:
            raise Refused(503, "another worker changes the index; send it again later", AGAIN) from None
        try:
            yield
        finally:
            lock.release()
