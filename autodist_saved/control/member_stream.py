"""One stream of a member, seen from the chief: what is to be sent over it, and whether it still counts."""

from __future__ import annotations

from autodist_saved.control import control_pb2


class MemberStream:
    """From a member's hello to the end of its connection. A member that connects again has another one.

    The object is the stream's identity: the table takes a message only from the stream that it has last let in for a
    task, so what an old connection still delivers changes nothing. Whoever holds the table's lock may use it.
    """

    def __init__(self, task: str) -> None:
        """Open, with nothing to send. ``task`` is such as ``worker:1``."""
        self.task = task
        self._outbox: list[control_pb2.ChiefMessage] = []
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether more messages may come. What is in the outbox is still to be sent."""
        return self._is_open

    @property
    def has_messages(self) -> bool:
        """Whether something is in the outbox."""
        return bool(self._outbox)

    def send(self, message: control_pb2.ChiefMessage) -> None:
        """Put a message behind those that wait. Does nothing once the stream is closed."""
        if self._is_open:
            self._outbox.append(message)

    def take(self) -> list[control_pb2.ChiefMessage]:
        """Empty the outbox. Returns what was in it, in the order in which it has to be sent."""
        messages, self._outbox = self._outbox, []
        return messages

    def close(self, last: control_pb2.ChiefMessage | None = None) -> None:
        """Send nothing more: only ``last``, behind what waits, or else not even that."""
        if last is None:
            self._outbox = []
        else:
            self.send(last)
        self._is_open = False
