"""The script of docs/data.md makes data of a folder of pictures and a CSV."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

from crossbit.data import load_data

ROOT = Path(__file__).resolve().parents[2]


def test_the_script_of_the_page_makes_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text("utf-8"), re.S)
    (tmp_path / "make.py").write_text(next(text for text in scripts if "mine.csv" in text), encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    lines = ["file,caption,labels"]
    for number, labels in enumerate(["tree;river", "", "river", " tree "]):
        Image.new("L", (40 + number, 30), 60 * number).save(tmp_path / "pictures" / f"{number}.png")
        lines.append(f'{number}.png,"grey, number {number}",{labels}')
    lines.append("sideways.jpg,half black,tree")
    halves = Image.new("RGB", (40, 30), "white")
    halves.paste("black", (0, 0, 20, 30))
    turned = halves.getexif()
    turned[0x0112] = 6  # to be shown a quarter turned: black above
    halves.save(tmp_path / "pictures" / "sideways.jpg", exif=turned)
    (tmp_path / "mine.csv").write_text("\n".join(lines), encoding="utf-8-sig")  # as a spreadsheet writes it
    monkeypatch.chdir(tmp_path)
    runpy.run_path("make.py")

    data = load_data("mine.npz")
    assert (data.label_names, data.label.tolist()) == (["river", "tree"], [[1, 1], [0, 0], [1, 0], [0, 1], [0, 1]])
    assert data["text"][2] == "grey, number 2"
    assert data["image"].shape == (5, 64, 64, 3)
    assert data["image"][4, 5].max() < 30 < 225 < data["image"][4, 58].min()
    assert data["image"][:4, 5, 5, 0].tolist() == [0, 60, 120, 180]
    assert [len(data.splits[name]) for name in ("train", "query", "retrieval")] == [5, 0, 5]
    assert data.path[3] == str(Path("pictures") / "3.png")
