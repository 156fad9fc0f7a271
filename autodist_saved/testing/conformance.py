"""What every implementation of a seam does, as tests that pytest collects.

A new source, target or cut is right when a subclass of its conformance class, with the methods filled in that raise
``NotImplementedError`` here, passes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from autodist_saved.cut.cut import Cut
from autodist_saved.errors import (
    AutodistSavedError,
    CutTimeoutError,
    ExportError,
    SignatureError,
    TargetExistsError,
    UsageError,
)
from autodist_saved.graph.description import Description
from autodist_saved.options import ExportOptions
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target
from autodist_saved.sources.source import Array, Source, Staged
from autodist_saved.testing.array_source import window_of

# For what must not happen: a writer that does not stand still makes its step in far less.
_CHANCE_SECS = 0.2


class SourceConformance:
    """What every :class:`Source` does. Subclass it and fill in :meth:`make`."""

    def make(self) -> tuple[Source, Mapping[str, Array]]:
        """A source, and the value of each of its logical variables."""
        raise NotImplementedError

    def test_every_row_reads_back(self, tmp_path: Path) -> None:
        source, values = self.make()
        plan = _staged(source, tmp_path).plan
        _check(sorted(values) == [variable.name for variable in plan.variables], "the plan names every variable")
        for variable in plan.variables:
            for piece in variable.pieces:
                rows = piece.shape[0] if piece.shape else 1
                expected = values[variable.name][window_of(piece)]
                for start in range(rows):
                    row = source.read(piece, start, start + 1)
                    _check(
                        np.array_equal(row, expected[start : start + 1] if piece.shape else expected), variable.name
                    )
                _check(np.array_equal(source.read(piece, 0, rows), expected), variable.name)
        source.discard()

    def test_pieces_of_a_pack_read_together(self, tmp_path: Path) -> None:
        source, values = self.make()
        plan = _staged(source, tmp_path).plan
        for batch in plan.batches(2**20):
            arrays = source.read_together([variable.pieces[0] for variable in batch])
            for variable, array in zip(batch, arrays, strict=True):
                _check(np.array_equal(array, values[variable.name]), variable.name)
        source.discard()

    def test_the_plan_is_pure(self) -> None:
        source, _ = self.make()
        _check(source.plan() == source.plan(), "two plans of one source are equal")

    def test_every_task_tells_how_it_staged(self, tmp_path: Path) -> None:
        source, _ = self.make()
        staged = _staged(source, tmp_path)
        _check(sorted(staged.ways) == list(staged.plan.tasks()), "every task tells")
        _check(set(staged.ways.values()) <= {"memory", "parked"}, "it is memory or parked")
        source.discard()

    def test_carriers_are_of_tasks_that_hold_pieces(self, tmp_path: Path) -> None:
        source, _ = self.make()
        plan = _staged(source, tmp_path).plan
        _check(set(source.transfers()) <= set(plan.tasks()), "no task carries that holds nothing")
        source.discard()

    def test_copies_can_be_discarded_twice_and_staged_again(self, tmp_path: Path) -> None:
        source, values = self.make()
        source.discard()
        _staged(source, tmp_path)
        source.discard()
        source.discard()
        plan = _staged(source, tmp_path).plan
        _check(len(plan.variables) == len(values), "staging works again")
        source.discard()

    def test_what_was_only_connected_can_be_discarded(self, tmp_path: Path) -> None:
        source, values = self.make()
        source.connect(source.plan(), tmp_path, ExportOptions())
        source.discard()
        plan = _staged(source, tmp_path).plan
        _check(len(plan.variables) == len(values), "staging works again")
        source.discard()


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
        _check(not list(tmp_path.iterdir()), "a check leaves nothing")
        _write(target.open(), b"graph")
        _check(not self.visible(tmp_path / "model"), "nothing is visible before the commit")
        target.commit()
        _check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "all is visible after it")

    def test_an_abandoned_model_leaves_nothing(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        _write(target.open(), b"graph")
        target.abandon()
        target.abandon()
        _check(not self.visible(tmp_path / "model"), "nothing is visible")
        _check(not list(tmp_path.rglob("*.pb")), "nothing is left")

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
        _check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "the first one is whole")

    def test_a_target_that_is_closed_shows_what_was_committed_and_nothing_else(self, tmp_path: Path) -> None:
        target = self.make(tmp_path / "model")
        target.preflight(1, "chief:0")
        _check(not self.visible(tmp_path / "model"), "a preflight makes no model")
        _write(target.open("chief:0"), b"graph")
        target.commit()
        target.close()
        target.close()
        _check(list(self.visible(tmp_path / "model").values()) == [b"graph"], "the model stays")

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
        _check(before.items() <= after.items(), "what was there is as it was")
        _check(sorted(after.values()) == expected, "the second has a place of its own, or is refused")


class DescriptionConformance:
    """What every :class:`Description` does. Subclass it and fill in :meth:`make`."""

    def make(self, extra_files: Mapping[str, bytes]) -> Description:
        """A description with at least one tag and one signature, and with these files for ``assets.extra/``."""
        raise NotImplementedError

    def test_two_calls_describe_the_same(self) -> None:
        description = self.make({"notes.txt": b"notes"})
        first, second = description.describe(), description.describe()
        _check(first.proto == second.proto, "two calls make equal meta graphs")
        _check(first == second, "and equal files and variables beside them")

    def test_what_is_described_is_the_callers(self) -> None:
        description = self.make({})
        before = description.describe().proto
        description.describe().proto.Clear()
        _check(description.describe().proto == before, "a caller may change what it got")

    def test_tags_and_signatures_are_in_the_meta_graph(self) -> None:
        description = self.make({})
        proto = description.describe().proto
        _check(sorted(proto.meta_info_def.tags) == sorted(description.tags) != [], "the meta graph has the tags")
        _check(
            description.signatures.keys() <= proto.signature_def.keys() and bool(description.signatures),
            "the meta graph has the signatures",
        )

    def test_no_variable_is_restored_twice(self) -> None:
        keys = [one.key for one in self.make({}).describe().restored]
        _check(len(keys) == len(set(keys)), "each key is restored once")

    def test_no_node_names_a_task_where_devices_are_cleared(self) -> None:
        meta_graph = self.make({}).describe()
        placed = [node.name for node in meta_graph.proto.graph_def.node if "/job:" in node.device]
        _check(not (meta_graph.devices_cleared and placed), f"no task is named, but by {placed}")

    def test_a_file_that_is_there_already_is_refused(self) -> None:
        description = self.make({"notes.txt": b"notes"})
        _check(dict(description.describe().extra_files) == {"notes.txt": b"notes"}, "its files come along")
        try:
            description.describe(["notes.txt"])
        except SignatureError as error:
            _check("notes.txt" in str(error), "the error names the file")
        else:
            raise AssertionError("not so: a file of another meta graph is not overwritten")

    def test_examples_are_for_its_signatures(self) -> None:
        description = self.make({})
        _check(description.examples.keys() <= description.signatures.keys(), "examples are for signatures")


class CutConformance:
    """What every :class:`Cut` does. Subclass it and fill in :meth:`make` and :meth:`step`.

    A cut that stops the writers does all that :class:`StoppingCutConformance` says, too.
    """

    def make(self, timeout_secs: float = 60.0) -> Cut:
        """A new cut of one and the same job. Where it lasts no longer than a time limit, ``timeout_secs`` is that."""
        raise NotImplementedError

    def step(self, work: Callable[[], object]) -> None:
        """One training step of a writer, in the calling thread, with ``work`` in its midst."""
        raise NotImplementedError

    def test_it_is_on_once_and_writers_go_on(self) -> None:
        for _ in range(2):
            cut = self.make()
            cut.acquire()
            cut.release()
            self._take_a_step()

    def test_it_can_be_extended(self) -> None:
        cut = self.make()
        cut.acquire()
        cut.extend()
        cut.release()
        self._take_a_step()

    def test_a_second_release_does_no_harm(self) -> None:
        cut = self.make()
        cut.acquire()
        cut.release()
        _released(cut)
        self._take_a_step()
        other = self.make()
        other.acquire()
        _released(cut)
        other.release()
        self._take_a_step()

    def test_one_that_was_never_on_can_be_released(self) -> None:
        on = self.make()
        on.acquire()
        _released(self.make())
        on.release()
        self._take_a_step()

    def _take_a_step(self) -> None:
        """In a thread of its own, so that a step that never ends leaves the test to its time limit, not to itself."""
        taken = threading.Event()
        threading.Thread(target=self.step, args=(taken.set,), daemon=True).start()
        taken.wait()


class StoppingCutConformance(CutConformance):
    """What a :class:`Cut` does that stops the writers. :meth:`step` blocks at its beginning while one is on."""

    def test_no_step_begins_while_it_is_on(self) -> None:
        cut = self.make()
        cut.acquire()
        order, writer = self._begin_a_step()
        writer.join(_CHANCE_SECS)
        order.append("release")
        _check(cut.release().training == (), "nobody has trained")
        writer.join()
        _check(order == ["release", "step"], "a step that comes while the cut is on begins after it")

    def test_steps_under_way_end_first(self) -> None:
        cut = self.make()
        order: list[str] = []
        under_way, end = threading.Event(), threading.Event()

        def work() -> None:
            under_way.set()
            end.wait()
            order.append("step")

        writer = threading.Thread(target=self.step, args=(work,), daemon=True)
        writer.start()
        under_way.wait()
        ending = threading.Timer(_CHANCE_SECS, end.set)
        ending.start()
        cut.acquire()
        order.append("acquire")
        writer.join()
        ending.join()
        cut.release()
        _check(order == ["step", "acquire"], "the cut is on only when the step is over")

    def test_who_does_not_stop_in_time_is_named_and_all_go_on(self) -> None:
        under_way, end = threading.Event(), threading.Event()

        def work() -> None:
            under_way.set()
            end.wait()

        writer = threading.Thread(target=self.step, args=(work,), daemon=True)
        writer.start()
        under_way.wait()
        cut = self.make(_CHANCE_SECS)
        try:
            cut.acquire()
        except CutTimeoutError as error:
            _check(bool(error.task), "the error names the task")
        else:
            raise AssertionError("not so: a cut with a step under way is never on")
        self._take_a_step()
        end.set()
        writer.join()
        _released(cut)
        after = self.make()
        after.acquire()
        after.release()

    def test_it_ends_by_itself_when_its_time_is_over(self) -> None:
        cut = self.make(_CHANCE_SECS)
        cut.acquire()
        self._take_a_step()
        try:
            cut.release()
        except CutTimeoutError:
            pass
        else:
            raise AssertionError("not so: writers were let go before, and the release says it")

    def test_an_extended_one_lasts_until_its_release(self) -> None:
        cut = self.make(_CHANCE_SECS)
        cut.acquire()
        cut.extend()
        order, writer = self._begin_a_step()
        writer.join(5 * _CHANCE_SECS)
        order.append("release")
        cut.release()
        writer.join()
        _check(order == ["release", "step"], "nobody is let go before")

    def test_there_is_one_at_a_time(self) -> None:
        first, second = self.make(), self.make()
        first.acquire()
        try:
            second.acquire()
        except ExportError:
            _released(second)
        else:
            raise AssertionError("not so: a cut that does not wait for another one is refused")
        order, writer = self._begin_a_step()
        writer.join(_CHANCE_SECS)
        order.append("release")
        first.release()
        writer.join()
        _check(order == ["release", "step"], "the one that is on stays so")

    def test_no_two_have_the_same_number(self) -> None:
        numbers = set()
        for _ in range(3):
            cut = self.make()
            cut.acquire()
            numbers.add(cut.release().epoch)
        _check(len(numbers) == 3, "each cut has a number of its own")

    def _begin_a_step(self) -> tuple[list[str], threading.Thread]:
        order: list[str] = []
        writer = threading.Thread(target=self.step, args=(lambda: order.append("step"),), daemon=True)
        writer.start()
        return order, writer


def _released(cut: Cut) -> None:
    """Release a cut that has no answer to give: it may say so, in an error of this package."""
    with contextlib.suppress(AutodistSavedError):
        cut.release()


def _staged(source: Source, directory: Path) -> Staged:
    plan = source.plan()
    source.connect(plan, directory, ExportOptions())
    return source.stage(plan)


def _write(files: SavedModelFiles, graph: bytes) -> None:
    files.saved_model.write_bytes(graph)


def _check(holds: bool, claim: str) -> None:
    if not holds:
        raise AssertionError(f"not so: {claim}")
