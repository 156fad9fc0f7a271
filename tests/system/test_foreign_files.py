"""What may be opened: files, wherever links in their directory lead, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.system import foreign_files
from autodist_saved.system.foreign_files import (
    ABSENT,
    NotAFileError,
    files_in,
    is_file_in,
    is_path_inside,
    open_to_read,
    read_file,
    size_of,
)
from tests.support.hostile_files import HOSTILE, LONG


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Reached by a link, as ``latest`` is."""
    (tmp_path / "1" / "below").mkdir(parents=True)
    (tmp_path / "1" / "below" / "file").write_bytes(b"contents")
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "latest").symlink_to("1")
    return tmp_path / "latest"


READERS: dict[str, Callable[[Path, Path], object]] = {
    "read": lambda path, root: read_file(path, 2**30, root),
    "open": open_to_read,
    "size": size_of,
}


@pytest.mark.parametrize(
    ("kind", "reader"),
    # The first bytes of a long file, and its size, may be asked for.
    [(kind, reader) for kind in HOSTILE for reader in READERS if kind != LONG or reader == "read"],
)
def test_what_is_not_a_file_inside_is_not_opened(root: Path, kind: str, reader: str) -> None:
    make, said = HOSTILE[kind]
    path = root / "below" / "hostile"
    make(path)
    with pytest.raises(ABSENT) as caught:
        READERS[reader](path, root)
    assert said in str(caught.value.strerror)


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_not_listed_unless_it_is_only_long(root: Path, kind: str) -> None:
    HOSTILE[kind][0](root / "hostile")
    assert set(files_in(root)) == {"below/file"} | ({"hostile"} if kind == LONG else set())


def test_a_directory_that_leads_out_does_not_help(root: Path) -> None:
    (root / "away").symlink_to(root.parent.resolve())
    for path in (root / "away" / "outside", root / ".." / "outside", root / "below" / ".." / ".." / "outside"):
        with pytest.raises(NotAFileError, match="it leads out of"):
            open_to_read(path, root)


def test_links_inside_and_to_the_directory_itself_are_followed(root: Path) -> None:
    (root / "link").symlink_to("below/file")
    (root / "same").symlink_to("below")
    for name in ("below/file", "link", "same/file"):
        assert read_file(root / name, 8, root) == b"contents"
        assert size_of(root / name, root) == 8
    assert set(files_in(root)) == {"below/file", "link"}


def test_what_a_person_names_may_be_a_link_to_anywhere(root: Path) -> None:
    (root / "link").symlink_to("../outside")
    assert read_file(root / "link", 6) == b"secret"


def test_no_byte_more_than_agreed_is_read(root: Path) -> None:
    with pytest.raises(NotAFileError, match="it has 8 bytes, and a file of its kind has at most 7"):
        read_file(root / "below" / "file", 7, root)
    with pytest.raises(NotAFileError, match="is no file with a size"):
        read_file(Path("/proc/self/status"), 2**20)


@pytest.mark.parametrize("swapped", ["below", "below/file"])
def test_a_link_that_appears_while_it_is_opened_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    real = foreign_files._real

    def racing(path: Path) -> Path:
        found = real(path)
        if path != root:
            place = root / swapped
            place.rename(root / "moved")
            place.symlink_to(root.parent / ("1/moved" if swapped == "below" else "outside"))
        return found

    monkeypatch.setattr(foreign_files, "_real", racing)
    with pytest.raises(OSError) as caught:
        open_to_read(root / "below" / "file", root)
    assert isinstance(caught.value, ABSENT), caught.value


def test_nothing_stays_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    open_to_read(root / "below" / "file", root).close()
    for number, (make, _) in enumerate(HOSTILE.values()):
        make(root / str(number))
        is_file_in(root / str(number), root)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a", True),
        ("a/b.txt", True),
        ("..a/.b", True),
        ("", False),
        (".", False),
        ("..", False),
        ("/a", False),
        ("a/../b", False),
        ("a/..", False),
        ("./a", False),
        ("a//b", False),
        ("a/", False),
        ("a\0b", False),
        (1, False),
    ],
)
def test_names_stay_inside(name: object, inside: bool) -> None:
    assert is_path_inside(name) == inside
