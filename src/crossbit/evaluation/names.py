"""Measures read from their names: `mAP@50(cutoff=topk, ties=index, empty=skip)`, or `mAP@50` for the defaults."""

from __future__ import annotations

import difflib
import re
from dataclasses import fields
from typing import Any

from crossbit.errors import UserError, unknown
from crossbit.evaluation import measures as _fill  # noqa: F401  # fills MEASURES
from crossbit.evaluation.measure import MEASURES, Measure

_NAME = re.compile(r"(?P<name>[^@()]*@[^\d()]*?)(?P<cut>\d+|all)(?P<options>\(.*\))?", re.IGNORECASE)
_USUAL = {"P@radius": "2"}  # the cut to suggest where none was given; else all, or 10


def parse_measure(text: str) -> Measure:
    """The measure of a name; `str` of it is the whole name, which parses back.

    A name is what is measured, `@`, where the ranking is cut (a number, or `all`), and in brackets the choices that
    differ from the defaults, in any order; spaces are optional.

    Raises:
        UserError: an unknown name, option or choice, with the nearest known one; a cut that makes no sense.

    >>> str(parse_measure("mAP@all"))
    'mAP@all(ties=expected, empty=skip)'
    >>> str(parse_measure("hit@1(correct=pair)"))
    'hit@1(correct=pair, ties=expected, empty=zero)'
    >>> parse_measure("ndgc@50")
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown measure 'ndgc@50'; did you mean 'NDCG@50'? known: ...
    """
    compact = re.sub(r"\s+", "", str(text))
    if compact.count("(") > compact.count(")"):
        given = str(text).strip()
        raise UserError(f"measure {given!r}: its bracket is not closed; such as mAP@50(cutoff=topk, ties=index)")
    match = _NAME.fullmatch(compact)
    if match is None or match["name"] not in MEASURES:
        raise _unknown(str(text).strip(), match)
    kind = MEASURES[match["name"]]
    chosen = _options(compact, match["options"] or "()")
    known = [option.name for option in fields(kind) if option.name != "k"]
    for name in chosen:
        if name not in known:
            raise unknown(f"option of {kind.name}K", name, known)
    try:
        return kind(None if match["cut"].lower() == "all" else int(match["cut"]), **chosen)
    except UserError as error:
        raise UserError(f"{compact}: {error}") from error


def known_measures() -> list[str]:
    """How the names of all measures begin, and what stands for their cut.

    >>> known_measures()
    ['NDCG@K', 'NDCG@all', 'P@K', 'P@radiusK', 'hit@K', 'mAP@K', 'mAP@all', 'recall@K']
    """
    return sorted(f"{name}{cut}" for name, kind in MEASURES.items() for cut in ("K", "all")[: 1 + kind.whole])


def _options(text: str, told: str) -> dict[str, Any]:
    """The choices between the brackets."""
    chosen: dict[str, Any] = {}
    for part in told[1:-1].split(",") if told != "()" else ():
        name, equals, choice = part.partition("=")
        if not (name and equals and choice) or name in chosen:
            raise UserError(f"{text!r}: {part!r} is not one OPTION=CHOICE, such as mAP@50(cutoff=topk, ties=index)")
        chosen[name] = choice
    return chosen


def _unknown(text: str, match: re.Match[str] | None) -> UserError:
    """An error that suggests the nearest name, with the cut that was given."""
    known = f"known: {', '.join(known_measures())} (K a number), with options in brackets"
    spelled = {other.lower(): kind for kind in MEASURES.values() for other in (kind.name, *kind.also)}
    whole = text.partition("(")[0].strip()
    names = [match["name"]] if match else [whole, f"{whole.partition('@')[0]}@"]
    tried = [name.lower() for name in names if name.strip("@")]
    near = [found for name in tried for found in difflib.get_close_matches(name, spelled, n=1)]
    if not near:
        return UserError(f"unknown measure {text!r}; {known}")
    kind = spelled[near[0]]
    cut = match["cut"] if match else _USUAL.get(kind.name, "all" if kind.whole else "10")
    return UserError(f"unknown measure {text!r}; did you mean '{kind.name}{cut}'? {known}")
