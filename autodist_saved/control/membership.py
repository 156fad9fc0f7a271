"""What the chief knows of the other tasks of its job."""

from __future__ import annotations

import enum
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.gate import Standing
from autodist_saved.control.rate import Rate


class MemberState(enum.Enum):
    """Whether a task takes part."""

    EXPECTED = "expected"  # has not joined yet
    JOINED = "joined"
    FINISHED = "finished"  # said goodbye
    FAILED = "failed"  # said that it has ended with an error
    LOST = "lost"  # its stream broke


@dataclass
class Member:
    """One other task. Its :class:`~autodist_saved.control.chief_service.ChiefService` guards it; times are monotonic.

    Attributes:
        task: such as ``worker:1``.
        state: whether it takes part.
        standing: to the cut ``epoch``, as it last said.
        steps: training steps since its process began, as it last said.
        steps_per_sec: over the last seconds; None as long as nobody knows.
        epoch: of the cut that ``standing`` is about; 0 for none.
        parked_until: it stays parked that long whatever happens to the chief; 0 while it is not known to be.
        heard_at: when it last said anything; 0 for never.
        lost_at: when its stream broke, it failed, or another process took its place.
        deaths: how many of its processes have ended within the job, but for a goodbye without an error.
        replaced: lives that another process has taken the place of.
        pid: of its process.
        life: another one for each process.
    """

    task: Task
    state: MemberState = MemberState.EXPECTED
    standing: Standing = Standing.TRAINING
    steps: int = 0
    steps_per_sec: float | None = None
    epoch: int = 0
    parked_until: float = 0.0
    heard_at: float = 0.0
    lost_at: float = 0.0
    deaths: int = 0
    replaced: set[str] = field(default_factory=set)
    pid: int = 0
    life: str = ""
    stream: grpc.ServicerContext | None = None
    outbox: list[control_pb2.ChiefMessage] = field(default_factory=list)
    _rate: Rate = field(default_factory=Rate)

    @property
    def trains(self) -> bool:
        """Whether it is a task that changes variables; parameter servers only hold them."""
        return self.task.type != "ps"

    def hear(self, progress: control_pb2.Progress) -> None:
        """Note what it says of itself."""
        self.heard_at = time.monotonic()
        self.steps_per_sec = self._rate.of(progress.steps)
        self.standing = _STANDINGS[progress.standing]
        self.steps = progress.steps
        self.epoch = progress.epoch

    def is_parked(self, epoch: int) -> bool:
        """Whether it has said that it is parked for this cut."""
        return self.epoch == epoch and self.standing is Standing.PARKED


@dataclass
class Parking:
    """The cut that is on.

    Attributes:
        epoch: its number.
        lease_secs: of its messages.
        sent_at: when each message was sent, by its renewal.
    """

    epoch: int
    lease_secs: float
    sent_at: list[float] = field(default_factory=list)

    def next_message(self) -> control_pb2.ChiefMessage:
        """Another message that asks to park, or to stay parked."""
        self.sent_at.append(time.monotonic())
        return self.message()

    def message(self) -> control_pb2.ChiefMessage:
        """The last message once more."""
        park = control_pb2.Park(epoch=self.epoch, renewal=len(self.sent_at) - 1, lease_secs=self.lease_secs)
        return control_pb2.ChiefMessage(park=park)

    def lease_ends(self, renewal: int) -> float:
        """When a member goes on that has had no later message than this one; 0 for one that was never sent."""
        return self.sent_at[renewal] + self.lease_secs if renewal < len(self.sent_at) else 0.0


class Workers(ABC):
    """The other tasks of a job, as a cut deals with them. All methods may be called from any thread of the chief."""

    @abstractmethod
    def park(self, epoch: int, lease_secs: float) -> None:
        """Ask every worker to begin no training step, those that join from now on before they can begin one.

        Args:
            epoch: number of the cut.
            lease_secs: a worker that hears nothing for so long goes on by itself.
        """

    @abstractmethod
    def renew_parking(self) -> None:
        """Begin the lease anew."""

    @abstractmethod
    def release(self, epoch: int) -> None:
        """Let the workers of a cut go on."""

    @abstractmethod
    def roster(self) -> tuple[Member, ...]:
        """What is known of every other task at this moment."""

    @abstractmethod
    def wait_for_news(self, holds: Callable[[tuple[Member, ...]], bool], timeout_secs: float) -> bool:
        """Wait until something holds of the roster, looking when anything changes. False when the time was over."""


class NoWorkers(Workers):
    """Those of a process without a cluster."""

    def park(self, epoch: int, lease_secs: float) -> None:
        """Nobody is asked."""

    def renew_parking(self) -> None:
        """Nobody has a lease."""

    def release(self, epoch: int) -> None:
        """Nobody is let go."""

    def roster(self) -> tuple[Member, ...]:
        return ()

    def wait_for_news(self, holds: Callable[[tuple[Member, ...]], bool], timeout_secs: float) -> bool:
        del timeout_secs
        return holds(())


_STANDINGS = {getattr(control_pb2.Progress, standing.name): standing for standing in Standing}
