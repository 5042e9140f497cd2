"""Tokenisers: fitted on the training split alone, the same bytes every time, and rows that the audit can count."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings, strategies
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes
from samebits.data.readers.decoding import clean
from samebits.data.readers.text.tokenizer import SPECIAL, PretrainedTokenizer, cleaning, encode_texts
from samebits.signature.tokens import TokenInputs
from tests.helpers.texts import SAMPLES, texts_of
from tests.helpers.tokenizer import fit


def test_the_file_alone_gives_what_the_rows_hold(tmp_path: Path) -> None:
    fitted = fit()
    path = tmp_path / "tokenizer.json"
    path.write_bytes(fitted.json)
    texts = ["the dog", "the quick brown fox jumps over the lazy dog and on and on and on", ""]
    encoded = encode_texts(fitted, 3, lambda: iter(texts), tmp_path / "rows.npy", 2)
    rows = encoded.read(np.arange(3))
    served = Tokenizer.from_file(str(path)).encode_batch(texts)
    longest = max(len(each.ids) for each in served)
    assert [each.ids for each in served] == rows[:, :longest].tolist()
    assert (rows[:, longest:] == fitted.pad).all()
    assert rows.shape == (3, 16)
    assert rows.dtype == np.uint16
    assert fitted.vocabulary <= 400
    assert [Tokenizer.from_file(str(path)).token_to_id(token) for token in SPECIAL] == [0, 1, 2]


NASTY = "a bé\t\r\n\x00\x0b\x0c\x1c\x1f\x7f\x85\xa0\u1680\u2003\u2028\u2029\u3000\u200b\ufeff\u0301\u0323e\u1100\u1161"


@settings(max_examples=1000, deadline=None)
@examples(strategies.text(strategies.sampled_from(NASTY), max_size=30) | strategies.text(max_size=40))
def test_the_file_cleans_as_prepare_does(text: str) -> None:
    assert normalizers.Sequence(cleaning()).normalize_str(text) == clean(text) == clean(clean(text))


@pytest.mark.parametrize("text", ["\n" * 200_000, "\u3000" * 200_000 + "a", "a\u3000 \n" * 50_000, "x" * 200_000])
def test_cleaning_takes_no_longer_than_the_text(text: str) -> None:
    started = time.process_time()
    normalizers.Sequence(cleaning()).normalize_str(text)
    assert time.process_time() - started < 5.0  # a pattern that tries each blank anew takes minutes


@pytest.mark.parametrize("own", ["bpe", "given"])
def test_texts_as_they_come_get_the_tokens_of_clean_ones(own: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "fox": 2, "dog": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    words.save(str(path))
    fitted = fit() if own == "bpe" else fit(pretrained=PretrainedTokenizer(path, "own"))
    raw = "\ufeff  fox \t\u00a0 dog\x00\r\n fox  "
    served = Tokenizer.from_str(fitted.json.decode())
    assert clean(raw) == "fox dog\nfox"
    assert served.encode(raw).ids == served.encode(clean(raw)).ids == fitted.tokenizer.encode(raw).ids[:16]


def test_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "from samebits.base.files import sha256_bytes\n"
        "from tests.helpers.tokenizer import fit\n"
        "print(sha256_bytes(fit().json))"
    )
    root = Path(__file__).resolve().parents[5]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONPATH": f"{root / 'src'}:{root}", "PYTHONHASHSEED": seed, "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert found.pop().strip() == sha256_bytes(fit().json)


def test_what_is_longer_and_cut_is_counted(tmp_path: Path) -> None:
    words = {"[PAD]": 0, "[UNK]": 1, "dog": 2, "<s>": 3}
    pretrained = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    pretrained.pre_tokenizer = pre_tokenizers.Whitespace()
    pretrained.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 3)])
    pretrained.save(str(tmp_path / "tokenizer.json"))
    fitted = fit(pretrained=PretrainedTokenizer(tmp_path / "tokenizer.json", "own"), length=4)
    texts = ["dog", "dog dog", "dog dog dog dog dog", "Ω"]
    encoded = encode_texts(fitted, 4, lambda: iter(texts), tmp_path / "rows.npy", 10)
    assert encoded.lengths.tolist() == [3, 4, 7, 3]
    found = encoded.audit()
    assert (found["longer"], found["tokens"], found["tokens_cut"], found["tokens_unknown"]) == (1, 17, 3, 1)
    assert any("1 of 4 texts (25%) are longer than data.text.length 4" in line for line in encoded.remarks(4))


def test_long_words_are_cut_for_training_and_ordinary_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = random.Random(0).choices("ACGT", k=400_000)
    started = time.process_time()
    fitted = fit(["".join(letters)])
    assert time.process_time() - started < 10.0  # in one piece it takes minutes
    assert fitted.tokenizer.decode(fitted.tokenizer.encode("ACGT" * 3).ids).strip() == "ACGT" * 3
    assert "Split" not in fitted.json.decode()
    ordinary = fit().json
    monkeypatch.setattr("samebits.data.readers.text.bpe.LONGEST_WORD", 100_000)
    assert fit().json == ordinary


def test_lowercase_is_part_of_the_file(tmp_path: Path) -> None:
    lower, path = fit(lowercase=True), tmp_path / "tokenizer.json"
    assert lower.tokenizer.encode("FOX").ids == lower.tokenizer.encode("fox").ids
    assert fit().tokenizer.encode("FOX").ids != fit().tokenizer.encode("fox").ids
    path.write_bytes(fit().json)
    pretrained = fit(pretrained=PretrainedTokenizer(path, "own"), lowercase=True)
    assert pretrained.tokenizer.encode("FOX").ids == pretrained.tokenizer.encode("fox").ids


def test_a_given_tokenizer_is_cut_to_our_length(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(fit(length=16).json)
    again = fit(pretrained=PretrainedTokenizer(path, "own"), length=6)
    assert json.loads(again.json)["truncation"]["max_length"] == 6
    assert json.loads(again.json)["model"] == json.loads(path.read_bytes())["model"]


@pytest.mark.parametrize("content", [b"", b"{}", b"words", b'{"model": {}}', b"\xff\xfe"])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no tokenizer"):
        fit(pretrained=PretrainedTokenizer(path, "data/raw/tokenizer.json"))


def test_a_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(path))
    with pytest.raises(UserError, match="no token to fill short texts up with"):
        fit(pretrained=PretrainedTokenizer(path, "own"))


def test_the_test_split_does_not_shape_the_tokenizer(tmp_path: Path) -> None:
    lines = [f"{text},{label}" for text, label in SAMPLES] + [f"zebrafish {k},pos" for k in range(20)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,label", *lines]))
    raw = texts_of(path, "text_csv", length=12, vocabulary=300)
    rows = np.arange(len(raw))
    encoded = raw.encode({"train": rows[:30], "validation": rows[30:40], "test": rows[40:]})
    inputs = encoded.signature.inputs
    assert isinstance(inputs, TokenInputs)
    assert inputs.tokenizer_sha256 == sha256_bytes(encoded.files["tokenizer.json"])
    assert "zebra" not in encoded.files["tokenizer.json"].decode()
    (tmp_path / "again").mkdir()
    other = tmp_path / "again" / "a.csv"
    other.write_text("\n".join(["text,label", *lines]).replace("zebrafish", "quokka"))
    same = texts_of(other, "text_csv", length=12, vocabulary=300)
    assert same.encode({"train": rows[:30], "validation": rows[30:40], "test": rows[40:]}).files == encoded.files
