"""Every type of elements, whole and partitioned, in every form, with every loader, is as the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from docs.generators.types_of_elements import KINDS, LAYOUTS, LOADERS, NO_VARIABLES, TYPES, WORKS, cell
from tests.support.type_trial import Trial

VALUES = {tf.as_dtype(number).name for number in types_pb2.DataType.values() if 0 < number < 100}
NO_VALUES = {"resource", "variant"}


def test_no_type_is_missing() -> None:
    # TensorFlow 2.20 has no float4 yet.
    assert {*TYPES} - {"float4_e2m1fn"} <= VALUES - NO_VALUES <= {*TYPES}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [dtype for dtype in TYPES if dtype in VALUES])
def test_it_is_as_the_page_says(tmp_path: Path, dtype: str, kind: str) -> None:
    by_cells: dict[tuple[str, ...], list[str]] = {}
    for layout in LAYOUTS:
        by_cells.setdefault(tuple(cell(dtype, kind, layout, form) for form in LOADERS), []).append(layout)
    for number, (cells, layouts) in enumerate(by_cells.items()):
        place = tmp_path / str(number)
        place.mkdir()
        trial = Trial(place, dtype, layouts, use_resource=kind == "resource")
        if cells[0] == NO_VARIABLES:
            with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
                trial.initialize()
            continue
        found = {(form, loader): outcome for form, loader, outcome in trial.outcomes()}
        assert found.keys() == {(form, loader) for form, loaders in LOADERS.items() for loader in loaders}
        for (form, loader), outcome in found.items():
            expected = dict(zip(LOADERS, cells, strict=True))[form]
            as_expected = outcome == WORKS if expected == WORKS else _is_refused(outcome, expected)
            assert as_expected, f"{form}, {loader}, {layouts}: {outcome}"


def _is_refused(outcome: str, expected: str) -> bool:
    how, _, why = expected.partition(": ")
    return outcome.startswith(f"{how}: ") and why in outcome
