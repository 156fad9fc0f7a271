"""What stands before the chief's services: it sees every call before a member's thread is spent on it."""

from __future__ import annotations

import functools
import hmac
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from autodist_saved.control import control_pb2
from autodist_saved.control.channel import peer_of
from autodist_saved.control.security.rejection_log import RejectionLog

# Calls at once that are no members', with a token and without. Those beyond are told nothing but that.
CALLS_MAX = 64
# For the calls of people and their tools.
CONSOLE_THREADS = 8
MEMBERS_CALL = f"/{control_pb2.DESCRIPTOR.services_by_name['Control'].full_name}/Join"


class AuthInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets calls with the token pass, or all where there is none. Used by gRPC, in its one serving thread.

    Strangers are turned away, and calls that are no members' served, in threads that members do not need.
    """

    def __init__(self, token: str | None, refusals: RejectionLog) -> None:
        self._said = None if token is None else f"Bearer {token}".encode()
        self._refusals = refusals
        self._strangers = _Threads(1, "control-strangers")
        self._console = _Threads(CONSOLE_THREADS, "control-console")
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
            if handler is None:
                return None
            handler = handler._replace(request_deserializer=_forgiving(handler.request_deserializer))
            return handler if handler_call_details.method == MEMBERS_CALL else self._console.serve(handler)
        return self._strangers.serve(self._deny_unknown if said else self._deny_silent)

    def _denial(self, reason: str) -> grpc.RpcMethodHandler:
        def deny(_: Iterator[bytes], context: grpc.ServicerContext) -> None:
            self._refusals.note(peer_of(context), reason)
            context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)

        # A stream: gRPC would wait for the message of anything else first.
        return grpc.stream_stream_rpc_method_handler(deny)


class _Threads(futures.ThreadPoolExecutor):
    """Threads for calls of one sort, and a bound on how many of them wait."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._calls = 0

    def serve(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler | None:
        """The same handler with these threads; None when there are too many calls."""
        if self._calls >= CALLS_MAX:
            return None
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        kind = next(kind for kind in kinds if getattr(handler, kind) is not None)
        behavior = functools.partial(getattr(handler, kind))
        behavior.experimental_thread_pool = self  # type: ignore[attr-defined]
        return handler._replace(**{kind: behavior})

    def submit(self, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """gRPC's, once for each call."""
        with self._lock:
            self._calls += 1
        future: futures.Future[Any] = super().submit(*args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: futures.Future[Any]) -> None:
        with self._lock:
            self._calls -= 1


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


def _forgiving(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Takes what is no message for an empty one. An error would have gRPC log a traceback, and keep the call."""

    def forgiving(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return deserialize(b"")

    return forgiving
