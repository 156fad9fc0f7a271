"""Standard output, written past Python's own buffer."""

from __future__ import annotations

import io
import os
import select


class ClosedOutputError(OSError):
    """The other end of the pipe is closed. No ``BrokenPipeError``: rich would end the process on one."""


class StandardOutput(io.TextIOBase):
    """Writes each text to a file descriptor, in full, before :meth:`write` returns.

    Python's own ``sys.stdout`` holds a lock while it writes. A thread that hangs in it makes the interpreter abort at
    its end. This one has no lock, so such a thread ends with the process.
    """

    def __init__(self, descriptor: int, encoding: str) -> None:
        """Takes over nothing: the descriptor stays open."""
        self._descriptor = descriptor
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What texts become bytes with. What it lacks becomes its number."""
        return self._encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Write all of a text; blocks as long as the other end takes nothing.

        Raises:
            ClosedOutputError: nobody can read it any more.
            OSError: it cannot be written.
        """
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # another process that shares the descriptor wants it so
                select.select([], [self._descriptor], [])
            except BrokenPipeError as error:
                raise ClosedOutputError("the reader of standard output has closed it") from error
        return len(text)
