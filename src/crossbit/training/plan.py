"""What a training will do, checked and drawn before anything is written: rows, noise, validation, settings."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from crossbit.bits import check_bits
from crossbit.data.described import fingerprint
from crossbit.data.noise import Noise, corrupt_data, parse_noise, shuffle_pairs
from crossbit.data.split import group_numbers, held_out
from crossbit.data.types import PairedData, Rows, has_labels, observed_labels
from crossbit.errors import UserError, unknown
from crossbit.methods import Method, get, make_settings
from crossbit.networks.device import PRECISIONS
from crossbit.runs.folder import FORMAT

# What a resumed run must share with the run that it continues.
SAME = ("method", "settings", "bits", "noise", "seed", "validation", "precision", "device", "fingerprint")
VERSIONED = ("crossbit", "torch", "numpy", "scikit-learn")


@dataclass
class Plan:
    """Everything that is decided before training.

    Attributes:
        cls, settings: the method and its settings.
        data: with the observed labels that training will see.
        modalities: those to train on, in the method's order.
        rows: row numbers of the data that are trained on.
        validation_rows: row numbers that choose the epoch; empty for none.
        pairing: for each of `rows` the position in `rows` of its partner in the other modalities.
        config: the run's config.json.
        sees_labels: whether training sees labels: the method reads them, and the data has some.
        changed_labels: bool, for each row of the data: the noise rule changed its label; under "pair", or by modality
            where the noise was drawn for each of them. Empty where no label was drawn.
        note: which method was chosen and why, where none was asked for.
    """

    cls: type[Method]
    settings: Any
    data: PairedData
    modalities: list[str]
    rows: np.ndarray
    validation_rows: np.ndarray
    pairing: np.ndarray
    config: dict[str, Any]
    sees_labels: bool
    changed_labels: dict[str, np.ndarray] = field(default_factory=dict)
    note: str = ""

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
        observed. The modalities share one array where they were not labelled apart."""
        return observed_labels(self.data, self.modalities, rows)

    def seen(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """As `observed`, with zeros for rows outside the training split: nobody labelled them for training."""
        labels = self.observed(rows)
        outside = ~np.isin(rows, self.data.splits["train"])
        for array in {id(array): array for array in labels.values()}.values():
            array[outside] = 0
        return labels

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


def make_plan(
    data: PairedData,
    *,
    method: str | None,
    bits: int,
    noise: str | None,
    seed: int,
    epochs: int | None,
    settings: Mapping[str, Any],
    validation: float | None,
    precision: str,
    device: str,
) -> Plan:
    """Check the arguments of `crossbit.train` and draw the noise; touches no file."""
    note = ""
    if method is None:
        method, why = default_method(data)
        note = f"method {method}, as none was named: {why}"
    cls = get(method)
    chosen = make_settings(cls, settings if epochs is None else {**settings, "epochs": epochs})
    _check_numbers(bits, precision, seed)
    modalities = cls.choose_modalities(list(data.modalities))
    _check_pictures(data, modalities, chosen)
    rule = None if noise is None else parse_noise(noise)
    rows, validation_rows = _split_validation(data, cls, validation, seed)
    sees_labels = cls.sees_labels and (cls.needs_labels or has_labels(data))
    reads_labels = sees_labels or len(validation_rows) > 0
    if sees_labels:
        _check_labels(data, cls, modalities)
    data, pairing, changed = _draw_noise(data, rule, rows, seed, reads_labels)
    if sees_labels:
        cls.check_labels(chosen, observed_labels(data, modalities, rows[np.isin(rows, data.splits["train"])]))
    asked = {"bits": bits, "noise": None if rule is None else str(rule), "seed": seed, "validation": validation}
    asked |= {"precision": precision, "device": device, "selection": _selection(validation_rows, validation)}
    config = {"format": FORMAT, "method": method, "settings": asdict(chosen), **asked}
    config |= {"noise_changes": _noise_changes(rule, sees_labels, reads_labels), **_describe(data, reads_labels)}
    return Plan(cls, chosen, data, modalities, rows, validation_rows, pairing, config, sees_labels, changed, note)


def _check_numbers(bits: int, precision: str, seed: int) -> None:
    check_bits(bits)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:  # what PyTorch takes
        raise UserError(f"seed is {seed!r}; it must be a whole number from 0 to 2^63 - 1")


def _describe(data: PairedData, labels: bool) -> dict[str, Any]:
    """The config's part on the data and the machine; without `labels` none is read."""
    return {
        "data": data.name,
        "fingerprint": fingerprint(data, labels=labels),
        "classes": data.classes if labels else 0,
        "multi_label": data.multi_label if labels else None,
        "label_names": data.label_names if labels else None,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in VERSIONED} | {"python": platform.python_version()},
    }


