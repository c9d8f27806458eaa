"""Packing against bit-by-bit loops; search and counting against sorted lists of (distance, position)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit import bits
from crossbit.bits import compiled, kernels, plain, search
from crossbit.bits.cells import laid
from crossbit.bits.masks import from_mask_words, mask_words
from crossbit.errors import UserError

LENGTHS = range(8, 1025, 8)
Pairs = list[list[tuple[int, int]]]


@pytest.fixture(autouse=True)
def _threads_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small inputs go through the thread pool, too."""
    monkeypatch.setattr(search, "ALONE", 0)


def distances(query: np.ndarray, database: np.ndarray) -> list[list[int]]:
    """Hamming distances, one by one, of codes read as whole numbers."""
    numbers = [int.from_bytes(code.tobytes(), "big") for code in database]
    return [[(int.from_bytes(code.tobytes(), "big") ^ number).bit_count() for number in numbers] for code in query]


def nearest(table: list[list[int]], k: int, mask: np.ndarray | None) -> Pairs:
    """(distance, position) of the k nearest allowed codes of each row, filled up with (-1, -1)."""
    found = []
    for row in table:
        allowed = sorted((d, j) for j, d in enumerate(row) if mask is None or mask[j])
        found.append((allowed + [(-1, -1)] * k)[:k])
    return found


def pairs(result: tuple[np.ndarray, np.ndarray]) -> Pairs:
    return [list(zip(d, p, strict=True)) for d, p in zip(result[0].tolist(), result[1].tolist(), strict=True)]


