"""Where streams wait until their member has said who it is: few at a time, and not for long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import grpc

HELLO_SECS = 5.0
# A member says hello with its call; who is displaced by so many others in between was not going to.
STREAMS_MAX = 16


class Lobby:
    """Each waiting stream holds a thread, so the one that waits longest goes when too many come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[grpc.ServicerContext, None] = {}  # the longest waiting first

    @contextlib.contextmanager
    def wait(self, context: grpc.ServicerContext) -> Iterator[None]:
        """A scope in which a stream is cancelled when it takes too long, or too many others come."""
        silence = threading.Timer(HELLO_SECS, context.cancel)
        silence.daemon = True
        silence.start()
        with self._lock:
            displaced = next(iter(self._waiting)) if len(self._waiting) == STREAMS_MAX else None
            self._waiting.pop(displaced, None)
            self._waiting[context] = None
        if displaced is not None:
            displaced.cancel()
        try:
            yield
        finally:
            silence.cancel()
            with self._lock:
                self._waiting.pop(context, None)
