"""One row of the chief's table of members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from autodist_saved.control import control_pb2
from autodist_saved.control.fence_round import Life
from autodist_saved.control.former_process import FormerProcess
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.rate import Rate


@dataclass
class MemberRow:
    """What the table alone has to know of a member.

    Attributes:
        member: what everybody may know.
        rate: of its steps.
        stream: its connection; None while it has none.
        process: the last one that has joined, as it has said itself.
        is_remembered: whether a parameter server remembers that one for the next chief.
        lease_ends: from this moment on it begins no step, unless it is answered again.
        unanswered: when it has sent what the chief has not answered yet, on its own clock; None for nothing.
        replaced: lives that another process has taken the place of.
        over: lives that are known to have ended, or to train no more.
        drained_at: from this moment on nothing is under way of its processes that have failed or ended.
    """

    member: Member
    rate: Rate
    stream: MemberStream | None = None
    process: control_pb2.Process = field(default_factory=control_pb2.Process)
    is_remembered: bool = False
    lease_ends: float = 0.0
    unanswered: float | None = None
    replaced: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    drained_at: float = 0.0

    @property
    def life(self) -> Life:
        return self.member.task, self.member.life

    @property
    def talks(self) -> bool:
        """Whether it takes part and is connected."""
        return self.member.state is MemberState.JOINED and self.stream is not None and not self.member.has_ended

    @property
    def may_train(self) -> bool:
        """Whether its last process may take another step, or be in one."""
        states = {MemberState.JOINED, MemberState.LOST}
        return self.member.trains and self.member.state in states and not self.member.has_ended

    @property
    def former(self) -> FormerProcess:
        """Its last process, as one of which nothing is heard any more."""
        return FormerProcess(self.member.task, self.process, self.lease_ends)


def send(rows: Iterable[MemberRow], message: control_pb2.ChiefMessage) -> None:
    """Put a message into the streams of those that have one."""
    for row in rows:
        if row.stream is not None:
            row.stream.send(message)
