"""What is added and removed through the service: found at once, durable when acknowledged, taken over from others."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import crossbit
from crossbit.cli import main
from crossbit.search.build import check_index
from crossbit.search.journal import Journal
from crossbit.serve import change_routes, changes
from crossbit.serve.added import addition
from crossbit.serve.changes import Change
from crossbit.storage.exchange import alone_with
from serving import WRITER, error_of, opened, picture
from shape_collection import make_collection, write_table

pytestmark = pytest.mark.slow


def add(client: Any, seed: int, caption: str = "red thing", **data: str) -> Any:
    return client.post(
        "/api/items", files={"picture": picture(seed)}, data={"caption": caption, **data}, headers=WRITER
    )


def pictures_in(run: Path) -> list[Path]:
    return [file for file in (run / "added").iterdir() if file.suffix != ".jsonl"]


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def test_what_is_added_is_found_and_what_is_removed_is_gone(run: Path) -> None:
    with opened(run) as client:
        before = client.get("/api/search?q=red&k=100").json()
        added = add(client, 1, "zebra crossing", labels='["red", "new"]')
        assert added.status_code == 201
        id_ = added.json()["id"]
        (hit, *_) = client.get("/api/search?q=zebra&by=words").json()["hits"]["image"]
        assert (hit["id"], [label["name"] for label in hit["labels"]]) == (id_, ["red", "new"])
        assert client.get(hit["picture"]).content == picture(1)
        same = client.post("/api/search", files={"picture": picture(1)}).json()["hits"]["text"]
        assert any(one["id"] == id_ for one in same)
        assert add(client, 1, "zebra crossing", labels='["red", "new"]').json() == {"id": id_}  # the same thing
        assert client.delete(f"/api/items/{id_}", headers=WRITER).status_code == 204
        assert client.get(f"/api/items/{id_}").status_code == 404
        assert not pictures_in(run)
        after = client.get("/api/search?q=red&k=100").json()
        assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert check_index(crossbit.load_model(run), run / "index") == []


def test_a_picture_that_two_items_show_goes_with_the_last(run: Path) -> None:
    with opened(run) as client:
        first, second = (add(client, 2, caption).json()["id"] for caption in ("red one", "red two"))
        client.delete(f"/api/items/{first}", headers=WRITER)
        assert client.get(f"/api/items/{second}/picture").content == picture(2)
        client.delete(f"/api/items/{second}", headers=WRITER)
        assert not pictures_in(run)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"data": {"caption": "red"}}, 400, "picture is missing"),
        ({"files": {"picture": picture()}}, 400, "caption is missing"),
        ({"files": {"picture": b"no picture"}, "data": {"caption": "red"}}, 415, "not a picture"),
        ({"files": {"picture": picture()}, "data": {"caption": "red", "labels": "red"}}, 400, "labels are 'red'"),
        ({"files": {"picture": picture()}, "data": {"caption": "red", "labels": "[" * 9000}}, 400, "labels are"),
        ({"files": {"picture": picture()}, "data": {"caption": "red", "labels": '["a\\u0000"]'}}, 400, "labels are"),
    ],
)
def test_what_cannot_be_added_is_refused(run: Path, sent: dict[str, Any], status: int, said: str) -> None:
    with opened(run) as client:
        answer = client.post("/api/items", headers=WRITER, **sent)
        assert (answer.status_code, said in error_of(answer)) == (status, True), answer.text
        assert client.delete("/api/items/12", headers=WRITER).status_code == 404
        assert not (run / "added").exists()


def test_an_item_is_added_while_another_process_changes_the_index_and_the_index_stays(run: Path) -> None:
    before = files_of(run / "index")
    with opened(run) as client, alone_with(run / "index"):
        id_ = add(client, 1, "zebra crossing").json()["id"]
        assert client.get(f"/api/items/{id_}").status_code == 200
        assert files_of(run / "index") == before
    with crossbit.open_search(run) as search:  # as `crossbit search` does
        assert str(search("zebra", by="words").image[0].id) == id_


def test_another_worker_that_writes_is_waited_for(run: Path) -> None:
    with opened(run, request_seconds=0.5) as client, Journal(run / "index").alone():
        answer = add(client, 1)
        assert answer.status_code == 503 and "another worker changes the index" in error_of(answer)
    with opened(run) as client:
        assert add(client, 1).status_code == 201


def test_another_worker_takes_over_what_was_added(run: Path) -> None:
    with opened(run) as one, opened(run) as other:
        first, second = add(one, 1).json()["id"], add(other, 2).json()["id"]
        for client in (one, other):
            client.app.state.served.refresh()
            assert [client.get(f"/api/items/{id_}").status_code for id_ in (first, second)] == [200, 200]
        assert other.delete(f"/api/items/{first}", headers=WRITER).status_code == 204
        one.app.state.served.refresh()
        assert one.get(f"/api/items/{first}").status_code == 404
    assert [entry.n for entry in Journal(run / "index").after(0)] == [1, 2, 3]


def test_many_that_were_added_are_written_into_the_index_without_a_dropped_request(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MANY", 3)
    with opened(run) as client:
        state = client.app.state.served  # type: ignore[attr-defined]
        with asking(client, "/api/search?q=red") as statuses:
            there = [add(client, seed).json()["id"] for seed in range(3)]
            until(lambda: state.generations.now.held == 3)
            there += [add(client, seed).json()["id"] for seed in range(3, 5)]
        assert set(statuses) == {200}
        assert all(client.get(f"/api/items/{id_}").status_code == 200 for id_ in there)
        assert state.generations.now.n == 5 and state.generations.now.items == 20 + 5
    assert check_index(crossbit.load_model(run), run / "index") == []
    with crossbit.open_search(run) as search:
        assert search.opened("image").size == 20 + 5


def test_what_came_over_http_is_told_and_kept_by_the_other_commands(
    run: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((trained / "config.json").read_text())["data"]
    with opened(run) as client:
        id_ = add(client, 1, "zebra crossing").json()["id"]
    assert main(["index", str(run), "--check"]) == 0
    assert "1 changes came through the service since" in capsys.readouterr().out
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 0
    assert main(["add", str(run), data, "--drop-missing"]) == 0
    assert "1 items came through the service: kept" in capsys.readouterr().out
    shutil.rmtree(run / "index")
    assert main(["index", str(run)]) == 0
    assert "1 items that came through the service are there, too" in capsys.readouterr().out
    for place in (run, tmp_path / "out"):
        assert main(["search", str(place), "zebra", "--json", "--by", "words", "--modality", "image"]) == 0
        assert id_ in capsys.readouterr().out
    with opened(run) as client:
        assert client.delete(f"/api/items/{id_}", headers=WRITER).status_code == 204
    with crossbit.open_search(run) as search:
        assert int(id_) not in search.opened("image").index


def test_a_disk_that_is_full_acknowledges_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    with opened(run) as client:
        monkeypatch.setattr(Journal, "append", full)
        answer = add(client, 1)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert error_of(answer) == "it cannot be written: No space left on device"
        monkeypatch.undo()
        client.app.state.served.refresh()
        assert client.app.state.served.generations.now.items == 20
        assert add(client, 2).status_code == 201


def test_a_full_disk_is_told_once_in_a_while_and_what_was_added_stays_in_the_journal(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def full(*given: Any) -> None:
        tries.append(1)
        raise OSError(28, "No space left on device")

    with opened(run) as client:
        monkeypatch.setattr(changes, "MANY", 1)
        monkeypatch.setattr(changes, "PAUSE", 1e6)
        monkeypatch.setattr(changes, "fold", full)
        id_ = add(client, 1).json()["id"]
        for _ in range(3):
            client.app.state.served.changes.fold()
        assert client.get(f"/api/items/{id_}").status_code == 200
    assert len(tries) == 1
    assert caplog.text.count("not written into the index yet: [Errno 28]") == 1


def test_a_picture_that_cannot_be_removed_stays_and_its_item_does_not(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*given: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with opened(run) as client:
        id_ = add(client, 1).json()["id"]
        monkeypatch.setattr(changes.Changes, "_drop", refused)
        assert client.delete(f"/api/items/{id_}", headers=WRITER).status_code == 204
        assert client.get(f"/api/items/{id_}").status_code == 404
    assert "stays: [Errno 13] Permission denied" in caplog.text


def test_changes_that_wait_together_are_written_together(run: Path) -> None:
    with opened(run) as client:
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda n=n: answers.append(add(client, n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} == {201}
        assert client.app.state.served.generations.now.items == 20 + 8  # type: ignore[attr-defined]
    assert check_index(crossbit.load_model(run), run / "index") == []


def test_what_another_model_encoded_does_not_come_into_the_index(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encoded_before(*given: Any) -> Change:
        made = addition(*given)
        assert made.new is not None
        return replace(made, new=replace(made.new, digest="of the model before"))

    monkeypatch.setattr(change_routes, "addition", encoded_before)
    with opened(run) as client:
        answer = add(client, 1)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "trained anew" in error_of(answer)
        monkeypatch.undo()
        assert add(client, 1).status_code == 201
        assert client.app.state.served.generations.now.items == 20 + 1  # type: ignore[attr-defined]


@contextmanager
def asking(client: TestClient, address: str) -> Iterator[list[int]]:
    """Ask the same again and again in another thread; gives the statuses."""
    statuses: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            statuses.append(client.get(address).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    yield statuses
    ended.set()
    thread.join()


def until(true: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_what_another_process_adds_and_a_new_run_are_taken_over_without_a_dropped_request(
    run: Path, trained: Path
) -> None:
    data = json.loads((trained / "config.json").read_text())["data"]
    with opened(run) as client:
        state = client.app.state.served  # type: ignore[attr-defined]
        with asking(client, "/api/search?q=red") as statuses:
            assert main(["add", str(run), data]) == 0
            until(lambda: state.generations.now.items == 24)
            model = state.generations.now.search.model
            weights = run / "model.safetensors"
            held = weights.read_bytes()
            weights.unlink()
            weights.write_bytes(held)
            until(lambda: state.generations.now.search.model is not model)
        assert set(statuses) == {200}
        (folder,) = run.glob(".serving.*[0-9a-f]")
        # the old ones are closed, once their last request is done
        until(lambda: [each.name for each in folder.iterdir()] == [str(state.generations.now.number)])


@pytest.mark.slow
def test_pictures_of_what_another_process_adds_and_of_a_new_run_are_shown(tmp_path: Path) -> None:
    folder, run = tmp_path / "shapes", tmp_path / "run"
    rows = make_collection(folder, 24)
    train = ["train", str(folder), "--out", str(run), "--method", "cca-itq", "--bits", "16", "--quiet"]
    assert main(train) == main(["index", str(run)]) == 0
    with opened(run) as client:
        state = client.app.state.served  # type: ignore[attr-defined]
        (hit,) = client.get("/api/search?q=red&k=1&modality=image").json()["hits"]["image"]
        small = client.get(hit["thumbnail"])
        assert small.status_code == 200 and small.headers["cache-control"] == "no-cache"
        state.pictures._now.result(timeout=60)
        (folder / "pictures" / "late.png").write_bytes(picture(5))
        write_table(folder, [*rows, {**rows[0], "file_name": "pictures/late.png", "caption": "a zebra"}], "csv")
        assert main(["add", str(run), str(folder)]) == 0
        state.refresh()
        (late,) = client.get("/api/search?q=zebra&by=words&k=1&modality=image").json()["hits"]["image"]
        assert client.get(late["picture"]).content == picture(5)
        file = folder / client.get(f"/api/items/{hit['id']}").json()["path"]
        file.write_bytes(picture(6))  # the user's file is another one by now
        assert client.get(hit["thumbnail"]).content != small.content
        shown = state.pictures
        weights = (run / "model.safetensors").read_bytes()
        (run / "model.safetensors").unlink()
        (run / "model.safetensors").write_bytes(weights)  # as a run that was trained again
        state.refresh()
        assert state.pictures is not shown


def test_an_index_that_cannot_be_used_is_not_taken_over(run: Path) -> None:
    with opened(run) as client:
        state = client.app.state.served  # type: ignore[attr-defined]
        (run / "index" / "image.index").unlink()
        (run / "index" / "image.index").write_bytes(b"broken")
        state.refresh()
        assert state.generations.now.number == 1 and client.get("/api/search?q=red").status_code == 200
