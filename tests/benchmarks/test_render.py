"""BENCHMARKS.md is what render makes of the recorded results, and every result has its section."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import render

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _faiss(need: Callable[[str], ModuleType]) -> None:
    """What the scripts import that are asked for their sections."""
    need("faiss")


def test_the_pages_are_what_render_makes_of_the_results() -> None:
    made = render.pages()
    assert {path: (ROOT / path).read_text(encoding="utf-8") == text for path, text in made.items()} == dict.fromkeys(
        made, True
    )
    assert {path.name for path in (ROOT / "benchmarks/tables").glob("*.md")} == {
        Path(path).name for path in made if "tables" in path
    }


def test_every_result_has_a_section() -> None:
    told = [name for room in render.ROOMS for name, _ in render.sections(room)]
    assert sorted(told) == sorted(path.stem for path in (ROOT / "benchmarks/results").glob("*.json"))


def test_every_command_of_a_result_and_of_the_docs_is_there() -> None:
    files = [*(ROOT / "benchmarks/results").glob("*.json"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(r"-m (benchmarks[\w.]*\w)", text))
    assert len(named) > 10 and [name for name in sorted(named) if find_spec(name) is None] == []


def test_links_of_the_contents_lead_to_headings() -> None:
    page = render.pages()["BENCHMARKS.md"]
    headings = {line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")}
    assert all(f"(#{render.anchor(heading)})" in page for heading in headings)
