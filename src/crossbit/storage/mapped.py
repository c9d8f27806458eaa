"""Arrays in one file, looked at where they lie on the disk: written whole, read back only where nothing is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.storage.files import writing

LENGTH = 8  # bytes of a number: after the digest of all that follows comes the length of the head
ALIGNED = 64  # bytes, at multiples of which arrays begin, as in memory: that can decide the last bit of a product


def write_mapped(path: Path, notes: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers, as float64, and notes, small JSON values, over what was there.

    Raises:
        UserError: the folder cannot be written.
        OSError: such as a full disk.
    """
    shapes = {name: array.shape for name, array in arrays.items()}
    head = json.dumps({"notes": notes, "shapes": shapes}).encode()
    with writing(path) as temporary, open(temporary, "wb") as file:
        digest = hashlib.blake2b()
        file.write(digest.digest())

        def add(part: Any) -> None:
            digest.update(part)
            file.write(part)

        add(len(head).to_bytes(LENGTH, "big"))
        add(head)
        for array in arrays.values():
            add(bytes(-file.tell() % ALIGNED))
            add(np.ascontiguousarray(array, np.float64).reshape(-1).view(np.uint8))
        file.seek(0)
        file.write(digest.digest())


def read_mapped(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The notes and the arrays, float64, which stay on the disk until they are used; None where there is no such file,
    or one that is damaged. What is written into an array does not come into the file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "x.bin"
    >>> write_mapped(file, {"epochs": 3}, {"a": np.arange(2), "b": np.eye(1)})
    >>> read_mapped(file)
    ({'epochs': 3}, {'a': array([0., 1.]), 'b': array([[1.]])})
    >>> _ = file.write_bytes(file.read_bytes()[:-1] + b"x")
    >>> read_mapped(file) is None
    True
    """
    try:
        held = np.asarray(np.memmap(path, np.uint8, "c"))
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    start = hashlib.blake2b().digest_size
    if held[:start].tobytes() != hashlib.blake2b(held[start:].data).digest():
        return None
    begin = start + LENGTH
    end = begin + int.from_bytes(held[start:begin].tobytes(), "big")
    head, arrays = json.loads(held[begin:end].tobytes()), {}
    for name, shape in head["shapes"].items():
        end += -end % ALIGNED
        begin, end = end, end + 8 * int(np.prod(shape))
        arrays[name] = held[begin:end].view(np.float64).reshape(shape)
    return head["notes"], arrays
