"""Audit: which labels of a run's training rows look wrong, ranked, with the probability and the reason in words.

The posterior of `crossbit.posterior` is computed from what the run saw, whatever its method, and compared with the
labels that the rows were given; docs/audit.md says how to read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossbit.audit.entries import SuspectRow, rank
from crossbit.audit.judged import Judged
from crossbit.audit.kept import kept_posterior
from crossbit.audit.lists import WORTH
from crossbit.audit.seen import Seen, read_seen
from crossbit.audit.sheet import build_sheet
from crossbit.audit.table import COLUMNS, as_rows, write_csv, write_parquet
from crossbit.audit.weighed import weighed
from crossbit.data.types import PairedData
from crossbit.posterior import Posterior, estimate_posterior, labelled_alike
from crossbit.posterior.words import in_words, noise_kind, wrong_shares
from crossbit.storage.files import writing

__all__ = ["COLUMNS", "Audit", "ClassShare", "SuspectRow", "audit_run"]


@dataclass(frozen=True)
class ClassShare:
    """How many labels of a class look wrong.

    Attributes:
        label: the class.
        modality: whose labels are counted, where each modality has its own; else None.
        given: rows that have the label.
        wrong: the share of these that probably should not; None for a label that nobody has.
        missing: the expected number of labelled rows that should have it and do not.
    """

    label: str
    modality: str | None
    given: int
    wrong: float | None
    missing: float


@dataclass(frozen=True)
class Audit:
    """What looks wrong about the labels of a run.

    Attributes:
        run, data, method: what was audited.
        labelled: training rows that have labels.
        rate: estimated share of labelled rows whose labels are wrong.
        kind: of noise that is most frequent, or "none".
        wrong_pairs: estimated share of rows whose modalities do not belong together.
        words: the same, as lines for the reader.
        classes: of every class how many labels look wrong, the largest share first.
        entries: all labelled rows, the strongest evidence first and near-duplicates together; then rows without labels
            whose pair looks wrong.
        fingerprint: of the data.
        single: whether every labelled row has one label.
        seen: what the run saw.
    """

    run: str
    data: str
    method: str
    labelled: int
    rate: float
    kind: str
    wrong_pairs: float
    words: list[str]
    classes: list[ClassShare]
    entries: list[SuspectRow]
    fingerprint: str
    single: bool
    seen: Seen

    def __repr__(self) -> str:
        return f"Audit({self.run!r}, {self.labelled:,} labelled rows, {len(self.suspects):,} worth a look)"

    @property
    def suspects(self) -> list[SuspectRow]:
        """Entries whose labels are worth a look, ranked."""
        return [entry for entry in self.entries if entry.suspect]

    @property
    def families(self) -> list[list[SuspectRow]]:
        """The suspects, those that show the same thing together."""
        held: dict[int, list[SuspectRow]] = {}
        for entry in self.suspects:
            held.setdefault(entry.family, []).append(entry)
        return list(held.values())

    def of_class(self, one: ClassShare) -> list[SuspectRow]:
        """Suspects that probably have a class wrongly, or lack it."""
        of = (entry for entry in self.suspects if one.modality in (None, entry.modality))
        return [entry for entry in of if one.label in {name for name, _ in (*entry.wrong, *entry.missing)}]

    @property
    def pairs(self) -> list[SuspectRow]:
        """Rows whose pair is worth a look, the likeliest wrong first; each row once."""
        worth = {entry.row: entry for entry in reversed(self.entries) if entry.wrong_pair >= WORTH}
        return sorted(worth.values(), key=lambda entry: (-entry.wrong_pair, entry.row))

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Small JSON values; of suspects and pairs the first `top`, or all."""
        told = {name: getattr(self, name) for name in ("run", "data", "method", "labelled", "rate", "kind")}
        told |= {"wrong_pairs": self.wrong_pairs, "words": self.words, "classes": [vars(one) for one in self.classes]}
        told |= {"suspects_in_all": len(self.suspects), "pairs_in_all": len(self.pairs)}
        return {**told, "suspects": as_rows(self.suspects[:top]), "pairs": as_rows(self.pairs[:top])}

    def write_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write all entries as Parquet, a row each, over what was there; `COLUMNS` are its columns."""
        write_parquet(Path(path), as_rows(self.entries))

    def write_html(self, path: str | os.PathLike[str], top: int | None = None) -> None:
        """Write a sheet of the first `top` suspects (200 if None) with their pictures, to decide about in a browser."""
        with writing(path) as temporary:
            temporary.write_text(build_sheet(self, top), encoding="utf-8")

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all entries as CSV, with the same columns."""
        write_csv(Path(path), as_rows(self.entries))


