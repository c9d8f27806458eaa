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
        labels: these others; of "accept" those that the person saw proposed, or none where that is not told.
        about: one label alone: "accept" and "keep" leave its other labels open. None: all of them.
    """

    row: int
    kind: str
    labels: Sequence[str] = ()
    about: str | None = None

    def check_seen(self, proposed: Sequence[str]) -> None:
        """Refuse to accept what the person did not see: another decision may have changed the proposal.

        Raises:
            UserError: other labels are proposed by now.
        """
        if self.kind == "accept" and self.labels and set(self.labels) != set(proposed):
            saw, has = ", ".join(self.labels), ", ".join(proposed)
            raise UserError(f"row {self.row} is proposed as {has} by now, no longer as {saw}; look at it again")
