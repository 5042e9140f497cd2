"""The whole of params.yaml: which sections there are, and who validates each.

The stages depend on single sections, never on this module: it can stop a run with a message, it cannot
change what a run writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from samebits.base.registry import load_module
from samebits.params.augment import AugmentParams
from samebits.params.calibration import CalibrationParams
from samebits.params.choices import MODELS, TASKS
from samebits.params.data import DataParams
from samebits.params.evaluate import EvaluateParams
from samebits.params.export import ExportParams
from samebits.params.read import Problems, validate
from samebits.params.runtime import RuntimeParams
from samebits.params.section import Section
from samebits.params.train import OptimizerParams, ScheduleParams, TrainParams
from samebits.params.transfer import TransferParams
from samebits.params.variants import Variants, settle, variants_of
from samebits.params.yaml_file import read_yaml

Reproducibility = Literal["portable", "portable-v4", "strict", "warn", "off"]

SECTIONS: dict[str, type[Section]] = {
    "data": DataParams,
    "augment": AugmentParams,
    "train": TrainParams,
    "transfer": TransferParams,
    "calibration": CalibrationParams,
    "evaluate": EvaluateParams,
    "export": ExportParams,
    "runtime": RuntimeParams,
}
"""Sections with one class each."""

NAMED: dict[str, dict[str, str]] = {"task": TASKS, "model": MODELS}
"""Sections whose `name` picks the class: the `Settings` of the module in the registry."""

UNIONS: dict[str, Any] = {"train.optimizer": OptimizerParams}
"""Parts of sections whose `name` picks the class."""

SCALARS = ("seed", "reproducibility")

LARGEST_SEED = 2**63 - 1

UNHASHED = ("size", "nfiles")
"""Names of keys that DVC's run cache leaves out of its hash, at any depth of params.yaml: a run with another value of
such a key would get the outputs of the first."""


@dataclass(frozen=True)
class Params:
    """All of params.yaml, validated.

    Attributes:
        sections: an object for each section that a stage may ask for.
        notes: section to a line about keys in it that are not read.
    """

    sections: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def runtime(self) -> RuntimeParams:
        section: RuntimeParams = self.sections["runtime"]
        return section

    def dump(self) -> dict[str, Any]:
        """Plain values with every default filled in."""
        return {
            key: value.model_dump() if isinstance(value, Section) else value for key, value in self.sections.items()
        }


def read_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Raises:
        UserError: with every problem of the file in one message.
    """
    return parse_params(read_yaml(path), path.name)


def parse_params(raw: Mapping[str, Any], place: str = "params.yaml") -> Params:
    """Validate plain values. `place` names them in messages."""
    problems = Problems()
    known = [*SCALARS, *NAMED, *SECTIONS]
    for key, value in raw.items():
        if key not in known:
            problems.add(str(key), value, f"unknown section (known: {', '.join(known)})", known)
    sections: dict[str, Any] = {"seed": _seed(raw, problems), "reproducibility": _reproducibility(raw, problems)}
    notes: dict[str, str] = {}

    def read(key: str, value: object, variants: Variants) -> object:
        settled = settle(key, value, variants)
        for problem in settled.problems:
            problems.add(*problem)
        if settled.note:
            notes[key.partition(".")[0]] = settled.note
        return settled.value

    for key, registry in NAMED.items():
        value = read(key, raw.get(key), {name: partial(_settings, key, name, registry) for name in registry})
        sections[key] = _named(key, value, registry, problems)
    for key, model in SECTIONS.items():
        value = raw.get(key)
        for inner, union in UNIONS.items():
            section, _, last = inner.partition(".")
            if section == key and isinstance(value, Mapping) and last in value:
                value = {**value, last: read(inner, value[last], variants_of(union))}
        sections[key] = validate(model, value, key, problems)
    _check_together(sections, problems)
    _check_hashed({key: value for key, value in sections.items() if isinstance(value, Section)}, problems)
    problems.raise_if_any(place)
    return Params(sections, notes)


