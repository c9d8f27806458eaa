"""An index as it is now, under a name of its own, so that what takes its place later changes nothing here.

DuckDB opens a path once in a process, whatever is there later. So each state of the index is opened in a folder of its
own, `RUN/.serving.XXXXXXXX/1`, `/2`, ..., whose files are links to those of the index: they need no room on the disk.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from crossbit.errors import UserError
from crossbit.storage.files import link_or_copy

PREFIX = ".serving."
TRIES = 20  # the index may be replaced while it is linked


class Snapshots:
    """The folder of one process, which is removed when it ends; the next one removes what a killed process left."""

    def __init__(self, run: Path) -> None:
        clear_up(run)
        self.folder = run / f"{PREFIX}{secrets.token_hex(4)}"
        self._lock = FileLock(self.folder.with_name(f"{self.folder.name}.lock"), thread_local=False)
        self._taken = 0
        try:
            self._lock.acquire(timeout=0)
            self.folder.mkdir()
        except OSError as error:
            raise UserError(
                f"cannot write into {run}: {error.strerror or error}; a service links its index there"
            ) from error

    def take(self, index: Path) -> Path:
        """A folder with the files of an index as they are at one moment."""
        for _ in range(TRIES):
            self._taken += 1
            target = self.folder / str(self._taken)
            with suppress(FileNotFoundError, shutil.Error):  # replaced meanwhile
                before = os.stat(index).st_ino
                shutil.copytree(index, target, copy_function=link_or_copy)
                if os.stat(index).st_ino == before:
                    return target
            shutil.rmtree(target, ignore_errors=True)
        raise UserError(f"no index at {index} that stays for a moment; make it with: crossbit index {index.parent}")

    def drop(self, taken: Path) -> None:
        """Remove a folder that `take` gave."""
        shutil.rmtree(taken, ignore_errors=True)

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def clear_up(run: Path) -> None:
    """Remove the folders of processes that were killed: those whose lock nobody holds."""
    for file in run.glob(f"{PREFIX}*.lock"):
        lock = FileLock(file)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            file.unlink(missing_ok=True)
            lock.release()
