"""Text files and their lines, and files of names."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossbit.errors import UserError
from crossbit.storage.lines import read_lines, read_names, read_text, shown, split_lines, write_names

OTHER_BREAKS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # str.splitlines ends a line at each


def wrong(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_lines(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_three_ends_of_a_line_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(f"one\ntwo\r\nthree\r\n\r\n{OTHER_BREAKS}.\rlast".encode())
    assert read_lines(tmp_path / "x.txt") == ["one", "two", "three", "", f"{OTHER_BREAKS}.", "last"]


@given(st.text(alphabet=f"ab\r\n{OTHER_BREAKS}"))
def test_lines_are_what_one_pattern_cuts(text: str) -> None:
    cut = re.findall(r"([^\r\n]*)(?:\r\n|\r|\n)|([^\r\n]+)\Z", text)
    assert split_lines(text) == [ended or last for ended, last in cut]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_mark_says_how_a_file_is_written_and_is_dropped(encoding: str, tmp_path: Path) -> None:
    mark = getattr(codecs, f"BOM_{encoding.upper().replace('-', '', 1).replace('-', '_')}")
    (tmp_path / "x.txt").write_bytes(mark + "Öl\r\n油 🛢\n".encode(encoding))
    assert read_lines(tmp_path / "x.txt") == ["Öl", "油 🛢"]


def test_a_mark_further_on_is_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"a\n\xef\xbb\xbfb")
    assert read_lines(tmp_path / "x.txt") == ["a", "\ufeffb"]


def test_files_without_text(tmp_path: Path) -> None:
    for data in (b"", codecs.BOM_UTF8):
        (tmp_path / "x.txt").write_bytes(data)
        assert read_lines(tmp_path / "x.txt") == []


def test_the_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    assert wrong(path, b"\xef\xbb\xbfoak\r\nbirch\rcaf\xe9\n").startswith(
        f"{path}: line 3 holds byte 0xe9, which is not"
    )
    assert ": line 1 holds byte 0xff, which is not UTF-8" in wrong(path, b"\xff\n")
    assert ": line 2 holds byte 0x0a, which is not UTF-16-LE" in wrong(path, codecs.BOM_UTF16_LE + b"a\0\n\0\x0a")
    assert ": line 1 holds a zero byte" in wrong(path, "oak\nbirch\n".encode("utf-16-le"))
    assert ": line 2 holds a zero byte" in wrong(path, b"oak\nbi\0rch")
    with pytest.raises(UserError, match=r"cannot read .*gone\.txt: No such file"):
        read_text(tmp_path / "gone.txt")


def test_what_is_no_text_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n"
    assert wrong(path, pointer).startswith(f"{path} is a Git LFS pointer, not the file itself; `git lfs pull`")
    assert wrong(path, b"PK\x03\x04\x14\0\xff").endswith("it is a zip archive")
    path.write_text("<html> is a tag\n", encoding="utf-8")  # a text may well say so
    assert read_lines(path) == ["<html> is a tag"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists((st.binary() | st.text(alphabet="a\\x9nr\n\r\ufeff\udc9f")).map(os.fsdecode)))
def test_any_name_comes_back_and_stands_on_a_line(names: list[str], tmp_path: Path) -> None:
    names = [name.replace("\0", "") for name in names]  # no file system allows it
    write_names(tmp_path / "names.txt", names)
    assert read_names(tmp_path / "names.txt") == names
    assert len(read_lines(tmp_path / "names.txt")) == len(names)


def test_names_are_written_as_they_are_wherever_they_can_be(tmp_path: Path) -> None:
    write_names(tmp_path / "names.txt", ["a b.png", "sub/é.png", os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"])
    lines = (tmp_path / "names.txt").read_text(encoding="utf-8").split("\n")
    assert lines == ["a b.png", "sub/é.png", r"caf\xe9.png", r"caf\\xe9.png", ""]


def test_a_name_in_a_message_is_on_one_line_and_can_be_printed() -> None:
    assert shown("Öl 油.png") == "Öl 油.png"
    for name in ("a\nb", "a\u2028b", os.fsdecode(b"caf\xe9")):
        assert len(shown(name).encode("utf-8").splitlines()) == 1
