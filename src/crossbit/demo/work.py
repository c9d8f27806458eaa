"""What the demo does before it writes: train, index, search, evaluate, compare. It knows nothing of the page."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossbit.data.types import PairedData
from crossbit.demo import queries
from crossbit.demo.queries import Search
from crossbit.evaluation import Report, evaluate, score_codes
from crossbit.features.as_is import AsIsFeaturiser
from crossbit.features.paired import features_of
from crossbit.methods import get
from crossbit.model import Model
from crossbit.runs.folder import RunFolder
from crossbit.search.build import encoder_of, index_data
from crossbit.search.searcher import Searcher
from crossbit.training import train

BITS = 64


@dataclass
class Without:
    """The same training as an ablation of the method: its name, figures and history."""

    ablation: str
    report: Report
    history: list[dict[str, Any]]


@dataclass
class Story:
    """All that the page shows.

    Attributes:
        data: with its truth.
        model: of the run.
        noisy: bool, for each row trained on: its label or its pair was changed.
        words, pictures: queries and what was found.
        report, random: figures of the run, and of random codes.
        without: where `settings.toml` names an ablation of the method.
        seconds: by stage.
    """

    data: PairedData
    model: Model
    noisy: np.ndarray
    words: list[Search]
    pictures: list[Search]
    report: Report
    random: Report
    without: Without | None
    seconds: dict[str, float] = field(default_factory=dict)


class Stages:
    """Times named stages, and says when one begins and how long it took."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        start = time.perf_counter()
        self.say(f"{name}: {what}")
        yield
        self.seconds[name] = time.perf_counter() - start
        self.say(f"  {self.seconds[name]:.1f} s")


def make_story(
    data: PairedData,
    run: Path,
    stage: Stages,
    *,
    method: str,
    noise: str,
    seed: int,
    settings: Mapping[str, Any],
    progress: bool,
) -> Story:
    """Train into `run`, index there, search and score; arguments as for `run_demo`."""
    cls, folder = get(method), RunFolder(run)
    options: dict[str, Any] = {"method": method, "bits": BITS, "noise": noise, "seed": seed, "progress": progress}
    own = demo_settings(method)
    chosen = {**own.get("settings", {}), **settings}
    told = f"{method}, {BITS} bits, {len(data.splits[cls.rows]):,} pairs with noise {noise}"
    with stage("train", told), one_thread():
        model = train(data, settings=chosen, out=run, **options)
    with stage("features", f"of all {data.n:,} pairs"):
        vectors, plain = as_vectors(data, model), on_vectors(model)
    with stage("index", f"a database of {len(data.splits['retrieval']):,} pairs"):
        index_data(plain, vectors, folder.index, encoder=encoder_of(model))
    with stage("search", f"{len(queries.WORDS)} texts and {len(queries.PICTURES)} pictures that were never trained on"):
        words, pictures = search(data, model, folder.index, seed)
    with stage("evaluate", f"{len(data.splits['query']):,} queries, and random codes to compare"):
        report, random = evaluate(plain, vectors), score_random(data, plain.modalities, seed)
    without = train_without(vectors, stage, own.get("without"), settings=chosen, **options)
    return Story(data, model, folder.noise_masks()["pair"], words, pictures, report, random, without, stage.seconds)


def demo_settings(method: str) -> dict[str, Any]:
    """What `settings.toml` beside this file says of a method; nothing of one that it does not name."""
    text = files(__package__).joinpath("settings.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text).get(method, {})
    return found


def train_without(
    vectors: PairedData, stage: Stages, ablation: str | None, *, settings: Mapping[str, Any], **options: Any
) -> Without | None:
    """The same training as one of the method's ablations; None where none is named."""
    if ablation is None:
        return None
    with stage("compare", f'the same training with "{ablation}"'):
        with one_thread():
            changed = get(options["method"]).ablations[ablation]
            plain = dict.fromkeys(vectors.modalities, "as-is")
            model = train(vectors, settings={**settings, **changed}, features=plain, **options)
        return Without(ablation, evaluate(model, vectors), model.history)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread. Small networks gain little from a second and lose much on a busy machine, where the threads
    wait for each other; and one gives the same figures however many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_vectors(data: PairedData, model: Model) -> PairedData:
    """The same pairs with the model's features in place of pictures and words, so that they are computed once."""
    rows = np.arange(data.n)
    vectors = {name: features_of(featuriser, data[name], rows) for name, featuriser in model.featurisers.items()}
    words = next((data[name] for name in data.modalities if data.kind(name) == "words"), None)
    return data.replace(modalities=vectors, caption=words if data.caption is None else data.caption)


def on_vectors(model: Model) -> Model:
    """The same encoders for data that are features already."""
    made = {name: featuriser.dim for name, featuriser in model.featurisers.items()}
    plain = {name: AsIsFeaturiser(dim) for name, dim in made.items() if isinstance(dim, int)}
    return Model(model.config, model.encoders, plain, history=model.history, rows=model.rows)


def search(data: PairedData, model: Model, uri: Path, seed: int) -> tuple[list[Search], list[Search]]:
    """Queries by words, and others by picture, through the index as a user would."""
    rows, many = queries.choose(data, [*queries.WORDS, *queries.PICTURES], seed), len(queries.WORDS)
    with Searcher(model, uri) as searcher:
        words = [queries.by_words(searcher, data, row) for row in rows[:many]]
        return words, [queries.by_picture(searcher, data, row) for row in rows[many:]]


def score_random(data: PairedData, modalities: list[str], seed: int) -> Report:
    """The floor: codes drawn at random, scored by the same protocol."""
    draw = np.random.default_rng([seed, 4])
    query, retrieval = (
        {name: draw.integers(256, size=(len(data.splits[split]), BITS // 8), dtype=np.uint8) for name in modalities}
        for split in ("query", "retrieval")
    )
    assert data.label is not None
    labels = data.label[data.splits["query"]], data.label[data.splits["retrieval"]]
    return score_codes(query, retrieval, *labels, data=data.name, method="random codes")
