"""Restore errors that are TensorFlow's errors as well. They are here because ``errors.py`` imports no framework."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from autodist_saved.errors import RestoreError


class _TensorFlowRestoreError(RestoreError):
    """A ``RestoreError`` that callers of TensorFlow's saver catch as well: subclasses add TensorFlow's class.

    Attributes:
        message: the whole text, as in every ``tf.errors.OpError``.
    """

    _parent: ClassVar[Any]
    message = ""  # a property without a setter in OpError

    def __init__(self, error: RestoreError) -> None:
        self._parent.__init__(self, None, None, str(error))
        super().__init__(error.message, problems=error.problems, path=error.path, missing=error.missing)
        self.message = str(error)
        self._error = error

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Any:
        return type(self), (self._error,), self.__dict__


class MissingRestoreError(_TensorFlowRestoreError, tf.errors.NotFoundError):  # type: ignore[misc]
    """Variables are missing in the checkpoint."""

    _parent = tf.errors.NotFoundError


class MismatchRestoreError(_TensorFlowRestoreError, tf.errors.InvalidArgumentError):  # type: ignore[misc]
    """Variables are in the checkpoint, with other shapes or types."""

    _parent = tf.errors.InvalidArgumentError


class DirectoryRestoreError(_TensorFlowRestoreError, tf.errors.DataLossError):  # type: ignore[misc]
    """The name of a directory was given instead of a checkpoint prefix."""

    _parent = tf.errors.DataLossError


def as_tensorflows(error: RestoreError) -> RestoreError:
    """The same error, of the class that ``tf.compat.v1.train.Saver.restore`` raises in this case."""
    return MissingRestoreError(error) if error.missing else MismatchRestoreError(error)
