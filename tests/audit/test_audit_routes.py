"""The audit over HTTP: the queue that is opened meanwhile, decisions, the table, and who may decide."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from crossbit.audit.queue import AuditQueue
from crossbit.cli import main
from crossbit.serve import Settings, create_app
from shape_collection import make_collection

pytestmark = pytest.mark.slow

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an index over pictures, a fifth of whose labels are wrong."""
    place = tmp_path_factory.mktemp("audited")
    make_collection(place / "shapes", 90)
    run = place / "run"
    noise = ("--noise", "swap-one:0.2", "--method", "look", "--epochs", "1", "--bits", "16", "--quiet")
    assert main(["train", str(place / "shapes"), "--out", str(run), *noise]) == 0
    assert main(["index", str(run)]) == 0
    return run


def client_of(run: Path, **settings: Any) -> TestClient:
    return TestClient(create_app(run, Settings(**settings)), base_url=ADDRESS)


def opened(client: TestClient, path: str = "/api/audit") -> Any:
    """The answer, once the queue is open; until then it is told how far it is."""
    for _ in range(600):
        answer = client.get(path)
        if answer.status_code != 503:
            return answer
        assert re.fullmatch(
            r"the audit is being opened: (beginning|step [1-6] of 6: .+) \(\d+ s so far\)", answer.json()["error"]
        )
        assert answer.headers["retry-after"] == "1"
        time.sleep(0.1)
    raise AssertionError("never open")


@pytest.fixture(scope="module")
def client(trained: Path) -> Iterator[TestClient]:
    with client_of(trained) as client:
        assert opened(client).status_code == 200
        yield client


