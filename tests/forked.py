"""Processes of their own that can be killed, forked from one that has imported what they need: an import takes seconds.

So are the processes that they start themselves: what a kill leaves does not depend on how a process came to be.
"""

from __future__ import annotations

import atexit
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


def begun(function: Callable[..., None], *arguments: Any, output: Path | None = None) -> ForkServerProcess:
    """The process of a function of some module, which has begun; `output` gets what it writes, behind what is there."""
    process = _context.Process(target=_run, args=(dict(os.environ), output, function, *arguments))
    process.start()
    return process


def crossbit(*words: str | Path, output: Path | None = None) -> ForkServerProcess:
    """The process of `crossbit WORDS`, which has begun."""
    return begun(_crossbit, [str(word) for word in words], output=output)


def service(run: Path, settings: dict[str, Any], first: str, output: Path) -> tuple[ForkServerProcess, str]:
    """The process of a service, and its address; `first` is Python that is run before."""
    here, there = _context.Pipe(duplex=False)
    process = begun(_service, run, settings, first, there, output=output)
    there.close()
    try:
        return process, here.recv()
    except EOFError:
        process.join()
        raise AssertionError(output.read_text()) from None


def _run(environment: dict[str, str], output: Path | None, function: Callable[..., None], *arguments: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.fsync = os.fstat  # type: ignore[assignment] # as in conftest.py
    if output is not None:
        with open(output, "ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # which a process of `multiprocessing` leaves out


def _crossbit(words: list[str]) -> None:
    fork = multiprocessing.get_context("fork")
    setattr(multiprocessing, "get_context", lambda method=None: fork)  # noqa: B010 (its type is of all methods)
    sys.exit(main(words))


def _service(run: Path, settings: dict[str, Any], first: str, told: Connection) -> None:
    from crossbit.serve import Settings
    from crossbit.serve import run as serve

    exec(first)
    serve(run, Settings(port=0, **settings), told.send)
