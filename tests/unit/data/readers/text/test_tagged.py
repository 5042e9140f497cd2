"""Words with tags as people have them: columns, CoNLL-U, JSON Lines; what is set aside, and what is refused."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.data.preparation.prepare import require_usable, split_and_encode
from samebits.data.readers.reader import Encoded, Source, read_source
from samebits.data.readers.text.tagged_rows import RawTagged
from samebits.data.readers.text.tokenizer import PretrainedTokenizer, fit_tokenizer
from samebits.metrics.entities import IGNORED
from samebits.params.text import TextParams
from samebits.signature.tags import TagsTarget
from tests.helpers.tagged_files import columns, json_lines, sentence
from tests.helpers.texts import settings

MANY = [sentence(seed) for seed in range(60)]


def read(path: Path, *, max_rejected_fraction: float = 0.0, **data: Any) -> RawTagged:
    chosen = settings("data/raw/x", "tagged_text", max_rejected_fraction=max_rejected_fraction, **data)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix="scratch-"))
    raw = read_source("tagged_text", Source(path.name, chosen, None, {}, path, scratch, print))
    require_usable(raw, chosen)
    assert isinstance(raw, RawTagged)
    return raw


def encoded(raw: RawTagged, **data: Any) -> Encoded:
    return split_and_encode(raw, settings("data/raw/x", "tagged_text", validation_fraction=0.2, **data))


def write(tmp_path: Path, text: str, name: str = "words.conll") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tagged(raw: RawTagged) -> list[tuple[str, str]]:
    """Words and tags of each text."""
    assert raw.targets is not None
    texts = [text.replace("\n", " ") for text in raw.store.texts(raw.rows.tolist())]
    tags = [" ".join(raw.classes[k] for k in row if k != IGNORED) for row in raw.targets.tolist()]
    return list(zip(texts, tags, strict=True))


EXPECTED = [("Ada lives", "B-PER O"), ("in Bern", "O B-LOC")]


@pytest.mark.parametrize(
    "text",
    [
        "Ada B-PER\nlives O\n\nin O\nBern B-LOC\n",
        "Ada\tB-PER\nlives\tO\n\t\nin\tO\nBern\tB-LOC",
        "Ada NNP I-NP I-PER\r\nlives VB I-VP O\r\n\r\n\r\nin IN I-PP O\r\nBern NNP I-NP I-LOC\r\n\r\n",  # IOB1
        "-DOCSTART- -X- O O\n\nAda NNP I-NP B-PER\nlives VB I-VP O\n\nin IN I-PP O\nBern NNP I-NP B-LOC\n",
        "# id = 1\nAda S-PER\nlives O\n\n# id = 2\nin O\nBern S-LOC\n\n# id = 3\nI B-X\n",
    ],
)
def test_columns(text: str, tmp_path: Path) -> None:
    assert tagged(read(write(tmp_path, text)))[:2] == EXPECTED


def test_conllu(tmp_path: Path) -> None:
    rest = "_\t_\t_\t_\t_"
    text = (
        f"# newdoc id = a\n# text = Ada'da\n1-2\tAda'da\t_\t_\t_\t{rest}\n1\tAda\tada\tPROPN\tNNP\t{rest}\n"
        f"2\t'da\t_\tADP\tIN\t{rest}\n2.1\t(var)\t_\tVERB\tVB\t{rest}\n\n# newdoc\n1\t#\t_\tSYM\tX\t{rest}\n"
        f"2\tbir\tbir\tNUM\tCD\t{rest}\n"
    )
    raw = read(write(tmp_path, text))
    assert tagged(raw) == [("Ada 'da", "PROPN ADP"), ("# bir", "SYM NUM")]
    assert raw.groups == ["words.conll 1", "words.conll 2"]
    assert tagged(read(write(tmp_path, text), text="lemma", label="xpos"))[0] == ("ada _", "NNP IN")
    with pytest.raises(UserError, match="did you mean DEPREL"):
        read(write(tmp_path, text), label="deprl")


def test_other_columns_by_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "1 Ada NNP B-PER\n2 lives VB O\n\n1 in IN O\n2 Bern NNP B-LOC\n")
    assert tagged(read(path, text="2", label="3")) == [("Ada lives", "NNP VB"), ("in Bern", "IN NNP")]
    with pytest.raises(UserError, match="has the columns 1 to 4"):
        read(path, text="2", label="7")
    with pytest.raises(UserError, match="both name column 4"):
        read(path, text="4")


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, json_lines([(a.split(), b.split()) for a, b in EXPECTED]), "words.jsonl")
    assert tagged(read(path)) == EXPECTED
    renamed = path.read_text().replace("tokens", "words").replace("tags", "ner")
    assert tagged(read(write(tmp_path, renamed, "own.jsonl"), text="words", label="ner")) == EXPECTED


def test_json_lines_with_splits_and_groups(tmp_path: Path) -> None:
    objects = [{"tokens": ["a", "b"], "tags": ["X", "Y"], "part": part, "doc": 7} for part in ("train", "dev", "test")]
    path = write(tmp_path, "".join(json.dumps(each) + "\n" for each in objects), "words.jsonl")
    raw = read(path, split_column="part", group_column="doc")
    assert raw.given == ["train", "validation", "test"]
    assert raw.groups == ["7", "7", "7"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"tokens": ["a", "b"], "tags": ["X"]}', "2 words, 1 tags"),
        ('{"tokens": ["a"], "tags": [0]}', "write the names"),
        ('{"tokens": ["a"], "tags": [3]}', "'tags' holds a number, not texts alone: write the names of the tags"),
        ('{"tokens": "a b", "tags": ["X", "Y"]}', "'tokens' is a text, not a list"),
        ('{"tokens": ["a"]}', "no key 'tags'"),
        ('{"tokens": ["a", " "], "tags": ["X", "Y"]}', "word 2 is empty"),
        ('{"tokens": ["a"], "tags": [""]}', "tag 1 is empty"),
        ('{"tokens": [], "tags": []}', "it has no words"),
        ("[1]", "an array, not an object"),
        ('{"tokens": ["\\ud800"], "tags": ["X"]}', "surrogate"),
        ("{", "no valid JSON"),
    ],
)
def test_lines_that_are_set_aside(line: str, reason: str, tmp_path: Path) -> None:
    good = json_lines(MANY[:9])
    raw = read(write(tmp_path, f"{good}{line}\n", "words.jsonl"), max_rejected_fraction=1.0)
    assert len(raw) == 9
    (bad,) = raw.set_aside
    assert bad.id == "line 10"
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("Ada\n", "line 4 has 1 column, the first line of the file 2"),
        ("Ada B-PER\nlives X O\n", "line 5 has 3 columns, the first line of the file 2"),
        ("\u0001 O\n", "word 1 is empty"),
        ("Ada\t\n", "line 4 has 1 column"),
    ],
)
def test_sentences_that_are_set_aside(bad: str, reason: str, tmp_path: Path) -> None:
    raw = read(write(tmp_path, f"a X\nb Y\n\n{bad}\nc X\n"), max_rejected_fraction=1.0)
    assert [text for text, _ in tagged(raw)] == ["a b", "c"]
    assert raw.set_aside[0].id == "line 4"
    assert reason in raw.set_aside[0].reason


def test_bytes_of_two_encodings(tmp_path: Path) -> None:
    path = tmp_path / "words.conll"
    path.write_bytes(b"caf\xe9 X\nb Y\n\n" + "ééé".encode() + b"\xe9 X\n\nc Y\n")
    raw = read(path, max_rejected_fraction=1.0)
    assert tagged(raw)[0] == ("café b", "X Y")
    assert "line 4: mixes encodings" in raw.set_aside[0].reason


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Ada\nlives\n", "has one column"),
        ("a X\nb X\n", "1 different tags"),
        ("\n\n", "holds no sentence"),
        (f"word tag\n{columns(MANY)}", r"these do not: 'tag' \(1 words\)"),
    ],
)
def test_files_that_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=problem):
        read(write(tmp_path, text))


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path, columns(MANY))
    with pytest.raises(UserError, match="have no names"):
        read(path, group_column="doc")
    with pytest.raises(UserError, match="the format tagged_text has tags"):
        read(path, target_kind="labels")


def test_a_folder_with_splits(tmp_path: Path) -> None:
    for name, part in (("x-train.conllu", MANY[:40]), ("x-dev.conll", MANY[40:50]), ("test/a.txt", MANY[50:])):
        write(tmp_path, columns(part), f"names/{name}")
    write(tmp_path, "About.", "names/README.md")
    raw = read(tmp_path / "names", max_rejected_fraction=0.0)
    assert raw.given is not None
    assert [raw.given.count(name) for name in ("train", "validation", "test")] == [40, 10, 10]
    assert [each.id for each in raw.set_aside] == ["README.md"]
    assert raw.set_aside[0].other
    write(tmp_path, columns(MANY[:2]), "names/more.conll")
    with pytest.raises(UserError, match=r"more\.conll name no split"):
        read(tmp_path / "names")


def test_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as archive:
        archive.writestr("names/train.jsonl", json_lines(MANY[:40]))
        archive.writestr("names/test.conll", columns(MANY[40:]))
    raw = read(tmp_path / "names.zip")
    assert len(raw) == 60


def test_the_first_token_of_each_word_has_its_tag(tmp_path: Path) -> None:
    raw = read(write(tmp_path, columns(MANY)), vocabulary=300)
    found = encoded(raw, vocabulary=300)
    target = found.signature.target
    assert isinstance(target, TagsTarget)
    assert target.classes == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    tokenizer = Tokenizer.from_str(found.files["tokenizer.json"].decode())
    split = found.splits["train"]
    assert split.targets is not None
    for row, tags in zip(split.read(np.arange(5)), split.targets[:5], strict=True):
        places = np.flatnonzero(tags != IGNORED)
        words = [
            tokenizer.decode(row[a:b].tolist()).strip() for a, b in zip(places, [*places[1:], len(row)], strict=True)
        ]
        assert (words, [target.classes[k] for k in tags[places]]) in MANY
        used = row[row != 0].tolist()  # [PAD]
        tokenizer.no_padding()
        assert tokenizer.encode(words, is_pretokenized=True).ids == used
        # As in running text: a model that learnt from words reads texts.
        assert tokenizer.encode(" ".join(words)).ids == used


def test_words_that_are_cut_off_are_counted_and_said(tmp_path: Path) -> None:
    long = ([f"word{k}" for k in range(40)], ["O"] * 39 + ["B-X"])
    raw = read(write(tmp_path, columns([*MANY, long])), vocabulary=300, length=12)
    found = encoded(raw, vocabulary=300, length=12)
    words = sum(len(each) for each, _ in [*MANY, long])
    kept = sum(int((split.targets != IGNORED).sum()) for split in found.splits.values() if split.targets is not None)
    assert found.audit["texts"]["words"] == words
    assert found.audit["texts"]["words_cut"] == words - kept
    assert any(f"{words - kept} of {words} words" in line for line in found.remarks)


def test_words_without_tokens_are_counted(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    words.normalizer = normalizers.Replace("z", "")
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "given.json"))
    path = write(tmp_path, "a X\nz Y\nb X\n\n" + "b Y\na X\n\n" * 30)
    raw = read(path, duplicates="keep")
    given = PretrainedTokenizer(tmp_path / "given.json", "given")
    object.__setattr__(raw, "tokenizer", given)
    found = raw.encode({name: np.arange(31) for name in ("train", "validation", "test")})
    assert found.audit["texts"]["words_without_tokens"] == 1
    assert any("1 of 63 words have no token" in line for line in found.remarks)
    train = found.splits["train"]
    assert train.targets is not None
    assert train.targets[0, :3].tolist() == [0, 0, IGNORED]


def test_a_tokenizer_of_running_text_knows_where_words_begin(tmp_path: Path) -> None:
    vocabulary = {letter: k for k, letter in enumerate(["[PAD]", *pre_tokenizers.ByteLevel.alphabet()])}
    given = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    given.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    given.save(str(tmp_path / "tokenizer.json"))
    assert sha256_file(tmp_path / "tokenizer.json")
    read_one = PretrainedTokenizer(tmp_path / "tokenizer.json", "given")
    fitted = fit_tokenizer(TextParams(), read_one, lambda: iter(()), of_words=True).tokenizer
    assert fitted.encode(["ab", "c"], is_pretokenized=True).tokens == ["Ġ", "a", "b", "Ġ", "c"]


def test_identical_texts_are_found(tmp_path: Path) -> None:
    raw = read(write(tmp_path, columns([*MANY[:5], MANY[0]])))
    assert (raw.hashes[0] == raw.hashes[5]).all()


def test_a_tag_that_only_a_held_out_text_has_is_said(tmp_path: Path) -> None:
    for name, part in (("train", MANY[:40]), ("test", [*MANY[40:], (["x"], ["B-NEW"])])):
        write(tmp_path, columns(part), f"names/{name}.conll")
    found = encoded(read(tmp_path / "names"), vocabulary=300)
    assert "audit: no train sample of B-NEW" in found.remarks
