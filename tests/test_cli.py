"""Every command end to end on tiny data."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.bits import unpack
from crossbit.cli import app, main
from crossbit.cli.output import fitted
from crossbit.methods import Method, get
from crossbit.storage.files import write_json
from crossbit.storage.lines import read_names
from tiny import NAMES, TRAIN, Command, arrays, runner, vectors

VERBS = [
    ["demo"],
    ["train"],
    ["bench"],
    ["evaluate"],
    ["score"],
    ["audit"],
    ["encode"],
    ["index"],
    ["add"],
    ["search"],
    ["serve"],
    ["export"],
    ["features"],
    ["methods"],
    ["data"],
]
DATA_VERBS = [["data", verb] for verb in ("list", "show", "convert", "noise")]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a trained and indexed run, and a picture; tests only add to it."""
    folder = tmp_path_factory.mktemp("cli")
    np.savez(folder / "toy.npz", **arrays())
    np.savez(folder / "vectors.npz", **vectors())
    Image.fromarray(arrays()["image"][0]).save(folder / "query.png")
    assert main(["train", str(folder / "toy.npz"), "--out", str(folder / "run"), *TRAIN]) == 0
    assert main(["index", str(folder / "run")]) == 0
    return folder


def one_json(text: str) -> Any:
    """The JSON object that is all of `text`."""
    value, end = json.JSONDecoder().raw_decode(text)
    assert text[end:] == "\n"
    return value


# --- help -----------------------------------------------------------------------------------------------------------


