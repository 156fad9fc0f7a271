"""Saveables of the old kind, as users of tables in graph mode write them."""

from __future__ import annotations

from typing import Any


def saveable_of(table: Any) -> Any:
    """Of a table with its keys and values."""
    from tensorflow.python.training.saving import saveable_object

    keys, values = table.export()

    class TableSaveable(saveable_object.SaveableObject):
        def restore(self, tensors: Any, shapes: Any) -> Any:
            return table.insert(*tensors)

    specs = [
        saveable_object.SaveSpec(keys, "", "table-keys"),
        saveable_object.SaveSpec(values, "", "table-values"),
    ]
    return TableSaveable(table.resource_handle, specs, "table")
