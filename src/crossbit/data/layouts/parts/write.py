"""A layout's pairs written in the neutral format, a block of rows at a time."""

from __future__ import annotations

import os
from typing import Any

from crossbit.data.layouts.parts.base import Reading
from crossbit.data.neutral import _arrays
from crossbit.data.written import write_arrays
from crossbit.errors import UserError
from crossbit.storage.files import refuse_existing


def write_neutral(reading: Reading, path: str | os.PathLike[str]) -> None:
    """Write pairs whole or not at all: `.npz` gives a file, no ending a folder of `.npy`. Every value stays what it is.

    Features are held two blocks at a time, whatever their size (see `crossbit.storage.lazy.BLOCK_BYTES`).

    Raises:
        UserError: something is there already, it cannot be written, or features are not finite.
    """
    target = refuse_existing(path)
    arrays: dict[str, Any] = _arrays(reading.outline()) | dict(reading.modalities)
    try:
        write_arrays(target, arrays)
    except UserError as error:
        raise UserError(f"{reading.found.path}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
