"""The contract of a publisher: exports one job's model to one target, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.publish.target import Target


class Publisher(ABC):
    """Publishes a model that trains. Lives on the chief; :class:`PeriodicExporter` says when.

    Attributes:
        target: takes models in turn.
        published: paths of the models, oldest first.
    """

    target: Target
    published: list[str]

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether there is nothing to export from now: the session is lost, and there is no next one yet."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether the last published model is known to be the state that there is."""

    @abstractmethod
    def begin(self) -> None:
        """1. In the thread that trains, before its first step: refuse exports that could not succeed.

        Raises:
            UsageError: the arguments are wrong; all problems at once.
            TargetError: as the target's ``preflight``.
        """

    @abstractmethod
    def publish(self, reason: str, *, always: bool) -> None:
        """2. Export once, in any thread. Blocks while another thread exports.

        Args:
            reason: for the log.
            always: export also what is not better than the published models.

        Raises:
            JobError, ExportError, TargetError: there is no export this time.
        """

    @abstractmethod
    def end(self) -> None:
        """3. In the thread that trains: there are no more models of this training."""
