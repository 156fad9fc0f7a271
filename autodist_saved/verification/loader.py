"""Loads a SavedModel with plain TensorFlow and calls it. This is a program, and imports nothing of this package.

It reads one JSON object from standard input: ``model``, the directory; ``parent``, the id of the process with which
it must end; ``niceness``; and ``graphs``, each with ``tags`` and ``calls``. A call has ``feeds`` (``TensorProto``
messages in base64, by the name of the tensor) and ``fetches`` (names of tensors, by label).

It writes one line of JSON for each graph and for each of its calls, in order: ``{}`` for a loaded graph; ``answers``
for a call (``TensorProto`` messages in base64, by label); or an ``error`` and its ``message``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import signal
import sys
from typing import IO, Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Write replies to standard output. Everything else that is written there goes to standard error."""
    asked = json.load(sys.stdin)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != asked["parent"]:  # the parent ended before the call above, so no signal will come
        os.kill(os.getpid(), signal.SIGKILL)
    os.nice(asked["niceness"])
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)
        for graph in asked["graphs"]:
            _answer(asked["model"], graph, replies)


def _answer(model: str, graph: Any, replies: IO[str]) -> None:
    import tensorflow as tf
    import tensorflow.compat.v1 as v1

    def say(**reply: Any) -> None:
        print(json.dumps(reply), file=replies, flush=True)

    with v1.Session(graph=tf.Graph()) as session:
        try:
            v1.saved_model.loader.load(session, graph["tags"], model)
        except Exception as error:  # noqa: BLE001 - the parent reports every error
            say(**_error(error))
            return
        say()
        for call in graph["calls"]:
            try:
                feeds = {name: tf.make_ndarray(_tensor(value)) for name, value in call["feeds"].items()}
                values = session.run(call["fetches"], feeds)
                answers = {label: _encoded(value) for label, value in values.items() if value is not None}
            except Exception as error:  # noqa: BLE001
                say(**_error(error))
            else:
                say(answers=answers)


def _tensor(value: str) -> Any:
    from tensorflow.core.framework import tensor_pb2

    return tensor_pb2.TensorProto.FromString(base64.b64decode(value))


def _encoded(value: Any) -> str:
    import tensorflow as tf

    return base64.b64encode(tf.make_tensor_proto(value).SerializeToString()).decode()


def _error(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "message": getattr(error, "message", str(error))}


if __name__ == "__main__":
    main()
