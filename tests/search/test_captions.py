"""Captions searched by their words: scores, fusion with the codes, an index that grows, what is said."""

from __future__ import annotations

import math
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossbit
from crossbit.bits import pack
from crossbit.bits.labels import as_matrix
from crossbit.data import load_data
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.index.local import LocalIndex
from crossbit.index.runs import SortedCodes
from crossbit.model import Model
from crossbit.search import opened
from crossbit.search.bm25 import Bm25, part_of
from crossbit.search.build import add_data, index_data, index_path
from crossbit.search.captions import Captions, text_of
from crossbit.search.fusion import Found, fused
from crossbit.search.items import items_of
from crossbit.search.known import learn_from_run
from crossbit.search.opened import OpenIndex
from crossbit.search.query import Query, query_of
from crossbit.search.searcher import Searcher
from crossbit.storage.words import words_of
from tiny import NAMES, arrays

# --- scores -----------------------------------------------------------------------------------------------------------


def slow_scores(texts: list[str], query: set[str]) -> list[float]:
    """BM25 with loops, as in its definition."""
    split = [text.split() for text in texts]
    mean = sum(map(len, split)) / len(split)
    scores = []
    for words in split:
        score = 0.0
        for word in query:
            holding = sum(word in other for other in split)
            rarity = math.log(1 + (len(split) - holding + 0.5) / (holding + 0.5))
            often = words.count(word)
            score += rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores.append(score)
    return scores


texts = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@pytest.mark.slow
@given(texts, st.sets(st.sampled_from("abcde"), min_size=1), st.integers(0, 12), st.data())
def test_scores_are_those_of_the_definition_in_parts_and_with_texts_gone(
    texts: list[str], query: set[str], cut: int, data: st.DataObject
) -> None:
    alive = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))))
    alive[0] = True
    expected = np.zeros(len(texts))
    expected[alive] = slow_scores([text for text, there in zip(texts, alive, strict=True) if there], query)
    found, scores = Bm25([part_of(texts[:cut]), part_of(texts[cut:])], alive).search(sorted(query), len(texts))
    assert set(found.tolist()) == set(np.flatnonzero(expected).tolist())
    np.testing.assert_allclose(scores, expected[found], rtol=1e-12)
    assert (np.diff(scores) <= 0).all()
    some = np.flatnonzero(alive)[::-1]
    of_some = Bm25([part_of(texts[:cut]), part_of(texts[cut:])], alive).scores(sorted(query), some)
    np.testing.assert_allclose(of_some, expected[some], rtol=1e-12)


@pytest.mark.parametrize("query", [{"a"}, {"zebu"}, {"zebu", "a"}, {"zebu", "yak"}])
def test_words_of_few_and_of_many_texts_are_scored_alike(query: set[str]) -> None:
    texts = ["a zebu and a zebu", *["a b"] * 99, "zebu yak", *["c"] * 99]
    expected = np.array(slow_scores(texts, query))
    found, scores = Bm25([part_of(texts[:70]), part_of(texts[70:])]).search(query, len(texts))
    assert found.tolist() == np.argsort(-expected.round(9), kind="stable")[: np.count_nonzero(expected)].tolist()
    np.testing.assert_allclose(scores, expected[found], rtol=1e-12)
    limited = Bm25([part_of(texts)]).search(query, 5, np.arange(len(texts)) > 50)[0]
    assert limited.tolist() == [row for row in found.tolist() if row > 50][:5]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_by_rare_words_are_those_of_all_texts(seed: int) -> None:
    drawn, words = np.random.default_rng(seed), np.array(["the", "in", "fox", "zebu", "yak"])
    shares = np.array([0.8, 0.5, 0.03, 0.02, 0.01])
    texts = [" ".join(words[drawn.random(5) < shares]) for _ in range(1500)]
    alive = drawn.random(1500) < (0.9 if seed % 2 else 1.1)
    bm25, query = Bm25([part_of(texts[:600]), part_of(texts[600:])], alive), list(words[: 3 + seed % 3])
    among = drawn.random(1500) < 0.8 if seed % 3 else None
    everything, scores = bm25.search(query, 1500, among)
    pruned = 0
    for k in (1, 5, 20):
        found, near = bm25.search(query, k, among)
        assert found.tolist() == everything[:k].tolist() and near.tolist() == scores[:k].tolist()
        pruned += bm25._likely(query, k, among) is not None
    assert pruned


