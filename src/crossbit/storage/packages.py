"""Packages that are needed for some features only: imported when asked for, and named where they are absent."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from crossbit.errors import UserError

TRAIN = {"torch", "sklearn", "threadpoolctl", "h5py", "matplotlib", "fontTools"}  # of the extra `train`


def without_train(error: ModuleNotFoundError) -> UserError | None:
    """What to say where a module of the extra `train` is missing; None of any other.

    >>> print(without_train(ModuleNotFoundError(name="torch")))
    this needs torch, which is not installed; type: pip install "crossbit[train]" (exported folders need none)
    """
    name = (error.name or "").partition(".")[0]
    if name not in TRAIN:
        return None
    right = 'pip install "crossbit[train]" (exported folders need none)'
    return UserError(f"this needs {name}, which is not installed; type: {right}")


def is_installed(module: str) -> bool:
    """Whether a package can be found; it is not imported.

    >>> is_installed("numpy"), is_installed("no_such_package")
    (True, False)
    """
    return find_spec(module) is not None


def optional(module: str, what: str, install: str) -> Any:
    """The module of a package that need not be there.

    Args:
        module: its dotted name.
        what: needs it, in words.
        install: what pip is to install, as typed.

    Raises:
        UserError: it is absent, or does not fit the other packages.

    >>> optional("no_such", "features nose", "nosy")
    Traceback (most recent call last):
    crossbit.errors.UserError: features nose need the package no_such, which is not installed; type: pip install nosy
    """
    if not is_installed(module.partition(".")[0]):
        name = module.partition(".")[0]
        raise UserError(f"{what} need the package {name}, which is not installed; type: pip install {install}")
    try:
        return import_module(module)
    except Exception as error:  # compiled for another PyTorch, say: whatever it leads to
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = " (is torchvision there, of another build than torch? install both from one index, or remove it)"
        raise UserError(f"{what} need {module}, which cannot be imported: {why}{hint}") from error
