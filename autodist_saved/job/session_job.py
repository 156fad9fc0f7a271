"""The contract of a session's job: what an export has to know of the tasks that train on the session's variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Set

import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.control.gate import Gate
from autodist_saved.cut.cut import Cut, NoCut
from autodist_saved.options import ExportOptions
from autodist_saved.report.export_history import ExportHistory
from autodist_saved.sources.session_source import SessionSource
from autodist_saved.sources.staging_ops import StagingOps
from autodist_saved.sources.turn import Turn
from autodist_saved.transport.rendezvous import Rendezvous


class SessionJob(ABC):
    """The job of one session, on any of its tasks. Every method may be called in any thread.

    Attributes:
        gate: where the training steps of this process pass.
        history: the exports of the job.
        has_gates: whether all who train pass gates, so that a cut can stop them.
    """

    gate: Gate
    history: ExportHistory
    has_gates: bool

    @property
    @abstractmethod
    def cluster(self) -> Cluster:
        """The job's cluster, and which of its tasks this process is."""

    @property
    def rendezvous(self) -> Rendezvous | None:
        """Where the chief has parameter servers dial in; None on other tasks, and where none can."""
        return None

    @abstractmethod
    def cut(self, timeout_secs: float, *, wait: bool = False) -> Cut:
        """A cut of the whole job.

        Args:
            timeout_secs: how long training may stand still.
            wait: wait while another cut of the job is on, instead of raising.

        Raises:
            UsageError: this task cannot stop the others.
        """

    def cut_for(self, options: ExportOptions) -> Cut:
        """The cut that these options ask for. Raises as :meth:`cut`."""
        if options.consistency == "none":
            return NoCut(self.workers_training)
        return self.cut(options.cut_timeout_secs, wait=options.when_busy == "wait")

    def at_rest(self, restore: Callable[[], None], *, tasks: Set[str] = frozenset()) -> None:
        """Call what gives variables other values, while nobody trains; again, where somebody may have.

        Args:
            restore: restores, and can be called several times.
            tasks: that hold the variables, as far as they are known.

        Raises:
            CutTimeoutError: not all workers came to the end of their steps. ``restore`` was not called.
            UsageError: this task cannot stop the others, and would change their variables.
        """
        del tasks
        # Many runs, of which a cut must not see some. Ops of ours are no steps by themselves.
        with self.gate.step():
            restore()

    @abstractmethod
    def workers_training(self) -> tuple[str, ...] | None:
        """The other tasks that train at this moment, as far as this one knows; None where it cannot know."""

    def nobody_waits(self) -> bool:
        """Whether it is known that nobody would train on while an export streams."""
        return False

    def steps(self) -> dict[str, int]:
        """How many training steps each task has done, if this one alone can take more; empty otherwise."""
        return {}

    def is_over(self) -> bool:
        """Whether it has ended with success. Raises where it has failed, or lost its chief."""
        return False

    def export_on_request(self, exporter: Callable[[str], object]) -> None:  # noqa: B027 - most have no console
        """Let the console of the chief's job export. Does nothing on any other task."""

    def source(self, session: v1.Session, staging: StagingOps, turn: Turn) -> SessionSource:
        """The variables of a plain session of this job. ``turn`` is shared by all exports of one saver."""
        return SessionSource(session, staging, turn, rendezvous=self.rendezvous, nobody_waits=self.nobody_waits)
