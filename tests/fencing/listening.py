"""A server of this process and its clients, each a plain connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType

from autodist_saved.fencing.endpoint import Endpoint
from tests.support.patience import PATIENCE_SECS

LOOK_SECS = 0.005


class Listening:
    """Accepts whoever comes and keeps what they say, in threads that sleep as long as nobody says anything."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """Listens. ``::`` takes IPv4, too."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
        self.port: int = self._socket.getsockname()[1]
        self.accepts, self.reads = threading.Event(), threading.Event()
        self.accepts.set()
        self.reads.set()
        self._heard: defaultdict[Endpoint, bytes] = defaultdict(bytes)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Listening:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.accepts.set()
        self.reads.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(PATIENCE_SECS)
            assert not thread.is_alive()

    @property
    def said(self) -> int:
        """Bytes, by all."""
        return sum(map(len, self._heard.values()))

    def heard(self, client: Client) -> bytes:
        return self._heard[client.end]

    def wait_for(self, client: Client, said: bytes) -> None:
        wait_until(lambda: self.heard(client).endswith(said))

    def _accept(self) -> None:
        while True:
            self.accepts.wait()
            try:
                connection, name = self._socket.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._read, args=(connection, Endpoint.of(*name[:2]))))
            self._threads[-1].start()

    def _read(self, connection: socket.socket, client: Endpoint) -> None:
        with connection:
            while True:
                self.reads.wait()
                try:
                    said = connection.recv(100)
                except OSError:
                    return
                if not said:
                    return
                self._heard[client] += said


class Client:
    """A connection to a server of this process."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port))
        self.end = Endpoint.of(*self._socket.getsockname()[:2])

    def say(self, word: bytes) -> None:
        self._socket.sendall(word)

    def wait_for_end(self) -> None:
        """Until the server has ended the connection."""
        self._socket.settimeout(PATIENCE_SECS)
        with contextlib.suppress(ConnectionResetError):
            assert self._socket.recv(1) == b""

    def has_ended(self) -> bool:
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self._socket.setblocking(True)

    def close(self) -> None:
        self._socket.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECS)
