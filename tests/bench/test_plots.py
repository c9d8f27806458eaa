"""The plots of a bench: drawn only along what varies, the same bytes every time, one colour a method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.bench.report.cells import Row
from crossbit.bench.report.plots import _time_points, draw
from crossbit.bench.report.style import COLOURS, FLOOR, look
from crossbit.bench.work.store import Result, run_folder
from crossbit.methods import available
from crossbit.storage.files import write_json

MAP = "mAP@all(ties=expected, empty=skip)"


def run(method: str, seed: int = 0, bits: int = 32, noise: str = "none", rate: float = 0.0, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "id": f"{method}-{bits}-{noise}_{rate}-s{seed}-{changes.get('variant', '')}",
        "status": "done",
        "reason": "",
        "data": "toy",
        "variant": "",
        "settings": {},
        "each": False,
        "epochs": 1,
        "selection": "last epoch",
        "seconds": {"train": 10.0},
        "figures": [{"database": "retrieval", "direction": "image->text", "measure": MAP, "value": 0.5 + rate / 9}],
        "history": [],
        "machine": {},
    }
    given = {"method": method, "seed": seed, "bits": bits, "noise": noise, "rate": rate}
    return Result(**{**fields, **given, **changes})


def names(paths: Sequence[Path]) -> list[str]:
    """The plots that were drawn, each as PNG and SVG."""
    assert all(path.stat().st_size for path in paths)
    by_ending = [sorted(path.stem for path in paths if path.suffix == ending) for ending in (".png", ".svg")]
    assert by_ending[0] == by_ending[1] and len(paths) == 2 * len(by_ending[0])
    return by_ending[0]


def words(out: Path, name: str) -> str:
    """All that is written in a plot, which the SVG keeps as text."""
    text = (out / "plots" / f"{name}.svg").read_text(encoding="utf-8")
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", text)).replace("&gt;", ">")


def test_nothing_is_drawn_where_nothing_varies(tmp_path: Path) -> None:
    assert draw(tmp_path, [run("nrch"), run("ucch")]) == []
    assert draw(tmp_path, []) == []
    failed = run("nrch", status="failed", figures=[], seconds={})
    assert draw(tmp_path, [failed]) == []


def test_noise_has_a_panel_a_rule_that_begins_with_clean(tmp_path: Path) -> None:
    noisy = [run("nrch", s, noise=n, rate=r) for s in (0, 1) for n, r in (("swap-one", 0.5), ("resample", 0.2))]
    failed = run("mrl", status="failed", figures=[], seconds={})
    assert names(draw(tmp_path, [run("nrch"), failed, run("nrch", 1), *noisy])) == [
        "map-against-noise-toy-retrieval-32"
    ]
    text = words(tmp_path, "map-against-noise-toy-retrieval-32")
    assert "swap-one, image → text" in text and "resample, image → text" in text
    assert "rate of swap-one" in text and MAP in text and "mean of 2 seeds" in text and "at 32 bits" in text


@pytest.mark.slow
def test_noise_per_group_has_a_panel_of_its_own(tmp_path: Path) -> None:
    noisy = [run("nrch", noise="swap-one", rate=r, grouped=g) for g in (False, True) for r in (0.2, 0.5)]
    draw(tmp_path, [run("nrch"), *noisy])
    text = words(tmp_path, "map-against-noise-toy-retrieval-32")
    assert "rate of swap-one " in text and "rate of swap-one group" in text


@pytest.mark.slow
def test_bits_are_drawn_at_one_noise(tmp_path: Path) -> None:
    results = [run(method, bits=bits, noise="swap-one", rate=0.5) for bits in (16, 64) for method in ("nrch", "ucch")]
    assert names(draw(tmp_path, results)) == ["map-against-bits-toy-retrieval-swap-one_0.5"]
    text = words(tmp_path, "map-against-bits-toy-retrieval-swap-one_0.5")
    assert "noise swap-one 0.5" in text and "16 64 bits a code" in text and "nrch" in text and "ucch" in text
    assert "one seed" in text


@pytest.mark.slow
def test_a_variant_at_one_noise_is_no_line(tmp_path: Path) -> None:
    results = [
        run("nrch"),
        run("nrch", noise="swap-one", rate=0.5),
        run("ucch"),
        run("ucch", noise="swap-one", rate=0.5),
    ]
    draw(tmp_path, [*results, run("nrch", noise="swap-one", rate=0.5, variant="no separator")])
    assert "no separator" not in words(tmp_path, "map-against-noise-toy-retrieval-32")


@pytest.mark.slow
def test_time_is_drawn_where_methods_took_different_times(tmp_path: Path) -> None:
    results = [run("nrch"), run("ucch", seconds={"train": 30.0}), run("random", seconds={"train": 0.1})]
    assert names(draw(tmp_path, results)) == ["map-against-time-toy-retrieval-32"]
    text = words(tmp_path, "map-against-time-toy-retrieval-32")
    assert (
        "nrch" in text and "ucch" in text and "random" not in text and "training, seconds" in text and "clean" in text
    )


def test_time_is_that_of_trainings_each_once() -> None:
    clean = run("ucch", seconds={"train": 10.0})
    same = [run("ucch", noise="swap-one", rate=r, seconds=clean.seconds, machine={"same_training_as": clean.id})
            for r in (0.2, 0.5)]  # fmt: skip
    wrong_pairs = run("ucch", noise="shuffle-pairs", rate=0.5, seconds={"train": 40.0})
    points, cells = _time_points([Row("ucch")], [clean, *same, wrong_pairs], "retrieval", MAP)
    assert points[Row("ucch")][0].mean == (10 + 40) / 2
    assert len(cells) == 4


def curves(shift: float, name: str = "") -> dict[str, Any]:
    recall = np.linspace(0.1, 1, 5)
    points = {"precision": (0.9 - 0.4 * recall + shift).tolist()}
    by_radius = {"name": f"PR by radius(average=macro, empty=zero{name})", "recall": recall.tolist(), **points}
    at = {"name": f"precision@N(ties=expected, empty=zero{name})", "n": [1, 5, 10, 20, 50], **points}
    return {"PR by radius": {"image->text": by_radius}, "precision@N": {"image->text": at}}


@pytest.mark.slow
def test_curves_of_the_seeds_are_averaged(tmp_path: Path) -> None:
    results = [run("nrch", seed) for seed in (0, 1)] + [run("mrl")]
    for n, result in enumerate(results):
        made = curves(0.02 * n, ", metric=cosine" if result.method == "mrl" else "")
        write_json(run_folder(tmp_path, result.id) / "curves.json", {"retrieval": made})
    drawn = names(draw(tmp_path, results))
    assert drawn == ["pr-toy-retrieval-32-none", "precision-at-n-toy-retrieval-32-none"]
    text = words(tmp_path, drawn[0])
    assert "by radius, image → text" in text and "recall" in text and "PR by radius(average=macro, empty=zero)" in text
    assert "mrl (cosine)" in text and text.endswith("mrl (cosine) nrch") and "mean of 2 seeds" in text
    assert "first N of the ranking" in words(tmp_path, drawn[1])


def history(slope: float, **more: float) -> list[dict[str, Any]]:
    return [
        {"epoch": e, "loss": slope / e, "seconds": 2.0 * e, **{k: v * e for k, v in more.items()}} for e in (1, 2, 3)
    ]


@pytest.mark.slow
def test_losses_have_a_panel_a_method_and_validation_one_for_all(tmp_path: Path) -> None:
    results = [run("nrch", history=history(3.0)), run("ucch", history=history(5.0)), run("cca-sign", history=[])]
    assert names(draw(tmp_path, results)) == ["loss-toy-32-none"]
    text = words(tmp_path, "loss-toy-32-none")
    assert "nrch" in text and "ucch" in text and "cca-sign" not in text and "do not compare" in text
    results = [
        run("nrch", history=history(3.0, validation_map=0.2)),
        run("ucch", history=history(5.0, validation_map=0.1)),
    ]
    assert "validation-toy-32-none" in names(draw(tmp_path, results))
    assert "by seconds" in words(tmp_path, "validation-toy-32-none")
    assert "1 2 3 epoch" in words(tmp_path, "validation-toy-32-none")  # there is no half epoch


@pytest.mark.slow
def test_variants_are_drawn_with_their_method_and_apart_from_the_others(tmp_path: Path) -> None:
    results = [run("nrch", history=history(3.0)), run("ucch", history=history(5.0))]
    results += [run("nrch", variant="no margin", history=history(4.0))]
    drawn = names(draw(tmp_path, results))
    assert drawn == ["loss-toy-32-none", "loss-toy-32-none-variants_of_nrch"]
    assert "no margin" not in words(tmp_path, drawn[0]) and "ucch" not in words(tmp_path, drawn[1])
    assert "nrch: no margin" in words(tmp_path, drawn[1])


def test_epochs_without_a_loss_are_left_out(tmp_path: Path) -> None:
    lines = [{"epoch": 1, "loss": None, "seconds": 1.0}, {"epoch": 2, "loss": 1.0, "seconds": 2.0}]
    assert draw(tmp_path, [run("nrch", history=lines)]) == []


@pytest.mark.slow
def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    results = [run(method, bits=bits, history=history(2.0)) for bits in (16, 64) for method in ("nrch", "ucch")]
    first = {path.name: path.read_bytes() for path in draw(tmp_path, results)}
    assert first == {path.name: path.read_bytes() for path in draw(tmp_path, results)}
    assert not [name for name, held in first.items() if re.search(rb"<dc:date>|20\d\d-\d\d-\d\dT", held)]


def test_every_method_has_a_colour_of_its_own() -> None:
    looks = {name: look(Row(name)) for name, cls in available().items() if not cls.floor}
    assert len({how["color"] for how in looks.values()}) == len({how["marker"] for how in looks.values()}) == len(looks)
    assert all(look(Row(name))["color"] == FLOOR for name, cls in available().items() if cls.floor)
    assert look(Row("of another house"))["color"] in COLOURS


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_from_white(colour: str) -> None:
    linear = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in np.array(_rgb(colour)) / 255]
    assert 1.05 / (float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05) > 2  # contrast, by WCAG's formula


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_variants_have_their_methods_colour_and_dashes_of_their_own() -> None:
    rows = [Row("nrch"), Row("nrch", "a"), Row("nrch", "b"), Row("ucch", "a")]
    how = [look(row, rows) for row in rows]
    assert how[0]["color"] == how[1]["color"] == how[2]["color"] != how[3]["color"]
    assert len({str(of["linestyle"]) for of in how[:3]}) == 3
