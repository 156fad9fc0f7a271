"""What every target does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autodist_saved.errors import TargetExistsError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target
from autodist_saved.testing.conformance.check import check


class TargetConformance:
    """What every :class:`Target` does. Subclass it and fill in :meth:`make` and :meth:`visible`."""

    def make(self, place: Path) -> Target:
        """A target for a model at ``place``, or below it, or at what stands for it."""
        raise NotImplementedError

    def visible(self, place: Path) -> Mapping[str, bytes]:
        """All files of models that an onlooker sees at ``place``, or below it, by name."""
        raise NotImplementedError

    def test_the_model_appears_with_the_commit(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        target.check()
        check(not list(tmp_path.iterdir()), "a check leaves nothing")
        _write(target.open(), b"graph")
        check(not self.visible(tmp_path / "model"), "nothing is visible before the commit")
        target.commit()
        check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "all is visible after it")

    def test_an_abandoned_model_leaves_nothing(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        _write(target.open(), b"graph")
        target.abandon()
        target.abandon()
        check(not self.visible(tmp_path / "model"), "nothing is visible")
        check(not list(tmp_path.rglob("*.pb")), "nothing is left")

    def test_a_second_model_is_refused_while_one_is_staged(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        _write(target.open(), b"graph")
        try:
            target.open()
        except UsageError:
            pass
        else:
            raise AssertionError("not so: a target that has staged a model opens no other one")
        target.commit()
        check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "the first one is whole")

    def test_a_target_that_is_closed_shows_what_was_committed_and_nothing_else(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        target.preflight(1, "chief:0")
        check(not self.visible(tmp_path / "model"), "a preflight makes no model")
        _write(target.open("chief:0"), b"graph")
        target.commit()
        target.close()
        target.close()
        check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "the model stays")

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path / "model"), self.make(tmp_path / "model")
        _write(first.open(), b"first")
        _write(second.open(), b"second")
        first.commit()
        before = self.visible(tmp_path / "model")
        try:
            second.commit()
            expected = [b"first", b"second"]
        except TargetExistsError:
            second.abandon()
            expected = [b"first"]
        after = self.visible(tmp_path / "model")
        check(before.items() <= after.items(), "what was there is as it was")
        check(sorted(after.values()) == expected, "the second has a place of its own, or is refused")


def _write(files: SavedModelFiles, graph: bytes) -> None:
    files.saved_model.write_bytes(graph)
