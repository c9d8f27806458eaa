"""A filter finds in Milvus what it finds in a local index, or is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.errors import UserError
from crossbit.index import Index, open_index
from crossbit.index.filters import parse
from crossbit.index.milvus.filters import expression
from milvus_server import MilvusServer

ODD = ["50 %", "a_b", "back\\slash", "tab\there", "two\nlines", 'say "a"', "it's"]
TEXTS = ["", "a", "ab", "a b", "B", "ä", "日本", *ODD]
TAGS = ["a", "ab", "it's", 'x"y', "ä", "back\\slash"]
NUMBERS = [-3, 0, 1, 2, 7, 2**53 + 1, -(2**62) - 1]
REALS = [-1.5, 0.0, 0.1, 1.0, 2.5, 1e300, -1e-300]
KINDS = {"name": "VARCHAR", "size": "BIGINT", "score": "DOUBLE", "good": "BOOLEAN", "tags": "VARCHAR[]"}


def items_of(seed: int, n: int = 60) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(n):
        item = {
            "name": TEXTS[rng.integers(len(TEXTS))],
            "size": NUMBERS[rng.integers(len(NUMBERS))],
            "score": REALS[rng.integers(len(REALS))],
            "good": bool(rng.integers(2)),
            "tags": rng.choice(TAGS, rng.integers(3), replace=False).tolist(),
            "größe": 1,
            "two words": "x",
        }
        items.append({name: None if rng.random() < 0.25 else value for name, value in item.items()})
    return items


@pytest.fixture(scope="module")
def both(milvus_server: MilvusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, Index]]:
    codes = np.zeros((60, 1), np.uint8)
    with (
        open_index(tmp_path_factory.mktemp("filters") / "a.index", bits=8) as local,
        open_index(f"{milvus_server.uri}/filters", bits=8) as far,
    ):
        for index in (local, far):
            index.add(range(-20, 40), codes, items=items_of(0))
        yield local, far


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


texts, tags = st.sampled_from(TEXTS).map(quoted), st.sampled_from(TAGS).map(quoted)
numbers, reals = st.sampled_from(NUMBERS).map(str), st.sampled_from([*REALS, 3]).map(repr)
signs = st.sampled_from(["=", "!=", "<", ">", "<=", ">="])
some = {"name": texts, "size": numbers | reals, "score": reals | numbers, "id": st.integers(-25, 45).map(str)}


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from([*some]))
    value = some[column]
    match draw(st.integers(0, 5)):
        case 0:
            return f"{draw(value)} {draw(signs)} {column}"
        case 1:
            not_ = draw(st.sampled_from(["", "NOT "]))
            return f"{column} {not_}IN ({', '.join(draw(st.lists(value, min_size=1, max_size=4)))})"
        case 2:
            return f"{column} {draw(st.sampled_from(['', 'NOT ']))}BETWEEN {draw(value)} AND {draw(value)}"
        case 3:
            return f"{column} IS {draw(st.sampled_from(['', 'NOT ']))}NULL"
        case _:
            return f"{column} {draw(signs)} {draw(value)}"


@st.composite
def others(draw: st.DrawFn) -> str:
    not_ = draw(st.sampled_from(["", "NOT "]))
    match draw(st.integers(0, 6)):
        case 0:
            return f"name {not_}LIKE {quoted(draw(st.sampled_from(['a', 'ab', 'ä', 'it', 'say', ''])) + '%')}"
        case 1:
            plain = st.sampled_from([text for text in TEXTS if not re.search(r"[%_\\]", text)]).map(quoted)
            return f"{not_}starts_with(name, {draw(plain)})"
        case 2:
            return f"{not_}{draw(st.sampled_from(['list_contains', 'list_has']))}(tags, {draw(tags)})"
        case 3:
            listed = ", ".join(draw(st.lists(tags, min_size=1, max_size=3)))
            return f"{not_}{draw(st.sampled_from(['list_has_any', 'list_has_all']))}(tags, [{listed}])"
        case 4:
            return f"id {not_}IN ({draw(st.integers(-25, 45))}, {draw(st.integers(-25, 45))})"
        case 5:
            return draw(st.sampled_from(["good", "NOT good", "good = false", "good != true", "true", "false", "NULL"]))
        case _:
            return f"tags IS {not_}NULL"


conditions = st.recursive(
    comparisons() | others(),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda each: f"({' '.join(each)})"),
        inner.map(lambda each: f"NOT ({each})"),
    ),
    max_leaves=6,
)


@given(where=conditions)
def test_both_find_the_same(both: tuple[Index, Index], where: str) -> None:
    local, far = both
    assert sorted(local.matching(where)) == sorted(far.matching(where)), expression(
        parse(where, [*KINDS, "größe", "two words"], duckdb.connect()), KINDS
    )


@pytest.mark.parametrize(
    "where", ["größe = 1", "\"two words\" = 'x'", "NAME = 'a'", "id = 3 -- a remark", "size = 1.0"]
)
def test_names_are_found_as_they_are_written(both: tuple[Index, Index], where: str) -> None:
    local, far = both
    assert local.matching(where).tolist() == far.matching(where).tolist() != []


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("name LIKE '%a'", "the pattern '%a'"),
        ("name LIKE 'a_b%'", "the pattern 'a_b%'"),
        ("name ILIKE 'a%'", "the function ~~*"),
        ("lower(name) = 'a'", "the function lower"),
        ("len(tags) = 0", "the function len"),
        ("size + 1 = 3", r"the function \+"),
        ("id % 2 = 0", "the function %"),  # Milvus divides rounded numbers
        ("size = score", "a column ref"),
        ("CAST(name AS INTEGER) = 3", "a cast"),
        ("CASE WHEN good THEN 1 ELSE 2 END = 1", "a case"),
        ("size IN (1, NULL)", "the value NULL"),
        ("size IS DISTINCT FROM 3", "a comparison"),
        ("size = 99999999999999999999", "the number"),
    ],
)
def test_what_milvus_cannot_look_for_is_refused_in_one_line(where: str, words: str) -> None:
    with pytest.raises(UserError, match=rf"^the filter .* holds {words}.*Milvus cannot look for.*AND, OR, NOT$"):
        expression(parse(where, KINDS, duckdb.connect()), KINDS)


@pytest.mark.parametrize(
    "where", ["size > 'many'", "name = 3", "seize = 1", "size >", "tags = 'a'", "length(size) = 1"]
)
def test_a_wrong_filter_is_refused_by_both_in_one_line(both: tuple[Index, Index], where: str) -> None:
    for index in both:
        with pytest.raises(UserError) as error:
            index.matching(where)
        assert len(str(error.value).splitlines()) == 1
        assert re.search("filter|column", str(error.value))


def test_an_attack_is_refused_before_it_reaches_the_server() -> None:
    for where in ("id = (SELECT max(id) FROM items)", "name = 'a' UNION SELECT 1"):
        with pytest.raises(UserError):
            parse(where, KINDS, duckdb.connect())
