"""What a person is shown of a queue, as small JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.audit.current import Current
from crossbit.audit.entries import entries_of
from crossbit.audit.gains import Gains
from crossbit.audit.judged import Judged


def queue_rows(judged: Judged, gains: Gains, now: Current, positions: np.ndarray) -> list[dict[str, Any]]:
    """All that is said of these rows."""
    entries = entries_of(judged, None, now.labels, gains.corrupted, positions)
    names = ("row", "caption", "path", "reason", "wrong", "missing")
    found = []
    for position, entry, proposed in zip(positions, entries, gains.proposed(positions), strict=True):
        told = {name: getattr(entry, name) for name in names}
        told |= {"given": now.named(position), "proposed": now.named(position, proposed)}
        told |= {"p": float(gains.corrupted[position]), "settled": bool(gains.settled[position].all())}
        alike = [int(now.rows[other]) for other in gains.alike(position)]
        told |= {"gain": float(gains.gain[position]), "family": len(alike), "alike": alike}
        near = [vars(one) | {"labels": now.named(now.position(one.row))} for one in entry.neighbours]
        found.append(told | {"neighbours": near})
    return found


def class_rows(
    judged: Judged, gains: Gains, now: Current, positions: np.ndarray, doubts: np.ndarray, label: int
) -> list[dict[str, Any]]:
    """What is said of rows that are looked at for one label, with the doubt about it."""
    found = []
    for position, doubt, proposed in zip(positions, doubts, gains.proposed(positions), strict=True):
        y = now.labels[position]
        told = {"row": int(now.rows[position]), **judged.item(position), "given": now.named(position)}
        told |= {"proposed": now.named(position, proposed), "has": bool(y[label]), "p": float(doubt)}
        told |= {"settled": bool(gains.settled[position, label])}
        found.append(told | {"alone": bool(y.sum() == 1 and not gains.single)})
    return found


def classes(gains: Gains, names: list[str]) -> list[dict[str, Any]]:
    """Of each class how many rows have it, should not, and should and do not."""
    each = gains.y.sum(0), gains.wrong_of_class, gains.missing_of_class
    columns = zip(names, *(numbers.tolist() for numbers in each), strict=True)
    classes = [{"label": name, "given": has, "wrong": w, "missing": m} for name, has, w, m in columns]
    return sorted(classes, key=lambda one: -(one["wrong"] + one["missing"]))


def ranges(gains: Gains, now: Current) -> list[dict[str, Any]]:
    names, rows = now.names, now.rows
    return [
        {"label": names[one.label], "has": one.given, "rows": rows[one.rows].tolist(), "right": one.gain}
        for one in gains.ranges()
    ]
