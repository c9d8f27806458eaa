"""The files of a folder, and what is left out of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crossbit.storage.walk import LeftOut, files_below


def test_sub_folders_are_read_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", "a/b/d.png", "a.png", ".hidden/x.png", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    left_out = LeftOut()
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, left_out)]
    assert found == ["a/b/d.png", "a/c.png", "a.png", "b.png", "link.png"]
    assert left_out.names == {
        "hidden": [".hidden", "a/.DS_Store"],
        "broken link or device": ["gone.png", "pipe.png"],
        "linked folder": ["round"],
    }
    assert (
        str(left_out) == "left out 5: 2 hidden (such as .hidden), 2 broken link or device (such as gone.png), "
        "1 linked folder (round)"
    )


def test_any_name_is_found_and_shown_on_one_line(tmp_path: Path) -> None:
    names = {b"caf\xe9.png", b"two\nlines.png"}
    for name in names:
        open(os.path.join(os.fsencode(tmp_path), name), "wb").close()
    left_out = LeftOut()
    found = files_below(tmp_path, left_out)
    assert {os.fsencode(path.name) for path in found} == names
    for path in found:
        left_out.add("damaged", path.name)
    assert len(str(left_out).encode("utf-8").splitlines()) == 1


def test_a_folder_that_cannot_be_opened_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    left_out = LeftOut()
    assert files_below(tmp_path, left_out) == []
    assert left_out.names == {"closed folder": ["closed"]}


def test_a_folder_that_may_be_listed_and_not_entered_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "a.png").touch()
    (tmp_path / "b.png").touch()
    for name in ("stat", "lstat"):  # as for others than root, who may enter everywhere
        monkeypatch.setattr(os, name, _refusing(getattr(os, name)))
    left_out = LeftOut()
    assert files_below(tmp_path, left_out) == [tmp_path / "b.png"]
    assert left_out.names == {"in a closed folder": ["listed/a.png"]}


def _refusing(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    def refuse(path: str | os.PathLike[str], **given: bool) -> os.stat_result:
        if "listed/" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return look(path, **given)

    return refuse
