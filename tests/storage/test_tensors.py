"""Tensors in a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crossbit.errors import UserError
from crossbit.storage.arrays import read_arrays
from crossbit.storage.files import read_json
from crossbit.storage.tensors import read_tensors, write_tensors


def test_what_is_read_lies_as_what_was_made(tmp_path: Path) -> None:
    """A product's last bit may depend on where its operand begins in memory; a resumed run must not differ by it."""
    made = {f"{i}": torch.randn(i + 1, 3) for i in range(8)}
    write_tensors(tmp_path / "x.safetensors", made, {})
    read, _ = read_tensors(tmp_path / "x.safetensors")
    assert all(torch.equal(made[name], tensor) for name, tensor in read.items())
    assert {tensor.data_ptr() % 64 for tensor in read.values()} == {tensor.data_ptr() % 64 for tensor in made.values()}


def test_a_path_that_is_no_utf8_is_not_called_damage(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    write_tensors(path, {"x": torch.ones(1)})
    with pytest.raises(UserError, match="is not a UTF-8 path"):
        read_tensors(path)
    renamed = path.rename(tmp_path / "cafe.safetensors")
    assert read_tensors(renamed)[0]["x"].item() == 1


def test_tensors_may_be_read_by_whom_other_files_may(tmp_path):
    write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2)})
    (tmp_path / "plain").touch()
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("read", [read_tensors, read_arrays, read_json])
def test_a_pointer_in_the_place_of_a_model_is_not_called_damage(read: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n")
    with pytest.raises(UserError, match=r"is a Git LFS pointer, not the file itself; `git lfs pull` brings that"):
        read(tmp_path / "x")
    (tmp_path / "x").write_text("{")
    with pytest.raises(UserError, match="is damaged: "):
        read(tmp_path / "x")
