"""The output of the tasks, from their pipes to the console as soon as it arrives."""

from __future__ import annotations

import functools
import os
import selectors
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import IO

from autodist_saved.launch.task_output import Lines, TaskOutput

_TAIL_LINES = 15
# The size of a pipe, so one read empties it.
_READ_BYTES = 64 * 1024


class Streams:
    """Standard output and standard error of all tasks. ``RunningTasks`` uses it.

    Args:
        selector: registers the pipes here, each with the function to call when it is readable.
        output: where the lines go.
        is_hidden: whether a line does not go there. :meth:`last_lines` has it all the same.
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
        """Read a pipe of the task ``name`` to its end, then close it."""
        self._open.add(pipe)
        reader = functools.partial(self._read, name, pipe, Lines())
        self._selector.register(pipe, selectors.EVENT_READ, reader)

    def last_lines(self, name: str) -> Sequence[str]:
        """The newest lines of a task, at most 15, hidden ones too."""
        return self._last_lines[name]

    def close(self) -> None:
        """Close the pipes that are still open. A process that left its task's group may hold the other end."""
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
