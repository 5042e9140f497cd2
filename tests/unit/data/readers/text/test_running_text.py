"""Running text: segments that stay where they are, rows that miss nothing, a tokeniser that knows train alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.data.loading.prepared import open_split, read_info
from samebits.data.preparation.prepare import require_usable, split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.preparation.split import assign
from samebits.data.readers.reader import Encoded
from samebits.data.readers.text.chunks import LEAST, MOST, segments
from samebits.data.readers.text.running_text import RawText, read
from tests.helpers.books import book, books, settings, source


def prepared(folder: Path, **changed: Any) -> tuple[RawText, Encoded]:
    raw = read(source(folder, **changed))
    require_usable(raw, settings(**changed))
    return raw, split_and_encode(raw, settings(**changed))


def test_segments_are_the_text_cut_into_pieces_of_a_few_kilobytes() -> None:
    text = book(1, 600)
    cut = list(segments(text))
    assert "".join(cut) == text
    assert all(LEAST <= len(each) <= MOST for each in cut[:-1])
    assert 3000 < np.mean([len(each) for each in cut]) < 6000
    assert all(each.endswith("\n\n") for each in cut)


@pytest.mark.parametrize("text", ["x" * 100_000, "word " * 30_000, "line of words\n" * 9000, "a\n\n\n\n" * 9000, "\n"])
def test_text_without_paragraphs_is_cut_too(text: str) -> None:
    cut = list(segments(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= MOST


def test_a_new_paragraph_changes_its_segment_and_at_most_a_few_neighbours() -> None:
    text = book(2, 900)
    paragraphs = text.split("\n\n")
    paragraphs.insert(450, "Something that was not there before.")
    before, after = set(segments(text)), set(segments("\n\n".join(paragraphs)))
    assert 1 <= len(before - after) <= 4


def test_a_new_book_moves_no_segment_of_another(tmp_path: Path) -> None:
    books(tmp_path, b_txt=book(1), d_txt=book(2))
    old = placed(tmp_path)
    books(tmp_path, a_txt=book(3), c_md=book(4), e_txt=book(5))
    new = placed(tmp_path)
    assert len(new) > len(old) > 20
    assert {segment: new[segment] for segment in old} == old


def placed(folder: Path) -> dict[bytes, str]:
    """Split of each segment, by its hash."""
    raw = read(source(folder))
    splits = assign(settings(), raw.hashes)
    return {raw.hashes[row].tobytes(): name for name, rows in splits.items() for row in rows.tolist()}


def test_rows_overlap_by_one_token_and_hold_the_whole_split(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), b_txt=book(2))
    raw, encoded = prepared(tmp_path)
    tokenizer = Tokenizer.from_str(encoded.files["tokenizer.json"].decode())
    splits = assign(settings(), raw.hashes)
    for name, split in encoded.splits.items():
        rows = split.read(np.arange(len(split)))
        assert rows.shape == (len(split), 17)
        assert all(first[-1] == second[0] for first, second in pairwise(rows))
        stream = np.concatenate([rows[:, :-1].ravel(), rows[-1:, -1]])
        text = "".join(raw.texts(splits[name]))
        decoded = tokenizer.decode(stream.tolist(), skip_special_tokens=True)
        assert text.startswith(decoded)
        assert encoded.audit["tokens_left_over"][name] == encoded.audit["tokens"][name] - len(stream) < 16
        assert len(text) - len(decoded) < 16 * 20


def test_a_separator_stands_where_the_text_does_not_go_on_and_nowhere_else(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), b_txt=book(2))
    raw, encoded = prepared(tmp_path)
    rows = assign(settings(), raw.hashes)["train"]
    joined = sum(
        second == first + 1 and raw.spans[first, 0] == raw.spans[second, 0] for first, second in pairwise(rows.tolist())
    )
    train = encoded.splits["train"].read(np.arange(len(encoded.splits["train"])))
    assert np.count_nonzero(train[:, :-1] == 0) == len(rows) - joined
    assert 0 < joined < len(rows) - 2


def test_bits_per_byte_are_those_of_the_test_split(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), b_txt=book(2))
    raw, encoded = prepared(tmp_path)
    text = "".join(raw.texts(assign(settings(), raw.hashes)["test"]))
    ratio = encoded.signature.tokens.bytes_per_token
    assert ratio == pytest.approx(len(text.encode()) / encoded.audit["tokens"]["test"], abs=1e-5)


def test_the_tokeniser_learns_from_the_training_split_alone(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), b_txt=book(2))
    raw, encoded = prepared(tmp_path)
    splits = assign(settings(), raw.hashes)
    held_out = np.concatenate([splits["validation"], splits["test"]])
    size = int(raw.spans[:, 3].max())
    poisoned = bytearray(raw.store.read_bytes())
    assert len(poisoned) == size
    for _, _, first, last in raw.spans[held_out].tolist():
        poisoned[first:last] = (b"qzqz " * (last - first))[: last - first]
    raw.store.write_bytes(bytes(poisoned))
    assert raw.encode(splits).files["tokenizer.json"] == encoded.files["tokenizer.json"]


def test_twice_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        books(folder, a_txt=book(1), b_txt=book(2))
        raw, encoded = prepared(folder)
        about = {"name": "books", "title": "books", "licence": "own", "files": []}
        write_prepared(folder / "out", about, encoded, shard_mib=0.01, set_aside=raw.set_aside)
        digests.append({each.name: each.read_bytes() for each in sorted((folder / "out").rglob("*")) if each.is_file()})
    assert digests[0] == digests[1]
    info = read_info(tmp_path / "first" / "out")
    split = open_split(tmp_path / "first" / "out", "test", in_memory=True)
    inputs, targets = split.samples(np.arange(2))
    assert info.signature.row_dtype == "<u2"
    assert (inputs[:, 1:] == targets[:, :-1]).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_and_line_ends_do_not_matter(tmp_path: Path, encoding: str) -> None:
    text = "Café – “naïve”\n\n" + book(1)
    plain = books(tmp_path, a_txt=text)
    wanted = list(read(source(plain)).texts(np.arange(3)))
    (tmp_path / "books" / "a.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert list(read(source(tmp_path)).texts(np.arange(3))) == wanted


def test_whole_documents_stay_together_if_asked(tmp_path: Path) -> None:
    names = {f"{k}_txt": book(k, 30) for k in range(12)}
    raw = read(source(books(tmp_path, **names), split="group"))
    splits = assign(settings(split="group"), raw.hashes, groups=raw.groups)
    of = {name: {raw.groups[row] for row in rows.tolist()} for name, rows in splits.items() if raw.groups}
    assert not of["train"] & of["test"]
    assert len(of["test"]) >= 1


def test_a_given_tokenizer_is_used_as_it_is(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), b_txt=book(2))
    _, first = prepared(tmp_path, text={"vocabulary": 320})
    (tmp_path / "given.json").write_bytes(first.files["tokenizer.json"])
    pin = sha256_file(tmp_path / "given.json")
    _, second = prepared(tmp_path, text={"tokenizer": "given.json", "tokenizer_sha256": pin, "vocabulary": 300})
    assert second.signature.tokens.vocabulary == first.signature.tokens.vocabulary == 320
    assert second.files == first.files


def test_lowercase_text_has_no_bits_per_byte(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1))
    _, encoded = prepared(tmp_path, text={"lowercase": True})
    assert encoded.signature.tokens.bytes_per_token is None
    assert any("no bits per byte" in line for line in encoded.remarks)


def test_what_train_and_test_share_is_counted(tmp_path: Path) -> None:
    refrain = "And so the sea went on and on until the morning came to all who waited there.\n\n"
    books(tmp_path, a_txt=book(1).replace("\n\n", "\n\n" + refrain))
    _, encoded = prepared(tmp_path)
    assert encoded.audit["test_paragraphs_also_in_train"] == 1


def test_rows_say_where_they_stand(tmp_path: Path) -> None:
    text = book(1)
    _, encoded = prepared(books(tmp_path, a_txt=text))
    name, line = encoded.splits["train"].origins[-1].rsplit(":", 1)
    assert name == "a.txt"
    assert 1 < int(line) <= text.count("\n")
    assert text.split("\n")[int(line) - 1]


def test_a_bad_file_beside_good_ones_is_set_aside(tmp_path: Path) -> None:
    books(tmp_path, a_txt=book(1), empty_txt="", scan_pdf=b"%PDF")
    raw = read(source(tmp_path))
    assert {each.id: each.reason.split(";")[0] for each in raw.set_aside} == {
        "empty.txt": "is empty",
        "scan.pdf": "no text file",
    }
    with pytest.raises(UserError, match=r"1 of \d+ samples .* data.max_rejected_fraction"):
        require_usable(raw, settings(max_rejected_fraction=0.0))
