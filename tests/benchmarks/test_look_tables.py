"""What LOOK is ahead of others is told anew of the seeds that were recorded, whichever of both was run again."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.studies.look_pairs import ASKED, MEASURES, told
from benchmarks.studies.look_parts import told as parts


def seeds(*values: float) -> dict[str, Any]:
    return {str(seed): dict.fromkeys(MEASURES, value) for seed, value in enumerate(values)}


def test_what_a_rival_is_behind_follows_the_cells_of_today() -> None:
    rival = {"data": "glyphs", "method": "nrch", "seeds": seeds(0.1, 0.3)}
    cells = [{"data": "glyphs", "noise": "swap-one", "rate": 0.5, "seeds": seeds(0.4, 0.5, 0.9)}]
    look, nrch = told([], cells, [rival | {"behind": "as it was"}])
    assert (look["method"], nrch["method"]) == ("look", "nrch")
    assert nrch["behind"]["difference"] == pytest.approx(0.25)  # .3 and .2: the third seed has no partner
    assert look["figures"][ASKED]["n"] == 3


def test_what_a_part_is_worth_follows_the_whole_of_today() -> None:
    whole, without = ({"data": "glyphs", "bits": 64, "variant": name} for name in ("", "no classifier"))
    rows = parts([], [whole | {"seeds": seeds(0.5, 0.7)}, without | {"seeds": seeds(0.3, 0.4), "ahead": "as it was"}])
    assert [row["variant"] for row in rows] == ["", "no classifier"]
    assert rows[1]["ahead"]["mAP@all"]["difference"] == pytest.approx(0.25)
