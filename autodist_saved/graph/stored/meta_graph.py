"""One of the graphs in ``saved_model.pb``: its tags, signatures, ops and assets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from autodist_saved.bundle.dtypes import name_of
from autodist_saved.bundle.slice_spec import Slice, parse_slice_spec
from autodist_saved.errors import ModelError
from autodist_saved.graph.stored.saved_model_pb2 import AssetFileDef, MetaGraphDef, NodeDef, SignatureDef, TensorInfo

_ASSETS_COLLECTION = "saved_model_assets"
_RESOURCE = 20  # DT_RESOURCE in TensorFlow's types.proto; a bundle cannot hold it


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a signature.

    Attributes:
        name: of the tensor in the graph, such as ``x:0``; for a train op the name of the op; empty if the value is
            not a dense tensor.
        dtype: name of the element type; empty for an op.
        shape: None if the rank is not fixed. An extent is None if it is not fixed.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if not self.dtype:
            return self.name
        extents = "..." if self.shape is None else ", ".join("?" if one is None else str(one) for one in self.shape)
        return f"{self.dtype} [{extents}] {self.name}".rstrip()


@dataclass(frozen=True)
class Signature:
    """A signature, which servers call.

    Attributes:
        method: name of its method, such as ``tensorflow/serving/predict``.
        inputs: its inputs by key, sorted.
        outputs: its outputs by key, sorted.
    """

    method: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


class MetaGraph:
    """One graph of a model.

    Attributes:
        proto: the stored message.
        assets: names of the files in ``assets/`` that the graph reads, sorted. TensorFlow's two builders record them
            in different places; both are read.
    """

    def __init__(self, proto: MetaGraphDef) -> None:
        """Raises ``DecodeError`` if the list of assets is damaged."""
        self.proto = proto
        self.assets = _assets(proto)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags by which loaders select the graph, sorted. Each graph of a model has other tags."""
        return tuple(sorted(self.proto.meta_info_def.tags))

    @cached_property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by key, sorted."""
        return {key: _signature(signature) for key, signature in sorted(self.proto.signature_def.items())}

    @cached_property
    def op_types(self) -> Counter[str]:
        """The number of ops of each type. Ops in functions count."""
        return Counter(node.op for node in self._nodes())

    @property
    def tensorflow_version(self) -> str:
        """Version of the TensorFlow that wrote the graph; empty if it is not known."""
        return self.proto.meta_info_def.tensorflow_version

    @property
    def restores_variables(self) -> bool:
        """Whether the graph has an op that restores variables when the model is loaded."""
        return bool(self.proto.saver_def.restore_op_name)

    @cached_property
    def restored(self) -> Mapping[str, tuple[Slice, ...]]:
        """The variables that the graph restores with ``RestoreV2`` ops when the model is loaded, by name, sorted.

        Graphs of ``tf.compat.v1`` restore variables in this way. For each variable the slices that it reads one by
        one; none where it reads the whole.

        Raises:
            ModelError: the text for a slice is damaged.
        """
        prefix = self.proto.saver_def.filename_tensor_name.removesuffix(":0")
        nodes = self.proto.graph_def.node
        lists = [node.input[1:3] for node in nodes if node.op == "RestoreV2" and prefix in node.input[:1]]
        needed = {name for names_and_slices in lists for name in names_and_slices}
        texts = {node.name: _texts(node) for node in nodes if node.name in needed}
        found = defaultdict[str, list[Slice]](list)
        for names_and_slices in lists:
            names, slices = (texts.get(name, []) for name in names_and_slices)
            for name, text in zip_longest(names, slices[: len(names)], fillvalue=""):
                found[name] += [_slice(name, text)] if text else []
        return {name: tuple(slices) for name, slices in sorted(found.items())}

    def has_collection(self, key: str) -> bool:
        """Whether the graph has a collection with this key."""
        return key in self.proto.collection_def

    def _nodes(self) -> Iterator[NodeDef]:
        yield from self.proto.graph_def.node
        for function in self.proto.graph_def.library.function:
            yield from function.node_def


def _assets(proto: MetaGraphDef) -> tuple[str, ...]:
    collections = proto.collection_def
    packed = collections[_ASSETS_COLLECTION].any_list.value if _ASSETS_COLLECTION in collections else ()
    assets = [*proto.asset_file_def, *(AssetFileDef.FromString(one.value) for one in packed)]
    return tuple(sorted({asset.filename for asset in assets}))


def _text(name: bytes) -> str:
    """Decode a name as the index of a bundle does, so that names can be compared."""
    return name.decode("utf-8", "surrogateescape")


def _texts(constant: NodeDef) -> list[str]:
    return [_text(text) for text in constant.attr["value"].tensor.string_val]


def _slice(name: str, text: str) -> Slice:
    try:
        return parse_slice_spec(text)
    except ValueError:
        raise ModelError(f"the text for a slice of {name!r} is damaged: {text!r}; copy the model again") from None


def _signature(proto: SignatureDef) -> Signature:
    inputs, outputs = (
        {key: _tensor(info) for key, info in sorted(infos.items())} for infos in (proto.inputs, proto.outputs)
    )
    return Signature(proto.method_name, inputs, outputs)


def _tensor(info: TensorInfo) -> Tensor:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return Tensor(info.name, _dtype(info.dtype), shape)


def _dtype(number: int) -> str:
    if number == 0:
        return ""
    return "resource" if number == _RESOURCE else name_of(number) or f"type {number}"
