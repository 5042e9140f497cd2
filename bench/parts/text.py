"""Fine-tuning BERT: mails a second of our stage against transformers.Trainer, the same weights, mails and batch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from parts import workspaces
from parts.base import (
    BENCH,
    PEER_PYTHON,
    ROOT,
    STATE,
    Contender,
    Options,
    Row,
    alternate,
    clock,
    others,
    ratio_range,
    spread,
    summary,
    table,
)

from samebits.data.fetching.catalog import load_card
from samebits.data.fetching.fetch import fetch
from samebits.params.yaml_file import read_yaml

OURS, BATCH, SUBJECT = "samebits", 32, "MiniLM on mails"
PEERS = {
    "transformers.Trainer, fp32": [],
    "transformers.Trainer, bf16": ["--precision", "bf16"],
    "transformers.Trainer, bf16, group_by_length": ["--precision", "bf16", "--grouped"],
}
GOAL = "transformers.Trainer, fp32"
_OVERRIDE = {"model": {"attention_dropout": 0.1}}
"""As in BERT and in the Trainer's model; the recipe has none."""


def measure(options: Options) -> dict[str, Any]:
    counted = clock(2, 0.0, 3, (0, 0)) if options.quick else clock(5, 8.0, 50, (0, 0))
    folder = workspaces.workspace("mails", "spam_bert", _OVERRIDE)
    prepared = STATE / "data" / "mails" / "prepared"
    workspaces.keep_prepared(folder, prepared)
    data, weights = workspaces.arrays(prepared), minilm()
    read = ["--length", read_yaml(folder / "params.yaml")["model"]["reads"]]
    fixed = [PEER_PYTHON, BENCH / "peers" / "trainer.py", "--data", data, "--weights", weights, *read, *counted]
    contenders = [workspaces.ours(OURS, folder, "--batch", str(BATCH), *counted)]
    contenders += [Contender(name, [*fixed, "--batch", BATCH, *more]) for name, more in PEERS.items()]
    return {"rows": alternate(contenders, options.rounds, SUBJECT)}


def minilm() -> Path:
    """The weights as a folder that transformers reads."""
    folder = STATE / "data" / "minilm"
    folder.mkdir(parents=True, exist_ok=True)
    card = load_card(ROOT / "data" / "catalog", "minilm")
    found = dict(fetch(card, say=print))
    for file in card.files:
        shutil.copyfile(found[file.name], folder / file.name)
    return folder


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    body = [[OURS, spread(rows, OURS, "rate", digits=1), "", ""]]
    for name in PEERS:
        times = ratio_range(rows, OURS, name, "rate", SUBJECT)
        body.append([name, spread(rows, name, "rate", digits=1), times, "2×" if name == GOAL else "—"])
    text = (
        "MiniLM (6 layers of 384) on the SpamAssassin mails, at most 128 tokens, batches of 32, AdamW. Ours is the "
        "recipe `spam_bert` with BERT's dropout of attention weights: bf16, texts of like length in a batch, and beside"
        " the encoder a linear model of the words of up to 2,048 tokens, which the Trainer has not. The Trainer runs "
        "with its defaults, and with the switches that make it do the same. 50 steps after 5 steps and 8 s of "
        "warm-up; every mail counts as one, so a run whose 50 batches happen to be short is a little faster."
    )
    head = [f"n = {summary(rows, OURS, 'rate')[3]}", "mails/s", "ours is × as fast", "goal"]
    return ["## Fine-tuning BERT", "", text, "", *table(head, body), "", f"Other processes: {others(rows)} cores."]
