"""Reports: every direction scored once, the protocol beside the numbers, and files of anyone's codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import oracles
from crossbit.bits import pack, unpack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import chance_level, evaluate, mean_average_precision, score_codes, score_file

SIGNS = np.random.default_rng(0).choice([-1, 1], (3, 60, 16))  # image, text, sound: 60 rows of 16 bits
LABEL = (np.random.default_rng(1).random((60, 4)) < 0.3).astype(np.uint8)
QUERY, RETRIEVAL = np.arange(10), np.arange(20, 60)
MODALITIES = ["image", "text", "sound"]


class Model:
    """Packs the signs of what it is given and remembers what that was."""

    method, bits = "signs", 16

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def encode(self, modality: str, x: np.ndarray) -> np.ndarray:
        self.calls.append((modality, len(x)))
        return pack(x)


def paired(**changes: object) -> PairedData:
    splits = {"train": np.arange(20, 30), "query": QUERY, "retrieval": RETRIEVAL}
    vectors = dict(zip(MODALITIES, SIGNS.astype(float), strict=True))
    return PairedData(**{"name": "toy", "modalities": vectors, "label": LABEL, "splits": splits, **changes})


def side(rows: np.ndarray, modalities: list[str] = MODALITIES) -> dict[str, np.ndarray]:
    return {name: pack(signs[rows]) for name, signs in zip(modalities, SIGNS, strict=False)}


def test_every_pair_of_modalities_is_scored():
    report = evaluate(Model(), paired())
    assert list(report.map) == [f"{a}->{b}" for a in MODALITIES for b in MODALITIES if a != b]
    query, retrieval = side(QUERY), side(RETRIEVAL)
    for direction, value in report.map.items():
        a, b = direction.split("->")
        sides = query[a], retrieval[b], LABEL[QUERY], LABEL[RETRIEVAL]
        assert value == mean_average_precision(*sides)
        bounds = {bound: mean_average_precision(*sides, ties=bound) for bound in ("worst", "best")}
        assert report.spread[direction] == bounds
        assert bounds["worst"] < value < bounds["best"]
        assert report.chance[direction] == chance_level(LABEL[QUERY], LABEL[RETRIEVAL])


def test_each_modality_is_encoded_once():
    model = Model()
    evaluate(model, paired())
    assert sorted(model.calls) == sorted((modality, rows) for modality in MODALITIES for rows in (10, 40))
    model = Model()
    evaluate(model, paired(), database="query")
    assert sorted(model.calls) == sorted((modality, 10) for modality in MODALITIES)


def test_a_model_may_know_fewer_modalities_than_the_data_holds():
    model = Model()
    model.modalities = ["text", "image"]
    apart = paired(label=None, modality_label={"image": LABEL, "text": LABEL})
    assert evaluate(model, apart).map == {
        direction: value
        for direction, value in evaluate(Model(), paired()).map.items()
        if direction in ("image->text", "text->image")
    }


def test_queries_against_themselves():
    report = evaluate(Model(), paired(), database="query")
    codes = side(QUERY)
    assert report.map["image->text"] == mean_average_precision(
        codes["image"], codes["text"], LABEL[QUERY], LABEL[QUERY]
    )
    assert (report.protocol["database"], report.protocol["queries"], report.protocol["database_size"]) == (
        "query",
        10,
        10,
    )
    assert "10 queries x the same 10" in str(report)


def test_the_protocol_stands_beside_every_number():
    report = evaluate(Model(), paired(), k=5, cutoff="topk", ties="index", empty="zero")
    assert report.protocol == {
        "k": 5, "cutoff": "topk", "ties": "index", "empty": "zero", "metric": "hamming",
        "queries": 10, "database": "retrieval", "database_size": 40,
    }  # fmt: skip
    head, *lines = str(report).splitlines()
    assert head == "toy, signs, 16 bits"
    under = "mAP@5(cutoff=topk, ties=index, empty=zero), 10 queries x 40 database"
    assert lines.pop(-3).startswith("queries without a relevant item in the database: 3 of 10; they count as 0")
    assert [line.split(maxsplit=2) for line in lines[:-2]] == [
        [key, f"{x:.4f}", under] for key, x in report.map.items()
    ]
    assert lines[-2].startswith("any order of ties: image->text ")
    assert lines[-1].startswith("chance: image->text ")


def test_large_numbers_are_readable():
    codes = {name: np.zeros((1200, 1), np.uint8) for name in ("image", "text")}
    report = score_codes(codes, codes, np.zeros(1200, int), np.zeros(1200, int))
    assert "image->text  1.0000  mAP@all(ties=expected, empty=skip), 1,200 queries x 1,200 database" in str(report)


def test_dictionary_is_json():
    report = evaluate(Model(), paired())
    written = json.loads(json.dumps(report.to_dict()))
    assert written["data"], written["method"] == ("toy", "signs")
    assert written["bits"] == 16
    assert written["map"] == report.map
    assert {"k", "ties", "empty", "queries", "database"} <= set(written["protocol"])
    assert written["protocol"]["k"] is None
    assert set(written["seconds"]) == {"encode", "evaluate"}
    assert all(seconds >= 0 for seconds in written["seconds"].values())


def test_evaluation_sees_the_truth_only():
    noisy = paired(observed_label=1 - LABEL)
    assert evaluate(Model(), noisy).map == evaluate(Model(), paired()).map


def test_modalities_labelled_apart():
    other = np.roll(LABEL, 1, axis=0)
    data = paired(
        modality_label={"text": other}, modalities=dict(zip(MODALITIES[:2], SIGNS.astype(float), strict=False))
    )
    report = evaluate(Model(), data)
    query, retrieval = side(QUERY), side(RETRIEVAL)
    there = query["image"], retrieval["text"], LABEL[QUERY], other[RETRIEVAL]
    back = query["text"], retrieval["image"], other[QUERY], LABEL[RETRIEVAL]
    assert report.map == {"image->text": mean_average_precision(*there), "text->image": mean_average_precision(*back)}
    apart = score_codes(
        side(QUERY, MODALITIES[:2]), side(RETRIEVAL, MODALITIES[:2]),
        {"image": LABEL[QUERY], "text": other[QUERY]}, {"image": LABEL[RETRIEVAL], "text": other[RETRIEVAL]},
    )  # fmt: skip
    assert apart.map == report.map


def test_first_k_relevant_has_bounds_but_no_chance():
    report = evaluate(Model(), paired(), k=5, cutoff="first-k-relevant", ties="index")
    assert report.chance == {}
    assert "chance" not in str(report)
    for direction, value in report.map.items():
        assert report.spread[direction]["worst"] <= value <= report.spread[direction]["best"]
    assert evaluate(Model(), paired(), k=40, cutoff="first-k-relevant", ties="index").chance


CODES = {"image": np.zeros((2, 2), np.uint8), "text": np.zeros((2, 2), np.uint8)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": {"image": CODES["image"]}}, "at least two"),
        ({"retrieval": {"image": CODES["image"], "sound": CODES["text"]}}, "the same ones on both sides"),
        ({"query": {**CODES, "text": np.zeros((3, 2), np.uint8)}}, "query image: 2, query text: 3"),
        ({"retrieval": {**CODES, "text": np.zeros((2, 1), np.uint8)}}, r"retrieval text: \(2, 1\)"),
        ({"retrieval": {name: np.zeros((0, 2), np.uint8) for name in CODES}}, "at least 1.*retrieval image: 0"),
        ({"query": {**CODES, "text": CODES["text"].astype(int)}}, "query text: packed codes are uint8"),
        ({"query_labels": [0]}, "query labels has 1 rows but query image has 2"),
        ({"retrieval_labels": {"image": [0, 1]}}, "none for text"),
        ({"database": "train"}, "unknown database 'train'"),
        ({"ties": "some"}, "unknown ties 'some'"),
    ],
)
def test_bad_codes_are_named(changes, message):
    good = {"query": CODES, "retrieval": CODES, "query_labels": [0, 1], "retrieval_labels": [0, 1]}
    assert score_codes(**good).map["image->text"] == 0.75
    with pytest.raises(UserError, match=message) as caught:
        score_codes(**{**good, **changes})
    assert "\n" not in str(caught.value)


def test_without_labels_only_a_querys_own_pair_is_correct():
    data = paired(label=None)
    report = evaluate(Model(), data, measures=["hit@2(correct=pair, ties=index)"])
    assert (report.map, report.chance, report.protocol["database"]) == ({}, {}, "query")
    codes = {modality: unpack(Model().encode(modality, data.query[modality])) for modality in data.modalities}
    for way, found in next(iter(report.figures.values())).items():
        source, target = (codes[modality] for modality in way.split("->"))
        ranked = [
            sorted(range(len(row)), key=lambda item: (row[item], item)) for row in oracles.hamming(source, target)
        ]
        assert found == np.mean([query in order[:2] for query, order in enumerate(ranked)])
    plain = evaluate(Model(), data, ties="worst")
    assert list(plain.figures) == ["hit@10(correct=pair, ties=worst, empty=zero)"]
    assert "only a query's own pair is correct" in str(plain) and "hit@10" in plain._repr_html_()


@pytest.mark.parametrize("asked", [{"measures": ["P@10"]}, {"curves": True}, {"k": 5}])
def test_what_needs_labels_says_so(asked):
    with pytest.raises(UserError, match=r"toy has no labels for image, text, sound, which .* needs"):
        evaluate(Model(), paired(label=None), **asked)


def test_data_that_cannot_be_evaluated():
    splits = {"train": [20], "query": [], "retrieval": RETRIEVAL}
    with pytest.raises(UserError, match="split 'query' has no rows"):
        evaluate(Model(), paired(splits=splits))
    with pytest.raises(UserError, match="unknown database 'retreival'; did you mean 'retrieval'"):
        evaluate(Model(), paired(), database="retreival")
    with pytest.raises(UserError, match="at least two"):
        evaluate(Model(), paired(modalities={"image": SIGNS[0].astype(float)}))


def arrays(convert: object = lambda signs: signs, labels: np.ndarray = LABEL) -> dict[str, np.ndarray]:
    """The arrays of a file of codes: image and text, queries and database."""
    made = {}
    for name, rows in (("query", QUERY), ("retrieval", RETRIEVAL)):
        for modality, signs in zip(("image", "text"), SIGNS, strict=False):
            made[f"{name}_{modality}"] = convert(signs[rows])  # type: ignore[operator]
        made[f"{name}_label"] = labels[rows]
    return made


def saved(folder: Path, **given: np.ndarray) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **given)
    return path


FORMS = {
    "packed": pack,
    "bool": lambda signs: signs > 0,
    "0/1": lambda signs: (signs > 0).astype(np.int64),
    "0/1 floats": lambda signs: (signs > 0).astype(np.float32),
    "±1": lambda signs: signs.astype(np.int8),
    "±1 floats": lambda signs: signs.astype(np.float64),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_codes_in_every_form(tmp_path, form):
    report = score_file(saved(tmp_path, **arrays(FORMS[form])), k=7, ties="index")
    two = [side(rows, ["image", "text"]) for rows in (QUERY, RETRIEVAL)]
    direct = score_codes(*two, LABEL[QUERY], LABEL[RETRIEVAL], k=7, ties="index")
    assert report.map == direct.map
    assert (report.protocol, report.bits, report.data) == (direct.protocol, 16, "mine")


def test_bits_in_whole_bytes_are_told_of(tmp_path, caplog):
    packed = score_file(saved(tmp_path, **arrays(pack)))
    assert caplog.messages == []
    unpacked = score_file(saved(tmp_path, **arrays(lambda signs: (signs > 0).astype(np.uint8))))
    assert unpacked.map == packed.map and unpacked.bits == 8 * packed.bits
    (told,) = caplog.messages
    assert "these hold 0 and 1 alone" in told and "save them as bool" in told


def test_a_file_of_signs_with_zeros_takes_them_as_plus_one(tmp_path):
    zeros = arrays(lambda signs: np.where(signs > 0, 0, -1))
    assert score_file(saved(tmp_path, **zeros)).map == score_file(saved(tmp_path, **arrays())).map


def test_a_file_with_other_modalities(tmp_path):
    renamed = {name.replace("image", "sketch"): array for name, array in arrays().items()}
    assert list(score_file(saved(tmp_path, **renamed)).map) == ["sketch->text", "text->sketch"]


CUTS = [(None, "topk-R"), (3, "topk-R"), (3, "topk")]


def with_ties(rows: int, seed: int) -> np.ndarray:
    """Real vectors of which some are equal, one is zero and one is another's multiple."""
    vectors = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    vectors[1:4] = vectors[0]
    vectors[5], vectors[6] = 0, 2 * vectors[7]
    return vectors


