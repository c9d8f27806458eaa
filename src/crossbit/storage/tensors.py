"""Files of named tensors (safetensors): written whole, read with one clear line where they are damaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crossbit.errors import UserError
from crossbit.storage.files import writing
from crossbit.storage.kinds import damage_of
from crossbit.storage.lines import shown


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write tensors by name, and `notes` into the file's header.

    Raises:
        UserError: the file cannot be written (no space is left, say).
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with writing(path) as temporary:
        mode = temporary.stat().st_mode
        try:
            save_file(plain, temporary, dict(notes or {}))
            temporary.chmod(mode)  # safetensors puts a file of its own in the place, which nobody else may read
        except SafetensorError as error:
            raise UserError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and its notes.

    Raises:
        UserError: missing, damaged, or at a path that is no UTF-8, which safetensors cannot open.

    >>> import tempfile, torch
    >>> file = Path(tempfile.mkdtemp()) / "x.safetensors"
    >>> write_tensors(file, {"a.weight": torch.ones(2)}, {"epochs": "3"})
    >>> read_tensors(file)
    ({'a.weight': tensor([1., 1.])}, {'epochs': '3'})
    """
    if any("\udc80" <= character <= "\udcff" for character in str(path)):  # a byte that is no UTF-8
        raise UserError(f"{shown(str(path))} is not a UTF-8 path, and a model cannot be read there; rename its folder")
    try:
        with safe_open(path, framework="pt") as file:
            # Copies: tensors in a file begin anywhere, and where an operand of a product begins can decide its last
            # bit, so that a resumed run would end with other weights than an unbroken one.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no dict)
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} {damage_of(path, error)}") from error


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it.

    >>> import torch
    >>> part({"a.b": torch.ones(1), "c": torch.zeros(1)}, "a.")
    {'b': tensor([1.])}
    """
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
