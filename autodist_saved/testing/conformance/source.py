"""What every source does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from autodist_saved.options import ExportOptions
from autodist_saved.sources.source import Array, Source, Staged
from autodist_saved.testing.array_source import window_of
from autodist_saved.testing.conformance.check import check


class SourceConformance:
    """What every :class:`Source` does. Subclass it and fill in :meth:`make`."""

    def make(self) -> tuple[Source, Mapping[str, Array]]:
        """A source, and the value of each of its logical variables."""
        raise NotImplementedError

    def test_every_row_reads_back(self, tmp_path: Path) -> None:
        source, values = self.make()
        plan = _staged(source, tmp_path).plan
        check(sorted(values) == [variable.name for variable in plan.variables], "the plan names every variable")
        for variable in plan.variables:
            for piece in variable.pieces:
                rows = piece.shape[0] if piece.shape else 1
                expected = values[variable.name][window_of(piece)]
                for start in range(rows):
                    row = source.read(piece, start, start + 1)
                    check(
                        np.array_equal(row, expected[start : start + 1] if piece.shape else expected), variable.name
                    )
                check(np.array_equal(source.read(piece, 0, rows), expected), variable.name)
        source.discard()

    def test_pieces_are_read_together(self, tmp_path: Path) -> None:
        source, values = self.make()
        plan = _staged(source, tmp_path).plan
        for batch in (*plan.small(2**20), *plan.batches(2**20)):
            pieces = [(variable.name, piece) for variable in batch for piece in variable.pieces]
            arrays = source.read_together([piece for _, piece in pieces])
            for (name, piece), array in zip(pieces, arrays, strict=True):
                check(np.array_equal(array, values[name][window_of(piece)]), name)
        source.discard()

    def test_the_plan_is_pure(self) -> None:
        source, _ = self.make()
        check(source.plan() == source.plan(), "two plans of one source are equal")

    def test_every_task_tells_how_it_staged(self, tmp_path: Path) -> None:
        source, _ = self.make()
        staged = _staged(source, tmp_path)
        check(sorted(staged.ways) == list(staged.plan.tasks()), "every task tells")
        check(set(staged.ways.values()) <= {"memory", "parked"}, "it is memory or parked")
        source.discard()

    def test_transfers_are_of_tasks_that_hold_pieces(self, tmp_path: Path) -> None:
        source, _ = self.make()
        plan = _staged(source, tmp_path).plan
        check(set(source.transfers()) <= set(plan.tasks()), "a task that holds no pieces has no transfer")
        source.discard()

    def test_copies_can_be_discarded_twice_and_staged_again(self, tmp_path: Path) -> None:
        source, values = self.make()
        source.discard()
        _staged(source, tmp_path)
        source.discard()
        source.discard()
        plan = _staged(source, tmp_path).plan
        check(len(plan.variables) == len(values), "staging works again")
        source.discard()

    def test_what_was_only_connected_can_be_discarded(self, tmp_path: Path) -> None:
        source, values = self.make()
        source.connect(source.plan(), tmp_path, ExportOptions())
        source.discard()
        plan = _staged(source, tmp_path).plan
        check(len(plan.variables) == len(values), "staging works again")
        source.discard()


def _staged(source: Source, directory: Path) -> Staged:
    plan = source.plan()
    source.connect(plan, directory, ExportOptions())
    return source.stage(plan)
