"""The contract of a target: a place in which a SavedModel appears as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.publish.best import BestBy
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import ExportReport


class Target(ABC):
    """The place of one SavedModel, or of one after the other. The chief alone calls it, in this order; every other
    task leaves it alone.

    One that takes models in turn gives each :meth:`commit` a place of its own below :attr:`path`, and is open for the
    next one afterwards. :class:`~autodist_saved.ChiefExportHook` needs such a target.
    """

    @property
    @abstractmethod
    def path(self) -> str:
        """Where the model is to be, for messages."""

    @property
    def grows_on_disk(self) -> bool:
        """Whether all of a staged model is below its root, where a process of this machine can load it."""
        return True

    def preflight(self, nbytes: int, task: str = "") -> None:  # noqa: B027 - most need nothing
        """0. At the start of a job: refuse a target that will not take its models.

        Args:
            nbytes: bytes of one model, about.
            task: who exports, such as ``chief:0``; for messages.

        Raises:
            TargetError: it will not.
        """

    @abstractmethod
    def check(self) -> None:
        """1. Refuse a target that cannot take the model; leaves nothing behind.

        Raises:
            TargetExistsError: something is there already.
            TargetUnwritableError: the place cannot be written.
        """

    @abstractmethod
    def open(self, task: str = "") -> SavedModelFiles:
        """2. A staging place for the files, invisible to whoever looks for models. Removes what crashed exports
        left there. When it raises, nothing of its own is left, and what is staged already stays.

        Args:
            task: as for :meth:`preflight`.

        Raises:
            UsageError: a model is staged already, and neither committed nor abandoned.
        """

    def complete(self) -> None:  # noqa: B027 - most need nothing
        """2'. No more bytes of variables come: have those that are not below the root where they can be read back.
        No loader takes them for a model yet. May be called again; :meth:`commit` does it where nobody has.
        """

    @abstractmethod
    def commit(self) -> str:
        """3. Make what was staged visible, all at once and durably. Raises as :meth:`check` does.

        Returns:
            where the model is now.
        """

    @abstractmethod
    def abandon(self) -> None:
        """3'. Instead of :meth:`commit`: remove what was staged. May be called again, and after a commit."""

    def reports(self) -> list[ExportReport]:
        """What the manifests say of the models that are in the place, oldest first, as far as they can be read.

        Raises:
            TargetError, UnreadableError: the place cannot be looked through.
        """
        return []

    def keeps_best(self, by: BestBy) -> bool:  # noqa: ARG002 - most remove nothing
        """Whether the best of the models in the place stays there, whatever comes after it."""
        return True

    def close(self) -> None:  # noqa: B027 - most need nothing
        """4. There are no more models to come from this process. May be called again."""
