"""What every test may use: the shared files, optional packages, and as many threads as suit parallel workers."""

from __future__ import annotations

import atexit
import gc
import importlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from milvus_server import MilvusServer

gc.disable()  # until all is collected: what is imported stays

IN_CI = os.environ.get("CI", "").lower() == "true"
ROOT = Path(__file__).resolve().parents[1]

# Read when the libraries are imported, which is after this file. Tests are tiny: a second thread costs them more than
# it gives, and under xdist every worker is a process of its own.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A flush to the disk takes milliseconds, and the tests ask for ten thousands; none cuts the power. What is no open file
# is an error still.
os.fsync = os.fstat  # type: ignore[assignment]

_numbers = itertools.count()

settings.register_profile("local", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("fast", max_examples=15, deadline=None)
settings.load_profile("ci" if IN_CI else "local")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a server waits for its start: not on each change."""
    for item in items:
        if "milvus_here" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


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
def milvus_here() -> None:
    """A Milvus server can be started; where not, as `need`."""
    _need("pymilvus")
    _need("milvus")
    from milvus_server import why_not

    if reason := why_not():
        _absent(reason)


@pytest.fixture(scope="module")
def milvus_server(milvus_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus server, for a file of tests: it starts in seconds, and while it idles it takes a fifth of a core."""
    from milvus_server import QUICK, MilvusServer

    with MilvusServer(tmp_path_factory.mktemp("milvus"), **QUICK) as server:
        yield server


@pytest.fixture
def milvus_uri(milvus_server: MilvusServer) -> Iterator[Callable[[], str]]:
    """A function that gives the address of a collection that is not there yet; removed after the test."""
    from pymilvus import MilvusClient

    from milvus_server import ROOT

    made: list[str] = []

    def uri() -> str:
        made.append(f"t{next(_numbers)}")
        return f"{milvus_server.uri}/{made[-1]}"

    yield uri
    client = MilvusClient(f"http://{milvus_server.address}", token=ROOT)
    for name in client.list_collections():
        if any(name == each or name.startswith(f"{each}_") for each in made):
            client.drop_collection(name)
    client.close()


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
