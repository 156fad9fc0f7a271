"""For tests of programs that use this package: doubles within the test's own process, and conformance classes."""

from autodist_saved.sources.source import Array
from autodist_saved.testing.array_source import ArraySource
from autodist_saved.testing.conformance.cut import CutConformance, StoppingCutConformance
from autodist_saved.testing.conformance.description import DescriptionConformance
from autodist_saved.testing.conformance.source import SourceConformance
from autodist_saved.testing.conformance.target import TargetConformance
from autodist_saved.testing.folder_target import FolderTarget
from autodist_saved.testing.given_description import GivenDescription
from autodist_saved.testing.recording_cut import RecordingCut

__all__ = [
    "Array",
    "ArraySource",
    "CutConformance",
    "DescriptionConformance",
    "FolderTarget",
    "GivenDescription",
    "RecordingCut",
    "SourceConformance",
    "StoppingCutConformance",
    "TargetConformance",
]
