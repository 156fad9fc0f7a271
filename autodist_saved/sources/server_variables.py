"""The names by which parameter servers know the variables of a saver."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from autodist_saved.sources.rows import has_rows
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.op_types import REFERENCE_VARIABLES
from autodist_saved.transport.server_variable import ServerVariable


def holding_op(saveable: Any) -> tf.Operation | None:
    """The op of the graph that holds the variable of a ``SaveableObject``; None where that is no plain variable."""
    if type(saveable) is private_api.ResourceVariableSaveable:  # one that is derived may save something else
        op = saveable.handle_op.op
        return op if op.type == "VarHandleOp" else None
    if type(saveable) is private_api.ReferenceVariableSaveable:
        op = private_api.reference_of(saveable).op
        return op if op.type in REFERENCE_VARIABLES else None
    return None


def server_variable_of(saveable: Any, shape: tuple[int, ...] | None) -> ServerVariable | None:
    """How the parameter server that holds it can name what a ``SaveableObject`` saves.

    Args:
        saveable: one of a saver's.
        shape: of the value, as planned.

    Returns:
        None for all that is no plain variable of elements of fixed size in ordinary memory of a ``ps`` task.
    """
    op = holding_op(saveable)
    if op is None:
        return None
    reference = op.type != "VarHandleOp"
    dtype = op.get_attr("dtype").base_dtype
    if not has_rows(dtype, None) or not _is_on_parameter_server(op.device):
        return None
    # A parameter server that looks for a reference variable before the job has made it makes it itself. It has to
    # make the same one.
    if reference and (shape is None or op.get_attr("shape") != tf.TensorShape(shape).as_proto()):
        return None
    name = tf.compat.as_text(op.get_attr("shared_name")) or (op.name if reference else "")
    return ServerVariable(name, tf.compat.as_text(op.get_attr("container")), dtype.name, reference, shape)


def _is_on_parameter_server(device: str) -> bool:
    place = tf.DeviceSpec.from_string(device)
    return place.job == "ps" and place.device_type in {None, "CPU"} and not place.device_index
