"""Names after pieces, and the names that nodes of a folded graph get instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf
from tensorflow.core.framework import function_pb2

from autodist_saved.graph.graph_def.body import Body, renamed, unused


def as_node_name(variable: str) -> str:
    """Turn the name of a variable, which is a saver's key, into a valid name of a node."""
    return re.sub(r"^[^A-Za-z0-9.]|[^A-Za-z0-9_.\\/>-]", "_", variable).lstrip("_") or "variable"


def new_names(names: Iterable[str], pieces: Mapping[str, str], fixed: Mapping[str, str]) -> dict[str, str]:
    """Make new names for all nodes that cannot keep theirs.

    Args:
        names: of all nodes.
        pieces: names of variables, by the names of the nodes that are, or were, pieces of them.
        fixed: new names that are decided already, by former names.

    Returns:
        new names, by former names, with the fixed ones.
    """
    return {
        **fixed,
        **_renamings((name for name in names if name not in fixed), _scopes_without(pieces), fixed.values()),
    }


def rename_in_function(function: function_pb2.FunctionDef, pieces: Mapping[str, str]) -> None:
    """Rename nodes, arguments and results of a function that have names after pieces.

    Args:
        function: edited in place.
        pieces: as in :func:`new_names`.
    """
    body, signature = Body(function), function.signature
    by_scope, by_word = _scopes_without(pieces), _words_without(pieces)
    names = _renamings(body.nodes, by_scope, ())
    names |= _renamings((argument.name for argument in signature.input_arg), by_word, {*body.nodes, *names.values()})
    results = _renamings((output.name for output in signature.output_arg), by_word, ())
    body.rename(names)
    for argument in signature.input_arg:
        argument.name = names.get(argument.name, argument.name)
    for output in signature.output_arg:
        output.name = results.get(output.name, output.name)
    returned = {results.get(key, key): renamed(tensor, names) for key, tensor in function.ret.items()}
    function.ret.clear()
    function.ret.update(returned)
    for key, node in list(function.control_ret.items()):
        function.control_ret[key] = names.get(node, node)
    for attributes in function.arg_attr.values():
        attributes.attr.pop("_class", None)  # colocation with the tensors that the function was traced with
        if "_user_specified_name" in attributes.attr:
            name = attributes.attr["_user_specified_name"]
            name.s = by_scope(tf.compat.as_text(name.s)).encode()


def _renamings(names: Iterable[str], new_name: Callable[[str], str], taken: Iterable[str]) -> dict[str, str]:
    """New names of those that must change, by former names."""
    proposed = {name: new_name(name) for name in names}
    used = {*taken, *(name for name, proposal in proposed.items() if name == proposal)}
    found = {}
    for name, proposal in proposed.items():
        if name != proposal or name in taken:
            found[name] = unused(proposal, used)
            used.add(found[name])
    return found


def _scopes_without(pieces: Mapping[str, str]) -> Callable[[str], str]:
    """A function that takes pieces out of names such as ``emb/part_0/Read/ReadVariableOp``."""
    # TensorFlow concatenates the pieces of a variable in the scope ConcatPartitions.
    scopes = {**pieces, **{f"{variable}/ConcatPartitions": variable for variable in pieces.values()}}
    return _replacing(scopes, "(?:^|(?<=/))", "(?=/|$)")


def _words_without(pieces: Mapping[str, str]) -> Callable[[str], str]:
    """A function that takes pieces out of names such as ``gather_emb_part_0_read``, an argument of a function."""
    words = {_words(piece): _words(variable) for piece, variable in pieces.items()}
    return _replacing(words, "(?<![a-z0-9])", "(?![a-z0-9])")


def _words(name: str) -> str:
    return re.sub("[^a-z0-9]", "_", name.lower())


def _replacing(parts: Mapping[str, str], before: str, after: str) -> Callable[[str], str]:
    """A function that replaces the longest parts of a name that stand between two patterns."""
    longest_first = sorted(parts, key=len, reverse=True)
    pattern = re.compile(f"{before}({'|'.join(map(re.escape, longest_first))}){after}")
    return lambda name: pattern.sub(lambda found: parts[found[1]], name) if parts else name
