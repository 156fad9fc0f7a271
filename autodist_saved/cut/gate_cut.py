"""The cut of a job whose training steps pass gates: the chief asks all workers to park between two steps."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autodist_saved.cluster import Cluster
from autodist_saved.control.gate import Gate, Standing
from autodist_saved.control.member import Member, MemberState, Workers
from autodist_saved.cut.cut import Cut, Standstill
from autodist_saved.errors import CutTimeoutError, ExportError, InconsistentError, UsageError
from autodist_saved.system import deadline

# A parked worker that hears nothing of its chief for so long goes on by itself. It is what a job loses at most to a
# chief that dies in a cut, and what the network may take to deliver a renewal.
LEASE_SECS = 5.0
# Renewals in each lease: three may come late, or not at all, before a worker goes on.
_RENEWALS = 4
# Nothing tells when a worker that does not talk to the chief has drained, or its lease is over: so look now and then.
_LOOK_SECS = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutWords:
    """What messages say of the purpose of a cut.

    Attributes:
        what: what the workers stop for.
        not_parked: what follows when they do not.
        advice: what to do about that, before the list of those that do not.
        dead: what to do about a worker of which a proof is missing.
        went_on: what to do when some may have gone on.
    """

    what: str = "an export"
    not_parked: str = "so nothing was exported and all train on"
    advice: str = "raise cut_timeout_secs if steps take that long, else look at"
    dead: str = "start it again, or export with ExportOptions(consistency='none')"
    went_on: str = "export again"


class GateCut(Cut):
    """Parks the chief's own steps and those of every worker. The chief alone makes one and calls it.

    It fails closed: there is never a cut beside a worker that may train. A worker may, unless it has said that it is
    parked, has said goodbye, a kernel has told that its process has ended, or the parameter servers shut it out.
    :class:`~autodist_saved.control.member_table.MemberTable` decides who may train.

    Two threads meet here: the one that exports calls :meth:`acquire`, :meth:`extend` and :meth:`release`, and one of
    the cut's own renews the leases. The gate and the workers have locks of their own.
    """

    words = CutWords()

    def __init__(
        self,
        cluster: Cluster,
        gate: Gate,
        workers: Workers,
        timeout_secs: float,
        *,
        turn: threading.Lock | None = None,
        wait: bool = False,
    ) -> None:
        """Stops nobody yet.

        Args:
            cluster: the job.
            gate: the chief's own.
            workers: the others, as the chief's control service knows them.
            timeout_secs: how long training may stand still in all, unless :meth:`extend` is called.
            turn: shared by all cuts of the job, for there is one at a time.
            wait: wait in :meth:`acquire` while another one is on, instead of raising.
        """
        self._cluster = cluster
        self._chief = str(cluster.task or cluster.chief)
        self._gate = gate
        self._workers = workers
        self._timeout_secs = timeout_secs
        self._turn = turn or threading.Lock()
        self._wait = wait
        # Where the chief dies, nobody stands still for much longer than it could have asked for.
        self._lease_secs = min(LEASE_SECS, timeout_secs + 0.5)
        self._epoch = 0
        self._deadline = 0.0
        self._steps = 0
        self._has_turn = False
        self._acquired = False
        self._extended = False
        self._is_stalled: Callable[[], bool] = lambda: False
        self._expired = False
        self._over = threading.Event()
        # Held while leases are renewed, and while all are let go: no renewal may follow a release.
        self._renewing = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="cut", daemon=True)

    def acquire(self) -> None:
        self._check_outside_step()
        if self._wait:
            deadline.acquire(self._turn, lambda: f"{self.words.what} waits until another cut lets the workers go")
        elif not self._turn.acquire(blocking=False):
            raise ExportError(
                "another export stops the workers at this moment; wait for it, then export again, or export with "
                "ExportOptions(when_busy='wait')"
            )
        self._has_turn = True
        try:
            self._park()
        except BaseException:
            # KeyboardInterrupt too: nobody may stand still because of an export that has failed.
            self._let_go()
            self._give_turn_back()
            raise
        self._acquired = True

    def _check_outside_step(self) -> None:
        if self._gate.is_inside:
            # It would wait for its own step, and time out.
            raise UsageError(
                "an export within a training step would hold half of that step; export after the `with gate.step():` "
                "block"
            )

    def extend(self, is_stalled: Callable[[], bool] = lambda: False) -> None:
        self._is_stalled = is_stalled
        self._extended = True
        # Where the time runs out between these two lines, release() says so.
        if self._expired:
            raise self._too_slow()
        # Where nobody trains any more, as at the end of a training, this stops nobody.
        if any(member.trains and member.state is MemberState.JOINED for member in self._workers.members()):
            log.warning(
                "training stands still until all variables are streamed: a parameter server has no memory for copies "
                "of its variables, or the options ask for staging='parked'"
            )

    def release(self) -> Standstill:
        try:
            return self._release()
        finally:
            self._give_turn_back()

    def _release(self) -> Standstill:
        # Before anybody is let go: afterwards nothing distinguishes those that went on by themselves.
        doubtful, shut_out = [*self._workers.doubtful(self._epoch)], self._workers.shut_out(self._epoch)
        members, steps = self._workers.members(), self._gate.steps
        own = self._let_go() and steps == self._steps
        if self._expired:
            raise self._too_slow()
        if not own:
            doubtful.append(self._chief)
        if doubtful:
            raise InconsistentError(
                f"{', '.join(doubtful)} may have trained on while the variables were staged, having heard nothing of "
                f"the chief for {self._lease_secs:g} s; {self.words.went_on}",
                task=", ".join(doubtful),
            )
        of_workers = {
            str(member.task): member.steps
            for member in members
            if member.is_parked(self._epoch) or (member.trains and member.state is MemberState.FINISHED)
        }
        deaths = sum(
            member.deaths + (member.has_ended or member.state is MemberState.FAILED)
            for member in members
            if member.trains
        )
        return Standstill((), self._epoch, {self._chief: steps, **of_workers}, deaths, shut_out)

    def _park(self) -> None:
        self._workers.wait_for_leases()
        # No two cuts have the same number, and a restarted chief knows nothing of those of the one before it. So the
        # clock of the machine gives them. Nothing depends on their order.
        self._epoch = time.time_ns()
        self._deadline = time.monotonic() + self._timeout_secs
        self._gate.park(self._epoch, self._lease_secs)
        self._workers.park(self._epoch, self._lease_secs)
        self._keeper.start()
        self._wait_until_parked()

    def _wait_until_parked(self) -> None:
        while True:
            self._gate.wait_until_parked(min(_LOOK_SECS, self._left()))
            lagging = self._lagging(min(_LOOK_SECS, self._left()))
            # Asked last: the chief's own steps must stand still at the moment at which the workers' do.
            own = self._is_parked()
            if own and not lagging:
                self._steps = self._gate.steps
                return
            if self._left() <= 0:
                raise self._timeout(own=own, lagging=lagging)

    def _is_parked(self) -> bool:
        """Whether the chief's own steps stand still."""
        return self._gate.standing is Standing.PARKED

    def _lagging(self, timeout_secs: float) -> Iterable[Member]:
        """The workers that may still train when the time is over."""
        return self._workers.wait_until_parked(self._epoch, timeout_secs)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _keep(self) -> None:
        """Renew everybody's lease; let all go when the time is over, even if staging hangs at that moment."""
        while not self._over.wait(self._until_next_look()):
            # A cut that is not acquired in time is let go by who waits for it, with the names of those that lag. The
            # keeper does it only where that thread has been interrupted and does not get there.
            limit = 0 if self._acquired else -self._lease_secs / 2
            if self._is_stalled() if self._extended else self._left() <= limit:
                self._expired = True
                self._let_go()
                self._give_turn_back()
                return
            with self._renewing:
                if not self._over.is_set():
                    self._gate.park(self._epoch, self._lease_secs)
                    self._workers.renew_parking()

    def _until_next_look(self) -> float:
        return min(self._lease_secs / _RENEWALS, math.inf if self._extended else max(self._left(), 0.1))

    def _let_go(self) -> bool:
        """Returns whether the chief's own steps have stood still until now."""
        with self._renewing:
            self._over.set()
            own = self._gate.release(self._epoch)
            self._workers.release(self._epoch)
        return own

    def _give_turn_back(self) -> None:
        # Both the keeper and release() come here, and another cut may have the turn already.
        with self._renewing:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()

    def _too_slow(self) -> CutTimeoutError:
        if self._extended:
            return CutTimeoutError(
                "nothing was streamed for so long that the workers were let go; look at the disk of the export, and "
                "at parameter servers that do not answer"
            )
        return CutTimeoutError(
            f"staging took so long that the workers were let go, {self._timeout_secs:g} s after they had been asked "
            "to stop; raise cut_timeout_secs, or look for a parameter server that is slow"
        )

    def _timeout(self, *, own: bool, lagging: Iterable[Member]) -> CutTimeoutError:
        lines = [self._describe(member) for member in lagging]
        tasks = [str(member.task) for member in lagging]
        if not own:
            lines.append(f"{self._chief} itself is in a step, after {self._gate.steps}")
            tasks.append(self._chief)
        return CutTimeoutError(
            f"not every task came to the end of its step within {self._timeout_secs:g} s, {self.words.not_parked}; "
            f"{self.words.advice}:\n  " + "\n  ".join(lines),
            task=", ".join(tasks),
        )

    def _describe(self, member: Member) -> str:
        address = self._cluster.address(member.task)
        now = time.monotonic()
        if member.state is MemberState.EXPECTED:
            what = f"{member.task}: it has not joined, and a process at {address} may be training"
        elif member.state is MemberState.LOST and not member.heard_at:
            # It was there before this chief, or another one has taken its place.
            what = f"{member.task}: process {member.pid} of it, of which nothing is heard any more, may be training"
        else:
            what = (
                f"{member.task} ({address}): last heard of {now - member.heard_at:.1f} s ago, "
                f"{member.standing.value} after {member.steps} steps"
            )
            if member.state is MemberState.LOST:
                what += (
                    f"; its connection broke {now - member.lost_at:.1f} s ago, and its process {member.pid} may be "
                    "training"
                )
        return f"{what}: {member.doubt}; {self.words.dead}" if member.doubt else what
