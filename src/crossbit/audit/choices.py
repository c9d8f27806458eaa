"""What a person says about a row of the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossbit.errors import UserError


@dataclass(frozen=True)
class Choice:
    """What a person says about a row.

    Attributes:
        row: its number in the data.
        kind: "accept" what is proposed, "keep" what it has, or "other" labels.
        labels: these others; of "accept" those that the person saw proposed, and of "keep" those that the row had, or
            none where that is not told.
        about: one label alone: "accept" and "keep" leave its other labels open. None: all of them.
        saw: the labels that the row had when the person saw it, and whether it was decided (the label that the choice
            is about, or all of them); None where that is not told.
        new: those of the labels that the data do not have, and that are meant to be new.
    """

    row: int
    kind: str
    labels: Sequence[str] = ()
    about: str | None = None
    new: Sequence[str] = ()
    saw: tuple[Sequence[str], bool] | None = None

    def check_still(self, labels: Sequence[str], settled: bool) -> None:
        """Refuse a choice about a row that has changed since the person saw it.

        Args:
            labels: that the row has by now.
            settled: whether it is decided by now.

        Raises:
            UserError: it had others, or was not decided.
        """
        if self.saw is None or (set(self.saw[0]) == set(labels) and self.saw[1] == settled):
            return
        what = "it is" if self.about is None else f"'{self.about}' is"
        has = f"has {', '.join(labels)} by now" + (f", and {what} decided" if settled else "")
        raise UserError(f"row {self.row} {has}: somebody else decided meanwhile; nothing was kept, look at it again")

    def check_seen(self, labels: Sequence[str]) -> None:
        """Refuse to accept or keep what the person did not see: other decisions may have moved it meanwhile.

        Args:
            labels: that are proposed by now, or that the row has.

        Raises:
            UserError: others were seen.
        """
        if self.kind != "other" and self.labels and set(self.labels) != set(labels):
            now, what = ", ".join(labels), "is proposed as" if self.kind == "accept" else "has"
            moved = "other decisions have moved it meanwhile; nothing was kept, look at it again"
            raise UserError(f"row {self.row} {what} {now} by now: {moved}")
