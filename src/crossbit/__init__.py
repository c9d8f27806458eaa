"""crossbit: short binary codes that let a text find images and an image find texts.

The names below load their modules when they are first used, so `import crossbit` costs next to nothing.

>>> import crossbit
>>> "train" in dir(crossbit)
True
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Idle OpenMP threads wait by spinning. Two trainings on two cores then take four times one: each spins while the other
# works. A thousand turns are enough for the next loop of the same training. OpenMP reads this when torch is imported;
# what the user has set is left alone.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"

if TYPE_CHECKING:
    from crossbit.audit import audit_run
    from crossbit.data import load_data
    from crossbit.data.types import PairedData
    from crossbit.errors import UserError
    from crossbit.index import open_index
    from crossbit.model import Model, load_model
    from crossbit.model.evaluate import evaluate
    from crossbit.search.searcher import open_search
    from crossbit.training import train

    __version__: str

__all__ = [
    "Model",
    "PairedData",
    "UserError",
    "__version__",
    "audit_run",
    "evaluate",
    "load_data",
    "load_model",
    "open_index",
    "open_search",
    "train",
]

_HOMES = {
    "Model": "crossbit.model",
    "PairedData": "crossbit.data.types",
    "UserError": "crossbit.errors",
    "audit_run": "crossbit.audit",
    "evaluate": "crossbit.model.evaluate",
    "load_data": "crossbit.data",
    "load_model": "crossbit.model",
    "open_index": "crossbit.index",
    "open_search": "crossbit.search.searcher",
    "train": "crossbit.training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # alone it would be half of the import's time

        value: Any = version("crossbit")
    elif name in _HOMES:
        try:
            value = getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            from crossbit.storage.packages import without_train

            raise without_train(error) or error from error
    else:
        raise AttributeError(f"module 'crossbit' has no attribute {name!r}")
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
