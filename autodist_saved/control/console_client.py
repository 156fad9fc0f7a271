"""The console's other end: people and their tools, who are no tasks of the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import grpc

from autodist_saved.cluster import ControlFiles
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import CHANNEL_OPTIONS
from autodist_saved.control.connection_failure import connection_failure
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.errors import ExportError, JobError, TaskUnreachableError

ANSWER_SECS = 10.0
_LISTENS = (
    "listens, while its job runs, where `control:` of the cluster says, or else at the first port above all of the "
    "cluster's; `autodist-saved launch` tells the address at its start"
)


class ConsoleClient:
    """Asks the chief of a running job. Use it as a context manager.

    All methods raise ``TaskUnreachableError`` where nobody answers, and ``JobError`` where the chief refuses.
    """

    def __init__(self, address: str, files: ControlFiles) -> None:
        """Waits for nothing.

        Args:
            address: ``host:port`` of the chief's control service.
            files: what the job's ``control:`` names, on this machine.

        Raises:
            ClusterConfigError: the files cannot be used.
        """
        self._address = address
        self._credentials = Credentials.read_as_visitor(files)
        self._channel = self._credentials.channel(address, CHANNEL_OPTIONS)
        self._stub = control_pb2_grpc.ConsoleStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._channel.close()

    def status(self) -> control_pb2.StatusReply:
        """What the job is doing."""
        with self._asking():
            request, metadata = control_pb2.StatusRequest(), self._credentials.metadata
            reply: control_pb2.StatusReply = self._stub.Status(request, timeout=ANSWER_SECS, metadata=metadata)
            return reply

    def export(self, target: str) -> Iterator[control_pb2.ExportStatus]:
        """Have the job export now.

        Yields:
            how it goes, whenever that changes, and at last with ``path`` where the model is.

        Raises:
            ExportError: the export has failed.
        """
        with self._asking():
            request, metadata = control_pb2.ExportRequest(target=target), self._credentials.metadata
            for status in self._stub.Export(request, metadata=metadata):
                if status.error:
                    raise ExportError(f"the job did not export: {status.error}", phase=status.phase or None)
                yield status

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            match error.code():
                case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
                    why = connection_failure(self._channel, tls=self._credentials.certificate is not None)
                    raise TaskUnreachableError(
                        f"no chief answers at {self._address}{why}. A job that has just begun may still be loading "
                        f"TensorFlow: try again in a minute. Otherwise check the address: the chief {_LISTENS}"
                    ) from error
                case grpc.StatusCode.UNAUTHENTICATED:
                    raise JobError(
                        f"the chief turned this call away: {error.details()}; name the job's token file"
                    ) from error
                case grpc.StatusCode.UNIMPLEMENTED:
                    raise TaskUnreachableError(
                        f"what answers at {self._address} is no control service, perhaps the TensorFlow server of a "
                        f"task; the chief {_LISTENS}"
                    ) from error
                case code:
                    raise JobError(f"the chief refuses: {error.details() or code.name}") from error
