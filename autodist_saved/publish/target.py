"""The contract of a target: a place in which a SavedModel appears as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.publish.files import SavedModelFiles


class Target(ABC):
    """The place of one SavedModel, or of one after the other. The chief alone calls it, in this order; every other
    task leaves it alone.
    """

    @property
    @abstractmethod
    def path(self) -> str:
        """Where the model is to be, for messages."""

    @abstractmethod
    def check(self) -> None:
        """1. Refuse a target that cannot take the model; leaves nothing behind.

        Raises:
            TargetExistsError: something is there already.
            TargetUnwritableError: the place cannot be written.
        """

    @abstractmethod
    def open(self) -> SavedModelFiles:
        """2. A staging place for the files, invisible to whoever looks for models. Removes what crashed exports
        left there. When it raises, nothing of its own is left, and what is staged already stays.

        Raises:
            UsageError: a model is staged already, and neither committed nor abandoned.
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
