"""The command line: one file per command; ``main.py`` joins them. Nothing here imports TensorFlow at its start."""
