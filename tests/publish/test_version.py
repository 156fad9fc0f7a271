"""Versions: what counts as one, whose it is, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autodist_saved.errors import TargetUnwritableError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.version import Version, number_after, version_number, versions_in
from autodist_saved.testing import ArraySource, RecordingCut
from tests.support.meta_graphs import description
from tests.support.versions import make_version

GREATEST = 2**63 - 1


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("10", 10),
        ("007", 7),
        ("123/", 123),
        ("0", 0),
        (str(GREATEST), GREATEST),
        (str(GREATEST + 1), None),
        ("", None),
        ("/", None),
        ("-1", None),
        ("1.0", None),
        ("1a", None),
        ("²", None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
        (".1.autodist_saved-x", None),
        ("latest", None),
    ],
)
def test_names_are_read_as_serving_reads_them(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_ten_comes_after_nine(tmp_path: Path) -> None:
    for name in ("9", "10", "2", "latest"):
        (tmp_path / name).mkdir()
    versions = versions_in(tmp_path)
    assert [version.number for version in versions] == [2, 9, 10]
    assert number_after(versions) == 11
    assert number_after([]) == 1


def test_no_version_comes_after_the_greatest() -> None:
    with pytest.raises(TargetUnwritableError, match="has the greatest possible version number; move it away"):
        number_after([Version(GREATEST, Path("/models") / str(GREATEST))])


def test_whose_a_version_is(tmp_path: Path) -> None:
    make_version(tmp_path, 1)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"somebody's")
    (tmp_path / "3").symlink_to("1")
    (tmp_path / "4").touch()
    (tmp_path / "5").mkdir()
    versions = versions_in(tmp_path)
    assert [version.is_ours for version in versions] == [True, False, False, False, False]
    assert [version.is_model for version in versions] == [True, True, True, False, False]


@pytest.mark.parametrize("as_text", [False, True])
def test_a_version_is_good_until_a_file_of_it_is_damaged(tmp_path: Path, as_text: bool) -> None:
    export = Export("chief:0", LocalTarget(tmp_path / "1"), ExportOptions())
    export.capture(description(), ArraySource({"table": np.zeros([600, 2])}), RecordingCut())
    export.publish(as_text=as_text)

    def is_good() -> bool:
        return Version(1, tmp_path / "1").is_good

    assert is_good()
    files = [path for path in (tmp_path / "1").rglob("*") if path.is_file()]
    assert len(files) == (4 if as_text else 5), "a text has no fingerprint"
    for path in files:
        whole = path.read_bytes()
        for damaged in (b"", whole[:-1]):
            path.write_bytes(damaged)
            assert not is_good(), path
        path.unlink()
        assert not is_good(), path
        path.write_bytes(whole)
    assert is_good()
