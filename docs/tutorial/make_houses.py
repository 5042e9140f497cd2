"""600 rows of made-up houses for the tutorial: data/raw/houses.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 600
area, rooms, age = rng.normal(110, 35, n).clip(30), rng.integers(1, 8, n), rng.integers(0, 90, n)
town = rng.choice(["north", "south", "harbour"], n)
price = 0.9 * area + 4 * rooms - 0.3 * age + (town == "harbour") * 30 + rng.normal(0, 6, n)
columns = {"id": range(n), "area": area.round(1), "rooms": rooms, "age": age, "town": town, "price": price.round(2)}
Path("data/raw").mkdir(parents=True, exist_ok=True)
pd.DataFrame(columns).to_csv("data/raw/houses.csv", index=False)
