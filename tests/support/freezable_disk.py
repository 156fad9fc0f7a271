"""A disk that answers no write while it is frozen, as a file server does that has hung. Needs root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_loop_devices = pytest.mark.skipif(
    not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") is None,
    reason="a disk that can be frozen is made of a loop device and ext4",
)


class FreezableDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        """``folder`` gets the disk's image, and the directory where it is mounted."""
        self.place = folder / "disk"
        self._image = folder / "disk.image"
        self._is_frozen = False

    def make(self) -> None:
        self.place.mkdir()
        with self._image.open("wb") as image:
            image.truncate(64 * 2**20)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", self._image], check=True)
        subprocess.run(["mount", "-o", "loop", self._image, self.place], check=True)

    def freeze(self) -> None:
        """From now on who writes waits, and no signal ends that."""
        subprocess.run(["/usr/sbin/fsfreeze", "--freeze", self.place], check=True)
        self._is_frozen = True

    def thaw(self) -> None:
        """Writes go on. May be called again."""
        if self._is_frozen:
            subprocess.run(["/usr/sbin/fsfreeze", "--unfreeze", self.place], check=True)
            self._is_frozen = False

    def remove(self) -> None:
        self.thaw()
        subprocess.run(["umount", "--lazy", self.place], check=True)
