"""Whether anything here fits: the probability that the best hit does, from what its search shows (`evidence`).

`fits.json` in the index's folder has a logistic regression for words, one for a picture that searches texts and
pictures, and one for a picture that searches pictures alone. `crossbit.search.calibrate` learns
them from held-out queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from crossbit.errors import UserError
from crossbit.search.evidence import NAMES
from crossbit.storage.files import read_json, write_json

FILE, FORMAT = "fits.json", 2
ALIKE_PICTURES = "pictures among pictures"  # the scale of a picture where pictures alone are searched
CERTAIN = 0.01  # nothing is more likely than 1 less this, or less likely
GROWN = 0.25  # a share of codes more, or fewer, above which a calibration is stale; all held-out rows are no more


@dataclass(frozen=True)
class Scale:
    """From the evidence of a search to a probability.

    Attributes:
        modality: that is searched.
        ways: in which.
        weights, intercept: of the evidence (9,), a logistic regression's.
        queries: how many it was learnt from.

    >>> scale = Scale("image", ("codes",), [2.0, 0, 0, 0, 0, 0, 0, 0, 0], -1.0, 200)
    >>> scale.probability(np.eye(9)[0] / 2), scale.probability(3 * np.eye(9)[0])
    (0.5, 0.98...)
    """

    modality: str
    ways: tuple[str, ...]
    weights: list[float]
    intercept: float
    queries: int

    def probability(self, evidence: npt.NDArray[np.float64]) -> float:
        """That the best hit fits."""
        score = float(evidence @ np.array(self.weights)) + self.intercept
        return float(CERTAIN + (1 - 2 * CERTAIN) * expit(score))


@dataclass(frozen=True)
class Fits:
    """The scales of an index.

    Attributes:
        encoder: the hash of the model whose codes it holds.
        codes: how many of a modality there were.
        scales: of "words", "pictures" and `ALIKE_PICTURES`; none where it could not be learnt.
        labels: how much each counts, by name; one that is not there counts 1.
    """

    encoder: str
    codes: int
    scales: Mapping[str, Scale]
    labels: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into an index's folder."""
        held = {name: asdict(scale) for name, scale in self.scales.items()}
        about = {"format": FORMAT, "evidence": list(NAMES), "encoder": self.encoder, "codes": self.codes}
        write_json(folder / FILE, {**about, "scales": held, "labels": dict(self.labels)})

    @classmethod
    def read(cls, folder: Path, encoder: str) -> Self | None:
        """That of an index; None where there is none, or another model's."""
        try:
            held = read_json(folder / FILE)
            scales = {name: Scale(**{**of, "ways": tuple(of["ways"])}) for name, of in held["scales"].items()}
            found = cls(held["encoder"], int(held["codes"]), scales, dict(held["labels"]))
            known = (held["format"], tuple(held["evidence"])) == (FORMAT, NAMES)
        except (UserError, KeyError, TypeError, ValueError, AttributeError):  # none, or another version's
            return None
        return found if known and found.encoder == encoder else None

    def outgrown(self, codes: int) -> bool:
        """Whether an index of so many codes has grown or shrunk too much since."""
        return abs(codes - self.codes) > GROWN * self.codes

    def scale(self, query: str, modality: str, ways: tuple[str, ...], codes: int) -> Scale | None:
        """The scale of a search.

        Args:
            query: "words" or "pictures".
            modality, ways: what was searched, and how.
            codes: how many the index holds.

        Returns:
            None where none was learnt of such a search, or the index has grown or shrunk by more than a quarter since.
        """
        known = [self.scales.get(name) for name in ((query, ALIKE_PICTURES) if query == "pictures" else (query,))]
        fitting = [scale for scale in known if scale is not None and (scale.modality, scale.ways) == (modality, ways)]
        return fitting[0] if fitting and not self.outgrown(codes) else None
