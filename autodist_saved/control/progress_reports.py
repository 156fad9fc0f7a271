"""What a member tells the chief of its gate: the answer to each request to park, and heartbeats."""

from __future__ import annotations

from collections.abc import Callable

from autodist_saved.control import control_pb2
from autodist_saved.control.gate import Gate, Standing

_NO_CUT = control_pb2.Park()


class ProgressReports:
    """Between a member's gate and its stream to the chief. Any thread may use it."""

    def __init__(self, gate: Gate, send: Callable[[control_pb2.MemberMessage], None]) -> None:
        """Sends nothing yet.

        Args:
            gate: of this process.
            send: takes each message. It is called with the gate's lock held, so it must not block.
        """
        self._gate = gate
        self._send = send
        self._training_lease_secs = 0.0

    def welcome(self, welcome: control_pb2.Welcome) -> None:
        """The chief has let this process in. It may train as soon as the chief has answered a report."""
        self._training_lease_secs = welcome.training_lease_secs
        self._gate.begin_lease()
        self.heartbeat()

    def heard(self, heard: control_pb2.Heard) -> None:
        """The chief has answered a report. The lease counts from when that was made; no clocks are compared."""
        self._gate.heard(heard.sent_at, self._training_lease_secs)

    def park(self, park: control_pb2.Park) -> None:
        """The chief asks this process to park, or to stay parked. The answer follows at once and when it changes."""
        self._gate.park(park.epoch, park.lease_secs, lambda standing: self._report(standing, park))

    def release(self, release: control_pb2.Release) -> None:
        """The chief lets this process go."""
        if self._gate.release(release.epoch):
            # Now, not with the next heartbeat: until the chief hears of it, `status` shows a parked worker.
            self.heartbeat()

    def heartbeat(self) -> None:
        """Say how this process stands, to the last request that it has heard."""
        if not self._gate.tell_again():
            self._report(Standing.TRAINING, _NO_CUT)

    def _report(self, standing: Standing, park: control_pb2.Park) -> None:
        progress = control_pb2.Progress(
            standing=getattr(control_pb2.Progress, standing.name),
            steps=self._gate.steps,
            epoch=park.epoch,
            # The chief counts the lease from when it sent this one: an answer must never name a request that the
            # gate has not taken yet.
            renewal=park.renewal,
            sent_at=self._gate.now(),
        )
        self._send(control_pb2.MemberMessage(progress=progress))
