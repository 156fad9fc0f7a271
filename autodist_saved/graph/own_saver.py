"""A saver for a meta graph that comes without one."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2


def with_saver(meta_graph: meta_graph_pb2.MetaGraphDef, *, strip_default_attrs: bool) -> meta_graph_pb2.MetaGraphDef:
    """The meta graph with ops that save and restore all its global variables, as TensorFlow's builder adds them.

    They are made in a scratch graph, so that the live one may be final. Without variables nothing is added.

    Args:
        meta_graph: of a whole graph, with all its attributes.
        strip_default_attrs: remove attributes that have their default value.
    """
    with tf.Graph().as_default():
        saver = v1.train.import_meta_graph(meta_graph)
        return v1.train.export_meta_graph(
            saver_def=None if saver is None else saver.as_saver_def(), strip_default_attrs=strip_default_attrs
        )
