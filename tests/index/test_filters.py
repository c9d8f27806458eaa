"""`where` reads the items and nothing else: what is allowed works, every attack is refused before it runs."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import LocalIndex, filters, masks
from crossbit.index.masks import RecentMasks
from crossbit.index.overlay import Overlay

CODE = np.zeros((1, 8), np.uint8)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalIndex]:
    items = [
        {"name": "alpha", "size": 1, "tags": ["greek", "small"], "two words": "x", "day": "2024-01-02", "order": 7},
        {"name": "Beta", "size": 2, "tags": ["greek"], "two words": "y", "day": "2024-03-01"},
        {"name": "50 % 'off'", "size": None, "tags": [], "two words": None, "day": None},
    ]
    with LocalIndex(tmp_path_factory.mktemp("where") / "index.duckdb", bits=64) as opened:
        opened.add([1, 2, 3], np.zeros((3, 8), np.uint8), items=items)
        yield opened


def found(index: LocalIndex, where: str) -> list[int]:
    hits = index.search(CODE, where=where)
    return hits.ids[hits.distances >= 0].tolist()


def refused(index: LocalIndex, where: str) -> str:
    with pytest.raises(UserError) as error:
        index.search(CODE, where=where)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("true", [1, 2, 3]),
        ("false", []),
        ("NULL", []),
        ("id IN (1, 3)", [1, 3]),
        ("id NOT IN (1, 3)", [2]),
        ("NAME = 'alpha'", [1]),
        ("name LIKE '%a' AND NOT size > 1", [1]),
        ("name ILIKE 'b%' OR size IS NULL", [2, 3]),
        ("name LIKE '50 !%%' ESCAPE '!'", [3]),
        ("name = '50 % ''off'''", [3]),
        ("name GLOB '*et*'", [2]),
        ("lower(name) BETWEEN 'b' AND 'c'", [2]),
        ("\"two words\" = 'y'", [2]),
        ("list_contains(tags, 'greek')", [1, 2]),
        ("'small' IN tags", [1]),
        ("list_has_all(tags, ['greek', 'small'])", [1]),
        ("len(tags) = 0", [3]),
        ("tags[1] = 'greek'", [1, 2]),
        ("CASE WHEN size IS NULL THEN 10 ELSE size END >= 2", [2, 3]),
        ("coalesce(size, 5) % 2 = 1", [1, 3]),
        ("-size < -1", [2]),
        ("size / 2 = 0.5", [1]),
        ("day::DATE > DATE '2024-02-01'", [2]),
        ("TRY_CAST(name AS INTEGER) IS NULL", [1, 2, 3]),
        ("size = 1 -- a remark", [1]),
        ("size = 1 /* a remark */", [1]),
        ("size IS DISTINCT FROM 1", [2, 3]),
        ("starts_with(name, 'al')", [1]),
        ("name || 'x' = 'alphax'", [1]),
        ("extract(year FROM day::DATE) = 2024 AND month(day::DATE) = 1", [1]),
        ("date_trunc('month', day::DATE) = DATE '2024-03-01'", [2]),
        ("if(size = 1, 'one', 'more') = 'one'", [1]),
        ("normal(name) = normal('ＡLPHA')", [1]),
        ("normal(name) = 'beta'", [2]),
        ("normal(tags[1]) = normal(NULL) OR normal(tags[2]) = 'small'", [1]),
        ("normal('cafe\u0301') = normal('CAFÉ') AND normal(\"two words\") = 'y'", [2]),
        ("position('lph' IN name) = 2", [1]),
        ('"order" = 7', [1]),
        (f"id IN ({', '.join(map(str, range(2, 5000)))})", [2, 3]),
    ],
)
def test_conditions_over_the_items(index: LocalIndex, where: str, ids: list[int]) -> None:
    assert found(index, where) == ids


def test_every_allowed_function_exists(index: LocalIndex) -> None:
    """A name that DuckDB does not know would be an allowance for nothing, or for a macro that somebody defines."""
    rows = duckdb.connect().execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    inlined = {"coalesce", "ifnull"}  # the parser turns these into operators
    assert filters.FUNCTIONS | filters.OPERATORS <= {name for (name,) in rows} | inlined | {"normal"}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        # files and the network
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "subquery"),
        ("EXISTS (FROM '/etc/passwd')", "subquery"),
        ("(SELECT content FROM read_text('/etc/passwd')) LIKE 'r%'", "subquery"),
        ("id IN (SELECT id FROM 'https://example.com/x.parquet')", "subquery"),
        ("(SELECT count(*) FROM glob('/*')) > 0", "subquery"),
        # other tables, settings, the catalogue, the index's own columns
        ("(SELECT bits FROM crossbit_index) = 64", "subquery"),
        ("(SELECT count(*) FROM information_schema.tables) > 0", "subquery"),
        ("(SELECT count(*) FROM duckdb_settings()) > 0", "subquery"),
        ("(SELECT count(*) FROM duckdb_secrets()) > 0", "subquery"),
        ("id IN (FROM pragma_database_list())", "subquery"),
        ("id = (SELECT max(id) FROM items)", "subquery"),
        ("id = ANY (SELECT id FROM items)", "subquery"),
        ("id IN (VALUES (1))", "subquery"),
        ("(FROM query('SELECT 1')) = 1", "subquery"),
        ("current_setting('temp_directory') = ''", "current_setting"),
        ("getvariable('x') = 1", "getvariable"),
        ("getenv('HOME') = '/root'", "getenv"),
        ("current_database() = 'x'", "current_database"),
        ("version() LIKE 'v%'", "version"),
        ("_word0 = 0", "_word0"),
        ("rowid = 0", "rowid"),
        ("items._word0 = 0", "items._word0"),
        ("COLUMNS(*) = 1", "star"),
        ("#1 = 1", "positional reference"),
        ("items = items", "items"),
        ("given.id = 1", "given.id"),
        # a second statement, another clause
        ("1=1); DROP TABLE items; --", "wrong"),
        ("true); DROP TABLE items; SELECT id FROM items WHERE (true", "wrong"),
        ("true); SELECT id FROM items WHERE (true", "one"),
        ("true; DROP TABLE items", "wrong"),
        ("true) UNION SELECT bits FROM crossbit_index WHERE (true", "one"),
        ("true) GROUP BY ALL HAVING (true", "one"),
        ("true) QUALIFY (row_number() OVER () = 1", "one"),
        ("true) ORDER BY (id", "not one expression"),
        ("true) LIMIT 1 --", "wrong"),
        ("", "SQL expression"),
        ("  \n", "SQL expression"),
        ("id = 1\0", "SQL expression"),
        # mistakes, in the words of the one who made them
        ('name = "x"', "text goes in single quotes: 'x'"),
        ('name = "it\'s"', "text goes in single quotes: 'it''s'"),
        ("name = “x”", "text goes in single quotes: 'x'"),
        ("name = `x`", "text goes in single quotes: 'x'"),
        ("name = x", "text goes in single quotes: 'x'"),
        ('"nane" = 1', "single quotes"),
        ("day >= 2024-01-01", "text goes in single quotes, dates too: '2024-05-31'"),
        ("name > 3 AND size > 1", "compares text with a number; text goes in single quotes"),
        ("day > 3", "a column of numbers written as text: TRY_CAST(day AS DOUBLE)"),
        ("day BETWEEN 1 AND 3", "TRY_CAST(day AS DOUBLE)"),
        ("tags = 'greek'", "list_contains(tags, 'greek')"),
        ("'it''s' <> Tags", "list_contains(tags, 'it''s')"),
        ("tags LIKE '%gre%' AND name = 'name'", "list_contains(COLUMN, 'gre')"),
        ("lower(tags) = 'greek'", "list_contains(tags, 'greek')"),
        ("tag = 'greek'", "did you mean 'tags'"),
        ("id IN ()", "empty list"),
        ("id NOT IN ( )", "empty list"),
        ("order = 1", 'in double quotes: "order"'),
        ("size = 1 AND Order > 3", 'in double quotes: "order"'),
        ("name = 'x", "a quotation mark is missing"),
        ("name = 'é' AND", "ends too early"),
        ("(name = 'x'", "a bracket is not closed"),
        ("(name = 'x'))", "a bracket is closed that was not opened"),
        ("name = NULL", "compares with NULL, which is never true; write IS NULL"),
        ("size > 3 AND null <> name", "compares with NULL"),
        ("Name.lower() = 'x'", "write lower(Name)"),
        ("name.contains('x')", "write contains(name, ...)"),
        ("/*", "wrong"),
        ("'", "wrong"),
        ("-- ", "unknown"),
        ("COPY items TO '/tmp/x'", "wrong"),
        ("ATTACH '/tmp/x'", "attach"),
        ("PRAGMA database_list", "wrong"),
        ("SET enable_external_access = true", "wrong"),
        # side effects
        ("nextval('s') = 1", "nextval"),
        ("setseed(0.5) IS NULL", "setseed"),
        ("write_log('x') IS NULL", "write_log"),
        ("random() > 0.5", "random"),
        # memory and time
        ("len(range(100000000000)) > 0", "range"),
        ("len(repeat(name, 1000000000)) > 0", "repeat"),
        ("len(lpad(name, 1000000000, 'x')) > 0", "lpad"),
        ("list_sum(list_transform(tags, t -> 1)) > 0", "list_sum"),
        ("[t FOR t IN tags] = tags", "list_apply"),
        ("regexp_matches(name, '((a{1,30}){1,30}){1,30}')", "regexp_matches"),
        ("name ~ 'a'", "regexp"),
        ("name SIMILAR TO 'a'", "regexp"),
        ("levenshtein(name, name) > 0", "levenshtein"),
        ("(SELECT count(*) FROM range(100000000000)) > 0", "subquery"),
        ("sum(size) > 1", "sum"),
        ("row_number() OVER () = 1", "window"),
        # parameters, types, other catalogues
        ("id = ?", "parameter"),
        ("id = $x", "parameter"),
        ("main.lower(name) = 'alpha'", "lower"),
        ("name::main.items IS NULL", "items"),
        ("name::JSON IS NULL", "JSON"),
        ("CAST(name AS ENUM('a')) IS NULL", "enum"),
        ("name COLLATE nocase = 'ALPHA'", "collate"),
        # wrong ones
        ("sise > 1", "did you mean 'size'"),
        ("name > 1 AND", "wrong"),
        ("size = 'many'", "many"),
        ("lowr(name) = 'a'", "did you mean 'lower'"),
        ("abs(name) = 1", "abs"),
        ("normal_form(name) = 'a'", "normal_form"),
        ("normal(name, name) = 'a'", "normal"),
        ("NOT " * 300 + "true", "nested"),
        ("NOT " * 5000 + "true", "nested"),
        ("(" * 20_000 + "true" + ")" * 20_000, "nested"),
        ("id = 1 OR " * 20_000 + "true", "100,000 characters"),
        ("name = '\ud800'", "wrong"),
        (" AND ".join(["size + 1 = 2"] * 101), "over 100 functions"),
    ],
)
def test_everything_else_is_refused_in_one_line(index: LocalIndex, where: str, words: str) -> None:
    assert words.lower() in refused(index, where).lower()
    assert len(index) == 3


def test_where_is_text(index: LocalIndex) -> None:
    assert "SQL expression" in refused(index, 5)  # type: ignore[arg-type]


def test_long_filters_are_quoted_short(index: LocalIndex) -> None:
    assert len(refused(index, "size = 1 AND " * 1000)) < 300


@pytest.mark.slow
def test_the_normal_form_is_there_for_every_reader_of_a_file(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        index.add([1], CODE, items=[{"name": "CAFÉ"}])
    first = LocalIndex(tmp_path / "index.duckdb", read_only=True)
    with LocalIndex(tmp_path / "index.duckdb", read_only=True) as second:
        first.close()
        del first
        gc.collect()
        assert found(second, "normal(name) = 'café'") == [1]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalIndex]:
    n = 20_000
    with LocalIndex(tmp_path_factory.mktemp("large") / "index.duckdb", bits=64) as opened:
        opened.add(np.arange(n), np.zeros((n, 8), np.uint8), items={"name": [f"{'a' * 200}b{i}" for i in range(n)]})
        yield opened


SLOW = " AND ".join(f"upper(lower(strip_accents(upper(lower(name))))) LIKE '%A{'%' * i}B%'" for i in range(16))


def test_a_filter_that_takes_too_long_is_ended(large: LocalIndex) -> None:
    with pytest.raises(UserError, match="took more than 1 ms"):
        large.search(CODE, where=SLOW, time_limit_ms=1)
    assert large.search(CODE, k=1, where="name LIKE '%b1'").ids.tolist() == [[1]]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), "fast", True, None])
def test_a_time_limit_is_a_number_above_0(index: LocalIndex, limit: Any) -> None:
    with pytest.raises(UserError, match=r"time_limit_ms is .* above 0"):
        index.search(CODE, time_limit_ms=limit)
    assert index.search(CODE, where="id = 1", time_limit_ms=float("inf")).ids[0, 0] == 1


@pytest.fixture
def held_filter(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Filters that begin, say so, and go on when they are told to."""
    began, go_on = threading.Event(), threading.Event()

    def held(*arguments: Any, **options: Any) -> Any:
        began.set()
        assert go_on.wait(60)
        return filters.matching_ids(*arguments, **options)

    monkeypatch.setattr("crossbit.index.stored.matching_ids", held)
    yield began, go_on
    go_on.set()


