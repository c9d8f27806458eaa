"""The report: one HTML file with everything inside, built from a `Story`. What comes from data is escaped."""

from __future__ import annotations

from importlib.resources import files
from string import Template

import numpy as np

from crossbit.demo.figures import made, percent, scores, separated
from crossbit.demo.markup import Safe, el, join, picture
from crossbit.demo.queries import Search, modality_of, multi_hot
from crossbit.demo.work import Story
from crossbit.methods import get


def build_page(story: Story, commands: list[str]) -> str:
    """The whole page.

    Args:
        story: what happened.
        commands: what to try next, as one would type it.
    """
    sections = [by_words(story), by_pictures(story), scores(story), separated(story), made(story), next_steps(commands)]
    here = files(__package__)
    parts = {
        "title": join(f"crossbit: {story.model.method} on {story.data.name}"),
        "style": here.joinpath("page.css").read_text(encoding="utf-8"),
        "header": header(story),
        "sections": "\n".join(section for section in sections if section),
        "footer": footer(story),
    }
    return Template(here.joinpath("page.html").read_text(encoding="utf-8")).substitute(parts)


def header(story: Story) -> Safe:
    """What this is, and four figures."""
    config, wrong = story.model.config, float(story.noisy.mean())
    although = f", although {percent(wrong)} of them were corrupted on purpose ({config['noise']})" if wrong else ""
    facts = {
        "bits a picture or a text": str(config["bits"]),
        "of the training pairs corrupted": percent(wrong),
        "mAP, mean of the directions": f"{np.mean(list(story.report.map.values())):.3f}",
        "all of it, training included": f"{sum(story.seconds.values()):.0f} s",
    }
    return el(
        "header",
        el("p", f"crossbit demo · {config['method']}", class_="eyebrow"),
        el("h1", "Pictures found by words, words found by pictures"),
        el(
            "p",
            f"Codes of {config['bits']} bits were learned from {len(story.noisy):,} pairs of a picture and its name",
            f"{although}. {unseen(story)} Learned by {get(config['method']).title}.",
            class_="lede",
        ),
        el("dl", [el("div", el("dt", what), el("dd", value)) for what, value in facts.items()], class_="facts"),
    )


def unseen(story: Story) -> str:
    """How new the queries are."""
    texts, splits = story.data[modality_of(story.data, "words")], story.data.splits
    if np.isin(texts[splits["query"]], texts[np.union1d(splits["train"], splits["retrieval"])]).any():
        return "None of the pairs asked for below was trained on."
    return "Nothing asked for below was trained on or is among what is searched: its name occurs in neither."


def by_words(story: Story) -> Safe:
    """Text queries and rows of pictures."""
    intro = (
        "Each name was encoded as a text, and the nearest pictures by Hamming distance were taken from the index of "
        f"{story.report.protocol['database_size']:,} pictures. "
        f"The number is the distance, in bits of {story.model.bits}; what is nearest was then re-ranked by the cosine "
        "of the real-valued embeddings."
    )
    return el(
        "section",
        el("h2", "Words to pictures"),
        el("p", intro, class_="quiet"),
        legend(),
        [word_query(story, one) for one in story.words],
        id="words",
    )


def word_query(story: Story, search: Search) -> Safe:
    """One text and its pictures."""
    return el(
        "article",
        el("div", el("h3", name_of(story, search.row)), labels_of(story, search.row), score_of(search)),
        el(
            "ol",
            [picture_hit(story, *hit, right) for hit, right in zip(search.hits, search.right, strict=True)],
            class_="hits",
        ),
        class_="query",
    )


def picture_hit(story: Story, row: int, distance: int, right: bool) -> Safe:
    name = name_of(story, row)
    return el(
        "li",
        picture(pixels_of(story, row), name, title=name),
        el("span", f"{distance}", told(right), class_="mark"),
        class_="right" if right else "wrong",
    )


def by_pictures(story: Story) -> Safe:
    """Picture queries and lists of names."""
    return el(
        "section",
        el("h2", "Pictures to words"),
        el(
            "p",
            "The other way round: a picture is encoded, the nearest names are found and re-ranked, each named once.",
            class_="quiet",
        ),
        el("div", [picture_query(story, one) for one in story.pictures], class_="asks"),
        id="pictures",
    )


def picture_query(story: Story, search: Search) -> Safe:
    """One picture and its names."""
    name = name_of(story, search.row)
    asked = el("figure", picture(pixels_of(story, search.row), name), el("figcaption", "its name: ", name))
    found = [
        el(
            "li",
            el("span", f"{distance}", class_="distance"),
            el("span", name_of(story, row), told(right)),
            class_="name right" if right else "name wrong",
        )
        for (row, distance), right in zip(search.hits, search.right, strict=True)
    ]
    return el("article", asked, el("div", el("ol", found, class_="names"), score_of(search)), class_="asked")


def next_steps(commands: list[str]) -> Safe:
    """Commands to copy."""
    return el("section", el("h2", "Go on from here"), el("pre", el("code", "\n".join(commands))), id="next")


def footer(story: Story) -> Safe:
    versions = ", ".join(f"{name} {number}" for name, number in story.model.config["versions"].items())
    return el("footer", "Made by crossbit demo. ", versions, ". This file needs nothing from anywhere else.")


# --- parts ----------------------------------------------------------------------------------------------------------


def legend() -> Safe:
    shares = el("span", "shares a label with the query"), el("span", "shares none")
    return el("p", shares[0], "\u2003", shares[1], class_="legend quiet")


def told(right: bool) -> Safe:
    """The mark's meaning for those who do not see it."""
    return el("span", " shares a label" if right else " shares no label", class_="hidden")


def score_of(search: Search) -> Safe:
    return el("p", f"{sum(search.right)} of {len(search.hits)} share a label", class_="score")


def labels_of(story: Story, row: int) -> Safe:
    names = story.data.label_names or [str(number) for number in range(story.data.classes)]
    held = [names[number] for number in np.flatnonzero(multi_hot(story.data)[row])]
    return el("ul", [el("li", name) for name in held], class_="labels", aria_label="labels")


def name_of(story: Story, row: int) -> str:
    return str(story.data[modality_of(story.data, "words")][row])


def pixels_of(story: Story, row: int) -> np.ndarray:
    return np.asarray(story.data[modality_of(story.data, "pictures")][row])
