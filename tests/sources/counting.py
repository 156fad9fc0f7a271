"""A session that knows what was asked of it."""

from __future__ import annotations

from typing import Any

import numpy as np


class CountingSession:
    """Counts the steps that it runs, and the bytes that it gives back."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.nbytes = 0
        self.runs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *arguments: Any) -> Any:
        result = self._session.run(*arguments)
        self.runs += 1
        self.nbytes += result.nbytes if isinstance(result, np.ndarray) else 0
        return result
