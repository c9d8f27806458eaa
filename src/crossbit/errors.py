"""The one exception for what a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 30  # known names that an error lists; of hundreds nobody reads


class UserError(Exception):
    """Something a user can mend: one line that says what is wrong, the value received, and what would be right.

    The command line prints it on standard error and exits with code 2; every other exception is a bug. It is no
    ValueError, so that code which catches what damaged bytes raise cannot take it for damage.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """An error for a name that is not one of `known`: lists up to 30 of them and suggests the nearest.

    >>> str(unknown("method", "nrhc", ["nrch", "ucch"]))
    "unknown method 'nrhc'; did you mean 'nrch'? known: nrch, ucch"
    >>> str(unknown("label", "x", map(str, range(100))))[-13:]
    ' of 100 known'
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    listed = ", ".join(names[:LISTED])
    told = f"known: {listed}" if len(names) <= LISTED else f"{listed} are the first of {len(names):,} known"
    return UserError(f"unknown {what} '{name}'{hint} {told}")