@pytest.mark.parametrize(
    ("k", "cutoff", "ties"),
    [(k, cutoff, ties) for k, cutoff in CUTS for ties in ("expected", "index", "best", "worst")]
    + [(3, "first-k-relevant", ties) for ties in ("index", "best", "worst")],
)
def test_real_vectors_are_ranked_by_cosine(tmp_path, k, cutoff, ties):
    query, database = with_ties(8, 0), with_ties(9, 1)
    classes, other = np.arange(8) % 3, np.arange(9) % 3
    path = saved(tmp_path, query_image=query, query_text=query, retrieval_image=database, retrieval_text=database,
                 query_label=classes, retrieval_label=other)  # fmt: skip
    report = score_file(path, k=k, cutoff=cutoff, ties=ties)
    values = []
    for vector, label in zip(query.astype(float), classes, strict=True):
        lengths = np.linalg.norm(vector) * np.linalg.norm(database.astype(float), axis=1)
        distances = np.round(1 - (database @ vector) / np.where(lengths > 0, lengths, 1), 6)
        if ties == "index":
            values.append(oracles.average_precision(oracles.stable(distances, other == label), k, cutoff))
        else:
            groups = oracles.tie_groups(distances, other == label)
            values.append(oracles.over_orders(groups, lambda r: oracles.average_precision(r, k, cutoff), ties))
    assert report.map["image->text"] == pytest.approx(np.mean(values), abs=1e-13)
    assert report.bits is None
    assert report.protocol["metric"] == "cosine"
    assert "metric=cosine)" in str(report)


