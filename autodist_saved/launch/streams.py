"""The output of the tasks, from their pipes to the console as soon as it arrives."""

from __future__ import annotations

import functools
import os
import selectors
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import IO

from autodist_saved.launch.printer import Printer
from autodist_saved.launch.task_output import Lines

_TAIL_LINES = 15
# What a terminal shows at once, roughly.
_SIGHT_LINES = 30
# The size of a pipe, so one read empties it.
_READ_BYTES = 64 * 1024


class Streams:
    """Standard output and standard error of all tasks. ``RunningTasks`` uses it.

    Args:
        selector: registers the pipes here, each with the function to call when it is readable.
        printer: where the lines go. While it is full, the pipes are not registered: the tasks wait.
        is_hidden: whether a line does not go there. :meth:`last_lines` has it all the same.
    """

    def __init__(self, selector: selectors.BaseSelector, printer: Printer, is_hidden: Callable[[str], bool]) -> None:
        self._selector = selector
        self._printer = printer
        self._is_hidden = is_hidden
        self._readers: dict[IO[bytes], Callable[[], None]] = {}
        self._last_lines: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_TAIL_LINES))
        self._shown: deque[str] = deque(maxlen=_SIGHT_LINES)  # the last lines on the console
        self.is_held = False
        """Whether the tasks wait until the printer has room."""

    def add(self, name: str, pipe: IO[bytes]) -> None:
        """Read a pipe of the task ``name`` to its end, then close it."""
        self._readers[pipe] = functools.partial(self._read, name, pipe, Lines())
        if not self.is_held:
            self._selector.register(pipe, selectors.EVENT_READ, self._readers[pipe])

    def last_lines(self, name: str) -> Sequence[str]:
        """The newest lines of a task, at most 15, hidden ones too."""
        return list(self._last_lines[name])

    def are_in_sight(self, name: str) -> bool:
        """Whether :meth:`last_lines` were printed not long ago, by this task or by one with the same mistake."""
        tail = self._last_lines[name]
        return not self._printer.has_left_out and not any(map(self._is_hidden, tail)) and tail[-1] in self._shown

    def hold_or_go_on(self) -> None:
        """Stop reading while the printer is full, and go on when it has room. Call it after every event."""
        if self._printer.is_full == self.is_held:
            return
        self.is_held = not self.is_held
        for pipe, reader in self._readers.items():
            if self.is_held:
                self._selector.unregister(pipe)
            else:
                self._selector.register(pipe, selectors.EVENT_READ, reader)

    def close(self) -> None:
        """Close the pipes that are still open. A process that left its task's group may hold the other end."""
        for pipe in list(self._readers):
            self._close(pipe)

    def _read(self, name: str, pipe: IO[bytes], lines: Lines) -> None:
        before = lines.progress
        data = os.read(pipe.fileno(), _READ_BYTES)
        whole = lines.feed(data) if data else lines.close()
        self._last_lines[name].extend(whole)
        shown = [line for line in whole if not self._is_hidden(line)]
        self._shown.extend(shown)
        self._printer.lines(name, shown)
        if (progress := lines.progress) != before:
            self._printer.progress(name, progress)
        if not data:
            self._close(pipe)

    def _close(self, pipe: IO[bytes]) -> None:
        del self._readers[pipe]
        if not self.is_held:
            self._selector.unregister(pipe)
        pipe.close()
