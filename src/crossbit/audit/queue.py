"""The queue: a person decides about labels one after another, and each decision counts at once.

Rows come in the order of what a decision is expected to mend (`crossbit.audit.gains`). Labels that were decided about
enter the posterior in closed form (`Posterior.relabel`), always from what the run saw, so that the same decisions give
the same queue, whoever made them and however often the program was ended in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crossbit.audit.acts import KINDS, Act, Decision
from crossbit.audit.choices import Choice
from crossbit.audit.current import Current
from crossbit.audit.decisions import check_labels_file, decided_labels, ending_of, write_table
from crossbit.audit.gains import SURE, Gains
from crossbit.audit.judged import Judged
from crossbit.audit.likely import Likely, source_of
from crossbit.audit.lists import Lists, believe
from crossbit.audit.log import DecisionLog
from crossbit.audit.opening import Steps, judge_to_keep, keep
from crossbit.audit.seen import read_seen
from crossbit.audit.sheet import pictures_of
from crossbit.audit.shown import class_rows, classes, queue_rows, ranges
from crossbit.audit.weighed import weighed
from crossbit.data.relabelled import label_matrix
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.posterior.words import in_words
from crossbit.runs.folder import RunFolder

ORDERS = ("gain", "evidence")
RANGES = 100  # shown, at most
READY = 200  # rows whose neighbours are found before the first look


class AuditQueue:
    """Suspect labels of a run, ordered by what deciding mends; decisions are kept in `RUN/decisions.jsonl`.

    It is for one thread at a time; several processes may hold the queue of one run.

    Attributes:
        seen: what the run saw, its labelled training rows.
        log: the decisions.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from crossbit.training import train
    >>> label = np.arange(60) % 2
    >>> given = np.where(np.arange(60) == 20, 1 - label, label)  # row 20 has the wrong one
    >>> x = np.eye(2, dtype=np.float32)[label] + np.sin(np.arange(120, dtype=np.float32)).reshape(60, 2) / 10
    >>> rows = {"query": np.arange(8), "train": np.arange(8, 60), "retrieval": np.arange(8, 60)}
    >>> data = PairedData("toy", {"image": x, "text": x}, label, rows, observed_label=given)
    >>> run = Path(tempfile.mkdtemp()) / "run"
    >>> _ = train(data, method="random", bits=8, out=run, progress=False)
    >>> queue = AuditQueue.open(run, data)
    >>> first = queue.view(top=1)["queue"][0]
    >>> first["row"], first["given"], first["proposed"]
    (20, ['1'], ['0'])
    >>> queue.decide([Choice(20, "accept")])
    >>> queue.view()["queue"], AuditQueue.open(run, data).decided
    ([], 1)
    """

    def __init__(self, judged: Judged, log: DecisionLog, key: str | None = None) -> None:
        self.seen, self.log, self._key = judged.seen, log, key
        self._first = judged
        self._current = Current(judged.seen, judged.posterior.single)
        posterior = judged.posterior
        self._source = source_of(posterior)
        self._lists = None if posterior.single else Lists(self._current.given, judged.family)
        self._noise = next(iter(posterior.noise.values()))
        self._words = in_words(weighed(judged).posterior, self.seen.view.observed(), self.seen.names)
        self._picture = pictures_of(judged.seen)
        self._replay()

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str],
        data: str | os.PathLike[str] | PairedData | None = None,
        *,
        progress: Callable[[str], Any] = lambda line: None,
    ) -> AuditQueue:
        """The queue of a run, with what was decided before; it takes seconds for 5,000 rows.

        Args:
            run: a run folder.
            data: what it was trained on, or its name or path; None finds it under the name that the run has kept.
            progress: called with a line before each step, such as "step 2 of 6: ...", and with a note where a decision
                was half written.

        Raises:
            UserError: as `audit_run`; modalities that have labels of their own; too few labelled rows; decisions that
                are about other data.
        """
        step = Steps(progress)
        step("reading the run and its data")
        seen = read_seen(run, data, step, labelled=True)
        label_matrix(seen.data)  # refuses labels of each modality
        judged, key = judge_to_keep(seen, step)
        log = DecisionLog(RunFolder(seen.folder).decisions_file, progress)
        step("asking the neighbours of what looks wrong")
        queue = cls(judged, log, key)
        queue.view(READY)
        return queue

    def keep(self) -> None:
        """Keep what opening took long for in `RUN/audit.cache`, so that the next one takes a fraction of the time.

        It takes 8 bytes for each labelled row and each other one (above 10,000, for each row and each of 2,000) and for
        each row and class, and may be removed at any time. Nothing is said where it cannot be written.
        """
        if self._key is not None:
            keep(self._first, self._key)
            self._key = None

    # --- what a person sees -------------------------------------------------------------------------------------------

    def view(self, top: int = 50, label: str | None = None, order: str = "gain") -> dict[str, Any]:
        """Small JSON values: how far the work is, the classes, and the first rows.

        Args:
            top: how many rows.
            label: all rows that have this label or may have it, in place of the queue.
            order: of the queue, by "gain" or by "evidence".

        Raises:
            UserError: `top` below 0; an unknown label or order.
        """
        if top < 0:
            raise UserError(f"top is {top}; it must be at least 0")
        if order not in ORDERS:
            raise unknown("order", order, ORDERS)
        self._catch_up()
        number = None if label is None else self._current.number(label)
        held = self._judged, self._gains, self._current
        if number is None:
            positions = self._gains.ranked(order)
            shown = queue_rows(*held, positions[:top])
        else:
            positions, doubt = self._gains.of_class(number)
            shown = class_rows(*held, positions[:top], doubt[:top], number)
        told = {"run": str(self.seen.folder), "words": self._words, "rate": float(self._gains.corrupted.mean())}
        told |= {"wrong_left": self.wrong_left, "decided": self.decided, "settled": int(self._settled.sum())}
        told |= {"rows": len(self._settled), "can_undo": self.decided > 0, "single": self._current.asked.single}
        told |= {
            "names": self.seen.names,
            "new": self._current.new_names,
            "classes": classes(self._gains, self.seen.names),
        }
        told |= {"ranges": ranges(self._gains, self._current)[:RANGES]}
        return told | {"trust": self._trust(), "queue": shown, "in_all": len(positions)}

    def row(self, row: int) -> dict[str, Any]:
        """All that is said of one row, as of one of the queue; UserError where it is no labelled training row."""
        self._catch_up()
        return queue_rows(self._judged, self._gains, self._current, np.array([self._current.position(row)]))[0]

    def judges(self, row: int) -> bool:
        """Whether it is a labelled training row."""
        return self._current.has(row)

    @property
    def has_pictures(self) -> bool:
        """Whether the rows have pictures."""
        return self._picture is not None

    def picture(self, row: int) -> Any:
        """A row's picture as `read_picture` takes it; None where the data have none.

        Raises:
            UserError: it is no labelled training row.
        """
        self._current.position(row)
        return None if self._picture is None else self._picture(row)

    @property
    def wrong_left(self) -> float:
        """Expected number of wrong labels that nobody has decided about."""
        return float(self._gains.wrong.sum())

    @property
    def decided(self) -> int:
        """How many decisions hold; one about a range is one."""
        return len(self.log.acts)

    # --- what a person does -------------------------------------------------------------------------------------------

    def decide(self, choices: Sequence[Choice]) -> None:
        """Decide about one row, or about several at once; when it returns the decision is on the disk.

        Raises:
            UserError: nothing to decide; a row named twice, or that is no labelled training row; an unknown label; a
                row that would have no label, or several where rows have one; the log cannot be written.
        """
        with self.log.alone():
            self._catch_up()
            act = Act("", self.seen.fingerprint, self._decisions(choices))
            self.log.append(act)
            self._current.take(act.decisions)
        self._rank()

    def undo(self, version: int | None = None) -> None:
        """Take back the last decision; of a range all of it.

        Args:
            version: of the view that the person saw; None: whatever it is.

        Raises:
            UserError: there is none; it is not the last that the person saw.
        """
        with self.log.alone():
            if version is not None and version != self.log.size:
                raise UserError("somebody else has decided meanwhile; look at what holds now, then undo again")
            if not self.log.acts:
                raise UserError("there is no decision to undo")
            self.log.append(None)
        self._replay()

    @property
    def ending(self) -> str:
        """The ending of the file that `export` writes, such as ".csv"."""
        return ending_of(self.seen.data)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write the labels of now, as `crossbit audit --apply` does, to a new file; returns how many rows differ from
        what the run saw.

        Raises:
            UserError: something is there, it has another ending than the data's table, or it cannot be written.
        """
        self._catch_up()
        target = check_labels_file(self.seen.data, path)
        asked = self._current.asked
        decisions = [decision for act in asked.checked(self.log.acts) for decision in act]
        labels, kinds = decided_labels(self.seen.data, decisions), {one.row: one.kind for one in decisions}
        write_table(self.seen.data, asked.observed | labels, asked.observed, kinds, target)
        return sum(set(names) != set(asked.observed[row]) for row, names in labels.items() if row in asked.observed)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take in what another process has decided."""
        if self.log.has_grown() or self.log.acts is not self._known:
            with self.log.alone():
                pass
            self._replay()

    def _replay(self) -> None:
        self._current.begin()
        for decisions in self._current.asked.checked(self.log.acts):
            self._current.take(decisions)
        self._rank()

    def _rank(self) -> None:
        """Judge all rows by the labels of now."""
        self._known, source = self.log.acts, self._source
        y, settled = self._current.labels.copy(), self._current.settled.copy()
        source.relabel(y)
        corrupted, evidence, belief = source.corrupted.copy(), source.evidence, None
        if self._lists is not None:
            belief = believe(self._lists, y, source.of_rows, corrupted, evidence, self._noise)
            corrupted, evidence = belief.corrupted.copy(), belief.evidence
        likely = Likely(source, y, settled, belief)
        self._judged = self._first.moved(likely, y, evidence)
        self._gains = Gains(likely, y, settled, corrupted, evidence, self._first.family, self._first.posterior.single)

    @property
    def _settled(self) -> np.ndarray:
        return np.asarray(self._current.settled.any(1))

    def _decisions(self, choices: Sequence[Choice]) -> list[Decision]:
        rows = [choice.row for choice in choices]
        if not rows:
            raise UserError("nothing to decide: name at least one row")
        if twice := {row for row in rows if rows.count(row) > 1}:
            raise UserError(f"row {min(twice)} is named twice in one decision; name it once")
        return [self._decision(choice) for choice in choices]

    def _decision(self, choice: Choice) -> Decision:
        now, gains = self._current, self._gains
        if choice.kind not in KINDS:
            raise unknown("kind of decision", choice.kind, KINDS)
        position = now.position(choice.row)
        about = None if choice.about is None else now.number(choice.about)
        settled = now.settled[position]
        choice.check_still(now.named(position), bool(settled.all() if about is None else settled[about]))
        y = gains.proposed(np.array([position]))[0] if choice.kind == "accept" else now.labels[position]
        if choice.kind == "accept" and about is not None:
            y = self._about(position, about)
        labels = list(dict.fromkeys(choice.labels)) if choice.kind == "other" else now.named(position, y)
        choice.check_seen(labels)
        if not labels:
            raise UserError(f"row {choice.row} would have no label; give it others")
        p = gains.corrupted[position] if about is None else gains.doubt(np.array([position]))[0, about]
        observed = now.asked.observed[choice.row]
        known = {*choice.new, *now.new_names}
        new = [name for name in labels if name in known and name not in self.seen.names]
        made = Decision(choice.row, choice.kind, labels, observed, choice.about, float(p), new)
        now.asked.check_labels(made)
        return made

    def _about(self, position: int, label: int) -> np.ndarray:
        """The labels (c,) of a row after what is proposed about one label alone."""
        y = self._current.labels[position].copy()
        if self._gains.single:
            own = np.zeros_like(y)
            own[label] = True
            return self._gains.proposed(np.array([position]))[0] if y[label] else own
        y[label] = self._gains.likely[np.array([position])][0, label] > 0.5
        return y

    def _trust(self) -> dict[str, Any]:
        """Of the proposals that were sure how many were asked about, and how many accepted."""
        sure = [d for act in self.log.acts for d in act.decisions if d.p is not None and d.p >= SURE]
        return {"above": SURE, "asked": len(sure), "right": sum(d.kind == "accept" for d in sure)}
