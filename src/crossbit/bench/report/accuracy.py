"""The tables of a bench's figures: methods as rows, conditions as columns, a table for each measure and database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.bench.report.cells import WIDEST, Cell, Row, Runs, bounds_of, cell_of, is_floor, row_of, views
from crossbit.bench.report.marks import MarkedColumn, mark
from crossbit.bench.report.table import Table, TableCell
from crossbit.bench.work.store import Result, load_per_query
from crossbit.evaluation.stats import BOOTSTRAP, LEVEL, summary
from crossbit.storage.files import read_json
from crossbit.storage.npz import read_npz

PerQuery = Mapping[str, Mapping[tuple[str, str], np.ndarray]]  # by run: by (database, direction)


@dataclass(frozen=True)
class Shown:
    """A table, and what its columns compare: by (cell, direction)."""

    data: str
    database: str
    measure: str
    table: Table
    columns: dict[tuple[Cell, str], MarkedColumn]


def accuracy_tables(runs: Runs, out: Path) -> Iterator[Shown]:
    """Every table of one data set: the methods, then each method with its variants; for every measure and database."""
    queries = {result.id: load_per_query(out, result) for result in runs.done}
    for measure in runs.measures:
        for database in runs.databases_of(measure):
            sheet = AccuracySheet(runs, database, measure, queries, sizes(out, runs))
            for rows, what in groups(runs.rows):
                yield from sheet.tables(rows, what)


def groups(rows: Sequence[Row]) -> list[tuple[list[Row], str]]:
    """Rows that are compared: the methods; and a method with its variants, under the name of that table.

    >>> [what for _, what in groups([Row("nrch"), Row("nrch", "no separator"), Row("ucch")])]
    ['', 'variants of nrch']
    """
    plain = [row for row in rows if not row.variant]
    found = [(plain, "")] if plain else []
    for method in dict.fromkeys(row.method for row in rows if row.variant):
        found.append(([row for row in rows if row.method == method], f"variants of {method}"))
    return found


def sizes(out: Path, runs: Runs) -> dict[str, int]:
    """How many queries and database rows there were, from the codes that a run left; empty where it left none."""
    for result in runs.done:
        path = out / "runs" / result.id / "codes.npz"
        if path.exists():
            labels = read_npz(path, "a bench's file", "run it again", wanted=lambda name: name.endswith("_label"))
            return {name.removesuffix("_label"): len(array) for name, array in labels.items()}
    return {}


class AccuracySheet:
    """One measure on one database: what its tables are made of."""

    def __init__(self, runs: Runs, database: str, measure: str, queries: PerQuery, size: Mapping[str, int]) -> None:
        self.runs, self.database, self.measure, self.queries, self.size = runs, database, measure, queries, size
        self.figures, self.chance = runs.figures(database, measure), runs.chance(database, measure)
        self.failed: dict[tuple[Row, Cell], list[Result]] = {}
        for result in runs.failed:
            self.failed.setdefault((row_of(result), cell_of(result)), []).append(result)

    def tables(self, rows: Sequence[Row], what: str) -> Iterator[Shown]:
        """The tables of some rows, as many as their cells need to fit a page."""
        asked = self.figures.keys() if not what else [key for key in self.figures if key[0].variant]
        cells = {cell for row, cell, _ in asked if row in rows}
        cells |= {cell for row, cell in self.failed if row in rows and (row.variant or not what)}
        directions = list(dict.fromkeys(direction for row, _, direction in self.figures if row in rows))
        for view in views(sorted(cells)):
            together = len(view) * len(directions) <= WIDEST
            for some in [directions] if together else [[direction] for direction in directions]:
                if some:
                    yield self._table(rows, view, some, what)

    def _table(self, rows: Sequence[Row], view: Sequence[Cell], directions: Sequence[str], what: str) -> Shown:
        places = [(cell, direction) for direction in directions for cell in view]
        rows = [row for row in rows if any(self._anything(row, cell, direction) for cell, direction in places)]
        columns = {place: self._column(rows, *place) for place in places}
        seeds = max((len(of) for of in self._shown(rows, places)), default=0)
        body = [(row.label, [self._entry(row, *place, columns[place], seeds) for place in places]) for row in rows]
        floor = [is_floor(row.method) for row in rows]
        table = Table(
            title=self._title(what, directions),
            protocol=self._protocol(rows, view, directions, seeds),
            first="method",
            columns=[(arrow(direction) if len(directions) > 1 else "", name) for direction in directions
                     for name in _names(view)],
            rows=[line for line, low in zip(body, floor, strict=True) if not low],
            floors=[line for line, low in zip(body, floor, strict=True) if low] + self._chance(places),
            notes=self._notes(rows, view, places, columns),
        )  # fmt: skip
        return Shown(self.runs.data, self.database, self.measure, table, columns)

    def _title(self, what: str, directions: Sequence[str]) -> str:
        one = arrow(directions[0]) if len(directions) == 1 else ""
        among = "the queries searched themselves" if self.database == "query" else ""
        return ", ".join(filter(None, [self.runs.data, what, short(self.measure), one, among]))

    def _anything(self, row: Row, cell: Cell, direction: str) -> bool:
        return (row, cell, direction) in self.figures or self._failed(row, cell)

    def _failed(self, row: Row, cell: Cell) -> bool:
        """Whether a run failed that would have given this measure, as far as others of its row tell."""
        given, done = ({of[0] for of in self.figures}, {row_of(result) for result in self.runs.done})
        return (row, cell) in self.failed and (row in given or row not in done)

    def _shown(self, rows: Sequence[Row], places: Sequence[tuple[Cell, str]]) -> Iterator[Mapping[int, float]]:
        for row in rows:
            yield from (self.figures[row, *place] for place in places if (row, *place) in self.figures)

    def _column(self, rows: Sequence[Row], cell: Cell, direction: str) -> MarkedColumn:
        """The comparisons of a column; floors are none of its rows."""
        compared = [row for row in rows if not is_floor(row.method) and (row, cell, direction) in self.figures]
        queries = {row: array for row in compared if (array := self._per_query(row, cell, direction)) is not None}
        return mark({row: self.figures[row, cell, direction] for row in compared}, queries)

    def _per_query(self, row: Row, cell: Cell, direction: str) -> np.ndarray | None:
        """Average precisions (seeds, queries), where they are what this measure is the mean of."""
        found = []
        for result in self.runs.done:
            if (row_of(result), cell_of(result)) == (row, cell) and result.figures[0]["measure"] == self.measure:
                found.append(self.queries.get(result.id, {}).get((self.database, direction)))
        arrays = [array for array in found if array is not None]
        same = len({len(array) for array in arrays}) == 1 and len(arrays) == len(found)
        return np.stack(arrays) if same else None

    def _entry(self, row: Row, cell: Cell, direction: str, column: MarkedColumn, seeds: int) -> TableCell:
        values = self.figures.get((row, cell, direction))
        if values is None:
            return TableCell("failed" if self._failed(row, cell) else "–")
        over = summary(values)
        if not over.n:
            return TableCell("undefined")
        fewer = f" ({over.n} of {seeds})" if over.n < seeds else ""
        return TableCell(figure_text(over.mean, over.sd) + fewer, column.marks.get(row, ""))

    def _chance(self, places: Sequence[tuple[Cell, str]]) -> list[tuple[str, list[TableCell]]]:
        """The level of chance, the same for all methods, where it was recorded for this measure."""
        levels = []
        for cell, direction in places:
            of = [v for (_, c, d), seeds in self.chance.items() if (c, d) == (cell, direction) for v in seeds.values()]
            levels.append(float(np.mean(of)) if of else None)
        if all(level is None for level in levels):
            return []
        return [("chance", [TableCell("–" if level is None else f"{level:.4f}") for level in levels])]

    def _protocol(self, rows: Sequence[Row], view: Sequence[Cell], directions: Sequence[str], seeds: int) -> list[str]:
        """What has to be said with the figures, so that they can be compared."""
        how = dict.fromkeys(r.selection for r in self.runs.done if row_of(r) in rows and cell_of(r) in view)
        common = [
            *([f"{view[0].bits} bits"] if len({cell.bits for cell in view}) == 1 else []),
            *([view[0].noise_name] if len({cell.spelled for cell in view}) == 1 else []),
            f"{seeds} seeds" if seeds != 1 else "one seed",
            *([f"epoch: {' or '.join(filter(None, how))}"] if any(how) else []),
        ]
        shown = "mean ± standard deviation over the seeds" if seeds > 1 else "one run each"
        return [f"{self.measure}, {searched(self.database, self.size)}; {shown}", "; ".join(common)]

    def _notes(
        self, rows: Sequence[Row], view: Sequence[Cell], places: Sequence[tuple[Cell, str]],
        columns: Mapping[tuple[Cell, str], MarkedColumn],
    ) -> list[str]:  # fmt: skip
        notes = [*mark_notes(list(columns.values()))]
        if bounds := self._bounds(rows, places):
            notes.append(bounds)
        if blind := self._blind(rows, view):
            they = "it sees" if len(blind) == 1 else "they see"
            notes.append(f"{', '.join(blind)}: {they} no labels, so one training is used for every label noise")
        if any(not self._anything(row, *place) for row in rows for place in places):
            notes.append("–: no result")
        fewer = {summary(of).n for of in self._shown(rows, places)}
        if len(fewer - {0}) > 1:
            notes.append(f"(n of {max(fewer)}): only so many of the seeds have a figure")
        for row in rows:
            for cell in view:
                notes += _failures(row, cell, self.failed.get((row, cell), []))
        return notes

    def _blind(self, rows: Sequence[Row], view: Sequence[Cell]) -> list[str]:
        """The rows of which one training is used in several cells."""
        stands = {row_of(r) for r in self.runs.done if r.same_training_as and cell_of(r) in view}
        return [row.label for row in rows if row in stands]

    def _bounds(self, rows: Sequence[Row], places: Sequence[tuple[Cell, str]]) -> str:
        """By how much the order inside ties could move a figure, at most."""
        if not (bounds := bounds_of(self.measure)):
            return ""
        worst, best = (self.runs.figures(self.database, bound) for bound in bounds)
        keys = [(row, *place) for row in rows for place in places if (row, *place) in worst and (row, *place) in best]
        if not keys:
            return ""
        width = {key: summary(best[key]).mean - summary(worst[key]).mean for key in keys}
        row, cell, direction = largest = max(width, key=width.__getitem__)
        low, high = (summary(of[largest]).mean for of in (worst, best))
        where = f"{row.label}, {cell.noise_name}, {cell.bits} bits, {arrow(direction)}"
        return (
            f"order inside ties: the widest range between the worst and the best is {low:.4f} to {high:.4f} ({where})"
        )


def figure_text(mean: float, sd: float) -> str:
    """A mean with its spread, where there is one.

    >>> figure_text(0.71234, 0.0041), figure_text(0.71234, float("nan"))
    ('0.7123 ± 0.0041', '0.7123')
    """
    return f"{mean:.4f}" if np.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def searched(database: str, size: Mapping[str, int]) -> str:
    """What was searched by what.

    >>> searched("retrieval", {"query": 2000, "retrieval": 18000})
    '2,000 queries against the 18,000 rows of the database'
    """
    queries, items = size.get("query"), size.get("retrieval")
    asked = f"{queries:,} queries" if queries else "queries"
    if database == "query":
        return f"{asked} against themselves across modalities, own pair included"
    return f"{asked} against the {f'{items:,} ' if items else ''}rows of the database"


def short(measure: str) -> str:
    """A measure without its protocol, for a title; what ranks by other than codes says so.

    >>> short("mAP@all(ties=expected, empty=skip)"), short("mAP@all(ties=expected, empty=skip, metric=cosine)")
    ('mAP@all', 'mAP@all of real vectors (cosine)')
    """
    ranked = {"metric=cosine": " of real vectors (cosine)", "metric=reranked": ", re-ranked"}
    return measure.partition("(")[0] + "".join(said for metric, said in ranked.items() if metric in measure)


def arrow(direction: str) -> str:
    """A direction as people write it.

    >>> arrow("image->text")
    'image → text'
    """
    return " → ".join(direction.split("->"))


def mark_notes(columns: Sequence[MarkedColumn]) -> list[str]:
    """What the marks of a table mean; the tests are named."""
    marks = {given for column in columns for given in column.marks.values()}
    notes = ["bold: the highest mean of its column"] if "best" in marks else []
    for test in sorted({column.test for column in columns if column.test}):
        why = ", as there is but one common seed" if test == BOOTSTRAP else ""
        how = f"{test}{why}; two-sided, {LEVEL:.0%} level, Holm's correction within the column"
        tested = " that could be tested" if "untested" in marks else ""
        sign = (
            "†: not significantly worse than it" if "close" in marks else f"all others{tested} are significantly worse"
        )
        notes.append(f"{sign} ({how})")
    if "untested" in marks:
        notes.append("‡: not tested: under two seeds in common with the best, and no values per query of this measure")
    return notes


def _names(view: Sequence[Cell]) -> list[str]:
    """What tells the cells of a view apart."""
    noise, bits = (len({getattr(cell, name) for cell in view}) > 1 for name in ("spelled", "bits"))
    names = []
    for cell in view:
        parts = [cell.noise_name] if noise or not bits else []
        names.append(", ".join([*parts, *([f"{cell.bits} bits"] if bits else [])]))
    return names


def _failures(row: Row, cell: Cell, failed: Sequence[Result]) -> list[str]:
    """A line for each reason that runs of a row failed for in a cell."""
    lines = []
    for reason in dict.fromkeys(result.reason for result in failed):
        seeds = [str(result.seed) for result in failed if result.reason == reason]
        which = f"{row.label}, {cell.noise_name}, {cell.bits} bits, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"
        lines.append(f"failed: {which}: {reason or 'no reason was recorded'}")
    return lines


def planned(out: Path) -> int | None:
    """How many runs the bench has; None where there is no plan."""
    plan = out / "plan.json"
    return len(read_json(plan)["runs"]) if plan.exists() else None
