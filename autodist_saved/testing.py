"""For tests of programs that use this package: doubles that run in the test's own process, and conformance classes.

A new source or target is right when a subclass of its conformance class, with the methods filled in that raise
``NotImplementedError`` here, passes under pytest.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from autodist_saved.errors import TargetExistsError, UsageError
from autodist_saved.options import ExportOptions
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target
from autodist_saved.sources.source import Array, Source, Staged


class ArraySource(Source):
    """A source over arrays in memory."""

    def __init__(
        self, arrays: Mapping[str, Array], *, parts: int = 1, global_step: int | None = None, parked: bool = False
    ) -> None:
        """``parts``: pieces of each variable, along its first dimension. ``parked``: nothing is copied."""
        self.arrays = dict(arrays)
        self._parts = parts
        self._global_step = global_step
        self._parked = parked
        self._plan = self._make_plan()
        self._staged: dict[int, Array] | None = None

    def plan(self) -> ExportPlan:
        return self._plan

    def global_step(self) -> int | None:
        return self._global_step

    def stage(self, plan: ExportPlan) -> Staged:
        pieces = [
            (piece.index, self.arrays[variable.name][_window(piece)])
            for variable in plan.variables
            for piece in variable.pieces
        ]
        self._staged = {index: array if self._parked else array.copy() for index, array in pieces}
        return Staged(plan, dict.fromkeys(plan.tasks(), "parked" if self._parked else "memory"))

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        if self._staged is None:
            raise RuntimeError("stage() comes first")
        staged = self._staged[piece.index]
        return staged[row_start:row_stop] if piece.shape else staged

    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        return [self.read(piece, 0, (piece.shape or (1,))[0]) for piece in pieces]

    def discard(self) -> None:
        self._staged = None

    @property
    def holds_copies(self) -> bool:
        """Whether staged copies take memory at this moment."""
        return self._staged is not None

    def _make_plan(self) -> ExportPlan:
        pieces = 0
        variables = []
        for name, array in self.arrays.items():
            bounds = _bounds(array.shape, self._parts)
            variables.append(
                LogicalVariable(
                    name,
                    "string" if array.dtype == object else array.dtype.name,
                    array.shape,
                    tuple(
                        Piece(
                            pieces + part,
                            f"ps:{part}",
                            (start, *[0] * (array.ndim - 1)),
                            (stop - start, *array.shape[1:]),
                        )
                        if array.ndim
                        else Piece(pieces + part, f"ps:{part}", (), ())
                        for part, (start, stop) in enumerate(bounds)
                    ),
                )
            )
            pieces += len(bounds)
        return make_plan(variables)


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
                expected = values[variable.name][_window(piece)]
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


def _staged(source: Source, directory: Path) -> Staged:
    plan = source.plan()
    source.connect(plan, directory, ExportOptions())
    return source.stage(plan)


def _bounds(shape: tuple[int, ...], parts: int) -> list[tuple[int, int]]:
    if not shape:
        return [(0, 1)]
    edges = [shape[0] * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


def _window(piece: Piece) -> tuple[slice, ...]:
    return tuple(slice(start, start + extent) for start, extent in zip(piece.offset, piece.shape, strict=True))


def _write(files: SavedModelFiles, graph: bytes) -> None:
    files.saved_model.write_bytes(graph)


def _check(holds: bool, claim: str) -> None:
    if not holds:
        raise AssertionError(f"not so: {claim}")
