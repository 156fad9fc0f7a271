"""The cut of a job whose workers pass gates: they park between two steps, told so over the control service."""

from __future__ import annotations

import errno
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable

from autodist_saved.cluster import Cluster, Task
from autodist_saved.cluster.address import Address
from autodist_saved.control.gate import DRAIN_SECS, Gate, Standing
from autodist_saved.control.membership import Member, MemberState, Workers
from autodist_saved.cut.cut import Cut, Standstill
from autodist_saved.errors import CutTimeoutError, ExportError, InconsistentError, UsageError
from autodist_saved.system import deadline

# A parked worker that hears nothing of its chief for so long goes on by itself.
LEASE_SECS = 5.0
_PROBE_SECS = 1.0
_REFUSED, _UNKNOWN = "refused", "unknown name"
_DEAD = "if it is dead, start it again there, or export with ExportOptions(consistency='none')"
_LOOK_SECS = 0.1

log = logging.getLogger(__name__)


class GateCut(Cut):
    """Parks the chief's own steps and those of every worker. Fails closed: never a cut without one of them.

    A worker counts unless it is known not to train: it has said goodbye, or nobody listens at its address any more.
    One that has joined and does not answer counts, and so does one that is merely cut off.
    """

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
        self._lease_secs = min(LEASE_SECS, timeout_secs + 0.5)
        self._epoch = 0
        self._deadline = 0.0
        self._steps = 0
        self._stood: dict[tuple[Task, str], int] = {}
        self._has_turn = False
        self._acquired = False
        self._extended = False
        self._expired = False
        self._probes = _Probes(cluster)
        self._over = threading.Event()
        self._renewing = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="cut", daemon=True)

    def acquire(self) -> None:
        if self._gate.is_inside:
            raise UsageError(
                "an export within a training step would hold half of that step; export after the `with gate.step():` "
                "block"
            )
        if self._wait:
            deadline.acquire(self._turn, lambda: "an export waits until another one lets the workers go")
        elif not self._turn.acquire(blocking=False):
            raise ExportError(
                "another export stops the workers at this moment; wait for it, then export again, or export with "
                "ExportOptions(when_busy='wait')"
            )
        self._has_turn = True
        try:
            self._park()
        except BaseException:
            self._let_go()
            self._give_turn_back()
            raise
        self._acquired = True

    def extend(self) -> None:
        self._extended = True
        if self._expired:
            raise self._too_slow()
        if self._workers.roster():
            log.warning("every task stands still until the variables are streamed: they are not copied beforehand")

    def release(self) -> Standstill:
        try:
            return self._release()
        finally:
            self._give_turn_back()

    def _release(self) -> Standstill:
        held_until = time.monotonic()
        roster, steps = self._workers.roster(), self._gate.steps
        own = self._let_go() and steps == self._steps
        if self._expired:
            raise self._too_slow()
        doubtful = [
            str(member.task)
            for member in _counting(roster)
            if self._stood.get((member.task, member.life), member.steps) != member.steps
            or (member.parked_until < held_until and not self._is_gone(member, self._probes.ask))
        ]
        if not own:
            doubtful.append(self._chief)
        if doubtful:
            raise InconsistentError(
                f"{', '.join(doubtful)} may have trained on while the variables were staged, having heard nothing of "
                f"the chief for {self._lease_secs:g} s; export again",
                task=", ".join(doubtful),
            )
        of_workers = {
            str(member.task): member.steps
            for member in roster
            if member.is_parked(self._epoch) or (member.trains and member.state is MemberState.FINISHED)
        }
        ended = {MemberState.LOST, MemberState.FAILED}
        deaths = sum(member.deaths + (member.state in ended) for member in roster if member.trains)
        return Standstill((), self._epoch, {self._chief: steps, **of_workers}, deaths)

    def _park(self) -> None:
        # Numbers of one chief grow, and those of a chief that was restarted go on above them.
        self._epoch = time.time_ns()
        self._deadline = time.monotonic() + self._timeout_secs
        self._gate.park(self._epoch, self._lease_secs)
        self._workers.park(self._epoch, self._lease_secs)
        self._keeper.start()
        self._wait_until_parked()

    def _wait_until_parked(self) -> None:
        gone: set[tuple[Task, str]] = set()
        while True:
            self._gate.wait_until_parked(min(_LOOK_SECS, self._left()))
            own = self._gate.standing is Standing.PARKED
            roster = self._workers.roster()
            lagging = [member for member in self._lagging(roster) if (member.task, member.life) not in gone]
            gone |= {(member.task, member.life) for member in lagging if self._is_gone(member, self._probes.last)}
            lagging = [member for member in lagging if (member.task, member.life) not in gone]
            if own and not lagging:
                self._steps = self._gate.steps
                self._stood = {(member.task, member.life): member.steps for member in roster}
                return
            if self._left() <= 0:
                raise self._timeout(own=own, lagging=lagging)
            self._workers.wait_for_news(self._all_parked(gone), min(_LOOK_SECS, self._left()))

    def _all_parked(self, gone: set[tuple[Task, str]]) -> Callable[[tuple[Member, ...]], bool]:
        return lambda roster: all((member.task, member.life) in gone for member in self._lagging(roster))

    def _lagging(self, roster: Iterable[Member]) -> list[Member]:
        return [
            member
            for member in _counting(roster)
            if member.state is not MemberState.JOINED or not member.is_parked(self._epoch) or not _has_drained(member)
        ]

    def _is_gone(self, member: Member, probe: Callable[[Task], str]) -> bool:
        """Whether a worker that is not in the job is known to have ended, and its last step with it."""
        match member.state:
            case MemberState.JOINED:
                return False
            case MemberState.FAILED:
                return _has_drained(member)
            case MemberState.EXPECTED:
                return probe(member.task) in {_REFUSED, _UNKNOWN}
            case _:
                return probe(member.task) == _REFUSED and _has_drained(member)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _keep(self) -> None:
        """Renew everybody's lease; let all go when the time is over, even if staging hangs at that moment."""
        while not self._over.wait(min(self._lease_secs / 4, math.inf if self._extended else max(self._left(), 0.1))):
            # Where it was not acquired in time, that is told by who waits for it, unless that was interrupted.
            if not self._extended and self._left() <= (0 if self._acquired else -self._lease_secs / 2):
                self._expired = True
                self._let_go()
                self._give_turn_back()
                return
            with self._renewing:
                if not self._over.is_set():
                    self._gate.park(self._epoch, self._lease_secs)
                    self._workers.renew_parking()

    def _let_go(self) -> bool:
        """Whether the chief's own steps had stood still until now."""
        with self._renewing:
            self._over.set()
            own = self._gate.release(self._epoch)
            self._workers.release(self._epoch)
        return own

    def _give_turn_back(self) -> None:
        with self._renewing:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()

    def _too_slow(self) -> CutTimeoutError:
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
            f"not every task came to the end of its step within {self._timeout_secs:g} s, so nothing was exported "
            "and all train on; raise cut_timeout_secs if steps take that long, else look at:\n  "
            + "\n  ".join(lines),
            task=", ".join(tasks),
        )

    def _describe(self, member: Member) -> str:
        address = self._cluster.address(member.task)
        now = time.monotonic()
        if not member.heard_at:
            return f"{member.task}: it has not joined, and nothing tells that nobody runs at {address}; {_DEAD}"
        heard = f"last heard of {now - member.heard_at:.1f} s ago, {member.standing.value} after {member.steps} steps"
        if member.state is MemberState.LOST:
            return (
                f"{member.task}: its connection broke {now - member.lost_at:.1f} s ago, and nothing tells that its "
                f"process at {address} has ended; {heard}; {_DEAD}"
            )
        return f"{member.task} ({address}): {heard}"


