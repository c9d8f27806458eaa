"""What the addresses answer: searches as a Searcher gives them, items, pictures, columns, the run, errors."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import gethostname
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import crossbit
from crossbit.cli import main
from crossbit.errors import UserError
from crossbit.serve.logs import Dropping, JsonLines
from crossbit.serve.server import _listen
from crossbit.storage.files import read_json
from crossbit.storage.pictures import read_picture
from crossbit.storage.thumbnails import thumbnail
from serving import WRITER, error_of, in_process, opened, picture


def found(answer: Any) -> dict[str, list[int]]:
    return {modality: [int(hit["id"]) for hit in hits] for modality, hits in answer.json()["hits"].items()}


def test_words_find_what_a_searcher_finds(client: TestClient, trained: Path) -> None:
    with crossbit.open_search(trained) as search:
        for options in ({}, {"k": 3}, {"where": "list_contains(labels, 'red')"}, {"by": "codes"}, {"modality": "text"}):
            expected = search("red circle", **options)
            answer = client.get("/api/search", params={"q": "red circle", **options})
            assert found(answer) == {name: [hit.id for hit in hits] for name, hits in expected.hits.items()}
            assert answer.json()["compared"] == expected.compared
            (told, *_), (hit, *_) = (next(iter(hits.values())) for hits in (answer.json()["hits"], expected.hits))
            assert (told["distance"], told["bits"], told["why"]) == (hit.distance, hit.bits, list(hit.why))
            assert [label["name"] for label in told["labels"]] == hit.item["labels"]


def test_a_picture_alone_with_words_and_an_item(client: TestClient, trained: Path) -> None:
    sent = picture(3)
    with crossbit.open_search(trained) as search:
        pixels = read_picture(sent)
        (item,) = search("red", k=1).image
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"files": {"picture": sent}}, {"picture": pixels}),
            ({"files": {"picture": sent}, "data": {"q": "red"}}, {"words": "red", "picture": pixels}),
            ({"data": {"q": "red", "not": [str(item.id)]}}, {"words": "red", "not_this": [item.id]}),
            ({"data": {"item": str(item.id), "k": "4"}}, {"item": item.id, "k": 4}),
        ]
        for asked, options in cases:
            expected = search(**options)
            answer = client.post("/api/search", **asked)
            assert found(answer) == {name: [hit.id for hit in hits] for name, hits in expected.hits.items()}, asked


def test_an_item_with_its_picture_and_thumbnail(client: TestClient, trained: Path) -> None:
    (hit,) = client.get("/api/search", params={"q": "red", "k": 1}).json()["hits"]["image"]
    item = client.get(f"/api/items/{hit['id']}").json()
    assert item.items() >= {key: hit[key] for key in ("id", "caption", "labels", "columns", "picture")}.items()
    assert not Path(item["path"]).is_absolute()
    whole, small = client.get(item["picture"]), client.get(item["thumbnail"])
    file = Path(str(read_json(trained / "config.json")["data"])) / item["path"]
    assert whole.content == file.read_bytes()
    assert max(Image.open(io.BytesIO(small.content)).size) <= 192 and small.headers["content-type"] == "image/webp"
    for answer in (whole, small):
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = client.get(answer.request.url.path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("side", "is_exact"), [(32, True), (96, True), (97, False), (400, False)])
def test_a_small_picture_keeps_every_pixel_as_a_thumbnail(side: int, is_exact: bool) -> None:
    picture = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(thumbnail(picture))).convert("RGB"))
    assert shown.shape == (min(side, 192), min(side, 192), 3)
    assert (shown.shape == picture.shape and bool((shown == picture).all())) is is_exact


def test_each_filter_of_the_columns_finds_as_many_as_are_told(client: TestClient, trained: Path) -> None:
    columns = client.get("/api/columns").json()["columns"]
    assert columns[0]["name"] == columns[0]["kind"] == "labels"
    with crossbit.open_search(trained) as search:
        index = search.opened("image").index
        for column in columns:
            for value in column["values"]:
                assert len(index.matching(value["where"])) == value["count"], value


def test_values_of_a_column_are_found_by_a_part_of_them(client: TestClient, trained: Path) -> None:
    found = client.get("/api/columns/values", params={"column": "artist", "part": "SON"}).json()
    assert found["name"] == "artist" and not found["more"] and len(found["values"]) == 5
    with crossbit.open_search(trained) as search:
        index = search.opened("image").index
        for value in found["values"]:
            assert len(index.matching(value["where"])) == value["count"], value
        assert index.values("labels", "RE", 2)[0][0] == "red"  # what begins with it is first
        assert {name for name, _ in index.values("labels", "re")} == {"red", "green", "square"}
        assert [str(year) for year, _ in index.values("year", "2007")] == ["2007"]
        with pytest.raises(UserError, match="unknown column"):
            index.values("nothing")
    for column in ("caption", "path", "nothing"):  # each is another one, or of this machine
        assert "unknown column" in error_of(client.get("/api/columns/values", params={"column": column}))


def test_the_run(client: TestClient, trained: Path) -> None:
    told, config = client.get("/api/run").json(), read_json(trained / "config.json")
    assert (told["method"], told["bits"], told["data"]) == (config["method"], 16, "my csv")
    assert "/" not in told["data"]


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/api/search", 400, "give words"),
        ("/api/search?q=", 400, "the query is empty"),
        ("/api/search?q=red&k=0", 400, "k is '0'"),
        ("/api/search?q=red&k=101", 400, "at most 100"),
        ("/api/search?q=red&k=x", 400, "k is 'x'"),
        ("/api/search?q=red&by=magic", 400, "magic"),
        ("/api/search?q=red&modality=sound", 400, "sound"),
        ("/api/search?q=red&where=1%3D", 400, "filter"),
        ("/api/search?item=12", 400, "no item 12"),
        ("/api/search?item=9999999999999999999", 400, "no id"),
        ("/api/search?q=" + "x" * 3000, 400, "at most 2000"),
        ("/api/items/12", 404, "no item 12"),
        ("/api/items/x", 400, "id is 'x'"),
        ("/api/nothing", 404, "/openapi.json"),
        ("/api/search/?q=red", 404, "/openapi.json"),
        ("/static/nothing.js", 404, "nothing.js"),
    ],
)
def test_mistakes_are_told_in_one_line(client: TestClient, address: str, status: int, said: str) -> None:
    answer = client.get(address)
    assert answer.status_code == status and said in error_of(answer)
    assert "serving" not in answer.text and str(Path.cwd()) not in answer.text


def test_a_wrong_method_is_told(client: TestClient) -> None:
    assert client.put("/api/search").status_code == 405


def test_health_and_figures(trained: Path) -> None:
    with opened(trained) as client:
        assert [client.get(address).status_code for address in ("/healthz", "/readyz")] == [200, 200]
        client.get("/api/search?q=red")
        told = client.get("/metrics").text
        assert 'crossbit_requests_total{route="/api/search",status="200"} 1.0' in told
        assert "crossbit_items 20.0" in told and "crossbit_generation 1.0" in told
        client.app.state.served.closing = True  # type: ignore[attr-defined]
        assert [client.get(address).status_code for address in ("/healthz", "/readyz")] == [200, 503]


def test_too_many_are_told_to_come_again(trained: Path) -> None:
    with opened(trained, queued=0, concurrent=1) as client:
        client.app.state.served.work._held = 1  # type: ignore[attr-defined]
        answer = client.get("/api/search?q=red")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1") and "wait already" in error_of(answer)
        assert client.get("/healthz").status_code == 200
        assert "crossbit_shed_total 1.0" in client.get("/metrics").text


def test_lines_that_nobody_reads_are_dropped_and_counted_and_none_is_torn() -> None:
    read, write = os.pipe()
    handler = Dropping(write)
    record = logging.LogRecord("x", logging.INFO, "", 0, "a line %s", ("x" * 5000,), None)
    handler.setFormatter(JsonLines())
    for _ in range(100):  # a pipe holds 64 kB
        handler.handle(record)
    os.set_blocking(read, False)
    before = os.read(read, 10**6)
    handler.handle(record)
    lines = [json.loads(line)["said"] for line in (before + os.read(read, 10**6)).splitlines()]
    assert f"{100 - lines.index(lines[-2]):,} lines of the log were dropped" in lines[-2]
    assert len(lines) > 5 and all(line == record.getMessage() for line in [*lines[:-2], lines[-1]])
    os.close(read)
    handler.handle(record)  # nobody is there any more
    os.close(write)


@pytest.mark.slow
def test_a_service_whose_log_nobody_reads_goes_on_answering(trained: Path) -> None:
    command = [sys.executable, "-m", "crossbit", "serve", str(trained), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    address = process.stdout.readline().split(" is served at ")[1].split()[0]
    try:
        with httpx.Client(base_url=address, timeout=30) as client:
            for _ in range(1000):  # 100 bytes of log each
                assert client.get("/healthz/x").status_code == 404
            lines: list[str] = []
            threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True).start()
            for _ in range(200):
                client.get("/healthz/x")
                if any("lines of the log were dropped" in line for line in lines):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError(f"never said: {lines[-3:]}")
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_a_process_logs_no_query_and_ends_in_peace(run: Path) -> None:
    with in_process(run) as served:
        assert served.client.get("/api/search", params={"q": "red secret"}).status_code == 200
        code, errors = served.end()
    assert code == -signal.SIGTERM and "secret" not in errors
    lines = [json.loads(line) for line in errors.splitlines()]
    assert "Application shutdown complete." in [line["said"] for line in lines]
    assert [line["route"] for line in lines if line["said"] == "request"] == ["/api/search"]
    assert not list(run.glob(".serving.*"))


@pytest.mark.slow
def test_who_listens_everywhere_is_told_an_address_that_opens(trained: Path) -> None:
    with in_process(trained, "--host", "0.0.0.0") as served:
        assert served.address.startswith("http://127.0.0.1:") and served.client.get("/readyz").status_code == 200
        assert f"and at every address of this machine, such as http://{gethostname()}:{served.port}/" in served.line


@pytest.mark.slow
def test_several_workers_share_an_address_and_end_with_the_process_that_watches_over_them(run: Path) -> None:
    with in_process(run, "--workers", "2") as served:
        added = served.client.post("/api/items", files={"picture": picture(1)}, data={"caption": "red"})
        assert added.status_code == 201
        for _ in range(20):
            with httpx.Client(base_url=served.address, timeout=30) as one:  # a connection each, so that both answer
                assert one.get("/api/search", params={"q": "red"}).status_code == 200
        assert 'status="200"} 20.0' in served.client.get("/metrics").text
        served.process.kill()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                httpx.get(f"{served.address}healthz")
            except httpx.TransportError:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("a worker lives on")


def test_a_picture_that_no_browser_shows_is_sent_as_png(run: Path) -> None:
    with opened(run) as client:
        sent = picture(5, form="TIFF")
        added = client.post("/api/items", files={"picture": sent}, data={"caption": "red"}, headers=WRITER)
        answer = client.get(f"/api/items/{added.json()['id']}/picture")
        assert answer.headers["content-type"] == "image/png"
        assert np.array_equal(read_picture(answer.content), read_picture(sent))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "{}/nowhere"), "no run folder"),
        (("serve", "{}", "--token-file", "{}/nothing.txt"), "cannot read"),
        (("serve", "{}", "--host", "203.0.113.1"), "cannot listen"),
        (("serve", "{}", "--workers", "0"), "--workers is 0"),
        (("serve", "{}", "--token-file", "{}/config.json"), "has more than one line"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setenv("CROSSBIT_TOKEN", "a word")
    assert main([word.format(trained) for word in words] + ["--port", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("command", [["serve", "run"], ["demo", "--serve", "--out", "new"]])
def test_without_its_libraries_a_line_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crossbit.cli.serve.NEEDED", ("no_such_library",))
    assert main(command) == 2
    assert 'pip install "crossbit[serve]"' in capsys.readouterr().err


def test_an_answer_is_sent_at_once() -> None:
    async def accepted() -> int:
        held: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        listening = _listen("127.0.0.1", 0)
        server = await asyncio.start_server(lambda _, writer: held.set_result(writer), sock=listening)
        async with server:
            _, client = await asyncio.open_connection(*listening.getsockname())
            writer = await held
            option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            writer.close()
        return option

    with ThreadPoolExecutor(1) as other:  # where no loop runs, as a browser's may do here
        assert other.submit(asyncio.run, accepted()).result() != 0


@pytest.mark.slow
def test_compiled_code_is_loaded_before_the_first_search(trained: Path) -> None:
    code = "import sys, crossbit.serve; crossbit.serve.create_app(sys.argv[1]); sys.modules['crossbit.bits.kernels']"
    subprocess.run([sys.executable, "-c", code, trained], check=True)
