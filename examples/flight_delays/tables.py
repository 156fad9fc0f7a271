"""The tables at the end of the demo, and the judgement on what stands in them."""

from __future__ import annotations

from typing import Any

from rich.table import Table

MAX_DIFFERENCE = 1e-6
MIN_AUC = 0.65


def variables_table(variables: list[dict[str, Any]]) -> Table:
    """Which parameter server held which rows of each variable. ``variables`` is part of the export's report."""
    table = Table(title="Logical variables and where the job held them")
    table.add_column("variable", overflow="fold")
    table.add_column("shape")
    table.add_column("bytes", justify="right")
    table.add_column("pieces")
    for variable in variables:
        pieces = variable["pieces"]
        places = [pieces[0]["task"]] if len(pieces) == 1 else [_rows_on_task(piece) for piece in pieces]
        table.add_row(variable["name"], str(variable["shape"]), f"{variable['nbytes']:,}", "\n".join(places))
    return table


def measurements_table(measured: dict[str, float]) -> Table:
    """The live model beside the reloaded one. ``measured`` is what the reloading step wrote."""
    table = Table("", "AUC on held-out flights", "loss on training flights", title="Live and reloaded")
    table.add_row("in the live cluster", f"{measured['auc_live']:.9f}")
    table.add_row("reloaded into a session", f"{measured['auc_reloaded']:.9f}", f"{measured['loss_before']:.6f}")
    table.add_row("reloaded as an object", f"{measured['auc_object_loader']:.9f}")
    table.add_row("after one more epoch", "", f"{measured['loss_after']:.6f}")
    return table


def complaints(measured: dict[str, float]) -> list[str]:
    """What is wrong with the reloaded model; nothing, if all is well."""
    wrong = []
    for name in ("auc_reloaded", "auc_object_loader"):
        # Written so that NaN is wrong, too.
        if not abs(measured[name] - measured["auc_live"]) < MAX_DIFFERENCE:
            wrong.append(f"{name} is {measured[name]:.9f} and not {measured['auc_live']:.9f} as in the live cluster")
    if not measured["auc_live"] > MIN_AUC:
        wrong.append(f"auc_live is {measured['auc_live']:.4f}, not above {MIN_AUC}: the model has learnt too little")
    if not measured["loss_after"] < measured["loss_before"]:
        wrong.append(
            f"one more epoch took the loss from {measured['loss_before']:.6f} to {measured['loss_after']:.6f};"
            " it should fall"
        )
    return wrong


def _rows_on_task(piece: dict[str, Any]) -> str:
    first = piece["offset"][0]
    return f"rows {first}-{first + piece['shape'][0] - 1} -> {piece['task']}"
