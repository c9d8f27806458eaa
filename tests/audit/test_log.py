"""The log of decisions: what was acknowledged is never lost, whatever a killed process left behind."""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path

import pytest

from crossbit.audit.acts import Act, Decision, read_acts
from crossbit.audit.log import DecisionLog
from crossbit.errors import UserError

ONE = Act("", "x", [Decision(3, "accept", ["ä"], ["b"], p=0.93)])
RANGE = Act("", "x", [Decision(4, "keep", ["b"], ["b"], "b", 0.5), Decision(5, "other", ["c"], ["b"])])


def written(folder: Path) -> DecisionLog:
    """Two acts, and two more that were taken back."""
    log = DecisionLog(folder / "decisions.jsonl")
    with log.alone():
        for act in (ONE, RANGE, None, ONE, None, RANGE):
            log.append(act)
    return log


def told(acts: list[Act]) -> list[dict[str, object]]:
    return [act.to_dict() for act in acts]


def test_a_line_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (flushed.append((tmp_path / "d.jsonl").read_bytes()), real(number)))
    log = DecisionLog(tmp_path / "d.jsonl")
    with log.alone():
        log.append(ONE)
    assert (tmp_path / "d.jsonl").read_bytes() in flushed and json.loads(flushed[0]) == {
        **{"data": "x", "row": 3, "decision": "accept", "observed": ["b"], "labels": ["ä"], "p": 0.93}
    }


def test_a_file_cut_at_any_byte_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    whole = written(tmp_path).path.read_bytes()
    after = [[], [ONE], [ONE, RANGE], [ONE], [ONE, ONE], [ONE], [ONE, RANGE]]  # after so many whole lines
    for size in range(len(whole) + 1):
        cut, notes = tmp_path / "cut.jsonl", list[str]()
        cut.write_bytes(whole[:size])
        lines = whole[:size].count(b"\n")
        torn = not whole[:size].endswith(b"\n") and size > 0
        if not torn or size + 1 > len(whole) or whole[size : size + 1] != b"\n":  # a line that lacks its end alone
            assert told(read_acts(cut)) == told(after[lines])
        log = DecisionLog(cut, notes.append)
        assert told(log.acts) == told(after[lines]) and len(notes) == torn
        with log.alone():
            log.append(ONE)
        assert told(DecisionLog(cut).acts) == told([*after[lines], ONE])


def test_zeros_that_a_lost_power_leaves_at_the_end_are_removed(tmp_path: Path) -> None:
    log = written(tmp_path)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + bytes(100))
    assert told(DecisionLog(log.path).acts) == told(log.acts) and log.path.read_bytes() == whole


def test_what_a_full_disk_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path)
    whole = log.path.read_bytes()

    def full(number: int) -> None:
        monkeypatch.undo()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*decisions.jsonl: No space left on device"), log.alone():
        log.append(ONE)
    assert log.path.read_bytes() == whole and told(log.acts) == told([ONE, RANGE])


def test_two_processes_see_each_others_lines(tmp_path: Path) -> None:
    first, second = written(tmp_path), DecisionLog(tmp_path / "decisions.jsonl")
    with second.alone():
        second.append(ONE)
    assert first.has_grown()
    with first.alone():
        assert told(first.acts) == told([ONE, RANGE, ONE])
        first.append(None)
    assert second.has_grown() and not first.has_grown()


def test_damage_before_the_last_line_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path).path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0][:20] + b"\n" + lines[1])
    with pytest.raises(UserError, match="line 1 is not JSON"):
        DecisionLog(path)
    path.write_bytes(b'{"undo": true}\n' + lines[0])
    with pytest.raises(UserError, match="line 1 undoes a decision, and none is left before it"):
        DecisionLog(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="not UTF-8"):
        DecisionLog(path)


def test_the_reader_notes_a_torn_line_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path, notes = written(tmp_path).path, list[str]()
    torn = path.read_bytes()[:-9]
    path.write_bytes(torn)
    assert told(read_acts(path, notes.append)) == told([ONE]) and "line 6, the last, is torn" in notes[0]
    assert path.read_bytes() == torn


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_log_that_an_editor_saved_holds_what_apply_reads(tmp_path: Path, line_end: bytes, mark: bytes) -> None:
    path, notes = written(tmp_path).path, list[str]()
    saved = mark + path.read_bytes().replace(b"\n", line_end)
    path.write_bytes(saved)
    log = DecisionLog(path, notes.append)
    assert told(log.acts) == told(read_acts(path)) == told([ONE, RANGE])
    assert path.read_bytes() == saved and not notes
    with log.alone():
        log.append(ONE)
    assert told(DecisionLog(path).acts) == told(read_acts(path)) == told([ONE, RANGE, ONE])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_log_of_another_encoding_is_refused_and_stays_as_it_is(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path).path
    saved = path.read_text(encoding="utf-8").encode(encoding)
    path.write_bytes(saved)
    with pytest.raises(UserError, match=r"decisions.jsonl is UTF-\d\d-LE; save it as UTF-8"):
        DecisionLog(path)
    assert path.read_bytes() == saved


def test_a_log_that_is_refused_keeps_its_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b'not JSON\n{"data": "x", "ro')
    with pytest.raises(UserError, match="line 1 is not JSON"):
        DecisionLog(path)
    assert path.read_bytes() == b'not JSON\n{"data": "x", "ro'


@pytest.mark.parametrize("row", [-70, True, 1.0, "3", None])
def test_a_row_that_is_no_row_stops_the_reading(tmp_path: Path, row: object) -> None:
    path = written(tmp_path).path
    held = path.read_bytes()
    path.write_bytes(held + json.dumps({**ONE.to_dict(), "row": row}).encode() + b"\n")
    for read in (DecisionLog, read_acts):
        with pytest.raises(UserError, match="line 7 is no decision of an audit"):
            read(path)
