"""Streams whose member has not said yet who it is: few at a time, and not for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from autodist_saved.control import control_pb2

# A member says hello together with its call, so this is for networks that are slow.
HELLO_SECS = 5.0
# For the same reason: a stream that so many others come after was not going to say anything.
STREAMS_MAX = 16


class PendingStreams:
    """Each of them holds a thread that a member may need, so the oldest goes when too many come. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[grpc.ServicerContext, None] = {}  # the oldest first

    def hear(
        self, requests: Iterator[control_pb2.MemberMessage], context: grpc.ServicerContext
    ) -> control_pb2.Hello | None:
        """Wait for the first message of a stream.

        Returns:
            the hello in it, an empty one if it is another message; None where the stream has ended before.
        """
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
        # Cancelled by the timer or a later stream, or by the other end.
        except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception when a stream breaks
            # gRPC keeps the error with the stream, and the stream would be kept by the error.
            error.__traceback__ = None
            return None
        finally:
            silence.cancel()
            with self._lock:
                self._waiting.pop(context, None)
