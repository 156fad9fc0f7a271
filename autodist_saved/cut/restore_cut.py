"""The cut of a restore: nobody trains while all variables get other values."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from autodist_saved.cluster import Cluster
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import Member, MemberState, Workers
from autodist_saved.cut.cut import Standstill
from autodist_saved.cut.gate_cut import CutWords, GateCut

_WORDS = CutWords(
    what="a restore",
    not_parked="so nothing was restored",
    advice="raise start_timeout_secs if steps take that long, else look at",
    dead="start it again",
    went_on="restore again",
)


class RestoreCut(GateCut):
    """As a :class:`GateCut`; it lasts until it is released, and begins within a step of the calling thread, too.

    A session is made anew where a run has failed, which may be one of several runs of a step.
    """

    words = _WORDS

    def __init__(
        self,
        cluster: Cluster,
        gate: Gate,
        workers: Workers,
        timeout_secs: float,
        *,
        turn: threading.Lock,
        strangers_train: bool = True,
    ) -> None:
        """Stops nobody yet. It waits for the end of another cut.

        Args:
            cluster, gate, workers, turn: as for a :class:`GateCut`.
            timeout_secs: how long the workers may take to park.
            strangers_train: whether workers that this chief has never heard of may train. They cannot where the
                variables have no values yet; but a worker that joins may begin as soon as they have.
        """
        super().__init__(cluster, gate, workers, timeout_secs, turn=turn, wait=True)
        self._strangers_train = strangers_train
        self._is_within_step = False
        self._passes = False

    def acquire(self) -> None:
        self._is_within_step = self._gate.is_inside
        super().acquire()
        self._extended = True
        # Ops that restore change variables. In a gated session they would wait for this cut.
        self._gate.step().depth += 1
        self._passes = True

    def _release(self) -> Standstill:
        if self._passes:
            self._passes = False
            self._gate.step().depth -= 1
        return super()._release()

    def _check_outside_step(self) -> None:
        """The step that the calling thread is in has failed, or is this restore."""

    def _is_parked(self) -> bool:
        return self._is_within_step or super()._is_parked()

    def _lagging(self, timeout_secs: float) -> Iterable[Member]:
        lagging = super()._lagging(timeout_secs)
        if self._strangers_train:
            return lagging
        return [one for one in lagging if one.state is MemberState.JOINED and not one.is_parked(self._epoch)]