def audit_run(
    run: str | os.PathLike[str],
    data: str | os.PathLike[str] | PairedData | None = None,
    *,
    progress: Callable[[str], Any] = lambda line: None,
) -> Audit:
    """Rank the labels of a run's training rows by the probability that they are wrong.

    Any method's run will do: the posterior is computed from the data, the labels that training saw, and the run's
    features, unless the run has kept just that. Rows that the run cut out for validation are training rows, too.

    Args:
        run: a run folder.
        data: what it was trained on, or its name or path; None finds it under the name that the run has kept.
        progress: called with a line now and then.

    Returns:
        The audit; nothing is written.

    Raises:
        UserError: no run folder, or an unfinished one; data that are not there, are others than the run's, or have no
            labels.

    >>> import tempfile
    >>> from crossbit.training import train
    >>> label = np.arange(60) % 2
    >>> given = np.where(np.arange(60) == 20, 1 - label, label)  # row 20 has the wrong one
    >>> x = np.eye(2, dtype=np.float32)[label] + np.sin(np.arange(120, dtype=np.float32)).reshape(60, 2) / 10
    >>> rows = {"query": np.arange(8), "train": np.arange(8, 60), "retrieval": np.arange(8, 60)}
    >>> data = PairedData("toy", {"image": x, "text": x}, label, rows, observed_label=given)
    >>> run = Path(tempfile.mkdtemp()) / "run"
    >>> _ = train(data, method="random", bits=8, out=run, progress=False)
    >>> first = audit_run(run, data).entries[0]
    >>> first.row, first.observed, first.suggested, first.reason
    (20, ['1'], ['0'], 'given `1`; of its 10 nearest by image 0 have it, 10 have `0`; by text 0 and 10')
    """
    seen = read_seen(run, data, progress)
    labelled = seen.view.observed().any(1)
    progress(f"estimating the labels of {int(labelled.sum()):,} rows from one another")
    posterior, alike = judge(seen)
    progress("asking the neighbours of what looks wrong")
    judged = weighed(Judged(seen, posterior, alike))
    posterior = judged.posterior
    entries = rank(judged)
    observed = seen.view.observed()
    return Audit(
        run=str(seen.folder),
        data=seen.data.name,
        method=seen.model.method,
        labelled=int(labelled.sum()),
        rate=posterior.rate,
        kind=noise_kind(posterior),
        wrong_pairs=posterior.wrong_pairs,
        words=in_words(posterior, observed, seen.names),
        classes=_classes(judged),
        entries=entries,
        fingerprint=seen.fingerprint,
        single=posterior.single,
        seen=seen,
    )


def judge(seen: Seen) -> tuple[Posterior, np.ndarray | None]:
    """The posterior of the rows that a run saw, and the groups (n,) whose rows it left out together, if it did."""
    view = seen.view
    groups = None if view.groups is None else torch.from_numpy(view.groups)
    posterior = kept_posterior(seen)
    if posterior is None:
        posterior = estimate_posterior(view.features, view.labels, seed=view.random_seed(1), groups=groups)
    observed = view.observed()
    labelled = observed.any(1)
    together = groups is not None and labelled_alike(observed[labelled], groups[labelled])
    return posterior, view.groups if together else None


def _classes(judged: Judged) -> list[ClassShare]:
    found = []
    for modality, (observed, _) in judged.witnesses.items():
        wrong, missing = wrong_shares(judged.posterior.labels, torch.from_numpy(observed))
        given = observed.sum(0)
        for c, name in enumerate(judged.seen.names):
            share = None if given[c] == 0 else wrong[c].item()
            found.append(ClassShare(name, modality, int(given[c]), share, missing[c].item()))
    return sorted(found, key=lambda one: -1.0 if one.wrong is None else one.wrong, reverse=True)
