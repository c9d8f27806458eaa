"""Noise rules: how many rows they hit, what they do to a row, and what they never touch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossbit.data.noise import RULES, Noise, corrupt, corrupt_data, parse_noise, rule, shuffle_pairs
from crossbit.data.types import PairedData
from crossbit.errors import UserError

matrices = st.tuples(st.integers(1, 25), st.integers(2, 7)).flatmap(
    lambda s: arrays(np.uint8, s, elements=st.integers(0, 1))
)
classes = st.integers(2, 6).flatmap(
    lambda k: arrays(np.int64, st.integers(1, 25), elements=st.integers(0, k - 1)).map(lambda y: (y, k))
)
rates = st.floats(0, 1)
seeds = st.integers(0, 2**32)


def one_hot(y, k):
    return np.eye(k, dtype=np.uint8)[y]


@given(matrices, rates, seeds)
def test_swap_one_on_label_sets(labels, rate, seed):
    before = labels.copy()
    observed, changed = corrupt(labels, Noise("swap-one", rate), seed)
    assert (labels == before).all()
    hit = 0
    for old, new, marked in zip(labels, observed, changed, strict=True):
        lost, gained = ((old == 1) & (new == 0)).sum(), ((old == 0) & (new == 1)).sum()
        assert marked == (lost + gained > 0)
        if marked:
            assert (lost, gained) == (1 if old.any() else 0, 1)
        hit += marked
    full = int(labels.all(axis=1).sum())  # such rows have nothing to gain and stay
    assert int(len(labels) * rate) - full <= hit <= int(len(labels) * rate)


@given(matrices, rates, seeds)
def test_resample_on_label_sets(labels, rate, seed):
    observed, changed = corrupt(labels, Noise("resample", rate), seed)
    assert (observed.sum(axis=1) == labels.sum(axis=1)).all()
    assert set(np.unique(observed)) <= {0, 1}
    assert (changed == (observed != labels).any(axis=1)).all()
    assert changed.sum() <= int(len(labels) * rate)


@given(classes, rates, seeds)
def test_swap_one_on_classes(drawn, rate, seed):
    labels, k = drawn
    observed, changed = corrupt(labels, Noise("swap-one", rate), seed, classes=k)
    assert changed.sum() == int(len(labels) * rate)
    assert (changed == (observed != labels)).all()
    assert ((observed >= 0) & (observed < k)).all()


@given(classes, rates, seeds)
def test_asymmetric_is_one_map_from_half_the_classes_to_the_other_half(drawn, rate, seed):
    labels, k = drawn
    observed, changed = corrupt(labels, Noise("asymmetric", rate), seed, classes=k)
    becomes = dict(zip(labels[changed].tolist(), observed[changed].tolist(), strict=True))
    assert observed[changed].tolist() == [becomes[old] for old in labels[changed].tolist()]
    assert len(set(becomes.values())) == len(becomes) <= k // 2
    assert not set(becomes) & set(becomes.values())
    assert changed.sum() <= int(len(labels) * rate)


@pytest.mark.slow
@given(classes, rates, seeds, st.sampled_from(["flip", "asymmetric"]))
def test_single_label_rules_take_one_hot_matrices_alike(drawn, rate, seed, name):
    labels, k = drawn
    integers, changed = corrupt(labels, Noise(name, rate), seed, classes=k)
    matrix, also_changed = corrupt(one_hot(labels, k), Noise(name, rate), seed)
    assert matrix.dtype == np.uint8
    assert (matrix == one_hot(integers, k)).all()
    assert (changed == also_changed).all()


@given(matrices, rates, seeds)
def test_candidates_hold_the_true_labels_and_one_to_three_more(labels, rate, seed):
    observed, changed = corrupt(labels, Noise("candidates", rate), seed)
    assert ((observed >= labels) & (observed <= 1)).all()
    added, room = (observed > labels).sum(axis=1), (labels == 0).sum(axis=1) * labels.any(axis=1)
    assert (changed == (added > 0)).all()
    assert (added <= np.minimum(room, 3)).all()
    assert changed.sum() <= int(len(labels) * rate)
    if rate == 1:
        assert (added >= np.minimum(room, 1)).all()


def test_candidates_are_drawn_uniformly():
    n = 60_000
    observed, changed = corrupt(np.full(n, 2), "candidates:1", 0, classes=6)
    assert observed.shape == (n, 6)
    assert changed.all()
    added = observed.sum(axis=1) - 1
    spread = 5 * np.sqrt(0.25 / n)
    assert max(abs(share(added, number) - 1 / 3) for number in (1, 2, 3)) < spread
    assert np.abs(observed[:, [0, 1, 3, 4, 5]].mean(axis=0) - 2 / 5).max() < spread
    assert observed[:, 2].all()


@pytest.mark.slow
@given(matrices, rates, seeds, st.sampled_from(["swap-one", "resample"]), st.data())
def test_noise_per_group_on_label_sets(labels, rate, seed, name, data):
    groups = data.draw(arrays(np.int64, len(labels), elements=st.integers(-3, 3)))
    observed, changed = corrupt(labels, Noise(name, rate, grouped=True), seed, groups=groups)
    assert (changed == (observed != labels).any(axis=1)).all()
    assert len(set(groups[changed])) <= int(len(set(groups)) * rate)
    got = {}
    for group, old, new in zip(
        groups, labels, observed, strict=True
    ):  # the same labels of a group, the same wrong ones
        assert got.setdefault((group, *old), tuple(new)) == tuple(new)
        lost, gained = ((old == 1) & (new == 0)).sum(), ((old == 0) & (new == 1)).sum()
        assert lost <= gained <= (1 if name == "swap-one" else len(old))
        assert name == "swap-one" or lost == gained
    assert (corrupt(labels, Noise(name, rate, grouped=True), seed, groups=groups + 9)[0] == observed).all()


@pytest.mark.slow
@given(classes, rates, seeds)
def test_noise_per_group_hits_whole_groups(drawn, rate, seed):
    labels, k = drawn
    groups = np.array([f"group {row // 3}" for row in range(len(labels))])
    _, changed = corrupt(labels, Noise("swap-one", rate, grouped=True), seed, classes=k, groups=groups)
    hit = set(groups[changed])
    assert len(hit) == int(len(set(groups)) * rate)
    assert (changed == np.isin(groups, sorted(hit))).all()
    single, _ = corrupt(one_hot(labels, k), Noise("flip", rate, grouped=True), seed, groups=groups)
    integers, _ = corrupt(labels, Noise("flip", rate, grouped=True), seed, classes=k, groups=groups)
    assert (single == one_hot(integers, k)).all()


@pytest.mark.parametrize("name", ["swap-one", "resample", "flip"])
def test_groups_are_drawn_apart_from_each_other(name):
    n, faces = 4000, 5
    observed, _ = corrupt(
        np.zeros(n * faces, int), f"{name}:1:group", 0, classes=4, groups=np.arange(n * faces) // faces
    )
    each = observed.reshape(n, faces)
    assert (each == each[:, :1]).all()
    wrong = range(0 if name != "swap-one" else 1, 4)
    assert max(abs(share(each[:, 0], other) - 1 / len(wrong)) for other in wrong) < 5 * np.sqrt(0.25 / n)


@pytest.mark.slow
def test_large_groups_are_chosen_as_often_as_small_ones():
    groups = np.repeat(np.arange(10), [20, *[1] * 9])
    labels = np.arange(29) % 2
    hits = [corrupt(labels, "swap-one:0.3:group", seed, groups=groups)[1][[0, -1]] for seed in range(1000)]
    assert np.abs(np.mean(hits, axis=0) - 0.3).max() < 5 * np.sqrt(0.21 / 1000)


def share(values, value):
    return (values == value).mean()


@pytest.mark.parametrize("name", ["flip", "resample"])
def test_flip_is_uniform_over_all_classes(name):
    n, k, rate = 60_000, 5, 0.6
    observed, changed = corrupt(np.full(n, 2), f"{name}:{rate}", 0, classes=k)
    spread = 5 * np.sqrt(0.25 / n)  # five standard errors of a share, at most
    for other in (0, 1, 3, 4):
        assert abs(share(observed, other) - rate / k) < spread
    assert abs(changed.mean() - rate * (k - 1) / k) < spread


def test_swap_one_is_uniform_over_what_it_may_choose():
    n = 60_000
    observed, _ = corrupt(np.tile(np.array([1, 0, 1, 0, 0], np.uint8), (n, 1)), "swap-one:1", 0)
    spread = 5 * np.sqrt(0.25 / n)
    assert np.abs(observed.mean(axis=0) - [1 / 2, 1 / 3, 1 / 2, 1 / 3, 1 / 3]).max() < spread
    lost_first = observed[:, 0] == 0
    assert abs(observed[lost_first, 1].mean() - 1 / 3) < 2 * spread  # gained whatever was lost
    observed, _ = corrupt(np.zeros(n, int), "swap-one:1", 0, classes=4)
    assert max(abs(share(observed, other) - 1 / 3) for other in (1, 2, 3)) < spread


def test_resample_is_uniform_over_sets():
    n = 60_000
    observed, _ = corrupt(np.tile(np.array([1, 0, 1, 0], np.uint8), (n, 1)), "resample:1", 0)
    _, counts = np.unique(observed @ [8, 4, 2, 1], return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts / n - 1 / 6).max() < 5 * np.sqrt(0.25 / n)


def test_rows_are_chosen_uniformly():
    hits = np.mean([corrupt(np.arange(10) % 2, "swap-one:0.3", seed)[1] for seed in range(1000)], axis=0)
    assert np.abs(hits - 0.3).max() < 5 * np.sqrt(0.21 / 1000)


@pytest.mark.parametrize("name", ["swap-one", "resample", "candidates", "flip", "asymmetric"])
def test_seeds(name):
    labels = np.arange(200) % 7 if name != "candidates" else one_hot(np.arange(200) % 7, 7)
    first, again, other = (corrupt(labels, f"{name}:0.5", seed)[0] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    assert (corrupt(labels, f"{name}:0", 3)[0] == labels).all()


@pytest.mark.parametrize(
    "labels", [np.eye(5)[:, :4], np.eye(4, dtype=bool), np.eye(4, dtype=int), np.arange(5, dtype=np.int32)]
)
def test_form_and_type_stay(labels):
    observed, changed = corrupt(labels, "swap-one:0.9", 0)
    assert (observed.dtype, observed.shape) == (labels.dtype, labels.shape)
    assert (changed.dtype, changed.shape) == (bool, labels.shape[:1])


def test_no_rows():
    observed, changed = corrupt(np.zeros((0, 3), np.uint8), "swap-one:1", 0)
    assert (observed.shape, changed.shape) == ((0, 3), (0,))
    assert corrupt(np.zeros(0, int), "flip:1", 0, classes=3)[1].shape == (0,)


@given(st.sampled_from(sorted(RULES.keys() - {"shuffle-pairs"})), rates, st.booleans(), st.booleans())
def test_noise_prints_as_it_is_read(name, rate, each, grouped):
    noise = Noise(name, rate, each, grouped)
    assert parse_noise(str(noise)) == noise
    assert parse_noise(noise) is noise
    assert parse_noise("swap-one:.5:group:each") == Noise("swap-one", 0.5, each=True, grouped=True)
    assert str(parse_noise("shuffle-pairs:.5")) == "shuffle-pairs:0.5"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "swap-on:0.5",
            "unknown noise rule 'swap-on'; did you mean 'swap-one'? known: asymmetric, candidates, flip, resample, ",
        ),
        ("", "unknown noise rule ''"),
        ("swap-one", "has no rate that is a number; write RULE:RATE, such as 'swap-one:0.5'"),
        ("swap-one:", "has no rate"),
        ("swap-one:half", "noise 'swap-one:half' has no rate"),
        ("swap-one:1.5", "noise rate is 1.5; it must be from 0 to 1"),
        ("swap-one:-0.1", "noise rate is -0.1"),
        ("swap-one:nan", "noise rate is nan"),
        ("swap-one:0.5:every", "ends in 'every'; only ':each' (drawn per modality) and ':group' (drawn per group) may"),
        ("swap-one:0.5:each:each", "ends in 'each:each'"),
        ("swap-one:0.5:groups", "ends in 'groups'; only"),
        ("swap-one:0.5:group", "noise 'swap-one:0.5:group' is drawn once for each group; give `groups`"),
        ("shuffle-pairs:0.5:group", "'shuffle-pairs:0.5:group': shuffle-pairs draws no labels, so it takes neither"),
        ("shuffle-pairs:0.5:each", "'shuffle-pairs:0.5:each': shuffle-pairs draws no labels"),
        ("swap-one:0.5:", "ends in ''"),
        ("shuffle-pairs:0.5", "permutes pairs, not labels; crossbit.data.noise.shuffle_pairs"),
    ],
)
def test_bad_noise_is_refused_in_one_line(text, says):
    with pytest.raises(UserError) as caught:
        corrupt(np.arange(5), text, 0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "text", "says"),
    [
        (np.array([[1, 0], [1, 1], [0, 1]]), "flip:0.5", "noise 'flip' is for one label per row, row 1 has 2"),
        (np.array([[1, 0], [0, 1], [0, 0]]), "asymmetric:0.5", "row 2 has 0; take 'swap-one' or 'resample'"),
        (np.array([[2, 0], [0, 1]]), "swap-one:0.5", "labels holds 2"),
        (np.array([0, -1]), "swap-one:0.5", "labels holds class -1"),
        (np.zeros(4, int), "swap-one:0.5", "labels have 1 classes; noise needs at least two"),
    ],
)
def test_bad_labels_are_refused(labels, text, says):
    with pytest.raises(UserError, match=says):
        corrupt(labels, text, 0)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", True, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(UserError, match="it must be a whole number from 0"):
        corrupt(np.arange(5), "swap-one:0.5", seed)


def test_a_new_rule_is_one_decorated_function(monkeypatch):
    monkeypatch.setattr("crossbit.data.noise.RULES", dict(RULES))

    @rule("all-first")
    def all_first(labels, classes, rng):
        return np.zeros_like(labels)

    assert corrupt(np.array([1, 2, 3, 0]), "all-first:1", 0)[0].tolist() == [0, 0, 0, 0]


N = 40
LABEL = np.random.default_rng(1).integers(0, 2, (N, 4)).astype(np.uint8)


def make(**changes) -> PairedData:
    parts = {"train": np.arange(30, 5, -1), "query": np.arange(5), "retrieval": np.arange(5, N)}
    whole = {"modalities": {"image": np.zeros((N, 2)), "text": np.zeros((N, 3))}, "label": LABEL, "splits": parts}
    return PairedData(name="toy", **{**whole, **changes})


def test_only_training_rows_are_corrupted():
    data = make()
    noisy, changed = corrupt_data(data, "swap-one:0.8", 0)
    train = np.isin(np.arange(N), data.splits["train"])
    assert changed.any()
    assert not changed[~train].any()
    assert (changed == (noisy.observed_label != LABEL).any(axis=1)).all()
    assert (noisy.label == LABEL).all()
    assert (noisy.query.observed() == LABEL[:5]).all()
    assert data.observed_label is None
    assert noisy["image"] is data["image"]
    expected, mask = corrupt(data.train.label, "swap-one:0.8", 0)
    assert (noisy.train.observed() == expected).all()
    assert (changed[data.splits["train"]] == mask).all()


def test_each_modality_draws_for_itself():
    data = make()
    noisy, changed = corrupt_data(data, "swap-one:0.8:each", 0)
    assert noisy.observed_label is None
    assert list(changed) == ["image", "text"]
    for name in changed:
        observed = noisy.modality_observed_label[name]
        assert (changed[name] == (observed != LABEL).any(axis=1)).all()
        assert changed[name][5:31].any()
        assert not changed[name][[*range(6), *range(31, N)]].any()
    assert (changed["image"] != changed["text"]).any()
    again, _ = corrupt_data(data, "swap-one:0.8:each", 0)
    assert (again.train.observed("text") == noisy.train.observed("text")).all()


GROUP = np.array([f"thing {row // 4}" for row in range(N)])
CLASSES = np.random.default_rng(2).integers(4, size=N)  # each of which really changes


def test_noise_per_group_counts_and_changes_training_rows_only():
    data = make(group=GROUP, label=CLASSES)
    noisy, changed = corrupt_data(data, "swap-one:0.5:group", 0)
    train = np.sort(data.splits["train"])
    of_train = [rows for group in np.unique(GROUP) if len(rows := train[GROUP[train] == group])]
    assert any((CLASSES[rows] != CLASSES[rows[0]]).any() for rows in of_train)  # a group may hold different labels
    assert sum(changed[rows].all() for rows in of_train) == len(of_train) // 2 > 0
    assert sum(changed[rows].any() for rows in of_train) == len(of_train) // 2
    assert changed.sum() == changed[train].sum()
    assert (changed == (noisy.observed_label != CLASSES)).all()
    expected, _ = corrupt(data.train.label, "swap-one:0.5:group", 0, groups=data.train.group)
    assert (noisy.train.observed() == expected).all()


def test_each_modality_draws_its_own_groups():
    _, changed = corrupt_data(make(group=GROUP, label=CLASSES), "swap-one:0.5:each:group", 0)
    hit = {name: set(GROUP[mask]) for name, mask in changed.items()}
    assert hit["image"] != hit["text"]
    for name, groups in hit.items():
        assert (changed[name][6:31] == np.isin(GROUP[6:31], sorted(groups))).all()


def test_each_modality_starts_from_its_own_labels():
    own = 1 - LABEL
    noisy, _ = corrupt_data(make(modality_label={"text": own}), "swap-one:0:each", 0)
    assert (noisy.modality_observed_label["image"] == LABEL).all()
    assert (noisy.modality_observed_label["text"] == own).all()


def test_noise_comes_on_top_of_what_was_observed():
    observed = 1 - LABEL
    noisy, changed = corrupt_data(make(observed_label=observed), "swap-one:0.4", 0)
    assert (noisy.observed_label[~changed] == observed[~changed]).all()
    assert (noisy.observed_label[changed] != observed[changed]).sum(axis=1).max() <= 2


def test_classes_that_no_training_row_has_are_possible():
    label = np.zeros(N, int)
    label[0] = 1  # a query
    noisy, changed = corrupt_data(make(label=label), "swap-one:1", 0)
    assert noisy.train.observed().tolist() == [1] * 25
    assert changed.sum() == 25


@pytest.mark.parametrize("each", ["", ":each"])
def test_candidates_make_lists_of_single_labels(each):
    label = np.arange(N) % 5
    noisy, changed = corrupt_data(make(label=label), f"candidates:1{each}", 0)
    assert (noisy.label == one_hot(label, 5)).all()
    assert noisy.classes == 5
    hit = changed["image"] if each else changed
    assert hit[noisy.splits["train"]].all()
    assert hit.sum() == len(noisy.train)
    seen = noisy.train.observed("image") if each else noisy.train.observed()
    assert (seen[np.arange(len(seen)), label[noisy.splits["train"]]] == 1).all()
    assert seen.sum(axis=1).min() >= 2


@pytest.mark.parametrize(
    ("changes", "text", "says"),
    [
        ({"label": None}, "candidates:0.5", "data 'toy' has no labels"),
        ({"label": None}, "swap-one:0.5", "data 'toy' has no labels"),
        ({"label": None}, "swap-one:0.5:each", "data 'toy' has no labels"),
        ({"label": None, "modality_label": {"image": LABEL}}, "swap-one:0.5", "write 'swap-one:0.5:each'"),
        ({"modality_observed_label": {"image": LABEL}}, "swap-one:0.5", "write 'swap-one:0.5:each'"),
        ({}, "shuffle-pairs:0.5", "permutes pairs, not labels"),
        ({}, "flip:0.5", "is for one label per row"),
        ({}, "swap-one:0.5:group", "data 'toy' has no groups for noise 'swap-one:0.5:group' .* give an array 'group'"),
        ({}, "flip:0.5:each:group", "data 'toy' has no groups"),
    ],
)
def test_data_that_noise_cannot_corrupt(changes, text, says):
    with pytest.raises(UserError, match=says):
        corrupt_data(make(**changes), text, 0)


@given(st.integers(0, 60), rates, seeds)
def test_shuffled_pairs(n, rate, seed):
    text = shuffle_pairs(n, rate, seed)
    assert text.dtype == np.int64
    assert sorted(text) == list(range(n))
    chosen = int(n * rate)
    assert (text != np.arange(n)).sum() == (chosen if chosen > 1 else 0)
    assert (text == shuffle_pairs(n, rate, seed)).all()


def test_shuffled_pairs_are_uniform_over_derangements():
    drawn = [tuple(shuffle_pairs(4, 1, seed)) for seed in range(1800)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts / 1800 - 1 / 9).max() < 5 * np.sqrt(1 / 9 / 1800)


def test_shuffled_pairs_refuse_a_bad_rate():
    with pytest.raises(UserError, match="noise rate is 2; it must be from 0 to 1"):
        shuffle_pairs(10, 2, 0)