def test_a_slow_filter_holds_up_nothing(tmp_path: Path, held_filter: tuple[threading.Event, threading.Event]) -> None:
    """While one runs, others search, fetch items, add and remove; it sees the index as it was when it began."""
    began, go_on = held_filter
    found: list[Any] = []
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        index.add([1, 2], np.zeros((2, 8), np.uint8), items={"name": ["a", "b"]})
        slow = threading.Thread(target=lambda: found.append(index.search(CODE, k=9, where="name <> ''")))
        slow.start()
        assert began.wait(60)
        assert index.search(CODE, k=1)[0] == [(1, 0, {"name": "a"})]
        index.add([3], np.zeros((1, 8), np.uint8), items=[{"name": "c", "fresh": 1}])
        index.add([2], np.full((1, 8), 255, np.uint8), items=[{"name": ""}], replace=True)
        index.remove([1])
        assert index.search(CODE, k=2).ids.tolist() == [[3, 2]]
        assert not found
        go_on.set()
        slow.join()
        assert found[0].ids[0, :3].tolist() == [1, 2, -1]
        assert found[0].distances[0, :3].tolist() == [0, 0, -1]


def test_closing_ends_a_filter_that_runs(tmp_path: Path) -> None:
    began, ended = threading.Event(), []
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        names = [f"{'a' * 200}b{i}" for i in range(20_000)]
        index.add(np.arange(20_000), np.zeros((20_000, 8), np.uint8), items={"name": names})

        def search() -> None:
            began.set()
            try:
                for number in count():  # another one each time: one that is known would not run
                    index.search(CODE, where=f"{SLOW} AND id <> {-1 - number}")
            except UserError as error:
                ended.append(str(error))

        thread = threading.Thread(target=search)
        thread.start()
        assert began.wait(60)
    thread.join(60)
    assert "is closed" in ended[0]


