"""Describes a model: makes ``saved_model.pb`` from a copy of the job's graph. Nothing here changes the live graph.

- ``description`` is the contract; ``meta_graph_builder`` fulfils it for a ``tf.Graph``, as a ``request`` asks.
- ``arguments/`` knows what users give for a meta graph, and whether it fits.
- ``graph_def/`` reads and edits TensorFlow's messages. The walks over graphs are in ``tf_internals/graph_walk``, the
  lists of op types in ``tf_internals/op_types``.
- ``serving/`` cuts a graph at its signatures; ``folding/`` makes one variable of all pieces of a partitioned one.
- ``checks/`` finds what a loader could not use.
"""
