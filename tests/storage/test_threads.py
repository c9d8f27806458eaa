"""Work on many files: their order, whatever their sizes, and whose error comes when."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.storage.threads import AHEAD, SMALL, over_files


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """More files than are begun at once: every third one is large, one is not there."""
    made = []
    for number in range(AHEAD + 40):
        made.append(str(tmp_path / f"{number}"))
        Path(made[-1]).write_bytes(b"x" * (SMALL + 1 if number % 3 == 0 else number))
    Path(made[7]).unlink()
    return made


def test_what_is_made_of_files_comes_in_their_order(paths: list[str]) -> None:
    assert list(over_files(lambda path: path, paths)) == paths


@pytest.mark.parametrize("wrong", [6, 8])  # a large one, a small one
def test_an_error_comes_when_its_file_is_due(paths: list[str], wrong: int) -> None:
    def work(path: str) -> str:
        if path == paths[wrong]:
            raise ValueError(path)
        return path

    found = over_files(work, paths)
    assert [next(found) for _ in range(wrong)] == paths[:wrong]
    with pytest.raises(ValueError, match=paths[wrong]):
        next(found)
