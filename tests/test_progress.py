"""What a training says of its progress where standard error is no terminal."""

from __future__ import annotations

import pytest

from crossbit.training import progress
from crossbit.training.progress import EpochProgress


def test_the_time_left_is_reckoned_from_the_first_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with EpochProgress(4) as bar:
        bar.say("estimating")
        now = 500.0  # what was done once
        bar.tick(0.0)
        now = 520.0
        bar.tick(1.0)
        bar.epoch_done("loss 1")
        now = 540.0
        bar.tick(0.5)
        bar.epoch_done("loss 1")
    said = capsys.readouterr().err.rstrip().splitlines()  # older versions of rich end with an empty line
    assert said == ["estimating", "epoch 1/4  loss 1  60 s left", "epoch 2/4  loss 1  40 s left"]
