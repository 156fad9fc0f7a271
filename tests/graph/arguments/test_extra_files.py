"""What may be put beside a model, and that nothing gets out of ``assets.extra/`` or over another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autodist_saved.graph.arguments.extra_files import extra_file_problems


def test_files_in_directories_and_contents_are_welcome() -> None:
    files = {"a.txt": __file__, "schema/b.json": Path(__file__), "schema/deep/c": b"contents", ".hidden": b""}
    assert not list(extra_file_problems(files, taken=["other", "schema/d"]))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../model", "a/../../b", "a/..", "a/./b", "./a", "a//b", "a/", ".", "", "a\0b", 3, b"a"]
)
def test_what_is_no_path_below_the_directory_is_refused(name: Any) -> None:
    (problem,) = extra_file_problems({name: b""})
    assert problem.what == "this is not a path of a file below assets.extra/"


@pytest.mark.parametrize("name", ["autodist_saved/manifest.json", "autodist_saved/mine", "autodist_saved"])
def test_the_directory_of_the_manifest_is_not_for_others(name: str) -> None:
    (problem,) = extra_file_problems({name: b""})
    assert problem.what == "autodist_saved/ is reserved for the manifest of the export"


def test_no_file_is_replaced_and_none_is_a_directory_too() -> None:
    problems = extra_file_problems({"a": b"", "a/b/c": b"", "again": b"", "taken/d": b""}, taken=["again", "taken"])
    assert [(problem.place, problem.what) for problem in problems] == [
        ("assets_extra['a/b/c']", "a is a file, and not a directory too"),
        ("assets_extra['again']", "another file has this name already"),
        ("assets_extra['taken/d']", "taken is a file, and not a directory too"),
    ]


def test_a_file_where_an_earlier_one_needs_a_directory_is_refused() -> None:
    (problem,) = extra_file_problems({"a": b""}, taken=["a/b"])
    assert problem.what == "a is a directory already"


def test_missing_files_are_all_told(tmp_path: Path) -> None:
    problems = extra_file_problems({"a": tmp_path / "no", "b": str(tmp_path), "c": __file__})
    assert [problem.what for problem in problems] == [
        f"there is no file {str(tmp_path / 'no')!r}",
        f"there is no file {str(tmp_path)!r}",
    ]
