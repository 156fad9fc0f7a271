"""The answers of a job, from its session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem, VerifyError
from autodist_saved.job.step_detection import StepDetector
from autodist_saved.system.error_translation import first_line
from autodist_saved.verification.comparison import Array
from autodist_saved.verification.live import LiveModel
from autodist_saved.verification.question import Question, fetches

_LOST = (tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.UnavailableError)
"""Of the job and not of what it is asked."""


class LiveSession(LiveModel):
    """Answers questions with the variables as they are at the moment."""

    def __init__(self, session: v1.Session, signatures: Mapping[str, Any], timeout_secs: float) -> None:
        """Runs nothing.

        Args:
            session: a plain one of the job's.
            signatures: ``SignatureDef`` by name, of tensors of its graph.
            timeout_secs: for each answer; training may stand still for so long.
        """
        self._session = session
        self._signatures = signatures
        self._writes = StepDetector(session.graph)
        self._timeout_secs = timeout_secs
        self._options = v1.RunOptions(timeout_in_ms=int(timeout_secs * 1000))
        self.has_gpus = any(device.device_type == "GPU" for device in session.list_devices())

    def is_changed_by(self, signature: str) -> bool:
        return self._writes.any_in(list(fetches(self._signatures[signature]).values()))

    def answer(self, question: Question) -> dict[str, Array]:
        signature = self._signatures[question.signature]
        feeds = {name: tf.make_ndarray(value) for name, value in question.feeds(signature).items()}
        try:
            values = self._session.run(fetches(signature), feeds, options=self._options)
        except _LOST:
            raise
        except tf.errors.DeadlineExceededError as error:
            what = f"the job has not answered {question} within {self._timeout_secs:g} s, and training waits for it"
            raise _failure(
                question, what, "raise ExportOptions.cut_timeout_secs, or give smaller examples"
            ) from error
        except (tf.errors.OpError, TypeError, ValueError) as error:
            text = first_line(str(getattr(error, "message", error)))
            what = f"the job cannot answer {question} ({type(error).__name__}: {text})"
            raise _failure(question, what, question.fix) from error
        return {label: _array(value) for label, value in values.items() if value is not None}  # not of an operation


def _failure(question: Question, what: str, fix: str) -> VerifyError:
    return VerifyError("the job cannot answer", problems=[Problem(question.signature, what, fix)])


def _array(value: Any) -> Array:
    """A scalar string comes as plain bytes."""
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)
