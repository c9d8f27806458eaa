"""LOOK: Leave-One-Out Kernel hashing (our own; docs/look.md).

Two things are solved in closed form first. The labels are repaired, by a kernel regression that cannot memorise a row's
own label and a model of the noise (`crossbit.posterior`). And the directions are found in which the modalities of a
pair agree (`crossbit.methods.canonical`), with a measure of how far they tell pairs apart that were held out. Encoders
then see the features and these directions, and learn from both: which rows share labels, and which text belongs to
which picture. Any number of modalities; labels may be single or several, missing, of each modality, wrong, or absent.

Shapes: m pairs in a batch, c classes, k directions; u (m, bits) the outputs of one modality's encoder, within (-1, 1);
p (m, c) the posterior of their labels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.errors import unknown
from crossbit.features.paired import vectors_of
from crossbit.methods.base import Method, Task, View
from crossbit.methods.canonical import Told, canonical_correlation, pairs_told
from crossbit.methods.linear import fixed_weights
from crossbit.methods.settings import Count, Natural, PictureSettings, Rate, Share, Weight
from crossbit.networks import linear_layers
from crossbit.networks.pictures import with_backbone
from crossbit.posterior import LEAST as ESTIMATED
from crossbit.posterior import Posterior, estimate_posterior
from crossbit.posterior.sharing import share_probability
from crossbit.posterior.words import in_words, summary

FEWEST, MOST = 50, 150  # steps of a pass over the rows
SURE = 0.9  # probability that a pair is right from which it teaches which one is the own
SOFT, SHARP = 2.0, 1 / 0.07  # scale of the cosines: what partners have in common, and which one is the own (InfoNCE)
SAID = 0.65, 0.75  # how often a partner is told from others of its kind: below, pairs say nothing; above, all they can
REGULARISATIONS = 0.1, 0.3, 1.0, 3.0  # of the shared directions, in mean variances: chosen on held-out pairs
WITNESS = 128  # directions that say how far pairs are told apart where encoders see none
KIN = {"regularisation": 3.0, "power": 2.0}  # of the space in which rows of one kind are near (as cca-itq)
SAY_LITTLE = 0.25  # share of the labels' entropy that predictions must take away, or only pairs are learnt from
FEW_RIGHT = 0.25  # share of right labels below which the similarities of the shared space are kept, too
KEPT = "corrupted", "evidence", "probability", "right_pair"  # what the run folder keeps of each row
COMPARED, RARE = 1000, 1e-4  # rows whose pairs say how often two share a label; the share is kept so far off 0 and 1
RISE = 0.3  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class LookSettings(PictureSettings):
    """LOOK's settings; docs/look.md says how they were chosen."""

    epochs: Annotated[Count, "number of epochs; the whole training is epochs x steps"] = 10
    sweeps: Annotated[Rate, "passes over the data in an epoch, each of at least 50 and at most 150 steps"] = 1.6
    steps: Annotated[Natural, "steps of an epoch; 0: as many as its sweeps need"] = 0
    batch: Annotated[Count, "pairs in a step"] = 256
    width: Annotated[Count, "width of the hidden layers"] = 512
    image_layers: Annotated[Count, "linear layers of the first modality's encoder"] = 3
    text_layers: Annotated[Count, "linear layers of every other modality's encoder"] = 2
    dropout: Annotated[Share, "share of hidden units that are dropped"] = 0.0
    lr: Annotated[
        Rate, "AdamW's largest learning rate: it rises for 30 % of the steps, then falls to 0 (one cycle)"
    ] = 2e-3
    weight_decay: Annotated[Weight, "weight decay of AdamW"] = 1e-2
    sharpness: Annotated[Rate, "alpha: scale of the cosine; logit of label sharing for two equal codes"] = 4.0
    base: Annotated[Weight, "beta: how strongly the base rate of label sharing offsets the logits; 0: not at all"] = 0.5
    own: Annotated[
        Share, "how much of the target is this modality's own leave-one-out prediction, not the repaired label"
    ] = 0.3
    head: Annotated[Weight, "weight of the loss of a classifier over the codes; 0: none"] = 1.0
    contrast: Annotated[Weight, "weight of the soft contrastive loss between partners; 0: none"] = 0.04
    partners: Annotated[
        Weight, "weight of the sharp one, as InfoNCE's, where held-out pairs are told apart; 0: none"
    ] = 0.04
    directions: Annotated[
        Natural, "directions shared by the modalities that the encoders see beside the features; 0: none"
    ] = 128
    kin: Annotated[
        Weight, "weight of keeping the similarities of the shared space, where labels say too little; 0: none"
    ] = 6.0
    order: Annotated[Share, "how much these directions count, beside the outputs, where a shortlist is ordered"] = 0.5
    quantise: Annotated[Weight, "weight of the quantisation loss, the distance of outputs to +1 and -1; 0: none"] = 0.1
    labels: Annotated[
        Literal["posterior", "hard", "observed"],
        'targets: "posterior" (probabilities), "hard" (the most likely labels), "observed" (no repair)',
    ] = "posterior"
    unlabelled: Annotated[bool, "train on pairs without labels, too"] = True
    pairs: Annotated[bool, "look for wrong pairs, and train their modalities on separate predictions"] = True
    kernel: Annotated[str, "repair labels from this modality only; empty: from all"] = ""


