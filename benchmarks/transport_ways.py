"""Ways for bytes from a parameter server's memory into the chief's file, for ``python -m benchmarks transport``."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.files import write_all
from autodist_saved.transport.chief_connection import StagedSpan
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_connection import serve_copies
from autodist_saved.transport.server_variable import ServerVariable
from autodist_saved.transport.staging_memory import StagingMemory

# The chunk of each way that was fastest in a scan from 256 KiB to 16 MiB.
GRPC_CHUNK_BYTES = 2**20
FLIGHT_CHUNK_BYTES = 2**20
SPAN_BYTES = 2**25

# From a parameter server, by its number, into a file, from an offset on.
Receive = Callable[[int, Path, int], None]


class Way(ABC):
    """One way. It can be pickled, because parameter servers are other processes."""

    @abstractmethod
    def serve(self, nbytes: int, chief: Connection) -> None:
        """Hold so many bytes, and send them whenever that is asked for, until the chief hangs up its pipe."""

    @abstractmethod
    def receiver(self, servers: Sequence[Connection], nbytes: int) -> AbstractContextManager[Receive]:
        """How the chief receives all that each of the parameter servers holds."""


class Socket(Way):
    """Ours: the parameter server dials in, and sends arrays over a plain socket."""

    def serve(self, nbytes: int, chief: Connection) -> None:
        chief.send(None)  # the rendezvous does not wait for a process that has just been started
        host, port, token = chief.recv()
        serve_copies((host, port), token, lambda _: _Held(nbytes), StagingMemory())

    @contextmanager
    def receiver(self, servers: Sequence[Connection], nbytes: int) -> Iterator[Receive]:
        def invite(task: str, port: int, token: bytes) -> bool:
            servers[int(task)].send(("127.0.0.1", port, token))
            return True

        for end in servers:
            end.recv()
        connections = Rendezvous("127.0.0.1", invite).connect(map(str, range(len(servers))))
        variable = ServerVariable("v", "", "uint8", reference=False, shape=(nbytes,))
        for connection in connections.values():
            connection.attach([variable], "memory", keep=False)
            connection.stage()

        def receive(server: int, file: Path, offset: int) -> None:
            spans = [
                StagedSpan(0, start, min(SPAN_BYTES, nbytes - start), offset + start)
                for start in range(0, nbytes, SPAN_BYTES)
            ]
            for _ in connections[str(server)].receive(spans, file):
                pass

        yield receive
        for connection in connections.values():
            connection.close()


class Grpc(Way):
    """One gRPC call, whose answer is a stream of chunks with a checksum at the end."""

    def serve(self, nbytes: int, chief: Connection) -> None:
        data = held_bytes(nbytes)

        def send(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            crc = 0
            for chunk in _chunks(data, GRPC_CHUNK_BYTES):
                crc = crc32c.extend(crc, chunk)
                yield chunk.tobytes()
            context.set_trailing_metadata((("crc32c", str(crc)),))

        handlers = {"Send": grpc.unary_stream_rpc_method_handler(send)}
        server = grpc.server(futures.ThreadPoolExecutor(1), options=_GRPC_OPTIONS)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmark", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        chief.send(port)
        _wait_for_hang_up(chief)
        server.stop(0)

    @contextmanager
    def receiver(self, servers: Sequence[Connection], nbytes: int) -> Iterator[Receive]:  # noqa: ARG002
        channels = [grpc.insecure_channel(f"127.0.0.1:{end.recv()}", _GRPC_OPTIONS) for end in servers]
        calls = [channel.unary_stream("/benchmark/Send") for channel in channels]

        def receive(server: int, file: Path, offset: int) -> None:
            with _opened(file) as descriptor:
                for chunk in calls[server](b""):
                    os.pwrite(descriptor, chunk, offset)
                    offset += len(chunk)

        yield receive
        for channel in channels:
            channel.close()


class Flight(Way):
    """Arrow Flight: record batches of one column of bytes, whose buffers travel without a copy in Python."""

    def serve(self, nbytes: int, chief: Connection) -> None:
        import pyarrow as pa
        from pyarrow import flight

        data = held_bytes(nbytes)
        schema = pa.schema([("bytes", pa.uint8())])

        class Server(flight.FlightServerBase):  # type: ignore[misc]
            def do_get(self, context: Any, ticket: Any) -> Any:  # noqa: ARG002
                return flight.GeneratorStream(schema, self._batches())

            def _batches(self) -> Iterator[Any]:
                for chunk in _chunks(data, FLIGHT_CHUNK_BYTES):
                    crc32c.extend(0, chunk)
                    yield pa.record_batch([pa.array(chunk)], schema=schema)

        with Server("grpc://127.0.0.1:0") as server:
            chief.send(server.port)
            _wait_for_hang_up(chief)
            server.shutdown()

    @contextmanager
    def receiver(self, servers: Sequence[Connection], nbytes: int) -> Iterator[Receive]:  # noqa: ARG002
        from pyarrow import flight

        clients = [flight.connect(f"grpc://127.0.0.1:{end.recv()}") for end in servers]

        def receive(server: int, file: Path, offset: int) -> None:
            with _opened(file) as descriptor:
                for chunk in clients[server].do_get(flight.Ticket(b"")):
                    column = chunk.data.column(0)
                    write_all(descriptor, column.to_numpy(), offset)
                    offset += len(column)

        yield receive
        for client in clients:
            client.close()


WAYS: dict[str, Way] = {"socket": Socket(), "grpc": Grpc(), "flight": Flight()}

_GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class _Held:
    """One variable, as a reader of :mod:`autodist_saved.transport.staged_copies` gives it."""

    absent: frozenset[int] = frozenset()

    def __init__(self, nbytes: int) -> None:
        self._data = held_bytes(nbytes)

    def read(self) -> dict[int, Any]:
        return {0: self._data}

    def close(self) -> None:
        """Nothing is held open."""


def held_bytes(nbytes: int) -> Any:
    """What each parameter server holds."""
    return np.frombuffer(np.random.default_rng(0).bytes(nbytes), np.uint8)


def _chunks(data: Any, chunk_bytes: int) -> Iterator[Any]:
    return (data[start : start + chunk_bytes] for start in range(0, data.nbytes, chunk_bytes))


def _wait_for_hang_up(chief: Connection) -> None:
    try:
        chief.recv()
    except EOFError:
        return


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