def test_the_best_are_found_and_equals_are_in_their_order() -> None:
    bm25 = Bm25([part_of(["a b", "a", "a", "c", "a"])])
    assert bm25.search(["a"], 2)[0].tolist() == [1, 2]
    assert bm25.search(["a"], 2, np.array([True, False, False, True, True]))[0].tolist() == [4, 0]
    assert bm25.search(["z"])[0].tolist() == [] and not bm25.knows("z")


# --- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_words_of_their_items_but_those_that_the_run_holds_to_be_wrong(tmp_path: Path) -> None:
    held = arrays(160, 15)
    held["text"] = np.array([f"number {row % 7}" for row in range(160)])  # no caption says what it is
    wrong = np.arange(20, 30)
    truth = held["label"].copy()
    held["label"][wrong] = np.roll(truth[wrong], 1, axis=-1) if truth.ndim == 2 else (truth[wrong] + 1) % 3
    np.savez(tmp_path / "toy.npz", **held)
    data = load_data(tmp_path / "toy.npz")
    model = crossbit.train(data, method="look", bits=16, epochs=1, settings={"width": 16}, progress=False)
    index_data(model, data, tmp_path / "index")
    with Searcher(model, tmp_path / "index") as search:
        believed_all = {name: set(rows(search, name, by="words", k=160)) for name in NAMES}
    learn_from_run(model, data, tmp_path / "index")
    has = as_matrix(np.asarray(data.label), 3) > 0
    disbelieved = 0
    with Searcher(model, tmp_path / "index") as search:
        image = search.opened("image")
        ids = image.index.keys()
        items, likely = image.index.items(ids), dict(zip(ids.tolist(), image.probabilities.of(ids), strict=True))
        for column, name in enumerate(NAMES):
            given = {
                items[id_]["row"]: likely[id_].get(name, 1.0) for id_ in ids.tolist() if has[items[id_]["row"], column]
            }
            assert believed_all[name] == set(given)
            assert set(rows(search, name, by="words", k=160)) == {row for row, p in given.items() if p >= 0.5}
            disbelieved += sum(p < 0.5 for p in given.values())
    assert disbelieved >= 5  # of ten wrong ones


def test_how_well_texts_match_stays_right_when_items_come_and_go(model: Model, data: PairedData, uri: Path) -> None:
    with LocalIndex(index_path(uri, "image")) as index:
        ids, items = index.keys(), index.items(index.keys())
        captions = Captions(index)
    words = frozenset({"upright", "bar", "zebu"})
    texts = {id_: text_of(items[id_]) for id_ in ids.tolist()}
    for gone, new in (([], {}), ([ids[3], ids[8]], {int(ids[3]): "a zebu", -5: "upright zebu bar"}), ([-5], {})):
        captions = captions.changed(np.array(gone, np.int64), np.array(list(new), np.int64), list(new.values()))
        texts = {id_: text for id_, text in texts.items() if id_ not in gone} | new
        some = np.array([*texts, 10**12], np.int64)[::-1]
        fresh = Bm25([part_of(list(texts.values()))])
        expected = [0.0, *fresh.scores(sorted(words), np.arange(len(texts)))[::-1] / fresh.most(words)]
        np.testing.assert_allclose(captions.match(words, some), expected, rtol=1e-12)


# --- fusion -----------------------------------------------------------------------------------------------------------


def hits(*ids: int) -> list[Found]:
    return [(id_, 0, None) for id_ in ids]


