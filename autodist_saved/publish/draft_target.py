"""Targets that write a model to a draft, a place which loaders ignore, before they publish it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from autodist_saved.errors import ExportError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target


class Draft(ABC):
    """A place that contains one model before it is published. :class:`Target` says when its methods are called.

    One thread may abandon a draft while another one publishes it. The draft is then not removed while the other
    thread works on it: that thread gets an error at its next step, and removes the draft itself.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._is_abandoned = False

    @property
    @abstractmethod
    def files(self) -> SavedModelFiles:
        """The files of the model."""

    def complete(self) -> None:  # noqa: B027 - nothing to do if all files are below the root
        """Make data files that are not below the root readable, so that they can be read back."""

    @abstractmethod
    def sync(self) -> None:
        """Make all files durable. Raises ``OSError``."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the draft, if its model was not published. May be called again."""

    @contextmanager
    def protected(self) -> Iterator[None]:
        """The draft is not removed during the block. If it was abandoned meanwhile, it is removed afterwards.

        Raises:
            ExportError: the draft was abandoned before the block.
        """
        try:
            with self._turn:
                self.check_not_abandoned()
                yield
        finally:
            if self._is_abandoned:
                self.abandon()

    def abandon(self) -> None:
        """Remove the draft. If another thread works on it, that thread removes it, and this call does not wait."""
        self._is_abandoned = True
        if self._turn.acquire(blocking=False):
            try:
                self.remove()
            finally:
                self._turn.release()

    def check_not_abandoned(self) -> None:
        """Raise ``ExportError`` if the draft was abandoned. Call it before each step that publishes a part of it."""
        if self._is_abandoned:
            raise ExportError("another thread has abandoned the export while it was published; nothing is visible")


S = TypeVar("S", bound=Draft)


class DraftTarget(Target, Generic[S]):
    """A target with one draft at a time."""

    _draft: S | None = None

    def open(self, task: str = "") -> SavedModelFiles:
        """See :meth:`Target.open`. Raises ``UsageError`` during another export to this target."""
        if self._draft is not None:
            raise UsageError(f"another export to {self.path} is under way; wait for it, or make another target")
        self._draft = self._stage(task)
        return self._draft.files

    def complete(self) -> None:
        if (draft := self._draft) is not None:
            with draft.protected():
                draft.complete()

    def commit(self) -> str:
        """See :meth:`Target.commit`. Raises ``UsageError`` if the target was not opened."""
        if (draft := self._draft) is None:
            raise UsageError(f"nothing is staged for {self.path}; call open() before commit()")
        with draft.protected():
            draft.sync()
            place = self._appear(draft)
        if self._draft is draft:
            self._draft = None
        return place

    def abandon(self) -> None:
        """See :meth:`Target.abandon`. Another thread may be in :meth:`commit`: it raises ``ExportError`` soon."""
        if (draft := self._draft) is not None:
            self._draft = None
            draft.abandon()

    @abstractmethod
    def _stage(self, task: str) -> S:
        """Remove what crashed exports have left, and make a new draft."""

    @abstractmethod
    def _appear(self, draft: S) -> str:
        """Publish the model of the draft. Returns its path."""
