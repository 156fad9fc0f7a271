"""What stands at a path is told before anything of it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodist_saved.errors import ModelError, UsageError
from autodist_saved.saved_models.model_directory import find_model, versions


@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
def test_a_directory_with_graphs_is_a_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_model(tmp_path).root == tmp_path


def test_a_copy_that_is_not_complete_is_a_damaged_model_and_no_other_directory(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    with pytest.raises(ModelError, match=r"contains variables and no saved_model.pb: .* copy it again"):
        find_model(tmp_path)


def test_graphs_in_chunks_are_left_to_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "saved_model.cpb").touch()
    with pytest.raises(UsageError, match="only TensorFlow reads"):
        find_model(tmp_path)


def test_versions_are_sorted_as_numbers_and_nothing_else_is_one(tmp_path: Path) -> None:
    for name in ("9", "10", "002", "latest", ".11", "12.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "13").mkdir()
    (tmp_path / "14").touch()
    assert [path.name for path in versions(tmp_path)] == ["002", "9", "10"]
    with pytest.raises(UsageError, match=f"name one of them, such as the newest, {tmp_path}/10"):
        find_model(tmp_path)


def test_a_model_has_no_versions(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "1").mkdir()
    assert versions(tmp_path) == []
    assert versions(tmp_path / "saved_model.pb") == []
