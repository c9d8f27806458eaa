"""Work on files in a few threads: while one waits for the disk or is in a decoder, others go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST = 4  # threads: each may hold a big picture
AHEAD = 256  # files begun before the first of them is taken
SMALL = 16_384  # bytes of a file up to which threads cost more than they bring: they wait for one another

Out = TypeVar("Out")


def over_files(work: Callable[[str], Out], paths: Sequence[str]) -> Iterator[Out]:
    """`work` of each file, in their order; what it raises is raised when its turn comes.

    >>> list(over_files(str.upper, ["a.png", "b.png"]))
    ['A.PNG', 'B.PNG']
    """
    with ThreadPoolExecutor(MOST) as pool:
        for start in range(0, len(paths), AHEAD):
            some = paths[start : start + AHEAD]
            begun = {path: pool.submit(work, path) for path in some if not _is_small(path)}
            yield from (begun[path].result() if path in begun else work(path) for path in some)


def _is_small(path: str) -> bool:
    try:
        return os.path.getsize(path) <= SMALL
    except (OSError, ValueError):  # work will say
        return True
