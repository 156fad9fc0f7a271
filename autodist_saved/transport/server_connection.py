"""The parameter server's end: it stages variables and moves what the chief asks for."""

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
from autodist_saved.system.niceness import yield_to_training
from autodist_saved.transport.messages import receive_message, send_message
from autodist_saved.transport.server_variable import decode_variables
from autodist_saved.transport.staged_copies import Open, StagedCopies
from autodist_saved.transport.staging_memory import Bytes, StagingMemory
from autodist_saved.transport.transport_pb2 import Attach, Move, Probe, Reply, Request, Shape, Span

DIAL_SECS = 10.0
# While the chief is silent it is busy with another parameter server; when it is gone, TCP finds out.
_PING_SECS = 10
_PINGS = 3
# Small enough to be in the processor's cache still when it is sent, after its checksum was taken.
_STEP_BYTES = 2**18

log = logging.getLogger(__name__)


def hold(
    address: tuple[str, int],
    token: bytes,
    open_variables: Open,
    memory: StagingMemory,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve one export: dial the chief, answer it until it hangs up, then let go of what was staged.

    Called in a thread of its own. What fails is told to the chief where that is still possible, and logged. With
    ``tls``, for a member's end, the connection is encrypted and the chief has to prove its host.
    """
    try:
        with _dialed(address, tls) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PING_SECS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PING_SECS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PINGS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PING_SECS * (_PINGS + 1) * 1000)
            connection.settimeout(None)
            connection.sendall(token)
            holder = _ServerConnection(connection, StagedCopies(open_variables, memory))
            try:
                holder.answer_all()
            finally:
                holder.copies.discard()
    except OSError as error:
        log.warning("the connection to the chief at %s:%d failed: %s", *address, error)


def _dialed(address: tuple[str, int], tls: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(address, DIAL_SECS)
    return connection if tls is None else tls.wrap_socket(connection, server_hostname=address[0])


class _ServerConnection:
    def __init__(self, connection: socket.socket, copies: StagedCopies) -> None:
        self.copies = copies
        self._connection = connection

    def answer_all(self) -> None:
        while (request := receive_message(self._connection, Request)) is not None:
            try:
                reply = self._answer(request)
            except Exception as error:
                if request.WhichOneof("kind") == "move" and not request.move.path:
                    raise ConnectionError(f"cannot send ({error}), and an answer would be taken for bytes") from error
                log.exception("cannot do what the chief asks for")
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
            yield_to_training()  # the job goes on; staging was done in its time
        spans = [self._bytes_of(span) for span in move.spans]
        if not move.path:
            return Reply(crc32c=[self._send(span) for span in spans])
        file = os.open(os.fsdecode(move.path), os.O_WRONLY | os.O_NOFOLLOW)
        try:
            _lock(file, move)
            crcs = [_write(file, data, span.offset) for data, span in zip(spans, move.spans, strict=True)]
            if move.sync:
                os.fsync(file)
        finally:
            os.close(file)  # a network file system brings the bytes to its server now, at the latest
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
    """Lock what is written: without, NFS may write whole pages, with what others have written in them before."""
    first = min((span.offset for span in move.spans), default=0)
    last = max((span.offset + span.nbytes for span in move.spans), default=0)
    if last > first:
        with contextlib.suppress(OSError):  # there are file systems without locks
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
        return path.read_bytes() == probe.contents and os.access(path, os.W_OK)
    except OSError:
        return False