def test_every_command_is_tested() -> None:
    """The lists above are complete, so each of the tests that use them is."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    names |= {group.name for group in app.registered_groups}
    assert sorted(names) == sorted(words[0] for words in VERBS)


@pytest.mark.parametrize("words", VERBS + DATA_VERBS, ids=" ".join)
def test_help_teaches_by_example(words: list[str], command: Command) -> None:
    ran = command(*words, "--help")
    assert (ran.code, ran.errors) == (0, [])
    _, _, after = ran.out.partition("Example")
    assert re.search(rf"^ *crossbit {' '.join(words)}\b", after, re.MULTILINE)
    assert all(len(line.rstrip()) <= 80 for line in ran.out.splitlines())


@pytest.mark.parametrize("words", [[], ["--help"]], ids=["nothing", "--help"])
def test_top_level_help_shows_the_way(words: list[str], command: Command) -> None:
    ran = command(*words)
    assert ran.code == 0
    shown = re.findall(r"^ +crossbit (\w+)", ran.out, re.MULTILINE)
    assert shown == ["demo", "train", "evaluate", "index", "search", "audit", "serve"]


def test_the_version_is_told(command: Command) -> None:
    assert command("--version").out == f"crossbit {crossbit.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    heavy = ["torch", "numba", "sklearn", "duckdb", "numpy", "PIL"]
    code = (
        f"import sys; from crossbit.cli import main; main(['train', '--help']); print(set({heavy}) & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"


# --- data -----------------------------------------------------------------------------------------------------------


def test_data_list_names_the_built_in_sets(command: Command) -> None:
    assert "glyphs" in command("data", "list").out


def test_data_show(place: Path, command: Command) -> None:
    told = command("data", "show", place / "toy.npz")
    assert "pictures, uint8 (90, 16, 16, 3)" in told.out
    shown = one_json(command("data", "show", place / "toy.npz", "--json").out)
    assert (shown["pairs"], shown["splits"]["query"], shown["label_names"]) == (90, 15, NAMES)


def test_data_convert_to_a_folder_and_back(place: Path, tmp_path: Path, command: Command) -> None:
    assert command("data", "convert", place / "toy.npz", tmp_path / "folder").code == 0
    assert command("data", "convert", tmp_path / "folder", tmp_path / "back.npz").code == 0
    before, after = np.load(place / "toy.npz"), np.load(tmp_path / "back.npz")
    assert sorted(before) == sorted(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_data_convert_to_vectors_keeps_what_training_would_see(place: Path, tmp_path: Path, command: Command) -> None:
    assert command("data", "convert", place / "toy.npz", tmp_path / "v.npz", "--vectors").code == 0
    data, converted = crossbit.load_data(place / "toy.npz"), crossbit.load_data(tmp_path / "v.npz")
    featurisers = crossbit.load_model(place / "run").featurisers
    for modality in ("image", "text"):
        assert converted.kind(modality) == "vectors"
        np.testing.assert_array_equal(converted[modality], featurisers[modality].transform(data[modality]))
    assert converted.caption is not None
    assert converted.caption.tolist() == data["text"].tolist()
    assert converted.label_names == NAMES


def test_data_noise_changes_what_training_sees(place: Path, tmp_path: Path, command: Command) -> None:
    assert command("data", "noise", place / "toy.npz", "swap-one:0.5", tmp_path / "noisy.npz").code == 0
    noisy = crossbit.load_data(tmp_path / "noisy.npz")
    observed, label = noisy.train.observed(), noisy.train.label
    assert observed is not None
    assert label is not None
    assert (observed != label).any(axis=1).sum() == len(noisy.train) // 2
    np.testing.assert_array_equal(label, crossbit.load_data(place / "toy.npz").train.label)


def test_data_noise_per_group(place: Path, tmp_path: Path, command: Command) -> None:
    ran = command("data", "noise", place / "toy.npz", "swap-one:0.5:group", tmp_path / "noisy.npz")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "has no groups for noise 'swap-one:0.5:group'" in ran.errors[0]
    assert command("train", place / "toy.npz", "--noise", "swap-one:0.5:group", "--out", tmp_path / "run").code == 2
    held = vectors(group=np.arange(60) // 4)
    np.savez(tmp_path / "grouped.npz", **held)
    assert command("data", "noise", tmp_path / "grouped.npz", "swap-one:1:group", tmp_path / "noisy").code == 0
    noisy = crossbit.load_data(tmp_path / "noisy")
    np.testing.assert_array_equal(noisy.group, held["group"])
    seen = set(zip(noisy.train.group, noisy.train.label, noisy.train.observed(), strict=True))
    assert len(seen) == len({(group, label) for group, label, _ in seen})
    ran = command("data", "show", tmp_path / "noisy")
    assert "15 of 4 to 4 pairs" in ran.out
    ran = command("train", tmp_path / "noisy", "--noise", "resample:0.5:group", "--out", tmp_path / "run", *TRAIN)
    assert ran.code == 0


def test_data_noise_leaves_wrong_pairs_to_training(place: Path, tmp_path: Path, command: Command) -> None:
    ran = command("data", "noise", place / "toy.npz", "shuffle-pairs:0.5", tmp_path / "noisy.npz")
    assert ran.code == 2
    assert "train --noise shuffle-pairs:0.5" in ran.errors[0]


# --- train and evaluate ---------------------------------------------------------------------------------------------


def test_train_tells_figures_with_their_protocol_and_what_comes_next(
    place: Path, tmp_path: Path, command: Command
) -> None:
    ran = command("train", place / "vectors.npz", "--out", tmp_path / "run", *TRAIN[:-1])
    assert ran.code == 0
    assert "ties=expected, empty=skip" in ran.out
    assert "15 queries against a database of 45" in ran.out
    assert f"crossbit index {tmp_path / 'run'}" in ran.out
    assert any("epoch 1/1" in line for line in ran.errors)


def test_train_quietly_says_nothing(place: Path, tmp_path: Path, command: Command) -> None:
    ran = command("train", place / "vectors.npz", "--out", tmp_path / "run", *TRAIN)
    assert (ran.code, ran.out, ran.errors) == (0, "", [])


def test_evaluate_finds_the_data_and_repeats_the_report(place: Path, command: Command) -> None:
    shown = one_json(command("evaluate", place / "run", "--json").out)
    assert {"data", "method", "bits", "map", "protocol", "seconds"} <= set(shown)
    assert set(shown["map"]) == {"image->text", "text->image"}
    assert {"k", "ties", "empty", "queries", "database"} <= set(shown["protocol"])
    again = one_json(command("evaluate", place / "run", "--data", place / "toy.npz", "--json").out)
    report = json.loads((place / "run" / "report.json").read_text(encoding="utf-8"))
    assert report.pop("held_out")  # of the training
    without_times = [{key: value for key, value in each.items() if key != "seconds"} for each in (shown, again, report)]
    assert without_times[0] == without_times[1] == without_times[2]


def test_evaluate_is_the_same_from_another_folder(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert command("train", "vectors.npz", "--out", tmp_path / "run", *TRAIN).code == 0
    monkeypatch.chdir(tmp_path)
    assert command("evaluate", "run").code == 0


def test_evaluate_choices_reach_the_protocol(place: Path, command: Command) -> None:
    words = ["--database", "query", "-k", "5", "--cutoff", "topk", "--ties", "index", "--empty", "zero"]
    protocol = one_json(command("evaluate", place / "run", *words, "--json").out)["protocol"]
    chosen = {"database": "query", "k": 5, "cutoff": "topk", "ties": "index", "empty": "zero", "queries": 15}
    assert {key: protocol[key] for key in chosen} == chosen


def test_evaluate_keeps_the_split_of_the_run(place: Path, tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "mine.npz", **vectors())
    assert command("train", tmp_path / "mine.npz", "--out", tmp_path / "run", *TRAIN).code == 0
    before = one_json(command("evaluate", tmp_path / "run", "--json").out)["map"]
    rows = np.arange(60)[::-1]
    np.savez(tmp_path / "mine.npz", **vectors(query=rows[:15], train=rows[15:45], retrieval=rows[15:]))
    assert one_json(command("evaluate", tmp_path / "run", "--json").out)["map"] == before
    assert command("evaluate", tmp_path / "run", "--data", tmp_path / "mine.npz").code == 0


@pytest.mark.slow
def test_without_a_method_the_data_decide(place: Path, tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "bare.npz", **vectors(label=None))
    np.savez(tmp_path / "half.npz", **vectors(label=None, label_image=vectors()["label"]))
    small = TRAIN[2:-1]
    for data, method, why in (
        (place / "vectors.npz", "look", "there are labels, and it repairs what looks wrong"),
        (tmp_path / "bare.npz", "look", "no training row has a label, and it learns from the pairs"),
        (tmp_path / "half.npz", "ucch", "text has no labels, though others have"),
    ):
        run = tmp_path / f"run-{data.stem}"
        ran = command("train", data, "--out", run, *small)
        assert ran.code == 0, ran.errors
        assert (" audit " in ran.out) == (data.stem == "vectors")
        assert [line for line in ran.errors if "none was named" in line] == [
            f"method {method}, as none was named: {why}"
        ]
        assert json.loads((run / "config.json").read_text(encoding="utf-8"))["method"] == method
    ran = command("train", place / "vectors.npz", "--out", tmp_path / "third", *small, "--bits", "12")
    assert (ran.code, len(ran.errors)) == (2, 1)


def test_the_seed_decides(place: Path, tmp_path: Path, command: Command) -> None:
    for run, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        words = ["--noise", "swap-one:0.5", "--seed", seed, *TRAIN]
        assert command("train", place / "vectors.npz", "--out", tmp_path / run, *words).code == 0
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in "abc"]
    figures = [(tmp_path / run / "history.jsonl").read_text(encoding="utf-8") for run in "abc"]
    noise = [np.load(tmp_path / run / "data.npz")["noise_mask"].tolist() for run in "abc"]
    for same in (weights, figures, noise):
        assert same[0] == same[1] != same[2]


def test_ctrl_c_keeps_the_last_finished_epoch(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", place / "vectors.npz", "--out", tmp_path / "run", *TRAIN, "--epochs", "3"]
    train_epoch = get("nrch").train_epoch

    def interrupted(self: Method, view: Any) -> dict[str, Any]:
        if view.epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(self, view)

    with monkeypatch.context() as patched:
        patched.setattr(get("nrch"), "train_epoch", interrupted)
        ran = command(*words)
    assert ran.code == 130
    assert len(ran.errors) == 1
    assert "--resume" in ran.errors[0]
    assert len(crossbit.load_model(tmp_path / "run").history) == 1
    assert command(*words, "--resume").code == 0
    assert len(crossbit.load_model(tmp_path / "run").history) == 3


def test_ctrl_c_before_anything_was_finished(place: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crossbit.evaluation.encoded.score_codes", interrupted)
    ran = command("evaluate", place / "run", "--json")
    assert (ran.code, ran.out, ran.errors) == (130, "", ["crossbit: interrupted; nothing was written"])


# --- encode, score, index, search -----------------------------------------------------------------------------------


def test_encode_and_score_agree_with_evaluate(place: Path, tmp_path: Path, command: Command) -> None:
    data = crossbit.load_data(place / "toy.npz")
    codes: dict[str, Any] = {"query_label": data.query.label, "retrieval_label": data.retrieval.label}
    for modality in ("image", "text"):
        out = tmp_path / f"{modality}.npy"
        assert command("encode", place / "run", place / "toy.npz", "--modality", modality, "--out", out).code == 0
        encoded = np.load(out)
        assert (encoded.dtype, encoded.shape) == (np.uint8, (90, 2))
        codes |= {
            f"query_{modality}": encoded[data.query.index],
            f"retrieval_{modality}": encoded[data.retrieval.index],
        }
    np.savez(tmp_path / "codes.npz", **codes)
    scored = one_json(command("score", tmp_path / "codes.npz", "--ties", "index", "--json").out)
    evaluated = one_json(command("evaluate", place / "run", "--ties", "index", "--json").out)
    assert scored["map"] == evaluated["map"]
    assert evaluated["protocol"] == {**scored["protocol"], "selection": "last epoch"}


def codes_file(place: Path, folder: Path) -> Path:
    """A stranger's codes of the toy set: -1 and +1, one bit an entry."""
    data, model = crossbit.load_data(place / "toy.npz"), crossbit.load_model(place / "run")
    given: dict[str, Any] = {}
    for side, rows in (("query", data.query), ("retrieval", data.retrieval)):
        given |= {
            f"{side}_{modality}": unpack(model.encode(modality, rows[modality])) for modality in ("image", "text")
        }
        given[f"{side}_label"] = rows.label
    np.savez(folder / "codes.npz", **given)
    return folder / "codes.npz"