def test_order_of_real_vectors_does_not_matter_to_expected_values(tmp_path):
    given = arrays(lambda signs: signs * 1.5 + (signs[:, :1] > 0) * 0.25)
    given = {name: np.round(array[..., :3] if "label" not in name else array, 2) for name, array in given.items()}
    order = np.random.default_rng(0).permutation(len(RETRIEVAL))
    shuffled = {name: array[order] if name.startswith("retrieval") else array for name, array in given.items()}
    values = score_file(saved(tmp_path, **given)).map
    for direction, value in score_file(saved(tmp_path, **shuffled)).map.items():
        assert value == pytest.approx(values[direction], abs=1e-12)
    stable = score_file(saved(tmp_path, **given), ties="index").map
    assert stable != pytest.approx(score_file(saved(tmp_path, **shuffled), ties="index").map, abs=1e-4)


@pytest.mark.slow
def test_equal_vectors_are_ties_to_the_last_bit(tmp_path):
    """A matrix product may round equal rows differently at different places."""
    classes = np.arange(1003) % 3
    for vectors in np.random.default_rng(0).normal(size=(5, 2, 1, 100)):
        same = np.repeat(vectors[1], len(classes), axis=0)
        path = saved(tmp_path, query_image=vectors[0], query_text=vectors[0], retrieval_image=same, retrieval_text=same,
                     query_label=np.array([0]), retrieval_label=classes)  # fmt: skip
        assert score_file(path).map["image->text"] == chance_level([0], classes)


