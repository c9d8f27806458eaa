"""`crossbit index` killed at any moment: the next one, and `crossbit add`, find the place as it was before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.search.adding import add
from crossbit.search.build import check_index, index_data
from crossbit.storage.exchange import alone_with
from tiny import arrays

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is a fork")]

# where a child ends itself: (what is called, the how many-th call, before or after it)
MOMENTS = [
    ("crossbit.search.build._add", 1, "before"),
    ("crossbit.search.build._add", 1, "after"),
    ("crossbit.search.build.write_captions", 1, "before"),
    ("crossbit.search.build._add", 2, "after"),
    ("crossbit.storage.files.synced", 1, "after"),
    ("os.rename", 1, "after"),
]
OTHERS = (".index.0123ABCD", ".index.0123abcde", ".index.0123abc", "index.0123abcd", ".index2.0123abcd", ".index.old")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedData:
    path = tmp_path_factory.mktemp("killed") / "toy.npz"
    np.savez(path, **arrays(60, path=np.array([f"photos/{row}.png" for row in range(60)])))
    return load_data(path)


@pytest.fixture(scope="module")
def model(data: PairedData) -> Model:
    return crossbit.train(data, method="cca-sign", bits=8, progress=False)


@pytest.fixture
def others(tmp_path: Path) -> list[Path]:
    """Folders of the user's, called almost as leftovers are, and a file called as one is."""
    made = [tmp_path / name for name in OTHERS]
    for folder in made:
        folder.mkdir()
        (folder / "mine.txt").touch()
    (tmp_path / ".index.89abcdef").touch()
    return [*made, tmp_path / ".index.89abcdef"]


def ended(work: Callable[[], Any], name: str, call: int, when: str) -> int:
    """The signal that ended a child which kills itself at a moment of its work; 0 if it came to its end."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    with pytest.MonkeyPatch.context() as patched:
        module, _, function = name.rpartition(".")
        patched.setattr(f"{module}.{function}", _deadly(_found(module, function), call, when))
        work()
    os._exit(0)


def _found(module: str, function: str) -> Callable[..., Any]:
    import importlib

    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _deadly(function: Callable[..., Any], call: int, when: str) -> Callable[..., Any]:
    calls = 0

    def deadly(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        result = None if calls == call and when == "before" else function(*args, **options)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return deadly


@pytest.mark.parametrize(("name", "call", "when"), MOMENTS)
def test_the_next_one_removes_what_a_killed_one_left_and_nothing_else(
    name: str, call: int, when: str, model: Model, data: PairedData, tmp_path: Path, others: list[Path]
) -> None:
    uri = tmp_path / "index"
    before = set(tmp_path.iterdir())
    assert ended(lambda: index_data(model, data, uri), name, call, when) == signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - before - {tmp_path / ".index.lock"}
    if name == "os.rename":  # it had come to its end
        assert left == uri
    else:
        with pytest.raises(UserError, match="no index at"):  # what is half made never becomes the index
            add(model, data, uri)
        assert not uri.exists()
        assert index_data(model, data, uri) == {"image": 45, "text": 45}
    assert check_index(model, uri) == []
    assert set(tmp_path.iterdir()) == before | {uri, tmp_path / ".index.lock"}
    assert all((folder / "mine.txt").exists() for folder in others[:-1])


def test_a_second_one_is_refused_and_takes_nothing_from_the_first(
    model: Model, data: PairedData, tmp_path: Path
) -> None:
    with alone_with(tmp_path / "index"):
        (tmp_path / ".index.0123abcd").mkdir()  # of the first, which is at work
        with pytest.raises(UserError, match=r"another process changes .*index; wait"):
            index_data(model, data, tmp_path / "index")
    assert (tmp_path / ".index.0123abcd").is_dir() and not (tmp_path / "index").exists()
