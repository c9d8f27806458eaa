"""The local index's own promises: one file, whole and durable, one writer or many readers, nothing damaged by mistakes.

What every index does is in conformance/test_index.py, what `where` may do in test_where.py.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import LocalIndex, duckfile, open_index
from crossbit.index.duckfile import CONFIG


def random_codes(n: int, bits: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, bits // 8), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.duckdb"


def refused(path: Any, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        open_index(path, **options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# Addresses, and files that are not what they should be.


def test_a_path_and_a_file_uri_are_the_same(path: Path) -> None:
    for address in (path, str(path), f"file://{path}"):
        with open_index(address, bits=64) as index:
            assert isinstance(index, LocalIndex)
            assert index.path == path


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    assert "unknown index scheme 'milfus'" in refused("milfus://host/x")
    assert "file" in refused("milfus://host/x")


def test_a_folder_is_not_an_index(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path, bits=64)


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 20_000])
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "not an index" in refused(path, bits=64)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"SQLite format 3\0" + bytes(4096), "SQLite"),
        (b"PAR1" + bytes(100) + b"PAR1", "Parquet"),
        (b"a,b\n1,2\n", "text"),
        ("é".encode() * 5000, "text"),
        ("語".encode() * 5000, "text"),
        (b"ARROW1\0\0" + bytes(100), "Arrow"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(20_000), "unknown kind"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_files_of_other_kinds_are_named(path: Path, content: bytes, kind: str, read_only: bool) -> None:
    for name in (path, path.with_name("x.csv"), path.with_name("x.parquet"), path.with_name("x.sqlite")):
        name.write_bytes(content)
        assert kind in refused(name, read_only=read_only)
        assert name.read_bytes() == content


NAMES = ["noise:0.5", "sqlite:1", "postgres:x", "md:x", "http:", "file:x", ":memory:", "a'b", "x#y", "%41", "~", "*"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "$HOME", "tail ", " x", "C:x", "CON", "-", "ünï 東京", "x.csv", "[a]", "a;b"])
def test_a_path_is_a_path(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever DuckDB would read into it; as a file and as a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / name).mkdir(parents=True)
    for place in (name, f"folder/{name}/index"):
        with open_index(place, bits=8) as index:
            index.add([1], np.zeros((1, 1), np.uint8))
        with open_index(place, read_only=True) as index:
            assert 1 in index
        assert Path(place).is_file()
    assert sorted(os.listdir(tmp_path)) == sorted([name, "folder"])


@pytest.mark.parametrize("name", ["run?1", "a\\b", "x" * 252, "x" * 300, "a\nb", "a\0b", "\udcff", "x?access_mode=a"])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    refused(str(tmp_path / name), bits=8)
    refused(str(tmp_path / name / "index"), bits=8)
    assert os.listdir(tmp_path) == []


def test_others_search_while_a_long_add_goes_on(path: Path) -> None:
    """They see what was there before, and from its end on all of it."""
    adding, go_on = threading.Event(), threading.Event()

    def wait(done: int, n: int) -> None:
        adding.set()
        assert go_on.wait(60)

    with LocalIndex(path, bits=64) as index:
        index.add([1, 2], random_codes(2), items=[{"name": "a"}, {"name": "b"}])
        new = {"name": ["new"] * 3, "fresh": [1, 2, 3]}
        options: dict[str, Any] = {"items": new, "replace": True, "progress": wait}
        writer = threading.Thread(target=index.add, args=([2, 3, 4], random_codes(3, seed=1)), kwargs=options)
        writer.start()
        assert adding.wait(60)
        assert index.search(random_codes(1), k=9, where="name <> 'new'")[0][0] == (1, 0, {"name": "a"})
        assert (len(index), list(index), index[2][1]) == (2, [1, 2], {"name": "b"})
        np.testing.assert_array_equal(index[2][0], random_codes(2)[1])
        assert index.check() == []
        go_on.set()
        writer.join()
        assert list(index) == [1, 2, 3, 4]
        assert index[2][1] == {"name": "new", "fresh": 1}


def test_another_duckdb_file_is_left_alone(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE items (id BIGINT)")
    before = path.read_bytes()
    assert "not one that crossbit made" in refused(path, bits=64)
    assert path.read_bytes() == before


def test_another_format_is_refused(path: Path) -> None:
    LocalIndex(path, bits=64).close()
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE crossbit_index SET format = 99")
    assert "format 99" in refused(path)
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE crossbit_index DROP COLUMN bits")
    assert "format unknown" in refused(path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    assert "cannot make" in refused(tmp_path / "missing" / "index.duckdb", bits=64)
    (tmp_path / "file").write_text("x")
    assert "cannot make" in refused(tmp_path / "file" / "index.duckdb", bits=64)


def test_a_log_without_its_index_is_not_thrown_away(path: Path) -> None:
    log = path.with_name(path.name + ".wal")
    log.write_bytes(b"perhaps somebody's only copy")
    assert "left of an index" in refused(path, bits=64)
    assert log.exists()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [10, 10_000, 0.5, 0.99])
def test_a_file_that_was_cut_short(path: Path, keep: float) -> None:
    with LocalIndex(path, bits=64) as index:
        index.add(range(30_000), random_codes(30_000), items={"name": [f"name {i}" for i in range(30_000)]})
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if keep > 1 else int(keep * len(whole))])

    def read() -> None:
        with LocalIndex(path) as index:
            index.search(random_codes(1), where="name LIKE '%9'")
            index.items([5])

    with pytest.raises(UserError, match=r"^[^\n]*(cannot|not an index|damaged)[^\n]*$"):
        read()


def test_a_damaged_byte_is_found(path: Path) -> None:
    with LocalIndex(path, bits=64) as index:
        index.add(range(30_000), random_codes(30_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"), LocalIndex(path) as index:
        index.search(random_codes(1))


@pytest.mark.slow
def test_only_the_module_that_an_address_names_is_imported() -> None:
    """Another backend's library may be heavy, or not there."""
    code = """
import pkgutil, sys
import crossbit.index
found = [*pkgutil.iter_modules(crossbit.index.__path__)]
pkgutil.iter_modules = lambda path: [*found, pkgutil.ModuleInfo(None, "heavy", False)]
try:
    crossbit.index.open_index("file:///nowhere/x", read_only=True)
except crossbit.errors.UserError as error:
    print(str(error)[:20], "crossbit.index.heavy" in sys.modules)
"""
    assert in_another_process(code) == "there is no index at False"


