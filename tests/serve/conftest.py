"""A small run with pictures that is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from own_runs import indexed, own_place
from serving import opened


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run on a collection of pictures, to be read only."""
    with own_place(tmp_path_factory.mktemp("served")) as place:
        yield indexed(place, "csv")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="session")
def client(trained: Path) -> Iterator[TestClient]:
    """A client of a service that is not changed."""
    with opened(trained) as client:
        client.app.state.served.pictures._now.result(timeout=60)  # type: ignore[attr-defined]
        yield client
