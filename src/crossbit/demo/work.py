"""What the demo does before it writes: train, index, evaluate, search. It knows nothing of the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossbit.data.types import PairedData
from crossbit.demo.doubts import Doubts, read_doubts
from crossbit.demo.queries import PICTURES, WORDS
from crossbit.demo.searches import Search, search
from crossbit.demo.ways import BITS, RandomCodes, Way, as_vectors, chosen, judged, learn, on_vectors
from crossbit.model import Model
from crossbit.runs.folder import RunFolder
from crossbit.search.build import encoder_of, index_data
from crossbit.search.known import learn_from_run

RUN, OTHERS = "run", ".others"  # in the demo's folder: the run that stays, and those that are removed at the end


@dataclass
class Story:
    """All that the page shows.

    Attributes:
        data: with its truth.
        model: of the run that stays.
        ways: what is compared, the model's own first and random codes last.
        words, pictures: queries, and what each way found for them.
        doubts: what the run that stays found wrong about its labels.
        seconds: by stage.
    """

    data: PairedData
    model: Model
    ways: list[Way]
    words: list[Search]
    pictures: list[Search]
    doubts: Doubts
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
    folder: Path,
    stage: Stages,
    *,
    noise: str,
    seed: int,
    settings: Mapping[str, Mapping[str, Any]],
    progress: bool,
) -> Story:
    """Train, index, evaluate and search in `folder`, or go on there; arguments as for `run_demo`."""
    options: dict[str, Any] = {"noise": noise, "seed": seed, "progress": progress}
    (first, *others), shown = chosen(), {method: of["shown"] for method, of in chosen().items()}
    run = RunFolder(folder / RUN)
    with stage(
        f"train {shown[first]}", f"{BITS} bits, {len(data.splits['train']):,} labelled pairs with noise {noise}"
    ):
        model = learn(data, first, run.path, settings=settings.get(first, {}), **options)
    vectors = prepare(data, model, run, stage)
    models, runs = {first: on_vectors(model)}, {first: run.path}
    for method in others:
        with stage(f"train {shown[method]}", "on the same features and noise"):
            runs[method], plain = folder / OTHERS / method, dict.fromkeys(vectors.modalities, "as-is")
            own = {"settings": settings.get(method, {}), "features": plain}
            models[method] = learn(vectors, method, runs[method], **own, **options)
    with stage("evaluate", f"{len(data.splits['query']):,} queries, and random codes to compare"):
        ways = [judged(shown[method], models[method], vectors, runs[method]) for method in models]
        ways.append(judged("random codes", RandomCodes(model.modalities, seed), vectors))
    with stage("search", f"{len(WORDS)} texts and {len(PICTURES)} pictures that were never trained on"):
        words, pictures = search(data, vectors, ways, seed)
    return Story(data, model, ways, words, pictures, read_doubts(data, model, run), stage.seconds)


def prepare(data: PairedData, model: Model, run: RunFolder, stage: Stages) -> PairedData:
    """The features of all pairs, and an index of the run where it has none yet."""
    with stage("features", f"of all {data.n:,} pairs"):
        vectors = as_vectors(data, model)
    if not run.index.exists():
        with stage("index", f"a database of {len(data.splits['retrieval']):,} pairs"):
            index_data(on_vectors(model), vectors, run.index, encoder=encoder_of(model))
            learn_from_run(model, data, run.index)
    return vectors
