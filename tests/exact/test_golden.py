"""Golden traces: known hardware follows its own to the last bit; on another kind two runs must agree.

The data of each recipe is fetched, so a run without a network skips those that are not in the cache, and says which.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.compute.arithmetic import ARITHMETIC, unsupported
from samebits.data.fetching.catalog import card_of
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import recipe_names
from samebits.provenance.golden.golden import (
    FOLDER,
    PORTABLE,
    PORTABLE_STEPS,
    STEPS,
    first_divergence,
    golden_file,
    kind_name,
    read_trace,
    require_repeated,
    trace_copy,
)
from samebits.provenance.golden.recipe_copy import UnavailableError, prepared_copy
from tests.helpers.workspace import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The working tree, with its scratch folders elsewhere."""
    # Threads that wait do not spin: on a busy machine that is the difference between seconds and minutes.
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    return Project(ROOT, tmp_path)


@pytest.mark.parametrize("recipe", sorted(path.name for path in (ROOT / FOLDER).iterdir() if path.name != PORTABLE))
def test_the_first_steps_of_a_recipe(recipe: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        with prepared_copy(project, recipe) as copy:
            trace = trace_copy(copy, STEPS)
            assert len(trace["losses"]) == STEPS
            assert 0.0 < float.fromhex(trace["losses"][0]) < 12.0
            named = card_of(read_yaml(ROOT / "recipes" / f"{recipe}.yaml")["data"]["source"])
            assert read_json(copy / "data" / "prepared" / "dataset.json")["name"] == named
            assert trace["facts"]["deterministic"] == "strict"
            file = golden_file(ROOT, recipe, trace["kind"])
            if not file.is_file():
                # Nothing to compare with: a second run is the weaker test that is left.
                require_repeated(recipe, trace, trace_copy(copy, STEPS))
                with capsys.disabled():
                    print(f"\n{recipe}: no golden trace for {kind_name(trace['kind'])}: two runs agree; add one: "
                          f"samebits golden {recipe}")  # fmt: skip
                return
    except UnavailableError as error:
        pytest.skip(f"{recipe} cannot be traced here: {error.problem}")
    divergence = first_divergence(read_trace(file), trace)
    assert divergence.step == 0, (
        f"{recipe}: the losses diverge from {file.name} at step {divergence.step}: "
        f"{divergence.was!r} -> {divergence.now!r}. "
        f"If the change of code or recipe was meant: samebits golden {recipe} --replace"
    )


def test_golden_files_belong_to_recipes_and_name_their_kind() -> None:
    files = list((ROOT / FOLDER).glob("*/*.json"))
    assert files, "at least one kind of hardware is on record"
    for file in files:
        trace = read_trace(file)
        portable = file.parent.name == PORTABLE
        recipe = file.name.partition(".")[0] if portable else file.parent.name
        assert file == golden_file(ROOT, recipe, trace["kind"])
        assert recipe in recipe_names(ROOT)
        assert len(trace["losses"]) == (PORTABLE_STEPS if portable else STEPS)


@pytest.mark.parametrize("mode", ARITHMETIC)
@pytest.mark.parametrize(
    "recipe", sorted({path.name.partition(".")[0] for path in (ROOT / FOLDER / PORTABLE).iterdir()})
)
def test_the_first_steps_in_portable_arithmetic(recipe: str, mode: str, project: Project) -> None:
    """The same on every processor of the class: there is no other trace that this machine might follow."""
    if why := unsupported(mode):
        pytest.skip(why)
    try:
        with prepared_copy(project, recipe, mode) as copy:
            trace = trace_copy(copy, PORTABLE_STEPS)
    except UnavailableError as error:
        pytest.skip(f"{recipe} cannot be traced here: {error.problem}")
    assert trace["kind"]["arithmetic"] == ARITHMETIC[mode].level
    file = golden_file(ROOT, recipe, trace["kind"])
    divergence = first_divergence(read_trace(file), trace)
    assert divergence.step == 0, f"{file.name}: step {divergence.step}: {divergence.was!r} -> {divergence.now!r}"
