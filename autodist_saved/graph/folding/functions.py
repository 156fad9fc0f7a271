"""Folding the functions of a graph's library."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.framework import function_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.folding.body_fold import BodyFold
from autodist_saved.graph.folding.region import Region
from autodist_saved.graph.graph_def.body import Body, unused
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import functions_of

_Key = tuple[str, tuple[tuple[int, Region], ...]]


class FoldedFunctions:
    """Copies of functions that take whole variables instead of pieces: one copy for each set of pieces.

    Attributes:
        problems: what cannot be folded in any of them.
    """

    def __init__(self, library: function_pb2.FunctionDefLibrary) -> None:
        """``library``: the copies are added to it."""
        self.problems: list[Problem] = []
        self._library = library
        self._made: dict[_Key, tuple[str, Mapping[int, Region]]] = {}

    def get(self, name: str, arguments: Mapping[int, Region]) -> tuple[str, Mapping[int, Region]]:
        """Make a copy of a function, once.

        Args:
            name: the function's.
            arguments: the pieces whose handles the function takes, by position of the argument. Negative positions
                count from the end.

        Returns:
            name of the copy, and the pieces whose handles the function returns, by position of the output.
        """
        key = name, tuple(sorted(arguments.items()))
        if key not in self._made:
            self._made[key] = self._make(name, arguments)
        return self._made[key]

    def _make(self, name: str, arguments: Mapping[int, Region]) -> tuple[str, Mapping[int, Region]]:
        functions = functions_of(self._library)
        function = self._library.function.add()
        function.CopyFrom(functions[name])
        function.signature.name = unused(name, functions)
        fold = BodyFold(Body(function), f"in function {name!r}, ", self.get)
        for at, region in arguments.items():
            fold.lift(function.signature.input_arg[at].name, region, is_handle=True)
        fold.run()
        self.problems += fold.problems
        returned = {}
        for at, output in enumerate(function.signature.output_arg):
            if piece := fold.region_of_handle(function.ret[output.name]):
                returned[at] = piece
            function.ret[output.name] = fold.settled(function.ret[output.name])
        _tidy(function, fold)
        return function.signature.name, returned


def _tidy(function: function_pb2.FunctionDef, fold: BodyFold) -> None:
    """Remove what a folded function does not need any more."""
    for key, name in list(function.control_ret.items()):
        if name in fold.reads:  # it makes every call wait for a read
            del function.control_ret[key]
            function.signature.control_output.remove(key)
    # A function runs all its ops that have effects, whether it returns something of them or not.
    effects = {node.name for node in fold.body.nodes.values() if private_api.is_stateful(node.op)}
    returned = {*function.ret.values(), *function.control_ret.values()}
    fold.body.prune(effects - fold.reads | returned, fold.needs)
