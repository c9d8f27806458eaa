"""The approximate tier of a run's index: made once, it is used by every search, kept by every change, and told of."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.export import export_run
from crossbit.index import LocalIndex
from crossbit.model import Model
from crossbit.search.adding import add
from crossbit.search.approximate import approximate
from crossbit.search.build import check_index, index_data
from crossbit.search.searcher import Searcher
from tiny import done, refused, runner


@pytest.fixture
def uri(model: Model, data: PairedData, tmp_path: Path) -> Path:
    index_data(model, data, tmp_path / "index")
    return tmp_path / "index"


def killed(work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a child do the work, and end itself where it would call a function."""
    if not (child := os.fork()):
        monkeypatch.setattr(name, lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is a fork")
@pytest.mark.parametrize("moment", ["index.near.write_json", "search.approximate.take_place"])
def test_killed_while_it_is_made(moment: str, model: Model, uri: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in uri.iterdir())
    killed(lambda: approximate(model, uri), monkeypatch, f"crossbit.{moment}")
    assert sorted(path.name for path in uri.iterdir()) == before and check_index(model, uri) == []
    approximate(model, uri)
    assert {path.name for path in uri.glob("*.cells")} == {"image.cells", "text.cells"}
    assert check_index(model, uri) == []
    assert {path.name for path in uri.parent.iterdir()} == {"index", ".index.lock"}


def test_a_search_uses_it_and_what_is_added_comes_into_its_cells(model: Model, data: PairedData, uri: Path) -> None:
    told = approximate(model, uri, 1.0)
    assert told["image"].of == {"itself": (1.0, 1.0), "text": (1.0, 1.0)}
    before = len(index_ids(uri))
    assert add(model, data, uri).counts["image"].added == data.n - before > 0
    assert check_index(model, uri) == []
    with LocalIndex(uri / "image.index", read_only=True, approximate=True) as index:
        assert not index.exact and len(index) == data.n
        near = index.search(model.encode("image", data["image"]), 1)
        assert near.distances.max() == 0
    with Searcher(model, uri) as near_search, Searcher(model, uri, exact=True) as exact_search:
        item = int(index_ids(uri)[0])
        one, other = (each(item=item, rerank=False) for each in (near_search, exact_search))
        assert (one.exact, other.exact) == (False, True)
        assert [hit.id for hit in one] == [hit.id for hit in other]
        for options in ({"where": "row >= 0", "rerank": False}, {}):  # to re-rank, more are looked for than are there
            found = near_search(item=item, **options)
            assert found.exact and found.to_dict()["exact"] and found.compared == data.n * len(found.hits)


def index_ids(uri: Path) -> np.ndarray:
    with LocalIndex(uri / "image.index", read_only=True) as index:
        return index.keys()


def test_where_it_cannot_be_made(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no index at .*make it with: crossbit index RUN"):
        approximate(model, tmp_path / "index")


def test_on_the_command_line(
    model: Model, data: PairedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, command = tmp_path / "run", runner(capsys)
    model.save(run)
    index_data(model, data, run / "index")
    made = done(command, "index", run, "--approximate", "--recall", "0.9")
    assert "recall of the first 10 and 100 by queries of itself:" in made and "--exact" in made
    asked = ["search", run, "--item", str(index_ids(run / "index")[0]), "--no-rerank", "--json"]
    assert json.loads(done(command, *asked))["exact"] is False
    assert json.loads(done(command, *asked, "--where", "true"))["exact"] is True  # compares all codes
    assert json.loads(done(command, *asked, "--exact"))["exact"] is True
    assert "is whole" in done(command, "index", run, "--check")
    export_run(run, tmp_path / "out")
    with crossbit.open_search(tmp_path / "out") as search:
        assert not search.opened("text").index.exact
    (run / "index" / "image.cells" / "about.json").write_text("{")
    damaged = command("index", run, "--check")
    assert damaged.code == 1 and "image.cells cannot be used, so all codes are compared" in damaged.out
    line = refused(command, "index", run, "--approximate", "--recall", "2")
    assert "--recall is 2.0; it must be a share above 0 and at most 1" in line
    line = refused(command, "index", run, "--approximate", "--uri", "milvus://localhost/photos")
    assert "--approximate is for a local index" in line
