"""What stands before the control service: it sees every call before a member's thread is spent on it."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
from google.protobuf.message import DecodeError

from autodist_saved.control import control_pb2
from autodist_saved.control.refusals import Refusals

# Calls without the token that may wait for their answer. Those beyond get none that says why.
BACKLOG = 64


class Doorkeeper(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets calls with the token pass, or all where there is none. Used by gRPC, in its one serving thread.

    Strangers have a thread of their own to be turned away in, so that members never wait behind them.
    """

    def __init__(self, token: str | None, refusals: Refusals) -> None:
        self._said = None if token is None else f"Bearer {token}".encode()
        self._refusals = refusals
        self._lock = threading.Lock()
        self._backlog = 0
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="control-strangers")
        self._deny_unknown = self._denial("it has another token than the chief")
        self._deny_silent = self._denial("it says no token, and the chief asks for one")

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """gRPC's: what handles a call; None for nothing, which it is told at once."""
        said = [value for key, value in handler_call_details.invocation_metadata if key == "authorization"]
        if self._said is None or any(hmac.compare_digest(_bytes(value), self._said) for value in said):
            handler = continuation(handler_call_details)
            return handler and handler._replace(request_deserializer=_read_message)
        with self._lock:
            if self._backlog == BACKLOG:
                return None
            self._backlog += 1
        return self._deny_unknown if said else self._deny_silent

    def _denial(self, reason: str) -> grpc.RpcMethodHandler:
        def deny(_: Iterator[bytes], context: grpc.ServicerContext) -> None:
            with self._lock:
                self._backlog -= 1
            self._refusals.note(context.peer(), reason)
            context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)

        deny.experimental_thread_pool = self._thread  # type: ignore[attr-defined]
        # A stream: gRPC would wait for the message of anything else first.
        return grpc.stream_stream_rpc_method_handler(deny)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


def _read_message(data: bytes) -> control_pb2.MemberMessage:
    """Empty where it is no message. An error would have gRPC log a traceback, and keep the stream for ever."""
    try:
        return control_pb2.MemberMessage.FromString(data)
    except DecodeError:
        return control_pb2.MemberMessage()
