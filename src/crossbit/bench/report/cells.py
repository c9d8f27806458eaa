"""Results arranged for tables and plots: rows are methods, cells the conditions that they ran under."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from crossbit.bench.work.store import DONE, Result
from crossbit.errors import UserError
from crossbit.evaluation import Measure, parse_measure
from crossbit.evaluation.measure import CHANCE, RankMeasure
from crossbit.methods import available

WIDEST = 8  # columns of figures that a page holds


class Cell(NamedTuple):
    """A condition; cells sort by code length, then clean before noisy, then by rule and rate."""

    bits: int
    noisy: bool
    noise: str
    rate: float
    each: bool
    grouped: bool = False

    @property
    def drawn(self) -> list[str]:
        """What follows the rate of the noise: "each", "group"."""
        return ["each"] * self.each + ["group"] * self.grouped

    @property
    def noise_name(self) -> str:
        """Which labels training saw.

        >>> Cell(64, True, "swap-one", 0.5, False).noise_name
        'swap-one 0.5'
        """
        return " ".join([self.noise, f"{self.rate:g}", *self.drawn]) if self.noisy else "clean"

    @property
    def spelled(self) -> str:
        """The noise as a recipe spells it.

        >>> Cell(64, True, "swap-one", 0.5, True).spelled
        'swap-one:0.5:each'
        """
        return ":".join([self.noise, f"{self.rate:g}", *self.drawn]) if self.noisy else "none"


class Row(NamedTuple):
    """A method, or a variant of it: what is compared."""

    method: str
    variant: str = ""

    @property
    def label(self) -> str:
        """Its name in tables and plots.

        >>> Row("nrch").label, Row("nrch", "no separator").label
        ('nrch', 'nrch: no separator')
        """
        return f"{self.method}: {self.variant}" if self.variant else self.method


Figures = dict[tuple[Row, Cell, str], dict[int, float]]  # by row, cell and direction: a value a seed


class Runs:
    """The results on one data set.

    Attributes:
        data: its name.
        results: all of them; `done` those that have figures, `failed` the others.
        rows: in the order of the results, variants behind their method, floors last.
        cells: in their order.
        seeds: all that occur.
    """

    def __init__(self, data: str, results: Iterable[Result]) -> None:
        self.data = data
        self.results = [result for result in results if result.data == data]
        self.done = [result for result in self.results if result.status == DONE]
        self.failed = [result for result in self.results if result.status != DONE]
        methods = list(dict.fromkeys(result.method for result in self.results))
        rows = dict.fromkeys(map(row_of, self.results))
        self.rows = sorted(rows, key=lambda row: (is_floor(row.method), methods.index(row.method), row.variant != ""))
        self.cells = sorted({cell_of(result) for result in self.results})
        self.seeds = sorted({result.seed for result in self.results})

    @property
    def measures(self) -> list[str]:
        """The measures' names; what ranks by Hamming distance first; chance levels and bounds are none."""
        names = dict.fromkeys(figure["measure"] for result in self.done for figure in result.figures)
        results = [name for name in names if not name.startswith(CHANCE)]
        bounds = {bound for name in results for bound in bounds_of(name)}
        return sorted((name for name in results if name not in bounds), key=lambda name: "metric=" in name)

    @property
    def databases(self) -> list[str]:
        """What was searched for the first measure, in the order of the results."""
        return self.databases_of(self.measures[0]) if self.measures else []

    def databases_of(self, measure: str) -> list[str]:
        """What was searched for a measure: own pairs are looked for among the queries, whatever else was searched."""
        figures = (figure for result in self.done for figure in result.figures)
        return list(dict.fromkeys(figure["database"] for figure in figures if figure["measure"] == measure))

    def directions(self, database: str, measure: str) -> list[str]:
        """The directions that a measure was taken in."""
        return list(dict.fromkeys(direction for _, _, direction in self.figures(database, measure)))

    def figures(self, database: str, measure: str) -> Figures:
        """A measure's values by row, cell and direction; each by seed."""
        found: Figures = {}
        for result in self.done:
            for figure in result.figures:
                if (figure["database"], figure["measure"]) == (database, measure):
                    place = row_of(result), cell_of(result), figure["direction"]
                    found.setdefault(place, {})[result.seed] = float(figure["value"])
        return found

    def chance(self, database: str, measure: str) -> Figures:
        """A measure's level of chance where it was recorded, as `figures`."""
        known = measure_of(measure)
        return {} if known is None else self.figures(database, known.chance)


def arrange(results: Sequence[Result]) -> list[Runs]:
    """The results of each data set."""
    return [Runs(data, results) for data in dict.fromkeys(result.data for result in results)]


def measure_of(name: str) -> Measure | None:
    """The measure of a recorded name; None where this crossbit does not know it: its figures are shown all the same."""
    try:
        return parse_measure(name)
    except UserError:
        return None


def bounds_of(name: str) -> list[str]:
    """The names of the worst and the best value that the order inside ties leaves an expected one; none of any other.

    >>> bounds_of("mAP@all(ties=expected, empty=skip)")
    ['mAP@all(ties=worst, empty=skip)', 'mAP@all(ties=best, empty=skip)']
    """
    measure = measure_of(name)
    expected = isinstance(measure, RankMeasure) and measure.ties == "expected"
    return [str(bound) for bound in measure.bounds()] if measure and expected else []


@cache
def is_floor(method: str) -> bool:
    """Whether a method is but a floor that others are measured against; one that is not here is none."""
    found = available().get(method)
    return found is not None and found.floor


def views(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells in groups that fit one table: all together, else by noise at one length, then by length at one noise.

    >>> grid = [Cell(64, True, "swap-one", rate / 10, False) for rate in range(9)]
    >>> more = [Cell(bits, True, "swap-one", 0.5, False) for bits in (16, 32)]
    >>> [[(cell.bits, cell.rate) for cell in view] for view in views(more + grid)][1]
    [(16, 0.5), (32, 0.5), (64, 0.5)]
    """
    cells = sorted(cells)
    if len(cells) <= WIDEST:
        return [cells] if cells else []
    found: list[list[Cell]] = []
    for bits in dict.fromkeys(cell.bits for cell in cells):
        if len(group := [cell for cell in cells if cell.bits == bits]) > 1:
            found.append(group)
    for noise in dict.fromkeys(cell.spelled for cell in cells):
        group = [cell for cell in cells if cell.spelled == noise]
        if any(not any(cell in view for view in found) for cell in group):
            found.append(group)
    return found


def row_of(result: Result) -> Row:
    """What a result is one of."""
    return Row(result.method, result.variant)


def cell_of(result: Result) -> Cell:
    """The condition that a result was made under."""
    if result.noise in ("", "none"):
        return Cell(result.bits, False, "", 0.0, False)
    return Cell(result.bits, True, result.noise, result.rate, result.each, result.grouped)
