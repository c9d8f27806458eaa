"""Work on files in a few threads: while one waits for the disk or is in a decoder, others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

MOST = 4  # threads: each may hold a big picture
AHEAD = 256  # things begun before the first of them is taken

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(work: Callable[[In], Out], things: Iterable[In]) -> Iterator[Out]:
    """`work` of each thing, in their order; what it raises is raised when its turn comes.

    >>> list(in_threads(str.upper, "abc"))
    ['A', 'B', 'C']
    """
    waiting = iter(things)
    with ThreadPoolExecutor(MOST) as pool:
        while some := list(islice(waiting, AHEAD)):
            yield from pool.map(work, some)
