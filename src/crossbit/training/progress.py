"""Progress on standard error: in a terminal a bar with loss and time left, elsewhere a line now and then."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 10.0  # seconds between lines where standard error is no terminal


class EpochProgress:
    """Shows how far a training is; a context manager.

    Args:
        total: number of epochs.
        done: epochs that were finished before (a resumed run).
        shown: False keeps it silent.
    """

    def __init__(self, total: int, *, done: int = 0, shown: bool = True) -> None:
        self.total, self.done, self.first = total, done, done
        self.console = Console(stderr=True, quiet=not shown)
        self.started = self.last_line = time.monotonic()
        self.ticked = False
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not shown or not self.console.is_terminal,
        )
        self.task = self.bar.add_task(f"epoch {done + 1}/{total}", total=total, completed=done, note="")

    def __enter__(self) -> EpochProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def tick(self, share: float) -> None:
        """A share of the current epoch's pass is done.

        The time left is reckoned from the first one: what a method does once, before its first step, is no epoch's.
        """
        if not self.ticked:
            self.ticked, self.started = True, time.monotonic()
        self.bar.update(self.task, completed=self.done + min(share, 0.999))

    def epoch_done(self, note: str) -> None:
        """An epoch is finished; `note` says the loss."""
        self.done += 1
        ahead = min(self.done + 1, self.total)
        self.bar.update(self.task, completed=self.done, description=f"epoch {ahead}/{self.total}", note=note)
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.last_line > LINE_EVERY or self.done == self.total):
            self.last_line = now
            left = (now - self.started) / (self.done - self.first) * (self.total - self.done)
            self.console.print(f"epoch {self.done}/{self.total}  {note}  {left:.0f} s left", highlight=False)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
