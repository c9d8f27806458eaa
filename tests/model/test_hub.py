"""Models in folders and on a hub, which is a stub here: nothing asks the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.errors import UserError
from tiny import vectors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What `HfApi` does, in a folder; counts what it is asked."""

    place: Path
    asked: list[str]

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.asked.append(f"create {name} {'private' if private else 'public'}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Any:
        self.asked.append(f"upload {commit_message}")
        shutil.copytree(folder_path, self.place / repo_id)
        return SimpleNamespace(oid=COMMIT)

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: list[str]) -> str:
        self.asked.append(f"download {name}@{revision}")
        if not (self.place / name).exists():
            raise OSError("404: no such repository\nand more")
        return str(self.place / name)


@pytest.fixture
def hub(tmp_path: Path, need: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    Hub.place, Hub.asked = tmp_path / "hub", []
    monkeypatch.setattr(need("huggingface_hub"), "HfApi", Hub)
    return Hub


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> crossbit.Model:
    place = tmp_path_factory.mktemp("hub")
    np.savez(place / "vectors.npz", **vectors())
    return crossbit.train(place / "vectors.npz", method="cca-itq", bits=8, out=place / "run", progress=False)


def test_a_folder_never_asks_the_hub(model: crossbit.Model, tmp_path: Path, hub: type[Hub]) -> None:
    model.save_pretrained(tmp_path / "model")
    loaded = crossbit.Model.from_pretrained(tmp_path / "model")
    assert loaded.digest == model.digest and hub.asked == []
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert card["data"]["name"] == json.loads((tmp_path / "model" / "config.json").read_text())["data"] == "vectors.npz"
    assert "Seed 0" in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(UserError, match="is a folder here, which has no revision"):
        crossbit.Model.from_pretrained(tmp_path / "model", revision=COMMIT)
    with pytest.raises(UserError, match="exists already"):
        model.save_pretrained(tmp_path / "model")


def test_there_and_back(model: crossbit.Model, hub: type[Hub]) -> None:
    assert model.push_to_hub("somebody/vectors") == COMMIT
    loaded = crossbit.Model.from_pretrained("somebody/vectors", revision=COMMIT)
    rows = vectors()["image"]
    assert np.array_equal(loaded.encode("image", rows), model.encode("image", rows))
    assert hub.asked == [
        "create somebody/vectors private",
        "upload A crossbit model",
        f"download somebody/vectors@{COMMIT}",
    ]


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:7]])
def test_a_name_needs_a_commit(revision: str | None, hub: type[Hub]) -> None:
    with pytest.raises(UserError, match=r"needs a fixed revision, got .*40 hexadecimal characters"):
        crossbit.Model.from_pretrained("somebody/vectors", revision=revision)
    assert hub.asked == []


def test_what_is_wrong_is_said_in_one_line(model: crossbit.Model, hub: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder nowhere"):
        crossbit.Model.from_pretrained("nowhere", revision=COMMIT)
    with pytest.raises(UserError, match="'vectors' is no name on the hub"):
        model.push_to_hub("vectors")
    with pytest.raises(UserError, match=r"cannot be had from the hub: 404: no such repository$"):
        crossbit.Model.from_pretrained("somebody/none", revision=COMMIT)