# --- losses -----------------------------------------------------------------------------------------------------------


def similarity_loss(u: Tensor, v: Tensor, target: Tensor, *, sharpness: float = 4.0, offset: float = 0.0) -> Tensor:
    """Logistic loss of cosines against the probability to share a label; a scalar, mean over all m n pairs.

    Args:
        u, v: (m, bits) and (n, bits).
        target: S (m, n).
        sharpness: alpha.
        offset: of the logits alpha cos(u, v) + offset.

    >>> u = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> round(similarity_loss(u, u, torch.eye(2), sharpness=4.0).item(), 4)  # (log(1 + e^-4) + log 2) / 2
    0.3556
    """
    logits = sharpness * F.normalize(u, dim=1) @ F.normalize(v, dim=1).t() + offset
    return F.binary_cross_entropy_with_logits(logits, target)


def usual(p: Tensor, *, single: bool = False) -> float:
    """Mean probability that two different rows of p (n, c) share a label; kept off 0 and 1.

    >>> usual(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), single=True)
    0.333...
    """
    shared, n = share_probability(p, p, single=single), len(p)
    mean = float((shared.sum() - shared.diagonal().sum()) / max(1, n * (n - 1)))
    return min(max(mean, RARE), 1 - RARE)


def partner_loss(u: Tensor, v: Tensor, weight: Tensor, *, scale: float = 2.0) -> Tensor:
    """Cross-entropy of finding the own partner in the batch by scaled cosine, both directions; weighted mean.

    >>> eye = torch.eye(2)
    >>> round(partner_loss(eye, eye, torch.ones(2), scale=1.0).item(), 4)  # 2 log(1 + e^-1)
    0.6265
    """
    logits = scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).t()
    own = torch.arange(len(u), device=u.device)
    both = F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.t(), own, reduction="none")
    return (weight * both).sum() / weight.sum().clamp(min=1)


def own_loss(u: Tensor, v: Tensor, right: Tensor) -> Tensor:
    """The sharp partner loss of the pairs that are surely right, times their share of the batch.

    It sets rows of one kind apart, and wrong partners do not hold them together: so it counts less with fewer pairs
    that are sure, and doubtful ones are no negatives either.

    >>> u, v = torch.eye(3), torch.eye(3)[[0, 1, 1]]
    >>> own_loss(u, v, torch.tensor([1.0, 1.0, 0.4])) == 2 / 3 * partner_loss(u[:2], v[:2], torch.ones(2), scale=SHARP)
    tensor(True)
    """
    sure = right > SURE
    loss = partner_loss(u[sure], v[sure], right.new_ones(int(sure.sum())), scale=SHARP)
    return loss * sure.float().mean()


