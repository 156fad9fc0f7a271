"""The name scope of the ops that we put into a user's graph, and the collection by which they are told from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
import tensorflow.compat.v1 as v1

SCOPE = "autodist_saved.ops"
SCOPES_COLLECTION = "autodist_saved.scopes"


@contextmanager
def own_scope() -> Iterator[str]:
    """Within it, ops are ours: on no device but those given inside, depending on nothing of the user's scopes.

    Yields:
        the scope's name, unique in the graph and equal on every task that builds the same graph.
    """
    # device(None) leaves the scope of the cluster's placement: copies stay where their pieces are.
    with v1.name_scope(SCOPE) as scope, tf.device(None), tf.control_dependencies(None):
        v1.add_to_collection(SCOPES_COLLECTION, scope)
        yield scope


def memory_of(device: str) -> str:
    """The ordinary memory of the task that owns ``device``, whatever accelerator that is."""
    return str(tf.DeviceSpec.from_string(device).replace(device_type="CPU", device_index=0).to_string())
