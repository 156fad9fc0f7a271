"""Targets whose models grow where nobody looks, one at a time."""

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
    """A place in which one model grows. :class:`Target` tells when its methods are called.

    One thread may give it up while another publishes it. Then nothing is removed beneath the one that publishes: it
    is told at its next step, and removes all itself.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._is_given_up = False

    @property
    @abstractmethod
    def files(self) -> SavedModelFiles:
        """What is written."""

    def complete(self) -> None:  # noqa: B027 - where all is below the root there is nothing to be done
        """Have data files that are not below the root where they can be read back."""

    @abstractmethod
    def sync(self) -> None:
        """Have all of it durable. Raises ``OSError``."""

    @abstractmethod
    def remove(self) -> None:
        """Remove all of it, if it has not appeared. May be called again."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Nothing is removed in here, but afterwards, where it has been given up. Raises as :meth:`check_wanted`."""
        try:
            with self._turn:
                self.check_wanted()
                yield
        finally:
            if self._is_given_up:
                self.give_up()

    def give_up(self) -> None:
        """Remove it at once; or have the thread do it that is at work on it, and do not wait for that."""
        self._is_given_up = True
        if self._turn.acquire(blocking=False):
            try:
                self.remove()
            finally:
                self._turn.release()

    def check_wanted(self) -> None:
        """To be called before each step towards a model. Raises ``ExportError`` where it has been given up."""
        if self._is_given_up:
            raise ExportError("the export was given up by another thread while it was published; nothing is visible")


S = TypeVar("S", bound=Draft)


class DraftTarget(Target, Generic[S]):
    """What such targets have in common: one draft at a time, and when it goes."""

    _draft: S | None = None

    def open(self, task: str = "") -> SavedModelFiles:
        """As every target's. Raises ``UsageError`` while another export to this target is under way."""
        if self._draft is not None:
            raise UsageError(f"another export to {self.path} is under way; wait for it, or make another target")
        self._draft = self._stage(task)
        return self._draft.files

    def complete(self) -> None:
        if (draft := self._draft) is not None:
            with draft.at_work():
                draft.complete()

    def commit(self) -> str:
        """As every target's. Raises ``UsageError`` where nothing is staged."""
        if (draft := self._draft) is None:
            raise UsageError(f"nothing is staged for {self.path}; call open() before commit()")
        with draft.at_work():
            draft.sync()
            place = self._appear(draft)
        if self._draft is draft:
            self._draft = None
        return place

    def abandon(self) -> None:
        """As every target's. May be called while another thread commits: that is told, as soon as it can be."""
        if (draft := self._draft) is not None:
            self._draft = None
            draft.give_up()

    @abstractmethod
    def _stage(self, task: str) -> S:
        """A new draft place, and away with what crashed exports have left."""

    @abstractmethod
    def _appear(self, draft: S) -> str:
        """Have what is staged appear as a model. Returns its place."""