def test_score_shows_the_usual_figures_beside_the_tie_aware_ones(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    codes = codes_file(place, tmp_path)
    shown = command("score", codes, "--measure", "P@5", "--measure", "P@radius2", "--curves").out
    figures = one_json(command("score", codes, "--measure", "P@5", "--json").out)["figures"]
    assert list(figures) == [
        "mAP@all(ties=index, empty=skip)",
        "mAP@all(ties=expected, empty=skip)",
        "P@5(ties=index, empty=zero)",
        "P@5(ties=expected, empty=zero)",
    ]
    moved = []
    for name, empty in (("mAP@all", "skip"), ("P@5", "zero")):
        index, expected = (figures[f"{name}(ties={ties}, empty={empty})"] for ties in ("index", "expected"))
        table = shown.split(f"{name}(empty={empty})   ties=index   ties=expected   moved by ties")[1]
        for way, value in index.items():
            row = [way, f"{value:.4f}", f"{expected[way]:.4f}", f"{value - expected[way]:+.4f}"]
            assert row in [line.split() for line in table.splitlines()]
            moved += [abs(value - expected[way])] if name == "mAP@all" else []
    assert (
        f"mAP@all(empty=skip): the order of the database moves it by {max(moved):.4f}; the order inside ties" in shown
    )
    for name in ("P@radius2(empty=zero)", "PR by radius(average=micro)", "precision@N(ties=expected, empty=zero)"):
        assert name in shown
    assert "quality of the database's codes" in shown


def test_score_without_an_expected_value_shows_what_there_is(place: Path, tmp_path: Path, command: Command) -> None:
    words = ["-k", "5", "--cutoff", "first-k-relevant", "--ties", "index"]
    ran = command("score", codes_file(place, tmp_path), *words)
    assert ran.code == 0
    assert "mAP@5(cutoff=first-k-relevant, empty=skip)" in " ".join(ran.out.split())
    assert "moves it by" not in ran.out
    assert "could move it by" in ran.out


def test_further_measures_of_a_run(place: Path, command: Command) -> None:
    words = ["--measure", "hit@3(correct=pair)", "--measure", "NDCG@5", "--database", "query"]
    report = one_json(command("evaluate", place / "run", *words, "--curves", "--json").out)
    names = ["hit@3(correct=pair, ties=expected, empty=zero)", "NDCG@5(ties=expected, empty=zero)"]
    assert list(report["figures"]) == names
    assert report["curves"]["PR by radius"]["text->image"]["radius"] == list(range(17))
    shown = command("evaluate", place / "run", *words).out
    rows = [line.split() for line in shown.splitlines()]
    for name in names:
        values = [f"{report['figures'][name][way]:.4f}" for way in ("image->text", "text->image")]
        assert [*name.split(), *values] in rows
    assert "quality of the database's codes" not in shown
    assert "quality of the database's codes" in command("evaluate", place / "run", "--curves").out


@pytest.mark.parametrize("verb", ["evaluate", "score"])
def test_a_mistaken_measure_is_refused_before_the_work(verb: str, tmp_path: Path, command: Command) -> None:
    ran = command(verb, tmp_path / "none", "--measure", "P@5", "--measure", "ndgc@5")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown measure 'ndgc@5'; did you mean 'NDCG@5'?" in ran.errors[0]


def test_encode_reads_lines_of_text(place: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "texts.txt").write_text("level bar\nslanted line\n", encoding="utf-8")
    words = ["--modality", "text", "--out", tmp_path / "codes.npy"]
    assert command("encode", place / "run", tmp_path / "texts.txt", *words).code == 0
    expected = crossbit.load_model(place / "run").encode("text", ["level bar", "slanted line"])
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


@pytest.mark.parametrize("other", ["\u2028", "\x85", "\v", "\f", "\x1e"])
def test_a_text_is_a_line_whatever_stands_in_it(place: Path, tmp_path: Path, command: Command, other: str) -> None:
    (tmp_path / "texts.txt").write_text(f"level{other}bar\r\nslanted line\n", encoding="utf-8-sig", newline="")
    words = ["--modality", "text", "--out", tmp_path / "codes.npy"]
    assert command("encode", place / "run", tmp_path / "texts.txt", *words).code == 0
    expected = crossbit.load_model(place / "run").encode("text", [f"level{other}bar", "slanted line"])
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


def test_encode_reads_arrays(place: Path, tmp_path: Path, command: Command) -> None:
    pictures = arrays()["image"][:4]
    np.save(tmp_path / "pictures.npy", pictures)
    words = ["--modality", "image", "--out", tmp_path / "codes.npy"]
    assert command("encode", place / "run", tmp_path / "pictures.npy", *words).code == 0
    expected = crossbit.load_model(place / "run").encode("image", pictures)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


def test_encode_writes_the_real_vectors_if_asked(place: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "texts.txt").write_text("level bar\nslanted line\n", encoding="utf-8")
    words = ["--modality", "text", "--out", tmp_path / "vectors.npy", "--real"]
    assert "2 real vectors of length 16" in command("encode", place / "run", tmp_path / "texts.txt", *words).out
    expected = crossbit.load_model(place / "run").embed("text", ["level bar", "slanted line"])
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), expected)
    with Image.open(place / "query.png") as picture:
        (tmp_path / "photos").mkdir()
        picture.save(tmp_path / "photos" / "a.png")
    words = ["--modality", "image", "--out", tmp_path / "image.npy", "--real"]
    assert command("encode", place / "run", tmp_path / "photos", *words).code == 0
    assert (np.load(tmp_path / "image.npy").dtype, np.load(tmp_path / "image.npy").shape) == (np.float32, (1, 16))