@pytest.fixture(autouse=True)
def undone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins without decisions."""
    yield
    if "client" in request.fixturenames:
        client = request.getfixturevalue("client")
        while client.get("/api/audit?top=0").json()["decided"]:
            client.post("/api/audit/decisions", json={"undo": True})


def test_the_view_is_the_queue_with_addresses_and_no_paths(client: TestClient, trained: Path) -> None:
    view, queue = client.get("/api/audit?top=5").json(), AuditQueue.open(trained).view(5)
    assert [row["row"] for row in view["queue"]] == [row["row"] for row in queue["queue"]]
    assert view["run"] == "run" and view["writable"] is True and str(trained.parent) not in str(view)
    first = view["queue"][0]
    for address in (first["picture"], first["thumbnail"], first["neighbours"][0]["thumbnail"]):
        assert client.get(address).headers["content-type"].startswith("image/")
    assert client.get(f"/api/audit/rows/{first['row']}").json() == first


def test_a_decision_answers_with_the_queue_after_it(client: TestClient, trained: Path) -> None:
    before = client.get("/api/audit").json()
    row = before["queue"][0]["row"]
    after = client.post("/api/audit/decisions", json={"decisions": [{"row": row, "kind": "accept"}]}).json()
    assert after == client.get("/api/audit").json() == view_of_a_new_service(trained)
    assert after["decided"] == 1 and row not in [one["row"] for one in after["queue"]]
    assert after["wrong_left"] < before["wrong_left"]
    undone = client.post("/api/audit/decisions", json={"undo": True}).json()
    assert undone.pop("version") > before.pop("version") and undone == before


def test_only_what_a_person_saw_is_accepted_kept_or_undone(client: TestClient) -> None:
    view = client.get("/api/audit").json()
    first, second = view["queue"][:2]
    accept = {"row": first["row"], "kind": "accept", "labels": first["proposed"]}
    other = {"row": second["row"], "kind": "accept", "labels": second["given"]}  # as if this had been proposed
    stale = client.post("/api/audit/decisions", json={"decisions": [accept, other]})
    assert stale.status_code == 400 and f"row {second['row']} is proposed as" in stale.json()["error"]
    after = client.post("/api/audit/decisions", json={"decisions": [accept]}).json()
    assert after["decided"] == 1  # and nothing of the one before
    keep = {"row": first["row"], "kind": "keep", "labels": first["given"]}  # as who saw it before wants it
    kept = client.post("/api/audit/decisions", json={"decisions": [keep]})
    assert kept.status_code == 400 and f"row {first['row']} has" in kept.json()["error"]
    late = client.post("/api/audit/decisions", json={"undo": True, "version": view["version"]})
    assert late.status_code == 400 and "somebody else has decided meanwhile" in late.json()["error"]
    undone = client.post("/api/audit/decisions", json={"undo": True, "version": after["version"]})
    assert undone.json()["decided"] == 0


@pytest.mark.parametrize("first", ["accept", "keep"])
@pytest.mark.parametrize("kind", ["accept", "keep", "other"])
def test_a_row_that_somebody_else_decided_about_is_not_decided_again(client: TestClient, first: str, kind: str) -> None:
    row = client.get("/api/audit").json()["queue"][0]
    own = {"row": row["row"], "kind": kind, "labels": ["blue"] if kind == "other" else []}
    own |= {"given": row["given"], "settled": row["settled"]}
    assert row["settled"] is False
    client.post("/api/audit/decisions", json={"decisions": [{"row": row["row"], "kind": first}]})
    late = client.post("/api/audit/decisions", json={"decisions": [own]})
    assert late.status_code == 400
    assert re.search(f"row {row['row']} has .+ somebody else decided meanwhile", late.json()["error"])
    now = client.get(f"/api/audit/rows/{row['row']}").json()
    assert now["settled"] is True
    again = own | {"given": now["given"], "settled": True}
    assert client.post("/api/audit/decisions", json={"decisions": [again]}).json()["decided"] == 2


def test_an_item_is_found_among_the_rows(client: TestClient) -> None:
    first = client.get("/api/audit").json()["queue"][0]
    hits = client.get("/api/search", params={"q": first["caption"], "by": "words"}).json()["hits"]["image"]
    (id,) = [hit["id"] for hit in hits if hit["caption"] == first["caption"]]
    assert client.get(f"/api/audit/items/{id}").json() == first
    assert client.get("/api/audit/items/1").status_code == 404


def view_of_a_new_service(run: Path) -> dict[str, Any]:
    """What another service says that begins now."""
    with client_of(run) as client:
        view: dict[str, Any] = opened(client).json()
    return view


def test_a_range_of_a_class_is_one_decision(client: TestClient) -> None:
    first = client.get("/api/audit").json()["ranges"][0]
    rows = client.get("/api/audit", params={"label": first["label"], "top": 500}).json()["queue"]
    assert set(first["rows"]) <= {row["row"] for row in rows}
    decisions = [{"row": row, "kind": "accept", "about": first["label"]} for row in first["rows"]]
    after = client.post("/api/audit/decisions", json={"decisions": decisions, "label": first["label"]}).json()
    settled = {row["row"] for row in after["queue"] if row["settled"]}
    assert after["decided"] == 1 and settled <= set(first["rows"])


def test_what_somebody_else_decided_about_is_not_decided_about_by_label(client: TestClient) -> None:
    first = client.get("/api/audit").json()["ranges"][0]
    rows = {row["row"]: row for row in client.get(f"/api/audit?top=500&label={first['label']}").json()["queue"]}
    seen = [
        {"row": n, "kind": "accept", "about": first["label"]} | {name: rows[n][name] for name in ("given", "settled")}
        for n in first["rows"][:2]
    ]
    for kind in ("keep", "accept"):
        other = {"row": first["rows"][0], "kind": kind, "about": first["label"]}
        assert client.post("/api/audit/decisions", json={"decisions": [other]}).status_code == 200
        stale = client.post("/api/audit/decisions", json={"decisions": seen})
        assert stale.status_code == 400 and f"row {first['rows'][0]} has " in stale.json()["error"]
        assert client.get("/api/audit?top=0").json()["decided"] == 1
        assert client.post("/api/audit/decisions", json={"undo": True}).status_code == 200
    assert client.post("/api/audit/decisions", json={"decisions": seen}).json()["decided"] == 1


def test_the_table_is_the_users_own(client: TestClient, trained: Path) -> None:
    row = client.get("/api/audit").json()["queue"][0]
    client.post("/api/audit/decisions", json={"decisions": [{"row": row["row"], "kind": "other", "labels": ["blue"]}]})
    answer = client.get("/api/audit/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="labels.csv"'
    written = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(written[0]) == ["file_name", "year", "artist", "caption", "labels"]
    assert [one["labels"] for one in written if one["caption"] == row["caption"]] == ["blue"]


def test_what_was_kept_is_in_the_log_that_can_be_had(client: TestClient) -> None:
    row = client.get("/api/audit").json()["queue"][0]["row"]
    client.post("/api/audit/decisions", json={"decisions": [{"row": row, "kind": "keep"}]})
    answer = client.get("/api/audit/decisions")
    assert answer.headers["content-disposition"] == 'attachment; filename="decisions.jsonl"'
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["row"], last["decision"], last["observed"]) == (row, "keep", last["labels"])


def test_a_new_label_comes_into_the_table_and_is_trained_on_there(
    client: TestClient, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row["row"] for row in client.get("/api/audit").json()["queue"][:3]]
    decisions = [{"row": row, "kind": "other", "labels": ["violet", "square"], "new": ["violet"]} for row in rows]
    after = client.post("/api/audit/decisions", json={"decisions": decisions}).json()
    assert after["new"] == ["violet"] and set(client.get(f"/api/audit/rows/{rows[0]}").json()["given"]) == {
        "violet",
        "square",
    }
    table = client.get("/api/audit/export").content
    assert table.count(b"violet") == 3
    shapes = Path(shutil.copytree(trained.parent / "shapes", tmp_path / "shapes"))
    (tmp_path / "labels.csv").write_bytes(table)
    small = ["--method", "nrch", "--epochs", "1", "--set", "width=8", "--bits", "8"]
    beside = ["--labels", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "beside")]
    assert main(["train", str(shapes), *small, *beside]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "left out: 'violet' (3 rows); to train on them, put this table in the place of the data's own" in told
    assert "violet" not in json.loads((tmp_path / "beside" / "config.json").read_text())["label_names"]
    (shapes / "table.csv").write_bytes(table)
    assert main(["train", str(shapes), *small, "--out", str(tmp_path / "run")]) == 0
    assert "violet" in json.loads((tmp_path / "run" / "config.json").read_text())["label_names"]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, "nothing to decide"),
        ({"decisions": [{"row": 10**6, "kind": "keep"}]}, "row 1000000 is no labelled training row of the run"),
        ({"decisions": [{"row": -1, "kind": "keep"}]}, "decisions.0.row"),
        ({"decisions": [{"row": "1", "kind": "keep"}]}, "decisions.0.row"),
        ({"decisions": [{"row": 1, "kind": "agree"}]}, "decisions.0.kind"),
        ({"decisions": [{"row": 1, "kind": "keep", "path": "/etc"}]}, "decisions.0.path"),
        ({"decisions": [{"row": 1, "kind": "other", "labels": ["x" * 300], "new": []}]}, "decisions.0.labels"),
        ({"decisions": 3}, "decisions"),
        ({"undo": True}, "there is no decision to undo"),
        ({"undo": True, "decisions": [{"row": 1, "kind": "keep"}]}, "send one of them"),
    ],
)
def test_a_wrong_decision_is_refused_in_one_line(client: TestClient, body: dict[str, Any], wrong: str) -> None:
    answer = client.post("/api/audit/decisions", json=body)
    assert answer.status_code == 400 and wrong in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert client.get("/api/audit?top=0").json()["decided"] == 0


@pytest.mark.parametrize("path", ["?top=-1", "?top=5000", "?label=klingon", "?order=p", "/rows/99999999"])
def test_wrong_questions(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/audit{path}")
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]


def test_another_sites_page_decides_nothing(client: TestClient) -> None:
    body = {"decisions": [{"row": client.get("/api/audit").json()["queue"][0]["row"], "kind": "keep"}]}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/api/audit/decisions", json=body, headers=headers).status_code == 403
    plain = client.post("/api/audit/decisions", content='{"undo": true}', headers={"Content-Type": "text/plain"})
    assert plain.status_code == 400
    assert client.get("/api/audit?top=0").json()["decided"] == 0


def test_who_may_decide_where_a_token_is_set(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    with client_of(run, token="a long random word") as client:
        row = opened(client).json()["queue"][0]["row"]
        body = {"decisions": [{"row": row, "kind": "keep"}]}
        assert client.post("/api/audit/decisions", json=body).status_code == 401
        headers = {"Authorization": "Bearer a long random word"}
        assert client.post("/api/audit/decisions", json=body, headers=headers).json()["decided"] == 1


@pytest.mark.slow
def test_a_run_without_labels_says_so_each_time(tmp_path: Path) -> None:
    make_collection(tmp_path / "shapes", 40, labels=None)
    run = tmp_path / "run"
    assert (
        main(["train", str(tmp_path / "shapes"), "--out", str(run), "--method", "cca-itq", "--bits", "8", "--quiet"])
        == 0
    )
    assert main(["index", str(run)]) == 0
    with client_of(run) as client:
        for _ in range(2):
            answer = opened(client)
            assert answer.status_code == 400 and "has no labels" in answer.json()["error"]
            assert str(tmp_path) not in answer.json()["error"]
