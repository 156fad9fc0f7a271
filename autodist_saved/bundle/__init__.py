"""TensorBundle, the format of ``variables/`` and of checkpoints, written and read without TensorFlow."""

from autodist_saved.bundle.entry import Entry, Part
from autodist_saved.bundle.entry_writer import EntryWriter
from autodist_saved.bundle.reader import BundleReader
from autodist_saved.bundle.writer import BundleWriter

__all__ = ["BundleReader", "BundleWriter", "Entry", "EntryWriter", "Part"]
