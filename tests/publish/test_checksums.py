"""Sums of files: what tells a copy from the model that was exported."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import pytest

from autodist_saved.publish import checksums as module
from autodist_saved.publish.checksums import file_sums, sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import ExportReport, FileSum
from tests.support.saved_models import write_ours

CONTENTS = {
    "saved_model.pb": b"graphs",
    "assets/words.txt": b"a\nb\n",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"0123",
}


@pytest.fixture
def files(tmp_path: Path) -> SavedModelFiles:
    for name, contents in CONTENTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(contents)
    return SavedModelFiles(tmp_path)


def test_every_file_has_a_checksum_but_those_that_the_index_has(files: SavedModelFiles) -> None:
    assert file_sums(files) == {
        name: FileSum(len(contents), None if "data" in name else google_crc32c.value(contents))
        for name, contents in CONTENTS.items()
    }


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("saved_model.pb", b"graphS", "its checksum differs from that"),
        ("saved_model.pb", b"graphs, more", "it has 12 bytes, and 6 were exported"),
        ("variables/variables.data-00000-of-00001", b"012", "it has 3 bytes, and 4 were exported"),
        ("assets/words.txt", None, "it is missing"),
    ],
)
def test_files_that_are_others_are_named(
    files: SavedModelFiles, name: str, contents: bytes | None, said: str
) -> None:
    sums = file_sums(files)
    (files.root / name).unlink()
    if contents is not None:
        (files.root / name).write_bytes(contents)
    (problem,) = sum_problems(files, sums, "copy it")
    assert problem.place == name
    assert said in problem.what


def test_a_file_that_goes_away_meanwhile_is_missing(files: SavedModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = file_sums(files)

    def gone(path: Path, root: Path) -> int:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(module, "checksum", gone)
    assert {problem.what for problem in sum_problems(files, sums, "copy it")} == {"it is missing"}


def test_files_that_were_added_are_fine(files: SavedModelFiles) -> None:
    sums = file_sums(files)
    (files.root / "assets.extra").mkdir()
    (files.root / "assets.extra" / "tf_serving_warmup_requests").touch()
    assert list(sum_problems(files, sums, "copy it")) == []


def test_a_manifest_that_names_devices_makes_nobody_read_them(files: SavedModelFiles) -> None:
    (problem,) = sum_problems(files, {"/dev/zero": FileSum(0, 1)}, "copy it")
    assert problem.what == f"it leads out of {files.root}, to /dev/zero"


def test_the_manifest_of_a_model_has_the_sums_of_its_files(tmp_path: Path) -> None:
    files = SavedModelFiles(write_ours(tmp_path / "1"))
    manifest = ExportReport.from_json(files.manifest.read_text())
    name = files.manifest.relative_to(files.root).as_posix()
    assert manifest.files == {path: one for path, one in file_sums(files).items() if path != name}
    assert set(CONTENTS) <= set(manifest.files)