# One writer or many readers.


def in_another_process(code: str, *, fails: bool = False) -> str:
    """What a Python process prints that runs `code`; of one that fails, the last line of its traceback."""
    header = "from crossbit.index import LocalIndex\n"
    done = subprocess.run([sys.executable, "-c", header + code], capture_output=True, text=True, timeout=120)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr.strip().splitlines()[-1] if fails else done.stdout.strip()


@pytest.mark.slow
def test_while_one_writes_nobody_else_opens(path: Path) -> None:
    with LocalIndex(path, bits=64):
        for options in ("", ", read_only=True"):
            message = in_another_process(f"LocalIndex({str(path)!r}{options})", fails=True)
            assert message.startswith("crossbit.errors.UserError:")
            assert "open elsewhere; one may write, or many may read" in message


@pytest.mark.slow
def test_many_may_read(path: Path) -> None:
    with LocalIndex(path, bits=64) as index:
        index.add(range(5), random_codes(5))
    with LocalIndex(path, read_only=True), LocalIndex(path, read_only=True) as here:
        assert in_another_process(f"print(len(LocalIndex({str(path)!r}, read_only=True)))") == "5"
        assert "open elsewhere" in in_another_process(f"LocalIndex({str(path)!r})", fails=True)
        assert len(here) == 5


@pytest.mark.slow
def test_within_a_process_too(path: Path) -> None:
    writer = LocalIndex(path, bits=64)
    for options in ({}, {"read_only": True}):
        assert "open elsewhere" in refused(path, **options)
    os.symlink(path, path.with_name("link"))
    assert "open elsewhere" in refused(path.with_name("link"))
    writer.close()
    with LocalIndex(path, read_only=True):
        assert "open elsewhere" in refused(path)
    LocalIndex(path)  # forgotten without closing
    gc.collect()
    LocalIndex(path).close()


