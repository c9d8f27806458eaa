"""Compaction: all embeddings of an index in one file, without those of codes that are gone."""

from __future__ import annotations

from contextlib import suppress

from crossbit.index.segments import Segments
from crossbit.index.statements import in_segment
from crossbit.index.stored import Stored

MOST_FILES = 64  # of embeddings, from which it is worth it: each is held open by whoever searches
MOVE = "UPDATE items SET _segment = given._segment, _row = given._row FROM given WHERE items.id = given.id"


def dead_rows(stored: Stored) -> int:
    """How many embeddings are those of codes that were replaced or removed."""
    held, named = stored.content()
    return sum(named.values()) - int((held.places >= 0).sum())


def is_worth_it(stored: Stored) -> bool:
    """Whether most embeddings are of codes that are gone, or they are in many files."""
    named = stored.content()[1]
    return len(named) > MOST_FILES or 2 * dead_rows(stored) > sum(named.values())


def compact(stored: Stored, segments: Segments) -> int:
    """See `LocalIndex.compact`; the file's `writing` is held."""
    held, named = stored.content()
    dead, living = dead_rows(stored), held.places >= 0
    if len(named) < 2 and not dead:
        return 0
    for number in named:  # who has found places already reads them there, though the files will be gone
        segments.rows(number)
    number, n = segments.free(named), int(living.sum())
    statements, values = ["DELETE FROM segments"], {"id": held.ids[living]}
    if n:
        segments.gather(held.places[living], number)
        columns, naming = in_segment(number, n)
        values |= columns
        statements += [MOVE, naming]
    with stored.change(values, statements):
        stored.forget()  # the codes in memory have the places of before
    with suppress(OSError):  # a system that removes no file that is open: the next that writes removes it
        segments.remove_all_but([number])
    return dead
