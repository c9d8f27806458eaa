"""Which of the papers' recipes a set is in, by its layout and name."""

from __future__ import annotations

import re

from crossbit.bench.recipe.shipped import shipped
from crossbit.data.layouts import LayoutFile

PAPERS = {"ucch": "ucch", "nrch": "nrch", "file": "nrch", "mrl": "mrl"}  # whose split a rule is
OTHERWISE = {
    "dcmh": {"random": "ssah"},
    "dcmht": {},
}  # layouts of pictures: SSAH's, and no paper's here
CLASSES = {"tc10": "ucch", "tc21": "nrch"}  # NUS-WIDE has two forms, each in one paper only
ALIKE = 4  # letters that names of one set have in common at their beginning: "wiki", "iapr"


def fitting_recipes(found: LayoutFile) -> dict[str, list[str]]:
    """Split rule to the recipes it is for: the paper's main one, then its others that hold a set of this name."""
    papers = OTHERWISE.get(found.layout.name, PAPERS)
    name = _plain(found.name)
    only = next((paper for part, paper in CLASSES.items() if part in name), None)
    return {
        rule: recipes_of(papers[rule], found.name)
        for rule in found.layout.rules
        if rule in papers and papers[rule] == (only or papers[rule])
    }


def recipes_of(paper: str, name: str) -> list[str]:
    """The paper's main recipe, and its others whose [data] holds the set of this name.

    >>> recipes_of("nrch", "IAPR")
    ['nrch-main', 'nrch-curves']
    """
    main, plain = f"{paper}-main", _plain(name)
    others = [stem for stem in shipped() if stem.startswith(f"{paper}-") and stem != main]
    return [main, *(stem for stem in others if any(part in plain for part in _beginnings(stem)))]


def _beginnings(stem: str) -> set[str]:
    """How the sets of a recipe begin, as it calls them and as their files are called."""
    data = shipped()[stem]["data"]
    return {_plain(name)[:ALIKE] for key, table in data.items() for name in (key, table["source"])}


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
