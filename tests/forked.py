"""`crossbit` as a process of its own that can be killed, forked from one that has imported it already.

So are the processes that it starts itself: an import takes seconds, and what a kill leaves does not depend on it.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from crossbit.cli import main

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["forked", "crossbit.training", "crossbit.bench.bench", "crossbit.bench.report.plots"])


def crossbit(*words: str | Path) -> ForkServerProcess:
    """The process of `crossbit WORDS`, which has begun."""
    process = _context.Process(target=_crossbit, args=([str(word) for word in words],))
    process.start()
    return process


def _crossbit(words: list[str]) -> None:
    fork = multiprocessing.get_context("fork")
    setattr(multiprocessing, "get_context", lambda method=None: fork)  # noqa: B010 (its type is of all methods)
    sys.exit(main(words))
