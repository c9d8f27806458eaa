"""Progress of a bench on standard error: in a terminal a bar, elsewhere a line for each run."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crossbit.bench.work.store import DONE, Result


class BenchProgress:
    """Tells of each finished run, how many there are and about how long the others take; a context manager.

    Args:
        total: number of runs to do.
        guess: about how many seconds they take; None if nothing is known.
    """

    def __init__(self, total: int, guess: float | None) -> None:
        self.total = total
        self.console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("runs", total=total, left="" if guess is None else f"about {in_words(guess)}")

    def __enter__(self) -> BenchProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def tell(self, result: Result, left: int, seconds: float) -> None:
        """A run is over; `left` are to come and will take about so many seconds."""
        more = f"about {in_words(seconds)} left" if left and seconds else ""
        self.console.print(f"{self.total - left}/{self.total}  {result.id}  {outcome(result)}  {more}".rstrip())
        self.bar.update(self.task, completed=self.total - left, left=more)


def outcome(result: Result) -> str:
    """How a run ended, in a few words: its mAP by direction and its seconds, or why it failed."""
    if result.status != DONE:
        return f"failed: {result.reason}"
    first = result.figures[0]
    same = [f for f in result.figures if (f["database"], f["measure"]) == (first["database"], first["measure"])]
    values = "  ".join(f"{figure['direction']} {figure['value']:.4f}" for figure in same)
    return f"mAP {values}  {in_words(sum(result.seconds[part] for part in ('train', 'encode', 'search', 'evaluate')))}"


def in_words(seconds: float) -> str:
    """A time for people.

    >>> in_words(42.3), in_words(600), in_words(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
