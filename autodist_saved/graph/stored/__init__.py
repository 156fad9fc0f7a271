"""Graphs as ``saved_model.pb`` stores them, read without TensorFlow."""
