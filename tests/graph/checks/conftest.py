"""What is said of signatures that cannot be answered."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import GraphError
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import Told, request


@pytest.fixture
def told(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> Told:
    """What is said of a signature: warned of in a complete graph, which TensorFlow takes; refused in one to serve."""

    def told(inputs: dict[str, Any], y: tf.Tensor, **arguments: Any) -> str:
        signatures = {"p": v1.saved_model.predict_signature_def(inputs, {"y": y})}
        arguments.setdefault("saver", v1.train.Saver(allow_empty=True))
        proto = describe(request(graph, signatures=signatures, **arguments)).proto
        caplog.clear()
        check(proto, devices_cleared=True)
        warned = "".join(record.getMessage() for record in caplog.records)
        if not warned:
            check(proto, devices_cleared=True, serving=True)
            return ""
        if "train_op" not in arguments:
            with pytest.raises(GraphError) as caught:
                check(proto, devices_cleared=True, serving=True)
            assert str(caught.value).partition("\n")[2] == warned.partition("\n")[2]
        return warned

    return told


@pytest.fixture
def x(graph: tf.Graph) -> tf.Tensor:
    return v1.placeholder(tf.float32, [], "x")
