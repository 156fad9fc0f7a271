"""The contract of a live model: the running job, which answers calls of signatures."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.verification.comparison import Array
from autodist_saved.verification.question import Question


class LiveModel(ABC):
    """Answers calls of signatures with the present values of the job's variables.

    Only the chief calls it, in one thread.

    Attributes:
        has_gpus: whether an answer may come from a GPU, whose arithmetic differs from a CPU's.
    """

    has_gpus: bool

    @abstractmethod
    def is_changed_by(self, signature: str) -> bool:
        """Whether a call of the signature changes variables.

        Such a call may wait for other tasks to train, and they wait for the end of the cut.
        """

    @abstractmethod
    def answer(self, question: Question) -> dict[str, Array]:
        """Call a signature.

        Called once before the cut, because TensorFlow prepares a graph in its first run, which takes time; and once
        more during the cut.

        Returns:
            the outputs, by the labels of ``fetches``.

        Raises:
            VerifyError: the job cannot answer, or does not in time. It has one problem.
            Exception: any other error means that the job is lost.
        """
