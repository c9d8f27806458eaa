"""The training loop: resume to the bit after any end, interruption, validation, refusals; and the model folder."""

import json
import os
import random
import signal
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import forked
from crossbit.data.described import fingerprint
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import evaluate
from crossbit.methods import get
from crossbit.model import load_model
from crossbit.training import loop as training
from crossbit.training import train
from crossbit.training.loop import summarise

UNLIKE = [chr(7000 + row) for row in range(120)]  # texts without a common word
SMALL = {"width": 24, "batch": 16, "lr": 1e-3, "warmup": 1, "schedule": "step"}


def toy(seed: int = 0, n: int = 120) -> PairedData:
    """Two modalities that show one of four classes; 24 queries, 64 training pairs, all non-queries the database."""
    rng = np.random.default_rng(seed)
    label = rng.integers(4, size=n)
    clean = [np.eye(4)[label] @ rng.normal(size=(4, d)) for d in (12, 9)]
    image, text = (x + 0.3 * rng.normal(size=x.shape) for x in clean)
    splits = {"query": np.arange(24), "train": np.arange(24, 88), "retrieval": np.arange(24, n)}
    return PairedData("toy", {"image": image.astype(np.float32), "text": text.astype(np.float32)}, label, splits)


def small(data: PairedData, **options) -> object:
    options = {
        "method": "nrch",
        "bits": 16,
        "epochs": 4,
        "noise": "swap-one:0.5",
        "settings": SMALL,
        "progress": False,
    } | options
    return train(data, **options)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_same_seed_gives_the_same_run_folder_and_another_seed_another(tmp_path):
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        small(toy(), seed=seed, out=tmp_path / name)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    figures = {name: (tmp_path / name / "history.jsonl").read_text() for name in "abc"}
    assert figures["a"] == figures["b"] != figures["c"]
    with (
        np.load(tmp_path / "a/data.npz") as a,
        np.load(tmp_path / "b/data.npz") as b,
        np.load(tmp_path / "c/data.npz") as c,
    ):
        assert all(np.array_equal(a[key], b[key]) for key in a.files)
        assert not np.array_equal(a["observed_label"], c["observed_label"])
        assert a["noise_mask"].sum() == 32


def test_a_run_folder_holds_what_was_designed(tmp_path):
    model = small(toy(), out=tmp_path / "run")
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert names == ["config.json", "data.npz", "featurisers.json", "history.jsonl", "model.safetensors", "rows.npz"]
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert (config["method"], config["bits"], config["noise"], config["seed"]) == ("nrch", 16, "swap-one:0.5", 0)
    assert config["settings"]["width"] == 24
    assert config["selection"] == "last epoch"
    assert len(model.history) == 4
    last = model.history[-1]
    assert {"epoch", "loss", "trusted", "trusted_precision", "trusted_recall", "mixture"} <= last.keys()
    assert model.rows["sample_loss"].shape == model.rows["posterior"].shape == model.rows["row"].shape == (64,)


def test_save_load_encode_gives_the_same_bits(tmp_path):
    data = toy()
    model = small(data)
    model.save(tmp_path / "copy")
    loaded = load_model(tmp_path / "copy")
    for modality in ("image", "text"):
        assert np.array_equal(
            model.encode(modality, data.query[modality]), loaded.encode(modality, data.query[modality])
        )
    assert loaded.history == model.history
    assert np.array_equal(loaded.rows["posterior"], model.rows["posterior"])


@pytest.mark.slow
def test_codes_learn_more_than_chance():
    data = toy()
    model = small(data, noise=None, epochs=30, bits=32)
    rows = [{m: of[m] for m in model.modalities} for of in (data.query, data.retrieval)]
    result = training.score_model(model, *rows, data.query.label, data.retrieval.label)  # as validation does
    assert min(result.map.values()) > 0.5  # chance is .25