def test_extreme_vectors_keep_their_direction(tmp_path):
    given = arrays(lambda signs: signs + 0.5)
    values = score_file(saved(tmp_path, **given)).map
    for scale in (2.0**-1000, 2.0**1000):
        scaled = {name: array if "label" in name else array * scale for name, array in given.items()}
        assert score_file(saved(tmp_path, **scaled)).map == values


def without(*names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays().items() if name not in names}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (without("query_text", "retrieval_label"), "lacks query_text, retrieval_label; needed are"),
        (
            {"codes": LABEL},
            "lacks query_image, query_text, retrieval_image, retrieval_text, query_label, retrieval_label;",
        ),
        (arrays() | {"query_text": SIGNS[1][QUERY][:5]}, "query image: 10, query text: 5"),
        (arrays() | {"query_text": SIGNS[1][QUERY][:, :8]}, "query_image 16 bits, query_text 8 bits"),
        (arrays() | {"query_text": SIGNS[1][QUERY][:, :9]}, "query_image 16 bits, query_text 9 bits"),
        (arrays(lambda signs: np.tile(signs, 65)), "query_image has codes of 1,040 bits; there may be at most 1,024"),
        (arrays() | {"query_text": 3 * SIGNS[1][QUERY]}, "query_text is int64 with values other than"),
        (arrays() | {"query_text": SIGNS[1][QUERY] * 0.5}, "query_image, .*hold codes, but query_text real vectors"),
        (arrays() | {"query_text": np.full((10, 16), np.nan)}, "query_text holds NaN"),
        (arrays() | {"query_text": np.full((10, 16), "x")}, "query_text is <U1"),
        (arrays() | {"query_text": pack(SIGNS[1][QUERY])[0]}, r"query text: \(2,\)"),
        (arrays() | {"query_text": np.array([[None]])}, "query_text.* holds pickled objects"),
        (arrays(labels=LABEL * 2), "query labels holds 2"),
        (arrays() | {"query_label": LABEL[:3]}, "query labels has 3 rows but query image has 10"),
    ],
)
def test_bad_files_are_named(tmp_path, given, message):
    with pytest.raises(UserError, match=message) as caught:
        score_file(saved(tmp_path, **given))
    assert str(caught.value).startswith(str(tmp_path / "mine.npz"))
    assert "\n" not in str(caught.value)


def test_what_is_not_a_file_of_codes(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        score_file(tmp_path / "none.npz")
    with pytest.raises(UserError, match="not a file of codes"):
        score_file(tmp_path)
    for name, content in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="not a file of codes"):
            score_file(tmp_path / name)
    np.save(tmp_path / "one.npy", LABEL)
    with pytest.raises(UserError, match="not a file of codes"):
        score_file(tmp_path / "one.npy")


def test_a_damaged_file(tmp_path):
    path = saved(tmp_path, **arrays())
    content = bytearray(path.read_bytes())
    middle = content.index(b"\x93NUMPY") + 200  # inside the first array
    content[middle] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        score_file(path)