def some_codes(rng: np.random.Generator, n: int, length: int, different: int) -> np.ndarray:
    """n codes drawn from a few different ones, so that there are ties and equal codes."""
    pool = rng.integers(0, 256, (different, length // 8), dtype=np.uint8)
    return pool[rng.integers(0, different, n)]


lengths = st.sampled_from(LENGTHS)
seeds = st.integers(0, 2**32 - 1)


# --- packing ---------------------------------------------------------------------------------------------------------


def test_bits_and_bytes_of_every_length() -> None:
    for length in LENGTHS:
        x = np.random.default_rng(length).choice([-2.5, -1.0, -0.0, 0.0, 1e-30, 3.0], (3, length))
        codes = bits.pack(x)
        assert codes.shape == (3, length // 8) and codes.dtype == np.uint8
        for row, code in zip(x, codes, strict=True):
            text = "".join("1" if value >= 0 else "0" for value in row)
            assert [int(text[b : b + 8], 2) for b in range(0, length, 8)] == code.tolist()
        signs = [[1 if value >= 0 else -1 for value in row] for row in x]
        assert bits.unpack(codes).tolist() == signs == bits.sign(x).tolist()
        assert bits.unpack(codes).dtype == bits.sign(x).dtype == np.int8


def test_planes_are_big_endian_words_with_an_empty_tail() -> None:
    for length in LENGTHS:
        codes = np.random.default_rng(length).integers(0, 256, (4, length // 8), dtype=np.uint8)
        words = bits.planes(codes)
        assert words.dtype == np.uint64 and words.flags.c_contiguous
        for i, code in enumerate(codes):
            padded = code.tobytes() + bytes(-len(code) % 8)
            chunks = [padded[w : w + 8] for w in range(0, len(padded), 8)]
            assert words[:, i].tolist() == [int.from_bytes(chunk, "big") for chunk in chunks]
        assert bits.from_planes(words, length).tolist() == codes.tolist()


def test_no_rows_at_all_keep_their_shapes() -> None:
    codes = bits.pack(np.empty((0, 72)))
    assert codes.shape == (0, 9) and bits.unpack(codes).shape == (0, 72)
    assert bits.planes(codes).shape == (2, 0) and bits.from_planes(bits.planes(codes), 72).shape == (0, 9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_signs_of_every_signed_type(dtype: type) -> None:
    x = np.array([[-3, -1, 0, 1, 2, -2, 0, 5]], dtype)
    assert bits.pack(x).tolist() == [[0b00111011]]


# --- search ----------------------------------------------------------------------------------------------------------


@given(
    length=lengths,
    n=st.integers(0, 700),  # several blocks, and parts of one
    m=st.integers(0, 30),  # of many queries, what a mask allows is copied, be it half of the codes
    k=st.integers(1, 300),
    different=st.sampled_from([1, 2, 30, 10_000]),
    share=st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]),
    as_planes=st.booleans(),
    as_words=st.booleans(),
    threads=st.integers(1, 3),
    seed=seeds,
)
def test_top_k_equals_a_sorted_list(
    length: int,
    n: int,
    m: int,
    k: int,
    different: int,
    share: float | None,
    as_planes: bool,
    as_words: bool,
    threads: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, m, length, different), some_codes(rng, n, length, different)
    if m and n:
        query[0] = database[-1]
    mask = None if share is None else rng.random(n) < share
    given_form = bits.planes(database) if as_planes else database
    given_mask = mask if mask is None or not as_words else mask_words(mask)
    result = bits.top_k(query, given_form, k, mask=given_mask, threads=threads)
    assert result[0].dtype == np.int32 and result[1].dtype == np.int64
    assert result[0].shape == result[1].shape == (m, k)
    assert pairs(result) == nearest(distances(query, database), k, mask)


@pytest.mark.parametrize("share", [None, 0.001, 0.05, 0.4])
@pytest.mark.parametrize("order", ["nearest last", "nearest first", "any"])
@pytest.mark.parametrize("k", [1, 7, 5000])
def test_tiles_and_full_buffers_in_every_order(order: str, share: float | None, k: int) -> None:
    rng = np.random.default_rng(3)
    database = rng.integers(0, 256, (2 * kernels.TILE + 777, 12), dtype=np.uint8)
    query = rng.integers(0, 256, (3, 12), dtype=np.uint8)
    distance = np.array(distances(query[:1], database)[0])
    if order != "any":
        database = database[np.argsort(distance if order == "nearest first" else -distance)]
    mask = None if share is None else rng.random(len(database)) < share
    expected = nearest(distances(query, database), k, mask)
    for threads in (1, 2):
        assert pairs(bits.top_k(query, database, k, mask=mask, threads=threads)) == expected


def test_many_queries_are_searched_in_small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    query, database = some_codes(rng, 500, 24, 200), some_codes(rng, 300, 24, 200)
    expected = nearest(distances(query, database), 9, None)
    for candidates in (1, 1000, bits.search.CANDIDATES):
        monkeypatch.setattr(bits.search, "CANDIDATES", candidates)
        assert pairs(bits.top_k(query, database, 9, threads=3)) == expected


def test_a_tie_at_the_last_place_goes_to_the_lower_position() -> None:
    database = np.zeros((1000, 8), np.uint8)
    database[::2, 7] = 1
    found = bits.top_k(np.zeros((1, 8), np.uint8), database, 502, threads=2)
    assert found[1].tolist() == [[*range(1, 1000, 2), 0, 2]]
    assert found[0].tolist() == [[0] * 500 + [1, 1]]


def test_the_same_result_from_read_only_mapped_strided_and_odd_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    database, mask = rng.integers(0, 256, (900, 16), dtype=np.uint8), rng.random(900) < 0.5
    expected = pairs(bits.top_k(database[:4], database, 10, mask=mask))
    before = len(kernels.top_k.compiled.signatures)
    np.save(tmp_path / "codes.npy", database)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    raw = bytearray(database.nbytes + 1)
    odd = np.frombuffer(raw, np.uint8, offset=1).reshape(database.shape)
    odd[:] = database
    wide = np.repeat(database, 2, axis=0)[::2]
    words = np.asfortranarray(bits.planes(database))
    masks = np.frombuffer(mask.tobytes(), np.bool_), np.repeat(mask_words(mask), 2)[::2]
    for form in (mapped, odd, wide, np.asfortranarray(database), words):
        for fixed_mask in masks:
            assert pairs(bits.top_k(database[:4], form, 10, mask=fixed_mask)) == expected
    assert len(kernels.top_k.compiled.signatures) == before


@given(n=st.integers(0, 300), share=st.floats(0, 1), seed=seeds)
def test_words_of_a_mask(n: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(n) < share
    words = mask_words(mask)
    assert words.dtype == np.uint64 and words.shape == (-(-n // 64),)
    assert [(int(words[j // 64]) >> (j % 64)) & 1 for j in range(n)] == mask.tolist()
    assert sum(int(word).bit_count() for word in words) == mask.sum()
    np.testing.assert_array_equal(from_mask_words(words, n), mask)


@given(probes=st.integers(1, 9), share=st.sampled_from([0.0, 0.1, 0.7]), k=st.integers(1, 90), seed=seeds)
def test_a_mask_of_codes_in_cells(probes: int, share: float, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, 3, 72, 100), some_codes(rng, 700, 72, 300)
    found, _ = laid(bits.planes(database), rng.integers(0, 9, 700), some_codes(rng, 9, 72, 100))
    mask = rng.random(700) < share  # the cells begin anywhere in its words
    there = bits.from_planes(found.planes, 72)
    for q, chosen in zip(query, bits.top_k(query, found.centres, probes)[1], strict=True):
        rows = [row for c in chosen for row in range(found.starts[c], found.starts[c + 1]) if mask[row]]
        expected = sorted(distances(q[None], there[rows])[0])[:k] if rows else []
        near, at, _ = found.top_k(q[None], k, probes, mask=mask_words(mask))
        assert near[0].tolist() == expected + [-1] * (k - len(expected))
        assert set(at[0].tolist()) <= {*rows, -1}


@pytest.mark.parametrize("length", [8, 64, 128, 200, 512])
def test_faiss_finds_the_same(need: Callable[[str], ModuleType], length: int) -> None:
    faiss = need("faiss")
    rng = np.random.default_rng(length)
    database, query = some_codes(rng, 3000, length, 1000), some_codes(rng, 20, length, 1000)
    index = faiss.IndexBinaryFlat(length)
    index.add(database)
    near, positions = index.search(query, 50)
    ours = bits.top_k(query, database, 50)
    assert ours[0].tolist() == near.tolist()
    table = distances(query, database)
    for row, theirs, found in zip(table, positions.tolist(), ours[1].tolist(), strict=True):
        inside = {j for j in theirs if row[j] < row[theirs[-1]]}  # faiss may choose others at the last distance
        assert inside == {j for j in found if row[j] < row[theirs[-1]]}


# --- counting --------------------------------------------------------------------------------------------------------


def counted(table: list[list[int]], relevant: np.ndarray, length: int) -> tuple[list[list[int]], list[list[int]]]:
    everything = [[0] * (length + 1) for _ in table]
    hits = [[0] * (length + 1) for _ in table]
    for q, row in enumerate(table):
        for j, d in enumerate(row):
            everything[q][d] += 1
            hits[q][d] += int(relevant[q, j])
    return everything, hits


@given(
    length=lengths,
    n=st.integers(0, 600),
    m=st.integers(0, 12),
    classes=st.sampled_from([0, 1, 7, 38, 64, 65, 200]),
    share=st.sampled_from([0.0, 0.05, 0.6]),
    dtype=st.sampled_from([np.uint8, np.int64, np.float32, np.bool_]),
    as_planes=st.booleans(),
    seed=seeds,
)
def test_histograms_of_label_sets_equal_loops(
    length: int, n: int, m: int, classes: int, share: float, dtype: type, as_planes: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, m, length, 50), some_codes(rng, n, length, 50)
    labels = [(rng.random((rows, classes)) < share).astype(dtype) for rows in (m, n)]
    relevant = np.array([[any(a & b for a, b in zip(x, y, strict=True)) for y in labels[1] > 0] for x in labels[0] > 0])
    expected = counted(distances(query, database), relevant.reshape(m, n), length)
    given_form = bits.planes(database) if as_planes else database
    everything, hits = bits.distance_histograms(query, given_form, *labels, threads=2)
    assert everything.dtype == hits.dtype == np.int64
    assert (everything.tolist(), hits.tolist()) == expected
    assert bits.distance_histograms(query, given_form, threads=2).tolist() == expected[0]


@given(length=lengths, n=st.integers(0, 600), m=st.integers(0, 5), top=st.sampled_from([1, 2**31, 2**62]), seed=seeds)
def test_histograms_of_classes_equal_loops(length: int, n: int, m: int, top: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, m, length, 50), some_codes(rng, n, length, 50)
    names = rng.integers(-top, top, 4)
    left, right = names[rng.integers(0, 4, m)], names[rng.integers(0, 4, n)]
    expected = counted(distances(query, database), left[:, None] == right, length)
    everything, hits = bits.distance_histograms(query, database, left, right)
    assert (everything.tolist(), hits.tolist()) == expected


def test_histograms_over_several_tiles_and_tasks() -> None:
    rng = np.random.default_rng(1)
    query, database = (rng.integers(0, 256, (rows, 5), dtype=np.uint8) for rows in (150, kernels.TILE + 300))
    labels = [rng.integers(0, 3, rows).astype(np.uint8) for rows in (150, kernels.TILE + 300)]
    everything, hits = bits.distance_histograms(query, database, *labels, threads=2)
    for q in (0, 63, 64, 149):
        row = np.bitwise_count(query[q] ^ database).sum(axis=1).astype(int)
        assert everything[q].tolist() == np.bincount(row, minlength=41).tolist()
        assert hits[q].tolist() == np.bincount(row[labels[1] == labels[0][q]], minlength=41).tolist()
    everything[:, 0] -= 1  # each call's result is its own
    assert bits.distance_histograms(query, database)[0, 0] == everything[0, 0] + 1


# --- without the compiler --------------------------------------------------------------------------------------------


@given(length=lengths, n=st.integers(0, 300), m=st.integers(0, 4), k=st.integers(1, 400), seed=seeds, data=st.data())
def test_numpy_finds_what_the_kernels_find(length: int, n: int, m: int, k: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, m, length, 50), some_codes(rng, n, length, 50)
    mask = data.draw(st.sampled_from([None, rng.random(n) < 0.5, np.zeros(n, bool)]))
    with pytest.MonkeyPatch.context() as patch:
        expected = bits.top_k(query, database, k, mask=mask)
        patch.setattr(plain, "is_enough", lambda distances: True)
        found = bits.top_k(query, database, k, mask=mask)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


WITHOUT = """
import sys
import numpy as np
from crossbit import bits
codes = np.random.default_rng(0).integers(0, 256, (200_000, 8), dtype=np.uint8)
bits.top_k(codes[:5], codes, 5)
assert "numba" not in sys.modules
first = bits.top_k(codes[:20], codes, 5)
assert "numba" in sys.modules
assert (bits.top_k(codes[:5], codes, 5)[1] == first[1][:5]).all()
"""


@pytest.mark.slow
def test_the_compiler_is_loaded_where_it_pays() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=120)


# --- threads, processes, the cache of compiled code ------------------------------------------------------------------


def test_calls_from_many_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(2)
    database = rng.integers(0, 256, (5000, 8), dtype=np.uint8)
    query = rng.integers(0, 256, (64, 8), dtype=np.uint8)
    searched = [pairs(bits.top_k(q[None], database, 10)) for q in query]
    counts = [bits.distance_histograms(q[None], database).tolist() for q in query]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda q: pairs(bits.top_k(q[None], database, 10, threads=2)), query)) == searched
        assert list(pool.map(lambda q: bits.distance_histograms(q[None], database).tolist(), query)) == counts


FORK = """
import os, sys
import numpy as np
from crossbit.bits import compiled, kernels, search
search.ALONE = 0
codes = np.random.default_rng(0).integers(0, 256, (4000, 8), dtype=np.uint8)
expected = search.top_k(codes[:50], codes, 5, threads=2)
assert compiled._pool._threads
child = os.fork()
if child == 0:
    assert not compiled._pool._threads
found = search.top_k(codes[:50], codes, 5, threads=2)
assert compiled._pool._threads and all((a == b).all() for a, b in zip(found, expected))
if child != 0:
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_search_works_on_both_sides_of_a_fork_and_both_end() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=120)


AT_EXIT = """
import threading, time
from crossbit.bits import compiled
assert threading.active_count() == 1  # the pool has no thread yet
done = []
tasks = [lambda: done.append(1)] * 5
compiled.run(tasks, 2)
assert threading.active_count() == 2 and len(done) == 5
def late():
    threading.main_thread().join()  # by now the pool takes no more work
    compiled.run(tasks, 2)
    print(len(done))
threading.Thread(target=late).start()
"""


@pytest.mark.slow
def test_the_pools_threads_start_late_and_end_with_the_process() -> None:
    ran = subprocess.run([sys.executable, "-c", AT_EXIT], check=True, timeout=120, capture_output=True, text=True)
    assert ran.stdout == "10\n"


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_THREADS", "5")
    assert compiled.thread_count() == 5 and compiled.thread_count(2) == 2
    monkeypatch.delenv("CROSSBIT_THREADS")
    assert compiled.thread_count() >= 1
    for wrong in ("0", "-1", "two", ""):
        monkeypatch.setenv("CROSSBIT_THREADS", wrong)
        with pytest.raises(UserError, match="CROSSBIT_THREADS"):
            compiled.thread_count()


def test_a_failing_task_ends_the_run_and_is_seen() -> None:
    done = []

    def fail() -> None:
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        compiled.run([fail, *[lambda: done.append(1)] * 3], threads=2)


def add_one(x):  # type: ignore[no-untyped-def]
    return x + 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_compiled_code_is_cached(cache: Path) -> None:
    assert compiled.JitKernel(add_one)(1) == 2
    again = compiled.JitKernel(add_one)
    assert again(1) == 2 and sum(again.compiled.stats.cache_hits.values()) == 1


@pytest.mark.skipif(not hasattr(numba.config, "CACHE_LOCATOR_CLASSES"), reason="this numba has no such switch")
def test_without_a_place_for_the_cache_kernels_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "IPythonCacheLocator")
    with pytest.raises(RuntimeError, match="no locator"):  # what numba does by itself
        numba.njit(cache=True)(add_one)
    assert compiled.JitKernel(add_one)(1) == 2


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:50], lambda data: data[::-1]], ids="abc")
def test_a_damaged_cache_is_passed_over(cache: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    assert compiled.JitKernel(add_one)(1) == 2
    (path,) = cache.rglob(f"*.{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    kernel = compiled.JitKernel(add_one)
    with pytest.warns(UserWarning, match="cache"):
        assert kernel(1) == 2
    assert kernel(2) == 3


def test_a_cache_that_cannot_be_written_is_passed_over(cache: Path) -> None:
    kernel = compiled.JitKernel(add_one)
    (folder,) = cache.iterdir()
    folder.rmdir()
    folder.write_text("a file where the folder was")
    with pytest.warns(UserWarning, match="cache"):
        assert kernel(1) == 2


def test_a_mistake_in_a_call_is_not_taken_for_a_damaged_cache(cache: Path) -> None:
    with pytest.raises(numba.core.errors.TypingError):
        compiled.JitKernel(add_one)("1")


# --- bad input -------------------------------------------------------------------------------------------------------

C8, C16 = np.zeros((3, 1), np.uint8), np.zeros((3, 2), np.uint8)
BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: bits.check_bits(12), "12 bits; it must be a multiple of 8 from 8 to 1024"),
    (lambda: bits.check_bits(0), "is 0 bits"),
    (lambda: bits.check_bits(1032), "is 1032 bits"),
    (lambda: bits.check_bits(64.0), "is 64.0 bits"),  # type: ignore[arg-type]
    (lambda: bits.check_bits(True), "is True bits"),
    (lambda: bits.check_codes(C8.astype(np.int64), "gallery"), "gallery: packed codes are uint8 .* got int64"),
    (lambda: bits.check_codes(C8[0]), r"shape \(1,\)"),
    (lambda: bits.check_codes(np.zeros((3, 129), np.uint8)), "1 to 128 bytes, got 129"),
    (lambda: bits.check_codes(np.zeros((3, 0), np.uint8)), "1 to 128 bytes, got 0"),
    (lambda: bits.pack([[0.5] * 7 + [np.nan]]), "1 values are NaN"),
    (lambda: bits.sign(np.nan), "NaN"),
    (lambda: bits.pack(np.zeros((2, 12))), "12 bits"),
    (lambda: bits.pack(np.zeros(8)), r"shape \(n, bits\), got \(8,\)"),
    (lambda: bits.pack(np.ones((2, 8), bool)), "got bool"),
    (lambda: bits.pack(np.ones((2, 8), np.uint8)), "got uint8"),
    (lambda: bits.pack([["a"] * 8]), "got <U1"),
    (lambda: bits.unpack(np.zeros((2, 8))), "got float64"),
    (lambda: bits.from_planes(np.zeros((1, 3), np.uint64), 128), r"uint64 \(2, n\), got uint64 of shape \(1, 3\)"),
    (lambda: bits.top_k(C8, C16, 1), "query codes have 8 bits, database codes 16"),
    (lambda: bits.top_k(C8, np.zeros((2, 3), np.uint64), 1), r"8-bit codes are uint64 \(1, n\)"),
    (lambda: bits.top_k(C8, C8.astype(float), 1), "database: packed codes are uint8"),
    (lambda: bits.top_k(C8, C8, 0), "whole number from 1; got 0"),
    (lambda: bits.top_k(C8, C8, 2.0), "got 2.0"),  # type: ignore[arg-type]
    (lambda: bits.top_k(C8, C8, 1, mask=np.ones(2, bool)), r"mask must be bool \(3,\)"),
    (lambda: bits.top_k(C8, C8, 1, mask=[0, 1, 1]), "got int64"),
    (lambda: bits.top_k(C8, C8, 1, mask=np.zeros(2, np.uint64)), r"or its words uint64 \(1,\).*got uint64 \(2,\)"),
    (lambda: bits.top_k(C8, C8, 1, mask=np.array([8], np.uint64)), "positions from 3 on"),
    (lambda: mask_words(np.ones(3)), "bool .*got float64"),
    (lambda: bits.top_k(C8, C8, 1, threads=0), "threads"),
    (lambda: bits.distance_histograms(C8, C8, [1, 2, 3], None), "one of them is missing"),  # type: ignore[call-overload]
    (lambda: bits.distance_histograms(C8, C8, [1, 2, 3], [1, 2]), "database labels must be .*3"),
    (lambda: bits.distance_histograms(C8, C8, [1, 2, 3], np.ones((3, 2))), "of one form"),
    (lambda: bits.distance_histograms(C8, C8, np.ones((3, 4)), np.ones((3, 2))), "of one form"),
    (lambda: bits.distance_histograms(C8, C8, [1.0, 2, 3], [1, 2, 3]), "must be integers, got float64"),
    (lambda: bits.distance_histograms(C8, C8, np.ones((3, 2)), np.full((3, 2), 2)), "must be 0 or 1"),
    (lambda: bits.distance_histograms(C8, C8, np.ones((3, 2)), np.full((3, 2), np.nan)), "must be 0 or 1"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_a_mistake_is_told_in_one_line(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@settings(max_examples=150)
@given(length=lengths, n=st.integers(0, 3000), m=st.integers(1, 40), k=st.integers(1, 4000), seed=seeds)
def test_top_k_equals_a_sorted_list_at_larger_sizes(length: int, n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, database = some_codes(rng, m, length, 500), some_codes(rng, n, length, 500)
    assert pairs(bits.top_k(query, database, k)) == nearest(distances(query, database), k, None)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_runs_once_in_some_thread(threads: int) -> None:
    done: list[int] = []
    compiled.run([partial(done.append, number) for number in range(40)], threads)
    assert sorted(done) == list(range(40))
    compiled.run([], threads)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [IndexError, KeyboardInterrupt])
def test_what_a_task_raises_comes_back(threads: int, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("from a task")

    done: list[int] = []
    with pytest.raises(error, match="from a task"):
        compiled.run([fail, *(partial(done.append, number) for number in range(1000))], threads)
    if threads == 1:
        assert done == []


def test_threads_of_the_pool_serve_one_call_after_another() -> None:
    used: set[int] = set()
    for _ in range(20):
        both = threading.Barrier(2)
        compiled.run([lambda both=both: (both.wait(30), used.add(threading.get_ident()))] * 2, 2)  # type: ignore[misc]
    assert len(used) <= (os.cpu_count() or 1) + 1


def test_tasks_may_run_tasks_from_many_threads() -> None:
    """More of them than the pool has threads, all waiting at once, so that no helper is free."""
    done: list[int] = []

    def outer(number: int) -> None:
        compiled.run([partial(done.append, number)] * 3, 3)

    def call(number: int) -> None:
        compiled.run([partial(outer, number)] * 4, 4)

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(call, range(50)))
    assert sorted(done) == sorted([*range(50)] * 12)


def test_an_interrupt_ends_a_run(request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    request.addfinalizer(partial(signal.signal, signal.SIGINT, before))
    done: list[int] = []
    interrupt = partial(signal.raise_signal, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        compiled.run([interrupt, *[partial(time.sleep, 0.01)] * 3, *[partial(done.append, 1)] * 1000], 2)
    assert len(done) < 1000
    compiled.run([partial(done.append, 1)] * 5, 2)  # the pool works on
