"""The contract of a target: the place at which a SavedModel appears as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.publish.best import BestBy
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import ExportReport


class Target(ABC):
    """The place of one SavedModel, or of several, one after the other.

    Only the chief calls a target, in the order of the numbers below. A target for several models gives each
    :meth:`commit` its own directory below :attr:`path`, and can be opened again afterwards.
    :class:`~autodist_saved.ChiefExportHook` needs such a target.
    """

    @property
    @abstractmethod
    def path(self) -> str:
        """Path or URL of the place, for messages."""

    @property
    def grows_on_disk(self) -> bool:
        """Whether all files of a staged model are below its root, so that a process of this machine can load it."""
        return True

    def preflight(self, nbytes: int, task: str = "") -> None:  # noqa: B027 - most targets need no check
        """0. At the start of a job: check that the target will accept its models.

        Args:
            nbytes: approximate size of one model, in bytes.
            task: the task that exports, such as ``chief:0``; for messages.

        Raises:
            TargetError: publishing would fail.
        """

    @abstractmethod
    def check(self) -> None:
        """1. Check that the target can accept a model. Leaves no files behind.

        Raises:
            TargetExistsError: the place is not free.
            TargetUnwritableError: the place cannot be written.
        """

    @abstractmethod
    def open(self, task: str = "") -> SavedModelFiles:
        """2. Remove what crashed exports have left. Then make a draft for the files of a model, which loaders ignore.

        If this raises, it leaves nothing behind, and an earlier draft stays as it is.

        Args:
            task: as for :meth:`preflight`.

        Returns:
            the paths of the draft's files.

        Raises:
            UsageError: there is a draft already that was neither committed nor abandoned.
        """

    def complete(self) -> None:  # noqa: B027 - most targets keep all files below the root
        """2'. All variables are written: make data files that are not below the root readable.

        Loaders do not regard them as a model yet. May be called again. :meth:`commit` calls it if nobody has.
        """

    @abstractmethod
    def commit(self) -> str:
        """3. Publish the model of the draft, all at once and durably. Raises as :meth:`check` does.

        Returns:
            path or URL of the model.
        """

    @abstractmethod
    def abandon(self) -> None:
        """3'. Instead of :meth:`commit`: remove the draft. May be called again, and after a commit."""

    def reports(self) -> list[ExportReport]:
        """The manifests of the models in this place, oldest first. Models without a readable manifest are left out.

        Raises:
            TargetError, UnreadableError: the place cannot be read.
        """
        return []

    def keeps_best(self, by: BestBy) -> bool:  # noqa: ARG002 - most targets remove nothing
        """Whether the best model in this place always stays there, whichever models follow."""
        return True

    def close(self) -> None:  # noqa: B027 - most targets hold nothing
        """4. This process publishes no more models. May be called again."""
