"""The arrays of a file of codes by their names: those that the field's own code writes, and near misses."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable

from crossbit.errors import UserError

SIDES = ("query", "retrieval")
USUAL = ("image", "text")  # the modalities to ask for where a file names none
_SIDES = {"query": ("q", "query"), "retrieval": ("r", "retrieval")}
_WHAT = {"image": ("BX", "_img"), "text": ("BY", "_txt"), "label": ("L", "_L", "_l")}
_SHOWN = 12  # names of a file that an error lists

# What deep hashing code calls its arrays: qBX, rBY, queryL, retrieval_L, q_img, r_l and so on.
KNOWN = {
    f"{short}{what}": f"{side}_{meant}"
    for side, shorts in _SIDES.items()
    for short in shorts
    for meant, whats in _WHAT.items()
    for what in whats
    if meant == "label" or short != side  # query_img is an array of a modality that is called img
}


def is_wanted(name: str) -> bool:
    """Whether an array is read at all.

    >>> is_wanted("query_audio"), is_wanted("rBX"), is_wanted("epoch")
    (True, True, False)
    """
    return name in KNOWN or name.startswith(tuple(f"{side}_" for side in SIDES))


def renamings(names: Collection[str]) -> dict[str, str]:
    """Each array in the file that goes by a name of the field, and what it is read as; only where that is not there.

    Raises:
        UserError: two arrays would be read as one.

    >>> renamings(["qBX", "retrieval_text", "rBY", "queryL"])
    {'qBX': 'query_image', 'queryL': 'query_label'}
    """
    chosen = {name: KNOWN[name] for name in names if name in KNOWN and KNOWN[name] not in names}
    for meant in chosen.values():
        if len(same := [name for name, other in chosen.items() if other == meant]) > 1:
            raise UserError(f"{' and '.join(same)} could each be {meant}; call the one that is meant {meant}")
    return chosen


def modalities_of(arrays: Collection[str], held: Iterable[str]) -> list[str]:
    """The modalities of a file, all of whose arrays are there.

    Args:
        arrays: the names that were read, renamed.
        held: all names in the file.

    Raises:
        UserError: arrays are missing; lists them, what the file holds, and which of it may be meant.

    >>> modalities_of(["query_a", "query_b", "retrieval_a", "retrieval_b", "query_label", "retrieval_label"], [])
    ['a', 'b']
    """
    named = [name.partition("_")[2] for name in arrays]
    modalities = [name for name in dict.fromkeys(named) if name != "label"]
    if len(modalities) < 2:
        modalities = list(dict.fromkeys([*modalities, *USUAL]))
    needed = [*(f"{side}_{m}" for side in SIDES for m in modalities), *(f"{side}_label" for side in SIDES)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise UserError(
            f"it lacks {', '.join(missing)}; needed are query_<modality> and retrieval_<modality> of two modalities "
            f"or more (usually image and text), query_label and retrieval_label{_holds(list(held), missing, needed)}"
        )
    return modalities


def _holds(held: list[str], missing: list[str], needed: list[str]) -> str:
    """What the file holds instead, and what of it is nearly called like something missing."""
    held = [name for name in held if not name.startswith("#")]  # MATLAB's own, in HDF5
    if not held:
        return "; the file holds no array"
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    free = [name for name in held if name not in needed and name not in KNOWN]
    near = {name: difflib.get_close_matches(name, free, n=1, cutoff=0.75) for name in missing}
    times = Counter(found[0] for found in near.values() if found)  # what could be several is none of them
    meant = "".join(f"; is '{found[0]}' {name}?" for name, found in near.items() if found and times[found[0]] == 1)
    return f"; the file holds {', '.join(held[:_SHOWN])}{more}{meant}"
