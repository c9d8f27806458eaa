"""Encoding on a Ray cluster: the same bytes as here, also where workers die and where the work is cut off."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from clusters import local_cluster
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.model import spread as module
from crossbit.model.spread import spread
from tiny import TRAIN, arrays, runner

pytestmark = pytest.mark.slow
TEXTS = 9000  # five batches


@pytest.fixture(scope="module")
def cluster(need: Any) -> Iterator[str]:
    need("ray")
    with local_cluster(2) as address:
        yield address


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, texts, and a folder of pictures of which one is damaged."""
    folder = tmp_path_factory.mktemp("spread")
    np.savez(folder / "toy.npz", **arrays())
    model = crossbit.train(folder / "toy.npz", method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)
    model.save(folder / "run")
    kinds = "upright bar", "level bar", "slanted line"
    (folder / "texts.txt").write_text("\n".join(f"{kinds[row % 3]} number {row % 50}" for row in range(TEXTS)))
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(70):
        pixels = rng.integers(0, 256, (16, 16 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number:02}.png")
    (folder / "photos" / "05.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def model(place: Path) -> Model:
    return crossbit.load_model(place / "run")


@pytest.fixture
def texts(place: Path) -> list[str]:
    return (place / "texts.txt").read_text().splitlines()


def test_every_command_that_encodes_gives_the_same_bytes(
    cluster: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = runner(capsys)
    np.savez(place / "toy.npz", **arrays())
    assert command("train", place / "toy.npz", *TRAIN, "--out", tmp_path / "run").code == 0
    for words in (["texts.txt", "--modality", "text", "--real"], ["photos", "--modality", "image"]):
        source, *rest = words
        for name, how in (("here", []), ("there", ["--ray", cluster])):
            told = command("encode", tmp_path / "run", place / source, *rest, "--out", tmp_path / f"{name}.npy", *how)
            assert told.code == 0, told.errors
            assert any("05.png" in line for line in told.errors) == (source == "photos")
        for file in ("here.npy", "here.txt"):
            if (tmp_path / file).exists():
                there = tmp_path / file.replace("here", "there")
                assert (tmp_path / file).read_bytes() == there.read_bytes()
                (tmp_path / file).unlink()
                there.unlink()
    for name, how in (("here", []), ("there", ["--ray", cluster])):
        told = command("index", tmp_path / "run", "--uri", tmp_path / name, *how)
        assert told.code == 0, told.errors
        assert command("index", tmp_path / "run", "--check", "--uri", tmp_path / name).code == 0
    here, there = (
        json.loads(command("search", tmp_path / "run", "level bar", "--uri", tmp_path / name, "--json").out)
        for name in ("here", "there")
    )
    assert here | {"seconds": 0} == there | {"seconds": 0}
    assert not list(tmp_path.glob("*.parts"))


def test_a_worker_that_is_killed_changes_nothing(cluster: str, model: Model, texts: list[str], tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc to find a worker")
    many, done, killed = texts * 8, threading.Event(), []

    def kill() -> None:
        while not done.is_set() and not killed:
            killed.extend(pid for pid in _workers()[:1] if _kill(pid))
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    with spread(model, cluster, tmp_path / "parts") as other:
        killer.start()
        try:
            there = other.embed("text", many)
        finally:
            done.set()
            killer.join()
    assert killed
    np.testing.assert_array_equal(there, model.embed("text", many))


def _workers() -> list[int]:
    """Processes that encode just now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                busy = (entry / "cmdline").read_bytes().startswith(b"ray::_made")
            except OSError:  # it has ended meanwhile
                continue
            found += [int(entry.name)] * busy
    return found


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_what_is_encoded_is_not_encoded_again(
    cluster: str, model: Model, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "parts"

    def stop(done: int, of: int) -> None:
        if done > of / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), spread(model, cluster, kept) as other:
        other.embed("text", texts, progress=stop)
    held = sorted(kept.iterdir())
    assert 3 <= len(held) <= 5
    asked: list[Any] = []
    real = module.in_order

    def counting(ray: Any, function: Any, calls: Any, known: Any) -> Any:
        return real(ray, function, calls, lambda call: asked.append(found := known(call)) or found)

    monkeypatch.setattr(module, "in_order", counting)
    with spread(model, cluster, kept) as other:
        there = other.embed("text", texts)
        other.embed("text", texts[:10])  # another batch, and not one of those that are kept
    np.testing.assert_array_equal(there, model.embed("text", texts))
    assert sum(found is not None for found in asked) == len(held)
    assert not kept.exists()


def test_errors_come_over_as_they_are(cluster: str, model: Model, tmp_path: Path) -> None:
    with spread(model, cluster, tmp_path / "parts") as other:
        with pytest.raises(UserError, match="unknown modality 'sound'"):
            other.encode("sound", ["a"])
        with pytest.raises(UserError) as here:
            model.encode("image", [tmp_path / "none.png"])
        with pytest.raises(type(here.value)) as there:
            other.encode("image", [str(tmp_path / "none.png")])
    assert str(there.value) == str(here.value)


def test_a_worker_that_finds_another_model_says_so(model: Model, place: Path) -> None:
    with pytest.raises(UserError, match="a worker of the cluster finds another model in "):
        module._made("name", str(place / "run"), "0" * 8, 1, print)


def test_no_cluster_and_no_folder(model: Model, tmp_path: Path, need: Any) -> None:
    need("ray")
    with pytest.raises(UserError, match="no Ray cluster at "), spread(model, "127.0.0.1:1", tmp_path):
        pass
    with pytest.raises(UserError, match="the workers load a model from its folder, and this one has none"):
        module.SpreadModel(Model(model.config, model.encoders, model.featurisers), None, tmp_path)


def test_without_an_address_it_is_the_model(model: Model, tmp_path: Path) -> None:
    with spread(model, None, tmp_path / "parts") as same:
        assert same is model
    assert "ray" not in sys.modules or not list(tmp_path.iterdir())


def test_a_picture_that_is_gone_is_left_to_who_reads_it(tmp_path: Path) -> None:
    """Its name stands for the call, as that of one that is there; the worker tells that it cannot be read."""
    gone = tmp_path / "gone.png"
    before = module._name(module._made, "digest", ("image", [gone], False))
    assert before == module._name(module._made, "digest", ("image", [gone], False))
    gone.touch()
    assert before != module._name(module._made, "digest", ("image", [gone], False))
