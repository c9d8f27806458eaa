"""What compiled kernels run in: numba's cache as a convenience, one pool of threads, the popcount instruction."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from crossbit.errors import UserError
from crossbit.storage.cores import usable_cores


class JitKernel:
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
        return usable_cores()
    if not str(value).isdecimal() or int(value) < 1:
        raise UserError(f"the number of threads (CROSSBIT_THREADS) must be a whole number from 1, got {value!r}")
    return int(value)


def run(tasks: Iterable[Callable[[], object]], threads: int) -> None:
    """Run tasks that release the GIL, in the calling thread and up to `threads` - 1 of the pool's.

    The calling thread never waits for a thread to become free, so any number of threads, and tasks themselves, may call
    this at once. After an error no further task begins, and the first error is raised when those begun have ended.
    """
    if threads == 1:
        for task in tasks:
            task()
        return
    waiting: Queue[Callable[[], object]] = Queue()
    for task in tasks:
        waiting.put(task)
    errors: list[BaseException] = []

    def work() -> None:
        with suppress(Empty):
            while True:
                task = waiting.get_nowait()
                try:
                    if not errors:
                        task()
                except BaseException as error:  # Ctrl-C, too
                    errors.append(error)
                finally:
                    waiting.task_done()

    with suppress(RuntimeError):  # no thread can be started (any more): this one does it all
        for _ in range(min(threads, waiting.qsize()) - 1):
            _pool.submit(work)
    try:
        work()
        waiting.join()
    except BaseException as error:  # Ctrl-C between two tasks
        errors.append(error)
        raise
    if errors:
        raise errors[0]


def _new_pool() -> None:
    """A pool without threads; each starts when it is first needed, and all end with the process."""
    global _pool
    _pool = ThreadPoolExecutor(os.cpu_count() or 1, "crossbit")


_pool: ThreadPoolExecutor
_new_pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_pool)  # the parent's threads are not in the child


@intrinsic
def popcount(typing_context, word):  # type: ignore[no-untyped-def]
    """Number of one bits of a uint64, as uint64: the processor's instruction, which LLVM also vectorises."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
