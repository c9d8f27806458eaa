"""Work off the event loop, by a few threads: a bounded queue before them, and a time for each piece of work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from crossbit.index.milvus.calls import until
from crossbit.serve.replies import Refused

T = TypeVar("T")
SERVER = 0.9  # of that time, after which a server of the index is not waited for: to say so takes time, too
AGAIN = {"Retry-After": "1"}
BUSY = "too many requests wait already; send it again in a second"


class Work:
    """A few threads and the queue before them.

    Args:
        threads: that work at the same time.
        queued: pieces that may wait for one.
        seconds: each piece's time, waiting included.
    """

    def __init__(self, threads: int, queued: int, seconds: float) -> None:
        self.most, self.seconds = threads + queued, seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crossbit-work")
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Pieces that are worked on or wait."""
        return self._held

    @property
    def is_full(self) -> bool:
        """Whether the next one is refused."""
        return self._held >= self.most

    async def do(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """What a function returns or raises.

        Raises:
            Refused: 429 where too many wait, 504 where it takes too long; its thread goes on to the end.
        """
        with self._lock:
            if self.is_full:
                raise Refused(429, BUSY, AGAIN)
            self._held += 1
        deadline = time.monotonic() + self.seconds
        future = self._pool.submit(self._run, deadline, function, args, options)
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
        except TimeoutError:
            raise _late(self.seconds) from None

    def close(self) -> None:
        """Wait for what runs, and drop what waits."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, deadline: float, function: Callable[..., T], args: Any, options: Any) -> T:
        if time.monotonic() > deadline:  # nobody waits for it any more
            raise _late(self.seconds)
        with until(deadline - (1 - SERVER) * self.seconds):
            return function(*args, **options)

    def _release(self, future: Any) -> None:
        with self._lock:
            self._held -= 1


def _late(seconds: float) -> Refused:
    return Refused(504, f"this took more than {seconds:g} s and was ended; ask for less, or use a simpler filter")
