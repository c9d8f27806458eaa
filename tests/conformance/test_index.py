"""What every index does, whatever is behind it: run over all backends that `crossbit.index` finds.

A backend with the scheme `x` brings a fixture `x_uri`: a function that gives the address of an index that is not there
yet; and a fixture `x_index`: an empty one for codes of 24 bits. One that is missing is an error, not a skipped test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import Index, backends, open_index
from crossbit.index.milvus.index import MilvusIndex
from milvus_server import MilvusServer

BITS = 24
BACKENDS = ["file", *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(backends()) if name != "file")]
Model = dict[int, tuple[np.ndarray, dict[str, Any]]]  # what an index should hold: id -> code, item


@pytest.fixture
def file_uri(tmp_path: Path) -> Callable[[], str]:
    names = iter(range(1000))
    return lambda: str(tmp_path / f"{next(names)}.duckdb")


@pytest.fixture(params=BACKENDS)
def uri(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_uri")()


@pytest.fixture(params=BACKENDS)
def index(request: pytest.FixtureRequest) -> Index:
    return request.getfixturevalue(f"{request.param}_index")


@pytest.fixture
def file_index(file_uri: Callable[[], str]) -> Iterator[Index]:
    with open_index(file_uri(), bits=BITS) as opened:
        yield opened


@pytest.fixture
def milvus_index(milvus_server: MilvusServer) -> Iterator[Index]:
    """One collection for many tests, emptied after each: to make one takes seconds."""
    with open_index(f"{milvus_server.uri}/for_many_tests", bits=BITS) as opened:
        yield opened
        assert isinstance(opened, MilvusIndex)
        opened.clear()


def codes_of(*values: int) -> np.ndarray:
    """Codes of 24 bits, each the binary digits of a number."""
    return np.array([list(value.to_bytes(3, "big")) for value in values], np.uint8).reshape(-1, 3)


def slow_search(model: Model, query: np.ndarray, k: int) -> list[tuple[int, int, dict[str, Any]]]:
    found = [
        (sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(code, query, strict=True)), id, item)
        for id, (code, item) in model.items()
    ]
    return [(id, distance, item) for distance, id, item in sorted(found, key=lambda hit: hit[:2])[:k]]


def test_results_are_ordered_by_distance_then_id(index: Index) -> None:
    index.add([30, 10, 20, 5], codes_of(1, 1, 3, 0xFFFFFF), items=[{"name": name} for name in "abcd"])
    hits = index.search(codes_of(1, 3), k=3)
    np.testing.assert_array_equal(hits.ids, [[10, 30, 20], [20, 10, 30]])
    np.testing.assert_array_equal(hits.distances, [[0, 0, 1], [0, 1, 1]])
    assert hits[0] == [(10, 0, {"name": "b"}), (30, 0, {"name": "a"}), (20, 1, {"name": "c"})]
    assert len(hits) == 2
    assert list(hits) == [hits[0], hits[1]]
    assert hits[-1] == hits[1]
    with pytest.raises(IndexError):
        hits[2]


def test_fewer_codes_than_k_leave_minus_one(index: Index) -> None:
    index.add([7], codes_of(1))
    hits = index.search(codes_of(0), k=3)
    np.testing.assert_array_equal(hits.ids, [[7, -1, -1]])
    np.testing.assert_array_equal(hits.distances, [[1, -1, -1]])
    assert hits[0] == [(7, 1, {})]


def test_an_empty_index_and_no_queries_are_defined(index: Index) -> None:
    hits = index.search(codes_of(0, 1), k=2)
    assert (hits.ids == -1).all()
    assert list(hits) == [[], []]
    assert len(index) == 0
    assert index.search(codes_of(), k=2).ids.shape == (0, 2)
    index.add([], codes_of())
    index.remove([])
    assert len(index) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_a_dict_through_adds_replacements_and_removals(index: Index, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model: Model = {}
    for step in range(25):
        ids = rng.choice(60, rng.integers(1, 12), replace=False) - 20  # negative ids are ids too
        if step % 3 == 2:
            index.remove(ids, missing_ok=True)
            model = {id: row for id, row in model.items() if id not in ids}
        else:
            codes = rng.integers(0, 256, (len(ids), BITS // 8), dtype=np.uint8)
            items = [{"step": step, "name": None if id % 7 == 0 else f"no {id}"} for id in ids.tolist()]
            index.add(ids, codes, items=items, replace=True)
            model |= {id: (code, item) for id, code, item in zip(ids.tolist(), codes, items, strict=True)}
        query = rng.integers(0, 256, (2, BITS // 8), dtype=np.uint8)
        hits = index.search(query, k=9)
        assert [hits[row] for row in range(2)] == [slow_search(model, code, 9) for code in query]
        some = {id: row for id, row in model.items() if id > 3 and row[1]["name"] is not None}
        assert index.search(query, k=9, where="id > 3 AND name IS NOT NULL")[0] == slow_search(some, query[0], 9)
    assert len(index) == len(model) > 0
    for id, (code, item) in model.items():
        assert id in index
        np.testing.assert_array_equal(index[id][0], code)
        assert index[id][1] == item


def test_ids_that_are_there_are_refused_and_nothing_is_added(index: Index) -> None:
    index.add([1, 2], codes_of(1, 2))
    with pytest.raises(UserError, match=r"id 2 .*already.*replace"):
        index.add([3, 2], codes_of(3, 4))
    assert 3 not in index
    np.testing.assert_array_equal(index[2][0], codes_of(2)[0])


def test_replacing_replaces_code_and_item(index: Index) -> None:
    index.add([1, 2], codes_of(1, 2), items=[{"name": "a", "size": 1}, {"name": "b", "size": 2}])
    index.add([2, 3], codes_of(9, 3), items=[{"name": "new"}, {"name": "c"}], replace=True)
    assert index.search(codes_of(9), k=1)[0] == [(2, 0, {"name": "new", "size": None})]
    assert len(index) == 3


def test_an_id_twice_in_one_call_is_refused(index: Index) -> None:
    with pytest.raises(UserError, match="id 4 is there twice"):
        index.add([4, 5, 4], codes_of(1, 2, 3), replace=True)
    assert len(index) == 0


@pytest.mark.parametrize("ids", [[1.5], ["a"], [[1]], 5, [True], [2**63], [None]])
def test_ids_are_whole_numbers_of_64_bits(index: Index, ids: Any) -> None:
    with pytest.raises(UserError, match=r"ids are whole numbers"):
        index.add(ids, codes_of(1))


def test_the_widest_ids_work(index: Index) -> None:
    ends = [-(2**63), index.largest_id]
    index.add(ends, codes_of(1, 1))
    assert index.search(codes_of(1), k=2).ids.tolist() == [ends]
    assert all(end in index for end in ends)
    assert 2**63 not in index
    assert "a" not in index


def test_removing_what_is_not_there(index: Index) -> None:
    index.add([1, 2, 3], codes_of(1, 2, 3))
    with pytest.raises(UserError, match="id 9 is not in"):
        index.remove([1, 9])
    assert 1 in index
    index.remove([1, 9], missing_ok=True)
    assert 1 not in index
    del index[2]
    with pytest.raises(KeyError):
        del index[2]
    with pytest.raises(KeyError):
        index[2]
    assert index.search(codes_of(0), k=5).ids.tolist() == [[3, -1, -1, -1, -1]]


def test_items_come_back_as_they_were(index: Index) -> None:
    items = [
        {"name": "ünïcode 'quoted' \"twice\"", "size": 2**62, "score": 0.1, "good": True, "tags": ["a", "b c"]},
        {"name": None, "size": None, "score": None, "good": None, "tags": None},
        {"name": "", "size": -1, "score": -1e300, "good": False, "tags": []},
        None,
    ]
    index.add([1, 2, 3, 4], codes_of(1, 2, 3, 4), items=items)
    missing = dict.fromkeys(items[0])
    assert [index[id][1] for id in (1, 2, 3, 4)] == [items[0], missing, items[2], missing]


def test_columns_may_be_given_whole_and_come_later(index: Index) -> None:
    index.add([1, 2], codes_of(1, 2), items={"size": np.array([3, 4]), "name": ["a", "b"]})
    index.add([3], codes_of(3), items=[{"score": 0.5, "name": "c"}])
    assert index[2][1] == {"size": 4, "name": "b", "score": None}
    assert index[3][1] == {"size": None, "name": "c", "score": 0.5}
    assert index.search(codes_of(0), where="score > 0")[0] == [(3, 2, index[3][1])]


def test_a_value_of_another_type_than_its_column_is_refused(index: Index) -> None:
    index.add([1], codes_of(1), items=[{"year": 1990}])
    with pytest.raises(UserError, match=r"column 'year' holds int, got str: 'unknown'"):
        index.add([2], codes_of(2), items=[{"year": "unknown", "fresh": 1}])
    assert len(index) == 1
    assert index[1][1] == {"year": 1990}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{}], "1 of them for 2 ids"),
        ({"a": [1]}, "column 'a' must have 2 values"),
        ([{"a": 1}, 5], "a dict of values or None, got 5"),
        ([{"a": 1}, {"a": "x"}], "column 'a' mixes int and str"),
        ([{"a": 1}, {"a": True}], "column 'a' mixes bool and int"),
        ([{"a": {}}, {}], "values are int, float, bool, str, list of str or None"),
        ([{"a": ["x", 1]}, {}], "lists of str, one of them holds 1"),
        ([{"a": ["x", None]}, {}], "lists of str, one of them holds None"),
        ([{"a": 2**63}, {}], "beyond 64 bits"),
        ([{"a": "\ud800"}, {}], "not valid Unicode"),
        ([{"id": 1}, {}], "'id' is taken"),
        ([{"": 1}, {}], "printable text"),
        ([{"a": 1, "A": 1}, {}], "'a' and 'A' differ only by case"),
    ],
)
def test_items_that_cannot_be(index: Index, items: Any, words: str) -> None:
    with pytest.raises(UserError) as error:
        index.add([1, 2], codes_of(1, 2), items=items)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(index) == 0


def test_where_narrows_the_search(index: Index) -> None:
    index.add(
        range(6), codes_of(*range(6)), items=[{"size": i, "tags": ["even"] if i % 2 == 0 else []} for i in range(6)]
    )
    hits = index.search(codes_of(0), k=4, where="list_contains(tags, 'even') AND size > 0")
    assert hits.ids.tolist() == [[2, 4, -1, -1]]
    assert index.search(codes_of(0), where="size IS NULL").ids.max() == -1


def test_a_wrong_where_names_the_columns(index: Index) -> None:
    index.add([1], codes_of(1), items=[{"size": 1}])
    for where in ("seize > 1", "size >", "size > 'many'"):
        with pytest.raises(UserError, match=r"^[^\n]*\bid, size\b[^\n]*$"):
            index.search(codes_of(0), where=where)


@pytest.mark.parametrize("k", [3, 8192, 10**9, 2**62, 10**30])
def test_a_k_beyond_all_bounds_takes_no_memory(index: Index, k: int) -> None:
    index.add([7, 8], codes_of(1, 3))
    hits = index.search(codes_of(1), k=k)
    assert hits.ids.shape == hits.distances.shape == (1, min(k, 8192))
    assert hits[0] == [(7, 0, {}), (8, 1, {})]
    assert (hits.ids[0, 2:] == -1).all()


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "9"])
def test_k_is_at_least_one(index: Index, k: Any) -> None:
    with pytest.raises(UserError, match=r"k is .* at least 1"):
        index.search(codes_of(0), k=k)


def test_codes_of_another_length_are_refused(index: Index) -> None:
    other = np.zeros((1, 4), np.uint8)
    for call in (lambda: index.add([1], other), lambda: index.search(other)):
        with pytest.raises(UserError, match=r"32 bits.*24"):
            call()
    with pytest.raises(UserError, match="2 codes for 1 ids"):
        index.add([1], codes_of(1, 2))


def test_what_was_added_is_there_when_opened_again(uri: str) -> None:
    with open_index(uri, bits=BITS) as index:
        index.add([2, 1], codes_of(2, 1), items=[{"name": "b"}, {"name": "a"}])
    with open_index(uri) as index:
        assert index.bits == BITS
        assert index.search(codes_of(1), k=2)[0] == [(1, 0, {"name": "a"}), (2, 2, {"name": "b"})]
        with pytest.raises(UserError, match="already"):
            index.add([1], codes_of(1))
    with pytest.raises(UserError, match=r"24 bits, not 32"):
        open_index(uri, bits=32)


def test_an_index_is_made_by_its_first_add(uri: str) -> None:
    with pytest.raises(UserError, match="no index"):
        open_index(uri, read_only=True)
    with pytest.raises(UserError, match="12 bits"):
        open_index(uri, bits=12)
    with open_index(uri) as index:
        assert len(index) == 0
        index.add([1], np.zeros((1, 4), np.uint8))
        assert index.bits == 32


def test_read_only_refuses_changes(uri: str) -> None:
    with open_index(uri, bits=BITS) as index:
        index.add([1], codes_of(1), items=[{"name": "a"}])
    with open_index(uri, read_only=True) as index:
        assert index.search(codes_of(1), where="name = 'a'")[0] == [(1, 0, {"name": "a"})]
        for change in (lambda: index.add([2], codes_of(2)), lambda: index.remove([1])):
            with pytest.raises(UserError, match="read-only"):
                change()


def test_after_closing_every_use_is_refused(uri: str) -> None:
    index = open_index(uri, bits=BITS)
    index.add([1], codes_of(1))
    hits = index.search(codes_of(1), k=1)
    index.close()
    index.close()
    for use in (lambda: len(index), lambda: 1 in index, lambda: index.search(codes_of(1)), lambda: hits[0]):
        with pytest.raises(UserError, match="closed"):
            use()


def test_ids_are_what_an_index_iterates_over(index: Index) -> None:
    assert list(index) == index.keys().tolist() == []
    index.add([7, -2, 5], codes_of(1, 2, 3))
    assert list(index) == index.keys().tolist() == [-2, 5, 7]
    assert [index[id][0].tolist() for id in index] == codes_of(2, 3, 1).tolist()


def test_one_code_is_one_query(index: Index) -> None:
    index.add([7, 5], codes_of(1, 3))
    hits = index.search(codes_of(1)[0])
    assert hits.ids.shape == (1, 10)
    assert hits[0] == index.search(codes_of(1))[0] == [(7, 0, {}), (5, 1, {})]
    with pytest.raises(UserError, match=r"8 bits.*24"):
        index.search(np.zeros(1, np.uint8))


def test_ids_are_numbered_on(index: Index) -> None:
    assert index.add(codes=codes_of(1, 2)).tolist() == [0, 1]
    assert index.add([40], codes_of(3)).tolist() == [40]
    assert index.add(codes=codes_of(4, 5), items=[{"name": "d"}, None]).tolist() == [41, 42]
    assert index[41][1] == {"name": "d"}
    index.add([index.largest_id], codes_of(6))
    with pytest.raises(UserError, match="no 1 numbers left"):
        index.add(codes=codes_of(7))
    with pytest.raises(UserError, match="codes"):
        index.add([1])


def test_a_radius_finds_all_within_it(index: Index) -> None:
    index.add(range(40), codes_of(*[0] * 15, *[1] * 15, *[3] * 10), items={"even": [id % 2 == 0 for id in range(40)]})
    assert index.search(codes_of(0), radius=1).ids.tolist() == [list(range(30))]
    assert index.search(codes_of(0), radius=0, k=4).ids.tolist() == [[0, 1, 2, 3]]
    assert index.search(codes_of(4), radius=0).ids.tolist() == [[-1]]
    hits = index.search(codes_of(0, 3), radius=0, where="even")
    assert [[id for id, _, _ in hits[row]] for row in (0, 1)] == [list(range(0, 15, 2)), list(range(30, 40, 2))]
    assert ((hits.ids == -1) == (hits.distances == -1)).all()
    for wrong in (-1, 1.5, True, "1"):
        with pytest.raises(UserError, match="radius is"):
            index.search(codes_of(0), radius=wrong)  # type: ignore[arg-type]


def test_removing_says_how_many_were_there(index: Index) -> None:
    index.add([1, 2, 3], codes_of(1, 2, 3))
    assert index.remove([1, 3]) == 2
    assert index.remove([1, 2], missing_ok=True) == 1
    assert index.remove([], missing_ok=True) == 0


def test_a_bulk_add_tells_its_progress_and_can_be_cancelled(index: Index) -> None:
    n, told = 25_000, []
    index.add(range(n), np.zeros((n, 3), np.uint8), progress=lambda done, of: told.append((done, of)))
    assert told == [(10_000, n), (20_000, n), (n, n)]
    with pytest.raises(UserError, match="cancelled after 20,000 of 25,000 rows; nothing was added"):
        index.add(codes=np.ones((n, 3), np.uint8), progress=lambda done, of: done < 15_000)
    assert len(index) == n
    assert index.search(np.ones((1, 3), np.uint8), k=1).distances.tolist() == [[3]]


def test_hashes_say_what_has_changed(index: Index) -> None:
    index.add([1, 2, 3], codes_of(1, 2, 3), items=[{"name": name} for name in "abc"], hashes=["x", None, "z"])
    index.add([4], codes_of(4))
    index.add([3], codes_of(3), hashes=["new"], replace=True)
    assert index.hashes([3, 9, 1, 2, 4]) == ["new", None, "x", None, None]
    assert index[1][1] == {"name": "a"}
    for wrong in (["x"], "xy", [1, 2]):
        with pytest.raises(UserError, match="hashes are a text"):
            index.add([8, 9], codes_of(8, 9), hashes=wrong)  # type: ignore[arg-type]


def test_an_index_knows_its_encoder(uri: str) -> None:
    ours, other = ({"name": "look", "hash": letter * 20} for letter in "ab")
    with open_index(uri, bits=BITS, encoder=ours) as index:
        index.add([1], codes_of(1))
    for options in ({}, {"encoder": ours}, {"read_only": True}):
        with open_index(uri, **options) as index:
            assert index.check(ours) == index.check() == []
            assert "holds codes of look (aaaaaaaaaaaa), not of look (bbbbbbbbbbbb)" in index.check(other)[0]
    with pytest.raises(UserError, match=r"look \(a{12}\), not of look \(b{12}\); use that model"):
        open_index(uri, encoder=other)
    with pytest.raises(UserError, match="an encoder is its name and its hash"):
        open_index(uri, encoder={"name": "look"})


def test_what_was_fetched_can_be_used_after_closing(uri: str) -> None:
    with open_index(uri, bits=BITS) as index:
        index.add([1], codes_of(1), items=[{"name": "a"}])
        hits = index.search(codes_of(1), k=1)
        first = hits[0]
    assert hits[0] == first == [(1, 0, {"name": "a"})]
    for array in (hits.ids, hits.distances):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 5


def test_a_repr_says_what_it_holds(uri: str) -> None:
    with open_index(uri) as index:
        assert "not made yet" in repr(index)
        index.add(range(1200), np.zeros((1200, 3), np.uint8))
        assert "1,200 codes of 24 bits" in repr(index)
    assert "closed" in repr(index)


NAN = float("nan")


class NAType:
    """What pandas has for a missing value, by its name."""


@pytest.mark.slow
@pytest.mark.parametrize("missing", [None, NAN, np.float32("nan"), np.datetime64("NaT"), np.ma.masked, NAType()])
@pytest.mark.parametrize("value", ["x", True, ["x"], 2**53 + 1, -(2**62) - 1, 0.5])
def test_missing_values_are_missing_in_every_kind_of_column(index: Index, value: Any, missing: Any) -> None:
    index.add([1, 2, 3], codes_of(1, 2, 3), items=[{"a": missing}, {"a": value}, None])
    index.add([4], codes_of(4), items=[{"a": missing}])
    index.add([5, 6], codes_of(5, 6), items={"a": np.array([missing, value], object)} if value != ["x"] else None)
    assert [index[id][1]["a"] for id in (1, 2, 3, 4)] == [None, value, None, None]
    assert type(index[2][1]["a"]) is type(value)
    assert index.search(codes_of(0), where="a IS NOT NULL", k=1).ids.tolist() == [[2]]


@pytest.mark.parametrize("items", [[{"a": 2**53 + 1}, {"a": 0.5}], [{"a": 0.5}, {"a": -(2**53) - 1}]])
def test_whole_numbers_are_never_rounded(index: Index, items: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError, match="would be rounded"):
        index.add([1, 2], codes_of(1, 2), items=items)
    index.add([3], codes_of(3), items=[{"a": 0.5}])
    with pytest.raises(UserError, match="would be rounded"):
        index.add([4], codes_of(4), items=[{"a": 2**53 + 1}])
    assert index.keys().tolist() == [3]


@pytest.mark.slow
def test_threads_may_search_while_one_adds(index: Index) -> None:
    """Every search sees whole batches: ids 10 b ... 10 b + 9 are added together, all with the same code."""
    wrong: list[Any] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            hits = index.search(codes_of(0), k=400, where="batch >= 0")
            found = hits.ids[hits.distances >= 0]
            if len(found) % 10 or len(hits[0]) != len(found) or any(item is None for *_, item in hits[0]):
                wrong.append(found)

    index.add(range(10), codes_of(*[0] * 10), items=[{"batch": 0}] * 10)
    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for batch in range(1, 20):
        index.add(range(10 * batch, 10 * batch + 10), codes_of(*[batch] * 10), items=[{"batch": batch}] * 10)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == 200
