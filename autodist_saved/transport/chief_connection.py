"""The chief's end of the connection to one parameter server."""

from __future__ import annotations

import contextlib
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
from autodist_saved.system.memory import TaskMemory
from autodist_saved.transport.keepalive import notice_loss
from autodist_saved.transport.messages import receive_into, receive_message, send_message
from autodist_saved.transport.server_variable import ServerVariable, encode_variables
from autodist_saved.transport.staged_copies import StageResult
from autodist_saved.transport.staging_memory import Bytes
from autodist_saved.transport.transport_pb2 import Attach, Discard, Move, Probe, Reply, Request, Span, Stage

# If no byte arrives for so long, the parameter server has stopped or cannot be reached.
SILENCE_SECS = 60.0
# Before the answer to a write with ``sync``, the parameter server may have to flush gigabytes to a slow disk.
FLUSHING_SECS = 900.0
# Before the answer to ``attach``, TensorFlow may have to prepare a graph of many thousand variables.
ATTACHING_SECS = 600.0
_STEP_BYTES = 2**20  # how much of what a parameter server sends the chief holds at one time
_BATCH_BYTES = 2**25
# With few spans a request fits into the buffers of the connection. Otherwise both ends could wait for each other,
# because the parameter server may be sending at the same time.
_BATCH_SPANS = 1024
# The parameter server works on the next batch while the chief writes the last one.
_BATCHES_AHEAD = 2


class StagedSpan(NamedTuple):
    """A range of a staged variable, and its place in a file.

    Attributes:
        variable: position of the variable in the list that was attached.
        start: where the range begins in the variable, in bytes.
        nbytes: its length, in bytes.
        offset: where it belongs in the file, in bytes.
    """

    variable: int
    start: int
    nbytes: int
    offset: int


