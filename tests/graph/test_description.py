"""Descriptions: every one of them does what an export relies on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.description import Description
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.testing import (
    ArraySource,
    DescriptionConformance,
    FolderTarget,
    GivenDescription,
    RecordingCut,
)
from tests.support.meta_graphs import description


class TestGraphDescription(DescriptionConformance):
    def make(self, extra_files: Mapping[str, bytes]) -> Description:
        with tf.Graph().as_default() as graph, v1.device("/job:ps/task:1"):
            x = v1.placeholder(tf.float32, [None], "x")
            y = x * v1.get_variable("w", [])
            signatures = {"double": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
        examples = {"double": [{"x": np.zeros(2, np.float32)}]}
        return description(
            graph, signature_def_map=signatures, assets_extra=extra_files, examples=examples, tags=["serve", "cpu"]
        )


class TestGivenDescription(DescriptionConformance):
    def make(self, extra_files: Mapping[str, bytes]) -> Description:
        proto = meta_graph_pb2.MetaGraphDef()
        proto.signature_def["serving_default"].method_name = "tensorflow/serving/predict"
        return GivenDescription(proto, extra_files=extra_files)


def test_the_pipeline_runs_on_doubles_alone(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "model")
    export = Export("chief:0", target, ExportOptions())
    cut = RecordingCut()
    export.capture(GivenDescription(), ArraySource({"w": np.arange(3.0)}, parts=2), cut)
    assert cut.calls == ["acquire", "release"]
    assert not (tmp_path / "model").exists()
    export.publish()
    assert target.calls == ["check", "open", "complete", "commit", "check"]
    assert tf.train.load_checkpoint(str(tmp_path / "model/variables/variables")).get_tensor("w").tolist() == [0, 1, 2]


@pytest.mark.parametrize("at", ["check", "open", "complete", "commit"])
def test_where_the_target_fails_nothing_is_left(tmp_path: Path, at: str) -> None:
    target = FolderTarget(tmp_path / "model", fails_at={at})
    export = Export("chief:0", target, ExportOptions())

    def capture_and_publish() -> None:
        export.capture(GivenDescription(), ArraySource({"w": np.arange(3.0)}), RecordingCut())
        export.publish()

    with pytest.raises(OSError, match=f"{at}\\(\\) of"):
        capture_and_publish()
    assert list(tmp_path.iterdir()) == []
