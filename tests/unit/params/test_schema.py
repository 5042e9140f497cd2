"""params.yaml: every wrong value is named with its key, what is allowed and the nearest known key, all at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.params.runtime import RuntimeParams, read_runtime
from samebits.params.schema import parse_params, read_params
from samebits.params.yaml_file import read_yaml
from tests.helpers.workspace import ROOT


def valid() -> dict[str, Any]:
    return {
        "task": {"name": "classification"},
        "model": {"name": "convnet"},
        "train": {"optimizer": {"name": "sgd", "lr": 0.1}},
    }


def changed(path: str, value: object) -> dict[str, Any]:
    raw = valid()
    *parents, last = path.split(".")
    here = raw
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return raw


def test_defaults_fill_what_is_left_out() -> None:
    params = parse_params(valid())
    assert params.sections["train"].batch_size == 256
    assert params.runtime.device == "auto"
    assert params.dump()["data"]["source"] == "data/catalog/mnist.yaml"


def test_numbers_are_yaml_1_2(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        "task: {name: classification}\nmodel: {name: convnet}\n"
        "train: {optimizer: {name: adamw, lr: 1e-3, eps: 1e-08, weight_decay: 5e-4}}\ndata: {source: no}\n"
    )
    params = read_params(file)
    assert params.sections["train"].optimizer.lr == 0.001
    assert params.sections["train"].optimizer.eps == 1e-8
    assert params.sections["data"].source == "no"


WRONG = [
    ("data.image.size", 32, "data.image.size = 32", "is now called data.image.resolution: one number, or [height, w"),
    ("data.image.resolution", [32], "data.image.resolution = [32]", "or two of them: [height, width]"),
    ("data.image.resolution", [32, 4096], "data.image.resolution = [32, 4096]", "number of pixels from 4 to 2,048"),
    ("data.image.resolution", True, "data.image.resolution = true", "number of pixels from 4 to 2,048"),
    ("data.image.channels", 17, "data.image.channels = 17", "less than or equal to 16"),
    ("data.image.channels", 0, "data.image.channels = 0", "greater than or equal to 1"),
    ("data.image.bits", 12, "data.image.bits = 12", "8 or 16"),
    ("sed", 1, "sed = 1", "did you mean seed?"),
    ("seed", -1, "seed = -1", "whole number from 0"),
    ("seed", True, "seed = true", "whole number"),
    ("seed", 1.5, "seed = 1.5", "whole number"),
    ("reproducibility", "strickt", "reproducibility = 'strickt'", "strict, warn, off"),
    ("task.name", "classify", "task.name = 'classify'", "must be one of classification"),
    ("task.label_smoothing", 1.0, "task.label_smoothing = 1.0", "less than 1"),
    ("model.name", "resnet", "model.name = 'resnet'", "convnet"),
    ("model.stage", [1], "model.stage = [1]", "did you mean stages?"),
    ("model.stages", [[32]], "model.stages.0 = [32]", "at least 2"),
    ("data.sorce", "x", "data.sorce = 'x'", "did you mean source?"),
    ("data.validation_fraction", 0, "data.validation_fraction = 0", "greater than 0"),
    ("train.epochs", "3", "train.epochs = '3'", "integer"),
    ("train.epochs", 0, "train.epochs = 0", "greater than or equal to 1"),
    ("train.batch_size", None, "train.batch_size = null", "integer"),
    ("train.optimizer", {"name": "sdg", "lr": 1.0}, "train.optimizer.name = 'sdg'", "sgd, adam, adamw"),
    ("train.optimizer", {"name": "sgd"}, "train.optimizer.lr", "missing"),
    ("train.optimizer", {"lr": 1.0}, "train.optimizer.name", "missing"),
    ("train.optimizer.betas", 1, "train.optimizer.betas = 1", "unknown key"),
    ("data.text.given", "part", "data.text.given = 'part'", "is now called data.split_column"),
    ("data.table.encoding", "latin-1", "data.table.encoding = 'latin-1'", "is now called data.encoding"),
    ("data.table.date_format", "%d/%d/%Y", "data.table.date_format = '%d/%d/%Y'", "no format of dates"),
    ("data.table.date_format", "%Q%", "data.table.date_format = '%Q%'", "no format of dates"),
    ("train.optimizer.lr", "1e-3", "train.optimizer.lr = '1e-3'", "number"),
    ("train.optimizer.lr", float("nan"), "train.optimizer.lr = nan", "greater than 0"),
    ("train.schedule.warm", 2, "train.schedule.warm = 2", "did you mean warmup?"),
    ("train.micro_batch_size", 100, "train.micro_batch_size = 100", "must divide train.batch_size = 256"),
    ("train.threads", 0, "train.threads", "greater than or equal to 1"),
    ("train", 5, "train = 5", "must be a section with keys"),
    ("evaluate.top_k", 1, "evaluate.top_k = 1", "greater than or equal to 2"),
    ("export.formats", ["onx"], "export.formats.0 = 'onx'", "'onnx', 'torch_export' or 'huggingface'"),
    ("transfer.weights", "acme/bert", "transfer = ", "set revision to the 40 hex digits of a commit"),
    ("transfer", {"weights": "acme/bert", "revision": "main"}, "transfer = ", "acme/bert/commits/main lists"),
    ("transfer", {"weights": "minilm", "revision": "0" * 40}, "transfer = ", "set revision: null"),
    ("transfer", {"weights": "data/raw/bert", "revision": "0" * 40}, "transfer = ", "set revision: null"),
    ("runtime.device", "gpu", "runtime.device = 'gpu'", "must be auto, cpu, mps, cuda or xpu"),
    ("data.csv.separator", "\\t", "data.csv.separator = ", "must be one character"),
    ("transfer.sha256", "abc", "transfer.sha256 = 'abc'", "must be 64 hex digits"),
    ("data.text.tokenizer_sha256", "abc", "data.text.tokenizer_sha256 = 'abc'", "must be 64 hex digits"),
    ("runtime.tracking.enable", 1, "runtime.tracking.enable = 1", "did you mean enabled?"),
]


@pytest.mark.parametrize(("key", "value", "named", "allowed"), WRONG)
def test_a_wrong_value_is_named(key: str, value: object, named: str, allowed: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_params(changed(key, value))
    assert named in caught.value.problem
    assert allowed in caught.value.problem
    assert "1 problem\n" in caught.value.problem
    assert caught.value.fix


def test_all_problems_come_at_once() -> None:
    raw = changed("train.epochs", 0)
    raw |= {"seed": -1, "unknown": 1}
    raw["model"] = {"name": "convnet", "dropout": 2}
    with pytest.raises(UserError, match="4 problems") as caught:
        parse_params(raw)
    for key in ("unknown", "seed", "model.dropout", "train.epochs"):
        assert f"  {key} = " in caught.value.problem


BROKEN_FILES = [
    (b"train: {epochs: 3\n", "line"),
    (b"a: 1\na: 2\n", "duplicate key"),
    (b"", "no keys"),
    (b"- 1\n", "no keys"),
    (b"a:\n\t- 1\n", "line 2"),
    (b"\xff\xfe", "not UTF-8"),
]


@pytest.mark.parametrize(("content", "named"), BROKEN_FILES)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=named):
        read_yaml(file)


@pytest.mark.parametrize("arguments", [{"size": 3}, {"blocks": [{"nfiles": 1}]}])
def test_keys_that_the_run_cache_ignores_are_refused(arguments: dict[str, Any]) -> None:
    model = {"name": "own", "arguments": arguments}
    with pytest.raises(UserError, match=r"run cache ignores keys called (size|nfiles); call it otherwise"):
        parse_params(valid() | {"model": model})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml does not exist"):
        read_params(tmp_path / "params.yaml")


SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0}
CONVNET = {"name": "convnet", "stages": [[8, 8]], "crop": 2, "dropout": 0.1}


def test_another_name_alone_takes_the_shared_keys_and_tells_of_the_others() -> None:
    raw = changed("train.optimizer", SGD | {"name": "adamw"}) | {"model": CONVNET | {"name": "resnet9"}}
    params = parse_params(raw)
    optimizer = params.dump()["train"]["optimizer"]
    assert optimizer == {
        "name": "adamw", "lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0,
    }  # fmt: skip
    assert params.sections["model"].dropout == 0.1
    assert params.notes == {
        "train": "train.optimizer.name = adamw does not read momentum, nesterov, which sgd left in params.yaml",
        "model": "model.name = resnet9 does not read stages, crop, which convnet left in params.yaml",
    }
    assert parse_params(valid()).notes == {}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "train.optimizer",
            {"name": "adamw", "lr": 0.1, "momentum": 0.9},
            "train.optimizer.momentum = 0.9: unknown key of adamw",
        ),
        ("train.optimizer", SGD | {"name": "adamw", "beta1": 0.8}, "-S '~train.optimizer.nesterov'"),
        ("train.optimizer", SGD | {"name": "adamw", "momentun": 0.9}, "train.optimizer.momentun = 0.9: unknown key"),
        ("train.optimizer", SGD | {"name": "adamw", "momentum": 2}, "), one of sgd, muon; take it out"),
        ("model", CONVNET | {"name": "resnet9", "widths": [8, 8, 8, 8]}, "model.crop = 2: unknown key of resnet9"),
        (
            "model",
            CONVNET | {"widths": [8, 8, 8, 8]},
            "unknown key of convnet (known: crop, dropout, name, stages), one of resnet9, unet;",
        ),
    ],
)
def test_a_key_of_another_variant_is_refused_and_the_way_is_named(path: str, value: object, told: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_params(changed(path, value))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": -1.0, "b": "x"}, ["class_weights.a = -1.0: input should be greater", "class_weights.b = 'x': input"]),
        ("blanced", ["class_weights = 'blanced': input should be 'none' or 'balanced'"]),
        ([1.0], ["class_weights = [1.0]: "]),
    ],
)
def test_a_value_is_judged_as_the_kind_that_it_is(value: object, told: list[str]) -> None:
    """A mapping of weights is no name: one problem per mistake, without the words of the library that checks."""
    with pytest.raises(UserError) as raised:
        parse_params(changed("task.class_weights", value))
    lines = [line for line in str(raised.value).splitlines() if "class_weights" in line]
    assert len(lines) == len(told), lines
    for line, part in zip(lines, told, strict=True):
        assert part in line
        assert "literal[" not in line
        assert "dict[" not in line


KEPT: list[tuple[dict[str, Any], list[str]]] = [
    ({"name": "constant", "warmup_steps": 10}, []),
    ({"name": "constant", "warmup": 0.0}, []),
    ({"name": "wsd", "warmup_steps": 0}, []),
    ({"name": "wsd"}, ["set train.schedule.warmup_steps to a number, or warmup: 0.0"]),
    ({"name": "linear", "warmup_steps": 10}, ["set train.schedule.name to wsd or constant"]),
    ({}, ["cosine lowers the rate", "train.schedule.warmup = 0.1 is a share of all steps"]),
]


@pytest.mark.parametrize(("schedule", "said"), KEPT)
def test_a_state_is_kept_where_a_longer_training_can_go_on(schedule: dict[str, Any], said: list[str]) -> None:
    raw = changed("train.schedule", schedule)
    parse_params(raw)
    raw["train"]["keep_state"] = True
    if not said:
        parse_params(raw)
        return
    with pytest.raises(UserError) as error:
        parse_params(raw)
    assert all(f"{each}" in str(error.value) for each in said)
    assert str(error.value).count("train.keep_state") == len(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"elastic": False}, "set train.elastic: true"),
        ({"compile": True}, "set train.compile: false"),
        ({"precision": "fp16"}, "bf16 or fp32"),
        ({"optimizer": {"name": "muon", "lr": 0.1}}, "sgd, adam or adamw"),
        ({"audit_steps": 5}, "set train.audit_steps: null"),
        ({"keep_state": True}, "set train.keep_state: false"),
    ],
    ids=str,
)
def test_what_cannot_be_cut_is_refused(settings: dict[str, Any], said: str) -> None:
    raw = changed("train.shard", True)
    raw["train"] |= {"elastic": True, "batch_size": 64, "micro_batch_size": 16}
    parse_params(raw)
    raw["train"] |= settings
    with pytest.raises(UserError, match=rf"train\.shard.*{said}"):
        parse_params(raw)


def test_a_compiled_model_computes_nothing_again() -> None:
    raw = changed("train.compile", True)
    parse_params(raw)
    raw["train"]["checkpoint_activations"] = True
    with pytest.raises(UserError, match=r"train\.checkpoint_activations.*set train\.compile: false"):
        parse_params(raw)


def test_runtime_alone_is_read_as_with_the_rest_and_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", file)
    assert read_runtime(file) == read_params(file).runtime
    file.write_text("runtime: {tracking: {experiment: mine}}\nmodel: {name: none of ours}\n")
    assert read_runtime(file).tracking.experiment == "mine"
    file.write_text("seed: 1\n")
    assert read_runtime(file) == RuntimeParams()
    file.write_text("runtime: {device: 5, trackin: {}}\n")
    with pytest.raises(UserError, match=r"runtime\.device") as raised:
        read_runtime(file)
    assert "runtime.trackin" in raised.value.problem
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); from samebits.params.runtime import read_runtime; "
    code += "from pathlib import Path; read_runtime(Path('params.yaml')); "
    code += "print(sorted({'torch', 'numpy', 'mlflow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout == "[]\n", result.stderr
