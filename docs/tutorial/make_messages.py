"""216 short messages of three classes for the tutorial: data/raw/messages.csv."""

import csv
import random
from pathlib import Path

VERBS = {
    "order": ("where is", "please send", "I want to change", "cancel"),
    "bill": ("I paid twice", "please explain", "when is due", "I cannot pay"),
    "login": ("I cannot open", "please reset", "locked out of", "wrong password for"),
}
THINGS = {
    "order": ("my order", "the parcel", "order number 4711"),
    "bill": ("the bill", "my invoice", "this amount"),
    "login": ("my account", "the app", "my profile"),
}
ENDS = ("", " today", " please", " again", " since Monday", " for my mother")

rows = []
for label, verbs in VERBS.items():
    rows += [(f"{verb} {thing}{end}", label) for verb in verbs for thing in THINGS[label] for end in ENDS]
random.Random(0).shuffle(rows)
Path("data/raw").mkdir(parents=True, exist_ok=True)
with Path("data/raw/messages.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("text", "label"), *rows])
