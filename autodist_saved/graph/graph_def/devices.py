"""Devices: a model for one machine must not name those of the training cluster."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import attr_value_pb2, graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.graph_def.body import unused
from autodist_saved.graph.graph_def.reach import Spot, all_ops
from autodist_saved.tf_internals.graph_walk import functions_in

Devices = bool | Literal["cluster"]
"""True clears all devices, ``"cluster"`` only job, replica and task, and False nothing."""
DEVICES: tuple[Devices, ...] = (True, "cluster", False)

_TASK = b"/job:"
# TensorFlow makes the names of some tables from ``str(tensor)``, which has the device in it.
_RESOURCE_NAMES = ("container", "shared_name")
_CLUSTER_IN_TEXT = re.compile(r"/job:[\w.-]*(/replica:\w+)?(/task:\w+)?")


def clear_devices(graph_def: graph_pb2.GraphDef, which: Devices) -> None:
    """Remove devices, or the cluster's part of them, from a graph and its functions.

    Attributes that name devices (``allowed_devices`` of variables, ``devices`` of iterators) keep the part that one
    machine has too: such an op works on these devices, wherever it is placed itself. Names of resources that have a
    device in them are changed: equal names stay equal, and different names stay different.
    """
    if not which:
        return
    for _, node in all_ops(graph_def):
        node.device = _without_cluster(node.device) if which == "cluster" else ""
    for key in _RESOURCE_NAMES:
        _clear_names(graph_def, key)
    for _, attributes in _all_attributes(graph_def):
        for key, attribute in attributes.items():
            _clear_attribute(key, attribute)


def device_problems(graph_def: graph_pb2.GraphDef) -> Iterator[Problem]:
    """Yield a problem for each attribute that still names a task of the cluster after devices were cleared."""
    for spot, attributes in _all_attributes(graph_def):
        named = [key for key, attribute in attributes.items() if _names_task(attribute)]
        for key in sorted(named):
            for value in _strings(attributes[key]):
                if _TASK in value:
                    yield Problem(
                        f"op {spot}, attribute {key!r}" if spot.op else f"function {spot.function!r}, {key!r}",
                        f"it names a task of the cluster: {value.decode(errors='replace')!r}",
                        "build it without the name of a task, or keep all devices with clear_devices=False",
                    )


def kept_device_problems(graph_def: graph_pb2.GraphDef) -> Iterator[Problem]:
    """Yield a problem where ops of a graph that keeps its devices are on tasks of a cluster."""
    tasks = {task for _, node in all_ops(graph_def) if (task := _task(node.device)) is not None}
    if tasks:
        yield Problem(
            "clear_devices",
            f"ops stay on {', '.join(sorted(tasks))}; one machine has no such tasks and cannot load the model",
            "give clear_devices=True, or 'cluster', which keeps /device:CPU:0 and the like",
        )


def _clear_names(graph_def: graph_pb2.GraphDef, key: str) -> None:
    """Take the cluster out of the names of resources. An empty name would stand for the op's, so none gets empty."""
    named = [node.attr[key] for _, node in all_ops(graph_def) if key in node.attr]
    before = {attribute.s for attribute in named}
    names = {name.decode(errors="surrogateescape") for name in before if _TASK not in name}
    new_names = {}
    for name in sorted(before):
        if _TASK in name:
            text = _CLUSTER_IN_TEXT.sub("", name.decode(errors="surrogateescape"))
            new_name = unused(text or key, names)
            names.add(new_name)
            new_names[name] = new_name.encode(errors="surrogateescape")
    for attribute in named:
        attribute.s = new_names.get(attribute.s, attribute.s)


def _all_attributes(graph_def: graph_pb2.GraphDef) -> Iterator[tuple[Spot, Mapping[str, Any]]]:
    """Yield the attributes of all ops, of all functions, and of their arguments."""
    for spot, node in all_ops(graph_def):
        yield spot, node.attr
    for function in graph_def.library.function:
        for holder in (function, *function.arg_attr.values()):
            yield Spot("", function.signature.name), holder.attr


def _clear_attribute(key: str, attribute: attr_value_pb2.AttrValue) -> None:
    if not _names_task(attribute):
        return
    if key == "config_proto":  # the configuration of the process that built the call
        config = v1.ConfigProto.FromString(attribute.s)
        for field in ("cluster_def", "device_filters"):
            config.ClearField(field)
        config.experimental.ClearField("collective_group_leader")
        attribute.s = config.SerializeToString(deterministic=True)
    elif attribute.WhichOneof("value") == "s":
        attribute.s = _cleared(attribute.s)
    elif attribute.list.s:
        attribute.list.s[:] = filter(None, map(_cleared, attribute.list.s))
    for function in functions_in(attribute):
        for inner, value in function.attr.items():
            _clear_attribute(inner, value)


def _names_task(attribute: attr_value_pb2.AttrValue) -> bool:
    kind = attribute.WhichOneof("value")
    if kind == "s":
        return _TASK in attribute.s
    # Nearly all attributes are of other kinds, and there may be a hundred thousand.
    return kind in {"list", "func"} and any(_TASK in value for value in _strings(attribute))


def _strings(attribute: attr_value_pb2.AttrValue) -> Iterator[bytes]:
    match attribute.WhichOneof("value"):
        case "s":
            yield attribute.s
        case "list":
            yield from attribute.list.s
    inner = (function.attr.values() for function in functions_in(attribute))
    for value in itertools.chain.from_iterable(inner):
        yield from _strings(value)


def _cleared(value: bytes) -> bytes:
    """A device without its cluster; any other value unchanged."""
    try:
        return _without_cluster(value.decode()).encode()
    except ValueError:
        return value


@functools.lru_cache(maxsize=1024)
def _task(device: str) -> str | None:
    """The task of a cluster in a device's name; None where a session of one machine may have that device."""
    spec = tf.DeviceSpec.from_string(device)
    if spec.job in {None, "localhost"}:
        return None
    return str(tf.DeviceSpec(job=spec.job, task=spec.task).to_string())


@functools.lru_cache(maxsize=1024)
def _without_cluster(device: str) -> str:
    return str(tf.DeviceSpec.from_string(device).replace(job=None, replica=None, task=None).to_string())
