"""Variables of one type of elements, exported in every form and read by every loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.bundle.dtypes import numpy_dtype
from tests.support.served import TAGS, signatures

Values = dict[str, np.ndarray[Any, Any]]
SHAPE = (4, 3)
PARTITIONERS = {
    "whole": None,
    "by rows": v1.fixed_size_partitioner(2, axis=0),
    "by columns": v1.fixed_size_partitioner(3, axis=1),
}


class Trial:
    """A job in one process whose variables have one type of elements."""

    def __init__(self, place: Path, dtype: str, layouts: Sequence[str], *, use_resource: bool) -> None:
        """Runs nothing yet.

        Args:
            place: for models and checkpoints.
            dtype: name of the type.
            layouts: names of :data:`PARTITIONERS`. There is a variable for each.
            use_resource: whether the variables have resource handles.
        """
        self._place = place
        self._dtype = dtype
        self._layouts = layouts
        self._use_resource = use_resource

    @property
    def saved_by_tensorflow(self) -> bool:
        """Whether our saver leaves its checkpoints to TensorFlow, because no copy can be made of its variables."""
        return not self._use_resource and bool(tf.as_dtype(self._dtype).is_quantized)

    def initialize(self) -> None:
        """Make the variables. Raises TensorFlow's errors where it has no such variables."""
        with tf.Graph().as_default(), v1.Session() as session:
            self._build(partitioned=True)
            session.run(v1.global_variables_initializer())

    def outcomes(self) -> Iterator[tuple[str, str, str]]:
        """Yield form, loader, and ``works``, or why not."""
        with tf.Graph().as_default(), v1.Session() as session:
            variables = self._build(partitioned=True)
            outputs = {
                f"{number}_{place}": tf.identity(part)
                for number, variable in enumerate(variables.values())
                for place, part in enumerate(_pieces(variable))
            }
            given = signatures({"x": v1.placeholder(tf.float32, [], "x")}, outputs)
            saver = ads.Saver()
            session.run(v1.global_variables_initializer())
            self._values = _read(session, variables)
            refusals = {form: _error_of(write) for form, write in self._forms(session, saver, given).items()}
        for form, refusal in refusals.items():
            for loader, load in LOADERS[form].items():
                yield form, loader, f"refused: {refusal}" if refusal else self._tried(form, load)

    def _forms(self, session: v1.Session, saver: ads.Saver, given: Any) -> dict[str, Callable[[], Any]]:
        def export(form: str) -> None:
            builder = ads.SavedModelBuilder(self._place / form)
            builder.add_meta_graph_and_variables(session, TAGS, given, saver=saver, serving=form == "serving")
            builder.save()

        return {
            "complete": lambda: export("complete"),
            "serving": lambda: export("serving"),
            "checkpoint": lambda: saver.save(session, str(self._place / "checkpoint" / "model")),
        }

    def _tried(self, form: str, load: Callable[[Trial, Path, bool], Values]) -> str:
        loaded: Values = {}

        def run() -> None:
            loaded.update(load(self, self._place / form, form != "serving"))

        if failure := _error_of(run):
            return f"fails: {failure}"
        same = loaded.keys() == self._values.keys() and all(
            _same(loaded[name], value) for name, value in self._values.items()
        )
        return "works" if same else "wrong"

    def _build(self, *, partitioned: bool) -> dict[str, Any]:
        return {
            layout: v1.get_variable(
                layout.replace(" ", "_"),
                SHAPE,
                tf.as_dtype(self._dtype),
                self._initial,
                partitioner=PARTITIONERS[layout] if partitioned else None,
                use_resource=self._use_resource,
            )
            for layout in self._layouts
        }

    def _initial(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> tf.Tensor:
        top, left = partition_info.var_offset if partition_info else (0, 0)
        part = _numbered(self._dtype)[top : top + shape[0], left : left + shape[1]]
        if tf.as_dtype(self._dtype).is_quantized:
            return tf.bitcast(tf.constant(part), tf.as_dtype(self._dtype))
        return tf.constant(part, tf.as_dtype(self._dtype))

    def restored_by(self, saver: Callable[[], v1.train.Saver], prefix: str, *, partitioned: bool) -> Values:
        """The values that a saver restores in a new job."""
        with tf.Graph().as_default(), v1.Session() as session:
            variables = self._build(partitioned=partitioned)
            saver().restore(session, prefix)
            return _read(session, variables)

    def named(self, outputs: Mapping[str, Any]) -> Values:
        """The whole values, by layout, of the outputs of the signature."""
        parts = [[] for _ in self._layouts]
        for key in sorted(outputs):
            parts[int(key.partition("_")[0])].append(np.asarray(outputs[key]))
        return {layout: _whole(layout, pieces) for layout, pieces in zip(self._layouts, parts, strict=True)}


def _by_v1_loader(trial: Trial, model: Path, partitioned: bool) -> Values:
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, TAGS, str(model))
        outputs = loaded.signature_def["serving_default"].outputs
        return trial.named(session.run({key: info.name for key, info in outputs.items()}))


def _by_v2_loader(trial: Trial, model: Path, partitioned: bool) -> Values:
    answers = tf.saved_model.load(str(model)).signatures["serving_default"](x=tf.constant(0.0))
    return trial.named({key: answer.numpy() for key, answer in answers.items()})


def _by_stock_saver(trial: Trial, model: Path, partitioned: bool) -> Values:
    return trial.restored_by(v1.train.Saver, _prefix(model), partitioned=partitioned)


def _by_our_saver(trial: Trial, model: Path, partitioned: bool) -> Values:
    for other in (partitioned,) if trial.saved_by_tensorflow else (False, True):
        values = trial.restored_by(ads.Saver, _prefix(model), partitioned=other)
    return values


def _prefix(place: Path) -> str:
    return str(place / "variables" / "variables" if place.name != "checkpoint" else place / "model")


_SAVERS = {"tf.compat.v1.train.Saver": _by_stock_saver, "autodist_saved.Saver": _by_our_saver}
_MODEL_LOADERS = {"tf.compat.v1.saved_model.loader": _by_v1_loader, "tf.saved_model.load": _by_v2_loader, **_SAVERS}
LOADERS: Mapping[str, Mapping[str, Callable[[Trial, Path, bool], Values]]] = {
    "complete": _MODEL_LOADERS,
    "serving": _MODEL_LOADERS,
    "checkpoint": _SAVERS,
}


def _numbered(dtype: str) -> np.ndarray[Any, Any]:
    """Different values, as far as the type has so many."""
    numbers = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    if dtype == "string":
        return np.array([[b"late" * number for number in row] for row in numbers], object)
    distinct = 2 if dtype in {"bool", "int2", "uint2", "float4_e2m1fn"} else 7
    return (numbers % distinct).astype(numpy_dtype(dtype))


def _pieces(variable: Any) -> list[Any]:
    """The pieces of a partitioned variable, or the only one: TensorFlow cannot concatenate tensors of every type."""
    return list(variable) if type(variable).__name__ == "PartitionedVariable" else [variable]


def _read(session: v1.Session, variables: Mapping[str, Any]) -> Values:
    return {layout: _whole(layout, session.run(_pieces(variable))) for layout, variable in variables.items()}


def _whole(layout: str, pieces: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.concatenate(pieces, 1 if layout == "by columns" else 0)


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.shape != other.shape:
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


def _error_of(call: Callable[[], Any]) -> str:
    """The first line of what a call raises; empty if it raises nothing."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return f"{type(error).__name__}: {error}"
    return ""
