"""A Searcher: its queries, its results, many threads at once, what it says when it cannot search."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.errors import UserError
from crossbit.index import open_index, stored
from crossbit.index.base import Changed
from crossbit.model import Model
from crossbit.search.bm25 import Bm25, part_of
from crossbit.search.build import index_data
from crossbit.search.query import AWAY
from crossbit.search.results import SearchHit, SearchResults
from crossbit.search.searcher import Searcher, open_for_one
from crossbit.storage.words import words_of
from tiny import NAMES, arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searcher")
    np.savez(folder / "toy.npz", **arrays())
    data = crossbit.load_data(folder / "toy.npz")
    options = {"method": "nrch", "bits": 16, "epochs": 1, "settings": {"width": 16}, "progress": False}
    model = crossbit.train(data, out=folder / "run", **options)  # type: ignore[arg-type]
    index_data(model, data, folder / "run" / "index")
    return folder / "run"


@pytest.fixture(scope="module")
def search(run: Path) -> Iterator[Searcher]:
    with crossbit.open_search(run) as searcher:
        yield searcher


@pytest.mark.parametrize("times", [1, 4, 5])
def test_a_search_whose_hits_others_remove_is_made_again(
    search: Searcher, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server, between finding a code and reading it; an index that is damaged fails each time."""
    index, left = search.opened("image").index, [times]
    read = index.codes_of

    def codes_of(ids: np.ndarray) -> np.ndarray:
        left[0] -= len(ids) > 1  # codes of hits; that of the item is asked for by itself
        if left[0] >= 0 and len(ids) > 1:
            raise Changed("holds no code for id 3: it was removed")
        return read(ids)

    monkeypatch.setattr(index, "codes_of", codes_of)
    if times == 5:
        with pytest.raises(UserError, match="it was removed"):
            search(item=20, modality="image")
    else:
        assert len(search(item=20, modality="image", k=3).hits["image"]) == 3
    assert left == [-1 if times < 5 else 0]


# --- queries --------------------------------------------------------------------------------------------------------


def ranked(model: Model, modality: str, query: np.ndarray, without: int = -1) -> dict[int, float]:
    """The slow, obvious ranking of all that is indexed: the cosine of every row but one."""
    rows = [row for row in range(15, 90) if row != without]
    embedded = model.embed(modality, arrays()[modality][rows]).astype(np.float64)
    cosines = embedded @ query / np.linalg.norm(embedded, axis=1) / np.linalg.norm(query)
    return dict(zip(rows, cosines.tolist(), strict=True))


def unit(row: np.ndarray) -> np.ndarray:
    return row.astype(np.float64) / np.linalg.norm(row)


def check_ranking(found: tuple[SearchHit, ...], expected: dict[int, float]) -> None:
    """Fewer than a hundred codes, so that all are in the shortlist; embeddings are stored in half precision."""
    assert len(found) == len(expected)
    np.testing.assert_allclose([hit.cosine for hit in found], [expected[hit.id] for hit in found], atol=2e-3)
    assert [hit.cosine for hit in found] == sorted((hit.cosine for hit in found), reverse=True)  # type: ignore[type-var]


def test_words_and_a_picture_are_one_query(search: Searcher) -> None:
    picture, words = arrays()["image"][3], "a level bar"
    query = unit(search.model.embed("image", picture)[0]) + unit(search.model.embed("text", words)[0])
    found = search(words, picture=picture, k=75, by="codes")
    assert list(found.hits) == ["image", "text"]  # neither is left
    for modality in ("image", "text"):
        check_ranking(found[modality], ranked(search.model, modality, query))


def test_an_item_finds_what_is_like_it_in_all_modalities_but_not_itself(search: Searcher) -> None:
    row = {name: search.model.embed(name, arrays()[name][40:41])[0] for name in ("image", "text")}
    found = search(item=40, k=75)
    assert list(found.hits) == ["image", "text"]
    for modality in ("image", "text"):
        check_ranking(
            found[modality], ranked(search.model, modality, unit(row["image"]) + unit(row["text"]), without=40)
        )
    assert 40 not in {hit.id for hit in search(item=40, k=74, rerank=False)}
    assert search(item=np.int64(40), k=3).hits == {name: hits[:3] for name, hits in found.hits.items()}  # type: ignore[arg-type]