def _noise_changes(rule: Noise | None, sees_labels: bool, labels: bool) -> str | None:
    """What the noise rule changes in this run: a method that sees no labels may still be validated by some."""
    if rule is None:
        return None
    if rule.rule == "shuffle-pairs":
        return "pairs"
    return "labels" if sees_labels else "validation labels" if labels else "nothing"


def default_method(data: PairedData) -> tuple[str, str]:
    """The method for data when none is asked for, and why: `look` where training rows have labels, else `ucch`.

    >>> x = np.eye(4, dtype=np.float32)
    >>> rows = {"train": [1, 2, 3], "query": [0], "retrieval": [1, 2, 3]}
    >>> default_method(PairedData("toy", {"image": x, "text": x}, None, rows))
    ('ucch', 'no training row has a label')
    """
    rows = Rows(data, data.splits["train"])
    seen = [rows.observed(modality) for modality in data.modalities] if has_labels(data) else []
    if any(labels is not None and (labels.ndim == 1 or labels.any()) for labels in seen):
        return "look", "there are labels, and it repairs what looks wrong"
    return "ucch", "no training row has a label"


def _check_labels(data: PairedData, cls: type[Method], modalities: list[str]) -> None:
    try:
        observed_labels(data, modalities, data.splits["train"][:1])
    except UserError as error:
        raise UserError(f"{cls.name} learns from labels; {error}; ucch needs none") from error


def _check_pictures(data: PairedData, modalities: list[str], settings: Any) -> None:
    """Pixels are asked for only where there are pictures."""
    network = getattr(settings, "pictures", "vectors")
    if network != "vectors" and "pictures" not in (kinds := {m: data.kind(m) for m in modalities}).values():
        held = ", ".join(f"{modality}: {kind}" for modality, kind in kinds.items())
        raise UserError(f"pictures={network} takes pictures, and data '{data.name}' has none ({held})")


def _draw_noise(
    data: PairedData, rule: Noise | None, rows: np.ndarray, seed: int, labels: bool
) -> tuple[PairedData, np.ndarray, dict[str, np.ndarray]]:
    """The data with its observed labels, the pairing of `rows`, and `Plan.changed_labels`.

    Labels that nobody will look at are left alone.
    """
    straight = np.arange(len(rows))
    if rule is None or (not labels and rule.rule != "shuffle-pairs"):
        return data, straight, {}
    if rule.rule == "shuffle-pairs":
        return data, shuffle_pairs(len(rows), rule.rate, seed), {}
    data, changed = corrupt_data(data, rule, seed)
    return data, straight, changed if isinstance(changed, dict) else {"pair": changed}


def _split_validation(
    data: PairedData, cls: type[Method], share: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and the validation rows (empty for none); of a share, whole groups."""
    rows = data.splits[cls.rows]
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


def _selection(rows: np.ndarray, share: float | None) -> str:
    """How the epoch is chosen, in words."""
    if not len(rows):
        return "last epoch"
    source = "cut out of the training rows" if share is not None else "of the data's validation split"
    return f"best epoch by mAP among {len(rows):,} rows {source}, by the labels they were given"


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings or data.

    Raises:
        UserError: names everything that differs.
    """
    differing = []
    for key in SAME:
        old, new = before.get(key), now[key]
        if isinstance(old, dict) and isinstance(new, dict):
            differing += [f"{k} was {old.get(k)}, is {new.get(k)}" for k in {**old, **new} if old.get(k) != new.get(k)]
        elif old != new:
            differing.append("the data differ" if key == "fingerprint" else f"{key} was {old}, is {new}")
    if differing:
        raise UserError(f"cannot resume with other settings: {'; '.join(differing)}")
