"""Writes and reads tensor bundles, TensorFlow's format for ``variables/`` and checkpoints, without TensorFlow.

docs/format.md describes the format byte by byte. TensorFlow's own code is ``tensorflow/core/util/tensor_bundle``.
"""

from autodist_saved.bundle.entry import Entry, Part
from autodist_saved.bundle.entry_writer import EntryWriter
from autodist_saved.bundle.reader import BundleReader
from autodist_saved.bundle.writer import BundleWriter

__all__ = ["BundleReader", "BundleWriter", "Entry", "EntryWriter", "Part"]