def test_a_filter_is_checked_before_it_runs() -> None:
    """Another engine may take the tree; DuckDB's connection is only its parser."""
    checked = filters.parse("size > 3 AND name = 'a'", ["size", "name"], duckdb.connect())
    assert checked.columns == ("id", "size", "name")
    assert [part["class"] for part in checked.tree["children"]] == ["COMPARISON", "COMPARISON"]


def test_the_connection_itself_reaches_nothing_beyond_the_file(index: LocalIndex, tmp_path: Path) -> None:
    """The second wall: were an expression to get through, the engine would refuse these too."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    numbers = np.arange(3)  # a variable that DuckDB would find by its name
    connection = index._file.connection
    for statement in (
        f"FROM read_csv('{tmp_path}/secret.csv')",
        f"FROM read_text('{tmp_path}/secret.csv')",
        f"FROM '{tmp_path}/secret.csv'",
        f"FROM glob('{tmp_path}/*')",
        f"COPY items TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        f"EXPORT DATABASE '{tmp_path}/out'",
        "INSTALL httpfs",
        f"LOAD '{tmp_path}/x.duckdb_extension'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET python_enable_replacements",
        "FROM numbers",
    ):
        with pytest.raises(duckdb.Error, match=r"disabled|locked|does not exist|Cannot"):
            connection.execute(statement)
    assert os.listdir(tmp_path) == ["secret.csv"]
    assert len(numbers) == 3


@pytest.mark.parametrize(
    ("held", "where", "right"),
    [
        ("labels", "label = 'fox'", "list_contains(labels, 'fox')"),
        ("labels", "'fox' = Label", "list_contains(labels, 'fox')"),
        ("labels", "size < 3 AND name <> 'x' AND label LIKE '%fox%'", "list_contains(labels, 'fox')"),
        ("labels", "label IS NULL", "list_contains(labels, 'text')"),
        ("label", "list_contains(labels, 'fox')", "label = 'fox'"),
    ],
)
def test_one_label_or_several_the_right_filter_is_told(tmp_path: Path, held: str, where: str, right: str) -> None:
    values = [["fox", "forest"], ["car"]] if held == "labels" else ["fox", "car"]
    items = [{"name": "a", "size": 1, held: one} for one in values]
    with LocalIndex(tmp_path / "x.index", bits=8) as index:
        index.add([1, 2], np.zeros((2, 1), np.uint8), items=items)
        told = refused(index, where)
        assert f"take {right}" in told
        if "text" not in right:
            assert index.search(np.zeros((1, 1), np.uint8), where=right).ids[0].tolist()[0] == 1


# --- recent filters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        np.arange(300),
        np.arange(300)[::-1] + 7,
        np.delete(np.arange(300), [0, 5, 299]),
        np.arange(300) * 1_000_003,
        np.arange(300) + 2**32 - 150,
        np.random.default_rng(0).permutation(300) - 150,
        np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 300),
        np.array([2**63 - 1]),
    ],
    ids=["dense", "falling", "gaps", "sparse", "beyond four bytes", "negative", "any", "one"],
)
def test_a_filter_lets_through_what_a_loop_does_the_first_time_and_the_second(tmp_path: Path, ids: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    sizes, codes = rng.integers(0, 9, len(ids)).tolist(), rng.integers(0, 256, (len(ids), 8), dtype=np.uint8)
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        index.add(ids, codes, items={"size": [size or None for size in sizes]})
        near = np.bitwise_count(codes).sum(axis=1).tolist()
        for _ in range(2):
            for least in (0, 1, 5, 9):
                where = f"size >= {least}"
                right = [(d, i) for d, i, size in zip(near, ids.tolist(), sizes, strict=True) if size >= max(1, least)]
                assert index.matching(where).tolist() == sorted(i for _, i in right)
                hits = index.search(CODE, 400, where)
                kept = hits.distances[0] >= 0
                found = list(zip(hits.distances[0, kept].tolist(), hits.ids[0, kept].tolist(), strict=True))
                assert found == sorted(right) and hits.compared == len(right)
        index.remove(ids)
        assert index.matching("size >= 0").tolist() == [] and index.search(CODE, 1, "size >= 0").ids.tolist() == [[-1]]


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The filters that DuckDB evaluated."""
    told: list[str] = []

    def noted(cursor: Any, condition: filters.Filter, *given: Any, **options: Any) -> Any:
        told.append(condition.text)
        return filters.matching_ids(cursor, condition, *given, **options)

    monkeypatch.setattr("crossbit.index.stored.matching_ids", noted)
    return told


