"""Which types of elements are exported in which form, and who loads them: the data, and the tables made of it.

tests/front_doors/test_types_of_elements.py tries every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

COMMON = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "string"),
)
FLOAT8 = ("float8_e5m2", "float8_e4m3fn")
FLOAT8_WITHOUT_KERNELS = ("float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz")
TINY = ("int4", "uint4", "int2", "uint2", "float4_e2m1fn")
QUANTIZED = ("qint8", "quint8", "qint32")
TYPES = (*COMMON, *FLOAT8, *FLOAT8_WITHOUT_KERNELS, *TINY, *QUANTIZED, "qint16", "quint16")
"""All types that a variable could have, as TensorFlow calls them."""

_WITHOUT_VARIABLES = {
    "resource": (*FLOAT8_WITHOUT_KERNELS, "qint16", "quint16"),
    "reference": (*FLOAT8, *FLOAT8_WITHOUT_KERNELS, *TINY, "qint16"),
}

KINDS = {"resource": "Variables with a resource handle", "reference": "Reference variables"}
LAYOUTS = ("whole", "by rows", "by columns")
_MODEL_LOADERS = (
    "tf.compat.v1.saved_model.loader",
    "tf.saved_model.load",
    "tf.compat.v1.train.Saver",
    "autodist_saved.Saver",
)
LOADERS = {
    "complete": _MODEL_LOADERS,
    "serving": _MODEL_LOADERS,
    "checkpoint": _MODEL_LOADERS[2:],
}
"""Who loads each form."""

WORKS = "works"
NO_VARIABLES = "TensorFlow has no such variables"
NO_SLICES = "refused: TensorFlow cannot slice"
NO_COPY = "refused: no copy can be made"


def cell(dtype: str, kind: str, layout: str, form: str) -> str:
    """What all loaders of a form do with a variable; or why it is refused, in words of the error."""
    if dtype in _WITHOUT_VARIABLES[kind]:
        return NO_VARIABLES
    if form == "serving" and dtype in TINY and layout != "whole":
        return NO_SLICES
    if form != "checkpoint" and kind == "reference" and dtype in (*QUANTIZED, "quint16"):
        return NO_COPY
    return WORKS


def page() -> str:
    """A table for each kind of variables and each form."""
    return "\n\n".join(_section(kind) for kind in KINDS)


def _section(kind: str) -> str:
    titles = {"complete": "Complete models", "serving": "Serving graphs", "checkpoint": "Checkpoints"}
    tables = [f"### {title}\n\n{_table(kind, form)}" for form, title in titles.items()]
    return "\n\n".join([f"## {KINDS[kind]}", *tables])


def _table(kind: str, form: str) -> str:
    loaders = LOADERS[form]
    head = f"| type | layout | {' | '.join(f'`{loader}`' for loader in loaders)} |"
    rows = [
        f"| {', '.join(f'`{dtype}`' for dtype in dtypes)} | {layouts} | {' | '.join([text] * len(loaders))} |"
        for dtypes, of_layouts in _alike(kind, form).items()
        for text, layouts in of_layouts.items()
    ]
    return "\n".join([head, "|---|---" + "|---" * len(loaders) + "|", *rows])


def _alike(kind: str, form: str) -> Mapping[tuple[str, ...], Mapping[str, str]]:
    """Types with equal cells. For them the layouts, by what their cells say."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for dtype in TYPES:
        groups.setdefault(tuple(cell(dtype, kind, layout, form) for layout in LAYOUTS), []).append(dtype)
    return {tuple(dtypes): dict(_layouts(texts)) for texts, dtypes in groups.items()}


def _layouts(texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for text in dict.fromkeys(texts):
        yield text, ", ".join(layout for layout, one in zip(LAYOUTS, texts, strict=True) if one == text)
