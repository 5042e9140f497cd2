"""packages.yaml: the releases of the packages that write outputs, or compute what is in them.

dvc.yaml lists the ones that a stage uses among its parameters, so that DVC runs exactly those stages again after an
upgrade, and says which package it was. A stage starts only with the releases that the file names: else dvc.lock would
say of its results that another release made them.

A project that installs samebits has a section `samebits` there as well: its release, and digests of its code for each
stage and model, which dvc.yaml lists as it lists packages. So an upgrade of samebits runs the stages whose code it
changes. A clone with the package inside depends on its modules as files and has no such section.

The part of a version behind `+` (`2.14.1+cu130`) names a build, not a release, and does not count. It is in the kind of
hardware.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from samebits import __version__
from samebits.base.errors import UserError, listed
from samebits.base.extras import pip_install
from samebits.base.files import write_bytes
from samebits.base.git import file_at
from samebits.base.own_code import names_own_code
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_yaml import param_at, read_pipeline
from samebits.pipeline.release import code_digest_of, release_code, release_root

PACKAGES = "packages.yaml"
_MODELS = "models"
"""Section with what single models need beside the rest: `models.NAME`, of which dvc.yaml names the chosen one's."""
_SAMEBITS = "samebits"
"""Section with the release of samebits that a project is at, and the digests of its code."""
_OWN = "own"
"""What the code in `custom` imports: of models, and of losses, metrics, augmentations and tasks, which go with any."""
_CUSTOM = "custom"

_HEAD = """\
# Releases of the packages that write outputs, or compute what is in them. dvc.yaml lists those of each stage.
# Written by `samebits packages --write`, which make setup runs after it has installed requirements.lock.
"""


@dataclass(frozen=True)
class Difference:
    """A package of which another release is installed than packages.yaml names.

    Attributes:
        written, installed: versions; empty where the file does not name it, or it is not installed.
    """

    name: str
    written: str
    installed: str

    def __str__(self) -> str:
        if _is_code(self.name):
            what = self.name.partition(".")[2]
            return f"the installed samebits {__version__} has other code for {what} than {PACKAGES} names"
        have = f"{self.name} {self.installed} is installed" if self.installed else f"{self.name} is not installed"
        return f"{have} ({PACKAGES}: {self.written or 'not named'})"


def release(version: str) -> str:
    """A version without the name of its build."""
    return version.partition("+")[0]


def installed_release(name: str) -> str:
    """The release of an installed package; empty if there is none."""
    try:
        return release(metadata.version(name))
    except metadata.PackageNotFoundError:
        return ""


def stage_packages(workspace: Path, stage: str) -> dict[str, str]:
    """Packages that a stage uses, as dvc.yaml lists them: name to the release in packages.yaml, empty if it has none.

    Raises:
        UserError: if one of both files is missing or damaged.
    """
    entry = read_pipeline(workspace).get(stage)
    keys = entry.params.get(PACKAGES, ()) if entry else ()
    if not keys:
        return {}
    if not (workspace / PACKAGES).is_file():
        raise UserError(f"{workspace / PACKAGES} does not exist", "write it: samebits packages --write")
    return _packages_at(read_yaml(workspace / PACKAGES), keys)