FORKING = """
import multiprocessing, os, sys, numpy as np
from crossbit.errors import UserError
code = np.zeros((1, 2), np.uint8)
index = LocalIndex(PATH, bits=16)
index.add([1], code, items=[{"name": "a"}])
hits = index.search(code)
def line(use):
    try:
        return use()
    except UserError as error:
        return str(error)
def child():
    uses = [lambda: index.add([2], code), lambda: index.remove([1]), lambda: index.search(code), lambda: 1 in index]
    uses += [lambda: len(index), lambda: index[1], lambda: hits[0], lambda: LocalIndex(PATH, read_only=True)]
    print(sum("was forked" in str(line(use)) for use in uses), "of", len(uses), line(index.close), flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start(); process.join()
print(process.exitcode, flush=True)
if os.fork() == 0:
    child()
    sys.exit()  # an end with all its finalizers
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
index.add([2], code)
print(len(index), index.search(code, k=9, where="name = 'a'").ids[0, :2].tolist())
"""


@pytest.mark.slow
def test_a_forked_child_refuses_in_one_line_and_harms_nothing(path: Path) -> None:
    printed = in_another_process(f"PATH = {str(path)!r}\n" + FORKING)
    assert printed.splitlines() == ["8 of 8 None", "0", "8 of 8 None", "0", "2 [1, -1]"]
    with LocalIndex(path) as index:
        assert len(index) == 2


FORKING_IN_THE_MIDST = """
import os, sys, threading, numpy as np
from crossbit.errors import UserError
code = np.zeros((1, 2), np.uint8)
index = LocalIndex(PATH, bits=16)
index.add([1], code)
adding, go_on = threading.Event(), threading.Event()
def wait(done, n):
    adding.set()
    assert go_on.wait(60)
thread = threading.Thread(target=lambda: index.add([2], code, progress=wait))
thread.start()
assert adding.wait(60)
if os.fork() == 0:
    for use in (lambda: index.add([3], code), lambda: index.search(code), lambda: len(index), index.keys):
        try:
            use()
        except UserError as error:
            print("was forked" in str(error), flush=True)
    index.close()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
go_on.set()
thread.join()
print(list(index))
"""


@pytest.mark.slow
def test_a_fork_in_the_midst_of_a_change_neither_hangs_nor_loses(path: Path) -> None:
    printed = in_another_process(f"PATH = {str(path)!r}\n" + FORKING_IN_THE_MIDST)
    assert printed.splitlines() == ["True"] * 4 + ["0", "[1, 2]"]


@pytest.mark.slow
def test_a_child_may_open_what_its_parent_has_closed(path: Path) -> None:
    code = f"""
import os, numpy as np
LocalIndex({str(path)!r}, bits=16).close()
if os.fork() == 0:
    with LocalIndex({str(path)!r}) as index:
        index.add([5], np.zeros((1, 2), np.uint8))
    os._exit(0)
os.wait()
print(5 in LocalIndex({str(path)!r}))
"""
    assert in_another_process(code) == "True"


