"""Every command over an index in Milvus, beside the same over a local one: each finds what the other finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crossbit.index import open_index
from crossbit.index.milvus.calls import Lost, Server
from crossbit.search import build
from milvus_server import QUICK, ROOT, MilvusServer
from own_runs import ITQ
from serving import WRITER, error_of, opened, picture
from shape_collection import Row, draw, make_collection, write_table
from tiny import Command, done, runner

N = 30
UNKNOWN = {"probabilities", "why"}  # a server does not tell which words say nothing, nor how likely a label is
ASKED: list[tuple[str, ...]] = [
    ("red circle",),
    ("red circle", "--no-rerank"),
    ("red circle", "-k", "3"),
    ("red circle", "-k", "99"),
    ("red circle", "--where", "list_contains(labels, 'red') AND NOT row BETWEEN 5 AND 15"),
    ("red circle", "--where", "row > 10 AND path IS NOT NULL", "--no-rerank"),
    ("red circle", "--modality", "text"),
    ("--image", "some.png"),
    ("--image", "some.png", "--where", "false"),
    ("red circle", "--image", "some.png"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a small collection with a local index, and a picture to search with."""
    import numpy as np

    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    draw("circle", "red", np.random.default_rng(5)).save("some.png")
    return tmp_path


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def rows(command: Command) -> list[Row]:
    made = make_collection(Path("mine"), N)
    done(command, "train", "mine", "--out", "run", *ITQ)
    done(command, "index", "run")
    return made


def found(command: Command, *words: str, by: str = "codes") -> Any:
    told = json.loads(done(command, "search", "run", *words, "--by", by, "--json"))
    hits = {
        name: [{key: hit[key] for key in hit.keys() - UNKNOWN} for hit in each] for name, each in told["hits"].items()
    }
    return {**told, "hits": hits, "seconds": 0, "fits": None}


def refused(command: Command, *words: str) -> str:
    ran = command(*words)
    assert (ran.code, ran.out) == (2, ""), ran
    (error,) = [line for line in ran.errors if not line.startswith("note")][-1:]
    assert ROOT not in str(ran.errors)
    return error


def test_each_command_takes_what_the_others_made(
    command: Command, rows: list[Row], place: Path, milvus_uri: Callable[[], str]
) -> None:
    uri = milvus_uri()
    far = ("--uri", uri)
    said = done(command, "index", "run", *far)
    assert ROOT not in said
    assert "24 image codes, 24 text codes in milvus://127.0.0.1" in said

    def both_find_the_same() -> None:
        for asked in ASKED:
            assert found(command, *asked, *far) == found(command, *asked), asked
        for by in ("both", "pictures"):
            picture = ("--image", "some.png", "-k", "30")
            assert found(command, *picture, *far, by=by) == found(command, *picture, by=by)
        item = found(command, "red circle")["hits"]["image"][0]["id"]
        for asked in (("--item", str(item)), ("red circle", "--not", str(item))):
            assert found(command, *asked, *far) == found(command, *asked), asked

    both_find_the_same()
    assert "is whole" in done(command, "index", "run", "--check", *far)

    done(command, "index", "run", *far)  # goes on, and there is nothing left to do
    assert "is whole" in done(command, "index", "run", "--check", *far)

    later = [row | {"caption": "a hippopotamus"} for row in rows[1:3]] + rows[3:]  # one is gone, two are changed
    write_table(Path("mine"), later, "csv")
    for options in ((), ("--drop-missing",)):
        told = [done(command, "add", "run", "mine", *options, *where) for where in (far, ())]
        counts = [[line for line in each.splitlines() if "added" in line or "not in" in line] for each in told]
        assert counts[0] == counts[1] != []
        both_find_the_same()
    assert "is whole" in done(command, "index", "run", "--check", *far)

    done(command, "search", "run", "red circle", *far, "--html", "found.html")  # what has no --by takes the codes
    assert "red circle" in Path("found.html").read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, Lost("no Milvus server answers")])
