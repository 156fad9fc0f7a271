"""What the tasks write, from their pipes to the console as soon as it comes."""

from __future__ import annotations

import functools
import os
import selectors
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import IO

from autodist_saved.launch.task_output import Lines, TaskOutput

_TAIL_LINES = 15
# What a pipe holds, so that one read takes all there is.
_READ_BYTES = 64 * 1024


class Streams:
    """Standard output and standard error of all tasks. Used by the running tasks.

    Args:
        selector: where the pipes are registered, each with the function to call when it is readable.
        output: where the lines go.
        is_hidden: tells lines that do not go there; they are among the last ones all the same.
    """

    def __init__(
        self, selector: selectors.BaseSelector, output: TaskOutput, is_hidden: Callable[[str], bool]
    ) -> None:
        self._selector = selector
        self._output = output
        self._is_hidden = is_hidden
        self._open: set[IO[bytes]] = set()
        self._last_lines: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_TAIL_LINES))

    def add(self, name: str, pipe: IO[bytes]) -> None:
        """Read a pipe of the task ``name`` to its end, and close it then."""
        self._open.add(pipe)
        reader = functools.partial(self._read, name, pipe, Lines())
        self._selector.register(pipe, selectors.EVENT_READ, reader)

    def last_lines(self, name: str) -> Sequence[str]:
        """The newest lines of a task."""
        return self._last_lines[name]

    def close(self) -> None:
        """Close the pipes that have not ended; a process that got away from its task may hold them open."""
        for pipe in list(self._open):
            self._close(pipe)

    def _read(self, name: str, pipe: IO[bytes], lines: Lines) -> None:
        before = lines.progress
        data = os.read(pipe.fileno(), _READ_BYTES)
        whole = lines.feed(data) if data else lines.close()
        self._last_lines[name].extend(whole)
        self._output.lines(name, [line for line in whole if not self._is_hidden(line)])
        if (progress := lines.progress) != before:
            self._output.progress(name, progress)
        if not data:
            self._close(pipe)

    def _close(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        self._open.remove(pipe)
        pipe.close()
