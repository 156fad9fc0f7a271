"""The contract of a live model: the job that is exported, answering for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.verification.comparison import Array
from autodist_saved.verification.question import Question


class LiveModel(ABC):
    """Answers questions with the variables as they are at the moment. The chief alone calls it, in one thread.

    Attributes:
        has_gpus: whether an answer may come from a GPU, whose arithmetic differs from a CPU's.
    """

    has_gpus: bool

    @abstractmethod
    def is_changed_by(self, signature: str) -> bool:
        """Whether calling a signature changes variables. It would wait for a training that waits for the export."""

    @abstractmethod
    def answer(self, question: Question) -> dict[str, Array]:
        """What a signature's outputs are, by their labels.

        Called once before the cut, so that whatever the first call prepares is ready, and once while training stands
        still.

        Raises:
            VerifyError: it cannot answer, or not in time; one problem.
            Exception: any other: the job is gone.
        """
