"""Every use of TensorFlow's private parts. No other module has any. A test of each fails when TensorFlow moves it."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.python.client import session as _session
from tensorflow.python.framework import kernels as _kernels
from tensorflow.python.framework import op_def_registry as _op_def_registry
from tensorflow.python.framework import ops as _ops
from tensorflow.python.saved_model import builder_impl as _builder_impl
from tensorflow.python.saved_model import constants as _constants
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting as _fingerprinting
from tensorflow.python.saved_model.pywrap_saved_model import metrics as _metrics
from tensorflow.python.training.saving import saveable_object as _saveable_object
from tensorflow.python.training.saving import saveable_object_util as _saveable_object_util

SessionInterface = _session.SessionInterface
SaveableObject = _saveable_object.SaveableObject
SaveSpec = _saveable_object.SaveSpec
ResourceVariableSaveable = _saveable_object_util.ResourceVariableSaveable
ReferenceVariableSaveable = _saveable_object_util.ReferenceVariableSaveable
INIT_OP_SIGNATURE_KEY: str = _constants.INIT_OP_SIGNATURE_KEY
TRAIN_OP_KEY: str = _constants.TRAIN_OP_KEY
TRAIN_OP_SIGNATURE_KEY: str = _constants.TRAIN_OP_SIGNATURE_KEY


def saveables_of(saver: tf.compat.v1.train.Saver) -> list[Any]:
    """Make the ``SaveableObject`` list of a built saver, from the variables that the saver has.

    Adds ops that read resource variables to the default graph. The list is empty where the saver does not know its
    variables (:func:`knows_its_variables`).
    """
    variables = saver._var_list
    if variables is None:
        return []
    if not isinstance(variables, dict):
        variables = _saveable_object_util.op_list_to_dict(variables)
    return list(_saveable_object_util.validate_and_slice_inputs(variables))


def knows_its_variables(saver: tf.compat.v1.train.Saver) -> bool:
    """Whether a built saver knows its variables. One that was made from a ``SaverDef`` knows only names of ops."""
    return saver._var_list is not None


def is_built(saver: tf.compat.v1.train.Saver) -> bool:
    """Whether a saver has added its ops to a graph, or has found that it needs none."""
    return bool(saver._is_built)


def reshapes(saver: tf.compat.v1.train.Saver) -> bool:
    """Whether the saver was made with ``reshape=True``."""
    return bool(saver._reshape)


def is_closed(session: tf.compat.v1.Session) -> bool:
    """Whether ``close()`` was called on a plain session."""
    return bool(session._closed)


def device_filters(session: tf.compat.v1.Session) -> tuple[str, ...]:
    """The device filters that a plain session was made with."""
    return tuple(session._config.device_filters) if session._config is not None else ()


def op_definition(op_type: str) -> Any:
    """The ``OpDef`` of an op type; None for an unknown type."""
    return _op_def_registry.get(op_type)


def is_stateful(op_type: str) -> bool:
    """Whether ops of this type have effects, or depend on those of other ops. Unknown types do."""
    definition = op_definition(op_type)
    return definition is None or bool(definition.is_stateful)


@functools.cache
def has_cpu_kernel(op_type: str, attribute: str, dtype: tf.DType) -> bool:
    """Whether TensorFlow can run an op of this type on a CPU, with this type of elements.

    Args:
        op_type: of the op.
        attribute: name of the op's attribute that has the type of the elements, such as ``T``.
        dtype: the type of the elements.
    """
    for kernel in _kernels.get_registered_kernels_for_op(op_type).kernel:
        allowed = {constraint.name: constraint.allowed_values.list.type for constraint in kernel.constraint}
        if kernel.device_type == "CPU" and dtype.as_datatype_enum in allowed.get(attribute, [dtype.as_datatype_enum]):
            return True
    return False


def collection_proto_type(key: str) -> Any:
    """The class of message that TensorFlow exports a collection as; None where it exports no messages."""
    return _ops.get_collection_proto_type(key)


def takes_resources(op_type: str) -> bool:
    """Whether ops of this type may take handles of variables, tables and the like. Unknown types may."""
    definition = op_definition(op_type)
    return definition is None or any(
        argument.type == tf.resource.as_datatype_enum or argument.is_ref or argument.type_list_attr
        for argument in definition.input_arg
    )


@functools.cache
def ops_of_plain_tensorflow(op_types: frozenset[str]) -> frozenset[str]:
    """Find those of the op types that TensorFlow itself registers. Takes seconds: it starts a Python process.

    In this process, the registry may also have types of other libraries, and does not say which.
    """
    program = (
        "import sys\n"
        "from tensorflow.python.framework import op_def_registry\n"
        "print(*(name for name in sys.argv[1:] if op_def_registry.get(name) is not None))"
    )
    command = [sys.executable, "-c", program, *sorted(op_types)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return frozenset(answer.stdout.split()) & op_types


def fingerprint(directory: str) -> bytes:
    """Make the contents of ``fingerprint.pb`` for a SavedModel in a directory, as ``tf.saved_model.save`` does."""
    return bytes(_fingerprinting.CreateFingerprintDef(directory))


def is_reference(tensor: tf.Tensor) -> bool:
    """Whether the tensor is a reference: it shares the memory of a variable without a resource handle."""
    return bool(tensor.dtype._is_ref_dtype)


def control_outputs(operation: tf.Operation) -> list[tf.Operation]:
    """The ops that wait for an op and take no value of it."""
    return list(operation._control_outputs)


def add_control_input(operation: tf.Operation, before: tf.Operation) -> None:
    """Make an op wait for another one. No session may have run the graph yet."""
    operation._add_control_input(before)


def place(operation: tf.Operation, device: str) -> None:
    """Put an op on a device. No session may have run the graph yet."""
    operation._set_device(device)


def reference_of(saveable: Any) -> tf.Tensor:
    """The reference tensor of a variable without a resource handle, from the variable's saveable."""
    return saveable.op._ref() if isinstance(saveable.op, tf.Variable) else saveable.op


