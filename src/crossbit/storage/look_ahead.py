"""Other processes that look into picture files ahead of this one, where there are many: decoding keeps one core busy.

They share the cache of facts and nothing else. Each begins at another place of the list and goes round, so whoever
comes to a file second finds its facts there. They are plain commands: a script that uses crossbit needs no guard for
them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from crossbit.storage.cores import usable_cores

MANY = 4000  # files for which another process is worth its start
MOST = 8  # processes


@contextmanager
def looking_ahead(paths: Sequence[str]) -> Iterator[None]:
    """Look into these files from other places of the list, as long as the block runs."""
    count = min(usable_cores(), MOST, 1 + len(paths) // MANY)
    helpers = []
    for number in range(1, count):
        start = len(paths) * number // count
        with contextlib.suppress(OSError):  # then this process does it all
            helpers.append(_helper([*paths[start:], *paths[:start]]))
    try:
        yield
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def _helper(paths: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "crossbit.storage.look_ahead"]
    helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(OSError), helper.stdin or contextlib.nullcontext() as given:
        if given is not None:
            given.write(b"\0".join(os.fsencode(os.path.abspath(path)) for path in paths))
    return helper


def main() -> None:
    """Look into the files whose paths come in, with zero bytes between them."""
    paths = sys.stdin.buffer.read().split(b"\0")  # before the import: whoever writes them waits meanwhile
    from crossbit.storage.picture_facts import look_into

    look_into([os.fsdecode(path) for path in paths])


if __name__ == "__main__":
    main()
