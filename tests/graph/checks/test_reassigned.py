"""A main op that initializes what was restored is told; one that gives variables other values is let through."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request


def warned(graph: tf.Graph, caplog: pytest.LogCaptureFixture, saver: v1.train.Saver, main_op: tf.Operation) -> str:
    caplog.clear()
    check(describe(request(graph, saver=saver, main_op=main_op)).proto, devices_cleared=True)
    return "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("use_resource", [True, False])
def test_the_variables_whose_values_would_be_lost_are_named(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture, use_resource: bool
) -> None:
    table, _ = (v1.get_variable(name, [2], use_resource=use_resource) for name in ("table", "scale"))
    v1.get_variable("unsaved", [])
    local = v1.get_local_variable("local", [])
    saver = v1.train.Saver(v1.global_variables()[:2])
    text = warned(graph, caplog, saver, tf.group(v1.global_variables_initializer(), v1.tables_initializer()))
    assert "main_op: it initializes 'scale', 'table' after they were restored, so trained values are lost" in text
    assert "main_op: it initializes" in warned(graph, caplog, saver, v1.saved_model.main_op.main_op())
    reset = table.assign(tf.zeros([2]))
    for right in (
        v1.local_variables_initializer(),
        local.initializer,
        reset.op,
        v1.initialize_variables(v1.global_variables()[2:]),
        v1.saved_model.main_op.main_op_with_restore(graph.get_operation_by_name(saver.saver_def.restore_op_name)),
    ):
        assert not warned(graph, caplog, saver, right)
