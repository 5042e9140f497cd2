"""What a bag of words reaches on the mails of `spam_bert`, on the very split that the network has.

    python bench/spam_baseline.py

Reads the package through the catalogue, splits as the recipe does, fits TF-IDF and logistic regression for several C,
and prints the accuracy on validation and test. C is to be chosen on validation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from samebits.data.fetching.catalog import load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.preparation.split import assign
from samebits.data.readers.reader import Source
from samebits.data.readers.text.mail import read
from samebits.params.data import DataParams

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    card = load_card(ROOT / "data" / "catalog", "spam_assassin")
    data = DataParams(source="data/catalog/spam_assassin.yaml", split="hash", validation_fraction=0.05)
    with tempfile.TemporaryDirectory() as scratch:
        raw = read(Source(card.name, data, card, fetch(card), None, Path(scratch), print))
        texts = np.array(list(raw.store.texts(raw.rows.tolist())), dtype=object)
    assert raw.targets is not None
    # The first of equal texts alone, as with data.duplicates: drop.
    _, first = np.unique(raw.hashes, axis=0, return_index=True)
    first.sort()
    texts, labels, hashes = texts[first], raw.targets[first], raw.hashes[first]
    splits = assign(data, hashes)
    print(", ".join(f"{len(rows):,} {name}" for name, rows in splits.items()))
    for words in (1, 2):
        vectors = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, words), min_df=2)
        fitted = vectors.fit_transform(texts[splits["train"]])
        for c in (1, 10, 100):
            model = LogisticRegression(C=c, max_iter=1000).fit(fitted, labels[splits["train"]])
            scores = [model.score(vectors.transform(texts[splits[name]]), labels[splits[name]]) for name in
                      ("validation", "test")]  # fmt: skip
            print(f"runs of up to {words} words, C = {c:<4} validation {scores[0]:.4f}, test {scores[1]:.4f}")


if __name__ == "__main__":
    main()
