"""A measure is one class: the page's example is known by its name, in Python and to the command."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from crossbit.bits import pack
from crossbit.evaluation import figure, known_measures, parse_measure
from crossbit.evaluation.measure import MEASURES
from tiny import runner

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
CLASS = PAGE.read_text("utf-8").split("## Adding a measure")[1].split("```python\n", 1)[1].split("```", 1)[0]
RNG = np.random.default_rng(3)
CODES = {f"{side}_{m}": RNG.choice([-1, 1], (n, 8)) for side, n in (("query", 9), ("retrieval", 30)) for m in "ab"}
LABELS = RNG.integers(0, 4, 9), RNG.integers(0, 3, 30)  # nothing is relevant to queries of class 3


@pytest.fixture
def added() -> Iterator[None]:
    with patch.dict(MEASURES):
        exec(CLASS, {"__name__": "added"})
        yield


def by_hand(query: np.ndarray, database: np.ndarray, radius: int) -> list[float]:
    """Every query's recall within a radius, by loops."""
    values = []
    for code, label in zip(query, LABELS[0], strict=True):
        apart = [int((code != other).sum()) for other, same in zip(database, LABELS[1] == label, strict=True) if same]
        values.append(sum(far <= radius for far in apart) / len(apart) if apart else np.nan)
    return values


@pytest.mark.parametrize("radius", [0, 2, 8])
def test_the_pages_measure_is_known_by_its_name(added: None, radius: int) -> None:
    assert "recall@radiusK" in known_measures()
    name = f"recall@radius{radius}(empty=skip)"
    assert str(parse_measure(name)) == name
    query, database = CODES["query_a"], CODES["retrieval_b"]
    expected = by_hand(query, database, radius)
    assert np.isnan(expected).any()
    assert figure(name, pack(query), pack(database), *LABELS) == pytest.approx(np.nanmean(expected), rel=1e-14)


@pytest.mark.slow
def test_the_command_takes_it(added: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "codes.npz", **CODES, query_label=LABELS[0], retrieval_label=LABELS[1])
    shown = runner(capsys)("score", tmp_path / "codes.npz", "--measure", "recall@radius2", "--json")
    told = json.loads(shown.out)
    expected = np.nan_to_num(by_hand(CODES["query_a"], CODES["retrieval_b"], 2)).mean()
    assert told["figures"]["recall@radius2(empty=zero)"]["a->b"] == pytest.approx(expected, rel=1e-14)
    assert told["figures_empty_queries"]["recall@radius2(empty=zero)"]["a->b"] == (LABELS[0] == 3).sum()
