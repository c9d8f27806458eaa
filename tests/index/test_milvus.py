"""What an index in Milvus does beyond what every index does: ties, addresses, errors, a server that ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import Index, open_index
from crossbit.index.base import Changed
from crossbit.index.columns import Column
from crossbit.index.milvus import nearest as milvus_nearest
from crossbit.index.milvus.calls import TOKEN, Lost, Server, address_of, until
from crossbit.index.milvus.index import MilvusIndex
from crossbit.index.milvus.rows import REQUEST, Rows
from milvus_server import QUICK, ROOT, MilvusServer

N = 3000
SOON = {**QUICK, "common.session.ttl": "10"}  # seconds until what a killed server held is free
NOWHERE = "milvus://127.0.0.1:1/codes?timeout=1"


def rows(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """Codes of 8 bits, so that hundreds are at each distance, under ids in no order."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(10 * n, n, replace=False) - 5 * n
    return ids, rng.integers(0, 256, (n, 1), dtype=np.uint8), [{"size": int(i % 7)} for i in ids]


@pytest.fixture(scope="module")
def both(milvus_server: MilvusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, Index]]:
    with (
        open_index(tmp_path_factory.mktemp("ties") / "a.index", bits=8) as local,
        open_index(f"{milvus_server.uri}/ties", bits=8) as far,
    ):
        for index in (local, far):
            index.add(*rows(0))
        yield local, far


