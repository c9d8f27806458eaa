"""The table of times: what training, encoding and searching cost, beside the accuracy that they bought."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from crossbit.bench.report.accuracy import figure_text
from crossbit.bench.report.cells import Cell, Runs, cell_of, is_floor, row_of
from crossbit.bench.report.table import Table, TableCell
from crossbit.bench.work.store import Result
from crossbit.evaluation.stats import summary


def times_tables(runs: Runs) -> list[Table]:
    """A table for each code length: methods as rows, means over the runs of the conditions that all of them saw."""
    tables = []
    for bits in dict.fromkeys(cell.bits for cell in runs.cells):
        done = [result for result in runs.done if result.bits == bits and not result.variant]
        if done and runs.measures:
            tables.append(_table(runs, bits, done))
    return tables


def _table(runs: Runs, bits: int, done: Sequence[Result]) -> Table:
    rows = [row for row in runs.rows if any(row_of(result) == row for result in done)]
    saw = {row: {cell_of(result) for result in done if row_of(result) == row} for row in rows}
    common: set[Cell] = set.intersection(*saw.values())
    measure = runs.measures[0]
    of = {row: [r for r in done if row_of(r) == row and (not common or cell_of(r) in common)] for row in rows}
    body = [(row.label, _entries(of[row], runs.databases, measure)) for row in rows]
    low = [is_floor(row.method) for row in rows]
    return Table(
        title=f"{runs.data}, times at {bits} bits",
        protocol=[_protocol(common, measure), f"machine: {machine_text(done)}"],
        first="method",
        columns=[*((column.group, column.name) for column in COLUMNS),
                 *((f"{measure.partition('(')[0]}, database", database) for database in runs.databases)],
        rows=[line for line, floor in zip(body, low, strict=True) if not floor],
        floors=[line for line, floor in zip(body, low, strict=True) if floor],
        notes=_notes(done),
    )  # fmt: skip


def _entries(results: Sequence[Result], databases: Sequence[str], measure: str) -> list[TableCell]:
    trained = trainings(results)
    entries = [TableCell(column.text(trained) or "–") for column in COLUMNS]
    for database in databases:
        values = [value for result in results if (value := accuracy(result, database, measure)) is not None]
        entries.append(TableCell(figure_text(summary(values).mean, np.nan) if values else "–"))
    return entries


def trainings(results: Iterable[Result]) -> list[Result]:
    """One result for each training: those that reuse it for other label noises repeat its times.

    >>> from types import SimpleNamespace as Run
    >>> runs = Run(id="clean", same_training_as=""), Run(id="noisy", same_training_as="clean")
    >>> [run.id for run in trainings(runs)]
    ['clean']
    """
    found: dict[str, Result] = {}
    for result in results:
        found.setdefault(result.same_training_as or result.id, result)
    return list(found.values())


def _epochs(trained: Sequence[Result]) -> str:
    epochs = sorted({result.epochs for result in trained if result.epochs is not None})
    return " to ".join(map(str, dict.fromkeys([*epochs[:1], *epochs[-1:]])))


def _seconds(part: str, trained: Sequence[Result]) -> str:
    over = summary([value for result in trained if (value := seconds_of(result, part)) is not None])
    return seconds_text(over.mean, over.sd) if over.n else ""


class Column(NamedTuple):
    """A column of the table, under the heading of its group."""

    group: str
    name: str
    text: Callable[[Sequence[Result]], str]  # of a method's trainings; empty where nothing is known


# A new column is a line here.
COLUMNS = [
    Column("", "runs", lambda trained: str(len(trained))),
    Column("", "epochs", _epochs),
    Column("seconds of a run", "training", partial(_seconds, "train")),
    Column("seconds of a run", "an epoch", partial(_seconds, "epoch")),
    Column("seconds of a run", "encoding", partial(_seconds, "encode")),
    Column("seconds of a run", "search", partial(_seconds, "search")),
]


def seconds_of(result: Result, part: str) -> float | None:
    """Seconds that a part of a run took; "epoch" is the training's mean."""
    if part != "epoch":
        return result.seconds.get(part)
    train = result.seconds.get("train")
    return train / result.epochs if train is not None and result.epochs else None


def accuracy(result: Result, database: str, measure: str) -> float | None:
    """The mean of a measure over the directions."""
    values = [f["value"] for f in result.figures if (f["database"], f["measure"]) == (database, measure)]
    return float(np.mean(values)) if values else None


def seconds_text(mean: float, sd: float) -> str:
    """Seconds with the digits that mean something.

    >>> seconds_text(123.4, 5.6), seconds_text(0.0123, 0.002), seconds_text(2.5, float("nan"))
    ('123 ± 6', '0.012 ± 0.002', '2.50')
    """
    digits = 0 if mean >= 100 else 1 if mean >= 10 else 2 if mean >= 1 else 3
    return f"{mean:.{digits}f}" + ("" if np.isnan(sd) else f" ± {sd:.{digits}f}")


def machine_text(results: Sequence[Result]) -> str:
    """The machine that the runs were timed on, or that they were several.

    >>> from types import SimpleNamespace as Run
    >>> machine_text([Run(machine={"cores": 2, "versions": {"torch": "2.13"}})])
    'cores 2; torch 2.13'
    """
    told = dict.fromkeys(_machine(result.machine) for result in results)
    return " | ".join(told) + (" (several: times do not compare)" if len(told) > 1 else "") if any(told) else "not told"


def _machine(machine: dict[str, Any]) -> str:
    plain = [f"{key} {value}" for key, value in machine.items() if key in ("processor", "cores", "threads", "device")]
    versions = [f"{name} {version}" for name, version in machine.get("versions", {}).items()]
    return "; ".join([*plain, *versions])


def _protocol(common: set[Cell], measure: str) -> str:
    if not common:
        return f"means over each method's own runs, as no condition is common to all of them; accuracy is {measure}"
    names = ", ".join(cell.noise_name for cell in sorted(common))
    return f"mean ± standard deviation over the runs of {names}; accuracy is {measure}, mean over the directions"


def _notes(done: Sequence[Result]) -> list[str]:
    trained = trainings(done)
    notes = ["by the clock; training includes what the method prepares, search is all queries against the database"]
    if len(trained) < len(done):
        notes.append("runs and times are those of trainings: one that is used for several label noises counts once")
    if resumed := sum("resumed_after_epoch" in result.machine for result in trained):
        runs = "1 run was" if resumed == 1 else f"{resumed} runs were"
        notes.append(f"{runs} interrupted: the training time is estimated from the later epochs")
    return notes
