"""180 images of 64 x 64 pixels for the tutorial: data/raw/shapes, a folder per class."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)
for name in ("circle", "square", "triangle"):
    folder = Path("data/raw/shapes", name)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(60):
        image = Image.new("RGB", (64, 64), tuple(rng.integers(0, 120, 3).tolist()))
        color = tuple(rng.integers(140, 256, 3).tolist())
        x, y, r = rng.integers(22, 42), rng.integers(22, 42), rng.integers(8, 18)
        draw = ImageDraw.Draw(image)
        if name == "circle":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=color)
        elif name == "square":
            draw.rectangle((x - r, y - r, x + r, y + r), fill=color)
        else:
            draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=color)
        image.save(folder / f"{number:02}.png")
