"""Where streams wait until their member has said who it is: few at a time, and not for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from autodist_saved.control import control_pb2

HELLO_SECS = 5.0
# A member says hello with its call; who is displaced by so many others in between was not going to.
STREAMS_MAX = 16


class PendingStreams:
    """Each waiting stream holds a thread, so the one that waits longest goes when too many come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[grpc.ServicerContext, None] = {}  # the longest waiting first

    def hear(
        self, requests: Iterator[control_pb2.MemberMessage], context: grpc.ServicerContext
    ) -> control_pb2.Hello | None:
        """The first message of a stream, empty if there is another or none; None where the stream has ended."""
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
            return next(requests, control_pb2.MemberMessage()).hello
        except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception when a stream breaks
            # gRPC keeps the error with the stream, and the stream would be kept by the error.
            error.__traceback__ = None
            return None
        finally:
            silence.cancel()
            with self._lock:
                self._waiting.pop(context, None)
