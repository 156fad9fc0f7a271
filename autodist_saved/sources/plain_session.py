"""The TensorFlow session inside the session that a program has."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as v1

from autodist_saved.errors import UsageError
from autodist_saved.tf_internals import private_api

_CLOSED = "the session is closed; export inside its `with` block, or before close()"


def plain_session(session: Any) -> v1.Session:
    """The TensorFlow session inside a monitored one, so that reads run no hooks; a plain one as it is.

    Raises:
        UsageError: the session is closed, or there is none.
    """
    if session is None:
        raise UsageError("sess is None: give the session whose variables are exported")
    try:
        if hasattr(session, "run_step_fn"):
            plain = session.run_step_fn(lambda step_context: step_context.session)
        else:
            plain = session.raw_session() if hasattr(session, "raw_session") else session
    except (AttributeError, RuntimeError) as error:
        raise UsageError(_CLOSED) from error
    if plain is None or private_api.is_closed(plain):
        raise UsageError(_CLOSED)
    return plain
