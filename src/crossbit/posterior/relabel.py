"""Corrections: labels of some rows change, and what the regression predicts moves with them in closed form.

Shapes: n rows, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossbit.errors import UserError
from crossbit.posterior.regression import blocks, take
from crossbit.posterior.smoother import Features, Smoother

Witnesses = list[tuple[Tensor, list[str]]]


@dataclass
class Basis:
    """What a posterior was computed from.

    Attributes:
        smoother: the regression on the labelled rows.
        witnesses: each label array (n, c), with the modalities that it belongs to.
        labelled: (n,) whether a row is one of the regression's.
        predicted: (n, c) its predictions, each without the row itself.
        design: what rows without labels are predicted from.
        single: every labelled row has one label.
    """

    smoother: Smoother
    witnesses: Witnesses
    labelled: Tensor
    predicted: Tensor
    design: Tensor
    single: bool

    @classmethod
    def of(cls, smoother: Smoother, features: Features, witnesses: Witnesses, predicted: Tensor, single: bool) -> Basis:
        """Of features by modality (n, dim)."""
        labelled = torch.stack([y.any(1) for y, _ in witnesses]).any(0)
        others = {modality: x[~labelled] for modality, x in features.items()}
        design = predicted.new_empty(int((~labelled).sum()), next(iter(smoother.centres.values())).shape[0])
        for rows in blocks(others):
            design[rows] = smoother.design(take(others, rows))
        return cls(smoother, witnesses, labelled, predicted, design, single)

    def changed(self, rows: Tensor, labels: Mapping[str, Tensor]) -> Basis:
        """The same with other labels (k, c), by modality, of these rows (k,).

        Raises:
            UserError: see `Posterior.relabel`.
        """
        rows = rows.to(self.labelled.device, torch.long)
        witnesses = self._with(rows, labels)
        before, after = (mean_labels([y[rows] for y, _ in each]) for each in (self.witnesses, witnesses))
        change = after - before
        classes = change.any(0).nonzero().squeeze(1)
        place = self.labelled.cumsum(0)[rows] - 1
        whole = self.predicted.new_zeros(int(self.labelled.sum()), len(classes))
        whole[place] = change[:, classes]
        left_out, slopes, intercept = self.smoother.moved(whole)
        move = self.predicted.new_empty(len(self.predicted), len(classes))
        move[self.labelled] = left_out
        move[~self.labelled] = self.design @ slopes + intercept
        return replace(self, witnesses=witnesses, predicted=self.predicted.index_add(1, classes, move))

    def _with(self, rows: Tensor, labels: Mapping[str, Tensor]) -> Witnesses:
        """The witnesses with these labels."""
        self._check(rows, labels)
        witnesses: Witnesses = []
        for y, modalities in self.witnesses:
            given = [labels[modality] for modality in modalities if modality in labels]
            if any(not torch.equal(one, given[0]) for one in given):
                raise UserError(f"{' and '.join(modalities)} share their labels: give both the same")
            witnesses.append((y.index_copy(0, rows, given[0].to(y)) if given else y, modalities))
        count = torch.stack([y[rows].sum(1) for y, _ in witnesses])  # (witnesses, k)
        allowed = (count <= 1) if self.single else (count >= 0)
        if len(wrong := rows[~(count.any(0) & allowed.all(0))]):
            needed = "one label, as every other has" if self.single else "at least one label"
            raise UserError(f"row {wrong[0].item()} needs {needed}, or the posterior estimated anew")
        return witnesses

    def _check(self, rows: Tensor, labels: Mapping[str, Tensor]) -> None:
        known = [modality for _, modalities in self.witnesses for modality in modalities]
        shape = (len(rows), self.predicted.shape[1])
        if unknown := sorted(labels.keys() - set(known)):
            raise UserError(f"no labels of {unknown[0]} here; there are those of {', '.join(known)}")
        if len(beyond := rows[(rows < 0) | (rows >= len(self.labelled))]):
            raise UserError(f"no row {beyond[0].item()} here; rows are numbered from 0 to {len(self.labelled) - 1}")
        if len(without := rows[~self.labelled[rows]]):
            raise UserError(f"row {without[0].item()} had no labels before: estimate the posterior anew")
        if len(rows.unique()) < len(rows):
            raise UserError("a row is named twice: give each its labels once")
        for modality, given in labels.items():
            if given.shape != shape or not ((given == 0) | (given == 1)).all():
                raise UserError(f"labels of {modality} are no array {shape} of 0 and 1, a row for each row number")


def mean_labels(observed: list[Tensor]) -> Tensor:
    """Mean (n, c), in float64, of several labels of each row, those counted that there are.

    >>> mean_labels([torch.tensor([[1, 0], [0, 1]]), torch.tensor([[0, 1], [0, 0]])]).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    together = torch.stack([y.double() for y in observed])
    return together.sum(0) / together.any(2).sum(0).clamp(min=1).unsqueeze(1)
