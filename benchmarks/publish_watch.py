"""What watches the versions of ``publish``, with nothing but TensorFlow, as TensorFlow Serving does: by polling.

Nothing here knows by whom the versions were written.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from examples.flight_delays.data import FEATURES, Ids, load

FLIGHTS = 256
_LOOK_SECS = 0.01


@dataclass
class Seen:
    """What a server has seen of a base directory.

    Attributes:
        loaded: the global step of each version that was loaded and has answered, by number.
        load_seconds: of each of them.
        failed: what was wrong with the others, by number.
        missed: those that were gone when their turn came.
        half_written: numbers of directories that were no models when they appeared.
        out_of_order: versions that appeared after a greater one, or are of an earlier step than one before.
        most_at_once: how many models there were at one moment, at the most.
        known: numbers of all models that it has seen.
    """

    loaded: dict[int, int] = field(default_factory=dict)
    load_seconds: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    missed: list[int] = field(default_factory=list)
    half_written: list[int] = field(default_factory=list)
    out_of_order: list[int] = field(default_factory=list)
    most_at_once: int = 0
    known: set[int] = field(default_factory=set)

    def look(self, base: Path) -> Iterator[Path]:
        """Look once. The versions that were not there before, in ascending order."""
        there = sorted(int(path.name) for path in base.glob("*") if path.name.isdigit())
        models = [number for number in there if (base / str(number) / "saved_model.pb").exists()]
        self.most_at_once = max(self.most_at_once, len(models))
        newest = max(self.known, default=0)
        # What is removed has lost its graph as well, and is never the newest.
        others = {number for number in there if number > newest} - {*models, *self.half_written}
        self.half_written += [number for number in others if (base / str(number)).exists()]
        appeared = [number for number in models if number not in self.known]
        self.known |= set(appeared)
        self.out_of_order += [number for number in appeared if number < newest]
        for number in appeared:
            yield base / str(number)

    def load(self, model: Path, flights: dict[str, Ids]) -> None:
        """Load a version and have it answer."""
        number, began = int(model.name), time.monotonic()
        try:
            step = ask(model, flights)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the version's
            if (model / "saved_model.pb").exists():
                self.failed[number] = f"{type(error).__name__}: {error}"
            else:
                self.missed.append(number)
            return
        if step < max(self.loaded.values(), default=0):
            self.out_of_order.append(number)
        self.loaded[number] = step
        self.load_seconds[number] = time.monotonic() - began


def ask(model: Path, flights: dict[str, Ids]) -> int:
    """Load a model and have it answer. Returns the global step it is of; raises whatever is wrong with it."""
    loaded = tf.saved_model.load(str(model), tags=["serve"])
    inputs = {name: tf.constant(ids) for name, ids in flights.items()}
    answer = loaded.signatures["serving_default"](**inputs)["probability"].numpy()
    if answer.shape != (FLIGHTS,) or not ((answer > 0) & (answer < 1)).all():
        raise ValueError(f"{answer} are no probabilities of {FLIGHTS} flights")
    if np.ptp(answer) == 0:
        raise ValueError("it answers the same about every flight")
    return int(tf.train.load_variable(str(model / "variables" / "variables"), "global_step"))


def main(base: Path, over: Path, result: Path) -> None:
    tf.get_logger().setLevel("ERROR")
    held_out = load().held_out[:FLIGHTS]
    flights = {name: held_out.features[name] for name in FEATURES}
    seen, appeared = Seen(), queue.SimpleQueue[Path | None]()

    def look() -> None:
        """Loading takes its time, in which others appear."""
        is_over = False
        while not is_over:
            is_over = over.exists()
            for model in seen.look(base):
                appeared.put(model)
            time.sleep(_LOOK_SECS)
        appeared.put(None)

    threading.Thread(target=look).start()
    while model := appeared.get():
        seen.load(model, flights)
    if "autodist_saved" in sys.modules:
        raise RuntimeError("autodist_saved was imported: this does not show that plain TensorFlow is enough")
    result.write_text(json.dumps(asdict(seen) | {"known": sorted(seen.known)}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
