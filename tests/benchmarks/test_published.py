"""The comparison with published code runs without a checkout, on tiny sizes; its table keeps unlike runs apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.published.__main__ import main
from crossbit.data.neutral import save_neutral
from crossbit.data.types import PairedData


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    main([*arguments])
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def data(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    vectors = {m: (3 + 2 * rng.normal(size=(60, 6))).astype(np.float32) for m in ("image", "text")}
    label = np.eye(3, dtype=np.uint8)[rng.integers(3, size=60)]
    splits = {"query": np.arange(20), "train": np.arange(20, 50), "retrieval": np.arange(20, 60)}
    save_neutral(PairedData("tiny", vectors, label, splits), tmp_path / "tiny.npz")
    return str(tmp_path / "tiny.npz")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nrch", "ucch"])
def test_speed_of_ours_beside_its_products(method: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = printed(capsys, method, "speed", *f"--data {data} --width 8 --bits 8 --rounds 2".split())
    assert {"products", "float32"} <= result["seconds"].keys()
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in result["seconds"].values())


@pytest.mark.slow
def test_accuracy_is_resumed_and_printed_as_a_table(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs.jsonl"
    options = f"--data {data} --width 8 --bits 8 --epochs 1 --runs {runs} --variants paper".split()
    first = printed(capsys, "ucch", "accuracy", *options, "--seeds", "1")
    assert first["paper"]["image->text"]["seeds"] == 1
    both = printed(capsys, "ucch", "accuracy", *options, "--seeds", "2")
    assert both["paper"]["text->image"]["seeds"] == 2
    assert [json.loads(line)["seed"] for line in runs.read_text().splitlines()] == [0, 1]


@pytest.mark.slow
def test_the_table_compares_runs_of_one_setup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = {"data": "a.npz", "bits": 8, "width": 8, "epochs": 1, "precision": "32", "seconds": 1.0}
    maps = {("published", 8): [0.50, 0.52], ("official", 8): [0.40, 0.42], ("official", 16): [0.10, 0.12]}
    lines = [
        {"variant": variant, "seed": seed, **setup, "width": width, "map": {"image->text": value}}
        for (variant, width), values in maps.items()
        for seed, value in enumerate(values)
    ]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = printed(capsys, "ucch", "table", "--runs", str(tmp_path / "runs.jsonl"))
    entry = result["official, width 8"]["image->text"]
    assert entry["mean"] == pytest.approx(0.41)
    assert entry["minus_published"] == pytest.approx(-0.1)
    assert entry["standard_error"] == pytest.approx(np.sqrt(2 * 0.0002 / 2))
    assert entry["not_below"] is False
    assert "minus_published" not in result["official, width 16"]["image->text"]


@pytest.mark.slow
def test_mrl_in_its_own_protocol_is_resumed_wherever_the_data_lie(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.published.methods.mrl.VALIDATION", 8)
    runs = tmp_path / "runs.jsonl"
    options = f"--width 8 --bits 8 --epochs 2 --seeds 1 --lr 1e-3 --runs {runs} --variants paper".split()
    first = printed(capsys, "mrl", "accuracy", "--data", data, *options)
    assert first["image, text, width 8, lr 0.001"]["last epoch"]["paper"]["text->image"]["seeds"] == 1
    moved = tmp_path / "moved" / "tiny.npz"
    moved.parent.mkdir()
    Path(data).rename(moved)
    assert printed(capsys, "mrl", "accuracy", "--data", str(moved), *options) == first
    (line,) = map(json.loads, runs.read_text().splitlines())
    assert 1 <= line["chosen"] <= 2 and line["lr"] == 1e-3
