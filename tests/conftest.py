"""What every test may use: the shared files, optional packages, and as many threads as suit parallel workers."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from hypothesis import settings

gc.disable()  # until all is collected: what is imported stays

IN_CI = os.environ.get("CI", "").lower() == "true"
ROOT = Path(__file__).resolve().parents[1]

# Read when the libraries are imported, which is after this file. Tests are tiny: a second thread costs them more than
# it gives, and under xdist every worker is a process of its own.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

settings.register_profile("local", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("fast", max_examples=15, deadline=None)
settings.load_profile("ci" if IN_CI else "local")


def pytest_collection_finish() -> None:
    """From here on the garbage collector runs, and looks only at what the tests make."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # DuckDB complains of what is not collected in the end
    gc.enable()


@pytest.fixture(scope="session")
def need() -> Callable[[str], ModuleType]:
    """`faiss = need("faiss")`: the module; where it is absent the test is skipped, but fails in CI."""
    return _need


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository, with recorded values; where it is absent, as `need`."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        _absent(f"{folder} is not there")
    return folder


def _need(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        _absent(f"needs {module}: {error}")


def _absent(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
