"""Emoji and their place in Unicode's order as a Dataset, for the recipe emoji_order."""

import io
import json
import tarfile

from PIL import Image

DRAWN = 64
ALIKE = {"200D", "FE0F", "2640", "2642", "1F468", "1F469", "1F9D1"}
"""Joiners, and signs that say whether a person is a woman or a man: all else is drawn the same."""


class Emoji:
    """Pictures on white, uint8 [3, pixels, pixels]; where each stands among all emoji, from smileys to flags."""

    def __init__(self, path, pixels=64):
        self.pixels = pixels
        with tarfile.open(path) as archive:
            every = json.load(archive.extractfile("package/emoji.json"))
            sheet = Image.open(io.BytesIO(archive.extractfile("package/img/twitter/sheets/64.png").read()))
            white = Image.new("RGBA", sheet.size, "white")
            self.sheet = Image.alpha_composite(white, sheet.convert("RGBA")).convert("RGB")
        self.every = [each for each in every if each["has_img_twitter"] and each["category"] != "Component"]
        self.groups = [self._drawn_alike(each["unified"]) for each in self.every]

    def __len__(self):
        return len(self.every)

    def __getitem__(self, index):
        one = self.every[index]
        # A pixel of margin around each.
        x, y = ((DRAWN + 2) * one[f"sheet_{axis}"] + 1 for axis in "xy")
        picture = self.sheet.crop((x, y, x + DRAWN, y + DRAWN)).resize((self.pixels, self.pixels), Image.Resampling.BOX)
        return picture, float(one["sort_order"])

    @staticmethod
    def _drawn_alike(unified):
        parts = unified.split("-")
        return "-".join(part for part in parts if part not in ALIKE) or unified