def _check_together(sections: Mapping[str, Any], problems: Problems) -> None:
    """What no single key shows."""
    train: TrainParams | None = sections["train"]
    if train is None:
        return
    micro = train.micro_batch_size
    if micro is not None and train.batch_size % micro:
        problems.add("train.micro_batch_size", micro, f"must divide train.batch_size = {train.batch_size}")
    elif train.elastic:
        parts = train.batch_size // (micro or train.batch_size)
        if parts < 2 or parts & (parts - 1):
            wanted = "train.elastic needs 2, 4, 8, … micro-batches per batch"
            problems.add("train.micro_batch_size", micro, f"{wanted}; train.batch_size is {train.batch_size}")
    if train.keep_state:
        _check_kept(train.schedule, problems)
    if train.shard:
        _check_shard(train, problems)
    if train.checkpoint_activations and train.compile:
        text = "torch.compile decides itself what it computes again; set train.compile: false"
        problems.add("train.checkpoint_activations", True, text)


def _check_shard(train: TrainParams, problems: Problems) -> None:
    """What cannot be cut into the parts of several processes."""
    refused = {
        "its sums are those of elastic training; set train.elastic: true, with train.micro_batch_size": train.elastic,
        "a compiled model cannot be cut; set train.compile: false": not train.compile,
        "fp16 looks for overflow in all gradients together; set train.precision: bf16 or fp32": train.precision
        != "fp16",
        "muon's update of a weight depends on its whole matrix; set train.optimizer.name to sgd, adam or adamw": (
            train.optimizer.name != "muon"
        ),
        "states for an audit are of one process; set train.audit_steps: null": train.audit_steps is None,
        "a kept state is of one process; set train.keep_state: false": not train.keep_state,
    }
    for text, fits in refused.items():
        if not fits:
            problems.add("train.shard", True, text)


def _check_kept(schedule: ScheduleParams, problems: Problems) -> None:
    """A state is kept where a training with more epochs has the same one at that step."""
    if schedule.name in ("linear", "cosine"):
        text = f"no longer training can go on: {schedule.name} lowers the rate from the warm-up on, faster for fewer "
        text += "epochs; set train.schedule.name to wsd or constant"
        problems.add("train.keep_state", True, text)
    if schedule.warmup and schedule.warmup_steps is None:
        text = f"no longer training can go on: train.schedule.warmup = {schedule.warmup:g} is a share of all steps, so "
        text += "their rates part at the first step; set train.schedule.warmup_steps to a number, or warmup: 0.0"
        problems.add("train.keep_state", True, text)


def _check_hashed(sections: Mapping[str, Section], problems: Problems) -> None:
    """Keys of the user's own making (arguments of a model, names of classes) that DVC would not see change."""

    def look(key: str, value: object) -> None:
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        for name, inner in value.items() if isinstance(value, Mapping) else ():
            if name in UNHASHED:
                problems.add(f"{key}.{name}", inner, f"DVC's run cache ignores keys called {name}; call it otherwise")
            look(f"{key}.{name}", inner)

    for key, section in sections.items():
        if key != "runtime":
            look(key, section.model_dump())


def _seed(raw: Mapping[str, Any], problems: Problems) -> int:
    value = raw.get("seed", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_SEED:
        problems.add("seed", value, f"must be a whole number from 0 to {LARGEST_SEED}")
        return 0
    return value


def _reproducibility(raw: Mapping[str, Any], problems: Problems) -> str:
    value = raw.get("reproducibility", "strict")
    allowed = list(get_args(Reproducibility))
    if value not in allowed:
        problems.add("reproducibility", value, f"must be one of {', '.join(allowed)}")
        return "strict"
    return str(value)


def _named(key: str, value: object, registry: Mapping[str, str], problems: Problems) -> Section | None:
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or name not in registry:
        names = sorted(registry)
        shown = value if name is None else name
        problems.add(f"{key}.name", shown, f"must be one of {', '.join(names)}")
        return None
    return validate(_settings(key, name, registry), value, key, problems)


def _settings(key: str, name: str, registry: Mapping[str, str]) -> type[Section]:
    settings: type[Section] = load_module(key, name, registry).Settings
    return settings
