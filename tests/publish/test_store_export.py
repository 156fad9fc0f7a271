"""Exports into an object store, from the graph to a plain TensorFlow that loads a copy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import ExportError, TargetError, VerifyError
from autodist_saved.publish.store.uploads import Uploads
from autodist_saved.sources.parameter_servers import ParameterServers
from autodist_saved.system.paths import path_of
from tests.support.object_store import cut_after, download, environment, keys, models, through, uploads

MIB = 2**20

EXPORTER = """
import resource, sys
import autodist_saved as ads
from tests.publish.test_store_export import MIB, export, session_of_large_variables
with session_of_large_variables(24) as (session, saver):
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    print(export(session, saver, sys.argv[1]))
"""


@contextmanager
def session_of_large_variables(mib: int) -> Iterator[tuple[v1.Session, ads.Saver]]:
    """A session of so many MiB of variables, whole and in pieces, and strings."""
    rows = mib * MIB // 2 // 4 // 1024
    with tf.Graph().as_default(), v1.Session() as session:
        values = tf.reshape(tf.range(rows * 1024, dtype=tf.float32), [rows, 1024])
        v1.get_variable("whole", initializer=values, use_resource=True)
        v1.get_variable("columns", initializer=values + 1, partitioner=lambda **_: [1, 2], use_resource=True)
        v1.get_variable("words", initializer=tf.constant(["one", "two"]), use_resource=True)
        saver = ads.Saver()
        session.run(v1.global_variables_initializer())
        yield session, saver


def export(session: v1.Session, saver: ads.Saver, place: Any, **options: Any) -> str:
    builder = ads.SavedModelBuilder(place, options=ads.ExportOptions(**options))
    try:
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        return builder.save().decode()
    finally:
        builder.abandon()


@pytest.mark.slow
def test_a_model_streams_and_no_file_of_its_size_is_written_on_the_way(bucket: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXPORTER, f"{bucket}model"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{bucket}model/saved_model.pb\n"
    copy = download(bucket / "model", tmp_path / "copy")
    assert (copy / "variables" / "variables.data-00000-of-00001").stat().st_size > 24 * MIB
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(copy))
        whole, words = session.run(["whole/Read/ReadVariableOp:0", "words/Read/ReadVariableOp:0"])
        assert graph.get_tensor_by_name("columns/part_1/Read/ReadVariableOp:0").shape[1] == 512
    assert (whole.ravel() == np.arange(whole.size)).all()
    assert words.tolist() == [b"one", b"two"]
    columns = tf.train.load_variable(str(copy / "variables" / "variables"), "columns")
    assert (columns == whole + 1).all()


def test_an_export_that_breaks_in_the_middle_leaves_nothing_and_the_next_one_publishes(
    bucket: Path, s3_endpoint: str
) -> None:
    with session_of_large_variables(24) as (session, saver):
        with cut_after(12 * MIB, s3_endpoint) as endpoint, pytest.raises(TargetError) as caught:
            export(session, saver, through(endpoint, bucket / "model"))
        assert caught.value.phase == "stream"
        assert keys(bucket) == []
        export(session, saver, bucket / "model")
    assert "saved_model.pb" in models(bucket / "model")


def test_bytes_that_change_on_their_way_are_found_before_the_model_appears(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = Uploads.complete

    def damaged(all_files: Uploads) -> None:
        complete(all_files)
        (data,) = all_files.directory.iterdir()
        data.write_bytes(data.read_bytes()[:-1] + b"\xff")

    monkeypatch.setattr(Uploads, "complete", damaged)
    with session_of_large_variables(1) as (session, saver):
        with pytest.raises(VerifyError, match="the checksum of 'w.*' does not match its bytes"):
            export(session, saver, bucket / "model")
        assert keys(bucket) == uploads(bucket) == []
        export(session, saver, bucket / "model", verify="none")


def test_a_store_that_shows_uploads_gets_the_model_at_the_commit(tmp_path: Path) -> None:
    place = path_of(f"memory://{tmp_path}/model")
    with session_of_large_variables(1) as (session, saver):
        export(session, saver, place)
    copy = download(place, tmp_path / "copy")
    assert (tf.train.load_variable(str(copy / "variables" / "variables"), "whole")[0] == np.arange(1024)).all()


def test_parameter_servers_that_are_to_write_themselves_are_refused(bucket: Path) -> None:
    class OneServer:
        def connect(self, _: object) -> dict[str, object]:
            return {"ps:0": object()}

    with pytest.raises(ExportError, match="ps:0 cannot write to an object store.*; .*transport='auto'"):
        ParameterServers().connect(OneServer(), {"ps:0": []}, None, ads.ExportOptions(transport="shared"))
