"""The study of a scripted reviewer: what he counts as a decision, that he mends and breaks nothing, and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.studies import reviewer
from crossbit.audit.queue import AuditQueue
from test_audit import LOOK, run_of, toy


class Told:
    """A queue that shows one grid, and keeps what is decided."""

    def __init__(self, rows: int) -> None:
        self.choices: list[Any] = []
        self.grid = {"label": "cat", "has": False, "rows": list(range(rows)), "right": 0.9 * rows}
        self.seen = type("Seen", (), {"names": ["cat", "dog"]})

    def view(self, top: int) -> dict[str, Any]:
        return {"queue": [], "ranges": [self.grid] if self.grid["rows"] else []}

    def decide(self, choices: list[Any]) -> None:
        self.choices.append([choice.row for choice in choices])
        self.grid = self.grid | {"rows": [r for r in self.grid["rows"] if r not in self.choices[-1]]}


@pytest.mark.parametrize(
    ("way", "wrong", "used", "accepted"),
    [
        ("careful", 2, 3, 8),  # one press, and two pictures taken out
        ("careful", 6, 1, 0),  # more than half is wrong: left alone
        ("quick", 2, 1, 10),
        ("quick", 3, 1, 0),
    ],
)
def test_what_counts_as_a_decision(way: str, wrong: int, used: int, accepted: int) -> None:
    truth = np.zeros((10, 2), int)
    truth[wrong:, 0] = 1
    queue: Any = Told(10)
    person = reviewer.Reviewer(queue, truth, way)
    person.review(200)
    assert person.used == used and sum(map(len, queue.choices)) == accepted


def test_a_grid_is_one_screen_at_most() -> None:
    queue: Any = Told(150)
    person = reviewer.Reviewer(queue, np.ones((150, 2), int), "careful")
    person.review(200)
    assert [len(rows) for rows in queue.choices] == [60, 60, 30] and person.used == 3


@pytest.mark.slow
def test_a_careful_reviewer_breaks_nothing_and_uses_what_he_has(tmp_path: Path) -> None:
    data = toy(several=True)
    run = run_of(tmp_path, "several", data, LOOK, noise="swap-one:0.3")
    queue, truth = AuditQueue.open(run), np.asarray(data.label)
    person = reviewer.Reviewer(queue, truth)
    person.review(12)
    assert person.used >= 12 and queue.decided <= person.used
    now, rows = queue._current, queue.seen.view.rows
    changed = now.labels != now.given
    assert changed.sum() > 12 and (now.labels[changed] == (truth[rows] > 0)[changed]).all()


@pytest.mark.slow
def test_a_cell_and_its_page() -> None:
    told = reviewer.cell(toy(several=True), "swap-one:0.3", 0, "cca-itq", 10, list(reviewer.WAYS))
    assert told["careful"]["precision"] == 1 and told["careful, then sure"]["recall"] > told["careful"]["recall"] > 0
    assert told["rows by gain"]["recall"] > 0
    told["true labels"]["overlap@10"] = told["corrupted"]["overlap@10"] + 0.1
    told["careful"]["overlap@10"] = told["corrupted"]["overlap@10"] + 0.06
    line = {"data": "toy", "method": "cca-itq", "noise": "swap-one:0.3", "decisions": 10, "told": told}
    (cell,) = reviewer.summed([line | {"seed": seed} for seed in (0, 1)])
    assert cell["told"]["careful"]["won back"]["mean"] == pytest.approx(0.6)
    page = reviewer.section({"cells": [cell]})
    assert "| toy, cca-itq, swap-one:0.3, careful |" in page and "0.600" in page
