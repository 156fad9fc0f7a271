"""The link ``latest``: where it points, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodist_saved.publish.disk import latest
from autodist_saved.publish.disk.latest import point_to_latest
from tests.support.versions import linked, make_version


def test_it_points_to_the_newest_model(tmp_path: Path) -> None:
    for number in (9, 10):
        make_version(tmp_path, number)
        point_to_latest(tmp_path)
        assert linked(tmp_path) == str(number)
    (tmp_path / "11").write_text("no model")
    point_to_latest(tmp_path)
    assert linked(tmp_path) == "10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "11", "9", "latest"]


def test_it_still_fits_when_the_base_is_moved(tmp_path: Path) -> None:
    make_version(tmp_path / "base", 1)
    point_to_latest(tmp_path / "base")
    (tmp_path / "base").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest" / "saved_model.pb").exists()


def test_it_is_never_absent_while_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(tmp_path, 1)
    point_to_latest(tmp_path)
    make_version(tmp_path, 2)
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        assert path != tmp_path / "latest"
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    point_to_latest(tmp_path)
    assert linked(tmp_path) == "2"


@pytest.mark.parametrize("what", ["file", "directory", "link to elsewhere", "dangling link", "absolute link"])
def test_what_is_no_link_to_a_version_is_left_alone(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(tmp_path, 1)
    link = tmp_path / "latest"
    if what == "file":
        link.write_text("mine")
    elif what == "directory":
        link.mkdir()
    else:
        links = {"link to elsewhere": "../x", "dangling link": "best", "absolute link": str(tmp_path / "1")}
        link.symlink_to(links[what])
    before = link.lstat()
    point_to_latest(tmp_path)
    assert os.path.samestat(link.lstat(), before)
    assert "latest is not a link to a version and is left alone" in caplog.text


def test_a_link_to_a_version_that_is_gone_is_renewed(tmp_path: Path) -> None:
    make_version(tmp_path, 2)
    (tmp_path / "latest").symlink_to("1")
    point_to_latest(tmp_path)
    assert linked(tmp_path) == "2"


def test_another_process_that_commits_meanwhile_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version(tmp_path, 1)
    link = latest._link

    def slow_link(base: Path, name: str) -> None:
        if name == "1":
            make_version(tmp_path, 2)
            point_to_latest(tmp_path)
        link(base, name)

    monkeypatch.setattr(latest, "_link", slow_link)
    point_to_latest(tmp_path)
    assert linked(tmp_path) == "2"


@pytest.mark.parametrize("base", ["empty", "gone"])
def test_where_there_is_no_version_there_is_no_link(
    tmp_path: Path, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    point_to_latest(tmp_path / base)
    assert not list((tmp_path / "empty").iterdir())
    assert bool(caplog.records) == (base == "gone")
