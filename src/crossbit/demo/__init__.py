"""The demo: the main job end to end on the built-in set, shown in one HTML file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from crossbit.data import load_data
from crossbit.data.noise import parse_noise
from crossbit.data.types import PairedData
from crossbit.demo.page import build_page
from crossbit.demo.queries import modality_of
from crossbit.demo.work import Stages, Story, make_story
from crossbit.methods import get, make_settings
from crossbit.storage.files import check_new, read_json, write_json, writing
from crossbit.training.plan import check_seed

__all__ = ["next_commands", "run_demo"]


def run_demo(
    out: str | os.PathLike[str],
    *,
    method: str = "nrch",
    noise: str = "swap-one:0.5",
    seed: int = 0,
    data: PairedData | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    call: str = "crossbit",
) -> Path:
    """Train with noise, index, search, evaluate, compare, and write a report.

    Leaves `report.html`, `report.json` with its figures, `query.png` to search with, and `run`, a run folder with
    its index.

    Args:
        out: folder to make.
        method: what to train, with the settings of `settings.toml`.
        noise: what is done to the training labels or pairs, `RULE:RATE`.
        seed: of noise, weights and batches, and of queries where none is of the kinds that are shown.
        data: pairs of pictures and words with labels; the built-in glyphs if None.
        settings: the method's settings; they win over those of `settings.toml`.
        progress: say on standard error what is being done.
        call: how crossbit is called from where its commands will be tried, quoted for a shell.

    Returns:
        The report's path.

    Raises:
        UserError: `out` exists or cannot be written, or as for `crossbit.train`; nothing was written then.
        KeyboardInterrupt: interrupted; what was finished is in `out`.
    """
    folder = check_new(out)
    make_settings(get(method), settings or {})
    parse_noise(noise)
    check_seed(seed)
    console = Console(stderr=True, quiet=not progress, highlight=False, markup=False)
    stage = Stages(console.print)
    with stage("data", "the built-in glyphs" if data is None else data.name):
        data = load_data("glyphs") if data is None else data
    given: dict[str, Any] = {"method": method, "noise": noise, "seed": seed, "settings": settings or {}}
    story = make_story(data, folder / "run", stage, progress=progress, **given)
    return write_report(story, folder, call)


def write_report(story: Story, folder: Path, call: str = "crossbit") -> Path:
    """The page, its figures as JSON, and a query's picture."""
    row = story.pictures[0].row
    Image.fromarray(story.data[modality_of(story.data, "pictures")][row]).save(folder / "query.png")
    write_json(folder / "report.json", figures(story))
    with writing(folder / "report.html") as temporary:
        commands = [f"{call} {shlex.join(words)}" for words in next_commands(folder)]
        temporary.write_text(build_page(story, commands), encoding="utf-8")
    return folder / "report.html"


def figures(story: Story) -> dict[str, Any]:
    """What the page says in numbers, as JSON takes it."""
    reports = {"run": story.report, "random codes": story.random}
    if story.without is not None:
        reports[story.without.ablation] = story.without.report
    texts = story.data[modality_of(story.data, "words")]
    return {
        "reports": {name: report.to_dict() for name, report in reports.items()},
        "corrupted": float(story.noisy.mean()),
        "last_epoch": story.model.history[-1],
        "seconds": story.seconds,
        "queries": [{"text": str(texts[one.row]), **asdict(one)} for one in [*story.words, *story.pictures]],
    }


def next_commands(folder: Path) -> list[list[str]]:
    """Commands to try on what the demo left in `folder`, each as words for crossbit; paths are as `folder` is."""
    run = str(folder / "run")
    words = read_json(folder / "report.json")["queries"][0]["text"]
    return [
        ["search", run, words],
        ["search", run, "--image", str(folder / "query.png")],
        ["audit", run],
        ["evaluate", run, "--ties", "index"],
    ]
