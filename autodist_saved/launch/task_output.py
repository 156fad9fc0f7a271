"""The output of several tasks on one console: whole lines, each after its task's name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from autodist_saved.launch.standard_output import ClosedOutputError

# The launcher's own lines follow this name.
_OWN_NAME = "launch"
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


class Lines:
    r"""Turns the bytes of a stream into whole lines of text.

    A carriage return starts the line again, as on a terminal. So of a progress bar, which overwrites its line, only
    the last state comes out. Bytes that are not UTF-8 come out as ``\xff``. A terminal emulator (pyte) would follow
    movements of the cursor too, for which one line has no use.
    """

    LONGEST_BYTES = 64 * 1024
    """Cuts longer lines, so that a stream without line ends cannot fill the memory."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes. Returns the lines that they complete."""
        *whole, rest = (self._rest + data).split(b"\n")
        rest = rest[max(0, rest.rstrip(b"\r").rfind(b"\r")) :]
        while len(rest) > self.LONGEST_BYTES:
            whole.append(rest[: self.LONGEST_BYTES])
            rest = rest[self.LONGEST_BYTES :]
        self._rest = rest
        return [_text(line) for line in whole]

    @property
    def progress(self) -> str:
        """The unfinished line if it has been overwritten, as progress bars do; else an empty text."""
        return _text(self._rest).rstrip() if b"\r" in self._rest else ""

    def close(self) -> list[str]:
        """Returns the last line if it had no end. Call it once, at the end of the stream."""
        last, self._rest = _text(self._rest), b""
        return [last] if last.strip() else []


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="backslashreplace")


class TaskOutput:
    """The console of a job. A context manager; one thread uses it.

    On a terminal, progress bars stay below the other lines and change in place. Elsewhere a task's progress becomes
    an ordinary line, at most one in :attr:`PROGRESS_SECS`.

    Attributes:
        is_closed: whether the console is a pipe that its reader has closed.
    """

    PROGRESS_SECS = 5.0

    def __init__(
        self, console: Console, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._clock = clock
        self.is_closed = False
        width = max(len(name) for name in (*names, _OWN_NAME))
        styles = [*zip(names, cycle(_COLOURS), strict=False), (_OWN_NAME, "bold")]
        self._prefixes = {name: Text(f"{name:<{width}} | ", style) for name, style in styles}
        self._progress: dict[str, str] = {}
        self._progress_printed: dict[str, float] = {}
        self._live: Live | None = None
        # A log file gets no cursor movements, even if the user wants colours in it (FORCE_COLOR).
        if console.is_interactive and console.file.isatty():
            self._live = Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            with self._terminal_may_be_gone():
                self._live.stop()

    def say(self, message: str) -> None:
        """Print a line of the launcher itself."""
        self.lines(_OWN_NAME, [message])

    def lines(self, name: str, lines: Sequence[str]) -> None:
        """Print lines of a task. Keeps colours in them and removes other terminal commands."""
        if lines:
            prefix = self._prefixes[name]
            block = Text("\n").join(Text.assemble(prefix, Text.from_ansi(line)) for line in lines)
            with self._terminal_may_be_gone():
                self._console.print(block, soft_wrap=True)

    def progress(self, name: str, text: str) -> None:
        """Show the progress of a task. An empty text removes it."""
        if text:
            self._progress[name] = text
        else:
            self._progress.pop(name, None)
        if self._live is not None:
            with self._terminal_may_be_gone():
                self._live.update(self._live_lines(), refresh=True)
        elif text and self._clock() - self._progress_printed.get(name, -self.PROGRESS_SECS) >= self.PROGRESS_SECS:
            self._progress_printed[name] = self._clock()
            self.lines(name, [text])

    def _live_lines(self) -> RenderableType:
        return Group(
            *(
                Text.assemble(self._prefixes[name], Text.from_ansi(text), no_wrap=True, overflow="ellipsis")
                for name, text in self._progress.items()
            )
        )

    @contextlib.contextmanager
    def _terminal_may_be_gone(self) -> Iterator[None]:
        """Go on without output if the terminal was closed: the job still has to end in order."""
        try:
            yield
        except (OSError, SystemExit) as error:  # rich exits when a pipe is closed
            self._console.quiet = True
            self.is_closed |= isinstance(error, ClosedOutputError | SystemExit)
