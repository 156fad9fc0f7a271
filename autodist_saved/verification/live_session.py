"""The live model of a TensorFlow session."""

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
from autodist_saved.verification.live_model import LiveModel
from autodist_saved.verification.question import Question, fetches

_LOST = (tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.UnavailableError)
"""Errors that mean that the job is lost, and not that the call is wrong."""


class LiveSession(LiveModel):
    """Answers calls of signatures by running the session."""

    def __init__(self, session: v1.Session, signatures: Mapping[str, Any], timeout_secs: float) -> None:
        """Runs nothing yet.

        Args:
            session: a plain session of the job.
            signatures: ``SignatureDef`` messages by name. Their tensors are in the session's graph.
            timeout_secs: time limit for each answer. Training may stand still for so long.
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
            what = f"the job did not answer {question} within {self._timeout_secs:g} s, and training waits for it"
            raise _failure(question, what, "raise ExportOptions.cut_timeout_secs, or use smaller examples") from error
        except (tf.errors.OpError, TypeError, ValueError) as error:
            text = first_line(str(getattr(error, "message", error)))
            what = f"the job cannot answer {question} ({type(error).__name__}: {text})"
            raise _failure(question, what, question.fix) from error
        # The value of an operation is None.
        return {label: _array(value) for label, value in values.items() if value is not None}


def _failure(question: Question, what: str, fix: str) -> VerifyError:
    return VerifyError("the job cannot answer", problems=[Problem(question.signature, what, fix)])


def _array(value: Any) -> Array:
    """The value as an array. TensorFlow returns a scalar string as ``bytes``."""
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)
