"""The chief's end of a connection to one parameter server."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.bundle.files import write_all
from autodist_saved.errors import AutodistSavedError, ExportError, TargetUnwritableError, TaskUnreachableError
from autodist_saved.transport.messages import receive_into, receive_message, send_message
from autodist_saved.transport.transport_pb2 import Attach, Copy, Move, Probe, Reply, Request

# Nothing at all comes for so long: the parameter server is stopped or cut off.
SILENCE_SECS = 60.0
# Before it answers, it may have to flush gigabytes to a slow disk.
FLUSHING_SECS = 900.0
_STEP_BYTES = 2**20
_BATCH_BYTES = 2**25
# A request never fills the buffers of a connection on which both ends may be sending.
_BATCH_SPANS = 1024
# The parameter server goes on with the next batch while the chief does its part of the last one.
_BATCHES_AHEAD = 2


class CopySpan(NamedTuple):
    """A range of a copy and where it goes in a file; all in bytes."""

    copy: int
    start: int
    nbytes: int
    offset: int


class Line:
    """Asks one parameter server. Any thread may call; the calls go one after the other.

    All methods raise ``TaskUnreachableError`` when the parameter server is gone, and ``ExportError`` when it cannot
    do what it is asked for.
    """

    def __init__(self, task: str, connection: socket.socket) -> None:
        """``connection`` is from ``task``, and its token has been checked."""
        self.task = task
        self._connection = connection
        connection.settimeout(SILENCE_SECS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._turn = threading.Lock()

    def attach(self, copies: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
        """Have copies held ready, by their ``shared_name`` and dtype. Returns the shape of each."""
        request = Attach(copies=[Copy(shared_name=name, dtype=dtype) for name, dtype in copies])
        shapes = [tuple(shape.extents) for shape in self._ask(Request(attach=request)).shapes]
        if len(shapes) != len(copies):
            raise ExportError(f"{self.task} attached {len(shapes)} of {len(copies)} copies", task=self.task)
        return shapes

    def sees(self, path: Path, contents: bytes) -> bool:
        """Whether the parameter server finds this file, with these contents, and may write it."""
        return self._ask(Request(probe=Probe(path=os.fsencode(path), contents=contents))).sees

    def receive(self, spans: Sequence[CopySpan], path: Path) -> Iterator[list[int]]:
        """Move ranges into a file, by this process.

        Args:
            spans: what to move.
            path: the file, which is there.

        Yields:
            checksums, of some spans at a time, in order.

        Raises:
            TargetUnwritableError: the file cannot be written.
        """
        with reporting_unwritable(path):
            file = os.open(path, os.O_WRONLY)
        buffer = np.empty(_STEP_BYTES, np.uint8)

        def take(batch: Sequence[CopySpan]) -> None:
            for offset, nbytes in _runs(batch):
                for at in range(0, nbytes, _STEP_BYTES):
                    step = buffer[: nbytes - at]
                    if not receive_into(self._connection, step.data):
                        raise ConnectionError("the connection was closed")
                    with reporting_unwritable(path):
                        write_all(file, step, offset + at)

        try:
            for reply in self._move(spans, take):
                yield list(self._good(reply).crc32c)
        finally:
            os.close(file)

    def write(self, spans: Sequence[CopySpan], path: Path, *, sync: bool) -> Iterator[list[int]]:
        """Have ranges written by the parameter server itself. Otherwise as :meth:`receive`.

        Args:
            spans: what to move.
            path: the file, which is there for both.
            sync: flush it to its disk at the end.
        """
        for reply in self._move(spans, lambda _: None, os.fsencode(path), sync=sync):
            if reply.error:
                raise TargetUnwritableError(
                    f"{self.task} cannot write to the export directory ({reply.error}); make room there, or export "
                    "with transport='stream'",
                    task=self.task,
                    path=str(path),
                )
            yield list(reply.crc32c)

    def close(self) -> None:
        """Hang up; the parameter server lets go of the copies then."""
        self._connection.close()

    def _ask(self, request: Request) -> Reply:
        with self._turn, self._reaching():
            send_message(self._connection, request)
            return self._good(self._reply())

    def _move(
        self,
        spans: Sequence[CopySpan],
        take: Callable[[Sequence[CopySpan]], None],
        path: bytes = b"",
        *,
        sync: bool = False,
    ) -> Iterator[Reply]:
        """Ask for batch after batch, ``take`` what comes before each answer, and yield the answers."""
        waiting: deque[Sequence[CopySpan]] = deque()

        def answer() -> Reply:
            batch = waiting.popleft()
            take(batch)
            self._connection.settimeout(FLUSHING_SECS if sync else SILENCE_SECS)
            reply = self._reply()
            if not reply.error and len(reply.crc32c) != len(batch):
                raise ConnectionError(f"{len(reply.crc32c)} checksums came for {len(batch)} ranges")
            return reply

        batches = list(_batches(spans))
        with self._turn, self._reaching():
            for number, batch in enumerate(batches, 1):
                move = Move(path=path, sync=sync and number == len(batches))
                for copy, start, nbytes, offset in batch:
                    move.spans.add(copy=copy, start=start, nbytes=nbytes, offset=offset)
                send_message(self._connection, Request(move=move))
                waiting.append(batch)
                if len(waiting) == _BATCHES_AHEAD:
                    yield answer()
            while waiting:
                yield answer()

    def _reply(self) -> Reply:
        reply = receive_message(self._connection, Reply)
        if reply is None:
            raise ConnectionError("the connection was closed")
        return reply

    def _good(self, reply: Reply) -> Reply:
        if reply.error:
            raise ExportError(
                f"{self.task} cannot give its copies: {reply.error}; see its own output", task=self.task
            )
        return reply

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Hang up when anything fails: the rest of an answer would be taken for the next one."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, AutodistSavedError) or not isinstance(error, OSError):
                raise
            raise TaskUnreachableError(
                f"{self.task} went away while it gave its copies ({error}); see its own output, and export again "
                "once the job goes on",
                task=self.task,
            ) from error


def _runs(spans: Sequence[CopySpan]) -> Iterator[tuple[int, int]]:
    """Offsets and lengths in the file, of spans that follow each other there."""
    start = stop = 0
    for span in spans:
        if span.offset != stop:
            yield start, stop - start
            start = stop = span.offset
        stop += span.nbytes
    yield start, stop - start


def _batches(spans: Sequence[CopySpan]) -> Iterator[list[CopySpan]]:
    """Spans in portions that are asked for together."""
    batch: list[CopySpan] = []
    nbytes = 0
    for span in spans:
        if batch and (nbytes + span.nbytes > _BATCH_BYTES or len(batch) == _BATCH_SPANS):
            yield batch
            batch, nbytes = [], 0
        batch.append(span)
        nbytes += span.nbytes
    if batch:
        yield batch
