"""The demo: the main job end to end on the built-in set, beside other methods, shown in one HTML file."""

from __future__ import annotations

import os
import shlex
import shutil
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
from crossbit.demo.tables import table
from crossbit.demo.ways import chosen
from crossbit.demo.work import OTHERS, RUN, Stages, Story, make_story
from crossbit.errors import unknown
from crossbit.methods import get, make_settings
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import check_new, read_json, write_json, writing
from crossbit.training.plan import check_seed

__all__ = ["next_commands", "run_demo"]


def run_demo(
    out: str | os.PathLike[str],
    *,
    noise: str = "swap-one:0.5",
    seed: int = 0,
    resume: bool = False,
    data: PairedData | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
    call: str = "crossbit",
) -> Path:
    """Train LOOK and others with noise, search, evaluate, compare, and write a report.

    Leaves `report.html`, `report.json` with its figures, `query.png` to search with, and `run`, LOOK's run folder with
    its index.

    Args:
        out: folder to make.
        noise: what is done to the training labels or pairs, `RULE:RATE`.
        seed: of noise, weights and batches, and of queries where none is of the kinds that are shown.
        resume: go on in `out`, where a demo with the same noise and seed was interrupted.
        data: pairs of pictures and words with labels; the built-in glyphs if None.
        settings: by method, in the place of those of `settings.toml`.
        progress: say on standard error what is being done.
        call: how crossbit is called from where its commands will be tried, quoted for a shell.

    Returns:
        The report's path.

    Raises:
        UserError: `out` exists or cannot be written, or as for `crossbit.train`; nothing was written then.
        KeyboardInterrupt: interrupted; what was finished is in `out`.
    """
    folder = Path(out) if resume and (Path(out) / RUN).is_dir() else check_new(out)
    _check(noise, seed, settings or {})
    console = Console(stderr=True, quiet=not progress, highlight=False, markup=False)
    stage = Stages(console.print)
    with stage("data", "the built-in glyphs" if data is None else data.name):
        data = load_data("glyphs") if data is None else data
    story = make_story(data, folder, stage, noise=noise, seed=seed, settings=settings or {}, progress=progress)
    report = write_report(story, folder, call)
    shutil.rmtree(folder / OTHERS)
    return report


def _check(noise: str, seed: int, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what no training would take, before anything is done."""
    for method, given in settings.items():
        if method not in chosen():
            raise unknown("method of the demo", method, chosen())
        make_settings(get(method), given)
    parse_noise(noise)
    check_seed(seed)


def write_report(story: Story, folder: Path, call: str = "crossbit") -> Path:
    """The page, its figures as JSON, and a query's picture."""
    row = story.pictures[0].row
    Image.fromarray(story.data[modality_of(story.data, "pictures")][row]).save(folder / "query.png")
    write_json(folder / "report.json", figures(story))
    RunFolder(folder / RUN).write_report(story.ways[0].report.to_dict())
    with writing(folder / "report.html") as temporary:
        commands = [f"{call} {shlex.join(words)}" for words in next_commands(folder)]
        temporary.write_text(build_page(story, commands), encoding="utf-8")
    return folder / "report.html"


def figures(story: Story) -> dict[str, Any]:
    """What the page says in numbers and names, as JSON takes it."""
    texts = story.data[modality_of(story.data, "words")]
    asked = [("words", one) for one in story.words] + [("pictures", one) for one in story.pictures]
    queries = [{"of": of, "text": str(texts[one.row]), **asdict(one)} for of, one in asked]
    for hit in (hit for query in queries for hits in query["found"].values() for hit in hits):
        hit["text"] = str(texts[hit["row"]])
    return {
        "reports": {way.name: way.report.to_dict() for way in story.ways},
        "table": table(story.ways, story.data),
        "queries": queries,
        "doubts": asdict(story.doubts),
        "seconds": story.seconds,
    }


def next_commands(folder: Path) -> list[list[str]]:
    """Commands to try on what the demo left in `folder`, each as words for crossbit; paths are as `folder` is."""
    run = str(folder / RUN)
    words = read_json(folder / "report.json")["queries"][0]["text"]
    return [
        ["search", run, words],
        ["search", run, "--image", str(folder / "query.png")],
        ["audit", run],
        ["evaluate", run, "--ties", "index"],
    ]
