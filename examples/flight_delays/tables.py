"""The tables at the end of the demo, and the check of their numbers."""

from __future__ import annotations

from rich.table import Table

from autodist_saved.plan import ExportPlan, Piece, Shape

MAX_AUC_DIFFERENCE = 1e-6
MIN_AUC = 0.65


def variables_table(plan: ExportPlan) -> Table:
    """Which parameter server held which rows of each variable."""
    table = Table(title="Logical variables, and where the job held them")
    table.add_column("variable", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("pieces", no_wrap=True)
    for variable in plan.variables:
        shape = str(list(variable.shape or ()))
        places = "\n".join(_place(piece, variable.shape) for piece in variable.pieces)
        table.add_row(variable.name, shape, f"{variable.nbytes:,}", places)
    return table


def measurements_table(measured: dict[str, float]) -> Table:
    """The live model beside the reloaded one. ``measured`` is what the reloading step wrote."""
    auc = {name: f"{measured[f'auc_{name}']:.9f}" for name in ("live", "reloaded", "object_loader")}
    loss = {name: f"{measured[f'loss_{name}']:.6f}" for name in ("before", "after")}
    table = Table("", "AUC, held-out flights", "loss, training flights", title="Live and reloaded")
    table.add_row("in the live cluster", auc["live"])
    table.add_row("reloaded into a session", auc["reloaded"], loss["before"])
    table.add_row("reloaded as an object", auc["object_loader"])
    table.add_row("after one more epoch", "", loss["after"])
    return table


def complaints(measured: dict[str, float]) -> list[str]:
    """What is wrong with the reloaded model; nothing, if all is well. NaN is wrong everywhere."""
    live, before, after = measured["auc_live"], measured["loss_before"], measured["loss_after"]
    wrong = [
        f"{name} is {measured[name]:.9f} and not {live:.9f} as in the live cluster"
        for name in ("auc_reloaded", "auc_object_loader")
        if not abs(measured[name] - live) < MAX_AUC_DIFFERENCE
    ]
    if not live > MIN_AUC:
        wrong.append(f"auc_live is {live:.4f}, not above {MIN_AUC}: train for more epochs")
    if not after < before:
        wrong.append(f"one more epoch took the loss from {before:.6f} to {after:.6f}; it should fall")
    return wrong


def _place(piece: Piece, whole: Shape | None) -> str:
    if piece.shape == whole or not piece.shape:
        return f"whole -> {piece.task}"
    first, rows = piece.offset[0], piece.shape[0]
    return f"rows {first}-{first + rows - 1} -> {piece.task}"
