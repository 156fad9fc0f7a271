"""By which names parameter servers know the variables of a saver."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from autodist_saved import tensorflow_private
from autodist_saved.sources.own_scope import has_rows
from autodist_saved.transport.server_variable import ServerVariable

# A resource without a name of its own has this one, which nobody else can look up.
_ANONYMOUS = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"


def server_variable_of(saveable: Any, shape: tuple[int, ...] | None) -> ServerVariable | None:
    """The name of what a ``SaveableObject`` saves, for the parameter server that holds it in its own memory.

    Args:
        saveable: one of a saver's.
        shape: of the value, as planned.

    Returns:
        None for all that is no plain variable of elements of fixed size in ordinary memory of a ``ps`` task.
    """
    if isinstance(saveable, tensorflow_private.ResourceVariableSaveable):
        reference, op = False, saveable.handle_op.op
    elif isinstance(saveable, tensorflow_private.ReferenceVariableSaveable):
        reference, op = True, tensorflow_private.reference_of(saveable).op
    else:
        return None
    if op.type not in ({"VariableV2", "Variable"} if reference else {"VarHandleOp"}):
        return None
    dtype = op.get_attr("dtype")
    if not has_rows(dtype, None) or not _is_on_parameter_server(op.device):
        return None
    # One that is there too soon, because we have looked for it, must be as the job will make it.
    if reference and (
        shape is None or tf.TensorShape(op.get_attr("shape")).as_proto() != tf.TensorShape(shape).as_proto()
    ):
        return None
    name = tf.compat.as_text(op.get_attr("shared_name")) or (op.name if reference else "")
    if name in {"", _ANONYMOUS}:
        return None
    container = tf.compat.as_text(op.get_attr("container"))
    return ServerVariable(name, container, dtype.base_dtype.name, reference, shape)


def _is_on_parameter_server(device: str) -> bool:
    place = tf.DeviceSpec.from_string(device)
    return place.job == "ps" and place.device_type in {None, "CPU"} and not place.device_index
