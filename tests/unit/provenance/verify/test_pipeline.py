"""Data of one's own that a clean copy needs and git does not hold."""

from __future__ import annotations

from pathlib import Path

from samebits.provenance.verify.pipeline import own_data

DVC_FILE = "outs:\n- md5: {md5}\n  size: 3\n  hash: md5\n  path: {name}\n"


def test_files_that_params_yaml_pins_are_brought(tmp_path: Path) -> None:
    """No stage depends on them: `transfer.weights` and a tokenizer of one's own."""
    raw = tmp_path / "data/raw"
    raw.mkdir(parents=True)
    for name, md5 in (("mine.safetensors", "a1"), ("tokenizer.json", "b2"), ("other.csv", "c3")):
        (raw / f"{name}.dvc").write_text(DVC_FILE.format(md5=md5, name=name))
    assert own_data(tmp_path, [], []) == {}
    (tmp_path / "params.yaml").write_text(
        "data: {text: {tokenizer: data/raw/tokenizer.json}}\ntransfer: {weights: data/raw/mine.safetensors}\n"
    )
    assert own_data(tmp_path, [], []) == {"data/raw/mine.safetensors": "a1", "data/raw/tokenizer.json": "b2"}
    (tmp_path / "params.yaml").write_text("data: {text: {tokenizer: bpe}}\ntransfer: {weights: null}\n")
    assert own_data(tmp_path, [], []) == {}
