"""The codes of a large index in files that are memory-mapped: the same codes, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossbit.index import LocalIndex, mapped
from crossbit.index.overlay import Overlay

CODES = np.random.default_rng(0).integers(0, 256, (40, 9), dtype=np.uint8)  # two words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with LocalIndex(tmp_path / "a.index", bits=72) as index:
        index.add(np.arange(40)[::-1], CODES, embeddings=2.0 * np.unpackbits(CODES, axis=1) - 1)
        index.prepare(least=1)
    return tmp_path / "a.index"


def is_mapped(index: LocalIndex) -> bool:
    base = index.content()[0].planes
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    return base is not None


def found(index: LocalIndex) -> list[list[int]]:
    ids: list[list[int]] = index.search(CODES, k=7).ids.tolist()
    return ids


def test_it_opens_with_the_same_codes(path: Path) -> None:
    with LocalIndex(path, read_only=True) as index:
        assert is_mapped(index) and index.check() == []
        expected = found(index)
        assert index.places(np.arange(40)).min() >= 0
    for file in (path.parent / "a.codes").iterdir():
        file.unlink()
    with LocalIndex(path, read_only=True) as index:
        assert not is_mapped(index) and index.check() == [] and found(index) == expected


def test_few_codes_are_not_written(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "a.index", bits=72) as index:
        index.add(np.arange(40), CODES)
        index.prepare()
    assert not (tmp_path / "a.codes").exists()


@pytest.mark.parametrize("change", [
    lambda index: index.add([99], CODES[:1]),
    lambda index: index.add([3], 255 - CODES[:1], replace=True, embeddings=1 - 2.0 * np.unpackbits(CODES[:1], axis=1)),
    lambda index: index.remove([3]),
])  # fmt: skip
def test_after_a_change_the_index_is_read_until_it_is_prepared(
    path: Path, change: Callable[[LocalIndex], None]
) -> None:
    with LocalIndex(path) as index:
        change(index)
        expected, keys = found(index), index.keys().tolist()
    with LocalIndex(path) as index:
        assert not is_mapped(index) and found(index) == expected and index.keys().tolist() == keys
        index.prepare(least=1)
        assert is_mapped(index) and found(index) == expected
    assert len(list((path.parent / "a.codes").iterdir())) == 3  # those of before are gone


def test_a_change_in_memory_alone_is_kept_when_codes_are_read_again(path: Path) -> None:
    with Overlay(path) as over:
        over.add([3], 255 - CODES[:1], replace=True)
        expected = found(over)
        over._stored.forget()  # as after an error
        assert found(over) == expected
    with LocalIndex(path, read_only=True) as index:
        assert is_mapped(index) and found(index) != expected


def test_a_process_that_ends_before_the_index_names_the_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with LocalIndex(path) as index:
        index.remove([5])
        expected = found(index)
        monkeypatch.setattr("crossbit.index.stored.transaction", killed)
        with pytest.raises(KeyboardInterrupt):
            index.prepare(least=1)
        monkeypatch.undo()
    with LocalIndex(path, read_only=True) as index:
        assert not is_mapped(index) and found(index) == expected
    LocalIndex(path).close()  # the next that writes removes what is left
    assert list((path.parent / "a.codes").iterdir()) == []


@pytest.mark.parametrize("name", list(mapped.TYPES))
def test_damage(path: Path, name: str) -> None:
    file = next((path.parent / "a.codes").glob(f"*.{name}.npy"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    with LocalIndex(path, read_only=True) as index:
        assert not is_mapped(index) and "does not hold the codes of a.index" in index.check()[-1]
    file.write_bytes(whole[:-3] + bytes(3) if whole[-3:] != bytes(3) else whole[:-3] + b"abc")
    with LocalIndex(path, read_only=True) as index:
        assert any("does not hold the codes of a.index" in line for line in index.check())
