"""A hash of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from crossbit.errors import UserError

BYTES = 16  # of a hash, which is written with twice as many characters


def hash_of_files(files: Iterable[Path]) -> str:
    """A hash of the files' names and contents, in the order of their names.

    Raises:
        UserError: one cannot be read.

    >>> import tempfile; file = Path(tempfile.mkdtemp()) / "a.txt"; _ = file.write_text("x")
    >>> hash_of_files([file])
    '7b83cca466cb5eb99880988659e624ad'
    """
    state = hashlib.blake2b(digest_size=BYTES)
    for file in sorted(files):
        try:
            with open(file, "rb") as opened:
                content = hashlib.file_digest(opened, "blake2b").digest()
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
        state.update(f"{file.name} ".encode() + content)
    return state.hexdigest()
