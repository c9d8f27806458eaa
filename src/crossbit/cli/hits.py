"""What a search found, for a person: a line for each hit, as wide as the terminal, and where its picture is."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crossbit.cli.output import fitted, printable, say
from crossbit.storage.lines import shown as name_in_line

if TYPE_CHECKING:
    from crossbit.search.results import SearchHit

WIDE, LONG = 100, 7  # columns from which long ids stand in a column, and cosines beside them; digits of a long id


def say_hits(modality: str, hits: Sequence[SearchHit], by: str | None = None) -> None:
    """How the hits of a modality were found, and a line for each; `by` is what was asked for."""
    if not hits:
        return say(f"nothing found in the {modality} index")
    ways = Counter(" and ".join(sorted(hit.by, key=lambda way: way != "codes")) for hit in hits)
    found = ", ".join(f"{count} by {way}" for way, count in ways.items())
    say(f"{modality}: {found}{_order(hits, by)}")
    columns = shutil.get_terminal_size((80, 24)).columns
    shown = _shown(hits, columns)
    widths = {name: max(len(name), *(len(name_of(hit)) for hit in hits)) for name, name_of in shown.items()}
    say("  ".join(["rank", *(f"{name:>{wide}}" for name, wide in widths.items()), "by"]))
    for rank, hit in enumerate(hits, start=1):
        start = "  ".join([f"{rank:4}", *(f"{shown[name](hit):>{wide}}" for name, wide in widths.items())])
        start += f"  {_way(hit):8}  "
        say(fitted(start + _about(hit, columns - len(start))))
        path = name_in_line(str(hit.item.get("path") or ""))
        below = [*([] if "id" in shown else [f"id {hit.id}"]), *([path] if path else [])]
        if below:
            say("      " + "  ".join(below))  # never cut: it is what was looked for, and what --item takes
    return None


def _order(hits: Sequence[SearchHit], by: str | None) -> str:
    """What put them in order, where not Hamming distance did."""
    if any(hit.picture_cosine is not None for hit in hits):
        return f"; in the order of {'the' if by == 'pictures' else 'the mean of text and'} picture cosine"
    if by == "words":
        return "; in the order of words that match"
    near = "cosine" if any(hit.cosine is not None for hit in hits) else "Hamming distance"
    if by != "codes" and any("words" in hit.by for hit in hits):
        return f"; in the order of words that match and {near} together"
    return "; codes are re-ranked by cosine of the embeddings" if near == "cosine" else ""


def _shown(hits: Sequence[SearchHit], columns: int) -> dict[str, Callable[[SearchHit], str]]:
    """What stands before a hit's caption: cosines, and ids that are long, only where the terminal is wide. In a narrow
    one a long id stands below, before the path."""
    shown: dict[str, Callable[[SearchHit], str]] = {"id": lambda hit: str(hit.id)}
    shown["dist"] = lambda hit: "-" if hit.distance is None else str(hit.distance)
    shown["cosine"] = lambda hit: _number(hit.cosine)
    if any(hit.picture_cosine is not None for hit in hits):
        del shown["cosine"]
        shown |= {"text": lambda hit: _number(hit.cosine), "picture": lambda hit: _number(hit.picture_cosine)}
    if columns < WIDE and max(len(str(hit.id)) for hit in hits) > LONG:
        return {"dist": shown["dist"]}
    return shown


def _number(cosine: float | None) -> str:
    return "-" if cosine is None else f"{cosine:.3f}"


def _way(hit: SearchHit) -> str:
    return hit.by[0] if len(hit.by) == 1 else "both"


def _about(hit: SearchHit, room: int) -> str:
    """A hit's caption, cut so that labels and what it shares with the query have two fifths of the room."""
    from rich.cells import cell_len, set_cell_size

    from crossbit.search.results import labels_of

    labels = labels_of(hit.item)
    said = [f"+{hit.more} more" if hit.more else "", f"= {', '.join(hit.why)}" if hit.why else ""]
    said += [f"[{', '.join(map(str, labels))}]"] if labels else []
    rest = "  ".join(each for each in said if each)
    caption = printable(str(hit.item.get("caption") or ""))
    most = max(3 * room // 5, room - cell_len(rest) - 2)
    if cell_len(caption) > most > 3:
        caption = set_cell_size(caption, most - 3) + "..."
    return "  ".join(each for each in (caption, rest) if each)
