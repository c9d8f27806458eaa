"""Whether anything fits: kinds, searches without them, what is learnt, when it is used and when it is not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from scipy import sparse

import crossbit
from crossbit.data import PairedData
from crossbit.model import Model
from crossbit.search.adding import add
from crossbit.search.build import add_data, encoder_of, index_data
from crossbit.search.calibrate import Kinds, Tried, calibrate, label_weights, learn, said, try_out
from crossbit.search.evidence import ALIKE, LOOKED_AT, NAMES, READ, Seen, evidence
from crossbit.search.fits import ALIKE_PICTURES, FILE, Fits, Scale
from crossbit.search.known import learn_from_run
from crossbit.search.opened import OpenIndex
from crossbit.search.query import query_of
from crossbit.search.results import SearchHit, SearchResults
from crossbit.search.searcher import Searcher
from tiny import Command, arrays, done, runner

pytestmark = pytest.mark.slow

N, QUERIES = 260, 120
LIMITS: dict[str, Any] = {"rerank": True, "where": None, "time_limit_ms": 10_000}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which every held-out query is of one of three kinds, with its index."""
    folder = tmp_path_factory.mktemp("fits")
    np.savez(folder / "toy.npz", **arrays(N, QUERIES))
    options: dict[str, Any] = {"method": "look", "bits": 16, "epochs": 2, "progress": False}
    crossbit.train(folder / "toy.npz", out=folder / "run", **options)
    model = crossbit.load_model(folder / "run")
    data = crossbit.load_data(folder / "toy.npz")
    index_data(model, data, folder / "run" / "index")
    learn_from_run(model, data, folder / "run" / "index")
    return folder / "run"


@pytest.fixture(scope="module")
def data(run: Path) -> PairedData:
    return crossbit.load_data(run.parent / "toy.npz")


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return crossbit.load_model(run)


@given(arrays_of.arrays(np.uint8, (12, 5), elements=st.integers(0, 1)), st.integers(0, 11))
def test_kinds_by_labels_that_count_by_their_rarity(labels: np.ndarray, row: int) -> None:
    weight = [-np.log(max(labels[:, c].mean(), 1 / 12)) for c in range(5)]
    expected = []
    for other in labels:
        both = sum(weight[c] for c in range(5) if labels[row, c] and other[c])
        either = sum(weight[c] for c in range(5) if labels[row, c] or other[c])
        expected.append(both > 1e-12 and both / either >= ALIKE - 1e-12)
    assert Kinds(labels).of(labels[row]).tolist() == expected


@given(arrays_of.arrays(np.uint8, (12, 5), elements=st.integers(0, 1)), st.integers(0, 11))
def test_related_is_what_shares_a_label_that_says_something(labels: np.ndarray, row: int) -> None:
    telling = [c for c in range(5) if labels[:, c].sum() < 6]
    expected = [any(labels[row, c] and other[c] for c in telling) for other in labels]
    for given_ in (labels, sparse.csr_array(labels)):
        assert Kinds(given_).related(labels[row]).tolist() == expected
    classes = labels[:, 0]
    assert Kinds(classes).related(classes[row]).tolist() == (classes == classes[row]).tolist()


