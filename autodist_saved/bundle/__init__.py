"""TensorBundle, the format of ``variables/`` and of checkpoints, written and read without TensorFlow."""

from autodist_saved.bundle.entry import Entry, Part
from autodist_saved.bundle.reader import BundleReader
from autodist_saved.bundle.writer import BundleWriter, EntryWriter

__all__ = ["BundleReader", "BundleWriter", "Entry", "EntryWriter", "Part"]
