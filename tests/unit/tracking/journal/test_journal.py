from __future__ import annotations

import os
from pathlib import Path

import pytest

from samebits.base.nested import flatten
from samebits.tracking.journal.journal import JournalWriter, Segment, new_segment, segments


def segment_with(path: Path, data: bytes) -> Segment:
    path.write_bytes(data)
    return Segment(path)


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "001-train.jsonl")
    for step in range(3):
        writer.append("metrics", step=step, v={"loss": 0.5})
    events, behind = Segment(writer.path).read()
    assert [event["step"] for event in events] == [0, 1, 2]
    assert behind == writer.path.stat().st_size
    writer.append("tags", v={"a": "ü\n"})
    more, _ = Segment(writer.path).read(behind)
    assert [event["v"] for event in more] == [{"a": "ü\n"}]


def test_a_torn_last_line_waits_and_is_no_error(tmp_path: Path) -> None:
    segment = segment_with(tmp_path / "001-train.jsonl", b'{"k":"a","t":1}\n{"k":"b","t"')
    assert segment.read() == ([{"k": "a", "t": 1}], 16)
    assert segment.end() == 16
    assert segment.last() == {"k": "a", "t": 1}


def test_a_half_line_in_the_middle_is_skipped(tmp_path: Path) -> None:
    segment = segment_with(tmp_path / "001-train.jsonl", b'{"k":"a","t":1}\n{"k":"b\n[1]\n{"k":"c","t":2}\n')
    assert [event["k"] for event in segment.events()] == ["a", "c"]


def test_after_a_short_write_the_next_line_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "001-train.jsonl")
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:10]))
    with pytest.raises(OSError, match="only a part"):
        writer.append("lost")
    monkeypatch.setattr(os, "write", real)
    writer.append("kept")
    assert [event["k"] for event in Segment(writer.path).events()] == ["kept"]


def test_a_line_longer_than_one_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.tracking.journal.journal._READ_AT_ONCE", 64)
    writer = JournalWriter(tmp_path / "001-train.jsonl")
    writer.append("tags", v={"a": "x" * 1000})
    for step in range(20):
        writer.append("metrics", step=step)
    assert len(list(Segment(writer.path).events())) == 21


def test_until_is_not_read_past(tmp_path: Path) -> None:
    segment = segment_with(tmp_path / "001-train.jsonl", b'{"k":"a"}\n{"k":"b"}\n')
    assert segment.read(0, 10) == ([{"k": "a"}], 10)
    assert segment.read(10, 10) == ([{"k": "b"}], 20)


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        JournalWriter(tmp_path / "001-train.jsonl").append("metrics", v={"loss": float("nan")})


def test_segments_are_ordered_by_number(tmp_path: Path) -> None:
    for name in ("002-sender", "010-export", "009-train", "1000-late"):
        (tmp_path / "journal").mkdir(exist_ok=True)
        (tmp_path / "journal" / f"{name}.jsonl").touch()
    assert [segment.writer for segment in segments(tmp_path)] == ["sender", "train", "export", "late"]
    assert new_segment(tmp_path, "next").path.name == "1001-next.jsonl"


def test_flatten() -> None:
    nested = {"train": {"lr": 0.1, "schedule": {"name": "cosine"}}, "seed": 1, "export": {"batch_sizes": [1, 2]}}
    assert flatten(nested) == {
        "train.lr": 0.1,
        "train.schedule.name": "cosine",
        "seed": 1,
        "export.batch_sizes": [1, 2],
    }
