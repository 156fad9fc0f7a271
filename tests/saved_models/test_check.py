"""Whether a model is whole: what is wrong with a copy is found, all at once, by whoever has nothing but the copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import ModelError, OtherModelError, UsageError
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import ExportReport
from autodist_saved.saved_models.check import check_model
from tests.support.bundles import write_bundle
from tests.support.saved_models import KINDS, write_ours, write_v1, write_v2
from tests.support.served import signatures


def places(caught: pytest.ExceptionInfo[ModelError]) -> list[str]:
    return [problem.place for problem in caught.value.problems]


def flip(path: Path, at: int = -1) -> None:
    contents = bytearray(path.read_bytes())
    contents[at] ^= 1
    path.write_bytes(contents)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_byte_of_a_variable_is_found(tmp_path: Path, kind: str) -> None:
    write, _ = KINDS[kind]
    (data,) = (write(tmp_path / "1") / "variables").glob("*.data*")
    flip(data, 2)
    with pytest.raises(ModelError, match="the checksum of .* does not match its bytes"):
        check_model(tmp_path / "1")


def test_a_variable_that_its_graph_cannot_read_is_told(graph: tf.Graph, tmp_path: Path) -> None:
    half = v1.get_variable("half", [4], tf.float16, v1.zeros_initializer(), partitioner=v1.fixed_size_partitioner(2))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signatures({"x": v1.placeholder(tf.float32)}, {"y": tf.convert_to_tensor(half)})
        )
        builder.save()
    check_model(tmp_path / "1")
    for path in (tmp_path / "1" / "variables").iterdir():
        path.unlink()
    write_bundle(tmp_path / "1" / "variables" / "variables", {"half": np.zeros(4, np.float16)})
    with pytest.raises(ModelError, match="TensorFlow restores float16 only as it is stored: it is stored as a whole"):
        check_model(tmp_path / "1")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1")
    flip(place / "variables/variables.data-00000-of-00001")
    flip(place / "assets/words.txt")
    (place / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        check_model(place)
    assert places(caught) == ["saved_model.pb", "assets/words.txt", "variable 'w'"]


@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "variables/variables.index"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_that_is_cut_short_or_missing_is_told_once_without_its_directory(
    tmp_path: Path, kind: str, name: str, is_there: bool
) -> None:
    place = KINDS[kind][0](tmp_path / "1")
    contents = (place / name).read_bytes()
    (place / name).unlink()
    if is_there:
        (place / name).write_bytes(contents[: len(contents) // 2])
    with pytest.raises(ModelError) as caught:
        check_model(place)
    assert places(caught).count(name) == 1
    assert str(caught.value).count(str(place)) == 1, "in the heading"
    fixes = {problem.fix for problem in caught.value.problems}
    assert fixes == {"copy the model again from where it was exported, or export it again"}
    assert not any("; " in problem.what for problem in caught.value.problems), "one advice"


@pytest.mark.parametrize("name", ["saved_model.pb", "assets.extra/autodist_saved/manifest.json"])
def test_what_is_wrong_with_a_file_is_told_without_its_directory(tmp_path: Path, name: str) -> None:
    place = write_ours(tmp_path / "1")
    (place / name).write_bytes(b"\x0a\xff")
    with pytest.raises(ModelError) as caught:
        check_model(place)
    assert str(caught.value).count(str(place)) == 1
    assert not any("; " in problem.what for problem in caught.value.problems)


def test_of_a_damaged_variable_the_file_is_named(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1")
    flip(place / "variables/variables.data-00000-of-00001")
    with pytest.raises(ModelError) as caught:
        check_model(place)
    (problem,) = caught.value.problems
    assert problem.place == "variable 'w'"
    assert problem.what == "the checksum of 'w' does not match its bytes, in variables.data-00000-of-00001"


@pytest.mark.parametrize("write", [write_ours, write_v1])
def test_an_asset_that_is_missing_is_named_once(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    place = write(tmp_path / "1")
    (place / "assets/words.txt").unlink()
    with pytest.raises(ModelError) as caught:
        check_model(place)
    assert places(caught) == ["assets/words.txt"]


def test_variables_of_another_version_are_found_by_the_manifest(tmp_path: Path) -> None:
    one, two = write_ours(tmp_path / "1"), write_ours(tmp_path / "2", w=2.0)
    shutil.copytree(two / "variables", one / "variables", dirs_exist_ok=True)
    with pytest.raises(ModelError) as caught:
        check_model(one)
    assert places(caught) == ["variables/variables.index"]


def test_variables_of_another_version_are_found_by_the_fingerprint(tmp_path: Path) -> None:
    one, two = write_v2(tmp_path / "1"), write_v2(tmp_path / "2")
    (two / "variables").rename(tmp_path / "variables")
    shutil.copytree(write_v1(tmp_path / "3") / "variables", two / "variables")
    check_model(one)
    with pytest.raises(ModelError) as caught:
        check_model(two)
    assert places(caught) == ["fingerprint.pb"]


def test_variables_of_another_model_are_found_by_the_graph(tmp_path: Path) -> None:
    one, two = write_v1(tmp_path / "1"), write_v2(tmp_path / "2")
    shutil.rmtree(one / "variables")
    shutil.copytree(two / "variables", one / "variables")
    with pytest.raises(ModelError) as caught:
        check_model(one)
    assert places(caught) == ["variable 'w'"]


def test_variables_are_those_that_were_planned(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1")
    manifest = place / "assets.extra/autodist_saved/manifest.json"
    report = json.loads(manifest.read_text())
    report["plan"]["variables"][0]["name"] = "x"
    manifest.write_text(json.dumps(report))
    with pytest.raises(ModelError) as caught:
        check_model(place)
    assert places(caught) == ["variable 'w'", "variable 'x'"]


def test_a_whole_model_is_compared_with_the_manifest_that_is_given(tmp_path: Path) -> None:
    one, two = write_ours(tmp_path / "1"), write_ours(tmp_path / "2", words="a\nc\n")
    check_model(one, read_manifest(one))
    with pytest.raises(OtherModelError, match="is not the model of that manifest") as caught:
        check_model(one, read_manifest(two))
    assert places(caught) == ["assets/words.txt", "fingerprint.pb", "saved_model.pb"], "the graph names the words"


def test_a_damaged_file_is_told_once(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1")
    flip(place / "assets/words.txt")
    with pytest.raises(ModelError) as caught:
        check_model(place, read_manifest(place))
    assert not isinstance(caught.value, OtherModelError)
    assert places(caught) == ["assets/words.txt"]


def test_a_manifest_without_sums_is_no_measure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no checksums"):
        check_model(write_ours(tmp_path / "1"), ExportReport("chief:0"))
