"""The parameter server's end of the connection: it stages variables, and sends or writes what the chief requests."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.files import write_all
from autodist_saved.system.foreign_files import read_file
from autodist_saved.system.niceness import yield_to_training
from autodist_saved.transport.keepalive import notice_loss
from autodist_saved.transport.messages import receive_message, send_message
from autodist_saved.transport.server_variable import decode_variables
from autodist_saved.transport.staged_copies import OpenVariables, StagedCopies
from autodist_saved.transport.staging_memory import Bytes, StagingMemory
from autodist_saved.transport.transport_pb2 import Attach, Move, Probe, Reply, Request, Shape, Span

DIAL_SECS = 10.0
# Small enough to be still in the processor's cache when it is sent, after its checksum was computed.
_STEP_BYTES = 2**18

log = logging.getLogger(__name__)


def serve_copies(
    address: tuple[str, int],
    token: bytes,
    open_variables: OpenVariables,
    memory: StagingMemory,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve one export: connect to the chief, answer its requests until it closes the connection, then discard.

    The parameter server calls this in a new thread. Errors of a request are logged and reported to the chief; errors
    of the connection are logged.

    Args:
        address: host and port at which the chief listens.
        token: identifies this parameter server to the chief.
        open_variables: finds variables in this process.
        memory: this parameter server's memory for copies.
        tls: encrypts the connection, and checks that the chief's certificate is for its host; None for a connection
            without encryption.
    """
    try:
        with _connect(address, tls) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            notice_loss(connection)
            # No limit for the chief's next request: a silent chief may be busy with another parameter server.
            connection.settimeout(None)
            connection.sendall(token)
            server = _ServerConnection(connection, StagedCopies(open_variables, memory))
            try:
                server.answer_all()
            finally:
                server.copies.discard()
    except OSError as error:
        log.warning("the connection to the chief at %s:%d failed: %s", *address, error)


def _connect(address: tuple[str, int], tls: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(address, DIAL_SECS)
    return connection if tls is None else tls.wrap_socket(connection, server_hostname=address[0])


class _ServerConnection:
    """Answers the chief's requests for one export."""

    def __init__(self, connection: socket.socket, copies: StagedCopies) -> None:
        self.copies = copies
        self._connection = connection

    def answer_all(self) -> None:
        """Answer requests until the chief closes the connection. Raises ``OSError`` if the connection breaks."""
        while (request := receive_message(self._connection, Request)) is not None:
            try:
                reply = self._answer(request)
            except Exception as error:
                if request.WhichOneof("kind") == "move" and not request.move.path:
                    # The chief would read a reply as bytes of the variables, so close the connection instead.
                    raise ConnectionError(f"cannot send the variables ({error})") from error
                log.exception("cannot do what the chief requests")
                reply = Reply(error=f"{type(error).__name__}: {error}"[:4000])
            send_message(self._connection, reply)

    def _answer(self, request: Request) -> Reply:
        match request.WhichOneof("kind"):
            case "attach":
                return self._attach(request.attach)
            case "stage":
                return self._stage()
            case "discard":
                self.copies.discard()
                return Reply()
            case "probe":
                return Reply(sees=_sees(request.probe))
            case "move":
                return self._move(request.move)
            case _:
                return Reply(error="this parameter server has another version of autodist_saved than the chief")

    def _attach(self, attach: Attach) -> Reply:
        variables = decode_variables(attach.variables)
        return Reply(absent=sorted(self.copies.attach(variables, attach.staging, keep=attach.keep)))

    def _stage(self) -> Reply:
        staged = self.copies.stage()
        shapes = {number: Shape(extents=shape) for number, shape in staged.shapes.items()}
        resident, held = staged.memory.resident, staged.memory.staged
        return Reply(parked=staged.parked, shapes=shapes, resident_bytes=resident or 0, staged_bytes=held)

    def _move(self, move: Move) -> Reply:
        if not self.copies.parked:
            yield_to_training()  # the job trains again: only staging, which is over, was urgent
        spans = [self._bytes_of(span) for span in move.spans]
        if not move.path:
            return Reply(crc32c=[self._send(span) for span in spans])
        file = os.open(os.fsdecode(move.path), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            _lock(file, move)
            crcs = [_write(file, data, span.offset) for data, span in zip(spans, move.spans, strict=True)]
            if move.sync:
                os.fsync(file)
        finally:
            os.close(file)  # a network file system sends the bytes to its server now at the latest
        return Reply(crc32c=crcs)

    def _bytes_of(self, span: Span) -> Bytes:
        return self.copies.bytes_of(span.variable, span.start, span.nbytes)

    def _send(self, data: Bytes) -> int:
        crc = 0
        for step in _steps(data):
            crc = crc32c.extend(crc, step)
            self._connection.sendall(step.data)
        return crc


def _lock(file: int, move: Move) -> None:
    """Lock the written ranges. Without a lock, an NFS client may write whole pages, and so overwrite bytes that
    another machine has written in the same page.
    """
    first = min((span.offset for span in move.spans), default=0)
    last = max((span.offset + span.nbytes for span in move.spans), default=0)
    if last > first:
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.lockf(file, fcntl.LOCK_EX, last - first, first)


def _write(file: int, data: Bytes, offset: int) -> int:
    crc = 0
    for step in _steps(data):
        crc = crc32c.extend(crc, step)
        write_all(file, step, offset)
        offset += step.nbytes
    return crc


def _steps(data: Bytes) -> Iterator[Bytes]:
    return (data[start : start + _STEP_BYTES] for start in range(0, data.nbytes, _STEP_BYTES))


def _sees(probe: Probe) -> bool:
    path = Path(os.fsdecode(probe.path))
    try:
        return read_file(path, len(probe.contents)) == probe.contents and os.access(path, os.W_OK)
    except OSError:
        return False
