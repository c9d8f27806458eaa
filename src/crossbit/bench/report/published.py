"""Published figures beside those of a bench."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bench.report.accuracy import arrow, figure_text
from crossbit.bench.report.cells import Cell, Figures, arrange
from crossbit.bench.report.table import Table, TableCell
from crossbit.bench.work.store import Result
from crossbit.data.noise import parse_noise
from crossbit.evaluation.stats import Summary, summary
from crossbit.storage.files import read_json

FILE = "published.json"


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure, what came out here, and by how much that is more.

    Attributes:
        told: the entry of the file that the figure is from.
        here: over the seeds.
        measure, database: what was measured here.
        difference: here less published.
    """

    told: dict[str, Any]
    here: Summary
    measure: str
    database: str

    @property
    def difference(self) -> float:
        """Here less published."""
        return self.here.mean - float(self.told["value"])


def read_published(out: Path) -> list[dict[str, Any]]:
    """The published figures that lie in a bench's folder; none where there is no such file."""
    path = out / FILE
    held = read_json(path) if path.exists() else []
    return list(held.get("figures", [])) if isinstance(held, Mapping) else list(held)


def compare_published(results: Sequence[Result], published: Sequence[Mapping[str, Any]]) -> list[PublishedFigure]:
    """Every published figure for which there is one here, in the order in which they were published.

    An entry has at least "data", "method", "bits", "noise" ("none" or `RULE:RATE`), "direction", "measure" and "value";
    "variant" (default: none) and "database" (default: retrieval) where it says them. Of a measure that is named without
    its protocol, `mAP@all`, the one that is measured first here is taken: papers rarely say the rest.
    """
    found = []
    for runs in arrange(results):
        for number, told in enumerate(published):
            if _plain(told["data"]) != _plain(runs.data) or not told.get("bits"):
                continue
            database = str(told.get("database") or "retrieval")
            for measure in [name for name in runs.measures if _same_measure(str(told["measure"]), name)][:1]:
                if here := _here(runs.figures(database, measure), told):
                    found.append((number, PublishedFigure(dict(told), summary(here), measure, database)))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _here(figures: Figures, told: Mapping[str, Any]) -> dict[int, float]:
    """The figures by seed that a published one is beside; the direction "average" is the mean over the directions."""
    place = str(told["method"]), str(told.get("variant") or ""), int(told["bits"]), _noise(told)
    of = {way: seeds for (row, cell, way), seeds in figures.items() if (*row, cell.bits, cell.spelled) == place}
    if told["direction"] != "average" or not of:
        return of.get(str(told["direction"]), {})
    common = set.intersection(*(set(seeds) for seeds in of.values()))
    return {seed: float(np.mean([seeds[seed] for seeds in of.values()])) for seed in sorted(common)}


def _plain(name: Any) -> str:
    """A data set's name without what spellings differ in: MIRFlickr-25K is mirflickr25k."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def published_tables(results: Sequence[Result], published: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table for each published one of which figures are here."""
    rows = compare_published(results, published)
    sources = dict.fromkeys((_source(row), row.told["data"], row.measure, row.database) for row in rows)
    tables = []
    for source, data, measure, database in sources:
        of = [
            r for r in rows if (_source(r), r.told["data"], r.measure, r.database) == (source, data, measure, database)
        ]
        tables.append(
            Table(
                title=f"{data}, beside {source}",
                protocol=[
                    f"here: {measure}, database: {database}, mean ± standard deviation over the seeds",
                    "published: " + "; or ".join(dict.fromkeys(_protocol(row.told) for row in of)),
                ],
                first="method",
                columns=[
                    ("", name) for name in ("noise", "bits", "direction", "published", "here", "seeds", "difference")
                ],
                rows=[(_label(row), _entries(row)) for row in of],
                notes=["difference: here less published, where the protocols differ too"],
            )
        )
    return tables


def _entries(row: PublishedFigure) -> list[TableCell]:
    told, here = row.told, row.here
    texts = [
        "clean" if _noise(told) == "none" else _noise(told),
        str(told["bits"]),
        arrow(str(told["direction"])),
        str(told["value"]),  # with the digits it was published with
        figure_text(here.mean, here.sd),
        str(here.n),
        f"{row.difference:+.4f}",
    ]
    return [TableCell(text) for text in texts]


def _protocol(told: Mapping[str, Any]) -> str:
    return ", ".join(str(told[key]) for key in ("measure", "protocol") if told.get(key))


def _label(row: PublishedFigure) -> str:
    return ": ".join(filter(None, [str(row.told["method"]), str(row.told.get("variant") or "")]))


def _source(row: PublishedFigure) -> str:
    told = row.told
    return ", ".join(str(told[key]) for key in ("paper", "table") if told.get(key)) or "published figures"


def _noise(told: Mapping[str, Any]) -> str:
    """The noise as `Cell.spelled` spells it."""
    text = str(told.get("noise") or "none")
    if text == "none":
        return text
    noise = parse_noise(text)
    return Cell(0, noise.rate > 0, noise.rule, noise.rate, noise.each, noise.grouped).spelled


def _same_measure(told: str, here: str) -> bool:
    """Whether a published measure may be the one measured here: name and cut, and the protocol as far as told."""
    name, _, protocol = (part.replace(" ", "") for part in told.partition("("))
    other, _, ours = (part.replace(" ", "") for part in here.partition("("))
    choices = set(protocol.rstrip(")").split(",")) - {""}
    return name == other and choices <= set(ours.rstrip(")").split(","))
