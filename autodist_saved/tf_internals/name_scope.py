"""The name scope of the ops that we put into a user's graph, and the collection by which they are told from it."""

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
    """Within it, ops are ours: on no device but those given inside, depending on nothing of the user's scopes.

    It is no part of the name scope that is open: what is exported of that is the user's alone.

    Args:
        placed: leave placing to the user's device scope, instead.

    Yields:
        the scope's name, unique in the graph and equal on every task that builds the same graph.
    """
    # device(None) leaves the scope of the cluster's placement: copies stay where their pieces are.
    with (
        v1.get_default_graph().name_scope(None),
        v1.name_scope(SCOPE) as scope,
        contextlib.nullcontext() if placed else tf.device(None),
        tf.control_dependencies(None),
    ):
        v1.add_to_collection(_COLLECTION, scope)
        yield scope


def own_scopes(graph: tf.Graph) -> tuple[str, ...]:
    """Beginnings of the names of all ops in ``graph`` that are ours."""
    return tuple(map(tf.compat.as_str, graph.get_collection(_COLLECTION)))


def users_collections(graph: tf.Graph) -> list[str]:
    """The keys of all collections of ``graph`` but ours."""
    return [key for key in graph.get_all_collection_keys() if key != _COLLECTION]
