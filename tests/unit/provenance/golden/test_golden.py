"""Golden traces: exact numbers under a name for the hardware, and what is said where they diverge."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.base.paths import Project
from samebits.data.fetching.catalog import Card
from samebits.provenance.golden import golden as module
from samebits.provenance.golden import recipe_copy
from samebits.provenance.golden.golden import (
    Divergence,
    first_divergence,
    golden_file,
    kind_name,
    read_trace,
    record,
    record_all,
)
from samebits.provenance.golden.recipe_copy import UnavailableError, recipe_params
from tests.helpers.absent import is_left_out
from tests.helpers.image_project import make_project
from tests.helpers.workspace import ROOT

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
    assert first_divergence(one, trace(1.0, 0.5, 0.25)) == Divergence(0)
    assert first_divergence(one, trace(1.0, 0.5000000000000001, 0.25)) == Divergence(2, 0.5, 0.5000000000000001)
    assert first_divergence(one, trace(1.0, 0.6), steps=1) == Divergence(0)


@pytest.mark.parametrize("bad", ["[]", "{}", '{"format": 1, "losses": []}', '{"format": 1, "losses": ["x"]}',
                                 '{"format": 2, "losses": ["0x1p0"]}', '{"format": 1, "losses": [1.5]}'])  # fmt: skip
def test_what_is_no_trace_is_refused(bad: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(bad)
    with pytest.raises(UserError, match="is no golden trace"):
        read_trace(tmp_path / "t.json")


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the next trainings give, one after the other; the last one again and again."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "prepared_copy", lambda *_: contextlib.nullcontext(Path("copy")))
    monkeypatch.setattr(module, "trace_copy", lambda *_: made.pop(0) if len(made) > 1 else made[0])
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
    assert "diverge at step 2 of 2: 0.5 -> 0.25" in text
    assert "the prepared data differ: d -> other" in text
    assert "onednn_isa: AVX2 -> AVX512" in text
    assert record(project, "mnist", replace=True, say=said.append)
    assert read_trace(golden_file(project.workspace, "mnist", KIND)) == traces[0]


def test_a_trace_on_record_is_checked_by_one_run(traces: list[dict[str, Any]], tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    traces[:] = [trace(1.0)]
    assert record(project, "mnist", say=print)
    traces[:] = [trace(1.0), trace(2.0)]
    assert record(project, "mnist", say=print)
    assert traces == [trace(2.0)], "only a run that parts is repeated"
    traces[:] = [trace(2.0), trace(3.0)]
    with pytest.raises(UserError, match="two runs on this machine diverge at step 1"):
        record(project, "mnist", say=print)


def test_all_recipes_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, traces: list[dict[str, Any]], tmp_path: Path
) -> None:
    """One whose data cannot be had stops nothing; one that fails stops nothing either, and is 2 in the end."""
    project, said = make_project(tmp_path / "p"), []
    traces[:] = [trace(1.0)]

    def prepared(_: Any, recipe: str, mode: str) -> Any:
        if recipe == "away":
            raise UnavailableError("away: no network", "get one")
        if recipe == "broken":
            raise UserError("prepare ended with exit code 1", "fix it")
        return contextlib.nullcontext(Path("copy"))

    monkeypatch.setattr(module, "prepared_copy", prepared)
    assert record_all(project, ["away", "a", "b"], say=said.append)
    assert [file.parent.name for file in sorted((project.workspace / "golden").glob("*/*.json"))] == ["a", "b"]
    assert "away: not traced: away: no network" in said
    assert said[-1] == "2 traced, 0 different, 0 failed, 1 without data"
    traces[:] = [trace(2.0)]
    assert not record_all(project, ["a", "b"], say=said.append)
    with pytest.raises(UserError, match="not traced: broken"):
        record_all(project, ["broken", "a"], replace=True, say=said.append)
    assert record_all(project, ["a"], say=said.append), "what came after the broken one was recorded"
    with pytest.raises(UserError, match="not traced: away"):
        record_all(project, ["away"], say=said.append)


@pytest.mark.skipif(is_left_out(ROOT / "recipes"), reason="recipes/ is not in this clone")
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("cifar10_resnet18", "CIFAR-10.*could not be had"),
        ("transfer_resnet18", r"takes data/raw/mnist_resnet18\.safetensors \(transfer\.weights\)"),
    ],
)
def test_what_cannot_be_traced_here_says_why(
    recipe: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe_copy, "fetch", no_network)
    project = Project(ROOT, tmp_path)
    with pytest.raises(UnavailableError, match=reason) as error, recipe_copy.prepared_copy(project, recipe):
        pytest.fail("it was prepared")
    assert error.value.fix
    assert not list((tmp_path / ".samebits" / "golden").iterdir()), "the copy is gone"


def test_weights_of_a_hub_are_fetched_before_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = {"weights": "acme/tiny", "revision": "0a" * 20, "sha256": "1" * 64}
    model = {"task": {"name": "classification"}, "model": {"name": "bert"}, "transfer": transfer}
    write_json(tmp_path / "recipes" / "hub.yaml", {**model, "train": {"optimizer": {"name": "sgd", "lr": 0.1}}})
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(recipe_copy, "fetch_hub", lambda *given, **_: asked.append(given))
    recipe_copy._require_inputs(tmp_path, "hub")
    files = [("config.json", ""), ("model.safetensors", "1" * 64)]
    assert asked == [("acme/tiny", "0a" * 20, *each) for each in files]

    def away(*_: str, **__: Any) -> Path:
        raise UserError("it could not be had", "check the network")

    monkeypatch.setattr(recipe_copy, "fetch_hub", away)
    with pytest.raises(UnavailableError, match="hub: it could not be had"):
        recipe_copy._require_inputs(tmp_path, "hub")


def test_outside_of_git_nothing_is_traced(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    with pytest.raises(UserError, match="is in no git repository"):
        record(project, "mnist", say=print)


def no_network(card: Card, **_: Any) -> dict[str, Path]:
    if card.name == "cifar10":
        raise UserError(f"{card.title}: 1 of 1 files could not be had. Places tried:", "check the network")
    return {}


def test_a_recipe_is_traced_with_its_own_parameters(tmp_path: Path) -> None:
    """The seed and the mode that params.yaml has at the moment are not the recipe's."""
    project = make_project(tmp_path / "p")
    shutil.copytree(ROOT / "recipes", project.workspace / "recipes")
    params = recipe_params(project.workspace, "mnist").dump()
    assert (params["seed"], params["reproducibility"]) == (0, "strict")
    assert params["model"]["stages"] == [[32, 32], [64, 128]]


def test_a_machine_that_disagrees_with_itself_records_nothing(traces: list[dict[str, Any]], tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    traces[:] = [trace(1.0, 0.5), trace(1.0, 0.5000001)]
    with pytest.raises(UserError, match="diverge at step 2"):
        record(project, "mnist", say=print)
    assert not (project.workspace / "golden").exists()


def test_a_golden_trace_is_written_as_canonical_json(tmp_path: Path) -> None:
    write_json(tmp_path / "t.json", trace(1.0))
    assert read_trace(tmp_path / "t.json")["losses"] == ["0x1.0000000000000p+0"]
