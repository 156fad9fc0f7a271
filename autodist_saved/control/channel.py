"""What both ends of the control service agree on: settings of the channel, the digest of a job, names of peers."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import unquote

import grpc

from autodist_saved.cluster import Cluster

# So much a stranger can make the other end hold, for each of its streams.
MESSAGE_BYTES_MAX = 64 * 1024
# A peer is lost for sure 7 s after its last sign of life. Shorter, and a machine that swaps would lose its peers.
PING_MSECS = 2_000
PING_TIMEOUT_MSECS = 5_000

# Both ends ping, so that a peer that is stopped or cut off is noticed as surely as one that is dead.
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", PING_MSECS),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MSECS),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MSECS),
    ("grpc.keepalive_permit_without_calls", 1),
    # Otherwise gRPC stops after a few pings on a stream on which nothing else is said.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_MSECS // 2),
    # And otherwise it hangs up on a peer that pings that often.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MSECS // 2),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # gRPC's own backoff grows to two minutes; a chief that is back is to find its members sooner.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A cluster's machines reach each other, whatever proxy the environment names for the world outside.
    ("grpc.enable_http_proxy", 0),
    # Two chiefs at one port would share the members between them.
    ("grpc.so_reuseport", 0),
    # A member's connection is its own, with room for its streams whatever else its process does.
    ("grpc.use_local_subchannel_pool", 1),
)


def job_digest(cluster: Cluster) -> str:
    """A short digest of the cluster's addresses, the same on every task of a job. It finds mistakes, not attacks."""
    addresses = json.dumps({job: list(hosts) for job, hosts in sorted(cluster.addresses.items())})
    return hashlib.sha256(addresses.encode()).hexdigest()[:16]


def peer_of(context: grpc.ServicerContext) -> str:
    """The other end of a call, such as ``ipv6:[::1]:4711``."""
    return unquote(context.peer())  # gRPC escapes the brackets, as in a URL
