"""What the chief knows of the other tasks of its job, and what a cut asks of them."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass

from autodist_saved.cluster import Task
from autodist_saved.control.gate import Standing


class MemberState(enum.Enum):
    """Whether a task takes part in the job."""

    EXPECTED = "expected"  # has not joined this chief
    JOINED = "joined"
    FINISHED = "finished"  # said goodbye
    FAILED = "failed"  # said goodbye, with an error
    LOST = "lost"  # its stream broke


@dataclass(frozen=True)
class Member:
    """One other task, as the chief knows it at one moment. Moments are of the chief's monotonic clock, in seconds.

    Attributes:
        task: such as ``worker:1``.
        state: whether it takes part.
        standing: to the cut ``epoch``, in its own words.
        steps: training steps since its process began, in its own words.
        steps_per_sec: over the last seconds; None as long as nobody knows.
        epoch: of the cut that ``standing`` is about; 0 for none.
        parked_until: it begins no step before this moment, whatever happens to the chief; 0 where that is not known.
        heard_at: when it last said anything; 0 for never.
        lost_at: when its stream broke, or it said goodbye; 0 while it takes part.
        deaths: how many processes of this task have ended without a goodbye, or failed, before another one took
            their place.
        has_ended: whether the kernel of its machine has told that its process has ended.
        doubt: of a worker that may train: which proof of its standstill is missing, for people. Empty where the
            standing says it.
        pid: of its process.
        life: another one for each process, chosen by it.
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
    has_ended: bool = False
    doubt: str = ""
    pid: int = 0
    life: str = ""

    @property
    def trains(self) -> bool:
        """Whether it is a task that changes variables; parameter servers only hold them."""
        return self.task.type != "ps"

    def is_parked(self, epoch: int) -> bool:
        """Whether the last that it said is that it is parked for this cut."""
        return self.epoch == epoch and self.standing is Standing.PARKED


class Workers(ABC):
    """The other tasks of a job, as a cut deals with them. Called on the chief, from any thread.

    A cut calls :meth:`wait_for_leases`, :meth:`park` once, then :meth:`renew_parking` several times in each lease,
    :meth:`wait_until_parked` until it returns nobody, :meth:`doubtful` and :meth:`shut_out` and, in any case,
    :meth:`release`. There is one cut at a time.
    """

    @abstractmethod
    def wait_for_leases(self) -> None:
        """Wait until workers that are lost can begin no step any more: at most one training lease and its margin.

        All others train meanwhile, so that they stand still for a shorter time afterwards.
        """

    @abstractmethod
    def park(self, epoch: int, lease_secs: float) -> None:
        """Ask every worker to begin no training step, those that join from now on before they can begin one.

        Args:
            epoch: number of the cut. No two cuts of a job have the same, not even of two chiefs.
            lease_secs: a worker that hears nothing for so long goes on by itself.
        """

    @abstractmethod
    def renew_parking(self) -> None:
        """Begin the lease anew. Does nothing when no cut is on."""

    @abstractmethod
    def wait_until_parked(self, epoch: int, timeout_secs: float) -> tuple[Member, ...]:
        """Wait until no worker may train any more.

        Returns:
            the workers that may still train when the time is over. Empty when there are none: the cut holds from
            this moment, which :meth:`doubtful` refers to. Another call that returns nobody takes its place.
        """

    @abstractmethod
    def doubtful(self, epoch: int) -> tuple[str, ...]:
        """Names of the workers that may have trained since the cut holds. Called before :meth:`release`.

        Empty where the cut is not on any more, or never held.
        """

    @abstractmethod
    def shut_out(self, epoch: int) -> tuple[str, ...]:
        """Names of the tasks with a process that the parameter servers turn away in this cut.

        Such a process may have changed a part of the variables before, by a step that it did not finish.
        """

    @abstractmethod
    def release(self, epoch: int) -> None:
        """Let the workers go on. Does nothing when this cut is not on."""

    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """Every other task, parameter servers too, as it is known at this moment."""


class NoWorkers(Workers):
    """Those of a process without a cluster: there are none, so every cut of them holds at once."""

    def wait_for_leases(self) -> None:
        """Nobody is lost."""

    def park(self, epoch: int, lease_secs: float) -> None:
        """Nobody is there to park."""

    def renew_parking(self) -> None:
        """Nobody has a lease."""

    def wait_until_parked(self, epoch: int, timeout_secs: float) -> tuple[Member, ...]:
        del epoch, timeout_secs
        return ()

    def doubtful(self, epoch: int) -> tuple[str, ...]:
        del epoch
        return ()

    def shut_out(self, epoch: int) -> tuple[str, ...]:
        del epoch
        return ()

    def release(self, epoch: int) -> None:
        """Nobody stands still."""

    def members(self) -> tuple[Member, ...]:
        return ()
