"""The report: one HTML file with everything inside. `templates` holds its words and elements, this its values."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from crossbit.demo.figures import training_plots
from crossbit.demo.queries import Search, modality_of, multi_hot
from crossbit.demo.work import Story
from crossbit.methods import get
from crossbit.methods.settings import describe

SMALLEST = 5e-4  # a difference that three decimals do not show is called none


def build_page(story: Story, commands: list[str]) -> str:
    """The whole page.

    Args:
        story: what happened.
        commands: what to try next, as one would type it.
    """
    loader = PackageLoader("crossbit.demo")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(arrow=arrow, change=change, percent=percent, png=png)
    return page.get_template("page.html").render(values(story), commands=commands)


def values(story: Story) -> dict[str, Any]:
    """What the templates show, by the names that they use."""
    config, without = story.model.config, story.without
    method = get(config["method"])
    reports = {method.name: story.report}
    if without is not None:
        reports[f"{method.name}: {without.ablation}"] = without.report
    default = {setting.name: setting.default for setting in describe(method.Settings)}
    return {
        "config": config,
        "title": method.title,
        "data_name": story.data.name,
        "trained": len(story.noisy),
        "corrupted": float(story.noisy.mean()),
        "names_repeat": names_repeat(story),
        "words": [query(story, one) for one in story.words],
        "pictures": [query(story, one) for one in story.pictures],
        "report": story.report,
        "mean_map": np.mean(list(story.report.map.values())),
        "reports": {**reports, "random codes": story.random},
        "without": without,
        "plots": training_plots(story),
        "last": story.model.history[-1],
        "changed": {name: default[name] for name, value in config["settings"].items() if value != default[name]},
        "made": made(story),
        "seconds": sum(story.seconds.values()),
    }


def query(story: Story, search: Search) -> dict[str, Any]:
    """A query's pair, and the pairs that were found, each with its distance and whether it shares a label."""
    found = zip(search.hits, search.right, strict=True)
    hits = [{**pair(story, row), "distance": distance, "right": right} for (row, distance), right in found]
    return {**pair(story, search.row), "hits": hits}


def pair(story: Story, row: int) -> dict[str, Any]:
    """A pair of the data: its name, the picture's pixels, the names of its labels."""
    data = story.data
    labels = data.label_names or [str(number) for number in range(data.classes)]
    return {
        "name": str(data[modality_of(data, "words")][row]),
        "pixels": np.asarray(data[modality_of(data, "pictures")][row]),
        "labels": [labels[number] for number in np.flatnonzero(multi_hot(data)[row])],
    }


def names_repeat(story: Story) -> bool:
    """Whether some query's name is that of a pair that was trained on or is searched."""
    names, splits = story.data[modality_of(story.data, "words")], story.data.splits
    return bool(np.isin(names[splits["query"]], names[np.union1d(splits["train"], splits["retrieval"])]).any())


def made(story: Story) -> dict[str, dict[str, str]]:
    """Settings, sizes and seconds, as lines under headings."""
    config, data = story.model.config, story.data
    sizes = {"pairs": data.n, "trained on": len(story.noisy), "queries": len(data.splits["query"])}
    sizes |= {
        "in the database": len(data.splits["retrieval"]),
        "classes": data.classes,
        "corrupted": int(story.noisy.sum()),
    }
    run = {key: str(config[key]) for key in ("method", "bits", "noise", "seed", "precision", "threads")}
    run |= {f"{name} features": f"{held.dim:,} numbers" for name, held in story.model.featurisers.items()}
    seconds = {**story.seconds, "altogether": sum(story.seconds.values())}
    settings = config["settings"].items()
    return {
        "Run": run,
        "Settings": {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in settings},
        "Data": {name: f"{size:,}" for name, size in sizes.items()},
        "Time": {name: f"{value:.1f} s" for name, value in seconds.items()},
    }


# --- filters --------------------------------------------------------------------------------------------------------


def arrow(direction: str) -> str:
    """A direction as people read it.

    >>> arrow("image->text")
    'image → text'
    """
    return direction.replace("->", " → ")


def change(gain: float) -> str:
    """What a part does to a figure, for any sign.

    >>> change(-0.02), change(0.0111), change(0.0001)
    ('lost 0.020 mAP', 'gained 0.011 mAP', 'changed nothing')
    """
    return "changed nothing" if abs(gain) < SMALLEST else f"{'gained' if gain > 0 else 'lost'} {abs(gain):.3f} mAP"


def percent(value: float) -> str:
    """A share as people write it.

    >>> percent(0.5), percent(0.4986)
    ('50 %', '49.9 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def png(pixels: np.ndarray) -> str:
    """Pixels, uint8 (h, w, 3), as an address that holds the whole picture.

    >>> png(np.zeros((2, 2, 3), np.uint8))[:36]
    'data:image/png;base64,iVBORw0KGgoAAA'
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
