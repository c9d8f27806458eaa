"""Data made ready for a training, against the pieces that it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from crossbit.data.noise import corrupt_data, shuffle_pairs
from crossbit.data.prepared import prepared
from crossbit.data.split import held_out
from crossbit.data.types import PairedData
from crossbit.errors import UserError

N = 60
RANDOM = np.random.default_rng(0)


def toy(**changes) -> PairedData:
    made = {m: RANDOM.normal(size=(N, 3)) for m in ("image", "text")}
    splits = {"query": np.arange(10), "train": np.arange(10, 40), "retrieval": np.arange(10, N)}
    return PairedData("toy", made, np.arange(N) % 4, splits).replace(**changes)


@pytest.mark.parametrize("rows", ["train", "retrieval"])
@pytest.mark.parametrize("group", [None, np.arange(N) // 3])
def test_what_is_held_out(rows, group) -> None:
    data = toy(group=group)
    ready = prepared(data, ["image", "text"], rows=rows, seed=3, hold_out=0.2)
    apart = held_out(N, data.splits["train"], 6, [3, 1], group)
    assert ready.validation_rows.tolist() == [row for row in range(10, 40) if apart[row]]
    assert ready.rows.tolist() == [row for row in data.splits[rows].tolist() if not apart[row]]


def test_noise_of_labels() -> None:
    data = toy()
    ready = prepared(data, ["image", "text"], noise="swap-one:0.5", seed=3)
    noisy, changed = corrupt_data(data, "swap-one:0.5", 3)
    assert np.array_equal(ready.data.observed_label, noisy.observed_label)
    assert np.array_equal(ready.noise_mask, changed[ready.rows]) and changed.sum() == 15
    assert np.array_equal(ready.clean(), ~changed[ready.rows])
    assert (ready.noise_changes, str(ready.noise)) == ("labels", "swap-one:0.5")


def test_noise_of_each_modality() -> None:
    data = toy()
    ready = prepared(data, ["image", "text"], noise="flip:0.5:each", seed=3)
    _, changed = corrupt_data(data, "flip:0.5:each", 3)
    assert ready.apart
    assert {m: mask.tolist() for m, mask in ready.modality_noise_mask.items()} == {
        m: mask[ready.rows].tolist() for m, mask in changed.items()
    }
    assert np.array_equal(ready.noise_mask, (changed["image"] | changed["text"])[ready.rows])


def test_wrong_pairs() -> None:
    ready = prepared(toy(), ["image", "text"], rows="retrieval", noise="shuffle-pairs:0.4", seed=3)
    assert np.array_equal(ready.pairing, shuffle_pairs(50, 0.4, 3))
    assert ready.noise_mask.sum() == 20 and ready.noise_changes == "pairs" and ready.changed_labels == {}


def test_labels_that_nobody_looks_at_are_left_alone() -> None:
    data = toy()
    ready = prepared(data, ["image", "text"], noise="swap-one:0.5", sees_labels=False)
    assert ready.data is data and ready.noise_changes == "nothing" and not ready.noise_mask.any()
    held = prepared(data, ["image", "text"], noise="swap-one:0.5", hold_out=0.2, sees_labels=False)
    assert held.noise_changes == "validation labels" and held.changed_labels["pair"].any()
    assert not held.noise_mask.any()


def test_rows_outside_the_training_split_have_no_labels_for_training() -> None:
    ready = prepared(toy(), ["image", "text"], rows="retrieval")
    seen = ready.seen(ready.rows)["text"]
    assert seen[:30].sum(1).tolist() == [1] * 30 and not seen[30:].any()


@pytest.mark.parametrize(("share", "told"), [(1.0, "between 0 and 1"), (0.03, "at least 2 must go"), (-0.1, "share")])
def test_shares_that_cannot_be_held_out(share, told) -> None:
    with pytest.raises(UserError, match=told):
        prepared(toy(), ["image", "text"], hold_out=share)
