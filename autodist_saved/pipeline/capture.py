"""Capturing: the variables of one moment become the files of a bundle.

    connect -> cut -> stage -> release -> stream

Or, where something could not be copied, ``release`` comes after ``stream``.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

from autodist_saved.cut.cut import Cut
from autodist_saved.errors import AutodistSavedError, InconsistentError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.stream import BundleDestination, Streamed, streaming
from autodist_saved.plan import ExportPlan
from autodist_saved.report.witness import Witness
from autodist_saved.sources.source import Source, Staged

# While the writers wait, streaming may stand still for so long: parameter servers may be flushing gigabytes to a slow
# disk. A disk that does not answer at all must not stop a training for ever.
STALLED_SECS = 300.0

Phase = Callable[[str], AbstractContextManager[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captured:
    """What was captured, how, and what was seen of the job meanwhile."""

    staged: Staged
    streamed: Streamed
    witness: Witness


class State(enum.Enum):
    """How far a capture has come."""

    IDLE = enum.auto()
    CONNECTED = enum.auto()  # every task is ready to stage; all train
    STOPPED = enum.auto()  # the writers stand still
    STAGED = enum.auto()  # what is to be captured is copied, or held as it is; the writers still stand still
    RELEASED = enum.auto()  # the writers train on


class Capture:
    """One capture of a plan, of one cut. Used once, by one thread of the chief.

    The writers stand still no longer than staging takes, if all of it was copied. Whatever fails, :meth:`run` lets
    them go, and leaves nothing staged.
    """

    def __init__(
        self,
        plan: ExportPlan,
        source: Source,
        cut: Cut,
        options: ExportOptions,
        *,
        phase: Phase = lambda _: nullcontext(),
        while_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """Touches nothing.

        Args:
            plan: of the source, or some variables of it.
            source: where the variables are.
            cut: stops those who write them.
            options: for staging and streaming.
            phase: is entered for each phase, by its name.
            while_stopped: called when the variables are staged, while the writers stand still.
        """
        self.state = State.IDLE
        self._plan = plan
        self._source = source
        self._cut = cut
        self._options = options
        self._phase = phase
        self._while_stopped = while_stopped
        self._step_before: int | None = None

    def run(self, destination: BundleDestination) -> Captured:
        """Write every variable of the plan as an entry of a bundle, all of one cut.

        Raises:
            CutTimeoutError, InconsistentError: it could not be one moment. Nothing of it is visible.
        """
        try:
            self._connect(destination)
            staged = self._stage()
            stream_staged = self._stream_parked if staged.parked else self._stream_copied
            streamed, witness = stream_staged(staged, destination)
        except BaseException:
            self._clean_up()
            raise
        with self._phase("discard"):
            self._source.discard()
        return Captured(staged, streamed, witness)

    def _connect(self, destination: BundleDestination) -> None:
        with self._phase("connect"):
            self._source.connect(self._plan, destination.shared_directory, self._options)
        self.state = State.CONNECTED

    def _stage(self) -> Staged:
        self.state = State.STOPPED  # a cut that could not be acquired is released all the same
        with self._phase("cut"):
            self._cut.acquire()
        with self._phase("stage"):
            self._step_before = self._source.global_step()
            staged = self._source.stage(self._plan)
            self._while_stopped()
        self.state = State.STAGED
        return staged

    def _stream_copied(self, staged: Staged, destination: BundleDestination) -> tuple[Streamed, Witness]:
        """The copies stay as they are, so the writers need not wait until they have come."""
        witness = self._release()
        with self._phase("stream"), streaming(staged.plan, self._source, destination, self._options) as streamed:
            return streamed, witness

    def _stream_parked(self, staged: Staged, destination: BundleDestination) -> tuple[Streamed, Witness]:
        """The variables themselves are streamed, so the writers wait until all of them have come."""
        advanced_at = time.monotonic()

        def advance() -> None:
            nonlocal advanced_at
            advanced_at = time.monotonic()

        self._cut.extend(lambda: time.monotonic() > advanced_at + STALLED_SECS)
        with (
            self._phase("stream"),
            streaming(
                staged.plan, self._source, destination, self._options, training_waits=True, advance=advance
            ) as streamed,
        ):
            with self._phase("discard"):
                self._source.discard()  # the writers would copy what is still held before they change it
            return streamed, self._release()

    def _release(self) -> Witness:
        """Let the writers go, and check that they had stood still."""
        with self._phase("stage"):
            step_after = self._source.global_step()
        with self._phase("release"):
            seen = self._cut.release()
        self.state = State.RELEASED
        witness = Witness(
            seen.training, seen.epoch, seen.steps, seen.deaths, seen.shut_out, self._step_before, step_after
        )
        if witness.doubt and self._options.consistency == "step":
            raise InconsistentError(f"{witness.doubt}; export again")
        if witness.doubt:
            log.warning("what was captured may hold values of several steps: %s", witness.doubt)
        return witness

    def _clean_up(self) -> None:
        """After a failure, which no failure of this hides."""
        if self.state in {State.STOPPED, State.STAGED}:
            with suppress(AutodistSavedError):
                self._cut.release()
        try:
            self._source.discard()
        except Exception as error:  # noqa: BLE001 - whatever it is, the first failure is the one to raise
            log.warning("the staged copies could not be freed: %s", error)
