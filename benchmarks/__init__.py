"""Measurements against stock TensorFlow and against the machine, as ratios of figures from one run."""
