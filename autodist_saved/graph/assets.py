"""Assets: files that a graph reads, and that a model brings along in ``assets/``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.tf_internals import private_api

log = logging.getLogger(__name__)


def asset_problems(argument: str, assets: Sequence[Any]) -> Iterator[Problem]:
    """Yield what is wrong with asset tensors. ``argument``: the user's argument that has them."""
    fix = "give constant string tensors that name files, such as tf.constant(path)"
    for number, asset in enumerate(assets):
        place = f"{argument}[{number}]"
        try:
            path = private_api.asset_path(asset)
        except TypeError as error:
            yield Problem(place, str(error), fix)
            continue
        if not Path(path).is_file():
            yield Problem(place, f"there is no file {path!r}", "name a file of this machine")


def add_assets(
    meta_graph: meta_graph_pb2.MetaGraphDef, assets: Sequence[tf.Tensor], *, as_files: bool
) -> dict[str, str]:
    """Write the assets of a graph into its collection.

    Args:
        meta_graph: edited in place.
        assets: constant string tensors with the paths of files.
        as_files: write the assets into ``asset_file_def`` as well.

    Returns:
        paths of the files, by file name in ``assets/``.
    """
    key = v1.saved_model.constants.ASSETS_KEY
    meta_graph.collection_def.pop(key, None)  # it names files of the model that this graph was loaded from

    def add(file_name: bytes, tensor: tf.Tensor) -> None:
        asset = meta_graph_pb2.AssetFileDef(filename=tf.compat.as_text(file_name))
        asset.tensor_info.name = tensor.name
        packed = AnyProto()
        packed.Pack(asset)
        meta_graph.collection_def[key].any_list.value.append(packed)
        if as_files:
            meta_graph.asset_file_def.append(asset)

    files = private_api.asset_files(assets or None, add)
    return {tf.compat.as_text(name): tf.compat.as_text(path) for name, path in files.items()}


def asset_names(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Names of the files that a graph reads."""
    files = list(meta_graph.asset_file_def)
    for collection in meta_graph.collection_def.values():
        files += filter(None, map(asset_in, collection.any_list.value))
    return {file.filename for file in files}


def asset_in(member: AnyProto) -> meta_graph_pb2.AssetFileDef | None:
    """The asset that a member of a collection is; None for other members."""
    asset = meta_graph_pb2.AssetFileDef()
    return asset if member.Unpack(asset) else None


def warn_of_left_out(meta_graph: meta_graph_pb2.MetaGraphDef, graph: tf.Graph) -> None:
    """Log the files that a graph reads although it has no assets. ``graph``: the live one."""
    left_out = meta_graph.collection_def.get(v1.GraphKeys.ASSET_FILEPATHS)
    if left_out is not None:
        log.warning(
            "the graph reads files that are not part of the model, so it works on this machine only: %s; give the "
            "builder assets_collection=tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS)",
            ", ".join(_path_in(name, graph) for name in left_out.node_list.value),
        )


def warn_of_renamed(assets: Mapping[str, str]) -> None:
    """Log files that TensorFlow renames: it numbers those of one name from several directories.

    Args:
        assets: paths of files, by file name in ``assets/``.
    """
    names = Counter(Path(path).name for path in assets.values())
    if shared := [name for name, path in assets.items() if names[Path(path).name] > 1]:
        log.warning(
            "several assets have one file name, so all but the first get another name: %s",
            ", ".join(f"{assets[name]} is assets/{name}" for name in shared),
        )


def _path_in(name: str, graph: tf.Graph) -> str:
    """The path in a constant tensor; the tensor's name where it is no constant."""
    try:
        return private_api.asset_path(graph.as_graph_element(name))
    except (KeyError, TypeError, ValueError):
        return name
