"""Prints the output of the tasks in a thread of its own: no console holds up the launcher."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from autodist_saved.launch.task_output import TaskOutput

STUCK_SECS = 5.0
"""A console that has taken nothing for so long is read by nobody: a pager that waits, a terminal after Ctrl-S."""

_CHARACTERS_MAX = 2**20  # of what waits to be printed
# Printed at once. The console is stuck if it does not take them in time, so they are few.
_LINES_AT_ONCE = 20


class Printer:
    """Takes output at once, and prints it as fast as the console takes it. A context manager.

    - **Slow console.** When much is waiting, :attr:`is_full` is true. The launcher then reads no more of the tasks'
      pipes until there is room, so tasks wait in their own output, as in any pipeline. Nothing is lost.
    - **Console that nobody reads.** Once it has taken nothing for :data:`STUCK_SECS`, no task waits for it. What does
      not fit is left out; a line says how many lines that were.
    - **Closed console.** :attr:`is_closed` is true, and the rest is printed nowhere.

    One thread calls the methods. They never block, except for leaving, which waits until all is printed, or the
    console is stuck.

    Attributes:
        has_left_out: whether lines were left out.
    """

    def __init__(self, output: TaskOutput) -> None:
        """Starts no thread yet. ``output`` prints; only the thread uses it from now on."""
        self._output = output
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._characters = 0
        self._lines_left_out = 0
        self._moved_at = 0.0  # when the console has last taken something, or something came after a rest
        self._is_printing = False
        self._is_ending = False
        self._is_full_told = False
        self.has_left_out = False
        self.wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """A file descriptor that is readable when :attr:`is_full` or :attr:`is_closed` may have changed."""
        self._thread = threading.Thread(target=self._run, name="printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._tell_what_was_left_out()
            self._is_ending = True
            self._moved_at = time.monotonic()  # somebody may have begun to read
            self._changed.notify_all()
        while self._thread.is_alive() and not self._is_stuck:
            self._thread.join(max(self.stuck_in_secs, 0.01))
        if not self._thread.is_alive():
            os.close(self.wakeup)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should come for now. Never true while the console is stuck."""
        with self._changed:
            self._is_full_told = self._characters >= _CHARACTERS_MAX and not self._is_stuck
            return self._is_full_told

    @property
    def is_closed(self) -> bool:
        """Whether the reader of the console has closed it."""
        return self._output.is_closed

    @property
    def stuck_in_secs(self) -> float:
        """Seconds until the console counts as stuck, if it takes nothing meanwhile."""
        return max(self._moved_at + STUCK_SECS - time.monotonic(), 0)

    def say(self, message: str) -> None:
        """As :meth:`TaskOutput.say`, later."""
        self._put([message], partial(self._output.say, message))

    def lines(self, name: str, lines: Sequence[str]) -> None:
        """As :meth:`TaskOutput.lines`, later."""
        for start in range(0, len(lines), _LINES_AT_ONCE):
            some = lines[start : start + _LINES_AT_ONCE]
            self._put(some, partial(self._output.lines, name, some))

    def progress(self, name: str, text: str) -> None:
        """As :meth:`TaskOutput.progress`, later."""
        with self._changed:
            if self._characters < _CHARACTERS_MAX:
                self._append(len(text) + 1, partial(self._output.progress, name, text))

    @property
    def _is_stuck(self) -> bool:
        return (self._is_printing or bool(self._waiting)) and not self.stuck_in_secs

    def _put(self, lines: Sequence[str], call: Callable[[], None]) -> None:
        with self._changed:
            if self._characters >= _CHARACTERS_MAX and self._is_stuck:
                self._lines_left_out += len(lines)
                self.has_left_out = True
                return
            self._tell_what_was_left_out()
            self._append(sum(map(len, lines)) + len(lines), call)

    def _tell_what_was_left_out(self) -> None:
        """At the place where they are missing. The caller holds the lock."""
        if self._lines_left_out:
            count, self._lines_left_out = self._lines_left_out, 0
            message = f"{count} lines left out here: nobody read this console for {STUCK_SECS:g} s"
            self._append(len(message), partial(self._output.say, message))

    def _append(self, characters: int, call: Callable[[], None]) -> None:
        """The caller holds the lock."""
        if not self._waiting and not self._is_printing:
            self._moved_at = time.monotonic()
        self._waiting.append((characters, call))
        self._characters += characters
        self._changed.notify_all()

    def _run(self) -> None:
        with self._output:
            while (call := self._next()) is not None:
                call()

    def _next(self) -> Callable[[], None] | None:
        """Note that what came before is printed, and wait for more. None when there is no more."""
        with self._changed:
            self._is_printing = False
            self._moved_at = time.monotonic()
            if self.is_closed or (self._is_full_told and self._characters < _CHARACTERS_MAX // 2):
                self._is_full_told = False
                os.eventfd_write(self.wakeup, 1)
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            if not self._waiting:
                return None
            characters, call = self._waiting.popleft()
            self._characters -= characters
            self._is_printing = True
            return call
