"""Publishes a finished SavedModel: it appears at its place checked and whole, or not at all."""
