"""Processes of their own that can be killed, forked from one that has imported what they need: an import takes seconds.

So are the processes that they start themselves: what a kill leaves does not depend on how a process came to be.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from crossbit.cli import main

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["crossbit.training", "crossbit.bench.bench", "crossbit.bench.report.plots", "crossbit.serve", "pytest"]
)


def begun(function: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """The process of a function of some module, which has begun."""
    process = _context.Process(target=_run, args=(dict(os.environ), function, *arguments))
    process.start()
    return process


def crossbit(*words: str | Path) -> ForkServerProcess:
    """The process of `crossbit WORDS`, which has begun."""
    return begun(_crossbit, [str(word) for word in words])


def service(run: Path, settings: dict[str, Any], first: str, errors: Path) -> tuple[ForkServerProcess, str]:
    """The process of a service, and its address; `first` is Python that is run before, `errors` gets what it writes."""
    here, there = _context.Pipe(duplex=False)
    process = begun(_service, run, settings, first, errors, there)
    there.close()
    try:
        return process, here.recv()
    except EOFError:
        process.join()
        raise AssertionError(errors.read_text()) from None


def _run(environment: dict[str, str], function: Callable[..., None], *arguments: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.fsync = os.fstat  # type: ignore[assignment] # as in conftest.py
    function(*arguments)


def _crossbit(words: list[str]) -> None:
    fork = multiprocessing.get_context("fork")
    setattr(multiprocessing, "get_context", lambda method=None: fork)  # noqa: B010 (its type is of all methods)
    sys.exit(main(words))


def _service(run: Path, settings: dict[str, Any], first: str, errors: Path, told: Connection) -> None:
    from crossbit.serve import Settings
    from crossbit.serve import run as serve

    with open(errors, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    exec(first)
    serve(run, Settings(port=0, **settings), told.send)
