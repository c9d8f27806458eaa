"""Parts that are found by looking into a folder: a new one is a new file there, and no list is edited."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Generic, TypeVar

from crossbit.errors import unknown

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """The classes of one kind in the modules of a package, by their `name`.

    Args:
        package: the package's dotted name.
        base: what they are subclasses of; one without a `name` of its own is none of them.
        what: what they are, for the error: "method".
    """

    def __init__(self, package: str, base: type[Part], what: str) -> None:
        self.package, self.base, self.what = package, base, what

    def all(self) -> dict[str, type[Part]]:
        """Every one of them, by name."""
        found: dict[str, type[Part]] = {}
        for module in self._modules():
            found |= self._in(module)
        return dict(sorted(found.items()))

    def get(self, name: str) -> type[Part]:
        """The one of that name. That of "cca-itq" is looked for in the modules `cca_itq` and `cca`, then in all.

        Raises:
            UserError: there is none; the known ones are listed.
        """
        modules = self._modules()
        for module in (name.replace("-", "_"), name.partition("-")[0]):
            if module in modules and name in (found := self._in(module)):
                return found[name]
        found = self.all()
        if name not in found:
            raise unknown(self.what, name, found)
        return found[name]

    def _modules(self) -> list[str]:
        return [info.name for info in iter_modules(sys.modules[self.package].__path__)]

    def _in(self, module: str) -> dict[str, type[Part]]:
        values = vars(import_module(f"{self.package}.{module}")).values()
        classes = [value for value in values if isinstance(value, type) and issubclass(value, self.base)]
        return {vars(value)["name"]: value for value in classes if "name" in vars(value)}