def test_what_is_not_wanted_is_left_out_and_the_query_moved_away_from_it(search: Searcher) -> None:
    unwanted = [
        unit(unit(search.model.embed("image", arrays()["image"][row])[0]) + unit(search.model.embed("text", text)[0]))
        for row, text in ((20, str(arrays()["text"][20])), (40, str(arrays()["text"][40])))
    ]
    query = unit(search.model.embed("text", "a level bar")[0]) - AWAY * np.mean(unwanted, axis=0)
    expected = ranked(search.model, "image", query, without=20)
    del expected[40]
    found = search("a level bar", k=75, by="codes", not_this=[20, np.int64(40)])  # type: ignore[list-item]
    check_ranking(found.image, expected)
    assert {20, 40}.isdisjoint(hit.id for hit in search("a level bar", k=75, not_this=[20, 40]))
    assert {20, 40}.isdisjoint(hit.id for hit in search("level", k=75, by="words", not_this=[20, 40]))
    of_item = search(item=30, k=75, not_this=[20])
    assert {20, 30}.isdisjoint(hit.id for hit in of_item) and len(of_item.image) == 73
    assert search("a level bar", not_this=[]) == search("a level bar")


def test_hits_tell_in_which_bits_their_codes_differ_from_the_query(search: Searcher) -> None:
    for rerank in (True, False):
        found = search("a level bar", k=75, rerank=rerank)
        code = search.model.encode("text", "a level bar")[0]
        for hit in found.image:
            other = search.model.encode("image", arrays()["image"][hit.id])[0]
            assert hit.bits == bytes(a ^ b for a, b in zip(code, other, strict=True)).hex()
            assert hit.distance == int(hit.bits, 16).bit_count()


def test_a_modality_can_be_chosen(search: Searcher) -> None:
    assert list(search("a level bar", modality="text").hits) == ["text"]
    assert search("level bar number 3", modality="text", k=1).text[0].item["caption"] == "level bar number 3"
    assert list(search(item=40, modality="image").hits) == ["image"]
    with pytest.raises(UserError, match="unknown modality 'images'; did you mean 'image'"):
        search("a level bar", modality="images")


def test_more_than_there_is_gives_all_there_is(search: Searcher) -> None:
    for rerank in (True, False):
        assert len(search("a level bar", k=2**62, rerank=rerank)) == 75
    for k in (0, -1, 2.5, True):
        with pytest.raises(UserError, match=f"k is {k}"):
            search("a level bar", k=k)  # type: ignore[arg-type]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "give words, picture=, or both"),
    ({"words": "fox", "item": 20}, "or item= alone"),
    ({"words": ""}, "the query is empty; give words"),
    ({"words": " \n"}, "the query is empty"),
    ({"words": ["fox", "bar"]}, r"words are one text, got list; for several queries: search\.many\("),
    ({"words": "0815"}, "0815"),
    ({"picture": "nowhere.png"}, "nowhere.png does not exist"),
    ({"picture": np.zeros((2, 16, 16, 3), np.uint8)}, r"a picture is uint8 \(height, width, 3\)"),
    ({"item": 3}, "no item 3 in"),  # a query of the data, which was not indexed
    ({"item": "fox"}, "no item 'fox' in"),
    ({"words": "bar", "not_this": [20, 3]}, "no item 3 in"),
    ({"words": "bar", "not_this": 20}, r"not_this is a list of ids, got int 20; such as not_this=\[7\]"),
    ({"words": "bar", "not_this": "20"}, "not_this is a list of ids, got str '20'"),
    ({"words": "bar", "where": "colour = 'red'"}, "unknown column 'colour'"),
    ({"words": "bar", "by": "sound"}, "unknown by 'sound'"),
    ({"words": "bar", "by": "pictures"}, "by=pictures needs a picture, and no words"),
    ({"item": 20, "by": "pictures"}, "by=pictures needs a picture, and no words"),
    ({"item": 20, "by": "both"}, "by=both needs words"),
    ({"picture": np.zeros((16, 16, 3), np.uint8), "by": "words"}, "by=words needs words"),
]


