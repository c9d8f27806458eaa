"""Classes that are taken for one another: a share of the rows of one class is labelled as another.

Shapes: n rows, c classes, e confusions; z (n, c) logits of the calibrated prediction, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLEAREST = 0.5  # of a class's rows, by its prediction: they show how it is labelled where it is not in doubt
FEWEST = 10  # clearest rows of a class below which nothing is said of it
APART = 0.3  # by how much more frequent both of two classes are among their own clearest rows than among the other's
SEEN = 0.01, 2  # share of the clearest rows, and how many, with another label, from which this may be a confusion


@dataclass
class Confusion:
    """Which classes are labelled as which, and how often.

    Attributes:
        truth, label: (e,) class numbers: a row of class `truth` was given `label` in its place.
        log_rate: (e,) logarithm of the share of the class's rows.
        classes: c.
    """

    truth: Tensor
    label: Tensor
    log_rate: Tensor
    classes: int

    @classmethod
    def of_logits(cls, truth: Tensor, label: Tensor, logits: Tensor, classes: int) -> Confusion:
        """Rates of logits (e,), whose exp are odds against the label staying as it is."""
        others = logits.new_zeros(classes).index_add(0, truth, logits.exp())
        return cls(truth, label, logits - others.log1p()[truth], classes)

    @property
    def log_kept(self) -> Tensor:
        """Log-probability (c,) that a label of a class stays as it is."""
        taken = self.log_rate.new_zeros(self.classes).index_add(0, self.truth, self.log_rate.exp())
        return torch.log1p(-taken.clamp(max=1 - 1e-9))

    def log_keeps(self, y: Tensor) -> Tensor:
        """Log-probability (n,) that labels y stay as they are."""
        return y.to(self.log_kept) @ self.log_kept

    def places(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Row and number of every confusion that may stand behind labels y: its label is there, its truth is not."""
        row, number = ((y[:, self.label] > 0) & (y[:, self.truth] == 0)).nonzero(as_tuple=True)
        return row, number

    def changes(self, log_keeps: Tensor, row: Tensor, number: Tensor, gaps: Tensor) -> Tensor:
        """How much likelier labels y are under the confusions, as a logarithm (n,).

        P(y - j + k) = P(y) exp(z_k - z_j) for the truth k of a label j, and each label of a class stays or is taken.
        That a class cannot be taken for one that the row has, too, is left out of account, as are two at once.

        Args:
            log_keeps: (n,) of the labels.
            row, number: places.
            gaps: z_k - z_j there.

        >>> one = Confusion(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.25]).log(), 2)  # 1/4 of class 0
        >>> y = torch.eye(2)
        >>> row, number = one.places(y)
        >>> (row, number), one.changes(one.log_keeps(y), row, number, torch.zeros(1)).exp()  # 3/4, and 1 + 1/4
        ((tensor([1]), tensor([0])), tensor([0.7500, 1.2500]))
        """
        ratio = self.ratios(number, gaps)
        return log_keeps + ratio.new_zeros(len(log_keeps)).index_add(0, row, ratio).log1p()

    def ratios(self, number: Tensor, gaps: Tensor) -> Tensor:
        """How much likelier each place is to be a confusion than not."""
        return (gaps + self.log_rate[number] - self.log_kept[self.label[number]]).exp()

    def between(self, z: Tensor, y: Tensor) -> Tensor:
        """`changes` for logits z (n, c)."""
        row, number = self.places(y)
        return self.changes(self.log_keeps(y), row, number, z[row, self.truth[number]] - z[row, self.label[number]])


def suspects(f: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Confusions that may be: truth, label and share (e,), from how the clearest rows of each class are labelled.

    Predictions have not seen the row's own labels. So the rows with the largest prediction of a class are a fair sample
    of how it is labelled where nothing speaks for another. Two classes that are labelled much alike even there are left
    out: they look alike, and which is which is in doubt.

    Args:
        f: (n, c) predictions.
        y: (n, c).

    >>> f, y = torch.eye(2).repeat(40, 1), torch.eye(2).repeat(40, 1)
    >>> y[torch.arange(0, 80, 8)] = torch.tensor([0.0, 1.0])  # 10 of the 40 rows of class 0
    >>> truth, label, share = suspects(f + torch.linspace(0, 0.1, 80).unsqueeze(1), y)
    >>> truth, label, 0.1 < share < 0.4
    (tensor([0]), tensor([1]), tensor([True]))
    """
    c = y.shape[1]
    share = f.new_zeros(c, c)
    among = f.new_zeros(c, c)  # how frequent labels are among a class's clearest rows
    for k in range(c):
        most = int(CLEAREST * y[:, k].sum())
        if most >= FEWEST:
            labels = y[f[:, k].topk(most).indices].to(f)
            among[k] = labels.mean(0)
            has = labels[:, k] > 0
            usual = labels[has].mean(0) if has.any() else labels.mean(0)
            extra = labels[~has].sum(0) - usual * (~has).sum()
            share[k] = torch.where(extra >= SEEN[1], extra / most, 0.0)
    share.fill_diagonal_(0)
    more = among.diagonal() - among  # by how much more frequent a label (column) is among its own than among a class's
    truth, label = ((share >= SEEN[0]) & (torch.minimum(more, more.t()) >= APART)).nonzero(as_tuple=True)
    return truth, label, share[truth, label]