def _counting(roster: Iterable[Member]) -> list[Member]:
    return [member for member in roster if member.trains and member.state is not MemberState.FINISHED]


def _has_drained(member: Member) -> bool:
    """Whether parameter servers have applied by now what a process of this task had sent before it ended."""
    return time.monotonic() >= member.lost_at + DRAIN_SECS


class _Probes:
    """Whether anybody listens at workers' addresses. Who does not answer holds nobody up."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._answers: dict[Task, str] = {}
        self._asking: set[Task] = set()

    def last(self, task: Task) -> str:
        """The last answer, empty before the first; and asks again meanwhile."""
        if task not in self._asking:
            self._asking.add(task)
            threading.Thread(target=self._note, args=(task,), name="probe", daemon=True).start()
        return self._answers.get(task, "")

    def ask(self, task: Task) -> str:
        """The answer, after a second at most if the name is known."""
        address = Address.of(self._cluster.address(task))
        try:
            with socket.create_connection((address.host.strip("[]"), address.port), _PROBE_SECS):
                return "listens"
        except socket.gaierror as error:
            return _UNKNOWN if error.errno == socket.EAI_NONAME else "silent"
        except OSError as error:
            return _REFUSED if error.errno == errno.ECONNREFUSED else "silent"

    def _note(self, task: Task) -> None:
        self._answers[task] = self.ask(task)
        self._asking.discard(task)
