"""Windows of a time series as a Dataset, for the recipe bikeshare_hours."""

import csv

import numpy as np


class Hours:
    """The last hours of bikes and weather, float32 [7, hours]; how many bikes are out in the next hour."""

    def __init__(self, path, hours=24):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        self.hours = hours
        at = np.array([24 * int(row["day"]) + int(row["hr"]) for row in rows])
        columns = [[float(row[name]) for row in rows] for name in ("bikers", "temp", "hum", "windspeed", "workingday")]
        angle = 2 * np.pi * (at % 24) / 24
        self.series = np.array([*columns, np.sin(angle), np.cos(angle)], dtype=np.float32)
        # Some hours are missing: a window is of hours that follow each other, the next one among them.
        self.ends = np.flatnonzero(at[hours:] - at[:-hours] == hours) + hours
        self.times = [int(each) for each in at[self.ends]]

    def __len__(self):
        return len(self.ends)

    def __getitem__(self, index):
        end = self.ends[index]
        return self.series[:, end - self.hours : end], float(self.series[0, end])