def kin_loss(outputs: Mapping[str, Tensor], z: Mapping[str, Tensor], together: float = 1.0) -> Tensor:
    """Mean squared difference of the outputs' cosines and those of z, across modalities and within each.

    Args:
        outputs: (m, bits) of each modality.
        z: (m, k) of each.
        together: how much of z a row's modalities have in common, 0 to 1: their mean, or each its own. Where one shows
            little of the other, the mean would be learnt by heart.

    >>> eye, ones = torch.eye(2), torch.ones(2, 2)
    >>> loss = kin_loss({"image": eye, "text": eye}, {"image": ones, "text": ones})
    >>> round(loss.item(), 4)  # half of the cosines are off by 1: .5 across, and .5 within
    1.0
    """
    unit, own = ({m: F.normalize(x, dim=1) for m, x in each.items()} for each in (outputs, z))
    mean = F.normalize(torch.stack(list(own.values())).sum(0), dim=1)
    mean, pairs = mean @ mean.t(), list(itertools.combinations(unit, 2))
    terms = [
        (unit[a] @ unit[b].t() - (own[a] @ own[b].t()).lerp(mean, together)).square().mean()
        / (len(unit) if a == b else len(pairs))
        for a, b in [*pairs, *((m, m) for m in unit)]
    ]
    return torch.stack(terms).sum()


def rate_at(share: float) -> float:
    """The learning rate, of its largest: it rises as half a cosine from 1/25, and falls as one to 0.

    >>> [round(rate_at(share), 3) for share in (0.0, 0.3, 0.65, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if share < RISE:
        return 1 - (1 - 1 / 25) * (1 + math.cos(math.pi * share / RISE)) / 2
    return (1 + math.cos(math.pi * (share - RISE) / (1 - RISE))) / 2


# --- the method -------------------------------------------------------------------------------------------------------


FIRST: dict[str, Any] = {
    "sweeps": 1.0,
    "partners": 0.0,
    "kin": 0.0,
    "directions": 0,
    "order": 0.0,
}  # what the first LOOK had not


class TanhEncoder(nn.Module):
    """Features (n, dim) -> (n, bits) within (-1, 1): linear layers with ReLU and dropout between, then tanh.

    >>> TanhEncoder(8, [16], 4, 0.2)(torch.zeros(2, 8)).abs().max().item() < 1
    True
    """

    def __init__(self, dim: int, hidden: list[int], bits: int, dropout: float) -> None:
        super().__init__()
        self.layers = linear_layers([dim, *hidden, bits], dropout=dropout)

    def forward(self, features: Tensor) -> Tensor:
        outputs = self.layers(features)
        return outputs.to(torch.promote_types(outputs.dtype, torch.float32)).tanh()


class JoinedEncoder(nn.Module):
    """A `TanhEncoder` of the features and of k fixed directions in them; `ordering` puts both side by side."""

    def __init__(self, dim: int, directions: int, hidden: list[int], bits: int, dropout: float, order: float) -> None:
        super().__init__()
        self.mean, self.map, self.share = fixed_weights(dim), fixed_weights(dim, directions), order
        self.encoder = TanhEncoder(dim + directions, hidden, bits, dropout)

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.encoder(torch.cat([features, self.shared(features)], 1))
        return outputs

    def shared(self, features: Tensor) -> Tensor:
        """The rows in the shared directions, (n, k)."""
        return (features - self.mean) @ self.map

    def ordering(self, features: Tensor) -> Tensor:
        """What a shortlist is ordered by, (n, bits + k): cosines are the weighted mean of both parts' cosines."""
        parts = (self(features), 1 - self.share), (self.shared(features), self.share)
        return torch.cat([weight**0.5 * F.normalize(part, dim=1) for part, weight in parts], 1)