@pytest.mark.slow
def test_a_method_of_real_vectors_says_so(place: Path, tmp_path: Path, command: Command) -> None:
    run = tmp_path / "mrl"
    small = ["--method", "mrl", "--bits", "16", "--epochs", "1", "--set", "width=16"]
    assert command("train", place / "vectors.npz", *small, "--out", run).code == 0
    evaluated = command("evaluate", run)
    assert "metric=cosine" in evaluated.out
    assert "their signs as codes, by Hamming distance" in evaluated.out
    np.save(tmp_path / "x.npy", vectors()["image"][:2])
    words = ["--modality", "image", "--out", tmp_path / "codes.npy"]
    assert "--real writes the vectors" in command("encode", run, tmp_path / "x.npy", *words).errors[0]
    assert "their signs are indexed" in command("index", run).errors[0]


@pytest.mark.slow
def test_encode_of_a_folder_says_what_it_leaves_out(place: Path, tmp_path: Path, command: Command) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    for name, picture in zip(("a", "sub/b"), arrays()["image"], strict=False):
        Image.fromarray(picture).save(photos / f"{name}.png")
    for name in ("aa.jpg", "notes.txt", "sub/notes.md", ".DS_Store"):
        (photos / name).write_text("not a picture", encoding="utf-8")
    Image.new("1", (12_000, 9_000)).save(photos / "wide.png")
    ran = command("encode", place / "run", photos, "--modality", "image", "--out", tmp_path / "codes.npy")
    assert ran.code == 0
    named, large, counted = ran.errors  # what does not look like a picture is counted and no more
    assert named.startswith(f"left out: {photos / 'aa.jpg'} is not a picture; ")
    assert large.endswith(
        "108,000,000 in all, and the limit is 100,000,000; set CROSSBIT_MAX_PIXELS=108000000 to read it"
    )
    expected = "left out 5: 1 hidden (.DS_Store), 3 not a picture (such as aa.jpg), 1 too large (wide.png)"
    assert counted == expected
    assert (tmp_path / "codes.txt").read_text(encoding="utf-8") == "a.png\nsub/b.png\n"
    expected = crossbit.load_model(place / "run").encode("image", arrays()["image"][:2])
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


