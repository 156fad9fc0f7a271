"""Describing the model: ``saved_model.pb`` out of a copy of the job's graph. The live graph is only read."""