@given(
    st.permutations(range(12)),
    st.permutations(range(6, 18)),
    st.lists(st.integers(0, 5), min_size=18, max_size=18),
    st.lists(st.integers(0, 8), min_size=18, max_size=18),
)
def test_hits_are_fused_by_likeness(codes: list[int], words: list[int], likeness: list[int], shows: list[int]) -> None:
    like, things = dict(enumerate(map(float, likeness))), dict(enumerate(shows))
    found = fused({"words": hits(*words), "codes": hits(*codes)}, things, likeness=like)
    order = sorted(range(18), key=lambda id_: (-like[id_], id_))
    expected = [id_ for at, id_ in enumerate(order) if things[id_] not in [things[one] for one in order[:at]]]
    assert [hit.found[0] for hit in found] == expected
    for hit in found:
        same = {id_ for id_ in range(18) if things[id_] == things[hit.found[0]]}
        assert hit.more == len(same) - 1
        assert hit.by == tuple(way for way, ids in (("words", words), ("codes", codes)) if same & set(ids))


def test_hits_of_one_way_stay_in_its_order_and_hits_of_one_thing_are_one() -> None:
    assert [hit.found[0] for hit in fused({"codes": hits(5, 1, 3)}, {1: 1, 3: 3, 5: 5}, most=2)] == [5, 1]
    merged = fused({"codes": hits(1, 2, 3), "words": hits(2, 4)}, {1: "a", 2: "a", 4: "a", 3: "b"})
    assert [(hit.found[0], hit.by, hit.more) for hit in merged] == [(1, ("codes", "words"), 2), (3, ("codes",), 0)]


def test_groups_have_names_that_they_keep_when_data_grow(data: PairedData) -> None:
    numbers = np.arange(90)
    numbers[[30, 40]] = 20
    grouped = items_of(data.replace(group=numbers), np.array([20, 30, 31]))["group"]
    assert grouped == ["20.png", "20.png", None]
    assert items_of(data.replace(group=(numbers + 7) % 97), np.array([20, 30, 31]))["group"] == grouped
    assert items_of(data.replace(group=numbers, path=None), np.array([20, 31]))["group"] == [20, 31]


# --- in an index ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexed(model: Model, data: PairedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed") / "index"
    index_data(model, data, folder, rows=np.arange(15, 60))
    return folder


@pytest.fixture
def uri(indexed: Path, tmp_path: Path) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copytree(indexed, tmp_path / "index"))


def rows(search: Searcher, words: str, **options: object) -> list[int]:
    return [hit.item["row"] for hit in search(words, **options).image]  # type: ignore[arg-type]


def test_a_caption_is_found_by_its_words(model: Model, data: PairedData, uri: Path) -> None:
    with Searcher(model, uri) as search:
        for row in (20, 33, 59):
            caption = str(data["text"][row])
            same = [other for other in range(15, 60) if set(words_of(data["text"][other])) == set(words_of(caption))]
            assert sorted(rows(search, caption, by="words")[: len(same)]) == same
            assert rows(search, caption, by="words", where=f"row = {row}") == [row]
            hit = search(caption, by="words").image[0]
            assert hit.by == ("words",) and hit.cosine is not None
            coded = {hit.id: hit for hit in search(caption, by="codes", k=45).image}[hit.id]
            assert hit.distance == coded.distance and hit.cosine == pytest.approx(coded.cosine)


def test_what_holds_a_typed_word_is_found_by_words_also_beyond_the_best(
    model: Model, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "DEPTH", 4)
    monkeypatch.setattr(opened, "TEXTS", 4)
    with Searcher(model, uri) as search:
        held = len(search("level", modality="image", by="words", k=45).image)
        hits = search("level", modality="image", k=8).image
        assert held >= 2 * len(hits) and any("codes" in hit.by for hit in hits)
        assert all(("words" in hit.by) == ("level" in str(hit.item["caption"])) for hit in hits)
        assert all(hit.by == ("codes",) for hit in search("level", modality="image", by="codes", k=8).image)