class Stop(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_resume_after_an_end_between_epochs_gives_the_same_weights(tmp_path, monkeypatch, after):
    small(toy(), out=tmp_path / "whole")
    cls, original = get("nrch"), get("nrch").train_epoch

    def ends(self, view):
        if view.epoch == after:
            raise Stop
        return original(self, view)

    monkeypatch.setattr(cls, "train_epoch", ends)
    with pytest.raises(Stop):
        small(toy(), out=tmp_path / "broken")
    assert not (tmp_path / "broken/model.safetensors").exists()
    with pytest.raises(UserError, match="incomplete"):
        load_model(tmp_path / "broken")
    monkeypatch.setattr(cls, "train_epoch", original)
    small(toy(), out=tmp_path / "broken", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert (tmp_path / "whole/history.jsonl").read_text() == (tmp_path / "broken/history.jsonl").read_text()
    with np.load(tmp_path / "whole/rows.npz") as a, np.load(tmp_path / "broken/rows.npz") as b:
        assert all(np.array_equal(a[key], b[key]) for key in a.files)


@pytest.mark.slow
def test_interruption_keeps_the_last_finished_epoch_and_can_be_resumed(tmp_path, monkeypatch):
    small(toy(), out=tmp_path / "whole")
    cls, original = get("nrch"), get("nrch").step
    calls = []

    def interrupted(self, view, rows):
        calls.append(view.epoch)
        if calls.count(2) == 2:  # in the middle of the third epoch
            raise KeyboardInterrupt
        return original(self, view, rows)

    monkeypatch.setattr(cls, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(toy(), out=tmp_path / "run")
    monkeypatch.setattr(cls, "step", original)
    kept = load_model(tmp_path / "run")
    assert [line["epoch"] for line in kept.history] == [1, 2]
    two = small(toy(), epochs=2)
    assert np.array_equal(kept.embed("image", toy().query["image"]), two.embed("image", toy().query["image"]))
    small(toy(), out=tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_a_second_training_in_the_folder_is_refused_while_the_first_goes_on(tmp_path, monkeypatch):
    out, original, told = tmp_path / "run", get("nrch").train_epoch, []

    def beside_another(self, view):
        with pytest.raises(UserError, match=r"another training works in .*pid") as refused:
            small(toy(), out=out, resume=True)
        told.append(str(refused.value))
        return original(self, view)

    monkeypatch.setattr(get("nrch"), "train_epoch", beside_another)
    small(toy(), out=out)
    monkeypatch.undo()
    assert len(told) == 4
    small(toy(), out=tmp_path / "other")
    assert_same_weights(out, tmp_path / "other")
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    small(toy(), out=tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    small(toy(), out=tmp_path / "run", resume=True)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"bits": 24}, "bits was 16, is 24"),
        ({"settings": SMALL | {"margin": 0.3}}, "margin was 0.2, is 0.3"),
        ({"epochs": 5}, "epochs was 4, is 5"),
        ({"noise": "swap-one:0.2"}, "noise was swap-one:0.5, is swap-one:0.2"),
    ],
)
def test_resuming_with_other_settings_is_refused(tmp_path, changes, message):
    small(toy(), out=tmp_path / "run")
    with pytest.raises(UserError, match=message):
        small(toy(), out=tmp_path / "run", resume=True, **changes)


def test_resuming_with_other_data_is_refused(tmp_path):
    small(toy(), out=tmp_path / "run")
    with pytest.raises(UserError, match="the data differ"):
        small(toy(seed=1), out=tmp_path / "run", resume=True)


def test_an_existing_folder_is_not_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/precious.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        small(toy(), out=tmp_path / "run")
    with pytest.raises(UserError, match="exists already"):
        small(toy(), out=tmp_path / "run", resume=True)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["precious.txt"]


def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch):
    original = get("nrch").train_epoch
    monkeypatch.setattr(
        get("nrch"), "train_epoch", lambda self, view: original(self, view) if view.epoch < 2 else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        small(toy(), out=tmp_path / "run")
    (tmp_path / "run/checkpoint/state.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is damaged"):
        small(toy(), out=tmp_path / "run", resume=True)


@pytest.mark.slow
def test_validation_keeps_the_best_epoch_and_survives_resume(tmp_path, monkeypatch):
    options = {"validation": 0.25, "epochs": 5}
    model = small(toy(), out=tmp_path / "whole", **options)
    scores = [line["validation_map"] for line in model.history]
    assert "16 rows cut out of the training rows" in model.config["selection"]
    with np.load(tmp_path / "whole/data.npz") as arrays:
        assert not np.isin(arrays["validation"], arrays["rows"]).any()
        assert len(arrays["rows"]) == 48
    best = int(np.argmax(scores))
    assert best < 4  # else the last epoch would be kept anyway
    small(toy(), out=tmp_path / "until best", **options | {"epochs": best + 1})
    assert_same_weights(tmp_path / "whole", tmp_path / "until best")
    original = get("nrch").train_epoch
    monkeypatch.setattr(
        get("nrch"), "train_epoch", lambda self, view: original(self, view) if view.epoch <= best else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        small(toy(), out=tmp_path / "broken", **options)
    monkeypatch.setattr(get("nrch"), "train_epoch", original)
    small(toy(), out=tmp_path / "broken", resume=True, **options)
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")


def test_validation_takes_whole_groups(tmp_path):
    data = toy()
    data = data.replace(group=np.arange(data.n) // 7)
    small(data, validation=0.25, epochs=1, out=tmp_path / "run")
    with np.load(tmp_path / "run" / "data.npz") as arrays:
        held, rows = arrays["validation"], arrays["rows"]
    asked = int(0.25 * len(data.splits["train"]))
    assert asked - 7 < len(held) <= asked
    assert not np.intersect1d(data.group[held], data.group[rows]).size


def test_a_validation_split_in_the_data_is_used(tmp_path):
    data = toy()
    data = data.replace(splits={**data.splits, "validation": np.arange(100, 120)})
    model = small(data)
    assert "20 rows of the data's validation split" in model.config["selection"]
    assert all(0 <= line["validation_map"] <= 1 for line in model.history)


@pytest.mark.parametrize("method", ["nrch", "ucch"])
def test_a_view_has_the_groups_of_its_rows(monkeypatch, method):
    views, original = [], get(method).train_epoch
    monkeypatch.setattr(get(method), "train_epoch", lambda self, view: views.append(view) or original(self, view))
    group = np.array([f"thing {row % 50}" for row in range(120)])
    options = {"method": method, "noise": None, "epochs": 1, "settings": {"width": 8}, "validation": 0.3}
    small(toy().replace(group=group), **options)
    small(toy(), **options)
    with_groups, without = views
    assert without.groups is None
    named = group[with_groups.rows]
    assert len(named) < len(toy().splits[get(method).rows])  # the validation rows are not there
    assert np.array_equal(with_groups.groups[:, None] == with_groups.groups, named[:, None] == named)
    assert set(with_groups.groups) == set(range(len(set(named))))


def test_other_groups_are_other_data(tmp_path):
    first, other = np.arange(120) // 2, np.arange(120) // 3
    small(toy().replace(group=first), out=tmp_path / "run")
    small(toy().replace(group=first), out=tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="the data differ"):
        small(toy().replace(group=other), out=tmp_path / "run", resume=True)


def test_wrong_pairs_are_remembered(tmp_path):
    small(toy(), noise="shuffle-pairs:0.5", out=tmp_path / "run")
    with np.load(tmp_path / "run/data.npz") as arrays:
        assert arrays["noise_mask"].sum() == 32
        assert np.array_equal(arrays["noise_mask"], arrays["pairing"] != np.arange(64))


@pytest.mark.parametrize("method", ["nrch", "ucch"])
@pytest.mark.parametrize("each", ["", ":each"])
def test_noise_of_the_labels_that_choose_the_epoch_is_stored(tmp_path, monkeypatch, method, each):
    judged, original = [], training.score_model
    monkeypatch.setattr(training, "score_model", lambda *given: judged.append(given[3]) or original(*given))
    data, settings = toy(), {"width": 8, "batch": 16}
    options = {"validation": 0.3, "epochs": 1, "out": tmp_path / "run"}
    model = small(data, method=method, noise=f"swap-one:0.7{each}", settings=settings, **options)
    sees_labels, train_rows = get(method).sees_labels, np.arange(24, 88)
    assert model.config["noise_changes"] == ("labels" if sees_labels else "validation labels")
    with np.load(tmp_path / "run/data.npz") as arrays:
        for modality in ("image", "text"):
            ending = f"_{modality}" if each else ""
            observed, changed = arrays[f"observed_label{ending}"], arrays[f"changed_label{ending}"]
            assert np.array_equal(changed, observed != data.label)
            assert np.array_equal(np.flatnonzero(changed), train_rows[changed[train_rows]])
            assert changed.sum() == int(0.7 * 64)
            assert changed[arrays["validation"]].any()
            assert np.array_equal(judged[0][modality].argmax(1), observed[arrays["validation"]])
        assert arrays["noise_mask"].any() == sees_labels  # UCCH trains on no label
        assert ("noise_mask_text" in arrays) == (sees_labels and each != "")


def test_label_noise_that_reaches_nobody_is_told_of(tmp_path, capsys):
    model = small(toy(), method="ucch", settings={"width": 8}, epochs=1, out=tmp_path / "run", progress=True)
    assert model.config["noise_changes"] == "nothing"
    assert "noise swap-one:0.5 changes nothing: ucch sees no labels\n" in capsys.readouterr().err
    with np.load(tmp_path / "run/data.npz") as arrays:
        assert not {"observed_label", "changed_label"} & set(arrays.files)
        assert not arrays["noise_mask"].any()


@pytest.mark.parametrize(("noise", "changes"), [(None, None), ("shuffle-pairs:0.5", "pairs"), ("flip:0.5", "labels")])
def test_what_noise_changes_is_in_the_config(noise, changes, capsys):
    assert small(toy(), noise=noise, epochs=1, progress=True).config["noise_changes"] == changes
    assert "sees none" not in capsys.readouterr().err


def test_noise_on_noisy_labels_may_mend_one():
    label = np.arange(120) % 2
    splits = {"query": np.arange(24), "train": np.arange(24, 88), "retrieval": np.arange(24, 120)}
    data = PairedData(
        "toy", toy().modalities, label, splits, observed_label=np.where(np.arange(120) < 40, label, 1 - label)
    )
    model = small(data, noise="swap-one:1", epochs=2)  # of two classes: what was wrong is right, and the reverse
    trusted = np.isin(np.arange(24, 88), model.rows["row"][model.rows["trusted"]])
    assert model.history[-1]["trusted_recall"] == trusted[16:].mean()


def test_bf16_is_close_to_float32():
    data = toy()
    one, other = (
        small(data, noise=None, epochs=2, precision=p).embed("image", data.query["image"]) for p in ("32", "bf16")
    )
    assert not np.array_equal(one, other)
    assert np.abs(one - other).max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "nrhc"}, "did you mean 'nrch'"),
        ({"bits": 12}, "12"),
        ({"bits": 2048}, "2048|2,048"),
        ({"noise": "swapone:0.5"}, "did you mean 'swap-one'"),
        ({"noise": "swap-one:1.5"}, "1.5"),
        ({"settings": {"pictures": "cnn"}}, "has none"),
        ({"settings": {"pictures": "resnet"}}, "unknown pictures"),
        ({"settings": {"weights": "vgg.mat"}}, "set pictures=cnn-f, or one of torchvision"),
        ({"settings": {"preset": "flickr"}}, "unknown preset"),
        ({"seed": -1}, "whole number"),
        ({"epochs": 0}, "at least 1"),
        ({"precision": "16"}, "unknown precision"),
        ({"device": "quantum"}, "device 'quantum' cannot be used"),
        ({"validation": 1.5}, "between 0 and 1"),
        ({"validation": 0.001}, "at least 2"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        small(toy(), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (toy().replace(label=None, modality_label={"image": toy().label}), {"noise": None}, "no labels of text"),
        (toy().replace(splits=toy().splits | {"validation": np.arange(24, 120)}), {}, "leave some out"),
        (toy().replace(modalities=toy().modalities | {"text": np.array(UNLIKE)}), {}, "no word"),
        (toy(), {"seed": 2**64}, "whole number"),
        (toy().replace(group=np.arange(120) // 60), {"validation": 0.1}, "groups stay whole"),
    ],
)
def test_data_that_cannot_be_trained_on_leaves_nothing_behind(tmp_path, data, options, message):
    with pytest.raises(UserError, match=message):
        small(data, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_data_without_labels_is_refused():
    with pytest.raises(UserError, match="learns from labels"):
        small(toy().replace(label=None), noise=None)


def test_figures_become_a_history_line():
    figures = {"loss": None, "trusted": np.array([True, True, False]), "sample_loss": np.zeros(3)}
    line, rows = summarise(4, figures, np.array([True, False, True]))
    assert line == {"epoch": 5, "loss": None, "trusted": 2 / 3, "trusted_precision": 0.5, "trusted_recall": 0.5}
    assert set(rows) == {"trusted", "sample_loss"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "not a run folder"),
        (lambda run: (run / "featurisers.json").unlink(), "incomplete"),
        (lambda run: (run / "model.safetensors").write_bytes(b"x"), "damaged"),
        (lambda run: (run / "config.json").write_text("{"), "which must be JSON, is damaged"),
        (lambda run: (run / "config.json").write_text('{"format": 99}'), "format 99"),
    ],
)
def test_a_damaged_run_folder_is_refused(tmp_path, damage, message):
    small(toy(), epochs=1, out=tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "run")


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(UserError, match="smaller learning rate"):
        small(toy(), settings=SMALL | {"lr": 1e30}, epochs=20, out=tmp_path / "run")


def test_an_interrupted_model_says_so(tmp_path, monkeypatch):
    original = get("nrch").train_epoch

    def interrupted(self, view):
        if view.epoch == 3:
            raise KeyboardInterrupt
        return original(self, view)

    monkeypatch.setattr(get("nrch"), "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(toy(), out=tmp_path / "run")
    model = load_model(tmp_path / "run")
    assert model.selection == "last epoch, interrupted after 3 of 4 epochs"
    assert evaluate(model, toy()).protocol["selection"] == model.selection


def test_what_a_kill_left_half_written_is_removed(tmp_path, monkeypatch):
    original = get("nrch").train_epoch
    monkeypatch.setattr(
        get("nrch"), "train_epoch", lambda self, view: original(self, view) if view.epoch < 2 else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        small(toy(), out=tmp_path / "run")
    monkeypatch.setattr(get("nrch"), "train_epoch", original)
    half = [tmp_path / "run/.model.0123abcd.safetensors", tmp_path / "run/checkpoint/.state.0123abcd.safetensors"]
    foreign = [
        ".gitignore",
        ".DS_Store",
        ".nfs000001",
        ".model.safetensors.swp",
        ".notes.0123abcd.txt",
        "checkpoint/.keep",
    ]
    others = [tmp_path / "run" / name for name in foreign]
    for path in [*half, *others]:
        path.write_bytes(b"half")
    small(toy(), out=tmp_path / "run", resume=True)
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in others)


def test_no_run_folder():
    with pytest.raises(UserError, match="no run folder"):
        load_model("nowhere")


def _until_finished(out: Path, told: Connection) -> None:
    torch.set_num_threads(1)
    told.send("ready")
    small(toy(), epochs=300, out=out, resume=True)
    told.send("finished")


def killed_until_finished(out: Path, kills: int, seed: int) -> int:
    """Run in a process that is killed with -9 at random moments, then let it end; how many kills hit it running."""
    rng, hit = random.Random(seed), 0
    for attempt in range(kills + 1):
        here, there = Pipe(duplex=False)
        process = forked.begun(_until_finished, out, there)
        there.close()
        assert here.recv() == "ready"
        if attempt < kills:
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
        process.join(120)
        try:
            finished = here.recv() == "finished"
        except EOFError:
            finished = False
        hit += process.exitcode == -signal.SIGKILL and not finished
        assert attempt < kills or finished
    return hit


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_the_weights_are_the_same(tmp_path):
    kills = int(os.environ.get("CROSSBIT_KILLS", "5"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    small(toy(), epochs=300, out=tmp_path / "whole")
    torch.set_num_threads(before)
    assert killed_until_finished(tmp_path / "killed", kills=kills, seed=0) >= kills // 2  # the others came too late
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    assert (tmp_path / "whole/history.jsonl").read_text() == (tmp_path / "killed/history.jsonl").read_text()


@pytest.mark.parametrize("noise", [None, "swap-one:0.5", "shuffle-pairs:0.5"])
def test_the_fingerprint_is_that_of_the_data_as_given(noise):
    assert small(toy(), noise=noise, epochs=1).config["fingerprint"] == fingerprint(toy())
