"""What came through a service: on the disk line by line, found by every search, and kept when an index is made anew."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.search.adding import add
from crossbit.search.build import check_index, index_data
from crossbit.search.changing import encode, fold, ready
from crossbit.search.journal import Encoded, Entry, Journal, folded
from crossbit.search.searcher import Searcher

VECTOR = np.array([1, -1e-30, 0.5], np.float32)


def entry(n: int, id_: int, caption: str = "a fox") -> Entry:
    return Entry(n, id_, Encoded({"image": VECTOR}, {"caption": caption}, "digest"))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "index")
    journal.append([entry(1, 7), entry(2, 9, "ä\n\u2028"), Entry(3, 7, None)])
    return journal


def told(entries: list[Entry]) -> list[Any]:
    return [(each.n, each.id, each.new and each.new.item) for each in entries]


def test_what_is_written_is_read_as_it_was(journal: Journal) -> None:
    again = Journal(journal.folder.with_name("index"))
    assert told(again.after(0)) == [(1, 7, {"caption": "a fox"}), (2, 9, {"caption": "ä\n\u2028"}), (3, 7, None)]
    held = again.after(0)[0].new
    assert held is not None and held.embeddings["image"].tobytes() == VECTOR.tobytes() and held.digest == "digest"
    assert again.after(3) == [] and told(again.after(2)) == [(3, 7, None)] and again.live() == {9}
    journal.append([entry(4, 1)])  # by another process
    assert [each.n for each in again.after(3)] == [4]


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_a_line_that_was_cut_off_is_none_and_is_written_over(journal: Journal, cut: int) -> None:
    whole = journal.file.read_bytes()
    journal.append([entry(4, 1)])
    journal.file.write_bytes(journal.file.read_bytes()[: len(whole) + cut])
    assert [each.n for each in Journal(journal.folder.with_name("index")).after(0)] == [1, 2, 3]
    journal.append([entry(4, 2)])
    assert journal.file.read_bytes().startswith(whole)
    assert [(each.n, each.id) for each in journal.after(3)] == [(4, 2)]


def test_a_long_line_that_was_cut_off_goes_as_well(journal: Journal) -> None:
    whole = journal.file.read_bytes()
    journal.file.write_bytes(whole + b"x" * 200_000)
    journal.append([])
    assert journal.file.read_bytes() == whole
    journal.file.write_bytes(b"x" * 200_000)
    journal.append([])
    assert journal.file.read_bytes() == b""


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"no json\n", b'{"n": 1, "id": "2", "item": {}}\n'])
def test_a_damaged_line_is_told(journal: Journal, line: bytes) -> None:
    journal.file.write_bytes(line + journal.file.read_bytes())
    with pytest.raises(UserError, match="has a damaged line"):
        Journal(journal.folder.with_name("index")).after(0)


def test_a_shortened_one_holds_what_is_there_and_what_came_later(journal: Journal) -> None:
    other = Journal(journal.folder.with_name("index"))
    assert len(other.after(0)) == 3
    journal.append([entry(4, 5), entry(5, 9, "newer")])
    journal.shorten(4)
    assert told(journal.after(0)) == [
        (2, 9, {"caption": "ä\n\u2028"}),
        (4, 5, {"caption": "a fox"}),
        (5, 9, {"caption": "newer"}),
    ]
    empty = [each.new is not None and not each.new.embeddings for each in journal.after(0)]
    assert empty == [True, True, False]
    assert [each.n for each in other.after(3)] == [4, 5]  # another file by now


@pytest.mark.parametrize("kept", [slice(1, None), slice(1, 2)])
def test_a_file_that_was_written_over_in_its_place_is_read_anew(journal: Journal, kept: slice) -> None:
    """As `cp` and some editors do; a new file may also get the inode of one that is gone."""
    other, before = Journal(journal.folder.with_name("index")), journal.file.stat().st_ino
    assert len(other.after(0)) == 3
    lines = journal.file.read_bytes().splitlines(keepends=True)
    journal.file.write_bytes(b"".join(lines[kept]))
    journal.append([entry(4, 5, 99 * "a caption that is longer than the others")])
    assert journal.file.stat().st_ino == before
    assert [each.n for each in other.after(3)] == [4]


@pytest.fixture
def index(model: Model, data: PairedData, tmp_path: Path) -> Path:
    index_data(model, data, tmp_path / "run" / "index")
    return tmp_path / "run" / "index"


def sent(model: Model, data: PairedData, index: Path, wanted: dict[int, str | None]) -> list[Entry]:
    """Changes as a service writes them: pairs of the queries under new ids, with captions; None removes."""
    rows = data.splits["query"]
    entries = []
    for at, (id_, caption) in enumerate(wanted.items()):
        embeddings = {name: model.ordering(name, data[name][rows[at : at + 1]])[0] for name in model.modalities}
        item = {"caption": caption, "path": f"added/{id_ % 2}.png"}
        new = Encoded(embeddings, item, model.digest) if caption else None
        entries.append(Entry(folded(index) + 1 + at, id_, new))
    Journal(index).append(entries)
    return entries


def hits(search: Searcher, data: PairedData) -> list[Any]:
    """What searches of all kinds find, in every part but where and when."""
    ids = search.opened("image").index.keys()[:12].tolist()
    found = [search(item=id_, k=20, not_this=[ids[0]]) for id_ in ids[1:]]
    found += [search(item=id_, k=8, where="caption = 'zebra'") for id_ in ids]
    return [{**each.to_dict(), "seconds": 0, "index": ""} for each in found]


def test_a_search_that_takes_changes_finds_what_one_finds_that_is_opened_later(
    model: Model, data: PairedData, index: Path
) -> None:
    first = int(Searcher(model, index).opened("image").index.keys()[3])
    wanted = {11: "zebra", 12: "a zebra", 13: "zebra", first: None, -5: "lion"}
    with Searcher(model, index, grows=True) as growing:
        growing.open_all()
        for each in sent(model, data, index, wanted):
            growing.change({each.id: each.new})
        growing.change({13: None})
        Journal(index).append([Entry(6, 13, None)])
        opened = growing.opened("image")
        grown = hits(growing, data)
        lowest = [array.tolist() for array in opened.lowest]
        zebras = opened.captions.search(frozenset({"zebra"}), 5)[0].tolist()
    assert fold(model, index) == 5 and check_index(model, index) == []
    assert fold(model, index) == 0 and folded(index) == 6
    with Searcher(model, index) as search:
        assert hits(search, data) == grown
        assert [array.tolist() for array in search.opened("image").lowest] == lowest
        assert zebras == search.opened("image").captions.search(frozenset({"zebra"}), 5)[0].tolist() == [11, 12]


@pytest.mark.slow
def test_a_search_while_another_thread_changes_finds_one_state(model: Model, data: PairedData, index: Path) -> None:
    with Searcher(model, index, grows=True) as search:
        search.open_all()
        (new,) = sent(model, data, index, {11: "zebra"})
        ended = threading.Event()

        def change() -> None:
            while not ended.is_set():
                search.change({11: new.new})
                search.change({11: None})

        thread = threading.Thread(target=change)
        thread.start()
        ids = search.opened("image").index.keys()[:5].tolist()
        try:
            for _ in range(40):
                for id_ in ids:
                    found = search(item=id_, k=100).image if id_ != 11 else ()
                    assert all(hit.item for hit in found)
        finally:
            ended.set()
            thread.join()


def test_data_that_are_added_later_keep_what_came_through_the_service(
    model: Model, data: PairedData, index: Path
) -> None:
    sent(model, data, index, {11: "zebra", 12: "lion", 13: "gone"})
    Journal(index).append([Entry(4, 13, None)])
    done = add(model, data, index, drop_missing=True)
    assert (done.sent, done.gone, done.dropped) == (2, 0, False)
    assert check_index(model, index) == [] and folded(index) == 4
    with Searcher(model, index) as search:
        assert {11, 12} <= set(search.opened("text").index.keys().tolist())
        assert 13 not in search.opened("text").index
    sent(model, data, index, {11: None})
    assert add(model, data, index, drop_missing=True).sent == 1


def test_an_index_that_is_made_anew_has_what_can_be_encoded_again(model: Model, data: PairedData, index: Path) -> None:
    sent(model, data, index, {11: "zebra", 12: "lion"})
    shutil.rmtree(index)
    index_data(model, data, index)
    assert fold(model, index) == 2  # by what was kept of the same model
    shutil.rmtree(index)
    index_data(model, data, index)
    said: list[str] = []
    Image.new("RGB", (12, 12), "red").save(index.with_name("added") / "1.png")
    assert fold(model, index, said.append) == 1  # encoded again, where its picture is there
    assert len(said) == 1 and "item 12" in said[0] and check_index(model, index) == []
    assert Journal(index).live() == {11, 12}  # and forgets none


def test_what_cannot_be_encoded_is_told(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="picture is missing"):
        encode(model, None, "words")
    with pytest.raises(UserError, match="caption is missing"):
        encode(model, np.zeros((8, 8, 3), np.uint8), " ")
    said: list[str] = []
    journal = Journal(tmp_path / "index")
    assert ready(model, journal, [entry(1, 7), Entry(2, 8, None)], said.append) == {8: None}
    assert "item 7" in said[0]
