"""The saver of a distributed job: TensorFlow's, with the ops that an export needs."""

from __future__ import annotations

import inspect
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.errors import NoVariablesError, SaverTooLateError, UsageError
from autodist_saved.sources.staging import Staging, build_staging


class Saver(v1.train.Saver):  # type: ignore[misc]
    """A ``tf.compat.v1.train.Saver`` whose variables can be exported by :class:`SavedModelBuilder`.

    Takes what TensorFlow's takes, in the same order, and goes wherever TensorFlow takes a saver (``Scaffold``,
    ``MonitoredTrainingSession``, ``CheckpointSaverHook``). Make it on every task, after the variables and the
    optimizer and before the session: a session's graph is final, and whatever an export needs in it is put there
    when the saver is made.

    Partitioned variables and their optimizer slots are known by their slice info, never by their names.

    Raises:
        SaverTooLateError: the graph is finalized, that is, the session exists.
        NoVariablesError: there is nothing to save, and ``allow_empty`` is not set.
    """

    _staging: Staging | None = None
    _variables_when_built = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not tf.executing_eagerly() and v1.get_default_graph().finalized:
            raise SaverTooLateError(
                "this Saver is made after the session: its graph is final and takes no more ops. Move the line\n"
                "    saver = autodist_saved.Saver()\n"
                "up, behind the optimizer's minimize() and before create_distributed_session(...), on every task"
            )
        try:
            super().__init__(*args, **kwargs)
        except ValueError as error:
            if str(error) != "No variables to save":
                raise
            raise NoVariablesError(
                "No variables to save: make the Saver inside `with graph.as_default():`, after the model's variables"
            ) from None

    __init__.__signature__ = inspect.signature(v1.train.Saver.__init__)  # type: ignore[attr-defined]

    def build(self) -> None:
        """Add the ops to the default graph. Called by the constructor, or by you after ``defer_build=True``."""
        super().build()
        if self._staging is None and tensorflow_private.knows_its_variables(self):
            self._staging = build_staging(self)
            self._variables_when_built = len(v1.global_variables())

    @property
    def staging(self) -> Staging:
        """The ops that an export of this saver's variables runs. Raises ``UsageError`` when there are none."""
        if self._staging is None:
            raise UsageError(
                "this Saver has no ops for an export: it was made in eager mode, or from a SaverDef, or with "
                "defer_build=True and build() was not called before the session; make one with Saver() instead"
            )
        return self._staging

    def variables_made_later(self) -> tuple[str, ...]:
        """Names of the graph's variables that were made after this saver, and that it therefore cannot save."""
        variables = self.staging.stage.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        return tuple(variable.op.name for variable in variables[self._variables_when_built :])
