"""Why a channel does not connect, in words: a call that waits until it does never learns the reason from gRPC."""

from __future__ import annotations

import grpc

# The channel knows already how its last attempt ended, so there is nothing to wait for.
ASKING_SECS = 0.5


def connection_failure(channel: grpc.Channel, *, tls: bool) -> str:
    """What a member's last attempt ended with, to be put behind "in vain". Empty where nobody listens.

    Args:
        channel: that has tried to connect.
        tls: whether this end speaks TLS.
    """
    try:
        # There is no such method. A call that does not wait for the connection fails with the reason in its details.
        channel.unary_unary("/autodist_saved.control.Control/None")(b"", timeout=ASKING_SECS)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return ""
        what = str(error.details()).rpartition("last error: ")[2]
        if "Connection refused" in what:
            return ""
        if "handshake failed" in what or "verification check failed" in what:
            return f": the TLS handshake failed ({what}); compare control.certificate and authority on both ends"
        # A server tells nobody why it does not take a certificate; it hangs up.
        if "Socket closed" in what and tls:
            return ": the TLS handshake failed, the chief hung up; see whether control.authority is the same there"
        if "Socket closed" in what:
            return ": it hangs up; see whether its control service has a certificate, and this task has none"
        return f": {what}"
    except ValueError:  # the channel was closed meanwhile
        pass
    return ""