def test_what_shares_a_label_goes_with_the_kind(
    model: Model, data: PairedData, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags of other countries are not of a flag's kind, and still an answer to it."""
    assert data.label is not None
    of_fifth, of_all = np.arange(N) % 5 == 0, np.ones(N, bool)
    label = np.column_stack([data.label, of_fifth, of_all]).astype(np.uint8)
    several, gone, search = data.replace(label=label, label_names=list("abcde")), [], OpenIndex.search

    def searched(self: OpenIndex, *args: Any, without: Any = None, **options: Any) -> Any:
        gone.append(without)
        return search(self, *args, without=without, **options)

    monkeypatch.setattr(OpenIndex, "search", searched)
    for alone in (False, True):
        gone.clear()
        tried = try_out(model, several, run / "index", "words", several.splits["query"], {}, alone=alone)
        assert tried is not None and len(gone) == 2 * QUERIES and gone[0] is None
        left = np.setdiff1d(several.splits["retrieval"], np.asarray(gone[1]))
        row = tried.query[1]
        shares = label[left][:, :-1] @ label[row, :-1] > 0
        assert of_fifth[row] and len(left) and shares.any() == alone


def test_a_search_without_items_is_that_of_an_index_that_never_had_them(
    model: Model, data: PairedData, run: Path, tmp_path: Path
) -> None:
    rows = np.sort(data.splits["retrieval"])
    gone, kept = rows[::3], np.setdiff1d(rows, rows[::3])
    index_data(model, data, tmp_path / "index", rows=kept)
    for sought, query in (
        ("image", query_of(model, "a level bar", None)),
        ("text", query_of(model, None, data["image"][3])),
    ):
        whole, less = (
            OpenIndex(at, sought, encoder_of(model), model.bits) for at in (run / "index", tmp_path / "index")
        )
        for rerank in (True, False):
            limits = {**LIMITS, "rerank": rerank}
            found = whole.search(query, 50, ("codes",), **limits, without=gone)
            expected = less.search(query, 50, ("codes",), **limits)
            assert [plain(hit) for hit in found.hits] == [plain(hit) for hit in expected.hits]
            assert found.compared == expected.compared == len(kept)
            assert (found.seen is None) == (expected.seen is None) == (not rerank)
            if found.seen is not None and expected.seen is not None:
                assert [hit.id for hit in found.seen.looked_at] == [hit.id for hit in expected.seen.looked_at]
                assert len(found.seen.near) == LOOKED_AT and found.seen.match == expected.seen.match
        by_captions = whole.search(query, 300, ("words",), **LIMITS, without=gone)
        assert set(gone).isdisjoint(hit.id for hit in by_captions.hits)
        assert bool(by_captions.hits) == (sought == "image")
        whole.close()
        less.close()


def plain(hit: SearchHit) -> SearchHit:
    return dataclasses.replace(hit, probabilities={})


def test_each_query_is_tried_with_its_kind_and_without(model: Model, data: PairedData, run: Path) -> None:
    tried = try_out(model, data, run / "index", "words", data.splits["query"], label_weights(data))
    assert tried is not None and (tried.modality, tried.ways) == ("image", ("codes", "words"))
    assert tried.query.tolist() == np.repeat(np.arange(QUERIES), 2).tolist()
    assert tried.answerable.tolist() == [True, False] * QUERIES
    assert not tried.fits[~tried.answerable].any() and tried.fits[tried.answerable].mean() > 0.8
    label, words, database = np.asarray(data.label), said(data), data.splits["retrieval"]
    kinds, saying = Kinds(label[database]), Kinds(words[database])
    with crossbit.open_search(run) as search:
        for at in range(0, 2 * QUERIES, 40):
            best = search(str(data["text"][tried.query[at]]), k=1).image[0]
            row = tried.query[at]
            own = database[kinds.of(label[row]) | saying.of(words[[row]].toarray()[0])]
            assert tried.fits[at] == (best.id in own)


def test_a_picture_that_searches_pictures_is_tried_so(model: Model, data: PairedData, run: Path) -> None:
    tried = try_out(model, data, run / "index", "pictures", data.splits["query"], label_weights(data), own=True)
    assert tried is not None and (tried.modality, tried.ways) == ("image", ("codes",))
    assert tried.answerable.tolist() == [True, False] * QUERIES
    assert not tried.fits[~tried.answerable].any() and tried.fits[tried.answerable].mean() > 0.8
    label, words, database = np.asarray(data.label), said(data), data.splits["retrieval"]
    kinds, saying = Kinds(label[database]), Kinds(words[database])
    with crossbit.open_search(run) as search:
        for at in range(0, 2 * QUERIES, 40):
            row = tried.query[at]
            best = search(picture=data["image"][row], modality="image", k=1).image[0]
            own = database[kinds.of(label[row]) | saying.of(words[[row]].toarray()[0])]
            assert tried.fits[at] == (best.id in own)


@pytest.mark.parametrize(
    ("scale", "kind", "own"),
    [("words", "words", False), ("pictures", "pictures", False), (ALIKE_PICTURES, "pictures", True)],
)
def test_a_search_is_judged_by_what_was_learnt_from(
    scale: str, kind: str, own: bool, model: Model, data: PairedData, run: Path
) -> None:
    tried = try_out(model, data, run / "index", kind, data.splits["query"], label_weights(data), own=own)
    fits = Fits.read(run / "index", encoder_of(model)["hash"])
    assert tried is not None and fits is not None
    with crossbit.open_search(run) as search:
        for at in range(0, 2 * QUERIES, 24):
            row, options = tried.query[at], {"modality": "image"} if own else {}
            asked = {"words": str(data["text"][row])} if kind == "words" else {"picture": data["image"][row]}
            expected = fits.scales[scale].probability(tried.evidence[at])
            assert search(**asked, **options).fits == pytest.approx(expected, abs=1e-6)


def test_of_a_picture_among_pictures_it_is_known(run: Path, data: PairedData) -> None:
    held, noise = data["image"][200], np.random.default_rng(0).integers(0, 256, data["image"][0].shape, np.uint8)
    with crossbit.open_search(run) as search:
        there, other = (search(picture=each, modality="image").fits for each in (held, noise))
        assert there is not None and other is not None and there > 0.5 and there > other
        assert search(picture=held, modality="image", rerank=False).fits is None
    old = Fits("abc", 100, {"pictures": Scale("text", ("codes", "pictures"), [0.0] * len(NAMES), 0.0, 300)})
    assert old.scale("pictures", "image", ("codes",), 100) is None
    assert old.scale("pictures", "text", ("codes", "pictures"), 100) is old.scales["pictures"]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learnt_is_the_probability(seed: int) -> None:
    """Evidence of which the truth is known: fresh draws fit as often as is said."""
    random = np.random.default_rng(seed)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shown = random.normal(size=(n, len(NAMES)))
        truth = 1 / (1 + np.exp(-(2 * shown[:, 0] - shown[:, 4] - 0.5)))
        return shown, random.random(n) < truth, truth

    shown, fits, _ = drawn(1000)
    scale = learn(Tried("image", ("codes",), shown, fits, fits, fits, np.arange(1000) // 2))
    fresh, _, truth = drawn(5000)
    p = np.array([scale.probability(each) for each in fresh])
    assert np.abs(p - truth).mean() < 0.06 and p.min() >= 0.01 and p.max() <= 0.99
    for some in np.array_split(np.argsort(p), 10):
        assert abs(p[some].mean() - truth[some].mean()) < 0.1


def test_what_fits_is_likelier_than_what_does_not(run: Path) -> None:
    with crossbit.open_search(run) as search:
        fitting, other = search("slanted line number 2").fits, search("walrus number 2 of a queer zoo").fits
        picture = search(picture=arrays(N, QUERIES)["image"][5]).fits
    assert fitting is not None and other is not None and picture is not None
    assert fitting > 0.8 and other < fitting - 0.3 and 0 <= picture <= 1


@pytest.mark.parametrize(
    "query",
    [
        {"item": 150},
        {"words": "bar", "picture": arrays(N, QUERIES)["image"][5]},
        {"words": "bar", "by": "codes"},
        {"words": "bar", "by": "words"},
        {"words": "bar", "modality": "text"},
        {"words": "bar", "rerank": False},
        {"words": "bar", "not_this": [150]},
        {"words": "bar", "where": "row < 0"},
    ],
)
def test_it_is_not_known_of_other_searches_than_were_learnt_from(run: Path, query: dict[str, Any]) -> None:
    with crossbit.open_search(run) as search:
        assert search(**query).fits is None
        assert search("bar", k=1).fits == search("bar", k=50).fits is not None


def test_a_stale_or_damaged_file_is_not_used(run: Path, model: Model, data: PairedData, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(run / "index", folder)

    def fits() -> float | None:
        with Searcher(model, folder) as search:
            return search("level bar").fits

    assert fits() is not None
    whole = (folder / FILE).read_text()
    held = json.loads(whole)
    for changed in ({**held, "encoder": "another"}, {**held, "format": 9}, {**held, "evidence": []}, {"scales": 3}, []):
        (folder / FILE).write_text(json.dumps(changed))
        assert fits() is None
    (folder / FILE).write_text(whole[:40])
    assert fits() is None
    (folder / FILE).write_text(json.dumps({**held, "codes": held["codes"] * 2}))
    assert fits() is None
    (folder / FILE).unlink()
    assert fits() is None


def test_who_adds_so_much_that_it_is_stale_is_told(run: Path, model: Model, data: PairedData, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(run / "index", folder)
    told = add(model, data, folder).warnings[-1]  # the queries come in, too
    assert "searches no longer say where nothing fits" in told and f"has {N:,} now" in told
    with Searcher(model, folder) as search:
        assert search("level bar").fits is None
    held = Fits.read(folder, encoder_of(model)["hash"])
    assert held is not None
    dataclasses.replace(held, codes=N).write(folder)
    assert not any("nothing fits" in line for line in add(model, data, folder).warnings)


def test_few_queries_or_no_labels_teach_nothing(run: Path, model: Model, data: PairedData) -> None:
    few = data.replace(splits={**data.splits, "query": np.arange(20)})
    assert calibrate(model, few, run / "index").scales == {}
    assert calibrate(model, data.replace(label=None, label_names=None), run / "index").scales == {}


def test_it_is_written_and_read_again(tmp_path: Path) -> None:
    scale = Scale("image", ("codes", "words"), [1.0] + [0.0] * (len(NAMES) - 2) + [2.0], -1.0, 300)
    made = Fits("abc", 100, {"words": scale}, {"fox": 4.0, "animal": 0.5})
    made.write(tmp_path)
    assert Fits.read(tmp_path, "abc") == made and Fits.read(tmp_path, "abd") is None
    for codes, known in ((100, True), (125, True), (126, False), (75, True), (74, False)):
        assert made.scale("words", "image", ("codes", "words"), codes) == (scale if known else None)
    assert made.scale("pictures", "image", ("codes", "words"), 100) is None
    assert made.scale("words", "image", ("codes",), 100) is made.scale("words", "text", ("codes", "words"), 100) is None
    assert scale.probability(np.zeros(len(NAMES))) == pytest.approx(0.01 + 0.98 / (1 + np.e))
    assert scale.probability(np.full(len(NAMES), 9.0)) == pytest.approx(0.99)
    least, less = (scale.probability(np.full(len(NAMES), x)) for x in (-4.0, -2.0))
    assert 0.01 < least < less < 0.011  # however unlikely, what is less likely comes after


def hit(id: int, cosine: float, *labels: str) -> SearchHit:
    return SearchHit(id, "image", 4, cosine, {"caption": f"number {id}", "labels": list(labels)})


def test_what_evidence_says() -> None:
    near = [hit(1, 0.9, "fox", "animal"), hit(2, 0.8, "fox"), hit(3, 0.5, "animal", "stone"), hit(4, 0.1)]
    seen = Seen([near[1]], near, 16, 0.7, frozenset(["number", "two"]))
    assert [each.id for each in seen.looked_at] == [2, 1, 3, 4]
    told = dict(zip(NAMES, evidence(seen, np.array([0.2, 0.6, 0.4, 0.0]), {"fox": 3.0}), strict=True))
    overlaps = [3 / 4, 0, 0, 1 / 5, 0, 0]  # of 2 and 1, 2 and 3, ...: a fox counts 3, the others 1
    expected = [0.9, 4 / 16, 0.8, np.mean(overlaps), 1 / 3, 0.7, 1 / 2, 0.2, 0.6]
    np.testing.assert_allclose(list(told.values()), expected, atol=1e-12)


def test_labels_are_read_of_few() -> None:
    near = [hit(id, 0.9, "fox") for id in range(READ)] + [hit(id, 0.1) for id in range(READ, LOOKED_AT)]
    told = dict(zip(NAMES, evidence(Seen(near[:1], near, 16, 0.0, frozenset()), np.zeros(40), {}), strict=True))
    assert told["share of the nearest twenty that are of the best hit's kind"] == 1
    assert told["cosine of the nearest less that of the fortieth"] == pytest.approx(0.8)


def test_one_hit_is_evidence_too() -> None:
    one = [hit(1, 0.9)]
    assert evidence(Seen(one, one, 16, 0.0, frozenset()), np.zeros(1), {}).tolist() == [0.9, 0.25, *[0.0] * 7]


def test_texts_that_say_the_same_are_of_one_kind(data: PairedData) -> None:
    texts = np.array(["a red fox", "Fox, red", "a blue house", "a house", "red"])
    words = said(
        PairedData("toy", {"x": np.eye(5), "text": texts}, None, {"train": [0], "query": [1], "retrieval": [0]})
    )
    assert words.shape == (5, 5)
    assert Kinds(words).of(words[[1]].toarray()[0]).tolist() == [True, True, False, False, True]
    without = said(PairedData("toy", {"x": np.eye(2)}, None, {"train": [0], "query": [1], "retrieval": [0]}))
    assert without.shape == (2, 0) and not Kinds(without).of(np.zeros(0)).any()


@pytest.mark.parametrize("kind", ["words", "pictures"])
def test_of_each_thing_one_query_before_a_second(
    kind: str, model: Model, data: PairedData, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, group = np.array([f"level bar {row}" for row in range(N)]), np.arange(N)
    if kind == "words":
        texts[:60] = texts[0]
    else:
        group[:60] = 0
    alike = data.replace(modalities={**data.modalities, "text": texts}, group=group)
    monkeypatch.setattr("crossbit.search.calibrate.QUERIES", 61)
    tried = try_out(model, alike, run / "index", kind, data.splits["query"], {})
    assert tried is not None and np.unique(tried.query).tolist() == [0, *range(60, QUERIES)]


def test_a_quiet_line_where_nothing_seems_to_fit(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command: Command = runner(capsys)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run", ignore=shutil.ignore_patterns("index"))
    shutil.copy(run.parent / "toy.npz", tmp_path)
    np.savez("other.npz", **arrays(N - 10, QUERIES))
    assert "learnt from" in " ".join(command("index", "run", "toy.npz").errors)
    command("index", "run", "other.npz", "--uri", "other")
    assert Path("run/index", FILE).exists() and not Path("other", FILE).exists()
    assert json.loads(done(command, "search", "run", "level bar", "--json"))["fits"] > 0.5
    assert json.loads(done(command, "search", "run", "level bar", "--json", "--uri", "other"))["fits"] is None
    assert "Nothing here" not in done(command, "search", "run", "level bar")
    assert "Nothing here seems to fit (" in done(command, "search", "run", "walrus number of a queer zoo")


def test_the_line_is_of_hits_that_are_there() -> None:
    hits = {"image": (SearchHit(1, "image", 3, 0.5, {}),)}

    def line(fits: float | None, hits: Any = hits) -> str:
        return SearchResults("fox", hits, 0.0, 1, True, fits).nothing_fits

    assert line(0.08) == "Nothing here seems to fit (8 %). The nearest:"
    assert [line(0.1), line(None), line(0.08, {"image": ()})] == ["", "", ""]


def test_labels_have_the_probability_that_the_run_keeps(
    run: Path, model: Model, data: PairedData, tmp_path: Path
) -> None:
    names = list(data.label_names or [])
    kept = dict(zip(model.rows["row"].tolist(), model.rows["probability"], strict=True))
    with crossbit.open_search(run) as search:
        hits = search("level bar", k=200).image
    assert len(hits) > 100
    for hit in hits:
        p = kept[hit.id]
        given = {names[c] for c in np.flatnonzero(np.asarray(data.label)[hit.id])}
        told = {label.name: label for label in hit.labels}
        assert {name for name, label in told.items() if label.given} == given
        assert told.keys() == given | {name for name, each in zip(names, p, strict=True) if each > 0.5}
        for name, label in told.items():
            assert label.p == pytest.approx(p[names.index(name)], abs=1e-6)


def test_what_replaced_an_item_has_no_probability(run: Path, model: Model, data: PairedData, tmp_path: Path) -> None:
    shutil.copytree(run / "index", tmp_path / "index")
    named = data.replace(path=np.array([f"{row}.png" for row in range(N)]))
    index_data(model, named, tmp_path / "named")
    learn_from_run(model, named, tmp_path / "named")
    texts = named["text"].copy()
    texts[QUERIES] = "level bar changed"
    add_data(model, named.replace(modalities={**named.modalities, "text": texts}), tmp_path / "named")
    with Searcher(model, tmp_path / "named") as search:
        hits = search("level bar", k=200).image
    assert {hit.item["row"] for hit in hits if not hit.probabilities} == {QUERIES}