# What is stored.


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 24, 64, 72, 128, 1024])
def test_words_are_big_endian_with_zeros_behind(path: Path, bits: int) -> None:
    codes = random_codes(20, bits)
    with LocalIndex(path, bits=bits) as index:
        index.add(range(20), codes)
        np.testing.assert_array_equal([index[id][0] for id in range(20)], codes)
        assert index.search(codes, k=1).distances.tolist() == [[0]] * 20
    with LocalIndex(path) as index:
        np.testing.assert_array_equal([index[id][0] for id in range(20)], codes)
    with duckdb.connect(path, read_only=True) as connection:
        rows = connection.execute("SELECT * FROM items ORDER BY id").fetchall()
    width = -(-bits // 64) * 8
    padded = [code.tobytes().ljust(width, b"\0") for code in codes]
    assert [b"".join(word.to_bytes(8, "big") for word in row[1 : 1 + width // 8]) for row in rows] == padded


def test_values_whose_first_rows_tell_nothing(path: Path) -> None:
    """DuckDB guesses the type of a column of objects from its first values; ours must not depend on them."""
    n = 3000
    items: dict[str, list[Any]] = {
        "tags": [[]] * (n - 1) + [['it\'s [odd], "quoted"', "b"]],
        "name": [None] * (n - 1) + ["x\0y"],
        "size": [None] * (n - 1) + [2**60],
        "good": [None] * (n - 1) + [True],
        "none": [None] * n,
    }
    with LocalIndex(path, bits=64) as index:
        index.add(range(n), random_codes(n), items=items)
        last = {"tags": items["tags"][-1], "name": "x\0y", "size": 2**60, "good": True}
        assert index[0][1] == {"tags": [], "name": None, "size": None, "good": None}
        assert index[n - 1][1] == last
        index.add([n], random_codes(1), items=[{"tags": [], "none": 5}])
        assert index[n][1] == dict.fromkeys(last) | {"tags": [], "none": 5}
        index.add([n + 1], random_codes(1), items=[dict.fromkeys(items)])
        assert index[n + 1][1] == dict.fromkeys(items)


def test_values_of_numpy(path: Path) -> None:
    columns = {
        "a": np.array([1, 2], np.int8),
        "b": np.array([1.5, np.nan], np.float32),
        "c": np.array([True, False]),
        "d": np.array(["x", "yy"]),
        "e": np.array(["x", None], object),
        "f": [np.float32(0.5), np.int64(3)],
        "g": [np.str_("x"), ("a", np.str_("b"))[1]],
        "h": [("a", "b"), None],
        "i": np.array([1, 2**63 - 1], np.uint64),
    }
    with LocalIndex(path, bits=64) as index:
        index.add([1, 2], random_codes(2), items=columns)
        assert list(index[1][1].values()) == [1, 1.5, True, "x", "x", 0.5, "x", ["a", "b"], 1]
        assert list(index[2][1].values()) == [2, None, False, "yy", None, 3.0, "b", None, 2**63 - 1]
        with pytest.raises(UserError, match="column 'i' holds a number beyond 64 bits"):
            index.add([3], random_codes(1), items={"i": np.array([2**63], np.uint64)})
        with pytest.raises(UserError, match="column 'j' holds array"):
            index.add([3], random_codes(1), items=[{"j": np.zeros(2)}])


def test_whole_numbers_fit_into_a_column_of_floats_but_not_the_reverse(path: Path) -> None:
    with LocalIndex(path, bits=64) as index:
        index.add([1], random_codes(1), items=[{"x": 0.5, "n": 1}])
        index.add([2, 3], random_codes(2), items=[{"x": 2}, {"x": None}])
        assert index.search(random_codes(1), where="x = 2.0")[0][0][2] == {"x": 2.0, "n": None}
        assert index[3][1] == {"x": None, "n": None}
        with pytest.raises(UserError, match=r"column 'n' holds int, got float: 0.5"):
            index.add([4], random_codes(1), items=[{"n": 0.5}])


def test_names_of_columns_may_be_odd_but_not_ambiguous(path: Path) -> None:
    odd = 'a "quoted"; DROP TABLE items --'
    with LocalIndex(path, bits=64) as index:
        index.add([1], random_codes(1), items=[{odd: 1, "select": 2}])
        assert index[1][1] == {odd: 1, "select": 2}
        with pytest.raises(UserError, match="differs from 'select' only by case"):
            index.add([2], random_codes(1), items=[{"Select": 2}])
        with pytest.raises(UserError, match="taken by the index itself"):
            index.add([2], random_codes(1), items=[{"_word0": 2}])


@pytest.mark.slow
def test_batches_in_any_order_of_ids_are_searched_in_the_order_of_ids(path: Path) -> None:
    """Many batches of uneven sizes: every way in which the runs in memory can come to be merged."""
    rng = np.random.default_rng(0)
    ids = rng.permutation(3000)
    with LocalIndex(path, bits=8) as index:
        at = 0
        while at < len(ids):
            batch = ids[at : at + rng.integers(1, 200)]
            index.add(batch, (batch % 4)[:, None].astype(np.uint8))
            at += len(batch)
        hits = index.search(np.zeros((1, 8 // 8), np.uint8), k=3000)
    order = sorted(range(3000), key=lambda id: (bin(id % 4).count("1"), id))
    assert hits.ids[0].tolist() == order


def test_what_is_alike_is_found_by_the_first_column_that_has_a_value(path: Path) -> None:
    rows = [("a", "x"), ("a", "y"), (None, "x"), (None, "x"), (None, None), (None, None), ("x", None)]
    ids = np.array([70, 10, 60, 20, 50, 30, 40])
    with LocalIndex(path, bits=8) as index:
        assert index.lowest_alike(["group", "path"]).tolist() == []
        index.add(ids, np.zeros((7, 1), np.uint8), items=[{"group": group, "path": path} for group, path in rows])
        expected = {70: 10, 10: 10, 60: 20, 20: 20, 50: 50, 30: 30, 40: 40}
        assert dict(zip(index.keys().tolist(), index.lowest_alike(["group", "path"]).tolist(), strict=True)) == expected
        assert index.lowest_alike(["no such"]).tolist() == index.keys().tolist()


def test_items_of_many_queries_are_fetched_in_blocks(path: Path) -> None:
    n = 700
    with LocalIndex(path, bits=64) as index:
        codes = random_codes(n)
        index.add(range(n), codes, items={"name": [f"no {id}" for id in range(n)]})
        hits = index.search(codes, k=1)
        assert [hit for row in hits for hit in row] == [(id, 0, {"name": f"no {id}"}) for id in range(n)]
        index.remove([5])
        index.add([6], codes[6:7], items=[{"name": "new"}], replace=True)
        hits = index.search(codes[6:7], k=1)
        index.remove([6])
        assert hits[0] == [(6, 0, None)]


# All or nothing.


@pytest.mark.parametrize("failing", ["INSERT", "COMMIT"])
def test_a_change_that_fails_half_way_leaves_no_trace(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    codes = random_codes(4)
    with LocalIndex(path, bits=64) as index:
        index.add([1, 2], codes[:2], items=[{"a": 1}, {"a": 2}])
        index.search(codes)

        class Failing:
            """The connection, until Ctrl-C at the worst moment."""

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def execute(self, query: str, *rest: Any) -> Any:
                if query.startswith(failing):
                    raise KeyboardInterrupt
                return real.execute(query, *rest)

            def commit(self) -> None:
                if failing == "COMMIT":
                    raise KeyboardInterrupt
                real.commit()

        real = index._file.connection
        with monkeypatch.context() as patch:
            patch.setattr(index._file, "_connection", Failing())
            with pytest.raises(KeyboardInterrupt):
                index.add([2, 3], codes[2:], items=[{"b": 1}, {"b": 2}], replace=True)
        assert sorted(index.search(codes[:1], k=4).ids[0].tolist()) == [-1, -1, 1, 2]
        assert len(index) == 2
        assert 3 not in index
        assert index[2][1] == {"a": 2}
        np.testing.assert_array_equal(index[2][0], codes[1])
        index.add([2, 3], codes[2:], items=[{"b": 1}, {"b": 2}], replace=True)
        assert index[3][1] == {"a": None, "b": 2}


FULL_DISK = """
import os, resource, signal, sys, numpy as np
from crossbit.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
index = LocalIndex(PATH, bits=64)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
n = 0
try:
    while n < 10_000_000:
        index.add(range(n, n + 1000), np.random.default_rng(n).integers(0, 256, (1000, 8), dtype=np.uint8))
        n += 1000
except UserError as error:
    assert "cannot write" in str(error), error
    assert len(index) == n and n - 1 in index and n not in index
    print(n, flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_a_full_disk_loses_nothing(path: Path) -> None:
    added = int(in_another_process(f"PATH = {str(path)!r}\n" + FULL_DISK))
    assert added > 0
    with LocalIndex(path) as index:
        assert len(index) == added
        index.add([added], random_codes(1))


# kill -9.

ADDING = """
import sys, numpy as np
path, seed = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(seed)
with LocalIndex(path, bits=64) as index:
    start = len(index)
    while True:
        n = int(rng.choice([1, 100, 1000, 5000, 40_000], p=[0.3, 0.3, 0.3, 0.05, 0.05]))
        ids = np.arange(start, start + n)
        codes = (ids * 2654435761).astype(">u8").view(np.uint8).reshape(n, 8)
        names = [f"no {i}" for i in ids.tolist()]
        index.add(ids, codes, items={"start": np.full(n, start), "name": names, f"column {n}": ids})
        print(start + n, flush=True)
        start += n
"""


def kill_while_adding(path: Path, seed: int) -> int:
    """Start a process that adds, kill it at a random moment; how many rows it had acknowledged."""
    delay = random.Random(seed).uniform(0, 1.0)
    header = "from crossbit.index import LocalIndex\n"
    command = [sys.executable, "-c", header + ADDING, str(path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, "it ended before its first add"
        time.sleep(delay)
        process.kill()
        lines = [first, *process.stdout.read().splitlines(keepends=True)]
    return int([line for line in lines if line.endswith("\n")][-1])


def check_whole(path: Path, acknowledged: int) -> None:
    """Everything acknowledged is there; a last batch that was not is there as a whole or not at all."""
    with LocalIndex(path) as index:
        n = len(index)
        assert n >= acknowledged
        rows = index._file.connection.execute("SELECT id, _word0, start, name FROM items ORDER BY id").fetchnumpy()
        ids = np.arange(n)
        np.testing.assert_array_equal(rows["id"], ids)
        np.testing.assert_array_equal(rows["_word0"], (ids * 2654435761).astype(np.uint64))
        assert rows["name"].tolist() == [f"no {id}" for id in range(n)]
        starts = np.unique(rows["start"])
        assert starts[0] == 0
        assert n == acknowledged or (n > acknowledged and acknowledged in starts and starts[-1] == acknowledged)
        last = index.search(index[n - 1][0][None], k=1)[0][0]
        assert last[:2] == (n - 1, 0)


def kill_again_and_again(path: Path, times: int) -> None:
    LocalIndex(path, bits=64).close()
    acknowledged = 0
    for seed in range(times):
        before, acknowledged = acknowledged, kill_while_adding(path, seed)
        assert acknowledged > before
        check_whole(path, acknowledged)


@pytest.mark.slow
def test_killed_at_random_moments_nothing_acknowledged_is_lost(path: Path) -> None:
    kill_again_and_again(path, int(os.environ.get("CROSSBIT_KILLS", "4")))


@pytest.mark.slow
def test_killed_while_it_is_made_an_index_is_whole_or_not_there(path: Path) -> None:
    """The file appears under its name only when it is complete."""
    code = f"""
import os, signal
from crossbit.index import LocalIndex, duckfile
duckfile._place = lambda new, path: os.kill(os.getpid(), signal.SIGKILL)
LocalIndex({str(path)!r}, bits=64)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == -9
    assert not path.exists()
    LocalIndex(path, bits=64).close()


def test_two_that_make_the_same_index_at_once_do_not_replace_each_other(path: Path) -> None:
    with LocalIndex(path, bits=64) as index:
        index.add([1], random_codes(1))
    duckfile._create(path, 64)  # what a process does that saw no file a moment ago
    with LocalIndex(path) as index:
        assert 1 in index


def test_the_configuration_is_what_duckdb_says_it_is(path: Path) -> None:
    with LocalIndex(path, bits=64) as index:
        query = "SELECT name, value FROM duckdb_settings() WHERE name IN (SELECT unnest(?))"
        found = dict(index._file.connection.execute(query, [list(CONFIG)]).fetchall())
    assert found == {name: str(value).lower() for name, value in CONFIG.items()}


def test_the_first_add_makes_an_index_whose_length_was_not_given(path: Path) -> None:
    with LocalIndex(path) as index:
        assert (len(index), 3 in index, path.exists()) == (0, False, False)
        with pytest.raises(UserError, match=r"no index at .* yet"):
            index.search(np.zeros((1, 2), np.uint8))
        with pytest.raises(UserError, match="one code for each id"):
            index.add([1, 2], np.zeros((1, 2), np.uint8))
        assert not path.exists()
        index.add([3], np.zeros((1, 2), np.uint8))
        assert (len(index), index.bits) == (1, 16)
    with LocalIndex(path) as index:
        assert 3 in index


def test_codes_in_the_place_of_the_ids_are_told(path: Path) -> None:
    with open_index(path, bits=16) as index, pytest.raises(UserError, match=r"write add\(ids, codes\)"):
        index.add(np.zeros((1, 2), np.uint8))


def test_an_index_that_was_never_made_can_be_closed(path: Path) -> None:
    index = LocalIndex(path)
    index.close()
    with pytest.raises(UserError, match="closed"):
        index.search(np.zeros((1, 2), np.uint8))
    assert not path.exists()
