"""A session that knows what was asked of it, and how often TensorFlow had to prepare for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


class CountingSession:
    """Counts the steps that it runs, and the bytes that it gives back.

    Attributes:
        fetched: the sets of what was fetched. TensorFlow prepares the graph for each.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.nbytes = 0
        self.runs = 0
        self.fetched: set[frozenset[str]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *arguments: Any) -> Any:
        result = self._session.run(*arguments)
        self.runs += 1
        self.nbytes += sum(one.nbytes for one in tf.nest.flatten(result) if isinstance(one, np.ndarray))
        self.fetched.add(frozenset(one.name for one in tf.nest.flatten(arguments[0])))
        return result
