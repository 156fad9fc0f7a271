"""The name scope of the ops that we put into a user's graph, and the collection by which they are told from it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
import tensorflow.compat.v1 as v1

SCOPE = "autodist_saved.ops"
SCOPES_COLLECTION = "autodist_saved.scopes"


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
        v1.add_to_collection(SCOPES_COLLECTION, scope)
        yield scope


def memory_of(device: str) -> str:
    """The ordinary memory of the task that owns ``device``, whatever accelerator that is."""
    return str(tf.DeviceSpec.from_string(device).replace(device_type="CPU", device_index=0).to_string())


# Types and ranks that TensorFlow has kernels for to slice, to concatenate and to assign in part.
_ROW_RANK_MAX = 7
_ROW_TYPES = frozenset(
    {
        *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    }
)


def has_rows(dtype: tf.DType, rank: int | None) -> bool:
    """Whether rows of such a tensor can be read and written by themselves."""
    return dtype.base_dtype.name in _ROW_TYPES and (rank is None or 0 < rank <= _ROW_RANK_MAX)


def own_container() -> str:
    """A prefix for names on the parameter servers: another one for each task of a job, the same after a restart.

    Made of the environment, the machine and the command line, because the task is not told to a saver.

    Tasks build equal graphs, and copies of one must not be taken for those of another.
    """
    place = [os.environ.get("TF_CONFIG", ""), socket.gethostname(), *sys.argv]
    return hashlib.sha256("\0".join(place).encode(errors="surrogateescape")).hexdigest()[:8]
