"""Reads SavedModels of any program without loading TensorFlow; shows, checks and compares models."""
