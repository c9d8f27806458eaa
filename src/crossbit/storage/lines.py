"""The one reader of text files and of their lines, and files of names, a line each, that give any name back."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable
from pathlib import Path

from crossbit.errors import UserError
from crossbit.storage.files import writing
from crossbit.storage.kinds import BYTES, POINTER, known_kind

# A mark at a file's beginning says how it is written; the mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Python has a byte 0xe9 that is no UTF-8 in a file's name as the character 0xdce9.
_BYTES = {chr(0xDC00 + byte): f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\ufeff": r"\ufeff", **_BYTES})
_CHARACTERS = {escape: chr(character) for character, escape in _ESCAPES.items()}


def split_lines(text: str) -> list[str]:
    r"""Lines as editors show them: each ends at `\n`, `\r\n` or `\r`, and at none of the other breaks of Unicode.

    >>> split_lines("one\u2028still one\r\n\ntwo")
    ['one\u2028still one', '', 'two']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_text(path: str | os.PathLike[str]) -> str:
    """A text file, UTF-8 or what its mark (BOM) says, without the mark.

    Raises:
        UserError: it cannot be opened, is but a pointer to a file, or is not UTF-8; the line where it is not is named.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    mark, encoding = mark_of(data)
    kind = known_kind(data[:BYTES])
    if kind is not None and POINTER in kind:
        raise UserError(f"{path} is {kind}")
    meant = f"it is {kind}" if kind else "save it as UTF-8"
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[len(mark) :][: error.start].decode(encoding)
        wrong = f"byte 0x{error.object[error.start]:02x}, which is not {encoding.upper()}"
        raise UserError(f"{path}: line {len(split_lines(before + '.'))} holds {wrong}; {meant}") from error
    if (place := text.find("\0")) >= 0:  # UTF-16 without its mark, or no text at all
        line = len(split_lines(text[:place] + "."))
        raise UserError(f"{path}: line {line} holds a zero byte, so it is not UTF-8 text; {meant}")
    return text


def mark_of(data: bytes) -> tuple[bytes, str]:
    """The mark (BOM) with which a text file begins, empty for none, and its encoding.

    >>> mark_of("\ufeffa".encode("utf-16-le")), mark_of(b"a")
    ((b'\\xff\\xfe', 'utf-16-le'), (b'', 'utf-8'))
    """
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    return mark, MARKS.get(mark, "utf-8")


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a text file (`split_lines`); raises what `read_text` raises."""
    return split_lines(read_text(path))


def shown(name: str) -> str:
    r"""A file's name as a part of one line: as it is, or quoted where it holds a line break or what is no UTF-8.

    >>> print(shown("a b.png"), shown("a\nb.png"))
    a b.png 'a\nb.png'
    """
    return name if name.isprintable() else repr(name)


def write_names(path: str | os.PathLike[str], names: Iterable[str]) -> None:
    r"""Names of files, one a line of UTF-8. A line break in a name is written `\n` or `\r`, a byte that is no UTF-8
    `\xe9`, and `\` as `\\`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "names.txt"
    >>> write_names(file, ["a.png", "two\nlines.png"])
    >>> print(file.read_text(), end="")
    a.png
    two\nlines.png
    >>> read_names(file)
    ['a.png', 'two\nlines.png']
    """
    with writing(path) as temporary:
        temporary.write_bytes("".join(f"{name.translate(_ESCAPES)}\n" for name in names).encode())


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """The names that `write_names` wrote."""
    escape = re.compile("|".join(map(re.escape, _CHARACTERS)))
    return [escape.sub(lambda found: _CHARACTERS[found[0]], line) for line in read_lines(path)]
