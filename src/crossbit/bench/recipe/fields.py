"""Reading a table of a recipe: every key is checked, and all mistakes are collected, not only the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from crossbit.errors import UserError, unknown

T = TypeVar("T")


class Mistakes(UserError):
    """Everything that is wrong with a recipe; `lines` has a line for each.

    >>> Mistakes("quick.toml", ["seeds: ...", "bits: ..."]).lines
    ['seeds: ...', 'bits: ...']
    """

    def __init__(self, where: str, lines: Iterable[str]) -> None:
        self.where, self.lines = where, list(dict.fromkeys(lines))
        super().__init__(f"{where}: {'; '.join(self.lines)}")


def refuse(where: str | os.PathLike[str], mistakes: Iterable[str]) -> None:
    """Raise all mistakes together, if there are any."""
    if lines := list(mistakes):
        raise Mistakes(os.fspath(where), lines)


class Fields:
    """A TOML table while it is read: what is wrong with a key goes to `mistakes`, and the default stands in for it.

    >>> mistakes = []
    >>> fields = Fields({"sed": 1, "bits": [16, "x"]}, "grid 1", mistakes)
    >>> fields.many("bits", whole, (64,)), fields.one("seed", whole, 0)
    ((16,), 0)
    >>> fields.close()
    >>> mistakes[0]
    "grid 1: bits: must be a whole number, got 'x'"
    >>> mistakes[1]
    "grid 1: unknown key 'sed'; did you mean 'seed'? known: bits, seed"
    """

    def __init__(self, table: Any, where: str, mistakes: list[str]) -> None:
        self.table: Mapping[str, Any] = table if isinstance(table, Mapping) else {}
        self.where, self.mistakes, self.known = where, mistakes, set[str]()
        if not isinstance(table, Mapping):
            self.wrong(f"it is {table!r}; it must be a table of keys and values")

    def wrong(self, what: object) -> None:
        """Note a mistake of this table."""
        self.mistakes.append(f"{self.where}: {what}")

    def one(self, key: str, check: Callable[[Any], T], default: T) -> T:
        """The value of `key` as `check` returns it."""
        return next(iter(self._checked(key, [self.table[key]], check)), default) if self._asked(key) else default

    def many(self, key: str, check: Callable[[Any], T], default: tuple[T, ...]) -> tuple[T, ...]:
        """The values of `key`, a list or one value, each as `check` returns it; what is wrong is left out."""
        if not self._asked(key):
            return default
        value = self.table[key]
        values = value if isinstance(value, list) else [value]
        if not values:
            self.wrong(f"{key}: the list is empty")
        return tuple(dict.fromkeys(self._checked(key, values, check)))

    def tables(self, key: str) -> list[Any]:
        """The tables under `key`, written [[key]]; none if it is not there."""
        value = self.table[key] if self._asked(key) else []
        if not isinstance(value, list):
            self.wrong(f"{key}: it is {value!r}; it must be a list of tables, [[{key}]]")
            return []
        return value

    def table_of(self, key: str) -> Mapping[str, Any]:
        """The table under `key`; empty if it is not there."""
        return Fields(self.table[key], f"{self.where}: {key}", self.mistakes).table if self._asked(key) else {}

    def close(self) -> None:
        """Note the keys that nobody asked for."""
        for key in self.table:
            if key not in self.known:
                self.wrong(unknown("key", key, self.known))

    def _asked(self, key: str) -> bool:
        self.known.add(key)
        return key in self.table

    def _checked(self, key: str, values: list[Any], check: Callable[[Any], T]) -> list[T]:
        checked = []
        for value in values:
            try:
                checked.append(check(value))
            except UserError as error:
                self.wrong(f"{key}: {error}")
        return checked


def whole(value: Any) -> int:
    """A whole number; True is none.

    >>> whole(3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"must be a whole number, got {value!r}")
    return value


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"must be text, got {value!r}")
    return value


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise UserError(f"must be true or false, got {value!r}")
    return value
