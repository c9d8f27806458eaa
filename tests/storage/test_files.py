"""Files and folders that are whole or not there."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossbit.errors import UserError
from crossbit.storage.files import read_json, sync_folder, write_json, writing, writing_folder


@pytest.fixture
def mask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_are_those_that_the_user_gives_new_files(tmp_path: Path, mask: int) -> None:
    with writing(tmp_path / "file.txt") as temporary:
        temporary.write_text("whole")
    with writing_folder(tmp_path / "folder") as folder:
        (folder / "file.txt").write_text("whole")
    assert mode(tmp_path / "file.txt") == mode(tmp_path / "folder" / "file.txt") == 0o666 & ~mask
    assert mode(tmp_path / "folder") == 0o777 & ~mask


@pytest.mark.slow
def test_the_mask_of_the_process_is_never_touched(tmp_path: Path, mask: int) -> None:
    """Other threads' files keep their permissions while files are written."""
    ended = threading.Event()
    seen: set[int] = set()

    def others() -> None:
        number = 0
        while not ended.is_set():
            file = tmp_path / f"other-{number}"
            file.touch()
            seen.add(mode(file))
            number += 1

    thread = threading.Thread(target=others)
    thread.start()
    for _ in range(200):
        write_json(tmp_path / "file.json", 1)
    ended.set()
    thread.join()
    assert seen == {0o666 & ~mask}


def test_what_fails_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("before")

    def half_a_file() -> None:
        with writing(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise InterruptedError

    def half_a_folder() -> None:
        with writing_folder(tmp_path / "deep" / "folder") as folder:
            (folder / "file.txt").write_text("half")
            raise InterruptedError

    for half in (half_a_file, half_a_folder):
        with pytest.raises(InterruptedError):
            half()
    assert (tmp_path / "file.txt").read_text() == "before"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "file.txt"]


def test_a_folder_is_never_written_over(tmp_path: Path) -> None:
    def write() -> None:
        with writing_folder(tmp_path / "there") as folder:
            (folder / "mine").touch()
            (tmp_path / "there").mkdir()  # by another process, which may still fill it

    for _ in range(2):  # meanwhile, and before
        with pytest.raises(UserError, match="exists already"):
            write()
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="it is a folder"), writing(tmp_path):
        pytest.fail("a folder is in the file's place")
    with pytest.raises(UserError, match="cannot write"), writing(tmp_path / "file" / "x"):
        pytest.fail("begun")
    with pytest.raises(UserError, match="cannot write"), writing_folder(tmp_path / "file" / "x"):
        pytest.fail("begun")


def test_a_system_that_opens_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("crossbit.storage.files.os.open", refuse)
    sync_folder(tmp_path)  # raises nothing


def test_a_name_that_is_no_utf8_survives_in_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.npz")
    write_json(tmp_path / "x.json", {name: name})
    assert read_json(tmp_path / "x.json") == {name: name}
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {name: name}