class Look(Method):
    """The posterior of all labels in the first epoch, then encoders that learn from it."""

    name = "look"
    title = "Leave-One-Out Kernel hashing: labels are repaired first, in closed form (our own)"
    Settings = LookSettings
    rows = "retrieval"
    needs_labels = False
    presets = {"first": FIRST}  # noqa: RUF012
    later = FIRST
    ablations = {  # noqa: RUF012
        "labels as observed, no repair": {"labels": "observed"},
        "most likely labels, no probabilities": {"labels": "hard"},
        "labelled pairs only": {"unlabelled": False},
        "no classifier": {"head": 0.0},
        "no soft contrast of partners": {"contrast": 0.0},
        "no sharp contrast of partners": {"partners": 0.0},
        "no shared directions": {"directions": 0},
        "shortlists by outputs alone": {"order": 0.0},
        "no quantisation": {"quantise": 0.0},
        "a fifth of the hidden units dropped": {"dropout": 0.2},
        "labels repaired from images only": {"kernel": "image"},
        "nothing of what a modality says itself": {"own": 0.0},
        "no base rate": {"base": 0.0},
    }

    def __init__(self, settings: LookSettings, task: Task) -> None:
        super().__init__(settings, task)
        if settings.kernel and settings.kernel not in task.dims:
            raise unknown("modality in look's setting kernel", settings.kernel, task.dims)
        if task.classes and settings.head > 0:
            self.networks["classifier"] = nn.Linear(task.bits, task.classes)

    @classmethod
    def choose_modalities(cls, modalities: list[str]) -> list[str]:
        """All of them, image and text first."""
        first = super().choose_modalities(modalities)
        return [*first, *(m for m in modalities if m not in first)]

    @classmethod
    def build_encoders(cls, settings: LookSettings, task: Task) -> Mapping[str, nn.Module]:
        first, directions = next(iter(task.dims)), shared_directions(settings, task)

        def head(layers: int) -> Any:
            hidden = [settings.width] * (layers - 1)
            if directions:
                return lambda width: JoinedEncoder(
                    width, directions, hidden, task.bits, settings.dropout, settings.order
                )
            return lambda width: TanhEncoder(width, hidden, task.bits, settings.dropout)

        layers = {m: settings.image_layers if m == first else settings.text_layers for m in task.dims}
        return {m: with_backbone(settings.pictures, dim, head(layers[m])) for m, dim in task.dims.items()}

    def frozen_epochs(self) -> float:
        return math.inf

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        options = {"lr": self.settings.lr, "weight_decay": self.settings.weight_decay}
        return {"adamw": torch.optim.AdamW(self.networks.parameters(), fused=True, **options)}

    def prepare(self, view: View) -> dict[str, Any]:
        """What is solved in closed form, when the rows are first seen; returns its figures."""
        labels, pairs = self.repair(view), self.share(view)
        notes = [found["note"] for found in (labels, pairs) if "note" in found]
        return {**labels, **pairs, **({"note": "; ".join(notes)} if notes else {})}

    # --- pairs --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def share(self, view: View) -> dict[str, Any]:
        """Find the directions that the modalities share, and how much pairs count; returns figures.

        Pairs that look wrong are left out.
        """
        s, directions = self.settings, shared_directions(self.settings, self.task)
        labelled, informed = "prior" in self.buffers, self.informed()
        if s.partners == 0 and not directions:
            return {}
        silent = labelled and informed < SAY_LITTLE and directions > 0 and s.kin > 0 and s.labels == "posterior"
        if silent:
            labelled, self.buffers["known"] = False, torch.zeros_like(self.buffers["known"])
        right = self.buffers.get("right_pair", torch.ones(len(view), device=view.device)) > 0.5
        right = right if right.sum() > 1 else torch.ones_like(right)
        features = [vectors_of(x)[right] for x in view.features.values()]
        told = self.told(view, features, right, labelled)
        self.buffers["worth"] = torch.tensor(worth(told))
        self.buffers["partners"] = s.partners * self.buffers["worth"]
        if directions:
            self.fit_directions(features, directions, told.regularisation)
            self.buffers["kin"] = torch.tensor(s.kin * (self.unsaid(view) if labelled else 1.0))
            if self.buffers["kin"] > 0:
                self.fit_kin(features, min(directions, self.task.bits))
        if math.isnan(told.apart_in_kind):
            return {}
        rows = "rows of one kind" if labelled else "rows"
        figures = {"pairs_told": told.apart_in_kind, "pairs_found": told.found, "labels_told": informed}
        alone = view.labels is not None and not self.buffers["known"].any()
        note = "pairs are all that is learnt from; " if alone else ""
        note = "labels say too little: " + note if silent else note
        if labelled and self.buffers.get("kin", 0.0) > 0:
            note += "few labels are right: what the pairs' modalities share is kept, too; "
        note += f"held-out pairs tell {rows} apart: {100 * told.apart_in_kind:.0f} of 100"
        return {**{name: round(figure, 4) for name, figure in figures.items()}, "note": note}

    def told(self, view: View, features: list[Tensor], right: Tensor, labelled: bool) -> Told:
        """What held-out pairs show, among these that look right (n,) bool; of their kind where there are labels."""
        labels, single = self.buffers["probability"][right] if labelled else None, self.buffers.get("single", False)
        return pairs_told(
            features,
            None if view.groups is None else view.groups[right.cpu().numpy()],
            None if labels is None else lambda rows: share_probability(labels[rows], labels[rows], single=bool(single)),
            directions=min(self.settings.directions or WITNESS, *(x.shape[1] for x in features)),
            regularisations=REGULARISATIONS,
            power=1.0,
            seed=view.random_seed(2),
        )

    def fit_directions(self, features: list[Tensor], directions: int, regularisation: float) -> None:
        """Put the shared directions into the encoders."""
        space = canonical_correlation(*features, directions=directions, regularisation=regularisation, power=1.0)
        for modality, mean, map_ in zip(self.task.dims, space.means, space.maps, strict=True):
            encoder: Any = self.networks[modality]
            encoder.mean.copy_(mean)
            encoder.map.copy_(map_)

    def fit_kin(self, features: list[Tensor], directions: int) -> None:
        """Keep the space in which rows of one kind are near."""
        space = canonical_correlation(*features, directions=directions, **KIN)
        for modality, mean, map_ in zip(self.task.dims, space.means, space.maps, strict=True):
            self.buffers |= {f"kin_mean_{modality}": mean.float(), f"kin_map_{modality}": map_.float()}

    def unsaid(self, view: View) -> float:
        """How much the given labels leave to pairs, 0 to 1: nothing where they are believed, or enough are right."""
        if self.settings.labels != "posterior":
            return 0.0
        observed = view.observed()
        right = float((observed * self.buffers["probability"]).sum() / observed.sum().clamp(min=1))
        return max(0.0, 1 - right / FEW_RIGHT)

    def informed(self) -> float:
        """Share of the labels' entropy that predictions take away which have not seen the row's own; 0 without labels.

        Of labels that are wrong nearly everywhere, and of features that do not show them, next to nothing is left.
        """
        if "prior" not in self.buffers:
            return 0.0
        p, single = self.buffers.pop("prior").clamp(1e-9, 1 - 1e-9), bool(self.buffers["single"])

        def entropy(p: Tensor) -> Tensor:
            own = -p * p.log()
            return (own if single else own - (1 - p) * (1 - p).log()).sum(-1)

        return 1 - (entropy(p).mean() / entropy(p.mean(0)).clamp(min=1e-9)).item()

    def kin(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A batch's rows (m, k), of each modality, in the space in which rows of one kind are near."""
        return {m: (x - self.buffers[f"kin_mean_{m}"]) @ self.buffers[f"kin_map_{m}"] for m, x in features.items()}

    # --- labels -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def repair(self, view: View) -> dict[str, Any]:
        """Make the targets in the buffers when the rows are first seen; returns figures of the noise."""
        if view.labels is None:
            self.buffers["target"] = torch.zeros(len(view), 0, device=view.device)
            self.buffers["known"] = torch.zeros(len(view), dtype=torch.bool, device=view.device)
            return {}
        observed = view.observed()
        labelled = observed.any(1)
        if labelled.sum() >= ESTIMATED:
            view.say(f"estimating the labels of {int(labelled.sum()):,} rows from one another")
        posterior, s = self.posterior(view), self.settings
        believed = s.labels == "observed" or not s.unlabelled or not labelled.any()
        self.buffers["known"] = labelled if believed else torch.ones_like(labelled)
        learnable = labelled.any() and (s.labels == "observed" or posterior.shown.any())
        if not learnable:  # pairs are all that there is to learn from
            self.buffers["known"] = torch.zeros_like(labelled)
        self.buffers["single"] = torch.tensor(posterior.single)
        self.buffers["target"] = (
            observed.clone() if s.labels == "observed" else self.targets(posterior.labels, posterior)
        )
        if s.labels != "observed":
            self.set_apart(posterior)
        learnt = self.buffers["target"][self.buffers["known"]]
        if s.base > 0 and len(learnt):
            generator = torch.Generator().manual_seed(view.random_seed(0))
            some = torch.randperm(len(learnt), generator=generator)[:COMPARED].to(view.device)
            self.buffers["usual"] = torch.tensor(usual(learnt[some], single=posterior.single))
        self.buffers["probability"] = posterior.labels.float()
        if learnable:
            self.buffers["prior"] = posterior.prior[:, posterior.shown].double()
        apart = len({id(wrong) for wrong in posterior.corrupted.values()}) > 1
        for modality, wrong in posterior.corrupted.items():
            self.buffers[f"corrupted_{modality}" if apart else "corrupted"] = wrong.float()
            if not apart and modality in posterior.evidence:
                self.buffers["evidence"] = posterior.evidence[modality].float()
        return {**summary(posterior, observed), "note": in_words(posterior, observed)[0]}

    def set_apart(self, posterior: Posterior) -> None:
        """Targets of each modality, where these differ."""
        s, of_modality = self.settings, {}
        if s.pairs and posterior.right is not None:
            self.buffers["right_pair"] = posterior.right.float()
            of_modality = posterior.of_modality
        own = s.own if s.labels == "posterior" else 0.0
        corrupted = torch.stack(list(posterior.corrupted.values())).nanmean(0)  # of all that was said of a row
        weight = own * (1 - corrupted).nan_to_num(0).unsqueeze(1)  # 0 for a row that nobody labelled
        for modality, alone in posterior.alone.items():
            if modality in of_modality or own > 0:
                target = self.targets(of_modality.get(modality, posterior.labels), posterior)
                self.buffers[f"target_{modality}"] = target.lerp(alone.to(target), weight.to(target))

    def targets(self, labels: Tensor, posterior: Posterior) -> Tensor:
        """What is learnt of the labels' probabilities (n, c); of classes that nothing shows, how frequent they are."""
        labels = torch.where(posterior.shown, labels, posterior.prior)
        if self.settings.labels == "hard":
            return most_likely(labels.float(), posterior.single)
        return labels.to(torch.float32, copy=True)

    def posterior(self, view: View) -> Posterior:
        """The posterior of the view's rows, by the kernel over all modalities or the one that is set."""
        chosen = [self.settings.kernel] if self.settings.kernel else list(view.features)
        features = {modality: vectors_of(view.features[modality]) for modality in chosen}
        groups = None if view.groups is None else torch.from_numpy(view.groups).to(view.device)
        return estimate_posterior(features, view.labels, seed=view.random_seed(1), groups=groups)

    # --- training -----------------------------------------------------------------------------------------------------

    @classmethod
    def epoch_work(cls, settings: Any, rows: int) -> int:
        """Steps of an epoch."""
        passes = min(max(math.ceil(rows / settings.batch), FEWEST), MOST)
        return settings.steps or math.ceil(settings.sweeps * passes)

    def rows_of_steps(self, view: View) -> Iterator[Tensor]:
        """Row positions (<= batch,) of each step of an epoch: passes over the rows, until there are enough."""
        places = torch.arange(len(view), device=view.device)
        if not self.settings.unlabelled and self.buffers["known"].any():
            places = places[self.buffers["known"]]
        done, steps = 0, self.epoch_work(self.settings, len(view))
        view.tick(0.0)
        for number in itertools.count(2):
            generator = torch.Generator().manual_seed(view.random_seed(number))
            order = torch.randperm(len(places), generator=generator).to(view.device)
            for rows in places[order].split(self.settings.batch):
                if done == steps:
                    return
                yield rows
                done += 1
                view.tick(done / steps)

    def loss(self, outputs: dict[str, Tensor], rows: Tensor) -> Tensor:
        """The loss of a batch, from every encoder's outputs (m, bits)."""
        s, known = self.settings, self.buffers["known"][rows]
        right = self.buffers["right_pair"][rows] if "right_pair" in self.buffers else torch.ones_like(known).float()
        pairs = list(itertools.combinations(outputs, 2))
        alone = not bool(self.buffers["known"].any())
        total = next(iter(outputs.values())).new_zeros(())
        sharp = float(self.buffers.get("partners", 0.0))
        if alone:  # with a space shared by the modalities they are not all there is to learn from
            sharp, soft = (sharp if "kin_map_" + pairs[0][0] in self.buffers else 1.0), 0.0
        else:
            soft = s.contrast
        for a, b in pairs if soft > 0 else ():
            total = total + soft / len(pairs) * partner_loss(outputs[a], outputs[b], right, scale=SOFT)
        for a, b in pairs if sharp > 0 else ():
            total = total + sharp / len(pairs) * own_loss(outputs[a], outputs[b], right)
        if s.quantise > 0:
            total = total + s.quantise * torch.stack([(u.abs() - 1).square().mean() for u in outputs.values()]).sum()
        if not alone and known.any():
            total = total + self.label_loss({m: u[known] for m, u in outputs.items()}, rows[known], right[known])
        return total

    def label_loss(self, outputs: Mapping[str, Tensor], rows: Tensor, right: Tensor) -> Tensor:
        """What the labels' probabilities say of a batch: which rows share one, and which they have."""
        s, single = self.settings, bool(self.buffers["single"])
        p = {m: self.buffers.get(f"target_{m}", self.buffers["target"])[rows] for m in outputs}
        apart = any(f"target_{m}" in self.buffers for m in outputs)
        offset = s.base * float(self.buffers["usual"].logit()) if "usual" in self.buffers else 0.0
        terms = []
        pairs = list(itertools.combinations(outputs, 2))
        shared: Tensor | None = None
        for a, b in [*pairs, *((m, m) for m in outputs)]:
            if shared is None or apart:
                shared = share_probability(p[a], p[b], single=single)
            partner = torch.ones_like(right) if a == b else right + (1 - right) * shared.diagonal()
            target = shared.diagonal_scatter(partner)
            loss = similarity_loss(outputs[a], outputs[b], target, sharpness=s.sharpness, offset=offset)
            terms.append(loss / (len(outputs) if a == b else len(pairs)))
        if s.head > 0:
            classifier = self.networks["classifier"]
            terms += [s.head * F.binary_cross_entropy_with_logits(classifier(u), p[m]) for m, u in outputs.items()]
        return torch.stack(terms).sum()

    def step(self, view: View, rows: Tensor, share: float) -> Tensor:
        """One training step on these rows, when this share of the training is done; returns the loss, detached."""
        with view.autocast():
            batch = {modality: features[rows] for modality, features in view.features.items()}
            outputs = {modality: view.through(self.networks[modality], rows) for modality, rows in batch.items()}
        loss = self.loss(outputs, rows)
        if weight := float(self.buffers.get("kin", 0.0)):
            loss = loss + weight * kin_loss(outputs, self.kin(batch), float(self.buffers.get("worth", 1.0)))
        optimizer = self.optimizers["adamw"]
        for group in optimizer.param_groups:
            group["lr"] = self.settings.lr * rate_at(share)
        optimizer.zero_grad()
        view.backward(loss)
        optimizer.step()
        return loss.detach()

    def train_epoch(self, view: View) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if "target" not in self.buffers:
            figures, *state = view.agree(lambda: (self.prepare(view), *self.state()))
            self.load_state(*state)
        steps = self.epoch_work(self.settings, len(view))
        before, planned = view.epoch * steps, view.epochs * steps
        losses = [self.step(view, rows, (before + k) / planned) for k, rows in enumerate(self.rows_of_steps(view))]
        kept = {k: v.cpu().numpy().copy() for k, v in self.buffers.items() if k.startswith(KEPT)}
        return {"loss": float(torch.stack(losses).mean()), "steps": len(losses), **figures, **kept}


def shared_directions(settings: LookSettings, task: Task) -> int:
    """How many directions the encoders see: no more than the narrowest modality has, and none beside pixels."""
    return min(settings.directions, *task.widths.values()) if len(task.widths) == len(task.dims) else 0


def worth(told: Told) -> float:
    """How much the sharp partner loss counts, 0 to 1: nothing where held-out pairs cannot be told from their kind.

    >>> [worth(Told(1.0, 0.5, 0.9, apart)) for apart in (0.6, 0.7, 0.9)]
    [0.0, 0.5, 1.0]
    """
    low, high = SAID
    return (
        0.0
        if math.isnan(told.apart_in_kind)
        else round(min(max((told.apart_in_kind - low) / (high - low), 0.0), 1.0), 6)
    )


def most_likely(p: Tensor, single: bool) -> Tensor:
    """Labels 0/1 (n, c) of probabilities: the likeliest class where rows have one, else those above one half.

    >>> most_likely(torch.tensor([[0.3, 0.4]]), single=True), most_likely(torch.tensor([[0.3, 0.6]]), single=False)
    (tensor([[0., 1.]]), tensor([[0., 1.]]))
    """
    return F.one_hot(p.argmax(1), p.shape[1]).to(p) if single else (p > 0.5).to(p)