def test_an_index_is_checked(place: Path, tmp_path: Path, command: Command) -> None:
    """A damaged one is told in a line, and left as it is."""
    assert "is whole" in command("index", place / "run", "--check").out
    shutil.copytree(place / "run", tmp_path / "run")
    segment = tmp_path / "run" / "index" / "image.embeddings" / "000001.npy"
    np.save(segment, -np.load(segment))
    ran = command("index", tmp_path / "run", "--check")
    assert (ran.code, ran.errors) == (1, [])
    assert "has other signs than its code" in ran.out
    assert len(ran.out.splitlines()) == 1
    assert (
        "make it with: crossbit index RUN" in command("index", place / "run", "--check", "--uri", tmp_path / "gone").out
    )


def test_encode_of_a_folder_with_names_of_any_bytes(place: Path, tmp_path: Path, command: Command) -> None:
    names = [os.fsdecode(name) for name in (b"a.png", b"b\nc.png", b"caf\xe9.png")]
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9")
    folder.mkdir()
    for name, picture in zip(names, arrays()["image"], strict=False):
        Image.fromarray(picture).save(folder / name)
    out = tmp_path / os.fsdecode(b"\xe9.npy")
    ran = command("encode", place / "run", folder, "--modality", "image", "--out", out)
    assert (ran.code, ran.errors) == (0, [])
    assert read_names(out.with_suffix(".txt")) == names
    assert len(np.load(out)) == 3


def test_index_says_what_it_holds_and_keeps_progress_apart(place: Path, tmp_path: Path, command: Command) -> None:
    ran = command("index", place / "run", place / "toy.npz", "--uri", tmp_path / "other")
    assert ran.code == 0
    assert "75 image codes, 75 text codes" in ran.out
    assert ran.errors == ["image: 75 of 75 encoded", "text: 75 of 75 encoded"]
    found = one_json(command("search", place / "run", "bar", "--uri", tmp_path / "other", "--json").out)
    assert len(found["hits"]["image"]) == 10


