"""Models and loaders that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import saved_model_pb2

import autodist_saved as ads


@contextmanager
def fresh_session() -> Iterator[v1.Session]:
    """A session of a graph of its own, which is the default one."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


@contextmanager
def variables(make: Callable[..., Any], **values: Any) -> Iterator[v1.Session]:
    """A session in which variables of these names have these values."""
    with fresh_session() as session:
        for name, value in values.items():
            make(value, name=name)
        session.run(v1.global_variables_initializer())
        yield session


@contextmanager
def loaded(path: Path, *tags: str, scope: str | None = None) -> Iterator[tuple[v1.Session, Any]]:
    """A session into which TensorFlow's loader has loaded a model, and the meta graph."""
    with fresh_session() as session:
        yield session, v1.saved_model.loader.load(session, list(tags), str(path), import_scope=scope)


def add_and_save(path: Path, session: v1.Session, tags: list[str], **arguments: Any) -> None:
    """A model of one meta graph, with a saver made now if none is given."""
    builder = ads.SavedModelBuilder(str(path))
    builder.add_meta_graph_and_variables(session, tags, **{"saver": ads.Saver(allow_empty=True), **arguments})
    builder.save()


def saved_model(path: Path) -> Any:
    """The contents of ``saved_model.pb``."""
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())


def global_values(session: v1.Session) -> dict[str, Any]:
    """Values of the global variables of the default graph."""
    return {variable.op.name: session.run(variable) for variable in v1.global_variables()}
