"""`crossbit export --web` without a browser: what is written, and what is refused. tests/page has it in one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossbit.cli import main
from crossbit.errors import UserError
from crossbit.export import export_run
from crossbit.export.web import CHARACTERS, _ranges, _write_pictures, check_web
from crossbit.features.as_is import AsIsFeaturiser
from crossbit.search.searcher import open_for_one
from crossbit.storage.words import letter_class
from tiny import TRAIN, arrays


def model(**featurisers: Any) -> Any:
    return SimpleNamespace(featurisers=featurisers, modalities=list(featurisers))


def test_what_no_browser_runs_is_refused_with_what_to_train() -> None:
    pictures, texts = SimpleNamespace(reads="pictures", name="hog"), SimpleNamespace(reads="words", name="e5")
    with pytest.raises(UserError, match=r"no browser runs e5, .* train with: --features caption=words"):
        check_web(model(image=pictures, caption=texts))
    with pytest.raises(UserError, match="searches by words or by vectors, and this model reads neither"):
        check_web(model(image=pictures, other=pictures))
    check_web(model(image=pictures, other=AsIsFeaturiser(3)))


def test_classes_of_characters_come_back_from_their_ranges() -> None:
    held = {kind: iter(zip(ends[::2], ends[1::2], strict=True)) for kind, ends in _ranges(letter_class).items()}
    found = {code: kind for kind, runs in held.items() for first, last in runs for code in range(first, last + 1)}
    assert sorted(found) == list(CHARACTERS)
    assert all(found[code] == letter_class(code) for code in CHARACTERS)


def test_pictures_that_came_through_a_service_are_on_the_page(tmp_path: Path) -> None:
    added = tmp_path / "run" / "added"
    added.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(added / "a.png")
    items = [{"path": "added/gone.png"}, {"path": "added/a.png"}, {"path": "a.png"}, {}]
    assert _write_pictures(tmp_path / "web", items, None, added) == [1]
    assert (tmp_path / "web" / "pictures" / "0" / "1.webp").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    np.savez(folder / "pairs.npz", **arrays())
    assert main(["train", str(folder / "pairs.npz"), "--out", str(folder / "run"), *TRAIN]) == 0
    assert main(["index", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.slow
def test_the_files_hold_the_index_and_the_pictures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "--out", str(tmp_path / "taken"), "--web"]) == 0
    page = tmp_path / "taken" / "web"
    said = capsys.readouterr().out
    assert f"{page} is a page of 75 items" in said and "python -m http.server --bind 127.0.0.1" in said
    about, items = (json.loads((page / f"{name}.json").read_text()) for name in ("page", "items"))
    assert about == {
        "data": "pairs.npz",
        "bits": 16,
        "reads": "words",
        "dim": about["dim"],
        "items": 75,
        "pictures": "all",
    }
    with open_for_one(tmp_path / "taken") as search:
        index = search.opened("image").index
        keys = index.keys()
        assert (page / "codes.bin").read_bytes() == index.codes_of(keys).tobytes()
        held = index.items(keys)
    assert items["ids"] == [str(key) for key in keys] and items["things"] is None
    assert items["captions"] == [held[key]["caption"] for key in keys.tolist()]
    labels = [[items["names"][number] for number in each] for each in items["labels"]]
    assert [set(each) for each in labels] == [set(held[key]["labels"]) for key in keys.tolist()]
    row = held[int(keys[7])]["row"]
    with Image.open(page / "pictures" / "0" / "7.webp") as picture:  # without loss: it is small
        assert np.array_equal(np.asarray(picture.convert("RGB")), arrays()["image"][row])
    card = json.loads((tmp_path / "taken" / "card.json").read_text())["export"]["web"]
    assert (card["items"], card["pictures"]) == (75, 75)
    sizes = sum(file.stat().st_size for file in page.rglob("*") if file.is_file())
    assert card["bytes"] + card["picture_bytes"] == sizes


@pytest.mark.slow
def test_a_page_is_made_of_an_exported_folder_too_without_pictures(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "taken", integer=True)
    assert not (tmp_path / "taken" / "web").exists()
    card = export_run(tmp_path / "taken", tmp_path / "again", web=True)  # which has no data, so no pictures
    assert card["export"]["web"]["pictures"] == 0
    assert json.loads((tmp_path / "again" / "web" / "page.json").read_text())["pictures"] == []
    export_run(run, tmp_path / "plain")
    with pytest.raises(UserError, match="without encoders in whole numbers"):
        export_run(tmp_path / "plain", tmp_path / "more", web=True)
    export_run(run, tmp_path / "again", web=False)  # takes the place of one with a page
    assert not (tmp_path / "again" / "web").exists()