@pytest.mark.parametrize("opened", [LocalIndex, Overlay])
def test_a_filter_is_evaluated_once_until_something_changes(
    tmp_path: Path, evaluated: list[str], opened: Callable[[Path], LocalIndex]
) -> None:
    path, changes = tmp_path / "index.duckdb", 0
    with LocalIndex(path, bits=64) as index:
        index.add([1, 2, 3], np.zeros((3, 8), np.uint8), items={"size": [1, 2, 3]})

    def now(ids: list[int]) -> None:
        for _ in range(3):
            assert found(index, "size > 1") == ids
            assert index.matching("size > 1").tolist() == ids
        assert evaluated == ["size > 1"] * (changes + 1)

    with opened(path) as index:
        now([2, 3])
        for change, ids in (
            (lambda: index.add([4], CODE, items=[{"size": 9}]), [2, 3, 4]),
            (lambda: index.add([1], CODE, items=[{"size": 5}], replace=True), [1, 2, 3, 4]),
            (lambda: index.add([2], CODE, items=[{"size": 0, "new": "x"}], replace=True), [1, 3, 4]),
            (lambda: index.remove([3]), [1, 4]),
        ):
            change()
            changes += 1
            now(ids)
        with pytest.raises(UserError, match="unknown column"):
            index.search(CODE, where="weight > 1")
        assert found(index, "new = 'x'") == [2]
    with pytest.raises(UserError, match="is closed"):
        index.search(CODE, where="size > 1")
    with LocalIndex(path) as index:
        index.add([9], CODE, items=[{"size": 9}])
    with LocalIndex(path, read_only=True) as index:
        assert 9 in found(index, "size > 1")