@pytest.mark.parametrize(("typed", "written"), [("zebras", "zebra"), ("zebra", "zebras"), ("two foxes", "a fox")])
def test_a_plural_finds_the_singular_and_back(
    typed: str, written: str, model: Model, data: PairedData, uri: Path
) -> None:
    texts = data["text"].astype("<U30")
    texts[70] = written
    add_data(model, data.replace(modalities={**data.modalities, "text": texts}), uri, rows=np.arange(60, 80))
    with Searcher(model, uri) as search:
        found = search(typed)
        assert rows(search, typed, by="words") == [70] and found.image[0].item["row"] == 70
        assert found.image[0].why == (written.split()[-1],)
        assert not any(typed in note and "nearest" in note for note in found.notes)


def test_beside_a_picture_the_likest_of_all_that_hold_the_words_comes_first(
    model: Model, data: PairedData, tmp_path: Path
) -> None:
    rows_ = np.arange(15, 60)
    texts = np.array(
        [f"zebra {'beside many other things ' * (row // 2 % 4)}" if row % 2 else "a yak" for row in range(90)]
    )
    index_data(model, data.replace(modalities={**data.modalities, "text": texts}), tmp_path / "index", rows=rows_)
    with Searcher(model, tmp_path / "index") as search:
        held = {row: [] for row in (1, 0)}
        for hit in search("zebra", picture=data["image"][3], modality="image", k=45).image:
            held["zebra" in str(hit.item["caption"])].append(hit.cosine)
        assert len(held[True]) == sum(row % 2 for row in rows_)
        assert held[True] == sorted(held[True], reverse=True)
        alone = search("zebra", modality="image", by="words", k=3).image
        assert {str(hit.item["caption"]).strip() for hit in alone} == {"zebra"}  # without one, those that say no more
    texts_held = Bm25([part_of(["a red fox", "foxes", "a car"])])
    share = texts_held.coverage(["fox", "red"], np.array([0, 1, 2]))
    assert share[0] == 1 and 0 < share[1] < 0.5 and share[2] == 0  # red is rarer


