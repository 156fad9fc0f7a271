"""The gRPC server of the control service, and what it grants to those who are no members."""

from __future__ import annotations

from concurrent import futures

import grpc

from autodist_saved.control.channel import CHANNEL_OPTIONS
from autodist_saved.control.security import pending_streams
from autodist_saved.control.security.auth_interceptor import CALLS_MAX, AuthInterceptor
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.control.security.rejection_log import RejectionLog

# Of connections beyond those of members, at each address of the host. Two addresses stay below the usual 1024 files.
STRANGERS_MAX = 256
HANDSHAKE_MSECS = 5_000
IDLE_MSECS = 10_000
STREAMS_MAX = 16  # of one connection
_SPARE_THREADS = 4


def make_server(members: int, credentials: Credentials, refusals: RejectionLog) -> grpc.Server:
    """A server for so many members, which does not listen yet.

    A stream holds a thread for its whole life, and a member that comes back may meet its own old stream. Streams
    that have not said who they are hold those of the lobby and no more, so a thread is left for every member.
    """
    threads = 2 * members + pending_streams.STREAMS_MAX + _SPARE_THREADS
    return grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="control"),
        interceptors=[AuthInterceptor(credentials.token, refusals)],
        options=[
            *CHANNEL_OPTIONS,
            ("grpc.max_allowed_incoming_connections", 2 * members + STRANGERS_MAX),
            ("grpc.max_concurrent_streams", STREAMS_MAX),
            ("grpc.max_connection_idle_ms", IDLE_MSECS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MSECS),
        ],
        maximum_concurrent_rpcs=threads + 2 * CALLS_MAX + STRANGERS_MAX,
    )
