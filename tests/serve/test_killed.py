"""A service that is killed at any moment: what it acknowledged is there, and it starts again by itself.

CROSSBIT_KILLS says how often it is killed; without it a few times.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import crossbit
from crossbit.cli import main
from crossbit.search.build import check_index
from serving import TOKEN, WRITER, Served, in_process, opened, picture
from shape_collection import make_collection

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("CROSSBIT_KILLS", "3"))
OFTEN = "from crossbit.serve import changes; changes.MANY = 5"  # so that it is killed while it writes the index, too


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_collection(tmp_path / "shapes", 60)
    train = ("--noise", "swap-one:0.2", "--method", "look", "--epochs", "1", "--bits", "16", "--quiet")
    assert main(["train", str(tmp_path / "shapes"), "--out", str(tmp_path / "run"), *train]) == 0
    assert main(["index", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


class Told:
    """What services were told, and acknowledged."""

    def __init__(self) -> None:
        self.items: dict[str, bool] = {}  # whether each is there; unknown where it is not named
        self.decided: list[int] = []  # rows, in their order
        self.seeds = iter(range(10**6))
        self.tries = 0
        self.acted: set[str] = set()  # what was acknowledged since the service was started

    def add(self, client: httpx.Client) -> str:
        seed = next(self.seeds)
        files, data = {"picture": picture(seed, 8)}, {"caption": f"red thing {seed}"}
        id_ = str(client.post("/api/items", files=files, data=data, headers=WRITER).json()["id"])
        self.items[id_] = True
        self.acted.add("items")
        return id_

    def change_items(self, client: httpx.Client) -> None:
        """Add items, and remove every third."""
        for number in range(10**6):
            id_ = self.add(client)
            if number % 3 == 2:
                del self.items[id_]  # neither there nor gone, until it is acknowledged
                assert client.delete(f"/api/items/{id_}").status_code == 204
                self.items[id_] = False

    def decide(self, client: httpx.Client) -> None:
        """Keep rows, and undo every fourth act."""
        while True:
            view = client.get("/api/audit?top=20")
            if view.status_code == 503:  # it is being opened
                time.sleep(0.05)
                continue
            row = next((one["row"] for one in view.json()["queue"] if one["row"] not in self.decided), None)
            self.tries += 1
            if row is None or (self.tries % 4 == 3 and self.decided):
                self.undo(client, view.json()["version"])
                continue
            answer = client.post("/api/audit/decisions", json={"decisions": [{"row": row, "kind": "keep"}]})
            if answer.status_code == 200:
                self.decided.append(row)
                self.acted.add("decisions")

    def undo(self, client: httpx.Client, version: int) -> None:
        undone, self.decided = self.decided, []  # unknown, until it is acknowledged
        answer = client.post("/api/audit/decisions", json={"undo": True, "version": version})
        self.decided = undone[:-1] if answer.status_code == 200 else undone

    def search(self, client: httpx.Client) -> None:
        while True:
            assert client.get("/api/search?q=red&k=100").status_code == 200
            self.acted.add("search")


def busy(served: Served, told: Told, work: list[Any], seconds: float) -> None:
    """Let threads work until the service is killed, so many seconds after each has had an answer that counts."""

    def until_killed(what: Any) -> None:
        with httpx.Client(base_url=served.address, headers=WRITER, timeout=60) as client:
            try:
                what(client)
            except httpx.TransportError:
                return
            except BaseException as error:
                wrong.append(error)

    wrong: list[BaseException] = []
    told.acted = set()
    threads = [threading.Thread(target=until_killed, args=(what,)) for what in work]
    for thread in threads:
        thread.start()
    while len(told.acted) < len(work) and not wrong:
        time.sleep(0.01)
    time.sleep(seconds)
    served.process.kill()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


def in_log(run: Path) -> list[int]:
    """The rows that the log of decisions holds, as one reads it that knows no crossbit."""
    rows: list[int] = []
    for line in (run / "decisions.jsonl").read_text().splitlines() if (run / "decisions.jsonl").exists() else ():
        try:
            act = json.loads(line)
        except ValueError:  # cut off
            continue
        rows = rows[:-1] if act.get("undo") else [*rows, act["row"]]
    return rows


def test_nothing_acknowledged_is_lost_and_it_starts_again(run: Path) -> None:
    rng, told = np.random.default_rng(KILLS), Told()
    for kill in range(KILLS):
        with in_process(run, settings={"token": TOKEN}, first=OFTEN) as served:
            for id_, there in told.items.items():
                assert (served.client.get(f"/api/items/{id_}").status_code == 200) == there, (kill, id_)
            if kill == 0:  # so that there is one, on any machine
                told.add(served.client)
            busy(
                served, told, [told.search] if kill % 2 else [told.change_items, told.decide], float(rng.uniform(0, 3))
            )
        assert check_index(crossbit.load_model(run), run / "index") == []
        assert told.decided == in_log(run)[: len(told.decided)], kill
        told.decided = in_log(run)  # one more may be there, that was not acknowledged
    with opened(run) as client:
        for id_, there in told.items.items():
            assert (client.get(f"/api/items/{id_}/picture").status_code == 200) == there
        assert len(list(run.glob(".serving.*.lock"))) == 1
    print(f"{KILLS} kills, {len(told.items)} items, {len(told.decided)} decisions")