class Written:
    """Captions that hold these words."""

    def __init__(self, *words: str) -> None:
        self.texts = Bm25([part_of([" ".join(words), "gone"])], np.array([True, False]))

    def knows(self, word: str) -> bool:
        return self.texts.knows(word)

    def near(self, word: str) -> list[str]:
        return self.texts.near(word)


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        (("bar", "levels"), ()),
        (("bar", "leveel"), ("'level' is not a word of any caption or label; nearest: leveel",)),
        (("barn", "levy"), ()),  # too short, and too unlike
        ((), ()),
    ],
)
def test_a_word_that_no_text_holds_is_told_with_what_may_be_meant(
    model: Model, written: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    """The model knows both words, as one that knows what words mean knows any."""
    assert query_of(model, "level bar", None, Written(*written)).notes == notes
    assert query_of(model, "level bar", None).notes == ()
    assert Written("one").near("gonee") == []  # the text that holds it is no longer there


def test_a_text_of_a_thousand_misspelt_words_costs_no_more_than_of_five(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.featurisers["text"], "check_query", lambda row, found: [])  # as one that reads any word
    asked: list[str] = []
    written = Written("guitar")
    monkeypatch.setattr(written, "near", lambda word: asked.append(word) or ["guitar"])
    notes = query_of(model, " ".join(f"gutar{number}" for number in range(1000)) + " bar", None, written).notes
    assert len(notes) == len(asked) == 5 and notes[0].endswith("nearest: guitar")


def test_the_number_that_is_typed_comes_first_and_the_other_next() -> None:
    bm25 = Bm25([part_of(["a dog", "two dogs", "dog and dogs", "a cat"])])
    for grown in (bm25, bm25.grown(part_of(["dogs alone", "one dog"]), np.ones(6, bool))):
        for typed in ("dog", "dogs"):
            found, scores = grown.search([typed], 9)
            exact = [row for row in found.tolist() if row in ({0, 2, 5} if typed == "dog" else {1, 2, 4})]
            assert found.tolist()[: len(exact)] == exact and 3 not in found and len(found) == len(grown.alive) - 1
            np.testing.assert_allclose(grown.scores([typed], found), scores)
            assert grown.holders(typed) == len(found) and grown.most([typed]) >= scores[0]
    assert bm25.idle(frozenset(["dogs", "cat"]), frozenset()) == {"dogs"}  # three of four texts have one of its numbers
    assert bm25.idle(frozenset(["dogs", "cat"]), frozenset(["dog"])) == frozenset()


def test_what_is_kept_of_words_in_both_numbers_stays_small_and_right() -> None:
    names = [first + last for first in "bdfgkl" for last in ("ear", "ong", "ird")]
    texts = [f"{name} {names[at - 1]}s" for at, name in enumerate(names)] * 3
    one = Bm25([part_of(texts)])
    for turn in range(2):
        for name in [*names, *(f"{name}s" for name in names), *(f"x{number}" for number in range(200))]:
            found, scores = one.search([name], 60)
            fresh, expected = Bm25([part_of(texts)]).search([name], 60)
            assert found.tolist() == fresh.tolist() and scores.tolist() == expected.tolist(), (turn, name)
        kept = [len(rows) for rows, _ in one._both.values()]
        assert sum(kept[:-1]) <= len(texts) and min(kept) > 0  # and nothing of words that no text holds


def test_a_plural_that_the_model_knows_as_singular_is_encoded_so(model: Model, uri: Path) -> None:
    with Searcher(model, uri) as search:
        one, many = (search(words, by="codes", k=5) for words in ("level bar", "level bars"))
        assert [(hit.id, hit.cosine) for hit in many.image] == [(hit.id, hit.cosine) for hit in one.image]
        assert many.query == "level bars" and many.notes == ()
        assert many.fits == one.fits


def test_what_is_added_changed_or_removed_later_is_found_as_it_is_then(
    model: Model, data: PairedData, uri: Path
) -> None:
    texts = data["text"].astype("<U30")
    texts[[20, 70]] = ["a zebu alone", "one more zebu"]
    later = data.replace(modalities={**data.modalities, "text": texts})
    add_data(model, later, uri, rows=np.arange(15, 80))
    with Searcher(model, uri) as search:
        assert sorted(rows(search, "zebu", by="words")) == [20, 70]
        assert 20 not in rows(search, "bar number", by="words", k=80)
        assert data.label is not None
        label = NAMES[int(np.argmax(data.label[20]) if data.label.ndim == 2 else data.label[20])]
        assert 20 in rows(search, label, by="words", k=80)
    with LocalIndex(index_path(uri, "image")) as index:
        gone = [id_ for id_, item in index.items(index.keys()).items() if item["row"] == 70]
        index.remove(gone)
        index.add([5], index.codes_of(index.keys()[:1]), items=[{"caption": "a yak", "row": 500}])
        assert Captions(index).knows("yak")
    with Searcher(model, uri) as search:
        assert rows(search, "zebu", by="words") == [20]
        assert rows(search, "yak", by="words", rerank=False) == [500]


CHANGES: list[tuple[list[int], dict[int, tuple[str, int]]]] = [  # what is removed; what is added, or replaced
    ([], {}),
    ([3, 8], {}),
    ([], {1: ("a fox", 1), 99: ("a fox", 1), -7: ("a fox", 9)}),  # before, among and after the others
    ([99], {5: ("a car", 1), 6: ("a fox", 9), 7: ("a fox", 1)}),
]


def test_a_filter_finds_captions_as_they_are_after_each_change(tmp_path: Path) -> None:
    rng, query = np.random.default_rng(0), Query("fox", np.zeros(16), words=frozenset(["fox"]))
    items = {id_: (("a fox", "a car")[id_ % 2], id_ % 3) for id_ in range(2, 40)}
    with LocalIndex(index_path(tmp_path, "image"), bits=16) as local:
        for ids in np.split(rng.permutation(list(items)), [9]):  # in two parts, and in another order than the ids
            embeddings, (said, size) = rng.normal(size=(len(ids), 16)), zip(*map(items.get, ids.tolist()), strict=True)
            local.add(ids, pack(embeddings), {"caption": list(said), "size": list(size)}, embeddings=embeddings)
    with closing(OpenIndex(str(tmp_path), "image", {"name": "a", "hash": "b"}, 16, grows=True)) as index:
        for removed, added in CHANGES:
            told = [{"caption": said, "size": size} for said, size in added.values()]
            index.change(np.array(removed, np.int64), np.array([*added]), rng.normal(size=(len(added), 16)), told)
            items = {id_: item for id_, item in (items | added).items() if id_ not in removed}
            right = {id_ for id_, (said, size) in items.items() if said == "a fox" and size == 1}
            for without in (None, np.array([4, 1, 1000]), None):
                limits: dict[str, Any] = {"where": "size = 1", "time_limit_ms": 10_000, "without": without}
                found = index.search(query, 50, ["words"], rerank=False, **limits).hits
                assert {hit.id for hit in found} == right - set([] if without is None else without.tolist())


def test_a_filter_that_is_repeated_does_not_look_up_all_ids(
    model: Model, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Searcher(model, uri) as search:
        expected = rows(search, "level bar", where="row < 40", by="words")
        find, many = SortedCodes.find, []
        monkeypatch.setattr(SortedCodes, "find", lambda self, ids: (many.append(len(ids)), find(self, ids))[1])
        assert rows(search, "level bar", where="row < 40", by="words") == expected
        assert max(many) < 45  # those of hits, not of all texts


@pytest.mark.parametrize("damage", ["missing", "cut off", "another file"])
def test_captions_without_their_file_are_read_from_the_items(
    model: Model, data: PairedData, uri: Path, damage: str
) -> None:
    with Searcher(model, uri) as search:
        expected = rows(search, "a level bar", by="words", k=45)
    (file,) = (uri / "image.captions").iterdir()
    content = {"cut off": file.read_bytes()[:200], "another file": b"no captions"}
    file.unlink() if damage == "missing" else file.write_bytes(content[damage])
    with Searcher(model, uri) as search:
        assert rows(search, "a level bar", by="words", k=45) == expected


@pytest.mark.slow
def test_a_word_of_captions_alone_is_known(model: Model, data: PairedData, uri: Path) -> None:
    texts = data["text"].astype("<U30")
    texts[20] = "ǃxóõ"
    add_data(model, data.replace(modalities={**data.modalities, "text": texts}), uri, rows=np.arange(15, 60))
    with Searcher(model, uri) as search:
        found = search("ǃxóõ")
        assert [(hit.item["row"], hit.by, hit.distance, hit.bits) for hit in found.image] == [
            (20, ("words",), None, None)
        ]
        assert search("ǃxóõ", not_this=[found.image[0].id]).image == ()
        assert found.notes[0].endswith("found by words alone") and found.image[0].to_dict()["distance"] is None
        both = search("level ǃxóõ")
        assert not both.notes and 20 in [hit.item["row"] for hit in both.image[:8]]
        with pytest.raises(UserError, match="knows no word of 'ǃǃwq'"):
            search("ǃǃwq")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"words": "a bar", "by": "captions"}, "unknown by 'captions'"),
        ({"picture": arrays()["image"][3], "by": "words"}, "looked for in captions and labels"),
    ],
)
def test_ways_that_cannot_be_searched_are_told(model: Model, uri: Path, query: dict[str, object], words: str) -> None:
    with Searcher(model, uri) as search, pytest.raises(UserError, match=words):
        search(**query)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_index_without_captions_says_so(model: Model, data: PairedData, uri: Path) -> None:
    for modality in ("image", "text"):
        with LocalIndex(index_path(uri, modality)) as index:
            keys = index.keys()
            index.add(keys, index.codes_of(keys), replace=True, embeddings=index.embeddings.of(keys))  # type: ignore[union-attr]
    with Searcher(model, uri) as search:
        with pytest.raises(
            UserError, match=r"have neither captions nor labels, so by=words finds none; take by=codes$"
        ):
            search("a level bar", by="words")
        assert {hit.by for hit in search("a level bar").image} == {("codes",)}
