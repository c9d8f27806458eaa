"""What a person is shown of a queue, as small JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from crossbit.audit.current import Current
from crossbit.audit.entries import entries_of
from crossbit.audit.gains import Gains
from crossbit.audit.judged import Judged
from crossbit.posterior.words import wrong_shares


def queue_rows(judged: Judged, gains: Gains, now: Current, positions: np.ndarray) -> list[dict[str, Any]]:
    """All that is said of these rows."""
    entries = entries_of(judged, None, now.labels, gains.corrupted, positions)
    names = ("row", "caption", "path", "reason", "wrong", "missing")
    found = []
    for position, entry in zip(positions, entries, strict=True):
        told = {name: getattr(entry, name) for name in names}
        told |= {"given": entry.observed, "proposed": now.text(gains.proposed[position]), "p": entry.probability}
        alike = [int(now.rows[other]) for other in gains.alike(position)]
        told |= {"gain": float(gains.gain[position]), "family": len(alike), "alike": alike}
        found.append(told | {"neighbours": [vars(one) for one in entry.neighbours]})
    return found


def class_rows(judged: Judged, gains: Gains, now: Current, positions: np.ndarray, label: int) -> list[dict[str, Any]]:
    """What is said of rows that are looked at for one label."""
    found = []
    for position in positions:
        item, doubt = judged.item(position), float(gains.doubt[position, label])
        told = {"row": int(now.rows[position]), **item, "given": now.text(now.labels[position])}
        told |= {"proposed": now.text(gains.proposed[position]), "has": bool(now.labels[position, label])}
        told |= {"p": doubt, "settled": bool(gains.settled[position, label])}
        found.append(told | {"alone": bool(now.labels[position].sum() == 1 and not gains.single)})
    return found


def classes(gains: Gains, names: list[str]) -> list[dict[str, Any]]:
    """Of each class how many rows have it, should not, and should and do not."""
    y, p = (torch.from_numpy(np.asarray(each, np.float64)) for each in (gains.y, gains.p))
    share, missing = wrong_shares(p, y)
    given = y.sum(0)
    wrong = (share * given).nan_to_num()
    columns = zip(names, given.tolist(), wrong.tolist(), missing.tolist(), strict=True)
    classes = [{"label": name, "given": int(has), "wrong": w, "missing": m} for name, has, w, m in columns]
    return sorted(classes, key=lambda one: -(one["wrong"] + one["missing"]))


def ranges(gains: Gains, now: Current) -> list[dict[str, Any]]:
    names, rows = now.names, now.rows
    return [
        {"label": names[one.label], "has": one.given, "rows": rows[one.rows].tolist(), "right": one.gain}
        for one in gains.ranges()
    ]
