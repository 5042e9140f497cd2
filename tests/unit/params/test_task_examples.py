"""The settings that docs/tasks.md and docs/own_code.md show are settings of params.yaml."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from samebits.params.choices import TASKS
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import merge
from samebits.signature.signature import TARGETS
from tests.helpers.workspace import ROOT

PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
OWN_CODE = (ROOT / "docs" / "own_code.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE + OWN_CODE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_valid(block: str) -> None:
    values = read_yaml(ROOT / "params.yaml")
    values["task"]["label_smoothing"] = 0.0
    merge(values, YAML(typ="safe").load(block))
    parse_params(values)


def test_every_task_and_kind_of_target_is_in_the_table() -> None:
    rows = re.findall(r"^\| .* \| `(\w+)` \| .* \| `(\w+)` \| .* \|$", PAGE, re.MULTILINE)
    assert {kind for kind, _ in rows} == set(TARGETS)
    assert {task for _, task in rows} == set(TASKS)
