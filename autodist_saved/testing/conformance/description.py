"""What every description does."""

from __future__ import annotations

from collections.abc import Mapping

from autodist_saved.errors import SignatureError
from autodist_saved.graph.description import Description
from autodist_saved.testing.conformance.check import check


class DescriptionConformance:
    """What every :class:`Description` does. Subclass it and fill in :meth:`make`."""

    def make(self, extra_files: Mapping[str, bytes]) -> Description:
        """A description with at least one tag and one signature, and with these files for ``assets.extra/``."""
        raise NotImplementedError

    def test_two_calls_describe_the_same(self) -> None:
        description = self.make({"notes.txt": b"notes"})
        first, second = description.describe(), description.describe()
        check(first.proto == second.proto, "two calls make equal meta graphs")
        check(first == second, "and equal files and variables beside them")

    def test_what_is_described_is_the_callers(self) -> None:
        description = self.make({})
        before = description.describe().proto
        description.describe().proto.Clear()
        check(description.describe().proto == before, "a caller may change what it got")

    def test_tags_and_signatures_are_in_the_meta_graph(self) -> None:
        description = self.make({})
        proto = description.describe().proto
        check(sorted(proto.meta_info_def.tags) == sorted(description.tags) != [], "the meta graph has the tags")
        check(
            description.signatures.keys() <= proto.signature_def.keys() and bool(description.signatures),
            "the meta graph has the signatures",
        )

    def test_no_variable_is_restored_twice(self) -> None:
        keys = [one.key for one in self.make({}).describe().restored]
        check(len(keys) == len(set(keys)), "each key is restored once")

    def test_no_node_names_a_task_where_devices_are_cleared(self) -> None:
        meta_graph = self.make({}).describe()
        placed = [node.name for node in meta_graph.proto.graph_def.node if "/job:" in node.device]
        check(not (meta_graph.devices_cleared and placed), f"no task is named, but by {placed}")

    def test_a_file_that_is_there_already_is_refused(self) -> None:
        description = self.make({"notes.txt": b"notes"})
        check(dict(description.describe().extra_files) == {"notes.txt": b"notes"}, "its files come along")
        try:
            description.describe(["notes.txt"])
        except SignatureError as error:
            check("notes.txt" in str(error), "the error names the file")
        else:
            raise AssertionError("not so: a file of another meta graph is not overwritten")

    def test_examples_are_for_its_signatures(self) -> None:
        description = self.make({})
        check(description.examples.keys() <= description.signatures.keys(), "examples are for signatures")
