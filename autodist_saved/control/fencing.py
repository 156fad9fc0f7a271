"""When the chief has parameter servers shut out processes that it has lost, and why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autodist_saved.control.fence_round import FenceRound
from autodist_saved.control.former_process import FormerProcess
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_row import MemberRow, send
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.parking import Parking
from autodist_saved.control.process_ledger import ProcessLedger

# A fence that could not be put up is tried again: a connection may just have ended.
AGAIN_SECS = 1.0
_UNSEEN = "it has not said goodbye, and no task that watches it has seen its process end"


class Fencing:
    """Belongs to the table of members.

    A fence lasts one cut. A process that was shut out in one may be in a step that goes on afterwards: frozen in the
    middle, say. So the next cut has it shut out again, unless its end is known by then, or it has joined again.
    """

    def __init__(self, ledger: ProcessLedger, own: MemberStream) -> None:
        """No fence is up. ``own`` is the chief's own stream: its connections have to be let in, too."""
        self._ledger = ledger
        self._own = own
        self._rounds = 0

    def begin_if_possible(
        self, parking: Parking, workers: Iterable[MemberRow], stands_still: Callable[[MemberRow], bool], now: float
    ) -> None:
        """Begin a round, once nobody may train but the lost, and these can begin no step any more.

        Args:
            parking: the cut that is on.
            workers: those that talk to the chief.
            stands_still: whether one of them does, by its own word.
            now: the moment.
        """
        unproven, workers = [*self._ledger.unproven], [*workers]
        if parking.holds or not unproven or self._problem(unproven, now):
            return
        last = parking.round
        if last is not None:
            includes_all = not any(each.life in last.allowed for each in unproven)
            if (includes_all and not last.has_failed) or now < last.began_at + AGAIN_SECS:
                return
        # They make no connections, then, that others would not know of.
        if not all(map(stands_still, workers)):
            return
        self._rounds += 1
        asked = [*workers, *self._ledger.servers]
        parking.round = FenceRound(
            parking.epoch,
            self._rounds,
            now,
            parking.lease_secs,
            frozenset(row.life for row in workers),
            tuple(str(row.member.task) for row in self._ledger.servers),
        )
        question = parking.round.ask([self._own.task, *(str(row.member.task) for row in asked)])
        self._own.send(question)
        send(asked, question)

    def renew(self, parking: Parking, now: float) -> None:
        """Have the parameter servers put their fences up, or keep them up."""
        if parking.round is None:
            return
        messages = parking.round.renew(now)
        if messages:
            # Whoever exports may make another connection while the fence is up; the next renewal lets it in.
            self._own.send(parking.round.question)
        for row in self._ledger.servers:
            if (message := messages.get(str(row.member.task))) is not None:
                send([row], message)

    def doubt_of_former(self, former: FormerProcess, parking: Parking, now: float) -> str:
        """Which proof is missing of a process that does not talk to the chief, for people."""
        problem = self._problem([former], now)
        if not problem and parking.round is not None:
            problem = parking.round.doubt
        return f"{_UNSEEN}; {problem or 'it is not shut out yet'}"

    def doubt_of(self, row: MemberRow, parking: Parking, now: float) -> str:
        """Which proof is missing of a worker, for people; empty where its own words say it."""
        silent = self._ledger.silent_servers
        if row.may_train and row.member.state is MemberState.LOST:
            return self.doubt_of_former(row.former, parking, now)
        if row.member.state is MemberState.EXPECTED and silent:
            return f"{', '.join(silent)} has not joined either, and may know of a process of it that trains"
        if row.member.state is MemberState.EXPECTED or (now < row.drained_at and not row.talks):
            return "parameter servers may still be applying what its process had sent before it ended"
        return ""

    def _problem(self, unproven: Iterable[FormerProcess], now: float) -> str:
        """Why nobody can be shut out at this moment; empty where it can be tried."""
        left = max(each.lease_ends for each in unproven) - now
        if left > 0:
            return f"its training lease may last for another {left:.1f} s"
        servers = self._ledger.servers
        if not servers:
            return "the job has no parameter server that could shut it out"
        absent = [str(row.member.task) for row in servers if not row.talks]
        if absent:
            return f"{', '.join(absent)} would have to shut it out, and is not in the job"
        return ""
