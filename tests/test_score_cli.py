"""`crossbit score` as a stranger meets it: what --ties adds, and what has no value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny import Command, runner


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "120")
    return runner(capsys)


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    """Short codes, so that most of a ranking is tied."""
    rng = np.random.default_rng(0)
    given = {f"{side}_{what}": rng.choice([-1.0, 1.0], (20, 8)) for side in ("query", "retrieval") for what in "ab"}
    np.savez(tmp_path / "codes.npz", **given, query_label=np.arange(20) % 3, retrieval_label=np.arange(20) % 3)
    return tmp_path / "codes.npz"


def test_another_rule_for_ties_adds_a_figure_and_help_says_so(codes: Path, command: Command) -> None:
    two, three = (command("score", codes, "--ties", ties).out for ties in ("index", "worst"))
    assert "ties=worst" not in two
    assert "mAP@all(ties=worst, empty=skip)" in three
    assert all("ties=index   ties=expected   moved by ties" in shown for shown in (two, three))
    told = " ".join(command("score", "--help").out.replace("│", " ").split())
    assert "Adds mAP under this tie rule; index and expected are always shown." in told
    assert "a further figure" not in command("evaluate", "--help").out


def test_what_is_not_defined_says_so(codes: Path, command: Command) -> None:
    words = ["-k", "5", "--cutoff", "first-k-relevant", "--ties", "index"]
    rows = [line for line in command("score", codes, *words).out.splitlines() if line.startswith("a->b")]
    _, figures, bounds = rows  # after what a person asks
    assert figures.split("->b")[1].count("not defined") == 2  # expected, and by how much ties move it
    assert bounds.rstrip().endswith("not defined")  # the level of chance
    assert "not defined" not in command("score", codes, "-k", "5").out
