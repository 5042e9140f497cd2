"""Golden traces: exact numbers under a name for the hardware, and what is said where they part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samebits.errors import UserError
from samebits.files import write_json
from samebits.verify import golden as module
from samebits.verify.golden import Parting, golden_file, kind_name, part, read_trace, record
from tests.unit.conftest import make_project

KIND = {"cpu": "AMD EPYC", "cpu_capability": "AVX512", "threads": "2", "torch": "2.14.1"}


def trace(*losses: float, **changes: Any) -> dict[str, Any]:
    facts = {"threads": "2", "onednn_isa": "AVX2"}
    return {"format": 1, "losses": [loss.hex() for loss in losses], "kind": KIND, "facts": facts, "data": "d",
            "params": "p"} | changes  # fmt: skip


def test_a_kind_has_a_name_that_people_and_files_can_have() -> None:
    assert kind_name(KIND).startswith("amd-epyc-avx512-2-threads-")
    names = {kind_name(KIND | {key: "other"}) for key in KIND} | {kind_name(KIND)}
    assert len(names) == len(KIND) + 1, "each fact of the kind counts"
    assert kind_name(KIND | {"gpu": "NVIDIA H100 80GB"}).startswith("nvidia-h100-80gb-avx512-2-threads-")


def test_traces_part_at_the_first_other_bit() -> None:
    one = trace(1.0, 0.5, 0.25)
    assert part(one, trace(1.0, 0.5, 0.25)) == Parting(0)
    assert part(one, trace(1.0, 0.5000000000000001, 0.25)) == Parting(2, 0.5, 0.5000000000000001)
    assert part(one, trace(1.0, 0.6), steps=1) == Parting(0)


@pytest.mark.parametrize("bad", ["[]", "{}", '{"format": 1, "losses": []}', '{"format": 1, "losses": ["x"]}',
                                 '{"format": 2, "losses": ["0x1p0"]}', '{"format": 1, "losses": [1.5]}'])  # fmt: skip
def test_what_is_no_trace_is_refused(bad: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(bad)
    with pytest.raises(UserError, match="is no golden trace"):
        read_trace(tmp_path / "t.json")


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "trace_recipe", lambda *_, repeat: [made[0]] * (repeat - 1) + [made[-1]])
    return made


def test_recording_checking_and_replacing(traces: list[dict[str, Any]], tmp_path: Path) -> None:
    project, said = make_project(tmp_path / "p"), []
    traces[:] = [trace(1.0, 0.5)]
    assert record(project, "mnist", say=said.append)
    assert read_trace(golden_file(project.workspace, "mnist", KIND)) == traces[0]
    assert record(project, "mnist", say=said.append)
    assert said[-1].endswith("2 of 2 losses have the same bits")

    traces[:] = [trace(1.0, 0.25, facts={"threads": "2", "onednn_isa": "AVX512"}, data="other")]
    assert not record(project, "mnist", say=said.append)
    text = "\n".join(said)
    assert "part at step 2 of 2: 0.5 -> 0.25" in text
    assert "the prepared data differ: d -> other" in text
    assert "onednn_isa: AVX2 -> AVX512" in text
    assert record(project, "mnist", replace=True, say=said.append)
    assert read_trace(golden_file(project.workspace, "mnist", KIND)) == traces[0]


def test_a_machine_that_disagrees_with_itself_records_nothing(traces: list[dict[str, Any]], tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    traces[:] = [trace(1.0, 0.5), trace(1.0, 0.5000001)]
    with pytest.raises(UserError, match="part at step 2"):
        record(project, "mnist", say=print)
    assert not (project.workspace / "golden").exists()


def test_a_golden_trace_is_written_as_canonical_json(tmp_path: Path) -> None:
    write_json(tmp_path / "t.json", trace(1.0))
    assert read_trace(tmp_path / "t.json")["losses"] == ["0x1.0000000000000p+0"]