def validate_signatures(signature_def_map: Mapping[str, Any]) -> None:
    """Run TensorFlow's own checks of a signature map. Raises TensorFlow's ``AssertionError`` and ``KeyError``."""
    _builder_impl.SavedModelBuilder._validate_signature_def_map(
        _builder_impl.SavedModelBuilder.__new__(_builder_impl.SavedModelBuilder), signature_def_map
    )


def asset_files(asset_tensors: Any, write: Any) -> dict[Any, Any]:
    """Choose a file name in ``assets/`` for each asset tensor. Returns the paths of the files by these names.

    Calls ``write(file_name, tensor)`` for each tensor.
    """
    files: dict[Any, Any] = _builder_impl._maybe_save_assets(write, asset_tensors)
    return files


def asset_path(asset_tensor: Any) -> str:
    """The path in a constant tensor. Raises ``TypeError`` for any other tensor."""
    return str(tf.compat.as_text(_builder_impl._asset_path_from_tensor(asset_tensor)))


def unwrap_resource_assign(value: Any) -> Any:
    """The operation of what a resource variable's ``assign`` methods return; any other value unchanged."""
    return value.op if not isinstance(value, tf.Tensor | tf.Operation) and hasattr(value, "op") else value


def count_save() -> None:
    """Count a call that saves a model, among those of the builder's ``save()`` in TensorFlow's metrics."""
    _metrics.IncrementWriteApi(_builder_impl._SAVE_BUILDER_LABEL)


def count_saved_model() -> None:
    """Count a model that was written, among those of the first version in TensorFlow's metrics."""
    _metrics.IncrementWrite(write_version="1")


def fingerprint_fits(model: str, contents: bytes) -> bool:
    """Whether the contents of a ``fingerprint.pb`` belong to the model in a directory.

    True where the hashes are of another version of TensorFlow's algorithm, because these cannot be compared.

    Raises:
        ValueError: the contents or the model are damaged.
    """
    try:
        kept = FingerprintDef.FromString(contents)
        found = FingerprintDef.FromString(fingerprint(model))
    except (DecodeError, _fingerprinting.FingerprintException) as error:
        raise ValueError(str(error)) from error
    if not kept.HasField("version"):
        raise ValueError("it was cut short")
    if kept.version.producer != found.version.producer:
        return True
    compared = tf.saved_model.experimental.Fingerprint.from_proto
    return bool(compared(kept) == compared(found))
