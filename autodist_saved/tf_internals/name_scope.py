"""The name scope of the ops that this package puts into a user's graph. A collection keeps the scopes' names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
import tensorflow.compat.v1 as v1

SCOPE = "autodist_saved.ops"
# Of the scopes' names. A collection stays with a graph that is exported and imported again.
_COLLECTION = "autodist_saved.scopes"


@contextmanager
def own_scope(*, placed: bool = False) -> Iterator[str]:
    """A context for ops of ours. They do not take part in the user's device and control dependency scopes.

    The scope is at the root of the graph, outside all name scopes of the user.

    Args:
        placed: put the ops on the devices of the user's device scope.

    Yields:
        the scope's name. It is unique in the graph, and equal on all tasks that build the same graph.
    """
    # device(None) also ends the placement by replica_device_setter, which would move copies away from their pieces.
    with (
        v1.get_default_graph().name_scope(None),
        v1.name_scope(SCOPE) as scope,
        contextlib.nullcontext() if placed else tf.device(None),
        tf.control_dependencies(None),
    ):
        v1.add_to_collection(_COLLECTION, scope)
        yield scope


def own_scopes(graph: tf.Graph) -> tuple[str, ...]:
    """Prefixes of the names of all ops in ``graph`` that are ours."""
    return tuple(map(tf.compat.as_str, graph.get_collection(_COLLECTION)))


def users_collections(graph: tf.Graph) -> list[str]:
    """The keys of all collections of ``graph`` but ours."""
    return [key for key in graph.get_all_collection_keys() if key != _COLLECTION]