@pytest.mark.parametrize(("query", "words"), BAD)
def test_a_query_that_cannot_be_used_is_told_in_one_line(search: Searcher, query: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        search(**query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "query", [{"words": "a level bar"}, {"picture": np.zeros((16, 16, 3), np.uint8)}, {"item": 20}]
)
@pytest.mark.parametrize("modality", [None, "image", "text"])
def test_a_filter_that_lets_nothing_through_finds_nothing(
    search: Searcher, query: dict[str, Any], modality: str | None
) -> None:
    found = search(**query, modality=modality, where="row < 0")
    assert (len(found), found.compared, found.fits) == (0, 0, None)


LIGHT = """
import sys
from crossbit.search.bm25 import Bm25, part_of
from crossbit.search.captions import Captions
from crossbit.search.searcher import open_for_one
with open_for_one(sys.argv[1]) as search:
    assert search("a level bar", where="row > 20").image
print(*sorted({"numba", "matplotlib", "lightning_fabric"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_single_search_loads_only_what_it_needs(run: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", LIGHT, run], check=True, timeout=120, capture_output=True, text=True)
    assert ran.stdout.split() == []


# --- results --------------------------------------------------------------------------------------------------------


def test_results_hold_all_that_there_is_to_know(search: Searcher) -> None:
    found = search("level bar", k=3)
    assert (found.query, found.compared, found.exact, found.fits, found.notes) == ("level bar", 75, True, None, ())
    assert found.seconds > 0
    assert found.image == found["image"] == tuple(found)
    assert (len(found), found.image[0].modality) == (3, "image")
    for hit in search("a level bar", k=75):
        words = [word for word in hit.item["caption"].split() if word == "level"]  # all captions hold "bar"
        labels = ["level"] if "level" in hit.item["labels"] else []
        assert hit.why == tuple(dict.fromkeys([*labels, *words]))


def test_an_item_shares_labels_and_words_with_what_it_finds(search: Searcher) -> None:
    given = arrays()
    own = {name for name, on in zip(NAMES, given["label"][30], strict=True) if on} | set(given["text"][30].split())
    idle = {"bar", "line", "number"}  # frequent, and no labels
    for hit in search(item=30, k=75):
        said = [*hit.item["labels"], *hit.item["caption"].split()]
        assert hit.why == tuple(dict.fromkeys(each for each in said if each in own - idle))


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        ("to the moon", {"to", "the"}),
        ("the red one", {"the", "one"}),  # red is frequent, and a label
        ("one to", set()),  # nothing rarer is asked for
        ("the one", {"the"}),  # in most captions: it never says anything
        ("unknown to", set()),  # a word of no caption is no reason
        ("月 的", {"的"}),
    ],
)
def test_frequent_words_are_no_reason_beside_others(words: str, idle: set[str]) -> None:
    said = [
        ("the " * (n % 4 > 0) + "one " * (n % 5 == 0) + "to " * (n % 6 == 0) + "的 " * (n % 7 == 0)) for n in range(210)
    ]
    captions = [f"{one}red" if n % 2 else f"{one}moon 月" if n == 100 else one or "x" for n, one in enumerate(said)]
    assert Bm25([part_of(captions)]).idle(frozenset(words_of(words)), frozenset(["red"])) == idle


def test_results_say_how_many_codes_were_compared(search: Searcher) -> None:
    assert search("a level bar", k=3).compared == 75
    assert search("a level bar", k=3, rerank=False).compared == 75
    assert search("a level bar", k=3, where="row > 70").compared == 19
    assert search(item=20, where="row > 70").compared == 2 * 19


def test_results_are_frozen_and_print_well(search: Searcher) -> None:
    found = search("a level bar", k=7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.image[0].distance = 0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.exact = False  # type: ignore[misc]
    title, *lines, last = repr(found).splitlines()
    assert title.startswith("<SearchResults for a level bar: 7 of 75 codes in ")
    assert [line.split()[:3] for line in lines] == [["image", "id", str(hit.id)] for hit in found.image[:5]]
    assert last == " image  ... 2 more>"
    with pytest.raises(AttributeError, match="no 'video'; searched: image"):
        found.video  # noqa: B018
    with pytest.raises(KeyError, match="was not searched"):
        found["text"]


def test_results_as_json(search: Searcher) -> None:
    found = search("a level bar", k=2)
    read = json.loads(json.dumps(found.to_dict()))
    assert set(read) == {"query", "seconds", "compared", "exact", "fits", "notes", "hits"}
    assert [hit["id"] for hit in read["hits"]["image"]] == [hit.id for hit in found.image]
    hit = read["hits"]["image"][0]
    assert hit["item"] == found.image[0].item and hit["caption"] == found.image[0].item["caption"]
    assert hit["labels"] == [{"name": name, "p": None, "given": True} for name in hit["item"]["labels"]]
    assert hit["bits"] == found.image[0].bits and hit["columns"] == {}


def test_a_modality_of_any_name_can_be_reached() -> None:
    results = SearchResults("fox", {"query": (), "notes": ()}, 0.0, compared=0, exact=True)
    assert (results["query"], results.query) == ((), "fox")


def test_notes_of_the_featuriser_are_for_the_user(search: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.model.featurisers["text"], "check_query", lambda text, found: [f"{text}: unknown"])
    assert search("a level bar").notes == ("a level bar: unknown",)


# --- open, closed, many threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
def test_an_index_is_opened_once(run: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    opened: list[str] = []

    def counted(path: str, **options: Any) -> Any:
        opened.append(Path(path).name)
        return open_index(path, **options)

    monkeypatch.setattr("crossbit.search.opened.open_index", counted)
    with (crossbit.open_search if at_once else open_for_one)(run) as search:
        assert opened == (["image.index", "text.index"] if at_once else [])
        for words in ("a level bar", "slanted line", "upright"):
            search(words)
        search(item=20)
    assert opened == ["image.index", "text.index"]


@pytest.mark.slow
def test_many_threads_share_a_searcher(search: Searcher, run: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in arrays()["image"][:5]]
    queries: list[dict[str, Any]] = [{"words": f"level bar number {n}", "where": f"row > {n}"} for n in range(10)]
    queries += [{"picture": picture, "rerank": False} for picture in pictures] + [{"item": 20 + n} for n in range(10)]
    with crossbit.open_search(run) as alone:
        expected = [alone(**query) for query in queries]
    start = threading.Barrier(8)

    def all_of_them(thread: int) -> list[SearchResults]:
        start.wait(30)
        order = np.random.default_rng(thread).permutation(len(queries))
        found = {number: search(**queries[number]) for number in order}
        return [found[number] for number in range(len(queries))]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(all_of_them, range(8))) == [expected] * 8


def test_a_slow_filter_holds_up_no_other_search(search: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one waits while its filter runs until the others are done."""
    begun, done = threading.Event(), threading.Event()
    real = stored.matching_ids

    def slow(*given: Any, **options: Any) -> Any:
        begun.set()
        assert done.wait(30)
        return real(*given, **options)

    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as changed:
            changed.setattr(stored, "matching_ids", slow)
            waiting = pool.submit(search, "a level bar", where="row > 20 -- slowly")
            assert begun.wait(30)
        assert search("a level bar").image
        assert search(item=20).text
        assert search("a level bar", where="row > 30").image
        assert not waiting.done()
        done.set()
        assert waiting.result(30) == search("a level bar", where="row > 20")


def test_a_filter_has_as_long_as_the_caller_says(search: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    real = stored.matching_ids
    noted = lambda *given, **options: (limits.append(given[2]), real(*given, **options))[1]  # noqa: E731
    monkeypatch.setattr(stored, "matching_ids", noted)
    for rerank in (True, False):
        where = f"row > 20 -- {rerank}"
        assert search("a level bar", where=where, rerank=rerank, time_limit_ms=60_000).image
    assert limits == 2 * [60_000]  # codes and captions have one evaluation
    with pytest.raises(UserError, match="time_limit_ms is 0"):
        search("a level bar", where="row > 20", time_limit_ms=0)


def test_a_process_may_open_a_run_twice(search: Searcher, run: Path) -> None:
    where = "normal(caption) = 'level bar number 3'"
    before = search("a level bar", where=where)
    with crossbit.open_search(run) as again:
        assert again("a level bar", where=where) == before
    assert search("a level bar", where=where) == before


def test_a_closed_search_says_so(run: Path) -> None:
    search = crossbit.open_search(run)
    assert search.search("a level bar").image
    search.close()
    search.close()
    with pytest.raises(UserError, match="is closed; open it again"):
        search("a level bar")


def test_what_is_not_there_is_told_before_anything_is_loaded(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run folder at .*nowhere"):
        crossbit.open_search(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=f"has no index at {tmp_path / 'index'}; make it with: crossbit index {run} --uri"
    ):
        crossbit.open_search(run, uri=tmp_path / "index")
    (tmp_path / "index").mkdir()
    with pytest.raises(UserError, match=r"no index at .*image\.index"):
        crossbit.open_search(run, uri=tmp_path / "index")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_in_one_line_and_leaves_the_parents_open(search: Searcher) -> None:
    before = search("a level bar")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            search("a level bar")
        except UserError as error:
            os.write(writing, str(error).encode())
        finally:
            search.close()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        assert "after a fork, open it again" in told.read()
    assert os.waitpid(child, 0)[1] == 0
    assert search("a level bar") == before


def test_a_searcher_says_what_it_is(search: Searcher, run: Path) -> None:
    assert repr(search) == f"<Searcher in {run / 'index'}: {search.model!r}>"


# --- several queries ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_queries_are_as_each_alone(search: Searcher) -> None:
    words, pictures = [str(text) for text in arrays()["text"][:4]], list(arrays()["image"][:4])
    assert search.many(words, k=3) == [search(text, k=3) for text in words]
    assert search.many(item=[15, 17]) == [search(item=15), search(item=17)]
    both = [search(text, picture=picture) for text, picture in zip(words, pictures, strict=True)]
    assert search.many(words, picture=pictures) == both
    assert search.many([]) == []


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ({}, "many queries need a list, or lists of one length; got none"),
        ({"words": "fox"}, "many queries are a list of words, got str 'fox'"),
        ({"words": ["fox"], "item": [1, 2]}, "got 1 of words and 2 of item"),
        ({"item": [15, 3]}, "query 1: no item 3"),
    ],
)
def test_many_queries_that_cannot_be(search: Searcher, queries: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        search.many(**queries)
