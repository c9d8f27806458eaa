"""A scripted reviewer with 200 decisions in the audit's queue: how much of what wrong labels cost comes back.

    python -m benchmarks.studies.reviewer DATA... --kept FILE.jsonl [--method look] [--seeds 3] [--noise swap-one:0.4]
                                          [--decisions 200] [--ways careful quick]

The labels of the training rows are corrupted and a method is trained on them. A reviewer, who knows the true labels,
decides in the queue of that run as on its page (docs/audit.md). The method is trained again on the labels that follow,
and on the true ones.

What counts as a decision: one press of accept, keep or other. About a row it settles the row and those that show the
same thing. About a grid of pictures of one label, 60 at most, it settles all that are chosen in it; each picture that
the reviewer takes out of the grid before is one decision more, and a grid that he leaves alone costs one, too.
At each step he takes what the queue expects to mend most: a grid of sure changes of one label, or a row.

* careful: takes every wrong change out of a grid, or leaves the grid alone where more than half of it is wrong. On a
  row he accepts what is right, keeps what was right, and gives other labels else.
* quick: accepts a grid as it stands where at least four of five changes are right, and leaves it alone else.
* careful, then sure: as careful; afterwards he takes what the audit is sure of with .9 unseen, in rows that nothing was
  decided about (`crossbit audit RUN --apply RUN/decisions.jsonl --accept-above 0.9`).
* rows by gain, rows by evidence: row by row alone, in the order of the queue or of the audit. Only what they mend is
  told, and nothing is trained again: which order mends more with a decision?

Told are overlap@10 and mAP@all of the queries by true labels (mean of both directions), what share of the loss in
overlap@10 came back, and of the changed labels how many are right, and of the wrong ones how many are mended. Cells are
kept in FILE, and not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section
from benchmarks.common.runs import read_runs, spread
from benchmarks.studies.audit import hot
from benchmarks.studies.repair import ABOVE, changes, replaced, table_of_ways, trained
from crossbit.audit import audit_run
from crossbit.audit.decisions import read_decisions, repair
from crossbit.audit.queue import AuditQueue, Choice
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data

NOISE = ("swap-one:0.4",)
WAYS = ("careful", "quick", "careful, then sure")
ORDERS = {"rows by gain": "gain", "rows by evidence": "evidence"}
SCREEN = 60  # pictures of a grid, at most
RIGHT = {"careful": 0.5, "quick": 0.8}  # share of right changes from which a grid is accepted


class Reviewer:
    """Someone who knows the true labels, and counts decisions.

    Args:
        queue: of the run.
        truth: (n, classes) by row of the data.
        way: "careful" or "quick".
    """

    def __init__(self, queue: AuditQueue, truth: np.ndarray, way: str = "careful") -> None:
        self.queue, self.truth, self.way, self.used = queue, truth, way, 0
        self._left: set[tuple[str, bool, int]] = set()  # rows of grids that were left alone

    def review(self, decisions: int) -> None:
        """Take what mends most, until the decisions are used."""
        while self.used < decisions:
            view = self.queue.view(1)
            grids = [self._grid(one) for one in view["ranges"]]
            best = max(grids, key=lambda one: one["right"], default={"right": 0.0})
            if not view["queue"] and best["right"] == 0:
                return
            if best["right"] > (view["queue"][0]["gain"] if view["queue"] else 0.0):
                self._look_at(best, decisions)
            else:
                self.row(view["queue"][0])

    def row(self, row: dict[str, Any]) -> None:
        """Decide about a row and those that show the same thing."""
        right = self._names(row["row"])
        kinds = {"accept": row["proposed"], "keep": row["given"]}
        kind = next((kind for kind, labels in kinds.items() if set(labels) == set(right)), "other")
        alike = [each for each in row["alike"] if self._names(each) == right]
        self.queue.decide([Choice(each, kind, right if kind == "other" else ()) for each in (row["row"], *alike)])
        self.used += 1

    def _grid(self, one: dict[str, Any]) -> dict[str, Any]:
        """The first screen of a range, without what was left alone, and what it is expected to mend."""
        rows = [row for row in one["rows"] if (one["label"], one["has"], row) not in self._left][:SCREEN]
        return one | {"rows": rows, "right": one["right"] * len(rows) / len(one["rows"])}

    def _look_at(self, grid: dict[str, Any], decisions: int) -> None:
        label = self.queue.seen.names.index(grid["label"])
        right = [row for row in grid["rows"] if bool(self.truth[row, label]) != grid["has"]]
        accepted = len(right) >= RIGHT[self.way] * len(grid["rows"]) and right
        taken_out = len(grid["rows"]) - len(right) if self.way == "careful" and accepted else 0
        self.used += 1 + taken_out
        if not accepted or self.used > decisions:
            chosen = []
        else:
            chosen = right if self.way == "careful" else grid["rows"]
            self.queue.decide([Choice(row, "accept", about=grid["label"]) for row in chosen])
        self._left |= {(grid["label"], grid["has"], row) for row in grid["rows"] if row not in set(chosen)}

    def _names(self, row: int) -> list[str]:
        names = [self.queue.seen.names[c] for c in np.flatnonzero(self.truth[row])]
        return names or self.queue.row(row)["given"]  # a row without any true label stays as it is


def reviewed(
    run: Path, data: PairedData, before: np.ndarray, truth: np.ndarray, decisions: int, ways: list[str]
) -> dict[str, np.ndarray]:
    """Labels (n, classes) after the decisions of each reviewer."""
    queue, found = AuditQueue.open(run, data), audit_run(run, data)
    after = {}
    for way in ways:
        if way in ORDERS:
            reviewer = Reviewer(queue, truth)
            while reviewer.used < decisions and (rows := queue.view(1, order=ORDERS[way])["queue"]):
                reviewer.row(rows[0])
        else:
            Reviewer(queue, truth, way.partition(",")[0]).review(decisions)
        kept = read_decisions(queue.log.path, found)
        made = repair(found, kept, ABOVE if way.endswith("sure") else None)
        after[way] = replaced(before, made.labels, queue.seen.names)
        while queue.decided:
            queue.undo()
    return after


def cell(data: PairedData, noise: str, seed: int, method: str, decisions: int, ways: list[str]) -> dict[str, Any]:
    """One noise and seed: figures before, after each reviewer, and with true labels."""
    noisy, _ = corrupt_data(data, noise, seed)
    truth, before = (hot(np.asarray(y), data.classes).astype(np.uint8) for y in (data.label, noisy.observed_label))
    single = data.label is not None and data.label.ndim == 1
    rows = data.splits["train"]
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        told: dict[str, Any] = {"corrupted": trained(data, before, method, seed, runs / "before")}
        seen = data.with_observed(before.argmax(1)) if single else noisy
        for way, after in reviewed(runs / "before", seen, before, truth, decisions, [*ways, *ORDERS]).items():
            told[way] = changes(before[rows], after[rows], truth[rows])
            if way in WAYS:
                told[way] |= trained(data, after, method, seed, runs / way)
        told["true labels"] = trained(data, truth, method, seed, runs / "truth")
    return told


def summed(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of each data set and noise; the share won back is of the means."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in kept:
        groups.setdefault(tuple(one[name] for name in ("data", "method", "noise", "decisions")), []).append(one["told"])
    rows = []
    for (data, method, noise, decisions), of in groups.items():
        told = {way: {name: spread([one[way][name] for one in of]) for name in of[0][way]} for way in of[0]}
        begin, end = (told[way]["overlap@10"]["mean"] for way in ("corrupted", "true labels"))
        for figures in told.values():
            if "overlap@10" in figures and "recall" in figures and end > begin:  # else nothing was lost
                figures["won back"] = spread([(figures["overlap@10"]["mean"] - begin) / (end - begin)])
        rows.append({"data": data, "method": method, "noise": noise, "decisions": decisions, "told": told})
    return rows


COLUMNS = "overlap@10", "mAP@all", "won back", "changed", "precision", "recall"


def section(result: dict[str, Any]) -> str:
    return table_of_ways(result, COLUMNS)


ABOUT = (
    "A method trained on corrupted labels, on those after 200 decisions of a scripted reviewer in the audit's queue, "
    "and on the true ones. A grid of one label counts as one decision, and each picture taken out of it as one more; "
    "*won back*: of the loss in overlap@10; *changed*: single labels; *precision*, *recall*: of the changes; "
    "docs/audit.md."
)
SECTIONS = {"reviewer": Section("Two hundred decisions", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--method", default="look")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", nargs="+", default=NOISE)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    args = parser.parse_args()
    for name in args.data:
        data = load_data(name)
        for seed in range(args.seeds):
            for noise in args.noise:
                line = {"data": Path(name).stem, "method": args.method, "noise": noise, "seed": seed}
                line |= {"decisions": args.decisions}
                if any(line.items() <= one.items() for one in read_runs([args.kept])):
                    continue
                told = cell(data, noise, seed, args.method, args.decisions, list(args.ways))
                with args.kept.open("a") as file:
                    file.write(json.dumps({**line, "told": told}) + "\n")
                print(line, told, file=sys.stderr)
    stems = {Path(name).stem for name in args.data}
    print(json.dumps({"cells": summed([one for one in read_runs([args.kept]) if one["data"] in stems])}, indent=1))


if __name__ == "__main__":
    main()