def _packages_at(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in keys:
        value = param_at(values, key)
        if key.startswith(f"{_MODELS}."):
            if not isinstance(value, Mapping):
                raise UserError(f"{PACKAGES} has no section {key}", "write it: samebits packages --write")
            found |= {str(name): str(version) for name, version in value.items()}
        else:
            found[key] = "" if value is None else str(value)
    return found


def differences(workspace: Path, stages: Iterable[str] | None = None) -> list[Difference]:
    """What the stages of dvc.yaml use in another release than packages.yaml names, by name.

    Args:
        stages: their names; all of dvc.yaml without them.

    Raises:
        UserError: if one of both files is missing or damaged.
    """
    pipeline = read_pipeline(workspace)
    written: dict[str, str] = {}
    for stage in pipeline if stages is None else stages:
        written |= stage_packages(workspace, stage)
        entry = pipeline.get(stage)
        if entry and f"{_MODELS}.{_OWN}" in entry.params.get(PACKAGES, ()) and _trains_own_code(workspace):
            written = dict.fromkeys(_own_packages(workspace, written), "") | written
    code = {name for name in written if _is_code(name)}
    at = project_release(workspace)
    if at != __version__ and (at or code):
        return [Difference(_SAMEBITS, at, __version__)]
    pairs = {
        name: code_digest_of(name.partition(".")[2]) if name in code else installed_release(name) for name in written
    }
    return [Difference(name, written[name], have) for name, have in sorted(pairs.items()) if have != written[name]]


def project_release(workspace: Path) -> str:
    """The release of samebits that a project is at; empty in a clone with the package inside, and if none is named.

    Raises:
        UserError: if packages.yaml cannot be read.
    """
    file = workspace / PACKAGES
    return str(param_at(read_yaml(file), f"{_SAMEBITS}.release") or "") if file.is_file() else ""


def require_packages(workspace: Path, stage: str) -> None:
    """Raises UserError naming the packages that a stage uses in another release than packages.yaml names."""
    if found := differences(workspace, [stage]):
        raise UserError(*differences_text(found))


def differences_text(found: Iterable[Difference]) -> tuple[str, str]:
    """Problem and fix."""
    found = list(found)
    code = [each for each in found if each.name.partition(".")[0] == _SAMEBITS]
    if code:
        at = f": pip install samebits=={code[0].written}" if code[0].name == _SAMEBITS else ""
        return (
            listed([str(each) for each in code], 1),
            f"bring the project to what is installed: samebits update; or install what the project is at{at}",
        )
    problem = listed([str(each) for each in found])
    if all(each.written and not each.installed for each in found):  # of an extra that was not installed
        return problem, f"install it: {pip_install(*(f'{each.name}=={each.written}' for each in found))}"
    return (
        problem,
        "install what is locked: make setup; or keep what is installed, and let dvc repro run the stages that use it "
        "again: samebits packages --write",
    )


def write_packages(workspace: Path, say: Callable[[str], None], *, update: bool = False) -> None:
    """Write the installed releases into packages.yaml: of the packages that dvc.yaml lists, and of `custom`.

    Says what changed, and which stages that makes out of date. A file that is right is not touched.

    Args:
        update: also bring a project to the installed release of samebits, with what its models use.

    Raises:
        UserError: if a package is not installed, a file cannot be read, or a project is at another release of samebits.
    """
    file = workspace / PACKAGES
    if not update and (at := project_release(workspace)) not in ("", __version__):
        raise UserError(*differences_text([Difference(_SAMEBITS, at, __version__)]))
    if not file.is_file() and (committed := file_at(workspace, "HEAD", PACKAGES)):
        write_bytes(file, committed)  # what models need that params.yaml does not name stands nowhere else
    before = read_yaml(file) if file.is_file() else {}
    if update:
        before = before | {_MODELS: {**_groups(before), **_groups(read_yaml(release_root() / PACKAGES))}}
    keys = {stage: entry.params.get(PACKAGES, ()) for stage, entry in read_pipeline(workspace).items()}
    after = _as_installed(workspace, before, keys)
    if update or any(_is_code(key) for each in keys.values() for key in each):
        after = {_SAMEBITS: {"release": __version__, **release_code()}} | after
    text = _HEAD + "".join(_lines(after))
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        say(f"{PACKAGES} is as installed")
        return
    write_bytes(file, text.encode())
    changed = [
        (name, old, new)
        for key in sorted(after.keys() | before.keys())
        for name, old, new in _changes(key, before.get(key), after.get(key))
    ]
    for name, old, new in changed:
        users = [stage for stage, each in keys.items() if any(_same_or_in(name, key) for key in each)]
        if _is_code(name) and not users:
            continue  # of another model than the chosen one
        then = f": dvc repro runs {', '.join(users)} again" if users else ""
        say(f"{name} {old or 'new'} -> {new or 'left out'}{then}")
    say(f"{PACKAGES} is written; commit it together with dvc.lock")


def _is_code(key: str) -> bool:
    return key.startswith(f"{_SAMEBITS}.")


def _same_or_in(name: str, key: str) -> bool:
    return name == key or name.startswith(f"{key}.")


def _changes(key: str, old: Any, new: Any) -> Iterator[tuple[str, str, str]]:
    """(dotted name, version before, version now) of what differs."""
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        one, two = (each if isinstance(each, Mapping) else {} for each in (old, new))
        for name in sorted(one.keys() | two.keys()):
            yield from _changes(f"{key}.{name}", one.get(name), two.get(name))
    elif old != new:
        yield key, str(old or ""), str(new or "")


def _as_installed(workspace: Path, before: Mapping[str, Any], of_stages: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    keys = {key for each in of_stages.values() for key in each}
    groups = _groups(before)
    names = {*groups, _OWN} | {key.partition(".")[2] for key in keys if key.startswith(f"{_MODELS}.")}
    singles = sorted(key for key in keys if not key.startswith(f"{_MODELS}.") and not _is_code(key))
    running = [set(each) for each in of_stages.values() if f"{_MODELS}.{_OWN}" in each]
    own = _own_packages(workspace, set.intersection(*running) if running else singles)
    models = {name: sorted(own if name == _OWN else groups.get(name) or ()) for name in sorted(names)}
    wanted = {*singles, *(each for some in models.values() for each in some)}
    # What is not installed keeps its entry: a stage that uses it says so.
    known = {name: str(each) for some in (before, *groups.values()) for name, each in some.items()}
    versions = {name: installed_release(name) or known.get(name, "") for name in sorted(wanted)}
    if lost := [name for name, version in versions.items() if not version]:
        raise UserError(f"not installed: {listed(lost)}", "install what is locked: make setup")
    return {name: versions[name] for name in singles} | {
        _MODELS: {name: {each: versions[each] for each in some} for name, some in models.items()}
    }


def _groups(values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The section `models`: what is damaged in it counts as empty, and is written anew."""
    section = values.get(_MODELS)
    groups = section.items() if isinstance(section, Mapping) else ()
    return {str(name): each if isinstance(each, Mapping) else {} for name, each in groups}


def _lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:\n"
            yield from _lines(value, indent + "  ")
        else:
            # Quoted: 1.10 would be the number 1.1.
            yield f"{indent}{name}: {json.dumps(value)}\n"


def _trains_own_code(workspace: Path) -> bool:
    """Whether params.yaml names code of the user's other than a Dataset, which `prepare` alone runs."""
    values = read_yaml(workspace / "params.yaml")
    sections = [values.get(name) for name in ("task", "model", "augment")]
    named = any(isinstance(each, Mapping) and each.get("name") == _OWN for each in sections)
    return named or names_own_code(sections)


def _own_packages(workspace: Path, listed_already: Iterable[str]) -> set[str]:
    """Packages that the code in `custom` imports and the stage does not list anyway."""
    files = sorted((workspace / _CUSTOM).rglob("*.py"))
    known = {"samebits", *sys.stdlib_module_names, *(part for file in files for part in (file.stem, file.parent.name))}
    names: set[str] = set()
    for file in files:
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue  # building the model names the line, if it is one of the model's
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    found = (_distributions().get(name, []) for name in names - known)
    # A namespace package (`google`) belongs to several: which one is meant, the name does not tell.
    return {each[0].lower().replace("_", "-") for each in found if len(set(each)) == 1} - set(listed_already)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