def test_search_by_words(place: Path, command: Command) -> None:
    found = one_json(command("search", place / "run", "slanted line", "-k", "4", "--json").out)
    assert (found["query"], found["compared"], found["exact"]) == ("slanted line", 75, True)
    hits = found["hits"]["image"]
    assert len(hits) == 4
    assert all({"row", "caption", "labels"} == set(hit["item"]) for hit in hits)
    assert min(hit["item"]["row"] for hit in hits) >= 15
    shown = command("search", place / "run", "slanted line", "-k", "4").out.splitlines()
    assert all(hit["item"]["caption"] in line for hit, line in zip(hits, shown[2:], strict=True))


@pytest.mark.parametrize("rerank", [True, False])
def test_search_shows_what_it_ordered_by(place: Path, command: Command, rerank: bool) -> None:
    words = ["search", place / "run", "slanted line", "-k", "75", "--by", "codes"]
    words += [] if rerank else ["--no-rerank"]
    hits = one_json(command(*words, "--json").out)["hits"]["image"]
    assert [hit["cosine"] is None for hit in hits] == [not rerank] * 75
    order = [(hit["distance"], hit["id"]) for hit in hits]
    assert (order == sorted(order)) is not rerank
    title, head, *lines = command(*words).out.splitlines()
    assert title == "image: 75 by codes" + ("; codes are re-ranked by cosine of the embeddings" if rerank else "")
    assert head.split() == ["rank", "id", "dist", "cosine", "by"]
    for rank, (hit, line) in enumerate(zip(hits, lines, strict=True), start=1):
        shown = line.split()
        assert shown[:3] == [str(rank), str(hit["id"]), str(hit["distance"])]
        if rerank:
            assert float(shown[3]) == pytest.approx(hit["cosine"], abs=6e-4)


def test_search_says_which_way_found_what(place: Path, command: Command) -> None:
    for by, title in (("words", "image: 4 by words"), ("both", "image: 4 by codes and words")):
        ran = command("search", place / "run", "a bar", "-k", "4", "--by", by)
        assert ran.out.startswith(title)
        assert all(by in line.split() for line in ran.out.splitlines()[2:])
    picture = ("search", place / "run", "--image", place / "query.png", "-k", "4")
    for by, title in (("codes", "by codes;"), ("pictures", "by pictures;"), ("both", "by codes and pictures")):
        ran = command(*picture, "--by", by)
        assert ran.out.startswith("text: ") and title in ran.out.splitlines()[0]
    assert command(*picture).out == ran.out  # both are the default
    for by, order in (("pictures", "the picture cosine"), ("both", "the mean of text and picture cosine")):
        hits = one_json(command(*picture, "--by", by, "--json").out)["hits"]["text"]
        title, head, *lines = command(*picture, "--by", by).out.splitlines()
        assert title.endswith(f"; in the order of {order}")
        assert head.split() == ["rank", "id", "dist", "text", "picture", "by"]
        shown = [[float(number) for number in line.split()[3:5]] for line in lines]
        np.testing.assert_allclose(shown, [[hit["cosine"], hit["picture_cosine"]] for hit in hits], atol=6e-4)
        likeness = [hit["picture_cosine"] + (hit["cosine"] if by == "both" else 0) for hit in hits]
        assert likeness == sorted(likeness, reverse=True) or hits[0]["picture_cosine"] >= 0.999
    refused = command("search", place / "run", "--image", place / "query.png", "--by", "words")
    assert refused.code == 2 and "looked for in captions and labels" in refused.errors[-1]


