"""Suspect rows as a person reads them: few lines, no wider than the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from crossbit.audit import SuspectRow
from crossbit.audit.alike import Neighbour
from crossbit.cli.suspects import say_pairs, say_suspects


def suspect(**changes: Any) -> SuspectRow:
    near = [Neighbour(number, f"a rather long name of neighbour {number}", ["boat", "sea"], 0.9) for number in range(5)]
    held: dict[str, Any] = {
        **{"rank": 1, "row": 5059, "modality": None, "probability": 0.987, "evidence": 4.0, "family": 5059},
        **{"observed": ["tree"], "suggested": ["boat", "sea"], "wrong": [("tree", 0.99)], "missing": [("boat", 0.9)]},
        **{"wrong_pair": 0.4, "pair_reason": "of its 10 nearest by image 9 have `boat`", "partner": 5059},
        "reason": "given `tree`; of its 10 nearest by image 0 have it, 10 have `boat`; by text 1 and 9",
        **{"injected": None, "neighbours": near, "caption": "a boat on the sea", "path": "harbour/" * 3 + "1.png"},
    }
    return SuspectRow(**held | changes)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_suspect_takes_four_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say_suspects([(suspect(), 3)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "0.99  row 5059  tree -> boat, sea  (+3 alike)",
        "      a boat on the sea  harbour/harbour/harbour/1.png",
        "      of its 10 nearest by image 0 have it, 10 have `boat`; by text 1 and 9",
    ]
    assert len(lines) == 5 and lines[4].startswith("      weigh most: a rather long name")
    assert all(len(line) <= 80 for line in lines)


def test_which_of_several_labels_is_meant_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    say_suspects([(suspect(observed=["tree", "sky"], modality="text", neighbours=[], caption=None, path=None), 0)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "0.99  row 5059 text  tree, sky -> boat, sea"
    assert " ".join(line.strip() for line in lines[2:]) == suspect().reason


def test_a_path_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    path = "a very long folder/" * 8 + "1.png"
    say_pairs([suspect(path=path)])
    assert path in capsys.readouterr().out