def test_an_index_whose_making_was_ended_goes_on(
    error: Any, command: Command, rows: list[Row], milvus_uri: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at the second ten of 24 pictures; each row is written once all in all."""
    write, written, far = Server.write, [], ("--uri", milvus_uri())

    def ends(self: Server, method: str, *args: Any, **options: Any) -> None:
        if len(written) == 10:
            written.append(0)
            raise error
        write(self, method, *args, **options)
        if method == "upsert":
            written.extend(row["id"] for row in args[0])

    monkeypatch.setattr(build, "CHUNK", 10)
    monkeypatch.setattr(Server, "write", ends)
    assert command("index", "run", *far).code != 0
    assert len(written) == 11
    done(command, "index", "run", *far)
    assert len(written) == 1 + 24 + 24
    assert "is whole" in done(command, "index", "run", "--check", *far)
    assert found(command, "red circle", *far) == found(command, "red circle")


def test_what_cannot_be_is_said_in_one_line(
    command: Command, rows: list[Row], milvus_server: MilvusServer, milvus_uri: Callable[[], str]
) -> None:
    uri = milvus_uri()
    asked = (
        ("search", "run", "red"),
        ("index", "run", "--check"),
        ("add", "run", "mine"),
        ("serve", "run", "--port", "0"),
    )
    for words in asked:
        gone = f"milvus://{ROOT}@127.0.0.1:1/a?timeout=1"
        if words[-1] == "--check":
            ran = command(*words, "--uri", gone)
            assert ran.code == 1 and "no Milvus server answers at 127.0.0.1:1" in ran.out and ROOT not in ran.out
        else:
            assert "no Milvus server answers at 127.0.0.1:1" in refused(command, *words, "--uri", gone)
            assert "there is no index at milvus://127.0.0.1" in refused(command, *words, "--uri", uri)
    wrong = uri.replace(ROOT, "root:wrong")
    assert "refuses the user or the password" in refused(command, "search", "run", "red", "--uri", wrong)
    assert "cannot be the name of a collection" in refused(command, "search", "run", "red", "--uri", f"{uri}/more")
    done(command, "index", "run", "--uri", uri)
    words = ("search", "run", "red circle", "--uri", uri)
    assert "take by=codes" in refused(command, *words, "--by", "words")
    assert "Milvus cannot look for" in refused(command, *words, "--where", "lower(caption) = 'a'")
    assert "unknown column" in refused(command, *words, "--where", "colour = 'red'")

    done(command, "train", "mine", "--out", "other", *ITQ, "--noise", "swap-one:0.3", "--seed", "1")
    done(command, "train", "mine", "--out", "longer", "--method", "cca-itq", "--bits", "24", "--quiet")
    for run, told in (("other", "use that model, or index anew"), ("longer", "not ")):
        for name, more in (("search", ("red",)), ("index", ()), ("add", ("mine",))):
            assert told in refused(command, name, run, *more, "--uri", uri)


def test_the_service_searches_and_changes_it(
    command: Command, rows: list[Row], place: Path, milvus_uri: Callable[[], str]
) -> None:
    uri = milvus_uri()
    done(command, "index", "run", "--uri", uri)
    with opened(place / "run", uri=uri) as far, opened(place / "run") as near:
        assert near.get("/api/run").status_code == far.get("/api/run").status_code == 200
        for query in ("q=red+circle", "q=red+circle&k=3&where=list_contains(labels,+'red')"):
            hits = [
                {name: [(hit["id"], hit["distance"], hit["cosine"]) for hit in each] for name, each in told.items()}
                for told in (client.get(f"/api/search?{query}&by=codes").json()["hits"] for client in (far, near))
            ]
            assert hits[0] == hits[1]
        content = {"picture": ("new.png", picture(3)), "caption": (None, "a zebu")}
        added = far.post("/api/items", files=content, headers=WRITER)
        assert added.status_code in (200, 201), added.text
        id_ = added.json()["id"]
        assert far.get(f"/api/items/{id_}").json()["caption"] == "a zebu"
        assert far.get(f"/api/items/{id_}/picture").content == picture(3)
        similar = far.get("/api/search?q=red+circle&by=codes&k=50").json()["hits"]["image"]
        assert id_ in [hit["id"] for hit in similar]
        assert far.delete(f"/api/items/{id_}", headers=WRITER).status_code in (200, 204)
        assert far.get(f"/api/items/{id_}").status_code == 404
        with open_index(f"{uri}_image") as index:
            assert index.check() == []
            assert len(index) == 24
        assert "Milvus cannot look for" in error_of(far.get("/api/search?q=red&where=lower(caption)='a'"))


def test_the_service_says_when_milvus_does_not_answer(
    command: Command, rows: list[Row], place: Path, milvus_server: MilvusServer, milvus_uri: Callable[[], str]
) -> None:
    """Within the time of a request, though a call of Milvus may take a minute, and of those that wait, too."""
    from pymilvus import MilvusClient

    uri, asked = milvus_uri(), "/api/search?q=red+circle&by=codes"
    done(command, "index", "run", "--uri", uri)
    client, names = MilvusClient(f"http://{milvus_server.address}", token=ROOT), ("image", "text")
    with opened(place / "run", uri=uri, request_seconds=5.0) as far:
        for name in names:
            client.release_collection(f"{uri.rpartition('/')[2]}_{name}")
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(far.get, [asked] * 5))
        for answer in answers:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert error_of(answer) == "the server of the index does not answer; try again later"
        for name in names:
            client.load_collection(f"{uri.rpartition('/')[2]}_{name}")
        assert far.get(asked).status_code == 200
    client.close()


@pytest.mark.usefixtures("milvus_here")
def test_the_service_says_when_milvus_was_killed(command: Command, rows: list[Row], place: Path) -> None:
    content = {"picture": ("new.png", picture(3)), "caption": (None, "a zebu")}
    with MilvusServer(place / "milvus", **QUICK) as server:
        uri = f"{server.uri}/killed"
        done(command, "index", "run", "--uri", uri)
        with opened(place / "run", uri=uri, request_seconds=5.0) as far:
            server.kill()
            for answer in (
                far.get("/api/search?q=red+circle&by=codes"),
                far.post("/api/items", files=content, headers=WRITER),
                far.get("/api/items/0"),
            ):
                assert answer.status_code == 503, answer.text
                assert error_of(answer) == "the server of the index does not answer; try again later"
