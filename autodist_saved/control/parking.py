"""The cut that is on, as the chief keeps it: what it has sent, and why each process of a worker stands still."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from autodist_saved.control import control_pb2
from autodist_saved.control.fence_round import FenceRound, Life
from autodist_saved.control.member import Member


@dataclass
class Hold:
    """What makes it sure that one process has not trained since the cut holds.

    Attributes:
        steps: that it had done when the cut began to hold.
        until: it begins no step, or changes nothing by one, before this moment.
        ended_at: when the chief knew first that the process has ended; infinite as long as it does not.
        is_broken: whether it has told of another step, or that it trains on.
        is_shut_out: whether parameter servers turn it away, whatever it tells.
    """

    steps: int
    until: float
    ended_at: float = math.inf
    is_broken: bool = False
    is_shut_out: bool = False

    def lasts(self, now: float) -> bool:
        """Whether the process has stood still until now.

        One that has ended has, if it ended while it was parked. Where the proof of its end came later than that, it
        may have trained in between: not even a process that is certainly dead now is above doubt.
        """
        return not self.is_broken and min(now, self.ended_at) < self.until


@dataclass
class Parking:
    """From the moment at which workers are asked to park to their release. Moments are monotonic, in seconds.

    Attributes:
        epoch: number of the cut.
        lease_secs: a worker that hears nothing more for so long goes on by itself.
        began_at: when the workers were first asked.
        round: the last attempt to shut out who may train and does not stand still by its own word.
    """

    epoch: int
    lease_secs: float
    began_at: float
    round: FenceRound | None = None
    _sent_at: list[float] = field(default_factory=list)
    _holds: dict[Life, Hold] | None = None

    def renew(self, now: float) -> control_pb2.ChiefMessage:
        """Another message that asks to park, or to stay parked."""
        self._sent_at.append(now)
        return self.message()

    def message(self) -> control_pb2.ChiefMessage:
        """The last message once more."""
        park = control_pb2.Park(epoch=self.epoch, renewal=len(self._sent_at) - 1, lease_secs=self.lease_secs)
        return control_pb2.ChiefMessage(park=park)

    def lease_ends(self, renewal: int) -> float:
        """Until when a member surely stays parked that has had this message; 0 for one that was never sent.

        The member's own lease begins when it hears the message, so it ends later than this, however long the message
        took. No clocks are compared.
        """
        return self._sent_at[renewal] + self.lease_secs if renewal < len(self._sent_at) else 0.0

    @property
    def holds(self) -> bool:
        """Whether there was a moment at which no worker could train."""
        return self._holds is not None

    def shuts_out(self, life: Life, now: float) -> bool:
        """Whether no parameter server takes anything from a process at this moment."""
        return self.round is not None and life not in self.round.allowed and now < self.round.until

    def begin_to_hold(self, parked: Iterable[Member], shut_out: Iterable[Life]) -> None:
        """From this moment on each of these has to stand still, or stay out. All others are known to have ended."""
        self._holds = {(member.task, member.life): Hold(member.steps, member.parked_until) for member in parked}
        until = 0.0 if self.round is None else self.round.until
        self._holds |= {life: Hold(0, until, is_shut_out=True) for life in shut_out}

    def fence_stands(self) -> None:
        """A parameter server has said until when it keeps the fence up."""
        for hold in (self._holds or {}).values():
            if hold.is_shut_out and self.round is not None:
                hold.until = max(hold.until, self.round.until)

    @property
    def shut_out(self) -> tuple[str, ...]:
        """Names of the tasks with a process that parameter servers turn away while the cut holds."""
        holds = self._holds or {}
        return tuple(dict.fromkeys(str(task) for (task, _), hold in holds.items() if hold.is_shut_out))

    def hold_of(self, life: Life) -> Hold | None:
        """Of a process that has taken part since the cut holds; None of any other one."""
        return None if self._holds is None else self._holds.get(life)

    def add(self, life: Life, hold: Hold) -> None:
        """A process that has joined since the cut holds."""
        if self._holds is not None:
            self._holds[life] = hold

    def doubtful(self, now: float) -> tuple[str, ...]:
        """Names of the tasks one process of which may have trained since the cut holds."""
        holds = self._holds or {}
        return tuple(dict.fromkeys(str(task) for (task, _), hold in holds.items() if not hold.lasts(now)))
