"""Progress on standard error: in a terminal a bar with loss and time left, elsewhere a line now and then."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SHOWN_AFTER = 1.0  # seconds that work takes before a bar shows it
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


class WorkProgress:
    """Shows how far the rows' features are, once that takes a while; a context manager that is called with progress.

    Args:
        shown: False keeps it silent.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self.console = Console(stderr=True, quiet=not shown)
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not shown or not self.console.is_terminal,
        )
        self.work, self.started, self.last_line = "", 0.0, 0.0
        self.done = self.first = 0
        self.task = TaskID(0)

    def __enter__(self) -> WorkProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, work: str, done: int, of: int) -> None:
        """`done` of `of` rows have their features of that name."""
        now = time.monotonic()
        if work != self.work or done < self.done:
            self.work, self.started, self.last_line, self.first = work, now, now, done
            for task in self.bar.task_ids:
                self.bar.remove_task(task)
            self.task = self.bar.add_task(f"features {work}", total=of, completed=done)
        self.done = done
        self.bar.update(self.task, completed=done)
        if now - self.started > SHOWN_AFTER:
            self.bar.start()
        if not self.console.is_terminal and now - self.last_line > LINE_EVERY:
            self.last_line = now
            left = (now - self.started) / max(1, done - self.first) * (of - done)
            self.console.print(f"features {work} {done:,}/{of:,}  {left:.0f} s left", highlight=False)
