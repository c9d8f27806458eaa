"""What a file is, where it is not what was expected: told from its first bytes, for error messages."""

from __future__ import annotations

import codecs
from pathlib import Path

BYTES = 520  # that tell: MATLAB 7.3 puts its own 512 bytes before HDF5's

ARRAY = "a single NumPy array (.npy)"
POINTER = "pointer, not the file itself"

# The first bytes, and what begins so.
_STARTS = (
    (b"version https://git-lfs", f"a Git LFS {POINTER}; `git lfs pull` brings that"),
    (b"/annex/objects/", f"a git-annex {POINTER}; `git annex get` brings that"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 7.3", "a MATLAB 7.3 file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x93NUMPY", ARRAY),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a Python pickle, which is never read"),
)


def what_is(path: Path) -> str:
    """What kind of file this is, in words that follow "it is"; "damaged, or of an unknown kind" where nothing tells.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "x.mat"
    >>> _ = file.write_text("<!DOCTYPE html><html>Sign in</html>")
    >>> what_is(file)
    'a web page, so the download went wrong'
    """
    with open(path, "rb") as file:
        start = file.read(BYTES)
    if not start:
        return "empty"
    return known_kind(start) or _text(start) or "damaged, or of an unknown kind"


def damage_of(path: Path, error: object) -> str:
    """What is wrong with a file that cannot be read, in words that follow its name: what it is, or `error`."""
    try:
        with open(path, "rb") as file:
            kind = known_kind(file.read(BYTES))
    except OSError:
        kind = None
    return f"is {kind}" if kind else f"is damaged: {error}"


def known_kind(start: bytes) -> str | None:
    """What kind of file begins so (`BYTES` bytes), in words as those of `what_is`; None where nothing tells.

    >>> known_kind(b"%PDF-1.7"), known_kind(b"a,b")
    ('a PDF document', None)
    """
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start[8:12] == b"DUCK":
        return "a DuckDB database, such as crossbit's index"
    plain = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if plain.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"svg" in plain:
        return "an SVG drawing, which is lines and no pixels; save it as .png"
    if plain.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        return "a web page, so the download went wrong"
    return next((what for first, what in _STARTS if start.startswith(first)), None)


def _text(start: bytes) -> str | None:
    """The first line of a text, as "text that begins with ..."; None for what is no text."""
    try:  # where the file goes on, the last character may be cut
        text = codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < BYTES)
    except UnicodeDecodeError:
        return None
    line = " ".join(text.partition("\n")[0].split())[:40]
    return f"text that begins with {line!r}" if line and line.isprintable() else None