class ChiefConnection:
    """Sends requests to one parameter server. Any thread of the chief may call it; calls run one after the other.

    All methods raise ``TaskUnreachableError`` if the parameter server is lost, and ``ExportError`` if it reports that
    it cannot do what was requested.
    """

    def __init__(self, task: str, connection: socket.socket) -> None:
        """Takes over a connection.

        Args:
            task: the parameter server, such as ``ps:0``.
            connection: the connection from it. Its token has been checked.
        """
        self.task = task
        self._connection = connection
        connection.settimeout(SILENCE_SECS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_loss(connection)
        self._turn = threading.Lock()
        self._is_lost = False

    def attach(self, variables: Sequence[ServerVariable], staging: str, *, keep: bool) -> frozenset[int]:
        """Call :meth:`StagedCopies.attach` on the parameter server: it prepares to stage these variables."""
        attach = Attach(variables=encode_variables(variables), staging=staging, keep=keep)
        return frozenset(self._ask(Request(attach=attach), ATTACHING_SECS).absent)

    def stage(self) -> StageResult:
        """Call :meth:`StagedCopies.stage` on the parameter server: it stages the attached variables."""
        reply = self._ask(Request(stage=Stage()))
        shapes = {number: tuple(shape.extents) for number, shape in reply.shapes.items()}
        return StageResult(reply.parked, shapes, TaskMemory(reply.resident_bytes or None, staged=reply.staged_bytes))

    def discard(self) -> None:
        """Call :meth:`StagedCopies.discard` on the parameter server. Returns when it has released everything."""
        self._ask(Request(discard=Discard()))

    def sees(self, path: Path, contents: bytes) -> bool:
        """Whether the parameter server finds a file with these contents at this path, and may write it."""
        return self._ask(Request(probe=Probe(path=os.fsencode(path), contents=contents))).sees

    def receive(self, spans: Sequence[StagedSpan], path: Path) -> Iterator[list[int]]:
        """Receive ranges over the connection, and write them into a file in this process.

        Args:
            spans: the ranges.
            path: the file, which must exist.

        Yields:
            the CRC32C checksums of some of the spans at a time, unmasked, in the order of the spans.

        Raises:
            TargetUnwritableError: the file cannot be written.
        """
        with reporting_unwritable(path):
            file = os.open(path, os.O_WRONLY)
        buffer = np.empty(_STEP_BYTES, np.uint8)

        def take(batch: Sequence[StagedSpan]) -> None:
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

    def read(self, variable: int, start: int, nbytes: int) -> Bytes:
        """Read ``nbytes`` bytes of a staged variable from byte ``start``; ``variable`` as in :class:`StagedSpan`."""
        data = np.empty(nbytes, np.uint8)
        move = Move(spans=[Span(variable=variable, start=start, nbytes=nbytes)])
        with self._turn, self._reaching():
            self._connection.settimeout(SILENCE_SECS)
            send_message(self._connection, Request(move=move))
            if nbytes and not receive_into(self._connection, data.data):
                raise ConnectionError("the connection was closed")
            self._good(self._reply())
        return data

    def write(self, spans: Sequence[StagedSpan], path: Path, *, sync: bool) -> Iterator[list[int]]:
        """Make the parameter server write ranges into a file. Yields and raises as :meth:`receive` does.

        Args:
            spans: the ranges.
            path: the file, which must exist and which both tasks see.
            sync: flush the file to its disk at the end.
        """
        for reply in self._move(spans, lambda _: None, os.fsencode(path), sync=sync):
            if reply.error:
                raise TargetUnwritableError(
                    f"{self.task} cannot write to the export directory ({reply.error}); give it space and "
                    "permissions there, or export with transport='stream'",
                    task=self.task,
                    path=str(path),
                )
            yield list(reply.crc32c)

    def close(self) -> None:
        """Close the connection. The parameter server then releases what is still staged."""
        self._connection.close()

    def lose(self) -> None:
        """The parameter server is known to be lost: calls that wait for it raise now, and so do later ones.

        May be called while another thread is in a call.
        """
        self._is_lost = True
        with contextlib.suppress(OSError):  # it is closed already
            # Not that of a TLS connection, which another thread is reading.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def _ask(self, request: Request, timeout_secs: float | None = None) -> Reply:
        with self._turn, self._reaching():
            self._connection.settimeout(timeout_secs or SILENCE_SECS)
            send_message(self._connection, request)
            return self._good(self._reply())

    def _move(
        self,
        spans: Sequence[StagedSpan],
        take: Callable[[Sequence[StagedSpan]], None],
        path: bytes = b"",
        *,
        sync: bool = False,
    ) -> Iterator[Reply]:
        """Request batch after batch, call ``take`` for the bytes that precede each reply, and yield the replies."""
        waiting: deque[Sequence[StagedSpan]] = deque()

        def answer() -> Reply:
            batch = waiting.popleft()
            take(batch)
            self._connection.settimeout(FLUSHING_SECS if sync else SILENCE_SECS)
            reply = self._reply()
            if not reply.error and len(reply.crc32c) != len(batch):
                raise ConnectionError(f"{len(reply.crc32c)} checksums arrived for {len(batch)} ranges")
            return reply

        batches = list(_batches(spans))
        with self._turn, self._reaching():
            for number, batch in enumerate(batches, 1):
                move = Move(path=path, sync=sync and number == len(batches))
                for variable, start, nbytes, offset in batch:
                    move.spans.add(variable=variable, start=start, nbytes=nbytes, offset=offset)
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
                f"{self.task} cannot send its variables: {reply.error}; look at its own output", task=self.task
            )
        return reply

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Close the connection after any error, because the rest of a reply would be read as the next reply."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, AutodistSavedError) or not isinstance(error, OSError):
                raise
            what = "is lost" if self._is_lost else f"disappeared while it sent its variables ({error})"
            raise TaskUnreachableError(
                f"{self.task} {what}; look at its own output, and export again when the job trains again",
                task=self.task,
            ) from error


def _runs(spans: Sequence[StagedSpan]) -> Iterator[tuple[int, int]]:
    """Join spans that follow each other in the file. Yields offset and length of each run, in bytes."""
    start = stop = 0
    for span in spans:
        if span.offset != stop:
            yield start, stop - start
            start = stop = span.offset
        stop += span.nbytes
    yield start, stop - start


def _batches(spans: Sequence[StagedSpan]) -> Iterator[list[StagedSpan]]:
    """Divide spans into batches, each of which is one request."""
    batch: list[StagedSpan] = []
    nbytes = 0
    for span in spans:
        if batch and (nbytes + span.nbytes > _BATCH_BYTES or len(batch) == _BATCH_SPANS):
            yield batch
            batch, nbytes = [], 0
        batch.append(span)
        nbytes += span.nbytes
    if batch:
        yield batch
