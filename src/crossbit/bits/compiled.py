"""What compiled kernels run in: numba's cache as a convenience, a pool of threads, the popcount instruction."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from crossbit.errors import UserError

PROCESSOR = getattr(ctypes.CDLL(None), "sched_getcpu", None) if os.name == "posix" else None  # number of this one


class Kernel:
    """A compiled function whose disk cache is a convenience: where it cannot be read or written, do without.

    numba raises when it finds no folder for its cache (a read-only installation without a home folder), when the
    disk is full, and when a cache file is damaged.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        try:
            self.compiled = njit(nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            self.compiled = njit(nogil=True)(function)

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.compiled(*arguments)
        except Exception as error:  # damage shows as almost anything; a mistake of the caller's is raised again below
            cache = self.compiled.stats.cache_path
            if cache is None:
                raise
            self.compiled = njit(nogil=True)(self.function)
            result = self.compiled(*arguments)
            warnings.warn(f"the cache of compiled code in {cache} is of no use: {error!r}; remove it", stacklevel=2)
            return result


def thread_count(threads: int | None = None) -> int:
    """Threads for search: the argument, else CROSSBIT_THREADS, else the processors this process may use.

    >>> thread_count(3)
    3
    """
    value = threads if threads is not None else os.environ.get("CROSSBIT_THREADS")
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not str(value).isdecimal() or int(value) < 1:
        raise UserError(f"the number of threads (CROSSBIT_THREADS) must be a whole number from 1, got {value!r}")
    return int(value)


def run(tasks: Iterable[Callable[[], object]], threads: int) -> None:
    """Run tasks that release the GIL, in the calling thread and `threads` - 1 others that end with the last task."""
    waiting = deque(tasks)
    errors: list[BaseException] = []

    def work() -> None:
        with suppress(IndexError):  # there is none left
            while True:
                task = waiting.popleft()
                try:
                    task()
                except BaseException as error:  # Ctrl-C, too
                    errors.append(error)
                    waiting.clear()  # nobody begins another task

    others = [Thread(target=work) for _ in range(min(threads, len(waiting)) - 1)]
    for other in others:
        other.start()
        _move_away(other)
    work()
    for other in others:
        other.join()
    if errors:
        raise errors[0]


def _move_away(thread: Thread) -> None:
    """Put a thread that was just started on another processor than this one.

    Some schedulers leave it here until the caller waits: half a search of milliseconds is over then. Where it may run
    stays as it was.
    """
    if PROCESSOR is None or thread.native_id is None:
        return
    allowed = os.sched_getaffinity(0)
    elsewhere = allowed - {PROCESSOR()}
    with suppress(OSError):  # it has ended already
        if elsewhere:
            os.sched_setaffinity(thread.native_id, elsewhere)
            os.sched_setaffinity(thread.native_id, allowed)


@intrinsic
def popcount(typing_context, word):  # type: ignore[no-untyped-def]
    """Number of one bits of a uint64, as uint64: the processor's instruction, which LLVM also vectorises."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