@pytest.mark.parametrize("most", [16_384, 256, 64])
@pytest.mark.parametrize("k", [1, 10, 300, N, N + 5])
def test_ties_are_ordered_as_a_local_index_orders_them(
    both: tuple[Index, Index], k: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small `most`, as where more codes are as near as the k-th than Milvus gives at once."""
    monkeypatch.setattr(milvus_nearest, "MOST", most)
    monkeypatch.setattr(milvus_nearest, "AT_LEAST", 4)
    queries = np.array([[0], [255], [37]], np.uint8)[: 3 if most > 64 else 1]
    for where in (None, "size = 3"):
        local, far = (index.search(queries, k=k, where=where) for index in both)
        np.testing.assert_array_equal(local.distances, far.distances)
        np.testing.assert_array_equal(local.ids, far.ids)
        assert local.compared == far.compared
        assert local[0] == far[0]


@pytest.mark.parametrize("most", [16_384, 256])
@pytest.mark.parametrize("radius", [0, 2, 8])
@pytest.mark.parametrize("k", [None, 20])
def test_a_radius_takes_all_ties(
    both: tuple[Index, Index], radius: int, k: int | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_nearest, "MOST", most)
    queries = np.array([[0], [37]], np.uint8)
    local, far = (index.search(queries, k=k, radius=radius) for index in both)
    np.testing.assert_array_equal(local.distances, far.distances)
    np.testing.assert_array_equal(local.ids, far.ids)


def test_what_is_beyond_a_radius_is_not_asked_for(both: tuple[Index, Index], monkeypatch: pytest.MonkeyPatch) -> None:
    """All 3,000 are wanted as far as they are near enough, and two dozen are: one answer has them."""
    asked: list[int] = []
    asking = milvus_nearest.Nearest._asked
    monkeypatch.setattr(milvus_nearest, "MOST", 256)
    monkeypatch.setattr(milvus_nearest.Nearest, "_asked", lambda *given: (asked.append(1), asking(*given))[1])
    assert both[1].search(np.array([37], np.uint8), radius=0).ids.shape[1] < 64
    assert len(asked) == 1


def test_ids_may_be_left_out(both: tuple[Index, Index]) -> None:
    query = np.array([37], np.uint8)
    nearest = both[0].search(query, k=5).ids[0]
    for where in (None, "size > 2", "true", "false"):
        local, far = (index.search_places(query, 20, where, without=nearest)[0] for index in both)
        np.testing.assert_array_equal(local.ids, far.ids)
        assert not np.isin(far.ids, nearest).any()


def test_an_opted_in_index_says_that_it_is_not_exact(milvus_uri: Callable[[], str]) -> None:
    uri = milvus_uri()
    with open_index(f"{uri}?index=BIN_IVF_FLAT&nlist=4&nprobe=4", bits=8) as index:
        ids, codes, _ = rows(1, 200)
        index.add(ids, codes)
        assert not index.exact
        assert len(set(index.search(codes[:1], k=200).ids[0].tolist())) == 200  # every list is looked into
    with open_index(uri) as index:  # the collection knows it
        assert not index.exact


# Addresses and errors


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("milvus://", "names no host"),
        ("milvus://host", "the name of a collection"),
        ("milvus://host/two/parts", "the name of a collection"),
        ("milvus://host/9a", "the name of a collection"),
        ("milvus://host:port/a", "cannot be read"),
        ("milvus://[::1]:19530/a", "::1 in the address of Milvus is a number of IPv6"),
        ("milvus://host/a?tsl=true", "unknown option in the address 'tsl'; did you mean 'tls'"),
        ("milvus://host/a?tls=yes", "tls=yes"),
        ("milvus://host/a?ca=x.pem", "ca= in the address needs tls=true"),
        ("milvus://host/a?server_name=b&tls=false", "server_name= in the address needs tls=true"),
        ("milvus://host/a?tls=true&ca=x.pem&cert=y.pem", "cert= and key= in the address belong together"),
        ("milvus://host/a?tls=true&cert=y.pem&key=y.key", "cert= in the address needs ca="),
        ("milvus://host/a?timeout=soon", "timeout=soon"),
        ("milvus://host/a?timeout=0", "timeout=0"),
        ("milvus://host/a?index=HNSW", "unknown index in the address 'HNSW'"),
        ("milvus://host/a?index=BIN_IVF_FLAT&nlist=0", "nlist=0"),
    ],
)
def test_an_address_that_cannot_be_read(uri: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        open_index(uri)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_database_of_the_server(milvus_server: MilvusServer, milvus_uri: Callable[[], str]) -> None:
    from pymilvus import MilvusClient

    client, uri, code = (
        MilvusClient(f"http://{milvus_server.address}", token=ROOT),
        milvus_uri(),
        np.array([[1]], np.uint8),
    )
    client.create_database("other")
    with open_index(f"{uri}?db=other", bits=8) as index, open_index(uri, bits=8) as usual:
        index.add([3], code)
        assert index.search(code)[0] == [(3, 0, {})]
        assert len(usual) == 0
    with pytest.raises(UserError, match="could not create collection: database:none not found"):
        open_index(f"{uri}?db=none", bits=8)
    client.close()


def test_no_password_is_ever_shown(need: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    need("pymilvus")
    monkeypatch.setenv(TOKEN, "someone:t0ken")
    for uri in (NOWHERE, NOWHERE.replace("//", "//me:s3cret@")):
        address = address_of(uri)
        assert address.token in ("someone:t0ken", "me:s3cret")  # the address goes before the environment
        with pytest.raises(UserError, match=r"^no Milvus server answers at 127.0.0.1:1; start it") as error:
            open_index(uri)
        for said in (repr(address), str(address), str(error.value)):
            assert "s3cret" not in said
            assert "t0ken" not in said


def test_a_user_is_let_in_by_the_address_or_by_the_environment(
    milvus_server: MilvusServer, milvus_uri: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = milvus_uri()
    without = uri.replace(f"{ROOT}@", "")
    for wrong in (without, without.replace("//", "//root:wrong@")):
        with pytest.raises(UserError, match=r"refuses the user or the password; .*CROSSBIT_MILVUS_TOKEN$") as error:
            open_index(wrong)
        assert "wrong" not in str(error.value)
    monkeypatch.setenv(TOKEN, ROOT)
    with open_index(without, bits=8) as index:
        assert ROOT not in repr(index)


def test_a_collection_that_is_not_ours_or_too_new(milvus_server: MilvusServer, milvus_uri: Callable[[], str]) -> None:
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(f"http://{milvus_server.address}", token=ROOT)
    for description, words in (("", "not one that crossbit made"), ('{"crossbit": 9}', "of format 9, crossbit reads")):
        uri = milvus_uri()
        schema = MilvusClient.create_schema(description=description)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=8)
        client.create_collection(uri.rpartition("/")[2], schema=schema)
        with pytest.raises(UserError, match=words):
            open_index(uri)
    client.close()


def test_a_filter_that_takes_too_long_is_ended(both: tuple[Index, Index]) -> None:
    with pytest.raises(UserError, match=r"^the filter 'size = 1' took more than 0.001 ms; make it simpler$"):
        both[1].search(np.array([0], np.uint8), where="size = 1", time_limit_ms=0.001)


def test_values_that_milvus_does_not_hold(both: tuple[Index, Index]) -> None:
    far = both[1]
    for options, words in (
        ({"items": [{"far": float("inf")}]}, "an infinite number"),
        ({"hashes": ["x" * 70_000]}, "a hash has over 65,535 bytes"),
    ):
        with pytest.raises(UserError, match=words):
            far.add([10**9], np.zeros((1, 1), np.uint8), **options)
    with pytest.raises(UserError, match="9223372036854775806 is the largest"):
        far.add([2**63 - 1], np.zeros((1, 1), np.uint8))
    assert len(far) == N


def test_an_add_that_is_cancelled_puts_back_what_it_replaced(milvus_uri: Callable[[], str]) -> None:
    with open_index(milvus_uri(), bits=8) as index:
        index.add([3, 4], np.array([[1], [2]], np.uint8), items=[{"name": "a"}, {"name": "b"}], hashes=["x", None])
        n = 20_001
        with pytest.raises(UserError, match="nothing was added"):
            index.add(
                range(n), np.zeros((n, 1), np.uint8), replace=True, items={"new": [1] * n},
                progress=lambda done, _: done < 20_000,
            )  # fmt: skip
        assert index.keys().tolist() == [3, 4]
        assert index.search(np.array([1], np.uint8))[0] == [(3, 0, {"name": "a"}), (4, 2, {"name": "b"})]
        assert index.hashes([3, 4]) == ["x", None]


def test_an_add_that_is_interrupted_while_milvus_writes_is_undone(
    milvus_uri: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes after the rows were sent, and before the answer was read."""
    with open_index(milvus_uri(), bits=8) as index:
        index.add([3, 4], np.array([[1], [2]], np.uint8))
        write, parts = Server.write, []

        def interrupted(self: Server, method: str, *args: Any, **options: Any) -> None:
            write(self, method, *args, **options)
            parts.append(method)
            if parts == ["upsert", "upsert"]:
                raise KeyboardInterrupt

        monkeypatch.setattr(Server, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.add(range(20_001), np.zeros((20_001, 1), np.uint8), replace=True)
        assert index.keys().tolist() == [3, 4]
        assert index.codes_of(np.array([3, 4])).tolist() == [[1], [2]]


def test_a_collection_whose_maker_was_killed_is_made_to_its_end(
    milvus_uri: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = milvus_uri()
    monkeypatch.setattr(MilvusIndex, "_index", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        open_index(f"{uri}?index=BIN_IVF_FLAT", bits=8)
    monkeypatch.undo()
    with pytest.raises(UserError, match="was not made to its end; open it to write"):
        open_index(uri, read_only=True)
    with open_index(f"{uri}?index=BIN_IVF_FLAT", bits=8) as index:
        index.add([3], np.array([[1]], np.uint8))
        assert index.keys().tolist() == [3]
        assert not index.exact


def test_columns_that_another_process_added_are_seen(milvus_uri: Callable[[], str]) -> None:
    uri = milvus_uri()
    with open_index(uri, bits=8) as one, open_index(uri) as other:
        one.add([3], np.array([[1]], np.uint8), items=[{"name": "a"}])
        assert len(one) == 1  # from here on others see it
        assert other[3][1] == {"name": "a"}


def test_rows_that_are_gone_say_so(both: tuple[Index, Index]) -> None:
    with pytest.raises(Changed, match=r"holds no code for id 777777: it was removed"):
        both[1].codes_of(np.array([both[1].keys()[0], 777_777]))


def test_requests_are_small_whatever_script_the_texts_are_in() -> None:
    """Milvus takes 64 MiB; each of these characters is three bytes."""
    n = 10_000
    columns = {"text": Column("VARCHAR", np.array(["語" * 8_000] * n, object))}
    made = Rows(np.arange(n), np.zeros((n, 1), np.uint8), columns, None, None)
    start, stop = next(made.parts(n))
    assert 24_000 * (stop - start) <= REQUEST


def test_check_finds_what_is_wrong(milvus_server: MilvusServer, milvus_uri: Callable[[], str]) -> None:
    from pymilvus import MilvusClient

    uri = milvus_uri()
    with open_index(uri, bits=8) as index:
        real = np.array([[1.0] * 8, [-1.0] * 8, [1.0] * 8])
        index.add([1, 2, 3], np.packbits(real >= 0, axis=1), embeddings=real)
        assert index.check() == []
        client, name = MilvusClient(f"http://{milvus_server.address}", token=ROOT), uri.rpartition("/")[2]
        other = {"item": {}, "hash": "", "code": b"\0"}
        client.upsert(name, [{**other, "id": 2, "embedding": []}, {**other, "id": 3, "embedding": [1.0] * 8}])
        client.insert(name, [{**other, "id": 3, "embedding": [-1.0] * 8}])  # which Milvus takes twice
        client.close()
        found = [line.partition("codes")[2] or line.partition(": ")[2] for line in index.check()]
        assert "4 rows for 3 ids; some are there twice" in found
        assert "id 2 has no embedding (1 such)" in found


# A server that ends in the middle


def test_a_collection_that_is_not_loaded_is_waited_for(
    milvus_server: MilvusServer, milvus_uri: Callable[[], str]
) -> None:
    from pymilvus import MilvusClient

    uri, code = milvus_uri(), np.array([[1]], np.uint8)
    name = uri.rpartition("/")[2]
    client = MilvusClient(f"http://{milvus_server.address}", token=ROOT)
    with open_index(uri, bits=8) as index:
        index.add([3], code, items=[{"size": 1}])
        client.release_collection(name)
        with pytest.raises(Lost, match=rf"has not loaded {name} within 2 s; open it again$"):
            index.search(code, where="size = 1", time_limit_ms=2000)
        with until(time.monotonic() + 1), pytest.raises(Lost, match=r"within 1 s; open it again$"):
            index.search(code)
        loading = threading.Timer(1, client.load_collection, [name])
        loading.start()
        assert index.search(code)[0] == [(3, 0, {"size": 1})]
        loading.join()
    client.close()


@pytest.mark.slow
@pytest.mark.usefixtures("milvus_here")
def test_a_search_waits_for_a_server_that_is_started_again(tmp_path: Path) -> None:
    with (
        MilvusServer(tmp_path / "milvus", **SOON) as server,
        open_index(f"{server.uri}/codes?timeout=300", bits=8) as index,
    ):
        ids, codes, items = rows(0, 300)
        index.add(ids, codes, items=items)
        found = list(index.search(codes[:5], k=20))
        server.kill()
        starting = threading.Thread(target=server.start)
        starting.start()
        assert list(index.search(codes[:5], k=20)) == found
        starting.join()


@pytest.mark.slow
@pytest.mark.usefixtures("milvus_here")
def test_a_load_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 30_000
    codes = rng.integers(0, 256, (n, 8), dtype=np.uint8)
    items = {"size": np.arange(n)}
    with MilvusServer(tmp_path / "milvus", **SOON) as server:
        uri = f"{server.uri}/codes?timeout=5"
        with open_index(uri, bits=64) as index:

            def told(done: int, _: int) -> None:
                if done == 10_000:
                    server.kill()

            with pytest.raises(UserError) as error:
                index.add(range(n), codes, items=items, progress=told)
        assert "no Milvus server answers" in str(error.value)
        assert "10,000 of 30,000 rows were added" in str(error.value)
        server.start()
        with open_index(uri.replace("=5", "=120"), bits=64) as index:
            assert 10_000 <= len(index) < n
            with pytest.raises(UserError, match="already"):
                index.add(range(n), codes, items=items)
            index.add(range(n), codes, items=items, replace=True)
            assert index.check() == []
            assert index.keys().tolist() == list(range(n))
            with open_index(tmp_path / "a.index", bits=64) as local:
                local.add(range(n), codes, items=items)
                far, near = (each.search(codes[:5], k=20, where="size > 9") for each in (index, local))
                assert list(far) == list(near)