def test_search_writes_a_sheet_and_opens_it(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    sheet = tmp_path / "found it.html"
    ran = command("search", place / "run", "bar", "-k", "3", "--html", sheet, "--open", "--json")
    assert len(one_json(ran.out)["hits"]["image"]) == 3
    assert sheet.read_text().count("data:image/png") == 3 and opened == [sheet.resolve().as_uri()]
    assert command("search", place / "run", "bar", "--html", sheet).code == 2
    assert "--html found.html --open" in command("search", place / "run", "bar", "--open").errors[-1]


def test_a_hit_fits_its_line_and_keeps_room_for_more_than_its_caption(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.cells import cell_len

    from crossbit.cli.hits import say_hits
    from crossbit.search.results import SearchHit

    item = {"caption": "狐 in the snow, \n" * 20, "labels": ["animal", "fox"], "path": "a/b/fox.jpg"}
    say_hits("image", [SearchHit(2**62, "image", None, None, item, ("fox",), ("words",), 3)])
    line, path = capsys.readouterr().out.splitlines()[-2:]
    assert cell_len(line) <= 80 and line.isprintable() and "...  +3 more" in line
    assert path.split() == ["id", str(2**62), "a/b/fox.jpg"]


def test_a_hit_is_one_line_of_the_terminals_width() -> None:
    from rich.cells import cell_len

    for text in ("a" * 200, "狐" * 100, "two\nlines\tand\x1b[31m" + "b" * 100):
        line = fitted(text)
        assert cell_len(line) in (79, 80)
        assert line.endswith("...")
        assert line.isprintable()
    assert fitted("short") == "short"


def test_search_by_picture_by_both_and_by_item(place: Path, command: Command) -> None:
    picture = ["--image", place / "query.png"]
    found = one_json(command("search", place / "run", *picture, "-k", "3", "--json").out)
    assert {name: len(hits) for name, hits in found["hits"].items()} == {"text": 3}
    both = one_json(command("search", place / "run", "bar", *picture, "-k", "3", "--json").out)
    assert {name: len(hits) for name, hits in both["hits"].items()} == {"image": 3, "text": 3}
    item = one_json(command("search", place / "run", "--item", "20", "-k", "99", "--modality", "text", "--json").out)
    assert {name: len(hits) for name, hits in item["hits"].items()} == {"text": 74}


def test_search_where(place: Path, command: Command) -> None:
    where = "row >= 60 AND list_contains(labels, 'level')"
    found = one_json(command("search", place / "run", "bar", "-k", "99", "--where", where, "--json").out)
    label = arrays()["label"]
    assert sorted(hit["id"] for hit in found["hits"]["image"]) == [row for row in range(60, 90) if label[row, 1]]
    assert "nothing found" in command("search", place / "run", "bar", "--where", "row < 0").out


def test_any_number_of_hits_can_be_asked_for(place: Path, command: Command) -> None:
    found = one_json(command("search", place / "run", "bar", "-k", str(10**30), "--json").out)
    assert len(found["hits"]["image"]) == 75


def photos(folder: Path) -> Path:
    """A folder with a picture, and a text that is none."""
    (folder / "photos").mkdir()
    Image.fromarray(arrays()["image"][0]).save(folder / "photos" / "a.png")
    (folder / "photos" / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder / "photos"


def test_encode_says_what_a_modality_takes(place: Path, tmp_path: Path, command: Command) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    (tmp_path / "texts.txt").write_text("level bar\n", encoding="utf-8")
    for source, modality, told in (
        (photos(tmp_path), "text", "photos holds pictures, and text takes words; take --modality image"),
        (place / "query.png", "text", "query.png holds pictures, and text takes words; take --modality image"),
        (tmp_path / "texts.txt", "image", "texts.txt holds words, and image takes pictures; take --modality text"),
        (tmp_path / "x.npy", "image", "x.npy holds vectors, and image takes pictures; this run was trained on no"),
        (place / "vectors.npz", "text", "vectors.npz holds vectors, and text takes words; this run"),
    ):
        ran = command("encode", place / "run", source, "--modality", modality, "--out", tmp_path / "codes.npy")
        assert (ran.code, len(ran.errors)) == (2, 1)
        assert told in ran.errors[0]
    assert not list(tmp_path.glob("codes*"))


def test_a_folder_of_no_pictures_is_not_said_to_hold_some(place: Path, tmp_path: Path, command: Command) -> None:
    (photos(tmp_path) / "a.png").unlink()
    ran = command("encode", place / "run", tmp_path / "photos", "--modality", "text", "--out", tmp_path / "codes.npy")
    assert ran.code == 2
    assert ran.errors[-1].endswith("photos holds no picture that can be read, among 1 files")


def test_encode_knows_the_modality_before_it_reads(place: Path, tmp_path: Path, command: Command) -> None:
    words = ["--modality", "pictures", "--out", tmp_path / "codes.npy"]
    for source in (photos(tmp_path), tmp_path / "missing.npy"):
        ran = command("encode", place / "run", source, *words)
        assert (ran.code, ran.errors) == (2, ["crossbit: error: unknown modality 'pictures'; known: image, text"])


@pytest.mark.parametrize(
    ("device", "why"), [("mps", "PyTorch finds none on this machine"), ("gpux", "it is none of auto, cpu")]
)
def test_a_device_that_is_not_there(place: Path, tmp_path: Path, command: Command, device: str, why: str) -> None:
    ran = command("train", place / "vectors.npz", "--out", tmp_path / "run", "--device", device, *TRAIN)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert f"device '{device}' cannot be used: {why}" in ran.errors[0]
    assert "Accelerator" not in ran.errors[0]
    assert not (tmp_path / "run").exists()


def test_resume_says_that_there_is_nothing_to_resume(place: Path, tmp_path: Path, command: Command) -> None:
    words = ["train", place / "vectors.npz", "--out", tmp_path / "run", *TRAIN, "--resume"]
    first, again = command(*words), command(*words)
    assert (first.code, again.code) == (0, 0)
    assert first.errors == [f"there is nothing to resume in {tmp_path / 'run'}; training begins anew"]
    assert again.errors == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that is there and takes no files")
def test_a_folder_that_takes_no_files_is_named(place: Path, command: Command) -> None:
    ran = command("train", place / "vectors.npz", "--out", "/proc/z", *TRAIN)
    assert ran.code == 2
    assert "cannot write /proc/z: /proc: nothing can be made there; choose another path" in ran.errors[0]


@pytest.mark.parametrize(("name", "written"), [("label", "lables"), ("train", "trian")])
def test_a_misspelt_array_is_told_of(tmp_path: Path, command: Command, name: str, written: str) -> None:
    held = arrays()
    held[written] = held.pop(name)
    np.savez(tmp_path / "mine.npz", **held)
    ran = command("data", "show", tmp_path / "mine.npz")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert f"an array is called '{written}'; did you mean '{name}'?" in ran.errors[0]


def test_modalities_may_be_called_nearly_like_what_is_there(tmp_path: Path, command: Command) -> None:
    held = arrays()
    held["captions"], held["labels2"] = held.pop("text"), vectors(90)["image"]
    np.savez(tmp_path / "mine.npz", **held)
    shown = one_json(command("data", "show", tmp_path / "mine.npz", "--json").out)
    assert list(shown["modalities"]) == ["image", "captions", "labels2"]


def test_evaluate_says_how_the_epoch_was_chosen(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\nmodel of the last epoch\n" in command("evaluate", place / "run").out
    train_epoch = get("nrch").train_epoch

    def interrupted(self: Method, view: Any) -> dict[str, Any]:
        if view.epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(self, view)

    monkeypatch.setattr(get("nrch"), "train_epoch", interrupted)
    words = ["train", place / "vectors.npz", "--out", tmp_path / "run", *TRAIN, "--epochs", "3"]
    assert command(*words).code == 130
    told = "model of the last epoch, interrupted after 1 of 3 epochs"
    assert told in command("evaluate", tmp_path / "run").out.splitlines()
    report = crossbit.evaluate(crossbit.load_model(tmp_path / "run"), crossbit.load_data(place / "vectors.npz"))
    assert told in str(report).splitlines()


# --- methods, and the line itself -----------------------------------------------------------------------------------


def test_methods_lists_and_explains(command: Command) -> None:
    assert "nrch" in command("methods").out
    assert "nrch" in one_json(command("methods", "--json").out)["methods"]
    settings = one_json(command("methods", "nrch", "--json").out)["settings"]
    width = next(each for each in settings if each["name"] == "width")
    assert (width["default"], width["paper"]) == (512, 8192)
    assert "width" in command("methods", "nrch").out


def test_every_setting_is_explained(command: Command) -> None:
    for name in one_json(command("methods", "--json").out)["methods"]:
        settings = one_json(command("methods", name, "--json").out)["settings"]
        assert [each["name"] for each in settings if not each["meaning"]] == []


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        words = [sys.executable, "-m", "crossbit", "data", "list"]
        ran = subprocess.run(words, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_the_demo_says_where_its_report_is_and_how_to_go_on(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def run_demo(out: Path, **choices: Any) -> Path:
        called.append(choices.pop("call"))
        assert choices == {"noise": "swap-one:0.2", "seed": 3, "resume": False}
        hits = [{"text": "digit two", "own": True}, {"text": "digit two", "own": True}, {"text": "two", "own": False}]
        queries = [{"of": "words", "text": "digit two", "found": {"LOOK": hits}}]
        cells = {"LOOK": {"P@10": [0.75, 0.5]}, "chance": {"P@10": [0.25, 0.125]}}
        write_json(out / "report.json", {"reports": {"LOOK": {}}, "table": cells, "queries": queries})
        return out / "report.html"

    monkeypatch.setattr("crossbit.demo.run_demo", run_demo)
    ran = command("demo", "--out", tmp_path / "my demo", "--noise", "swap-one:0.2", "--seed", "3")
    assert ran.code == 0
    shown, _, rest = ran.out.partition(str(tmp_path / "my demo" / "report.html"))
    assert rest
    assert [line.strip() for line in shown.splitlines()][3:5] == ["digit two", "*digit two, two"]
    assert re.search(r"LOOK +0\.750\n", shown) and re.search(r"chance +0\.250\n", shown)
    lines = [shlex.split(line) for line in ran.out.partition("next:")[2].splitlines() if line]
    assert [words[words.index("search") :][:2] for words in lines[:2]] == [
        ["search", str(tmp_path / "my demo" / "run")]
    ] * 2
    assert lines[0][-1] == "digit two"
    assert [words[-2] for words in lines[2:]] == ["audit", "--ties"]
    assert [words[: len(shlex.split(called[0]))] for words in lines] == [shlex.split(called[0])] * 4  # as on its page
