"""Finds out which program has written a model, from the traces that each program leaves in it."""

from __future__ import annotations

from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.saved_models.saved_model import SavedModel
from autodist_saved.system.paths import exists

_TRAIN_OP_COLLECTION = "saved_model_train_op"
_KERAS_2 = "_tf_keras_"
_KERAS_3 = {"_all_variables", "_misc_assets", "signatures"}  # attributes of the object that keras.export saves


def writer_of(model: SavedModel) -> str:
    """The program that has written the model, with the version of its TensorFlow, as text for people."""
    graph = model.graphs[0]
    version = graph.tensorflow_version
    return f"{_program(model, graph)} (TensorFlow {version})" if version else _program(model, graph)


def _program(model: SavedModel, graph: MetaGraph) -> str:
    objects = graph.proto.object_graph_def.nodes
    if exists(model.files.manifest):
        return "autodist_saved"
    if model.files.keras_metadata.exists() or any(one.user_object.identifier.startswith(_KERAS_2) for one in objects):
        return "Keras 2"
    if objects and {child.local_name for child in objects[0].children} >= _KERAS_3:
        return "Keras 3"
    if objects:
        return "tf.saved_model.save"
    if any(one.has_collection(_TRAIN_OP_COLLECTION) for one in model.graphs):
        return "AutoDist, or another builder that keeps the train op"
    return "tf.compat.v1.saved_model.Builder"
