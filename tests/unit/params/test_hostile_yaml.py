"""YAML that asks for too much, or that is none: one message with file and line, in bounded time."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import load_card
from samebits.params.schema import read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_yaml import read_pipeline
from tests.helpers.hostile import bounded, mutated, rounds
from tests.helpers.workspace import ROOT

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &m0 {x: 1}\n" + "".join(f"k{k}: &m{k} {{<<: [{', '.join([f'*m{k - 1}'] * 9)}]}}\n" for k in range(1, 9))

REFUSED = {
    "aliases of aliases": (BOMB, "line 6: more than 131,072 values, counting what its aliases stand for"),
    "merged aliases": (MERGED, "more than 131,072 values"),
    "an alias of itself": ("seed: 1\ndata: &a [*a]\n", "line 2: it holds an alias of itself"),
    "nested lists": (f"data: {'[' * 500}{']' * 500}", "line 1: more than 100 levels"),
    "nested without end": ("data: " + "[" * 100_000, "line 1: more than 100 levels"),
    "nested sections": ("".join(f"{' ' * k}a:\n" for k in range(600)), "line 100: more than 100 levels"),
    "a tag with junk": ("a: 1\nseed: !!int abc\n", "line 2: 'abc' cannot be read as int"),
    "a float with junk": ("seed: !!float abc", "line 1: 'abc' cannot be read as float"),
    "a truth value with junk": ("seed: !!bool abc", "line 1: 'abc' cannot be read as bool"),
    "a date that is none": ("seed: 2024-13-45", "line 1: '2024-13-45' cannot be read as timestamp"),
    "an object": ("seed: !!python/object/apply:os.system [ls]", "line 1: the tag 'python/object/apply:os.system'"),
    "a set": ("seed: !!set {a, b}", "line 1: the tag 'set'"),
    "bytes": ("seed: !!binary é", "line 1: the tag 'binary'"),
    "5,000 digits": ("a: 1\nseed: " + "9" * 5000, "line 2: '999"),
    "5,000 digits of base 16": ("seed: 0x" + "f" * 5000, "line 1: '0xfff"),
    "a key that is a list": ("[1, 2]: x", "line 1: a key must be a name"),
    "a key twice": ("seed: 1\nseed: 2", "line 2: found duplicate key"),
    "NUL": ("a: 1\nseed: 1\0", "line 2 holds the control character U\\+0000"),
    "NUL, escaped": ('seed: "\\0"', "line 1: a text holds a NUL character"),
    "half a surrogate pair": ('seed: "\\ud800"', "line 1: a text holds half of a surrogate pair"),
    "beyond Unicode": ('seed: "\\UFFFFFFFF"', "cannot be read"),
    "no UTF-8": (b"a: 1\nseed: \xff", "line 2 is not UTF-8"),
    "a list": ("[1, 2]", "holds no keys"),
    "a number": ("5", "holds no keys"),
    "nothing": ("", "holds no keys"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
    "2 MB": ("\n" * 2_000_000, "more than 1,048,576 bytes"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_it_is_one_message_with_file_and_line(kind: str, tmp_path: Path) -> None:
    content, message = REFUSED[kind]
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with bounded(), pytest.raises(UserError, match=message) as caught:
        read_params(path)
    assert caught.value.problem.startswith("params.yaml")
    assert len(caught.value.problem.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["model: {name: [convnet]}", "model: {name: {a: 1}}", "train: {optimizer: {name: [1]}}"]
)
def test_a_name_that_is_no_text_is_a_problem_of_the_section(text: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match="problems"):
        read_params(tmp_path / "params.yaml")


def test_aliases_and_large_files_of_use_are_read(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("\ufeffa: &a {x: 1}\nb: {<<: *a, y: 2}\n" + "".join(f"k{k}: {k}\n" for k in range(3000)))
    assert read_yaml(path)["b"] == {"x": 1, "y": 2}


def test_a_text_is_parsed_once_and_each_caller_has_values_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    class Counting(YAML):
        def load(self, text: str) -> object:
            parsed.append(text)
            return super().load(text)

    monkeypatch.setattr("samebits.params.yaml_file.YAML", Counting)
    path = tmp_path / "params.yaml"
    path.write_text(f"own: {{of: [{tmp_path.name!r}]}}\n")
    first = read_yaml(path)
    first["own"]["of"].append("changed")
    assert read_yaml(path) == {"own": {"of": [tmp_path.name]}}
    assert len(parsed) == 1
    path.write_text("own: {of: []}\n" + f"# {tmp_path.name}\n")
    assert read_yaml(path) == {"own": {"of": []}}
    assert len(parsed) == 2


TOKENS = tuple(
    each.encode("utf-8", "surrogatepass")
    for each in (
        *("!!int ", "!!float x", "!x ", "&a ", "*a", "<<: ", "[", "]", "{", "}", "- ", "? ", ": ", "'", '"', "|", "> "),
        *("9" * 5000, "0x" + "f" * 400, "1e999", ".nan", "-.inf", "null", "[]", "{}", "[1, 2]", "2024-01-01"),
        *("\0", "\x01", "\ud800", "\\ud800", "\t", "\n", "\n  ", "---\n", "\ufeff", "%", "@"),
    )
)


@pytest.mark.parametrize("kind", ["params.yaml", "data/catalog/mnist.yaml", "dvc.yaml"])
def test_a_changed_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    whole, chance = (ROOT / kind).read_bytes(), random.Random(kind)
    readers = {"params.yaml": lambda: read_params(path), "dvc.yaml": lambda: read_pipeline(tmp_path)}
    for _ in range(rounds(12)):
        path.write_bytes(mutated(whole, chance, TOKENS))
        with bounded(), contextlib.suppress(UserError):
            readers.get(kind, lambda: load_card(path.parent, "mnist"))()
