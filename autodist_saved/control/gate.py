"""The gate that every training step of a process passes: a cut closes it between two steps."""

from __future__ import annotations

import enum
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

log = logging.getLogger(__name__)


class Standing(enum.Enum):
    """How a task stands to a cut."""

    TRAINING = "training"  # no cut is on
    PARKING = "parking"  # it was asked to park, and a step is still under way
    PARKED = "parked"
    LEFT = "left"  # it heard nothing for its lease, and trains on


Tell = Callable[[Standing], None]

# So long parameter servers may go on applying what was sent by a step that has failed, or by a worker that died in
# one: it is in their queues. A step that succeeds has waited for all of it, so it leaves nothing behind.
DRAIN_SECS = 1.0
# A step that waits for the chief says so when it has waited for so long.
_TELL_SECS = 2.0


class Gate:
    """Lets training steps pass, or makes them wait. Belongs to one process; any thread may use it.

    Open, it costs a step 0.3 microseconds, no lock and no message.

    On a task with a chief it is open only until the end of the training lease, which each word of the chief renews.
    Nobody has to close it: each step reads the clock. So a process that was stopped for long and goes on begins no
    step either.

    ::

        with gate.step():
            session.run(first_half)
            session.run(second_half)

    Steps within a step count as one. A step that raises is not counted, and for :data:`DRAIN_SECS` the gate is not
    parked: others may still be applying what the step had sent them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Open. ``clock`` tells the moment, in seconds; it never goes back."""
        self._clock = clock
        self._local = threading.local()
        # Each thread counts its own steps, so that they need no lock. The reference is weak, because Python gives the
        # identity of a thread that has ended to the next one.
        self._passages: dict[_Passage, weakref.ref[threading.Thread]] = {}
        self._steps_of_ended_threads = 0
        self._changed = threading.Condition()
        self._restless_until = 0.0
        self._left_epoch = 0
        # Read without the lock on every step. Python's threads see each other's writes in order: a step marks itself
        # first and then looks for a parking, a parking is noted first and then looks for steps.
        self._parking: _Parking | None = None
        self._lease_ends = math.inf
        self._has_lease = True
        self._word_since = -math.inf
        self._waits_for_chief = False
        self._failure: Exception | None = None

    def now(self) -> float:
        """The moment on the clock of this gate, in seconds."""
        return self._clock()

    def step(self) -> _Passage:
        """A ``with`` block that is one training step of this thread.

        Blocks at its beginning while a cut is on, and while the training lease is over.

        Raises:
            AutodistSavedError: the error that :meth:`end_lease` was called with.
        """
        try:
            passage: _Passage = self._local.passage
        except AttributeError:
            passage = self._local.passage = self._new_passage()
        return passage

    @property
    def steps(self) -> int:
        """How many steps have passed since the process began. Exact while parked."""
        with self._changed:
            return self._steps_of_ended_threads + sum(passage.steps for passage in self._passages)

    @property
    def standing(self) -> Standing:
        """Whether a cut is on, and has stopped this process. Never ``LEFT``."""
        with self._changed:
            parking = self._parking
            if parking is None or parking.is_over(self._clock()):
                return Standing.TRAINING
            return Standing.PARKED if parking.is_complete else Standing.PARKING

    @property
    def is_inside(self) -> bool:
        """Whether the calling thread is within a step."""
        return self.step().depth > 0

    @property
    def others_train(self) -> bool:
        """Whether other threads than the calling one have taken steps here and are still alive."""
        with self._changed:
            return any(
                passage.steps and (alive := thread()) is not None and alive.is_alive()
                for passage, thread in self._passages.items()
                if thread() is not threading.current_thread()
            )

    def after_step(self, key: object, call: Callable[[], None]) -> None:
        """Call a function when the step that the calling thread is in is over; of one ``key`` the last one only.

        Where the step raises, nothing is called.
        """
        self.step().afterwards[key] = call

    def begin_lease(self) -> None:
        """Let steps begin only as :meth:`heard` says, from now on. Does nothing when called again."""
        with self._changed:
            if self._has_lease and self._lease_ends == math.inf:
                self._lease_ends = -math.inf

    def require_word(self) -> None:
        """Begin no step before the chief has answered what is sent from now on. Does nothing without a lease.

        Called when a session was made. One that replaces another may reach parameter servers that were started since,
        and these do not know what a chief before has told.
        """
        with self._changed:
            self._word_since = self._clock()
            if self._lease_ends != math.inf:
                self._lease_ends = -math.inf

    def heard(self, sent_at: float, lease_secs: float) -> None:
        """The chief has answered what was sent at a moment on the clock of this gate: steps may begin for a lease."""
        with self._changed:
            if not self._has_lease or sent_at < self._word_since:
                return
            self._lease_ends = max(self._lease_ends, sent_at + lease_secs)
            if self._waits_for_chief and self._clock() < self._lease_ends:
                self._waits_for_chief = False
                log.warning("the chief has answered, and training goes on")
            self._changed.notify_all()

    def end_lease(self, failure: Exception | None = None) -> None:
        """There is no chief any more to hear of: let steps begin as they like, or have each raise ``failure``."""
        with self._changed:
            self._has_lease, self._failure = False, failure
            self._lease_ends = math.inf if failure is None else -math.inf
            self._changed.notify_all()

    def park(self, epoch: int, lease_secs: float, tell: Tell = lambda _: None) -> None:
        """Let no step begin, from now on until :meth:`release`, or until the lease is over. Does not wait.

        Called again with the same epoch, it renews the lease, but not one that is over: the steps that have gone on
        then are not stopped again for this cut. Another epoch takes the place of the one before.

        Args:
            epoch: number of the cut.
            lease_secs: after so many seconds without another call the steps go on by themselves.
            tell: called with ``PARKED`` once no step is under way, at every renewal with the standing there is, and
                with ``LEFT`` when the lease is over. It must not block.
        """
        with self._changed:
            old = self._parking
            if old is not None and old.is_over(self._clock()):
                self._leave(old)
            # Steps have begun since, or may at any moment: to be parked again would look as if none had.
            if epoch == self._left_epoch:
                tell(Standing.LEFT)
                return
            # A renewal does not ask again whether steps are under way: none can have begun.
            complete = old is not None and old.epoch == epoch and old.is_complete
            self._parking = _Parking(epoch, self._clock() + lease_secs, tell, is_complete=complete)
            if complete:
                tell(Standing.PARKED)
            elif not self._complete():
                tell(Standing.PARKING)
            self._changed.notify_all()

    def release(self, epoch: int) -> bool:
        """Let the steps go on. False if they were not parked for this epoch, or not any more."""
        with self._changed:
            parking = self._parking
            if parking is None or parking.epoch != epoch:
                return False
            # Over, even if no step has come along since and noticed: one could have.
            over = parking.is_over(self._clock())
            self._parking = None
            self._changed.notify_all()
            return not over

    def tell_again(self) -> bool:
        """Call the ``tell`` of the last :meth:`park` with the standing there is now. False where no cut is on.

        Standing and caller belong together: another cut cannot come in between.
        """
        with self._changed:
            parking = self._parking
            if parking is None:
                return False
            if parking.is_over(self._clock()):
                self._leave(parking)
            elif parking.is_complete:
                parking.tell(Standing.PARKED)
            elif not self._complete():  # which tells that it is
                parking.tell(Standing.PARKING)
            return True

    def drain(self) -> None:
        """Wait until parameter servers have applied what a step that has raised had sent. No step is under way."""
        time.sleep(max(self._restless_until - self._clock(), 0))

    def wait_until_parked(self, timeout_secs: float) -> bool:
        """Wait until no step is under way. False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(self._complete, max(timeout_secs, 0))

    def _new_passage(self) -> _Passage:
        passage = _Passage(self)
        with self._changed:
            for old, thread in list(self._passages.items()):
                if thread() is None or not thread().is_alive():  # type: ignore[union-attr]
                    self._steps_of_ended_threads += old.steps
                    del self._passages[old]
            self._passages[passage] = weakref.ref(threading.current_thread())
        return passage

    def _wait(self, passage: _Passage) -> None:
        """At the beginning of a step, in the rare case that there is a parking, or the lease is over."""
        with self._changed:
            # It is not under way: whoever parks need not wait for a step that waits itself.
            passage.depth = 0
            asked_at = self._clock()
            while not self._may_begin():
                parking = self._parking
                if parking is None and self._clock() >= asked_at + _TELL_SECS:
                    self._tell_of_silence()
                # Whoever renews the lease, or ends it, wakes those who wait.
                self._changed.wait(_TELL_SECS if parking is None else parking.lease_ends - self._clock())
            passage.depth = 1

    def _may_begin(self) -> bool:
        """Whether a step may begin. The caller holds the lock. Raises what the lease has ended with."""
        if self._failure is not None:
            raise self._failure
        parking = self._parking
        if parking is not None and parking.is_over(self._clock()):
            self._leave(parking)
        elif parking is not None:
            self._complete()
            return False
        return self._clock() < self._lease_ends

    def _tell_of_silence(self) -> None:
        if self._waits_for_chief:
            return
        self._waits_for_chief = True
        log.warning(
            "the next training step waits for an answer of the chief, who answers once a parameter server has joined"
        )

    def _leave(self, parking: _Parking) -> None:
        """The lease of a parking is over. The caller holds the lock."""
        self._parking = None
        self._left_epoch = parking.epoch
        parking.tell(Standing.LEFT)
        self._changed.notify_all()

    def _end_of_step(self) -> None:
        """At the end of a step, in the rare case that there is a parking."""
        with self._changed:
            self._complete()

    def _complete(self) -> bool:
        """Note and tell that no step is under way any more, if so. The caller holds the lock."""
        parking = self._parking
        if parking is None or any(passage.depth for passage in self._passages):
            return False
        if self._clock() < self._restless_until:  # looked at again with the next renewal, at the latest
            return False
        if not parking.is_complete:
            parking.is_complete = True
            parking.tell(Standing.PARKED)
            self._changed.notify_all()
        return True


@dataclass
class _Parking:
    epoch: int
    lease_ends: float
    tell: Tell
    is_complete: bool = False

    def is_over(self, now: float) -> bool:
        return now >= self.lease_ends


class _Passage:
    """One thread's way through the gate, used for all of its steps."""

    __slots__ = ("_gate", "afterwards", "depth", "steps")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.depth = 0
        self.steps = 0
        self.afterwards: dict[object, Callable[[], None]] = {}

    def __enter__(self) -> None:
        self.depth += 1
        gate = self._gate
        if self.depth == 1 and (gate._parking is not None or gate._clock() >= gate._lease_ends):
            try:
                gate._wait(self)
            except BaseException:
                self.depth = 0
                raise

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.depth > 1:
            self.depth -= 1
            return
        if exception_type is None:
            self.steps += 1
        else:
            self._gate._restless_until = self._gate._clock() + DRAIN_SECS
        self.depth = 0
        if self._gate._parking is not None:
            self._gate._end_of_step()
        if self.afterwards:
            calls, self.afterwards = self.afterwards, {}
            for call in calls.values() if exception_type is None else ():
                call()
