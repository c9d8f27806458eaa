"""The report: one HTML file with everything inside. `templates` holds its words and elements, this its values."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from crossbit.demo.figures import training_plots
from crossbit.demo.queries import label_names, modality_of, multi_hot
from crossbit.demo.searches import Hit
from crossbit.demo.tables import columns, table
from crossbit.demo.ways import Way
from crossbit.demo.work import Story
from crossbit.methods import get
from crossbit.methods.settings import describe


def build_page(story: Story, commands: list[str]) -> str:
    """The whole page.

    Args:
        story: what happened.
        commands: what to try next, as one would type it.
    """
    loader = PackageLoader("crossbit.demo")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(percent=percent, png=png, mean_overlap=mean_overlap)
    return page.get_template("page.html").render(values(story), commands=commands)


def values(story: Story) -> dict[str, Any]:
    """What the templates show, by the names that they use."""
    data, trained = story.data, [way for way in story.ways if way.is_trained]
    separator = next((way for way in trained if "trusted" in way.model.history[-1]), None)
    changed = {way.name: settings_of(way) for way in trained}
    rows = table(story.ways, data)
    return {
        "config": story.model.config,
        "data_name": data.name,
        "sizes": {name: len(rows) for name, rows in data.splits.items()},
        "corrupted": story.doubts.changed / story.doubts.labelled,
        "trained": [about(way) for way in trained],
        "words": [asked(story, one.row) | {"found": hits(story, one.found)} for one in story.words],
        "pictures": [asked(story, one.row) | {"found": hits(story, one.found)} for one in story.pictures],
        "first": story.ways[0].name,
        "columns": columns(story.ways[0].report),
        "rows": rows,
        "best": {name: max(cells[name][0] for cells in rows.values()) for name in rows["chance"]},
        "separator": separator,
        "plots": {} if separator is None else training_plots(separator),
        "doubts": story.doubts,
        "doubted": [asked(story, one.row) | vars(one) for one in story.doubts.first],
        "changed": changed,
        "smaller": [way.name for way in trained if not is_as_published(way)],
        "made": made(story),
    }


def about(way: Way) -> dict[str, Any]:
    """What is said of a training."""
    method = get(way.model.method)
    return {"name": way.name, "title": method.title, "pairs": len(way.noisy), "sees_labels": method.sees_labels}


def asked(story: Story, row: int) -> dict[str, Any]:
    """A pair of the data: its name, the picture's pixels, the names of its labels."""
    data, labels = story.data, label_names(story.data)
    return {
        "name": str(data[modality_of(data, "words")][row]),
        "pixels": np.asarray(data[modality_of(data, "pictures")][row]),
        "labels": [labels[number] for number in np.flatnonzero(multi_hot(data)[row])],
    }


def hits(story: Story, found: dict[str, list[Hit]]) -> dict[str, list[dict[str, Any]]]:
    """What each way found, each pair with what is said of it."""
    return {name: [asked(story, hit.row) | vars(hit) for hit in of] for name, of in found.items()}


def is_as_published(way: Way) -> bool:
    """Whether it trained with its paper's settings, as far as the method has them."""
    paper, settings = get(way.model.method).presets.get("paper", {}), way.model.config["settings"]
    return all(settings[name] == value for name, value in paper.items())


def settings_of(way: Way) -> dict[str, str]:
    """Settings that are not the method's defaults, or not what its paper has, with these."""
    method = get(way.model.method)
    default = {setting.name: setting.default for setting in describe(method.Settings)}
    lines = {}
    for name, value in way.model.config["settings"].items():
        others = {"default": default[name], "paper": method.presets.get("paper", {}).get(name, value)}
        if notes := [f"{what} {other}" for what, other in others.items() if other != value]:
            lines[name] = f"{value} ({', '.join(notes)})"
    return lines


def made(story: Story) -> dict[str, dict[str, str]]:
    """The run, sizes and seconds, as lines under headings."""
    config, data = story.model.config, story.data
    sizes = {"pairs": data.n, "in the database": len(data.splits["retrieval"]), "labelled": story.doubts.labelled}
    sizes |= {"queries": len(data.splits["query"]), "classes": data.classes}
    run = {key: str(config[key]) for key in ("bits", "noise", "seed", "precision")}
    run |= {f"{name} features": f"{held.dim:,} numbers" for name, held in story.model.featurisers.items()}
    seconds = {**story.seconds, "altogether": sum(story.seconds.values())}
    return {
        "Run": run,
        "Data": {name: f"{size:,}" for name, size in sizes.items()},
        "Time": {name: f"{value:.1f} s" for name, value in seconds.items()},
    }


# --- filters --------------------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """A share as people write it.

    >>> percent(0.5), percent(0.4986)
    ('50 %', '49.9 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def mean_overlap(found: list[dict[str, Any]]) -> float:
    """The mean share of labels in common of what was found; 0 where that is nothing."""
    return float(np.mean([hit["overlap"] for hit in found])) if found else 0.0


def png(pixels: np.ndarray) -> str:
    """Pixels, uint8 (h, w, 3), as an address that holds the whole picture.

    >>> png(np.zeros((2, 2, 3), np.uint8))[:36]
    'data:image/png;base64,iVBORw0KGgoAAA'
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
