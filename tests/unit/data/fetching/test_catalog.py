"""Cards: the repository's own, and every mistake one can make in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import WEIGHTS, UrlPlace, card_names, load_card, local_folders
from samebits.data.readers.reader import SOURCES
from tests.helpers.idx_source import card_dict, make_source

CATALOG = Path(__file__).parents[4] / "data" / "catalog"


def write(folder: Path, card: dict[str, Any], name: str = "tiny") -> None:
    # JSON is YAML.
    (folder / f"{name}.yaml").write_text(json.dumps(card), encoding="utf-8")


@pytest.fixture
def card() -> dict[str, Any]:
    return card_dict(make_source(9, 6).contents())


@pytest.mark.parametrize("name", card_names(CATALOG))
def test_the_repositorys_cards_load(name: str) -> None:
    card = load_card(CATALOG, name)
    assert card.format in {*SOURCES, WEIGHTS}
    assert all("{name}" in place.base for place in card.places if isinstance(place, UrlPlace))
    assert all(place.kind != "folder" for place in card.places)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_the_cards_of_mnists_layout(name: str) -> None:
    card = load_card(CATALOG, name)
    assert len(card.classes) == 10
    assert sum(file.bytes for file in card.files) == 54_950_048


def test_there_are_cards() -> None:
    assert {"mnist", "fashion_mnist"} <= set(card_names(CATALOG))


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("mnits", "did you mean 'mnist'"),
        ("fashion-mnist", "did you mean 'fashion_mnist'"),
        ("imagenet22k", "known: "),
        ("../catalog/mnist", "mnist"),
        ("MNIST", "known: "),
        ("mnist.yaml", "did you mean 'mnist'"),
    ],
)
def test_an_unknown_source_names_the_nearest_card(name: str, fix: str) -> None:
    with pytest.raises(UserError, match="is no card of data/catalog") as caught:
        load_card(CATALOG, name)
    assert fix in caught.value.fix


def test_an_empty_catalogue(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no cards"):
        load_card(tmp_path / "none", "mnist")


def edited(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(card: dict[str, Any]) -> None:
        at: Any = card
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return edit


NPM = {"kind": "npm", "package": "p", "version": "1.0.0", "sha256": "0" * 64, "member": "package/{name}"}
URL = {"kind": "url", "base": "https://example.org/{name}"}

MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "unknown key": (edited("license", value="MIT"), "license: Extra inputs"),
    "missing key": (lambda card: card.pop("licence"), "licence: Field required"),
    "number as text": (edited("files", 0, "bytes", value="12"), "files.0.bytes: .*valid integer"),
    "short hash": (edited("files", 1, "sha256", value="abc"), "files.1.sha256"),
    "upper-case hash": (edited("files", 1, "sha256", value="A" * 64), "files.1.sha256"),
    "file in another folder": (edited("files", 0, "name", value="../passwd"), "files.0.name"),
    "absolute file": (edited("files", 0, "name", value="/etc/passwd"), "files.0.name"),
    "one class": (edited("classes", value=["a"]), "classes"),
    "class twice": (edited("classes", value=["a", "b", "a"]), "classes stand twice: a"),
    "file twice": (edited("files", 1, "name", value="tr-images"), "file names stand twice: tr-images"),
    "role missing": (edited("files", 3, "role", value="extra"), "needs a file for: test/labels"),
    "no places": (edited("places", value=[]), "places"),
    "unknown kind": (edited("places", 0, "kind", value="ftp"), "places.0"),
    "address without the file": (edited("places", value=[{**URL, "base": "https://example.org/x"}]), "places.0"),
    "address of a local file": (edited("places", value=[{**URL, "base": "file:///etc/{name}"}]), "places.0"),
    "member above its package": (edited("places", value=[{**NPM, "member": "a/../../{name}"}]), "leaves its package"),
    "absolute member": (edited("places", value=[{**NPM, "member": "/etc/{name}"}]), "places.0"),
    "package without member": (
        edited("places", value=[{k: v for k, v in NPM.items() if k != "member"}]),
        "npm p without `member` is one file, the card has more",
    ),
    "weights without a model": (edited("format", value="weights"), "format weights needs a file for: model"),
    "root above its archive": (edited("root", value="/etc"), "root"),
    "option for a package": (edited("places", value=[{**NPM, "package": "--global"}]), "places.0"),
    "path for a version": (edited("places", value=[{**NPM, "version": "../x"}]), "places.0"),
    "another name": (edited("name", value="other"), "calls itself 'other'"),
}


@pytest.mark.parametrize("case", list(MISTAKES))
def test_mistakes_in_a_card_are_named(case: str, card: dict[str, Any], tmp_path: Path) -> None:
    edit, message = MISTAKES[case]
    edit(card)
    write(tmp_path, card)
    with pytest.raises(UserError, match=message) as caught:
        load_card(tmp_path, "tiny")
    assert "tiny.yaml" in caught.value.problem


def test_all_mistakes_are_named_at_once(card: dict[str, Any], tmp_path: Path) -> None:
    card |= {"title": "", "homepage": "x", "colour": "red"}
    write(tmp_path, card)
    with pytest.raises(UserError) as caught:
        load_card(tmp_path, "tiny")
    assert all(f"  {key}: " in caught.value.problem for key in ("title", "homepage", "colour"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "data/catalog/tiny.yaml, line 1"),
        ("", "holds no keys"),
        ("- 1", "holds no keys"),
        ("\xff\xfe", "line 1 is not UTF-8"),
        ("classes: &a [*a]", "line 1: it holds an alias of itself"),
        ("name: !!int abc", "line 1: 'abc' cannot be read as int"),
    ],
)
def test_a_file_that_is_no_card(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=message):
        load_card(tmp_path, "tiny")


def test_folders_of_the_environment(card: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, card)
    loaded = load_card(tmp_path, "tiny")
    assert local_folders(loaded) == []
    monkeypatch.setenv("SAMEBITS_DATA", "/a:/b")
    assert [Path(place.path) for place in local_folders(loaded)] == [
        Path(p) for p in ("/a/tiny", "/a", "/b/tiny", "/b")
    ]
