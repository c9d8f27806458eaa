"""`crossbit export`: the same hits without PyTorch, a card that tells all, and a folder that is whole or not there."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import crossbit
from crossbit.cli import main
from crossbit.errors import UserError
from crossbit.export import export_run
from crossbit.model.exported import ExportedModel
from crossbit.runs.folder import RunFolder
from tiny import TRAIN, Command, arrays, done, refused, runner

QUERIES = {
    "words": ["upright bar"],
    "picture": ["--image", "query.png"],
    "both": ["level bar", "--image", "query.png"],
    "where": ["bar", "--where", "row < 50"],
    "codes": ["level bar", "--by", "codes"],
    "distances": ["level bar", "--by", "codes", "--no-rerank", "--modality", "image"],
    "item": ["--item", "40", "--modality", "image"],
    "not": ["bar", "--not", "40"],
}
NEEDS = 'this needs torch, which is not installed; type: pip install "crossbit[train]" (exported folders need none)'
IN_PYTHON = """
import sys
sys.modules["torch"] = None
import crossbit
try:
    crossbit.train
except crossbit.UserError as error:
    print(error)
"""
WITHOUT = "import sys; sys.modules['torch'] = None; from crossbit.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a run with an index, a report, and the run exported."""
    folder = tmp_path_factory.mktemp("export")
    held = arrays()
    np.savez(folder / "pairs.npz", **held)
    Image.fromarray(held["image"][0]).save(folder / "query.png")
    run = str(folder / "run")
    assert main(["train", str(folder / "pairs.npz"), "--out", run, *TRAIN, "--noise", "swap-one:0.4"]) == 0
    assert main(["index", run]) == 0
    assert main(["evaluate", run]) == 0
    assert main(["export", run, "--out", str(folder / "taken")]) == 0
    return folder


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are of that folder."""
    monkeypatch.chdir(place)


@pytest.fixture
def taken(place: Path, tmp_path: Path) -> Path:
    """A copy of the exported folder that a test may change."""
    shutil.copytree(place / "taken", tmp_path / "taken")
    return tmp_path / "taken"


def without_torch(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own that cannot import PyTorch."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.usefixtures("inside")
def test_the_same_hits_without_torch(place: Path, query: str, command: Command) -> None:
    ran = without_torch("search", "taken", *QUERIES[query], "--json", cwd=place)
    assert ran.returncode == 0, ran.stderr
    got, expected = json.loads(ran.stdout), json.loads(done(command, "search", "run", *QUERIES[query], "--json"))
    assert list(got["hits"]) == list(expected["hits"])
    for modality, hits in expected["hits"].items():
        assert [(hit["id"], hit["distance"]) for hit in got["hits"][modality]] == [
            (hit["id"], hit["distance"]) for hit in hits
        ]
        cosines = [[hit["cosine"] or 0 for hit in each["hits"][modality]] for each in (got, expected)]
        assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)
    assert hits


@pytest.mark.slow
def test_an_open_search_without_torch(place: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
import crossbit
with crossbit.open_search("taken") as search:
    found = search.many(["upright bar", "level bar"], k=7) + [search(picture="query.png", k=3, where="row > 20")]
print([[(hit.id, hit.distance) for hit in each] for each in found])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=place)
    with crossbit.open_search(place / "run") as search:
        found = search.many(["upright bar", "level bar"], k=7)
        found.append(search(picture=place / "query.png", k=3, where="row > 20"))
    assert ran.stdout.strip() == str([[(hit.id, hit.distance) for hit in each] for each in found])


@pytest.mark.slow
def test_every_command_without_torch_works_or_says_what_to_type(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "taken", tmp_path / "taken")
    shutil.copy(place / "pairs.npz", tmp_path)
    (tmp_path / "words.txt").write_text("level bar\n")
    works = [
        "index taken --check",
        "encode taken words.txt --modality text --out codes.npy",
        "evaluate taken --data pairs.npz",
        "export taken --out again",
        "add taken pairs.npz",
        "search taken bar",
    ]
    for line in works:
        ran = without_torch(*line.split(), cwd=tmp_path)
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), (line, ran.stderr)
    run = place / "run"
    for line in (f"search {run} bar", "train pairs.npz --out new --quiet", f"evaluate {run}"):
        ran = without_torch(*line.split(), cwd=tmp_path)
        assert ran.returncode == 2 and ran.stderr.endswith(f"{NEEDS}\n"), (line, ran.stderr)
    ran = without_torch("audit", "taken", cwd=tmp_path)
    assert ran.returncode == 2 and "exported folder, which only searches" in ran.stderr
    ran = subprocess.run([sys.executable, "-c", IN_PYTHON], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{NEEDS}\n"


def test_the_model_of_an_export(place: Path) -> None:
    model, exported = crossbit.load_model(place / "run"), crossbit.load_model(place / "taken")
    assert isinstance(exported, ExportedModel)
    assert (exported.digest, exported.method, exported.metric, exported.bits, exported.selection) == (
        model.digest,
        model.method,
        model.metric,
        model.bits,
        model.selection,
    )
    pictures = arrays()["image"]
    assert np.array_equal(exported.encode("image", pictures), model.encode("image", pictures))
    assert np.allclose(exported.ordering("image", pictures), model.ordering("image", pictures), atol=1e-5)
    assert exported.to("auto") is exported
    with pytest.raises(UserError, match="computes on the CPU, not on 'cuda'"):
        crossbit.load_model(place / "taken", device="cuda")


def test_the_card_tells_where_it_comes_from(place: Path) -> None:
    card = json.loads((place / "taken" / "card.json").read_text())
    config = RunFolder(place / "run").config
    assert card["data"]["name"] == "pairs.npz" and card["data"]["fingerprint"] == config["fingerprint"]
    assert card["data"]["pairs"] == {"train": 60, "query": 15, "retrieval": 75}
    assert card["noise"]["injected"] == "swap-one:0.4" and 0 < card["noise"]["changed"] <= 0.4
    assert card["ties"]["figures"] == "expected" and card["figures"]["protocol"]["queries"] == 15
    assert card["features"]["image"] == {"name": "hog"}
    counted = card["export"]["compared"]["image"]
    assert (counted["rows"], counted["outputs"], counted["bytes_that_differ"]) == (75, 75 * 16, 0)
    assert card["export"]["codes"] == {"image": 75, "text": 75}
    readme = (place / "taken" / "README.md").read_text()
    for told in (config["fingerprint"], "`swap-one:0.4`", "Seed 0", "mAP@all, ties=expected", "within 1e-05 of zero"):
        assert told in readme
    for file in (place / "taken").glob("*.*"):
        assert str(place).encode() not in file.read_bytes(), file


def test_an_export_is_replaced_unless_it_has_grown(place: Path, taken: Path, command: Command) -> None:
    before = (taken / "config.json").read_bytes()
    done(command, "export", place / "run", "--out", taken)
    assert (taken / "config.json").read_bytes() == before
    done(command, "add", taken, place / "pairs.npz")  # queries come in
    assert "has changed since it was exported" in refused(command, "export", place / "run", "--out", taken)
    done(command, "export", taken, "--out", taken.with_name("again"))
    assert json.loads((taken.with_name("again") / "card.json").read_text())["export"]["codes"]["image"] == 90
    assert [file.name for file in taken.parent.iterdir() if ".again" in file.name] in ([], [".again.lock"])


def test_what_is_exported_of_a_folder_that_may_only_be_read_may_be_changed(taken: Path, tmp_path: Path) -> None:
    for each in [taken / "index", *(taken / "index").rglob("*")]:
        each.chmod(0o555 if each.is_dir() else 0o444)
    export_run(taken, tmp_path / "again")
    made = [tmp_path / "again", *(tmp_path / "again").rglob("*")]
    assert len(made) > 10
    assert not [each for each in made if not each.stat().st_mode & 0o200]


def test_nothing_else_is_overwritten(place: Path, taken: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine").mkdir()
    for other in (place / "run", tmp_path / "mine", place / "pairs.npz"):
        assert "exists already and is no exported folder" in refused(command, "export", place / "run", "--out", other)
    assert "is the folder that is exported" in refused(command, "export", taken, "--out", taken)
    (taken / "notes.txt").write_text("mine")
    assert "holds notes.txt, which no export writes" in refused(command, "export", place / "run", "--out", taken)
    assert (taken / "notes.txt").read_text() == "mine"


def test_what_cannot_be_exported_is_refused_in_one_line(place: Path, tmp_path: Path, command: Command) -> None:
    assert "no run folder at" in refused(command, "export", tmp_path / "none", "--out", tmp_path / "x")
    crossbit.load_model(place / "run").save(tmp_path / "model")
    assert f"make it with: crossbit index {tmp_path / 'model'}" in refused(
        command, "export", tmp_path / "model", "--out", tmp_path / "x"
    )
    assert not (tmp_path / "x").exists()
    told = refused(command, "export", place / "run", "--out", tmp_path / "a?b")
    assert "DuckDB misreads '?' in a path" in told and "--check" not in told and not list(tmp_path.glob(".a?b*"))


def test_an_exported_folder_is_not_trained_or_audited(place: Path, taken: Path, command: Command) -> None:
    assert "exported folder, which only searches" in refused(command, "audit", taken)
    assert "exists already" in refused(command, "train", place / "pairs.npz", "--out", taken)
    line = command("train", place / "pairs.npz", "--out", taken, "--resume", *TRAIN).errors[-1]
    assert "is an exported folder, which is not trained" in line


def test_a_changed_model_is_refused(taken: Path, command: Command) -> None:
    weights = load_file(taken / "model.safetensors")
    save_file({name: array + array.dtype.type(1) for name, array in weights.items()}, taken / "model.safetensors")
    assert "its model is not the one that was exported" in refused(command, "search", taken, "bar")
    (taken / "encoders.json").unlink()
    assert "lacks encoders.json; export the run again" in refused(command, "search", taken, "bar")


def test_a_card_that_is_none_is_refused(place: Path, taken: Path, command: Command) -> None:
    (taken / "card.json").write_text("{}")
    for words in (("export", taken, "--out", taken.with_name("again")), ("export", place / "run", "--out", taken)):
        assert "is not the card of an export" in refused(command, *words)


def test_an_error_leaves_nothing(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("crossbit.export.check_index", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_run(place / "taken", tmp_path / "x")
    assert [file.name for file in tmp_path.iterdir()] in ([], [".x.lock"])


@pytest.mark.slow
def test_killed_in_the_middle_leaves_the_old_folder(place: Path, taken: Path) -> None:
    (taken / "card.json").write_text((taken / "card.json").read_text().replace("pairs.npz", "older.npz"))
    slow = (
        "import sys, time, crossbit.export as export; export.check_index = lambda *_: time.sleep(60);"
        "export.export_run(sys.argv[1], sys.argv[2])"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, str(place / "run"), str(taken)])
    while not list(taken.parent.glob(".taken.*/index/*.index")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "older.npz" in (taken / "card.json").read_text()
    export_run(place / "run", taken)  # it clears up
    assert "older.npz" not in (taken / "card.json").read_text()
    assert [file.name for file in taken.parent.iterdir() if file.is_dir()] == ["taken"]


@pytest.mark.slow
def test_onnx_gives_the_same_bytes(place: Path, tmp_path: Path, need: Callable[[str], ModuleType]) -> None:
    runtime, _ = need("onnxruntime"), need("onnxscript")
    card = export_run(place / "run", tmp_path / "taken", onnx=True)
    model = crossbit.load_model(place / "run")
    for modality, rows in (("image", arrays()["image"]), ("text", list(arrays()["text"]))):
        session = runtime.InferenceSession(tmp_path / "taken" / f"{modality}.onnx")
        features = model.featurisers[modality].transform(rows)
        (codes,) = session.run(["codes"], {"features": features})
        assert codes.dtype == np.uint8 and np.array_equal(codes, model.encode(modality, rows))
        assert card["export"]["compared"][modality]["onnx_bytes_that_differ"] == 0
    again = export_run(tmp_path / "taken", tmp_path / "again", onnx=True)
    assert again["export"]["compared"] == card["export"]["compared"] and (tmp_path / "again" / "text.onnx").exists()
    with pytest.raises(UserError, match="without ONNX graphs"):
        export_run(place / "taken", tmp_path / "more", onnx=True)


@pytest.mark.slow
def test_an_exported_folder_is_served_without_its_audit(taken: Path) -> None:
    from starlette.testclient import TestClient

    from crossbit.serve.app import create_app

    with TestClient(create_app(taken), base_url="http://127.0.0.1:8000") as client:
        assert client.get("/api/search", params={"q": "bar"}).json()["hits"]["image"]
        assert client.get("/api/audit").status_code == 404
