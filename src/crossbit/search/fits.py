"""Whether anything here fits: the probability that the best hit does, from what its search shows (`evidence`).

`fits.json` in the index's folder has a logistic regression for words and one for a picture, and for each a stair that
turns what it gives into a probability. `crossbit.search.calibrate` learns them from held-out queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.search.evidence import NAMES
from crossbit.storage.files import read_json, write_json

FILE, FORMAT = "fits.json", 1
GROWN = 0.1  # a share of codes more, or fewer, from which a calibration is stale


@dataclass(frozen=True)
class Scale:
    """From the evidence of a search to a probability.

    Attributes:
        modality: that is searched.
        ways: in which.
        weights, intercept: of the evidence (7,), a logistic regression's.
        scores, probabilities: a stair, ascending, between whose steps is interpolated.
        queries: how many it was learnt from.

    >>> scale = Scale("image", ("codes",), [1.0, 0, 0, 0, 0, 0, 0], 0.0, [0.0, 1.0], [0.1, 0.9], 200)
    >>> scale.probability(np.array([0.5, 0, 0, 0, 0, 0, 0])), scale.probability(np.array([9.0, 0, 0, 0, 0, 0, 0]))
    (0.5, 0.9)
    """

    modality: str
    ways: tuple[str, ...]
    weights: list[float]
    intercept: float
    scores: list[float]
    probabilities: list[float]
    queries: int

    def probability(self, evidence: npt.NDArray[np.float64]) -> float:
        """That the best hit fits."""
        score = float(evidence @ np.array(self.weights)) + self.intercept
        return float(np.interp(score, self.scores, self.probabilities))


@dataclass(frozen=True)
class Fits:
    """The scales of an index.

    Attributes:
        encoder: the hash of the model whose codes it holds.
        codes: how many of a modality there were.
        scales: by what the query is, "words" or "pictures"; none where it could not be learnt.
    """

    encoder: str
    codes: int
    scales: Mapping[str, Scale]

    def write(self, folder: Path) -> None:
        """Write it into an index's folder."""
        held = {name: asdict(scale) for name, scale in self.scales.items()}
        about = {"format": FORMAT, "evidence": list(NAMES), "encoder": self.encoder, "codes": self.codes}
        write_json(folder / FILE, {**about, "scales": held})

    @classmethod
    def read(cls, folder: Path, encoder: str) -> Self | None:
        """That of an index; None where there is none, or another model's."""
        try:
            held = read_json(folder / FILE)
            scales = {name: Scale(**{**of, "ways": tuple(of["ways"])}) for name, of in held["scales"].items()}
            found = cls(held["encoder"], int(held["codes"]), scales)
            known = (held["format"], tuple(held["evidence"])) == (FORMAT, NAMES)
        except (UserError, KeyError, TypeError, ValueError, AttributeError):  # none, or another version's
            return None
        return found if known and found.encoder == encoder else None

    def of(self, query: str, modality: str, ways: tuple[str, ...], codes: int, evidence: Any) -> float | None:
        """The probability that the best hit fits.

        Args:
            query: "words" or "pictures".
            modality, ways: what was searched, and how.
            codes: how many the index holds.
            evidence: of the search.

        Returns:
            None where none was learnt of such a search, or the index has grown or shrunk by a tenth since.
        """
        scale = self.scales.get(query)
        if scale is None or evidence is None or (scale.modality, scale.ways) != (modality, ways):
            return None
        if abs(codes - self.codes) > GROWN * self.codes:
            return None
        return scale.probability(evidence)
