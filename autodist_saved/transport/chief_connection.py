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
from autodist_saved.system.memory import TaskMemory
from autodist_saved.transport.messages import receive_into, receive_message, send_message
from autodist_saved.transport.server_variable import ServerVariable, encode_variables
from autodist_saved.transport.staged_copies import StageResult
from autodist_saved.transport.staging_memory import Bytes
from autodist_saved.transport.transport_pb2 import Attach, Discard, Move, Probe, Reply, Request, Span, Stage

# Nothing at all comes for so long: the parameter server is stopped or cut off.
SILENCE_SECS = 60.0
# Before it answers, it may have to flush gigabytes to a slow disk.
FLUSHING_SECS = 900.0
# Or TensorFlow has to prepare a graph of many thousand variables.
ATTACHING_SECS = 600.0
_STEP_BYTES = 2**20
_BATCH_BYTES = 2**25
# A request never fills the buffers of a connection on which both ends may be sending.
_BATCH_SPANS = 1024
# The parameter server goes on with the next batch while the chief does its part of the last one.
_BATCHES_AHEAD = 2


class StagedSpan(NamedTuple):
    """A range of a variable, given by its place in what was attached, and where it goes in a file; all in bytes."""

    variable: int
    start: int
    nbytes: int
    offset: int


class ChiefConnection:
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

    def attach(self, variables: Sequence[ServerVariable], staging: str, *, keep: bool) -> frozenset[int]:
        """Have it get ready to stage variables. Otherwise as :meth:`StagedCopies.attach`, which it calls there."""
        attach = Attach(variables=encode_variables(variables), staging=staging, keep=keep)
        return frozenset(self._ask(Request(attach=attach), ATTACHING_SECS).absent)

    def stage(self) -> StageResult:
        """Have the attached variables staged."""
        reply = self._ask(Request(stage=Stage()))
        shapes = {number: tuple(shape.extents) for number, shape in reply.shapes.items()}
        return StageResult(reply.parked, shapes, TaskMemory(reply.resident_bytes or None, staged=reply.staged_bytes))

    def discard(self) -> None:
        """Have it let go of what was staged; it has done so when this returns."""
        self._ask(Request(discard=Discard()))

    def sees(self, path: Path, contents: bytes) -> bool:
        """Whether the parameter server finds this file, with these contents, and may write it."""
        return self._ask(Request(probe=Probe(path=os.fsencode(path), contents=contents))).sees

    def receive(self, spans: Sequence[StagedSpan], path: Path) -> Iterator[list[int]]:
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
        """A range of a staged variable."""
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
        """Have ranges written by the parameter server itself. Otherwise as :meth:`receive`.

        Args:
            spans: what to move.
            path: the file, which is there for both.
            sync: flush it to its disk at the end.
        """
        for reply in self._move(spans, lambda _: None, os.fsencode(path), sync=sync):
            if reply.error:
                raise TargetUnwritableError(
                    f"{self.task} cannot write to the export directory ({reply.error}); see to its room and "
                    "permissions there, or export with transport='stream'",
                    task=self.task,
                    path=str(path),
                )
            yield list(reply.crc32c)

    def close(self) -> None:
        """Hang up; the parameter server lets go of what was staged then, if it has not before."""
        self._connection.close()

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
        """Ask for batch after batch, ``take`` what comes before each answer, and yield the answers."""
        waiting: deque[Sequence[StagedSpan]] = deque()

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
                f"{self.task} cannot give its variables: {reply.error}; see its own output", task=self.task
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
                f"{self.task} went away while it gave its variables ({error}); see its own output, and export again "
                "once the job goes on",
                task=self.task,
            ) from error


def _runs(spans: Sequence[StagedSpan]) -> Iterator[tuple[int, int]]:
    """Offsets and lengths in the file, of spans that follow each other there."""
    start = stop = 0
    for span in spans:
        if span.offset != stop:
            yield start, stop - start
            start = stop = span.offset
        stop += span.nbytes
    yield start, stop - start


def _batches(spans: Sequence[StagedSpan]) -> Iterator[list[StagedSpan]]:
    """Spans in portions that are asked for together."""
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