def test_a_change_that_fails_and_one_that_is_left_out_of_a_search_spoil_no_mask(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        index.add([1, 2, 3], np.zeros((3, 8), np.uint8), items={"size": [1, 2, 3]})
        assert found(index, "size > 1") == [2, 3]
        hits, _ = index.search_places(CODE, 3, "size > 1", without=np.array([2, 77]))
        assert hits.ids.tolist() == [[3, -1, -1]] and hits.compared == 1
        with pytest.raises(UserError):
            index.add([4], CODE, items=[{"size": 9}], progress=lambda done, total: False)
        assert found(index, "size > 1") == [2, 3]


def test_a_filter_and_the_codes_are_of_one_moment_while_others_change_both(tmp_path: Path) -> None:
    """A code has as many ones as its item says, whatever is replaced meanwhile."""
    codes = {"few": np.zeros((4, 8), np.uint8), "many": np.full((4, 8), 255, np.uint8)}
    with LocalIndex(tmp_path / "index.duckdb", bits=64) as index:
        index.add(np.arange(8), np.concatenate(list(codes.values())), items={"ones": ["few"] * 4 + ["many"] * 4})
        done = threading.Event()

        def search(ones: str) -> int:
            rounds = 0
            while not done.is_set() or not rounds:
                hits = index.search(CODE, 8, f"ones = '{ones}'")
                assert set(hits.distances[0].tolist()) <= {-1, 0 if ones == "few" else 64}
                rounds += 1
            return rounds

        with ThreadPoolExecutor(4) as pool:
            searches = [pool.submit(search, ones) for ones in ("few", "many") * 2]
            try:
                for turn in range(30):
                    ones = ("few", "many")[turn % 2]
                    index.add(np.arange(4) + turn % 5, codes[ones], items={"ones": [ones] * 4}, replace=True)
            finally:
                done.set()
            assert all(each.result() for each in searches)


def test_the_masks_of_few_filters_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.ones(10, np.uint64)
    held = RecentMasks()
    for number in range(masks.MOST):
        held.put(f"size > {number}", mask)
    assert held.get("size > 0") is mask  # used again, so the next oldest goes
    held.put("more", mask)
    assert held.get("size > 1") is None and held.get("size > 0") is held.get("more") is mask
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = 0
    monkeypatch.setattr(masks, "MOST_BYTES", 150)
    held.put("latest", np.ones(10, np.uint64))  # 104 bytes each, text included
    assert held.get("more") is None and held.get("latest") is not None
    held.put("larger", np.ones(100, np.uint64))
    assert held.get("larger") is held.get("latest") is None
