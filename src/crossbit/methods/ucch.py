"""UCCH: Unsupervised Contrastive Cross-modal Hashing (P. Hu et al., IEEE TPAMI 45(3), 2023).

No label is used. Contrastive hashing holds each output against binary keys, one for every training pair, in a memory
bank that follows the outputs with a momentum; the cross-modal ranking loss is a smooth bound of the triplet loss over
all negatives of a batch. Where paper and published code disagree, `form` says which is meant; docs/ucch.md lists it.

Shapes: n pairs in the bank, m in a batch, K negatives; u, v (m, bits) the unit rows of image and text encoder.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Count, Natural, PictureSettings, Rate, Share, Weight
from crossbit.networks import clip_in_step, dual_encoders

MILESTONES = (30, 60, 90, 120)  # epochs after which the published code lowers its rate


PAPER = {"epochs": 20, "width": 8192, "image_layers": 3, "lr": 1e-4}  # the paper's, and the code's widths


@dataclass(frozen=True)
class UcchSettings(PictureSettings):
    """UCCH's settings. What the paper does not say is the published code's, marked "code"."""

    form: Annotated[
        Literal["paper", "official"],
        '"paper": memory without normalisation, every batch used; "official": what the code computes',
    ] = "paper"
    epochs: Annotated[Count, "passes over the whole database (section 4.3.4: 20; code: 100)"] = 4
    batch: Annotated[Count, "pairs in a step (code); contrast needs large batches"] = 256
    width: Annotated[Count, "width of the hidden layers (code: 8192)"] = 512
    image_layers: Annotated[Count, "linear layers of the first modality's encoder (code: 3)"] = 2
    text_layers: Annotated[Count, "linear layers of the second modality's encoder (code)"] = 2
    lr: Annotated[Rate, "learning rate of Adam (section 4.2.2: 1e-4)"] = 7e-4
    weight_decay: Annotated[Weight, "L2 weight decay (code)"] = 1e-6
    decay: Annotated[Rate, "factor on the rate after epochs 30, 60, 90, 120 (code); 1: none"] = 0.1
    clip: Annotated[Weight, "largest norm of all gradients together (code); 0: none"] = 1.0
    beta: Annotated[
        Share, "L = beta L_c + (1 - beta) L_r, Eq. 15 (code's default; alpha there); 1 or 0: one term only"
    ] = 0.9
    temperature: Annotated[Rate, "tau, Eq. 4"] = 0.9
    momentum: Annotated[Share, "delta, Eq. 5: share of the old memory that stays"] = 0.4
    negatives: Annotated[Count, "K, Eq. 4: drawn for each query from the whole bank, with replacement"] = 4096
    margin: Annotated[Weight, "m, Eqs. 7-14"] = 0.2
    shift: Annotated[
        Weight, "xi, Eq. 8: taken off negatives outside the margin (code's default; the paper gives no value)"
    ] = 1.0
    smoothing: Annotated[Rate, "kappa of the log-sum-exp bound, Eq. 14 (code)"] = 1.0
    warmup: Annotated[
        Natural, "first epochs whose keys come from the batch, and in which a pretrained backbone is frozen (code)"
    ] = 1
    memory: Annotated[
        Literal["auto", "fair", "biased"],
        'first keys: "fair" coins; "biased": 69 % of the bits -1 (code); "auto": as `form`',
    ] = "auto"
    keys: Annotated[
        Literal["binary", "real"], '"real": contrast with the memory itself instead of its signs (section 4.3.6)'
    ] = "binary"
    ranking: Annotated[
        Literal["smooth", "max-margin"], 'L_r; "max-margin": the triplet loss L\'_r that it bounds (Eqs. 6-7)'
    ] = "smooth"


# --- contrastive hashing ----------------------------------------------------------------------------------------------


def memory_contrastive_loss(
    h: Tensor, positive_keys: Tensor, negative_keys: Tensor, *, temperature: float = 0.9
) -> Tensor:
    """L_c of one modality, Eqs. 3-4: minus the log-probability that a query finds its own pair's key.

    Args:
        h: (m, bits) unit rows.
        positive_keys: (m, bits) signs; they count as unit rows, so similarities are divided by sqrt(bits).
        negative_keys: (m, K, bits) signs.
        temperature: tau.

    Returns:
        A scalar, the mean over the batch. No gradient reaches the keys.

    >>> h, key = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.ones(1, 4)
    >>> memory_contrastive_loss(h, key, key.expand(1, 7, 4)).item()  # all alike: log(7 + 1)
    2.0794...
    """
    keys = torch.cat([positive_keys.unsqueeze(1), negative_keys], dim=1).detach() * h.shape[1] ** -0.5
    similarities = (keys @ h.unsqueeze(2)).squeeze(2)  # (m, K + 1), the positive first
    return F.cross_entropy(similarities / temperature, torch.zeros(len(h), dtype=torch.long, device=h.device))


def binary_keys(memory: Tensor) -> Tensor:
    """Unit rows with the signs of the memory, sgn(0) = +1; (..., bits), no gradient.

    >>> binary_keys(torch.tensor([[0.3, -0.1, 0.0, -2.0]]))
    tensor([[ 0.5000, -0.5000,  0.5000, -0.5000]])
    """
    one = memory.new_tensor(memory.shape[-1] ** -0.5)
    return torch.where(memory.detach() >= 0, one, -one)


def initial_memory(n: int, bits: int, seed: int, *, kind: str = "fair") -> Tensor:
    """First memory (n, bits), unit rows of one size in every entry: "fair" coins or "biased" as in the published code.

    The code takes the signs of 2 s N(0, 1) - s, so that a bit is -1 with probability P[N(0, 1) < 1/2] = .69.

    >>> [round(initial_memory(4000, 16, 0, kind=kind).lt(0).float().mean().item(), 2) for kind in ("fair", "biased")]
    [0.5, 0.69]
    """
    normal = torch.randn(n, bits, generator=torch.Generator().manual_seed(seed))
    return binary_keys(normal if kind == "fair" else normal - 0.5)


@torch.no_grad()
def update_memory(
    memory: Tensor, index: Tensor, h_image: Tensor, h_text: Tensor, *, momentum: float = 0.4, form: str = "paper"
) -> Tensor:
    """Eq. 5: v_i <- delta v_i + (1 - delta) (h^x_i + h^y_i) / 2 for the rows of a batch; a new memory (n, bits).

    Args:
        memory: (n, bits).
        index: (m,) the row of each pair in the memory; of a row that is in it twice the last one counts.
        h_image, h_text: (m, bits) unit rows.
        momentum: delta.
        form: "official" takes the mean output to unit length before, and the row after.

    >>> h = torch.tensor([[0.6, 0.8]]), torch.tensor([[0.8, 0.6]])
    >>> memory = torch.tensor([[0.6, -0.8], [1.0, 0.0]])
    >>> update_memory(memory, torch.tensor([0]), *h).round(decimals=4)
    tensor([[0.6600, 0.1000],
            [1.0000, 0.0000]])
    """
    return memory.index_copy(0, index, _moved(memory, index, h_image, h_text, momentum, form))


def _moved(memory: Tensor, index: Tensor, h_image: Tensor, h_text: Tensor, momentum: float, form: str) -> Tensor:
    """The new rows of `update_memory`, (m, bits); rows of one pair are equal, so that their order does not matter."""
    mean = (h_image + h_text) / 2
    if form == "official":
        mean = F.normalize(mean, dim=1)
    rows = momentum * memory[index] + (1 - momentum) * mean
    if form == "official":
        rows = F.normalize(rows, dim=1)
    held, place = index.unique(return_inverse=True)
    positions = torch.arange(len(index), device=index.device)
    last = index.new_zeros(len(held)).scatter_reduce(0, place, positions, "amax")
    return rows[last[place]]


# --- cross-modal ranking ----------------------------------------------------------------------------------------------


def cross_modal_ranking_loss(
    u: Tensor, v: Tensor, *, margin: float = 0.2, shift: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """L_r, Eqs. 8 and 14: a smooth upper bound of the triplet loss over all negatives, in both directions.

    Args:
        u, v: (m, bits) unit rows.
        margin, shift: m and xi; the similarity of a negative outside the margin counts xi less.
        temperature: kappa of the bound max <= kappa log sum exp(. / kappa), Eq. 9.

    Returns:
        A scalar, the sum of both directions' means over the batch.

    >>> eye = torch.eye(2)
    >>> cross_modal_ranking_loss(eye, eye).item()  # 2 (.2 + log(1 + e^-2))
    0.653856...
    """
    similarity = u @ v.t()  # M (m, m)
    own = similarity.diagonal()  # M_ii (m,)
    total = similarity.new_zeros(())
    for m in (similarity, similarity.t()):
        inside = m.detach() >= (own.detach() - margin).unsqueeze(1)
        shifted = torch.where(inside, m, m - shift)  # S
        bound = temperature * torch.logsumexp(shifted / temperature, dim=1)
        total = total + (margin + bound - shifted.diagonal()).mean()
    return total


def max_margin_loss(u: Tensor, v: Tensor, *, margin: float = 0.2) -> Tensor:
    """L'_r, Eqs. 6-7: the triplet loss over all negatives of a batch, both directions; a scalar, sums over m^2.

    >>> max_margin_loss(torch.eye(2), torch.eye(2).flip(0), margin=0.5).item()  # four negatives, each 1.5 too near
    1.5
    """
    similarity = u @ v.t()
    hinge = sum((margin + m - similarity.diagonal().unsqueeze(1)).clamp(min=0) for m in (similarity, similarity.t()))
    others = ~torch.eye(len(u), dtype=torch.bool, device=u.device)
    return (hinge * others).sum() / len(u) ** 2


# --- the method -------------------------------------------------------------------------------------------------------


def rate_at(epoch: int, settings: UcchSettings) -> float:
    """Adam's rate in `epoch` (from 0): it falls after a milestone's epoch, as the code sets it at an epoch's end.

    >>> [round(rate_at(epoch, UcchSettings(lr=1e-4)), 9) for epoch in (0, 30, 31, 61)]
    [0.0001, 0.0001, 1e-05, 1e-06]
    """
    return settings.lr * settings.decay ** bisect_right(MILESTONES, epoch - 1)


class Ucch(Method):
    """Two encoders and a memory bank with a row for every training pair; labels are never seen."""

    name = "ucch"
    title = "Unsupervised Contrastive Cross-modal Hashing (TPAMI 2023)"
    Settings = UcchSettings
    rows = "retrieval"
    sees_labels = False
    presets = {  # noqa: RUF012
        "paper": PAPER,
        "mirflickr": {**PAPER, "beta": 0.7, "shift": 0.1},
        "nus-wide": {**PAPER, "beta": 0.7, "shift": 0.1},
        "mscoco": {**PAPER, "beta": 0.6, "shift": 7.0},
        "iapr": {**PAPER, "beta": 0.9, "shift": 1.0},
    }
    ablations = {  # noqa: RUF012
        "contrastive hashing only (L_c)": {"beta": 1.0},
        "cross-modal ranking only (L_r)": {"beta": 0.0},
        "max-margin ranking only (L'_r)": {"beta": 0.0, "ranking": "max-margin"},
        "no hashing against the binary memory": {"keys": "real"},
    }

    @classmethod
    def build_encoders(cls, settings: UcchSettings, task: Task) -> Mapping[str, nn.Module]:
        return dual_encoders(settings, task.dims, task.bits)

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        options = {"lr": self.settings.lr, "weight_decay": self.settings.weight_decay}
        return {"adam": torch.optim.Adam(self.networks.parameters(), fused=True, **options)}

    def frozen_epochs(self) -> float:
        return int(self.settings.warmup)

    def remember(self, view: View) -> None:
        """Make the memory bank when its rows are first seen: row i belongs to the pair in row i of the view."""
        if "memory" not in self.buffers:
            official = self.settings.form == "official"
            kind = {"auto": "biased" if official else "fair"}.get(self.settings.memory, self.settings.memory)
            memory = initial_memory(len(view), self.task.bits, view.random_seed(3), kind=kind)
            self.buffers["memory"] = memory.to(next(self.networks.parameters()))

    def batches(self, view: View) -> Iterator[Tensor]:
        """Row positions of each step; form=official drops an incomplete last batch, if it is not the only one."""
        whole = self.settings.form == "official" and len(view) >= self.settings.batch
        batches = view.batches(self.settings.batch, number=1)
        return (rows for rows in batches if not whole or len(rows) == self.settings.batch)

    def forward(self, view: View, rows: Tensor) -> list[Tensor]:
        """u, v (m, bits) of these rows."""
        with view.autocast():
            return [view.through(self.networks[m], features[rows]) for m, features in view.features.items()]

    def key_rows(self, memory: Tensor) -> Tensor:
        """What outputs are compared with: unit rows (..., bits), binary unless that is switched off."""
        return binary_keys(memory) if self.settings.keys == "binary" else F.normalize(memory, dim=-1)

    def contrast(self, outputs: list[Tensor], rows: Tensor, negatives: Tensor | None) -> Tensor:
        """L_c of both modalities, then the memory's update.

        With `negatives` (m, K), rows of the bank, this is `memory_contrastive_loss`. Its keys are gathered only where
        the bank is larger than they are: K keys for each of m queries are most often far more numbers than the bank's
        similarities to them. Without (warm-up) keys are the signs of the batch's own mean outputs, and negatives all of
        its other pairs.
        """
        memory, s = self.buffers["memory"], self.settings
        u, v = (x.detach() for x in outputs)
        columns = None if negatives is None else torch.cat([rows.unsqueeze(1), negatives], dim=1)  # (m, K + 1)
        gathered = columns is not None and len(memory) > columns.shape[1] * self.task.bits
        keys = self.key_rows((u + v) / 2 if columns is None else memory[columns] if gathered else memory)
        places = torch.arange(len(rows), device=rows.device) if columns is None else torch.zeros_like(rows)
        loss = u.new_zeros(())
        for h in outputs:
            scaled = h / s.temperature
            if gathered:
                logits = (keys @ scaled.unsqueeze(2)).squeeze(2)  # (m, K + 1)
            else:
                logits = scaled @ keys.t()  # (m, n), or (m, m) in the warm-up
                logits = logits if columns is None else logits.gather(1, columns)
            loss = loss + F.cross_entropy(logits, places)
        momentum = 0.0 if negatives is None else s.momentum
        memory.index_copy_(0, rows, _moved(memory, rows, u, v, momentum, s.form))
        return loss

    def rank(self, outputs: list[Tensor]) -> Tensor:
        s = self.settings
        if s.ranking == "max-margin":
            return max_margin_loss(*outputs, margin=s.margin)
        return cross_modal_ranking_loss(*outputs, margin=s.margin, shift=s.shift, temperature=s.smoothing)

    def step(self, view: View, rows: Tensor, negatives: Tensor | None) -> Tensor:
        """One training step on these rows; returns L, L_c and L_r (nan where it is switched off), detached."""
        beta = self.settings.beta
        outputs = self.forward(view, rows)
        off = outputs[0].new_full((), float("nan"))
        contrast = self.contrast(outputs, rows, negatives) if beta > 0 else off
        ranking = self.rank(outputs) if beta < 1 else off
        loss = ranking if beta == 0 else contrast if beta == 1 else beta * contrast + (1 - beta) * ranking
        optimizer = self.optimizers["adam"]
        optimizer.zero_grad()
        view.backward(loss)
        if self.settings.clip > 0:
            clip_in_step(optimizer, self.settings.clip)
        optimizer.step()
        return torch.stack([loss.detach(), contrast.detach(), ranking.detach()])

    def train_epoch(self, view: View) -> dict[str, Any]:
        s, contrasts = self.settings, self.settings.beta > 0
        drawn = contrasts and view.epoch >= s.warmup  # negatives; in the warm-up they are the batch's other pairs
        if contrasts:
            self.remember(view)
        for group in self.optimizers["adam"].param_groups:
            group["lr"] = rate_at(view.epoch, s)
        generator = torch.Generator(device=view.device).manual_seed(view.random_seed(2))
        options: dict[str, Any] = {"generator": generator, "device": view.device}
        losses = []
        for rows in self.batches(view):
            negatives = torch.randint(len(view), (len(rows), s.negatives), **options) if drawn else None
            losses.append(self.step(view, rows, negatives))
        means = torch.stack(losses).mean(0).tolist()
        figures = zip(("loss", "contrast", "ranking"), means, strict=True)
        return {name: value for name, value in figures if value == value or name == "loss"} | {"steps": len(losses)}
