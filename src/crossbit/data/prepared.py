"""Data made ready for a training in one call: rows, validation rows, noise, and which labels and pairs it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.data.noise import Noise, corrupt_data, parse_noise, shuffle_pairs
from crossbit.data.observed import observed_labels, training_labels
from crossbit.data.split import group_numbers, held_out
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError


@dataclass(kw_only=True)
class Prepared:
    """What one training takes of the data.

    Attributes:
        data: with the observed labels that training will see.
        modalities: those to train on, in the method's order.
        rows: row numbers of the data that are trained on.
        validation_rows: row numbers that choose the epoch; empty for none.
        pairing: for each of `rows` the position in `rows` of its partner in the other modalities.
        sees_labels: whether training sees labels: the method reads them, and the data has some.
        changed_labels: bool, for each row of the data: the noise rule changed its label; under "pair", or by modality
            where the noise was drawn for each of them. Empty where no label was drawn.
        noise: the rule that was drawn; None for none.
    """

    data: PairedData
    modalities: list[str]
    rows: np.ndarray
    validation_rows: np.ndarray
    pairing: np.ndarray
    sees_labels: bool
    changed_labels: dict[str, np.ndarray]
    noise: Noise | None

    @property
    def reads_labels(self) -> bool:
        """Whether any label is looked at: a method that sees none may still be validated by some."""
        return self.sees_labels or len(self.validation_rows) > 0

    @property
    def noise_changes(self) -> str | None:
        """What the noise rule changes in this run; None without noise."""
        if self.noise is None:
            return None
        if self.noise.of_pairs:
            return "pairs"
        return "labels" if self.sees_labels else "validation labels" if self.reads_labels else "nothing"

    @property
    def apart(self) -> bool:
        """Whether training sees labels of the modalities, not of the pairs."""
        return bool(self.data.modality_label or self.data.modality_observed_label)

    @property
    def modality_noise_mask(self) -> dict[str, np.ndarray]:
        """Bool, for each of `rows`: by modality, where labels of each were drawn and training sees them."""
        seen = self.modalities if self.sees_labels else []
        return {m: self.changed_labels[m][self.rows] for m in seen if m in self.changed_labels}

    @property
    def noise_mask(self) -> np.ndarray:
        """Bool, for each of `rows`: the noise rule changed its pair, or a label of it that training sees."""
        masks = [self.pairing != np.arange(len(self.rows)), *self.modality_noise_mask.values()]
        if self.sees_labels and "pair" in self.changed_labels:
            masks.append(self.changed_labels["pair"][self.rows])
        return np.logical_or.reduce(masks)

    @property
    def groups(self) -> np.ndarray | None:
        """For each of `rows` the number of its group, int64 from 0; None where the data have no groups."""
        group = Rows(self.data, self.rows).group
        return None if group is None else group_numbers(group, len(self.rows))

    def observed(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Observed labels of these rows by modality, float32 0/1 (rows, classes); never the truth where others are
        observed. The modalities share one array unless each has its own labels."""
        return observed_labels(self.data, self.modalities, rows)

    def seen(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """As `observed`, with zeros for rows outside the training split: nobody labelled them for training."""
        return training_labels(self.data, self.modalities, rows)

    def clean(self) -> np.ndarray | None:
        """Bool (rows,): true labels and true pair; None where nothing is known to be wrong."""
        data, clean = self.data, self.pairing == np.arange(len(self.rows))
        if self.sees_labels and (data.observed_label is not None or data.modality_observed_label):
            for modality in self.modalities:
                truth = data.modality_label.get(modality, data.label)
                if truth is not None:
                    seen = Rows(data, self.rows).observed(modality)
                    same = truth[self.rows] == seen
                    clean &= same if same.ndim == 1 else same.all(axis=1)
        else:
            clean &= ~self.noise_mask
        return None if clean.all() else clean


def prepared(
    data: PairedData,
    modalities: Sequence[str],
    *,
    rows: str = "train",
    noise: str | None = None,
    seed: int = 0,
    hold_out: float | None = None,
    sees_labels: bool = True,
) -> Prepared:
    """Make data ready for a training. Everything random depends on `seed` alone.

    Args:
        data: as loaded.
        modalities: those to train on.
        rows: the split that is trained on, "train" or "retrieval".
        noise: `RULE:RATE`, with `:each`, `:group` or both behind it, drawn for the labels of the training rows, or the
            pairs. Labels that nobody will look at are left alone.
        seed: of the noise and of the rows that are held out.
        hold_out: share of the training rows, in whole groups, that shall choose the epoch; None takes the data's
            `validation` split where there is one.
        sees_labels: whether training will see labels.

    Raises:
        UserError: noise or share are not what they must be, or do not suit the data.

    >>> data = PairedData("toy", {"x": np.eye(6), "y": np.eye(6)}, np.array([0, 1, 0, 1, 0, 1]),
    ...                   {"train": [1, 2, 3, 4, 5], "query": [0], "retrieval": [1, 2, 3, 4, 5]})
    >>> ready = prepared(data, ["x", "y"], noise="swap-one:1", hold_out=0.4)
    >>> ready.rows.tolist(), ready.validation_rows.tolist(), ready.observed(np.arange(2))["x"].tolist()
    ([1, 3, 4], [2, 5], [[1.0, 0.0], [1.0, 0.0]])
    """
    rule = None if noise is None else parse_noise(noise)
    kept, validation = _hold_out(data, data.splits[rows], hold_out, seed)
    pairing, changed = np.arange(len(kept)), {}
    if rule is not None and rule.of_pairs:
        pairing = shuffle_pairs(len(kept), rule.rate, seed)
    elif rule is not None and (sees_labels or len(validation)):
        data, drawn = corrupt_data(data, rule, seed)
        changed = drawn if isinstance(drawn, dict) else {"pair": drawn}
    return Prepared(
        data=data,
        modalities=list(modalities),
        rows=kept,
        validation_rows=validation,
        pairing=pairing,
        sees_labels=sees_labels,
        changed_labels=changed,
        noise=rule,
    )


def _hold_out(data: PairedData, rows: np.ndarray, share: float | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and the validation rows (empty for none); of a share, whole groups."""
    if share is None:
        chosen = data.splits.get("validation", np.empty(0, np.int64))
        left = rows[~np.isin(rows, chosen)]
        if not len(left):
            raise UserError(f"all {len(rows)} rows to train on are in split 'validation' too; leave some out of it")
        return left, chosen
    if not 0 < share < 1:
        raise UserError(f"validation is {share}; it must be a share of the training rows between 0 and 1, such as 0.1")
    labelled = data.splits["train"]
    count = int(len(labelled) * share)
    if count < 2 or count > len(labelled) - 2:
        raise UserError(
            f"validation {share} of {len(labelled)} training rows is {count} rows; at least 2 must go, and 2 stay"
        )
    apart = held_out(data.n, labelled, count, [seed, 1], data.group)
    return rows[~apart[rows]], labelled[apart[labelled]]
