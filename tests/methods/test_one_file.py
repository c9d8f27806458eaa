"""A method is one file: dropped into the folder, it is found, trained, saved, loaded, evaluated and told about."""

import sys
from pathlib import Path

import numpy as np
import pytest

import crossbit
from crossbit import methods
from crossbit.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-method.md"
FILE = PAGE.read_text(encoding="utf-8").split("```python\n", 1)[1].split("```", 1)[0]  # the page's first example


@pytest.fixture
def toy_file(tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "toy.py").write_text(FILE)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path / "more")])
    yield tmp_path
    sys.modules.pop("crossbit.methods.toy", None)
    vars(methods).pop("toy", None)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=90)
    arrays = {m: (np.eye(3)[label] @ rng.normal(size=(3, 6)) + rng.normal(size=(90, 6)) / 5) for m in ("image", "text")}
    rows = {"query": np.arange(20), "train": np.arange(20, 90), "retrieval": np.arange(20, 90)}
    np.savez(tmp_path / "data.npz", **{m: x.astype(np.float32) for m, x in arrays.items()}, label=label, **rows)
    return str(tmp_path / "data.npz")


@pytest.mark.slow
def test_one_file_is_all_that_a_method_needs(toy_file, data, capsys):
    run = str(toy_file / "run")
    assert main(["methods", "toy"]) == 0
    assert "of plain gradient descent" in capsys.readouterr().out
    assert main(["train", data, "--method", "toy", "--bits", "16", "--set", "lr=0.2", "--out", run]) == 0
    assert main(["evaluate", run]) == 0
    assert "toy, 16 bits" in capsys.readouterr().out
    assert main(["index", run]) == 0
    model, loaded = crossbit.load_model(run), crossbit.load_data(data)
    again = crossbit.train(loaded, method="toy", bits=16, settings={"lr": 0.2}, progress=False)
    assert np.array_equal(model.encode("text", loaded["text"]), again.encode("text", loaded["text"]))
    recipe = toy_file / "recipe.toml"
    grid = f'[data.mine]\nsource = "{data}"\n[[grid]]\ndata = "mine"\nmethods = "toy"\nbits = 16\nseeds = [0]\n'
    recipe.write_text(grid + "[grid.settings.toy]\nlr = 0.2\n", encoding="utf-8")
    assert main(["bench", str(recipe), "--out", str(toy_file / "bench")]) == 0
    assert "| toy " in (toy_file / "bench" / "tables.md").read_text(encoding="utf-8")


def test_it_resumes_to_the_bit_though_its_buffer_is_made_in_its_first_epoch(toy_file, data, monkeypatch):
    loaded, toy = crossbit.load_data(data), methods.get("toy")
    options = {"method": "toy", "bits": 16, "epochs": 3, "progress": False}
    whole = crossbit.train(loaded, **options)
    original = toy.train_epoch
    monkeypatch.setattr(toy, "train_epoch", lambda self, view: original(self, view) if view.epoch < 2 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        crossbit.train(loaded, out=toy_file / "broken", **options)
    monkeypatch.setattr(toy, "train_epoch", original)
    resumed = crossbit.train(loaded, out=toy_file / "broken", resume=True, **options)
    assert np.array_equal(whole.embed("text", loaded["text"]), resumed.embed("text", loaded["text"]))


def test_without_its_file_there_is_no_such_method():
    assert "toy" not in methods.available()
