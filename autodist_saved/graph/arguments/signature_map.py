"""Signatures as users give them: whether they have the right types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem, SignatureError

_FIX = "make it with tf.compat.v1.saved_model.predict_signature_def({'x': x}, {'y': y})"
_MAP_FIX = "give a dictionary of SignatureDef by name, such as {'serving_default': signature}"


def check_signature_map(given: object) -> None:
    """Raise ``SignatureError`` unless it maps names to ``SignatureDef``; all problems at once."""
    if problems := list(_problems(given)):
        raise SignatureError("the signatures cannot be written", problems=problems)


def check_built(given: object) -> None:
    """Check what a function that builds a graph has returned, as :func:`check_signature_map` does.

    Raises:
        SignatureError: it is not a mapping, or not one of names to ``SignatureDef``.
    """
    if not isinstance(given, Mapping):
        what = f"it returned {_shown(given)}"
        fix = "return a dictionary of SignatureDef by name, such as {'serving_default': signature}"
        raise SignatureError("the signatures cannot be written", problems=[Problem("build_fn", what, fix)])
    check_signature_map(given)


def _problems(given: object) -> Iterator[Problem]:
    if not isinstance(given, Mapping):
        yield Problem("signature_def_map", f"{_shown(given)} is not a mapping", _MAP_FIX)
        return
    for key, signature in given.items():
        if not isinstance(key, str):
            yield Problem(
                f"signature {key!r}", "its name is not a string", "name it as clients do: 'serving_default'"
            )
        if not isinstance(signature, meta_graph_pb2.SignatureDef):
            yield Problem(f"signature {key!r}", f"{_shown(signature)} is not a SignatureDef", _FIX)


def _shown(value: object) -> str:
    """The value and its type, in one line of at most 100 characters or so."""
    if value is None:
        return "None"
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 100 else text[:100] + '...'} ({type(value).__name__})"
